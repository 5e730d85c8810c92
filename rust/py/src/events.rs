//! Events as tuples: a number, the handle, and what the table below says.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use adieu_engine::Kind;
use adieu_engine::ice::IceEvent;
use adieu_engine::sctp::{Report, SctpState};
use adieu_engine::stats::{PairStats, SctpStats, Traffic};
use adieu_io::event::{Left, TransportStats};
use adieu_io::shared::ChannelShared;
use adieu_io::{Event, Notice};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::channel::{Channel, ChannelOptions};
use crate::media_stats;

/// W3C RTCPeerConnectionIceErrorEvent.errorCode: the code of browsers too if a socket cannot be made.
const UNREACHABLE: u16 = 701;

/// A kind of event: whose method takes it, and what the members of its tuple are after the number and the handle.
pub struct Row {
    pub name: &'static str,
    /// "channel", "transport", "connection", "receiver", "sender", "source", "sink"; "driver" for answers to the driver itself.
    pub to: &'static str,
    pub method: &'static str,
    pub takes: &'static str,
    pub doc: &'static str,
    /// Whether it is hot: it ends no batch of the driver.
    pub hot: bool,
}

macro_rules! table {
    ($($name:ident $(($hot:ident))? => $to:ident.$method:ident($takes:literal) $doc:literal)*) => {
        #[repr(u8)]
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "names as Python has them")]
        enum Number { $($name),* }
        $(const $name: u8 = Number::$name as u8;)*
        pub const TABLE: &[Row] = &[$(Row {
            name: stringify!($name),
            to: stringify!($to),
            method: stringify!($method),
            takes: $takes,
            doc: $doc,
            hot: !concat!("" $(, stringify!($hot))?).is_empty(),
        }),*];
    };
}

// A new kind of event is a row here and an arm of the match below. `tools/boundary.py` writes the stub and the handlers'
// interfaces from it; the driver calls the method by its name.
table! {
    MESSAGE (hot) => channel.handle_message("data: str | bytes, size: int")
        "A message of so many payload bytes (text as UTF-8), to be given back by `consumed`."
    CHANNEL_OPEN => channel.handle_open("")
        "The association is up; DCEP OPEN, if any, is on its way."
    CHANNEL_INCOMING => transport.handle_incoming("channel: _core.Channel, options: _core.ChannelOptions")
        "The peer has opened a channel."
    CHANNEL_CLOSING => channel.handle_closing("")
        "The peer has reset its direction first."
    CHANNEL_CLOSED => channel.handle_closed("error: str | None, cause_code: int | None")
        "The channel is closed. Without an error it was the closing procedure, and the stream id is free again. An \
         error means that the association ended (closing rule 56), that the transport was closed, or that the peer \
         did not finish the procedure for ten seconds. In the last case the stream id stays taken."
    CHANNEL_LOW => channel.handle_low("")
        "The buffered amount fell to the threshold or below it (`watch_low`)."
    CHANNEL_FAILED => channel.handle_failed("message: str")
        "The transport could not be made (closing rule 51), or the peer sent a message larger than was announced."
    CANDIDATE => transport.handle_candidate(
        "generation: int, line: str, url: str | None, relay_protocol: str | None"
    )
        "A local candidate (\"candidate:…\"), and the server that it was learned from. Of a relayed one also the protocol \
         between this side and its server: \"udp\", \"tcp\" or \"tls\"."
    CANDIDATE_ERROR => transport.handle_candidate_error(
        "generation: int, address: str | None, port: int | None, url: str, code: int, text: str"
    )
        "A server did not help. `code` is of RFC 5389, or 701. `url` is empty when this machine is in the way: no \
         descriptor, no interface, no permission, no port."
    GATHERING => transport.handle_gathering("generation: int, state: str")
        "Gathering of a generation has started (\"gathering\") or is over (\"complete\")."
    ICE_STATE => transport.handle_ice("state: str | None, pair: tuple[str, str] | None")
        "A new state, a new selected pair, or both. States: \"new\", \"checking\", \"connected\", \"completed\", \
         \"disconnected\", \"failed\". The event has the transport and the state alone; the driver adds the pair."
    ICE_PAIR => transport.handle_ice("state: str | None, pair: tuple[str, str] | None")
        "A new selected pair. The event has transport, generation, local and remote candidate line."
    ICE_ROLE => transport.handle_role("role: str")
        "The role after a conflict: \"controlling\" or \"controlled\"."
    DTLS_STATE => transport.handle_dtls(
        "state: str, detail: str | None, message: str, sent_alert: int | None, received_alert: int | None"
    )
        "A new state. It is \"connecting\", \"connected\", \"closed\" or \"failed\"; `detail` of the last is \"dtls-failure\" \
         or \"fingerprint-failure\"."
    DTLS_CERTIFICATES => transport.handle_certificates("certificates: list[bytes]")
        "The peer's certificates (DER), the leaf first, before the state is \"connected\"."
    SCTP_STATE => transport.handle_sctp(
        "state: str, cause_code: int | None, message: str, max_channels: int | None"
    )
        "A new state: \"connected\" or \"closed\"."
    STATS => driver.handle_stats("request: int, stats: dict[str, object]")
        "The answer to `request_stats`."
    CONNECTION_ENDED => connection.handle_ended("left: dict[str, int]")
        "The reaper is done. `left` has the numbers of things that are still held."
    CONNECTION_PANICKED => connection.handle_panicked("message: str")
        "A bug of the core has ended this connection alone."
    NETWORK => connection.handle_network("gone: list[str], came: list[str], slept: float")
        "The machine's addresses have changed, or it has slept for so many seconds: all paths are being checked."
    MEDIA_ON => receiver.handle_on("ssrc: int")
        "The first packet of this receiver, or the first after MEDIA_OFF."
    MEDIA_OFF => receiver.handle_off("reason: str")
        "Nothing more comes for this receiver. The reason is \"bye\": the peer said so."
    KEY_WANTED => sender.handle_key_wanted("encoding: int")
        "The peer wants a key frame; at most one in 300 ms."
    TARGET => sender.handle_target("encoding: int, bitrate: int")
        "Bits a second that the encoder may use; again on a change of a tenth."
    VIDEO_PLAN => sender.handle_plan("codec: str, fmtp: str, max_bitrate: int")
        "How to encode pictures: \"VP8\" or \"H264\" with the peer's parameters, and bits a second at most (0: no limit). An \
         empty codec: nothing may be sent now."
    TONE => receiver.handle_tone("tone: str, duration: float")
        "The peer has played a telephone tone of so many seconds."
    AUDIO_READY (hot) => sink.handle_ready("")
        "The sink was empty, and has a frame."
    FRAME_READY (hot) => sink.handle_ready("")
        "The same of a sink of pictures."
    AUDIO_ROOM => source.handle_room("")
        "A write did not fit into the source, and half of it is free now."
    DRAINED => source.handle_drained("position: int, arrived: bool")
        "All that was queued at `watch` has left, or a report of the peer covers it. `position` is in frames."
    LOG (hot) => driver.handle_log("logger: str, text: str")
        "A line for a logger (\"adieu.ice\" ...), of this connection; 0 if it is of no connection. See `set_log`."
}

