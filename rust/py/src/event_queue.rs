use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adieu_engine::ice::{Credentials, Role};
use adieu_engine::rtp::{AudioCodec, FrameUnit};
use adieu_engine::{Algorithm, Fingerprint, RemoteCandidate};
use adieu_io::heard::Source;
use adieu_io::shared::{ChannelShared, TransportShared};
use adieu_io::{Client, Core, Event, Gather, IceServer, Notice, Policy, TransportOptions};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyList, PyTuple};

use crate::addresses::Addresses;
use crate::capture::Capture;
use crate::certificate::Certificate;
use crate::channel::{Channel, ChannelOptions, Turns};
use crate::convert::{choice, os_error, seconds, value_error};
use crate::dispatch::{MessageFactory, Route};
use crate::events;
use crate::media::{
    AudioSink, AudioSource, FrameSink, PacketSink, Section, check_format, frame_data, media_kind,
    sink_options,
};
use crate::trust::Trust;

/// How often the clock is looked at: after this many events.
const EVENTS_BETWEEN_LOOKS: usize = 32;
/// W3C insertDTMF: the longest tone.
const MAX_TONE: Duration = Duration::from_secs(6);

#[pyclass(frozen, module = "adieu._core")]
pub struct EventQueue {
    inner: Client,
    turns: Arc<Turns>,
    routes: Mutex<HashMap<u64, Route>>,
    /// Counts the changes of `routes`: who keeps one sees that it is not the same any longer.
    changes: AtomicU64,
    /// The event that was taken for a look, and is still the next one.
    next: Mutex<Option<Event>>,
}

/// Bytes that handlers have taken, by transport.
struct Taken<'a> {
    client: &'a Client,
    by_transport: Vec<(Arc<TransportShared>, usize)>,
}

impl Taken<'_> {
    fn add(&mut self, transport: &Arc<TransportShared>, size: usize) {
        match self.by_transport.iter_mut().find(|(one, _)| Arc::ptr_eq(one, transport)) {
            Some((_, taken)) => *taken += size,
            None => self.by_transport.push((transport.clone(), size)),
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for (transport, size) in self.by_transport.drain(..) {
            self.client.give_back(transport, size);
        }
    }
}

impl EventQueue {
    pub fn new(inner: Client) -> EventQueue {
        EventQueue {
            inner,
            turns: Arc::default(),
            routes: Mutex::default(),
            changes: AtomicU64::new(0),
            next: Mutex::default(),
        }
    }

    pub fn id(&self) -> u64 {
        self.inner.id()
    }

    fn adopt(&self, channel: Arc<ChannelShared>) -> Channel {
        Channel::new(self.inner.adopt(channel), self.turns.clone())
    }

    fn tuple<'py>(&self, py: Python<'py>, event: Event) -> PyResult<Bound<'py, PyTuple>> {
        if let Event::Notice(notice) = &event
            && let Notice::Log { .. } = **notice
        {
            self.inner.queue().lines.leave();
        }
        events::to_tuple(py, |channel| self.adopt(channel), event)
    }

    fn routes(&self) -> MutexGuard<'_, HashMap<u64, Route>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> MutexGuard<'_, Option<Event>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self) -> Option<Event> {
        self.next().take().or_else(|| self.inner.pop())
    }

    fn len(&self) -> usize {
        self.inner.queue().len() + usize::from(self.next().is_some())
    }
}

/// A route that was looked up, while the routes have not changed.
#[derive(Default)]
struct Known {
    channel: u64,
    changes: u64,
    route: Option<Route>,
}

impl Known {
    fn find(&mut self, py: Python<'_>, queue: &EventQueue, channel: u64) -> Option<&Route> {
        let changes = queue.changes.load(Ordering::Acquire);
        if self.channel != channel || self.changes != changes {
            let route = queue.routes().get(&channel).map(|route| route.clone_ref(py));
            *self = Known { channel, changes, route };
        }
        self.route.as_ref()
    }
}

/// The wait at exit is registered once, with the first loop: importing the module does nothing.
static WAITS_AT_EXIT: AtomicBool = AtomicBool::new(false);

fn wait_at_exit(py: Python<'_>) -> PyResult<()> {
    if WAITS_AT_EXIT.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let shutdown = PyCFunction::new_closure(py, Some(c"adieu_shutdown"), None, |arguments, _| {
        arguments.py().detach(Core::shutdown);
    })?;
    py.import("atexit")?.call_method1("register", (shutdown,))?;
    Ok(())
}

