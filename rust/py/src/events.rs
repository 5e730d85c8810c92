//! Events as tuples. The numbers and the order of their members are in `_core.pyi`.

use std::time::Instant;

use adieu_engine::stats::{PairStats, SctpStats, Traffic};
use adieu_engine::{Kind, Reliability};
use adieu_io::event::{Left, TransportStats};
use adieu_io::{Event, Notice};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::channel::Channel;

pub const NAMES: [(&str, u8); 20] = [
    ("MESSAGE", MESSAGE),
    ("CHANNEL_OPEN", CHANNEL_OPEN),
    ("CHANNEL_INCOMING", CHANNEL_INCOMING),
    ("CHANNEL_CLOSING", CHANNEL_CLOSING),
    ("CHANNEL_CLOSED", CHANNEL_CLOSED),
    ("CHANNEL_LOW", CHANNEL_LOW),
    ("CHANNEL_FAILED", CHANNEL_FAILED),
    ("CANDIDATE", CANDIDATE),
    ("CANDIDATE_ERROR", CANDIDATE_ERROR),
    ("GATHERING", GATHERING),
    ("ICE_STATE", ICE_STATE),
    ("ICE_PAIR", ICE_PAIR),
    ("ICE_ROLE", ICE_ROLE),
    ("DTLS_STATE", DTLS_STATE),
    ("DTLS_CERTIFICATES", DTLS_CERTIFICATES),
    ("SCTP_STATE", SCTP_STATE),
    ("STATS", STATS),
    ("CONNECTION_ENDED", CONNECTION_ENDED),
    ("CONNECTION_PANICKED", CONNECTION_PANICKED),
    ("LOG", LOG),
];

const MESSAGE: u8 = 0;
const CHANNEL_OPEN: u8 = 1;
const CHANNEL_INCOMING: u8 = 2;
const CHANNEL_CLOSING: u8 = 3;
const CHANNEL_CLOSED: u8 = 4;
const CHANNEL_LOW: u8 = 5;
const CHANNEL_FAILED: u8 = 6;
const CANDIDATE: u8 = 7;
const CANDIDATE_ERROR: u8 = 8;
const GATHERING: u8 = 9;
const ICE_STATE: u8 = 10;
const ICE_PAIR: u8 = 11;
const ICE_ROLE: u8 = 12;
const DTLS_STATE: u8 = 13;
const DTLS_CERTIFICATES: u8 = 14;
const SCTP_STATE: u8 = 15;
const STATS: u8 = 16;
const CONNECTION_ENDED: u8 = 17;
const CONNECTION_PANICKED: u8 = 18;
const LOG: u8 = 19;

/// Payload bytes of an event, for the bound of a batch.
pub fn size(event: &Event) -> usize {
    match event {
        Event::Message { data, .. } => data.len(),
        _ => 0,
    }
}