/// The rows for Python: (name, to, method, takes, doc, hot). The number of a kind is its index.
pub fn rows(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    let rows = TABLE.iter().map(|row| (row.name, row.to, row.method, row.takes, row.doc, row.hot));
    PyTuple::new(py, rows.collect::<Vec<_>>())
}

/// Payload bytes of an event, for the bound of a batch.
pub fn size(event: &Event) -> usize {
    match event {
        Event::Message { data, .. } => data.len(),
        _ => 0,
    }
}

/// `adopt` makes Python's handle of a channel that the peer has opened.
pub fn to_tuple<'py>(
    py: Python<'py>,
    adopt: impl Fn(Arc<ChannelShared>) -> Channel,
    event: Event,
) -> PyResult<Bound<'py, PyTuple>> {
    match event {
        Event::Message { channel, kind, data } => {
            let size = data.len().into_bound_py_any(py)?;
            let data = payload(py, kind, &data);
            PyTuple::new(py, [MESSAGE.into_bound_py_any(py)?, channel.into_bound_py_any(py)?, data, size])
        }
        Event::AudioReady { sink } => (AUDIO_READY, sink).into_pyobject(py),
        Event::FrameReady { sink } => (FRAME_READY, sink).into_pyobject(py),
        Event::Low { channel } => (CHANNEL_LOW, channel).into_pyobject(py),
        Event::Notice(notice) => notice_tuple(py, adopt, *notice),
    }
}

/// `bytes` or `str`.
pub fn payload<'py>(py: Python<'py>, kind: Kind, data: &[u8]) -> Bound<'py, PyAny> {
    match kind {
        Kind::Binary => PyBytes::new(py, data).into_any(),
        Kind::Text => text(py, data),
    }
}