#[pymethods]
impl EventQueue {
    #[new]
    fn open(py: Python<'_>) -> PyResult<EventQueue> {
        let inner = py.detach(Core::open_client).map_err(os_error)?;
        wait_at_exit(py)?;
        Ok(EventQueue::new(inner))
    }

    fn fileno(&self) -> i32 {
        self.inner.fileno()
    }

    fn drain<'py>(
        &self,
        py: Python<'py>,
        max_events: usize,
        max_bytes: usize,
    ) -> PyResult<(Bound<'py, PyList>, bool)> {
        let list = PyList::empty(py);
        if !self.inner.is_alive() {
            return Ok((list, false));
        }
        self.inner.lower();
        let (mut count, mut bytes) = (0, 0);
        while count < max_events && bytes < max_bytes {
            let Some(event) = self.pop() else { break };
            count += 1;
            bytes += events::size(&event);
            list.append(self.tuple(py, event)?)?;
        }
        self.inner.drained();
        Ok((list, self.len() > 0))
    }

    #[getter]
    fn waiting(&self) -> usize {
        if self.inner.is_alive() { self.len() } else { 0 }
    }

    fn deliver<'py>(
        &self,
        py: Python<'py>,
        channels: &Bound<'py, PyDict>,
        max_events: usize,
        max_bytes: usize,
        max_seconds: f64,
    ) -> PyResult<(Option<Bound<'py, PyTuple>>, usize)> {
        if !self.inner.is_alive() || max_events == 0 {
            return Ok((None, 0));
        }
        self.inner.lower();
        let end = Duration::try_from_secs_f64(max_seconds).ok().map(|time| Instant::now() + time);
        let mut known = Known::default();
        let mut taken = Taken { client: &self.inner, by_transport: Vec::new() };
        let (mut left, mut bytes) = (max_events, 0);
        let mut next = self.next().take();
        while left > 0 && bytes < max_bytes {
            if left != max_events
                && (max_events - left).is_multiple_of(EVENTS_BETWEEN_LOOKS)
                && end.is_some_and(|end| Instant::now() > end)
            {
                self.inner.drained();
                return Ok((None, left));
            }
            let Some(event) = next.take().or_else(|| self.inner.pop()) else { break };
            left -= 1;
            let Event::Message { channel, kind, data } = event else {
                self.inner.drained();
                return Ok((Some(self.tuple(py, event)?), left));
            };
            bytes += data.len();
            let payload = events::payload(py, kind, &data);
            if let Some(route) = known.find(py, self, channel) {
                taken.add(&route.transport, data.len());
                route.hand_out(py, &payload)?;
            } else if let Some(target) = channels.get_item(channel)? {
                target.call_method1("handle_message", (payload, data.len()))?;
            } // else its connection is closed, and nobody waits for the bytes
        }
        self.inner.drained();
        Ok((None, 0))
    }

    fn take_ice_state(&self, transport: u64) -> Option<&'static str> {
        let event = self.pop()?;
        let state = events::ice_state(&event, transport);
        if state.is_none() {
            *self.next() = Some(event);
        }
        state
    }

    fn route(
        &self,
        channel: &Channel,
        target: Py<PyAny>,
        handler: Option<Py<PyAny>>,
        factory: Py<MessageFactory>,
    ) {
        let id = channel.inner().id();
        let transport = channel.inner().transport().clone();
        let route = handler.map(|handler| Route { target, handler, factory, transport });
        let before = match route {
            Some(route) => self.routes().insert(id, route),
            None => self.routes().remove(&id),
        };
        self.changes.fetch_add(1, Ordering::Release);
        // What it held may run Python code when it is let go: not under the lock.
        drop(before);
    }

    #[getter]
    fn thread(&self) -> u64 {
        self.turns.thread.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_thread(&self, thread: u64) {
        self.turns.thread.store(thread, Ordering::Relaxed);
    }

    #[getter]
    fn turn(&self) -> u64 {
        self.turns.turn.load(Ordering::Relaxed)
    }

    fn next_turn(&self) {
        self.turns.turn.fetch_add(1, Ordering::Relaxed);
    }

    fn hold(&self) {
        self.inner.hold();
    }

    fn release(&self) {
        self.inner.release();
    }

    fn close(&self) {
        self.inner.close();
        let routes = std::mem::take(&mut *self.routes());
        self.changes.fetch_add(1, Ordering::Release);
        drop(routes);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(routes) = self.routes.try_lock() {
            for route in routes.values() {
                visit.call(&route.target)?;
                visit.call(&route.handler)?;
                visit.call(&route.factory)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let routes = std::mem::take(&mut *self.routes());
        drop(routes);
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = PyDict::new(py);
        for (name, count) in self.inner.queue().counters.list() {
            counters.set_item(name, count)?;
        }
        counters.set_item("queued_events", self.len())?;
        Ok(counters)
    }

    fn connection(&self, certificate: &Certificate) -> u64 {
        self.inner.connection(certificate.inner.clone())
    }

    #[pyo3(signature = (connection, reason = "Close called"))]
    fn close_connection(&self, connection: u64, reason: &str) {
        self.inner.close_connection(connection, reason.to_owned());
    }

    #[pyo3(signature = (
        connection,
        *,
        disconnected_after = 2.5,
        failed_after = 15.0,
        receive_buffer = 8388608,
        max_message_size = 262144,
        congestion = "tolerant",
        capture = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "the shape of the Python call")]
    fn transport(
        &self,
        connection: u64,
        disconnected_after: f64,
        failed_after: f64,
        receive_buffer: usize,
        max_message_size: usize,
        congestion: &str,
        capture: Option<&Capture>,
    ) -> PyResult<u64> {
        let options = TransportOptions {
            disconnected_after: seconds("disconnected_after", disconnected_after)?,
            failed_after: seconds("failed_after", failed_after)?,
            receive_buffer,
            max_message_size,
            congestion: choice(
                "congestion",
                congestion,
                &[("tolerant", Algorithm::Tolerant), ("cubic", Algorithm::Cubic)],
            )?,
            capture: capture.map(|capture| capture.inner.clone()),
        };
        Ok(self.inner.transport(connection, options))
    }

    fn close_transport(&self, transport: u64) {
        self.inner.close_transport(transport);
    }

    #[pyo3(signature = (
        transport, generation, ufrag, pwd, controlling, servers, policy = "all", addresses = None,
        tcp_port = None, trust = None, relays = Vec::new(),
        hides_addresses = false,
    ))]
    #[expect(clippy::too_many_arguments, reason = "the shape of the Python call")]
    fn gather(
        &self,
        transport: u64,
        generation: u32,
        ufrag: String,
        pwd: String,
        controlling: bool,
        servers: Vec<String>,
        policy: &str,
        addresses: Option<&Addresses>,
        tcp_port: Option<u16>,
        trust: Option<PyRef<'_, Trust>>,
        relays: Vec<(String, String, String)>,
        hides_addresses: bool,
    ) -> PyResult<()> {
        let relays =
            relays.into_iter().map(|(url, username, credential)| IceServer::turn(&url, username, credential));
        let servers: Result<Vec<IceServer>, String> =
            servers.iter().map(|url| IceServer::stun(url)).chain(relays).collect();
        let gather = Gather {
            generation,
            local: credentials(ufrag, pwd)?,
            role: role(controlling),
            servers: servers.map_err(value_error)?,
            policy: choice("policy", policy, &[("all", Policy::All), ("relay", Policy::Relay)])?,
            addresses: addresses.map(|addresses| addresses.inner.clone()).unwrap_or_default(),
            tcp_port,
            trust: trust.map(|trust| trust.inner.clone()),
            hides_addresses,
        };
        self.inner.gather(transport, gather);
        Ok(())
    }

    fn set_role(&self, transport: u64, generation: u32, controlling: bool) {
        self.inner.engine(transport, move |engine, _| engine.set_role(generation, role(controlling)));
    }

    #[pyo3(signature = (transport, generation, ufrag, pwd, lite = false))]
    fn set_remote(
        &self,
        transport: u64,
        generation: u32,
        ufrag: String,
        pwd: String,
        lite: bool,
    ) -> PyResult<()> {
        let remote = credentials(ufrag, pwd)?;
        self.inner.engine(transport, move |engine, now| engine.set_remote(now, generation, remote, lite));
        Ok(())
    }

    fn add_candidate(&self, transport: u64, generation: u32, line: Option<&str>) -> PyResult<()> {
        let candidate = line.map(RemoteCandidate::parse).transpose().map_err(value_error)?;
        self.inner.engine(transport, move |engine, now| engine.add_candidate(now, generation, candidate));
        Ok(())
    }

    fn drop_generation(&self, transport: u64, generation: u32) {
        self.inner.engine(transport, move |engine, now| engine.drop_generation(now, generation));
    }

    fn start_dtls(&self, transport: u64, client: bool, fingerprints: Vec<(String, String)>) -> PyResult<()> {
        let offered = fingerprints.iter().map(|(algorithm, value)| (algorithm.as_str(), value.as_str()));
        let fingerprints = Fingerprint::parse_all(offered).map_err(value_error)?;
        self.inner.engine(transport, move |engine, now| engine.start_dtls(now, client, fingerprints));
        Ok(())
    }

    fn start_sctp(&self, transport: u64, local_port: u16, remote_port: u16, remote_max_message_size: usize) {
        self.inner.engine(transport, move |engine, now| {
            engine.start_sctp(now, local_port, remote_port, remote_max_message_size);
        });
    }

    fn open_channel(&self, transport: u64, stream_id: u16, options: &ChannelOptions) -> PyResult<Channel> {
        if stream_id == u16::MAX {
            return Err(value_error("stream_id=65535 does not exist: the last is 65534"));
        }
        let channel = self.inner.open_channel(transport, stream_id, options.inner.clone());
        Ok(Channel::new(channel, self.turns.clone()))
    }

    fn consumed(&self, transport: u64, size: usize) {
        self.inner.consumed(transport, size);
    }

    fn sender(&self, connection: u64, kind: &str) -> PyResult<u64> {
        Ok(self.inner.sender(connection, media_kind(kind)?))
    }

    fn receiver(&self, connection: u64, kind: &str) -> PyResult<u64> {
        Ok(self.inner.receiver(connection, media_kind(kind)?))
    }

    fn media_apply(&self, transport: u64, epoch: u32, cname: String, sections: Vec<PyRef<'_, Section>>) {
        let sections = sections.iter().map(|section| section.inner.clone()).collect();
        self.inner.apply_media(transport, epoch, cname, sections);
    }

    #[pyo3(signature = (rate, channels, max_seconds = 10.0, codec = None))]
    fn audio_source(
        &self,
        rate: u32,
        channels: u8,
        max_seconds: f64,
        codec: Option<&str>,
    ) -> PyResult<AudioSource> {
        check_format(rate, channels)?;
        let codec = codec.map(|name| choice("codec", name, &[("opus", AudioCodec::Opus)])).transpose()?;
        if !(0.02..=60.0).contains(&max_seconds) {
            return Err(value_error(format!("max_seconds={max_seconds} is not from 0.02 to 60")));
        }
        let max = Duration::from_secs_f64(max_seconds);
        Ok(AudioSource::new(self.inner.audio_source((rate, channels, codec), max), channels))
    }

    #[pyo3(signature = (receiver, rate, channels, frame_ms = 20, max_frames = 50))]
    fn audio_sink(
        &self,
        receiver: u64,
        rate: u32,
        channels: u8,
        frame_ms: u64,
        max_frames: usize,
    ) -> PyResult<AudioSink> {
        let options = sink_options(rate, channels, frame_ms, max_frames)?;
        match self.inner.audio_sink(receiver, options) {
            Some(inner) => Ok(AudioSink { inner }),
            None => Err(value_error(format!("receiver={receiver} is gone: its connection is closed"))),
        }
    }

    #[pyo3(signature = (receiver, max_frames = 60))]
    fn frame_sink(&self, receiver: u64, max_frames: usize) -> PyResult<FrameSink> {
        if !(1..=1000).contains(&max_frames) {
            return Err(value_error(format!("max_frames={max_frames} is not from 1 to 1000")));
        }
        match self.inner.frame_sink(receiver, max_frames) {
            Some(inner) => Ok(FrameSink { inner }),
            None => Err(value_error(format!("receiver={receiver} is gone: its connection is closed"))),
        }
    }

    #[pyo3(signature = (receiver, max_packets = 50))]
    fn packet_sink(&self, receiver: u64, max_packets: usize) -> PyResult<PacketSink> {
        if !(1..=1000).contains(&max_packets) {
            return Err(value_error(format!("max_packets={max_packets} is not from 1 to 1000")));
        }
        match self.inner.packet_sink(receiver, max_packets) {
            Some(inner) => Ok(PacketSink { inner }),
            None => Err(value_error(format!("receiver={receiver} is gone: its connection is closed"))),
        }
    }

    fn request_key(&self, receiver: u64) {
        self.inner.request_key(receiver);
    }

    #[pyo3(signature = (sender, source, enabled = true))]
    fn attach(&self, sender: u64, source: Option<&AudioSource>, enabled: bool) {
        self.inner.attach(sender, source.map(AudioSource::inner), enabled);
    }

    #[pyo3(signature = (sender, encoding, data, timestamp, age, key, temporal = 0))]
    #[expect(clippy::too_many_arguments, reason = "the shape of the Python call")]
    fn send_frame(
        &self,
        py: Python<'_>,
        sender: u64,
        encoding: u8,
        data: &Bound<'_, PyAny>,
        timestamp: u64,
        age: f64,
        key: bool,
        temporal: u8,
    ) -> PyResult<usize> {
        if encoding != 0 {
            return Err(value_error(format!(
                "encoding={encoding} does not exist: a sender has one, which is 0"
            )));
        }
        let age = seconds("age", age)?;
        let Some(codec) = self.inner.video_codec(sender) else { return Ok(0) };
        let data = frame_data(data, codec)?;
        let unit = FrameUnit { encoding, codec, key, temporal, timestamp, age, mark: 0, data };
        Ok(py.detach(|| self.inner.send_frame(sender, unit)))
    }

    #[pyo3(signature = (receiver, seconds))]
    fn jitter_target(&self, receiver: u64, seconds: Option<f64>) -> PyResult<()> {
        let target = seconds.map(|time| crate::convert::seconds("seconds", time)).transpose()?;
        let millis = target.map(|time| time.as_millis().min(4000) as u32);
        self.inner.set_jitter_target(receiver, millis);
        Ok(())
    }

    fn sources(&self, receiver: u64) -> Vec<(u32, f64, u32, Option<f64>)> {
        let row = |(source, age): (Source, Duration)| {
            (source.ssrc, age.as_secs_f64(), source.timestamp, source.level)
        };
        self.inner.sources(receiver).into_iter().map(row).collect()
    }

    fn dtmf(&self, sender: u64, tone: char, duration: f64) -> PyResult<()> {
        if !adieu_engine::rtp::wire::tone::TONES.contains(tone) {
            return Err(value_error(format!("tone={tone:?} is not one of 0-9, A-D, #, *")));
        }
        let length = seconds("duration", duration)?.min(MAX_TONE);
        self.inner.send_tone(sender, tone, length);
        Ok(())
    }

    fn request_stats(&self, transport: u64, request: u64) {
        self.inner.request_stats(transport, request);
    }
}