pub fn to_tuple<'py>(py: Python<'py>, owner: &adieu_io::Loop, event: Event) -> PyResult<Bound<'py, PyTuple>> {
    match event {
        Event::Message { channel, kind, data } => {
            let size = data.len().into_bound_py_any(py)?;
            let data = match kind {
                Kind::Binary => PyBytes::new(py, &data).into_any(),
                Kind::Text => text(py, &data),
            };
            PyTuple::new(py, [MESSAGE.into_bound_py_any(py)?, channel.into_bound_py_any(py)?, data, size])
        }
        Event::Low { channel } => (CHANNEL_LOW, channel).into_pyobject(py),
        Event::Notice(notice) => notice_tuple(py, owner, *notice),
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
    owner: &adieu_io::Loop,
    notice: Notice,
) -> PyResult<Bound<'py, PyTuple>> {
    match notice {
        Notice::ChannelOpen { channel } => (CHANNEL_OPEN, channel).into_pyobject(py),
        Notice::ChannelIncoming { transport, channel, options } => {
            let (lifetime, retransmits) = match options.reliability {
                Reliability::Full => (None, None),
                Reliability::Retransmits(count) => (None, Some(count)),
                Reliability::Lifetime(milliseconds) => (Some(milliseconds), None),
            };
            let channel = Channel { inner: owner.adopt(channel) };
            let head =
                (CHANNEL_INCOMING, transport, channel, options.label, options.protocol, options.ordered);
            let (number, transport, channel, label, protocol, ordered) = head;
            (number, transport, channel, label, protocol, ordered, lifetime, retransmits, options.priority)
                .into_pyobject(py)
        }
        Notice::ChannelClosing { channel } => (CHANNEL_CLOSING, channel).into_pyobject(py),
        Notice::ChannelClosed { channel, error, cause } => {
            (CHANNEL_CLOSED, channel, error, cause).into_pyobject(py)
        }
        Notice::ChannelFailed { channel, message } => (CHANNEL_FAILED, channel, message).into_pyobject(py),
        Notice::Candidate { transport, generation, line, url } => {
            (CANDIDATE, transport, generation, line, url.as_deref()).into_pyobject(py)
        }
        Notice::CandidateError { transport, generation, address, port, url, code, text } => {
            let address = address.map(|address| address.to_string());
            (CANDIDATE_ERROR, transport, generation, address, port, &*url, code, text).into_pyobject(py)
        }
        Notice::Gathering { transport, generation, complete } => {
            let state = if complete { "complete" } else { "gathering" };
            (GATHERING, transport, generation, state).into_pyobject(py)
        }
        Notice::IceState { transport, state } => (ICE_STATE, transport, state.name()).into_pyobject(py),
        Notice::IcePair { transport, generation, local, remote } => {
            (ICE_PAIR, transport, generation, local, remote).into_pyobject(py)
        }
        Notice::IceRole { transport, role } => (ICE_ROLE, transport, role.name()).into_pyobject(py),
        Notice::Dtls { transport, state, failure } => {
            let (detail, message, sent, received) = match failure {
                Some(failure) => {
                    (Some(failure.detail), failure.message, failure.sent_alert, failure.received_alert)
                }
                None => (None, String::new(), None, None),
            };
            (DTLS_STATE, transport, state.name(), detail, message, sent, received).into_pyobject(py)
        }
        Notice::Certificates { transport, certificates } => {
            let certificates: Vec<_> = certificates.iter().map(|der| PyBytes::new(py, der)).collect();
            (DTLS_CERTIFICATES, transport, PyList::new(py, certificates)?).into_pyobject(py)
        }
        Notice::Sctp { transport, connected, cause, message, max_channels } => {
            let state = if connected { "connected" } else { "closed" };
            (SCTP_STATE, transport, state, cause, message, max_channels).into_pyobject(py)
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
        Notice::Log { connection, line } => {
            owner.queue().lines.leave();
            (LOG, connection, line.layer, line.text).into_pyobject(py)
        }
    }
}

fn left_dict<'py>(py: Python<'py>, left: &Left) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("transports", left.transports)?;
    dict.set_item("channels", left.channels)?;
    dict.set_item("sockets", left.sockets)?;
    dict.set_item("timers", left.timers)?;
    dict.set_item("unsent", left.unsent)?;
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
    let pairs = engine.pair.as_ref().map(|pair| pair_dict(py, engine.at, pair)).transpose()?;
    dict.set_item("pairs", PyList::new(py, pairs)?)?;
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
    Ok(dict)
}

fn pair_dict<'py>(py: Python<'py>, at: Instant, pair: &PairStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("generation", pair.generation)?;
    dict.set_item("local", &pair.local)?;
    dict.set_item("remote", &pair.remote)?;
    dict.set_item("state", "succeeded")?;
    dict.set_item("nominated", true)?;
    dict.set_item("selected", true)?;
    put_traffic(&dict, at, &pair.traffic)?;
    dict.set_item("consent_requests_sent", pair.checks.checks_sent)?;
    dict.set_item("responses_received", pair.agent_responses + pair.checks.answers)?;
    put_known(&dict, "current_round_trip_time", pair.checks.round_trip.map(|time| time.as_secs_f64()))?;
    dict.set_item("total_round_trip_time", pair.checks.total_round_trip.as_secs_f64())?;
    dict.set_item("last_response_age", age(at, pair.last_response))?;
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
    Ok(dict)
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