/// Text of the peer; what is not UTF-8 in it is replaced, as the Encoding standard decodes.
fn text<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyAny> {
    match std::str::from_utf8(data) {
        Ok(text) => PyString::new(py, text).into_any(),
        Err(_) => PyString::new(py, &String::from_utf8_lossy(data)).into_any(),
    }
}

fn notice_tuple<'py>(
    py: Python<'py>,
    adopt: impl Fn(Arc<ChannelShared>) -> Channel,
    notice: Notice,
) -> PyResult<Bound<'py, PyTuple>> {
    match notice {
        Notice::Engine { transport, event } => engine_tuple(py, transport, event),
        Notice::ChannelOpen { channel } => (CHANNEL_OPEN, channel).into_pyobject(py),
        Notice::ChannelIncoming { transport, channel, options } => {
            let options = ChannelOptions { inner: options };
            (CHANNEL_INCOMING, transport, adopt(channel), options).into_pyobject(py)
        }
        Notice::ChannelClosing { channel } => (CHANNEL_CLOSING, channel).into_pyobject(py),
        Notice::ChannelClosed { channel, error, cause } => {
            (CHANNEL_CLOSED, channel, error, cause).into_pyobject(py)
        }
        Notice::ChannelFailed { channel, message } => (CHANNEL_FAILED, channel, message).into_pyobject(py),
        Notice::Trouble { transport, generation, address, port, text } => {
            let address = address.map(|address| address.to_string());
            (CANDIDATE_ERROR, transport, generation, address, port, "", UNREACHABLE, text).into_pyobject(py)
        }
        Notice::Stats { transport, request, now, stats } => {
            let stats = match stats {
                Some(stats) => stats_dict(py, now, &stats)?,
                None => PyDict::new(py),
            };
            (STATS, transport, request, stats).into_pyobject(py)
        }
        Notice::ConnectionEnded { connection, left } => {
            (CONNECTION_ENDED, connection, left_dict(py, &left)?).into_pyobject(py)
        }
        Notice::ConnectionPanicked { connection, message } => {
            (CONNECTION_PANICKED, connection, message).into_pyobject(py)
        }
        Notice::Network { connection, change, slept } => {
            let texts = |ips: &[IpAddr]| ips.iter().map(IpAddr::to_string).collect::<Vec<_>>();
            (NETWORK, connection, texts(&change.gone), texts(&change.came), slept.as_secs_f64())
                .into_pyobject(py)
        }
        Notice::Media { receiver, changes } => match changes.pop().flatten() {
            Some(ssrc) => (MEDIA_ON, receiver, ssrc).into_pyobject(py),
            None => (MEDIA_OFF, receiver, "bye").into_pyobject(py),
        },
        Notice::KeyWanted { sender, encoding } => (KEY_WANTED, sender, encoding).into_pyobject(py),
        Notice::Target { sender, targets } => {
            let (encoding, bitrate) = targets.pop().unwrap_or_default();
            (TARGET, sender, encoding, bitrate).into_pyobject(py)
        }
        Notice::VideoPlan { sender, plan } => {
            let (codec, fmtp, most) = plan
                .map_or(("", String::new(), None), |plan| (plan.codec.name(), plan.fmtp, plan.max_bitrate));
            (VIDEO_PLAN, sender, codec, fmtp, most.unwrap_or(0)).into_pyobject(py)
        }
        Notice::Tone { receiver, tones } => {
            let (tone, seconds) = tones.pop().unwrap_or_default();
            (TONE, receiver, tone, seconds).into_pyobject(py)
        }
        Notice::AudioRoom { source } => (AUDIO_ROOM, source).into_pyobject(py),
        Notice::Drained { source, position, arrived } => {
            (DRAINED, source, position, arrived).into_pyobject(py)
        }
        Notice::Log { connection, line } => (LOG, connection, line.layer, line.text).into_pyobject(py),
    }
}

fn engine_tuple<'py>(
    py: Python<'py>,
    transport: u64,
    event: adieu_engine::Event,
) -> PyResult<Bound<'py, PyTuple>> {
    use adieu_engine::Event as E;
    match event {
        E::Ice(event) => ice_tuple(py, transport, *event),
        E::Certificates(certificates) => {
            let certificates: Vec<_> = certificates.iter().map(|der| PyBytes::new(py, der)).collect();
            (DTLS_CERTIFICATES, transport, PyList::new(py, certificates)?).into_pyobject(py)
        }
        E::Dtls { state, failure } => {
            let (detail, message, sent, received) = match failure {
                Some(failure) => {
                    (Some(failure.detail), failure.message, failure.sent_alert, failure.received_alert)
                }
                None => (None, String::new(), None, None),
            };
            (DTLS_STATE, transport, state.name(), detail, message, sent, received).into_pyobject(py)
        }
        E::Sctp { state, cause, max_channels } => {
            let (cause, message) = cause.map_or((None, String::new()), |cause| (cause.code, cause.text));
            let state = if state == SctpState::Connected { "connected" } else { "closed" };
            (SCTP_STATE, transport, state, cause, message, max_channels).into_pyobject(py)
        }
        // The hub has made notices of these: they have handles.
        E::Channel(_) => Err(PyAssertionError::new_err("an event of a channel came without its handle")),
    }
}