fn role(controlling: bool) -> Role {
    if controlling { Role::Controlling } else { Role::Controlled }
}

const ALSO: &str = "+/=_#-";
/// The two ufrags and the colon between them are a user name of STUN, of which the ICE crate writes 128 bytes and panics
/// at more. Ours has 8.
const MAX_UFRAG: usize = 128 - 1 - 8;
const MAX_PWD: usize = 256;

/// RFC 8839 section 5.4: 4 to 256 and 22 to 256 letters, digits, + or /. Media servers also write the letters of other
/// alphabets of base64, and browsers let them in (`adieu/sdp/grammar.py`).
fn credentials(ufrag: String, pwd: String) -> PyResult<Credentials> {
    let is_ice = |text: &str, least: usize, most: usize| {
        (least..=most).contains(&text.len())
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || ALSO.as_bytes().contains(&c))
    };
    if !is_ice(&ufrag, 4, MAX_UFRAG) {
        return Err(value_error(format!(
            "ufrag={ufrag:?} is not 4 to {MAX_UFRAG} letters, digits or {ALSO}"
        )));
    }
    if !is_ice(&pwd, 22, MAX_PWD) {
        // The value is a secret: its length says enough.
        return Err(value_error(format!(
            "pwd of {} characters is not 22 to {MAX_PWD} letters, digits or {ALSO}",
            pwd.len()
        )));
    }
    Ok(Credentials { ufrag, pwd })
}