fn ice_tuple<'py>(py: Python<'py>, transport: u64, event: IceEvent) -> PyResult<Bound<'py, PyTuple>> {
    match event {
        IceEvent::Candidate { generation, line, url, relay_protocol } => {
            (CANDIDATE, transport, generation, line, url.as_deref(), relay_protocol).into_pyobject(py)
        }
        IceEvent::CandidateError { generation, local, url, code, text } => {
            let (address, port) = local.map(|local| (local.ip().to_string(), local.port())).unzip();
            (CANDIDATE_ERROR, transport, generation, address, port, &*url, code, text).into_pyobject(py)
        }
        IceEvent::Gathering { generation, complete } => {
            let state = if complete { "complete" } else { "gathering" };
            (GATHERING, transport, generation, state).into_pyobject(py)
        }
        IceEvent::State(state) => (ICE_STATE, transport, state.name()).into_pyobject(py),
        IceEvent::Pair { generation, local, remote } => {
            (ICE_PAIR, transport, generation, local, remote).into_pyobject(py)
        }
        IceEvent::Role(role) => (ICE_ROLE, transport, role.name()).into_pyobject(py),
    }
}

/// The new ICE state of this transport, if that is what the event says.
pub fn ice_state(event: &Event, transport: u64) -> Option<&'static str> {
    let Event::Notice(notice) = event else { return None };
    match &**notice {
        Notice::Engine { transport: its, event: adieu_engine::Event::Ice(event) } if *its == transport => {
            match **event {
                IceEvent::State(state) => Some(state.name()),
                _ => None,
            }
        }
        _ => None,
    }
}

fn left_dict<'py>(py: Python<'py>, left: &Left) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("transports", left.transports)?;
    dict.set_item("channels", left.channels)?;
    dict.set_item("sockets", left.sockets)?;
    dict.set_item("timers", left.timers)?;
    dict.set_item("unsent", left.unsent)?;
    dict.set_item("allocations", left.allocations)?;
    Ok(dict)
}

fn stats_dict<'py>(py: Python<'py>, now: Instant, stats: &TransportStats) -> PyResult<Bound<'py, PyDict>> {
    let engine = &stats.engine;
    let dict = PyDict::new(py);
    dict.set_item("ended", stats.ended)?;
    dict.set_item("age", age(now, engine.at))?;
    dict.set_item("ice_state", engine.ice_state)?;
    dict.set_item("ice_role", engine.ice_role)?;
    put_traffic(&dict, engine.at, &engine.traffic)?;
    dict.set_item("requests_sent", engine.requests_sent)?;
    dict.set_item("responses_received", engine.responses_received)?;
    dict.set_item("requests_received", engine.requests_received)?;
    dict.set_item("selected_pair_changes", engine.pair_changes)?;
    let available = engine.media.as_ref().and_then(|media| media.available);
    let pairs: PyResult<Vec<_>> =
        engine.pairs.iter().map(|pair| pair_dict(py, engine.at, pair, available)).collect();
    dict.set_item("pairs", PyList::new(py, pairs?)?)?;
    let dtls = PyDict::new(py);
    dtls.set_item("state", engine.dtls_state)?;
    put_known(&dtls, "version", engine.dtls_version)?;
    put_known(&dtls, "cipher", engine.dtls_cipher)?;
    put_known(&dtls, "srtp_cipher", engine.srtp_cipher)?;
    put_known(&dtls, "role", engine.dtls_role)?;
    dict.set_item("dtls", dtls)?;
    if let Some(sctp) = &engine.sctp {
        dict.set_item("sctp", sctp_dict(py, sctp)?)?;
    }
    dict.set_item("channels", channels_dict(py, stats)?)?;
    dict.set_item("unread", engine.unread)?;
    dict.set_item("media", media_stats::list(py, stats)?)?;
    Ok(dict)
}

/// `available`: bits a second for all that is sent by the selected pair.
fn pair_dict<'py>(
    py: Python<'py>,
    at: Instant,
    pair: &PairStats,
    available: Option<u32>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("generation", pair.generation)?;
    dict.set_item("local", &pair.local)?;
    dict.set_item("remote", &pair.remote)?;
    dict.set_item("state", pair.state)?;
    dict.set_item("nominated", pair.selected.is_some())?;
    dict.set_item("selected", pair.selected.is_some())?;
    dict.set_item("requests_sent", pair.counts.requests_sent)?;
    dict.set_item("requests_received", pair.counts.requests_received)?;
    dict.set_item("responses_sent", pair.counts.responses_sent)?;
    let Some(selected) = &pair.selected else {
        dict.set_item("responses_received", pair.counts.responses_received)?;
        return Ok(dict);
    };
    put_traffic(&dict, at, &selected.traffic)?;
    dict.set_item("consent_requests_sent", selected.checks.checks_sent)?;
    dict.set_item("responses_received", pair.counts.responses_received + selected.checks.answers)?;
    put_known(&dict, "available_outgoing_bitrate", available)?;
    put_known(&dict, "current_round_trip_time", selected.checks.round_trip.map(|time| time.as_secs_f64()))?;
    dict.set_item("total_round_trip_time", selected.checks.total_round_trip.as_secs_f64())?;
    dict.set_item("last_response_age", age(at, selected.last_response))?;
    Ok(dict)
}

fn sctp_dict<'py>(py: Python<'py>, sctp: &SctpStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("smoothed_round_trip_time", sctp.round_trip.as_secs_f64())?;
    dict.set_item("congestion_window", sctp.congestion_window)?;
    dict.set_item("receiver_window", sctp.receiver_window)?;
    dict.set_item("unacked_chunks", sctp.unacknowledged)?;
    dict.set_item("packets_sent", sctp.packets_sent)?;
    dict.set_item("packets_received", sctp.packets_received)?;
    dict.set_item("packets_retransmitted", sctp.packets_retransmitted)?;
    dict.set_item("zero_checksum", sctp.zero_checksum)?;
    if let Some(report) = &sctp.congestion {
        put_congestion(&dict, report)?;
    }
    Ok(dict)
}

fn put_congestion(dict: &Bound<'_, PyDict>, report: &Report) -> PyResult<()> {
    dict.set_item("controller", report.algorithm.to_string())?;
    dict.set_item("delivery_rate", report.delivery_rate)?;
    dict.set_item("queue", report.queue.as_secs_f64())?;
    put_known(dict, "shortest_round_trip_time", report.shortest_round_trip.map(|time| time.as_secs_f64()))?;
    put_known(dict, "threshold", report.threshold)?;
    dict.set_item("lost", report.lost)?;
    dict.set_item("mistaken", report.mistaken)?;
    dict.set_item("tolerated", report.tolerated)?;
    dict.set_item("reductions", report.reductions)?;
    dict.set_item("caps", report.caps)?;
    dict.set_item("timeouts", report.timeouts)?;
    dict.set_item("probes", report.probes)
}

fn channels_dict<'py>(py: Python<'py>, stats: &TransportStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (id, index) in &stats.channels {
        let Some((_, stream, counts)) = stats.engine.channels.get(*index) else { continue };
        let channel = PyDict::new(py);
        channel.set_item("stream_id", stream)?;
        channel.set_item("messages_sent", counts.messages_sent)?;
        channel.set_item("bytes_sent", counts.bytes_sent)?;
        channel.set_item("messages_received", counts.messages_received)?;
        channel.set_item("bytes_received", counts.bytes_received)?;
        dict.set_item(id, channel)?;
    }
    Ok(dict)
}

fn put_traffic(dict: &Bound<'_, PyDict>, at: Instant, traffic: &Traffic) -> PyResult<()> {
    dict.set_item("packets_sent", traffic.packets_sent)?;
    dict.set_item("bytes_sent", traffic.bytes_sent)?;
    dict.set_item("packets_received", traffic.packets_received)?;
    dict.set_item("bytes_received", traffic.bytes_received)?;
    put_known(dict, "last_packet_sent_age", traffic.last_sent.map(|time| age(at, time)))?;
    put_known(dict, "last_packet_received_age", traffic.last_received.map(|time| age(at, time)))
}

/// A member that is absent while its value is not known.
fn put_known<'py, T: IntoPyObject<'py>>(
    dict: &Bound<'py, PyDict>,
    name: &str,
    value: Option<T>,
) -> PyResult<()> {
    value.map_or(Ok(()), |value| dict.set_item(name, value))
}

fn age(at: Instant, time: Instant) -> f64 {
    at.saturating_duration_since(time).as_secs_f64()
}
