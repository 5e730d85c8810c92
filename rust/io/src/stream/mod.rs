//! TCP and TLS sockets of the I/O thread, which carry datagrams in frames: to TURN servers, and of TCP candidates.
//!
//! A stream is used like a UDP socket. When it has sent nothing for a second it loses datagrams, so that a peer that
//! does not read holds neither memory nor the other sockets of its transport.
//!
//! A stream that was closed goes on by itself for up to two seconds. Its last bytes leave, and bytes that still come in
//! are read and forgotten. A system that finds unread bytes at the end resets the connection, and the peer loses the
//! last words.

pub mod framing;
pub mod listener;
pub mod memory;
pub mod tls;

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adieu_engine::lines::ICE;
use adieu_engine::{Wire, WireTransport};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{process, trouble};
use framing::{Deframer, Framing};
use listener::{Accepted, Listeners};
use tls::Trust;

/// For TCP and TLS together: less than the clock of gathering.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a full stream holds its transport back; then it loses what is sent on it.
const STALL: Duration = Duration::from_secs(1);
/// How long a stream that was closed may take for its end.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes that wait for the system to take them: above it the stream is full. One batch may come on top.
const HIGH_WATER: usize = 128 << 10;
const LOW_WATER: usize = 32 << 10;
/// Plain bytes that TLS encrypts at once.
const TLS_PIECE: usize = 16 << 10;
/// Bytes that are read from the system at once for a TLS session.
const RAW: usize = 32 << 10;
/// RFC 8446 section 5.2: 2^14 + 256 bytes, and a head of 5.
const MAX_RECORD: usize = (16 << 10) + 261;
/// How long a connection that came in may say nothing.
pub const SILENCE: Duration = Duration::from_secs(5);
/// After an error of the system, a port waits for new connections again.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// Bytes of a connection that came in, until they make a datagram: a STUN message is shorter.
const MAX_FIRST: usize = 2048;
/// The index of a connection that came in and that no transport has taken.
pub const UNCLAIMED: u32 = u32::MAX;
/// Tokens of streams begin here, those of listeners end before it.
pub const FIRST_TOKEN: usize = 1 << 30;

/// A stream to open.
#[derive(Debug)]
pub struct Connect {
    /// The transport that it belongs to.
    pub index: u32,
    /// `local` has the port 0: the system chooses one.
    pub wire: Wire,
    pub framing: Framing,
    /// For a wire of TLS.
    pub tls: Option<Tls>,
}

#[derive(Debug)]
pub struct Tls {
    /// The host of the URL: the certificate must be for it.
    pub name: String,
    /// None: the platform's roots.
    pub trust: Option<Arc<Trust>>,
}

/// An event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Datagrams can be sent now.
    Open,
    /// The connection was not made, or it is over. The text says why.
    Closed(String),
    /// The stream was full, and takes more now.
    Writable,
}

/// The result of sending on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    All,
    /// All, but they are the last for now: [`Event::Writable`] follows.
    Full,
    /// The number of datagrams that are lost: the peer does not read, or the stream is not open.
    Lost(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    /// Connected; the roots of trust are being read.
    AwaitsTrust,
    Handshaking,
    Open,
    /// Closed by this side.
    Lingering,
}

struct Stream {
    io: TcpStream,
    state: State,
    index: u32,
    wire: Wire,
    tls: Option<Tls>,
    session: Option<Box<ClientConnection>>,
    /// The error in the bytes behind those that were read last.
    failure: Option<String>,
    framing: Framing,
    deframer: Option<Deframer>,
    /// Frames that the system, or TLS, has not taken; from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// The transport waits for [`Event::Writable`].
    is_full: bool,
    /// Waited too long: until the stream has room, what is sent is lost.
    is_stalled: bool,
    deadline: Option<Instant>,
}

/// All streams of one I/O thread.
pub struct Streams {
    registry: Registry,
    /// Wakes the thread of the streams: the roots of trust have been read.
    wake: Arc<dyn Fn() + Send + Sync>,
    streams: Vec<Option<Stream>>,
    free: Vec<usize>,
    listeners: Listeners,
    deadlines: BTreeSet<(Instant, usize)>,
    awaiting_trust: Vec<usize>,
    lingering: usize,
    /// Bytes that are to be decrypted.
    raw: Vec<u8>,
    events: VecDeque<(u32, Wire, Event)>,
}

/// The result of reading from a stream.
pub enum Got {
    /// The number of bytes at the beginning of the buffer.
    Bytes(usize),
    /// Nothing more for now, or the end.
    Nothing,
}

impl Streams {
    pub fn new(registry: Registry, wake: Arc<dyn Fn() + Send + Sync>) -> io::Result<Streams> {
        Ok(Streams {
            listeners: Listeners::new(registry.try_clone()?),
            registry,
            wake,
            streams: Vec::new(),
            free: Vec::new(),
            deadlines: BTreeSet::new(),
            awaiting_trust: Vec::new(),
            lingering: 0,
            raw: vec![0; RAW],
            events: VecDeque::new(),
        })
    }

    // --- opening ----------------------------------------------------------------------------------------------------

    /// Begin to connect. [`Event::Open`] or [`Event::Closed`] follows. Returns the token, and the wire with its port.
    pub fn connect(&mut self, now: Instant, order: Connect) -> io::Result<(usize, Wire)> {
        let Connect { index, wire, framing, tls } = order;
        let socket = Socket::new(Domain::for_address(wire.remote), Type::STREAM, Some(Protocol::TCP))?;
        prepare(&socket)?;
        socket.bind(&SocketAddr::new(wire.local.ip(), wire.local.port()).into())?;
        match socket.connect(&wire.remote.into()) {
            Ok(()) => {}
            Err(error) if process::is_connecting(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let io = TcpStream::from_std(socket.into());
        let wire = Wire { local: io.local_addr()?, ..wire };
        let mut stream = Stream::new(io, State::Connecting, index, wire, framing);
        stream.tls = tls;
        if stream.tls.as_ref().is_some_and(|tls| tls.trust.is_none()) && Trust::platform().is_none() {
            self.load_platform_roots();
        }
        let token = self.enter(stream)?;
        self.set_deadline(token, Some(now + CONNECT_TIMEOUT));
        Ok((token, wire))
    }

    // --- coming in --------------------------------------------------------------------------------------------------

    /// Listen on this address; port 0: one that the system chooses. The first datagram of a connection must say whose it
    /// is: [`Streams::claim`].
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<(usize, SocketAddr)> {
        self.listeners.listen(address)
    }

    pub fn stop_listening(&mut self, token: usize) {
        self.listeners.close(token);
        self.deadlines.retain(|(_, one)| *one != token);
    }

    /// Connections have come in on this listener. True: more may wait, and nothing will say so again.
    pub fn accept(&mut self, now: Instant, token: usize) -> bool {
        let accepted = match self.listeners.accept(token) {
            Ok(Some(accepted)) => accepted,
            Ok(None) => return false,
            Err(error) => {
                log::debug!(target: ICE, "! no connection can be accepted: {}", trouble::name(&error));
                self.deadlines.insert((now + ACCEPT_AGAIN, token));
                return false;
            }
        };
        let Accepted { connections, local, refused, has_more } = accepted;
        for io in connections {
            let entered = self.enter_accepted(io, local);
            match entered {
                Ok(token) => self.set_deadline(token, Some(now + SILENCE)),
                Err(_) => {
                    self.listeners.settle(local);
                    self.tell_refused(local);
                }
            }
        }
        for _ in 0..refused {
            self.tell_refused(local);
        }
        has_more
    }

    fn enter_accepted(&mut self, io: TcpStream, local: SocketAddr) -> io::Result<usize> {
        let wire = Wire { transport: WireTransport::Tcp, local, remote: io.peer_addr()? };
        io.set_nodelay(true)?;
        self.enter(Stream::new(io, State::Open, UNCLAIMED, wire, Framing::Ice))
    }

    fn tell_refused(&mut self, local: SocketAddr) {
        let wire = Wire { transport: WireTransport::Tcp, local, remote: local };
        self.events.push_back((UNCLAIMED, wire, Event::Closed("too many connections".to_owned())));
    }

    /// A connection that came in belongs to this transport. None: no transport knows it, and it is dropped.
    pub fn claim(&mut self, token: usize, index: Option<u32>) {
        let Some(stream) = self.get(token).filter(|stream| stream.index == UNCLAIMED) else { return };
        let Some(index) = index else {
            return self
                .fail(token, "the first datagram is no check for a candidate of this port".to_owned());
        };
        stream.index = index;
        let local = stream.wire.local;
        self.listeners.settle(local);
        self.set_deadline(token, None);
    }

    fn enter(&mut self, mut stream: Stream) -> io::Result<usize> {
        let at = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() - 1
        });
        let token = FIRST_TOKEN + at;
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(&mut stream.io, Token(token), both) {
            self.free.push(at);
            return Err(error);
        }
        process::remember_socket(&stream.io);
        self.streams[at] = Some(stream);
        Ok(token)
    }

    fn load_platform_roots(&self) {
        let wake = self.wake.clone();
        let load = move || {
            Trust::load_platform();
            wake();
        };
        if std::thread::Builder::new().name("adieu-roots".into()).spawn(load).is_err() {
            Trust::load_platform(); // no thread to be had: better late than never
        }
    }

    // --- time and readiness -----------------------------------------------------------------------------------------

    pub fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub fn handle_timeouts(&mut self, now: Instant) {
        for token in std::mem::take(&mut self.awaiting_trust) {
            self.begin_tls(token);
        }
        while let Some(&(at, token)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, token));
            let Some(stream) = self.get(token) else {
                self.accept(now, token); // a listener: at most one turn of connections
                continue;
            };
            stream.deadline = None;
            match stream.state {
                State::Open if stream.index == UNCLAIMED => {
                    self.fail(token, "it said nothing".to_owned());
                }
                State::Open => {
                    stream.is_stalled = true;
                    self.tell_writable(token);
                }
                State::Lingering => self.drop_stream(token),
                State::Connecting => {
                    self.fail(token, "no answer: the connection was not made in time".to_owned())
                }
                State::AwaitsTrust | State::Handshaking => {
                    self.fail(token, "connected, but the TLS handshake was not finished in time".to_owned());
                }
            }
        }
    }

    /// The socket takes bytes: it is connected, or has room again.
    pub fn handle_writable(&mut self, token: usize) {
        let Some(stream) = self.get(token) else { return };
        if stream.state == State::Connecting {
            match stream.io.take_error().and_then(|error| error.map_or_else(|| stream.io.peer_addr(), Err)) {
                Ok(_) => self.connected(token),
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return,
                Err(error) => return self.fail(token, cause(&error)),
            }
        }
        self.flush(token);
    }

    fn connected(&mut self, token: usize) {
        let Some(stream) = self.get(token) else { return };
        if stream.tls.is_some() {
            stream.state = State::AwaitsTrust;
            self.begin_tls(token);
        } else {
            self.opened(token);
        }
    }

    fn opened(&mut self, token: usize) {
        let Some(stream) = self.get(token) else { return };
        stream.state = State::Open;
        let (index, wire) = (stream.index, stream.wire);
        self.set_deadline(token, None);
        self.events.push_back((index, wire, Event::Open));
    }

    fn begin_tls(&mut self, token: usize) {
        let Some(stream) = self.get(token).filter(|stream| stream.state == State::AwaitsTrust) else {
            return;
        };
        let Some(tls) = &stream.tls else { return };
        let trust = match &tls.trust {
            Some(own) => Ok(own.clone()),
            None => match Trust::platform() {
                Some(trust) => trust,
                None => return self.awaiting_trust.push(token),
            },
        };
        match trust.and_then(|trust| trust.connect(&tls.name)) {
            Ok(session) => {
                stream.session = Some(Box::new(session));
                stream.state = State::Handshaking;
                self.flush(token);
            }
            Err(text) => self.fail(token, text),
        }
    }

    // --- reading ----------------------------------------------------------------------------------------------------

    /// Read once. Call it until it gives [`Got::Nothing`], or again later: readiness is reported only once. The bytes go
    /// through [`Streams::take_deframer`].
    pub fn read(&mut self, token: usize, buffer: &mut [u8]) -> Got {
        let mut raw = std::mem::take(&mut self.raw);
        let got = self.read_with(token, buffer, &mut raw);
        self.raw = raw;
        got
    }

    fn read_with(&mut self, token: usize, buffer: &mut [u8], raw: &mut [u8]) -> Got {
        let Some(stream) = self.get(token) else { return Got::Nothing };
        if matches!(stream.state, State::Connecting | State::AwaitsTrust) {
            return Got::Nothing;
        }
        let was_open = stream.state != State::Handshaking;
        let read = stream.read(buffer, raw);
        if !was_open && stream.session.as_ref().is_some_and(|session| !session.is_handshaking()) {
            self.opened(token);
        }
        match read {
            Ok(Some(0)) => self.fail(token, "the other side closed the connection".to_owned()),
            Ok(size) => {
                self.flush_tls(token);
                return size.map_or(Got::Nothing, Got::Bytes);
            }
            Err(text) => {
                // An alert may be on its way; what is wrong is known already.
                let _ = self.get(token).map(Stream::flush);
                self.fail(token, text);
            }
        }
        Got::Nothing
    }

    /// Take the part that puts this stream's datagrams together, with its transport and wire.
    /// [`Streams::put_deframer`] gives it back. None: the stream is not open, or the part is taken.
    pub fn take_deframer(&mut self, token: usize) -> Option<(Deframer, u32, Wire)> {
        let stream = self.get(token).filter(|stream| stream.state == State::Open)?;
        let (index, wire) = (stream.index, stream.wire);
        Some((stream.deframer.take()?, index, wire))
    }

    /// `result`: what [`Deframer::push`] has said.
    pub fn put_deframer(&mut self, token: usize, deframer: Deframer, result: Result<(), &'static str>) {
        let Some(stream) = self.get(token) else { return };
        let is_long = stream.index == UNCLAIMED && deframer.held() > MAX_FIRST;
        stream.deframer = Some(deframer);
        if is_long {
            return self.claim(token, None);
        }
        if let Err(what) = result {
            self.fail(token, format!("the other side sent {what}"));
        }
    }

    // --- writing ----------------------------------------------------------------------------------------------------

    pub fn send<'a>(
        &mut self,
        now: Instant,
        token: usize,
        datagrams: impl Iterator<Item = &'a [u8]>,
    ) -> Taken {
        let takes = |stream: &&mut Stream| stream.state == State::Open && !stream.is_full;
        let Some(stream) = self.get(token).filter(takes) else { return Taken::Lost(datagrams.count()) };
        let framing = stream.framing;
        let lost = datagrams.filter(|datagram| !framing.write(datagram, &mut stream.out)).count();
        self.flush(token);
        let Some(stream) = self.get(token) else { return Taken::Lost(lost) };
        if stream.waiting() > HIGH_WATER {
            stream.is_full = true;
            self.set_deadline(token, Some(now + STALL));
            return Taken::Full;
        }
        if lost > 0 { Taken::Lost(lost) } else { Taken::All }
    }

    /// Send the bytes of TLS itself: the next flight of a handshake, new keys.
    fn flush_tls(&mut self, token: usize) {
        let talks =
            |stream: &mut Stream| stream.session.as_ref().is_some_and(|session| session.wants_write());
        if self.get(token).is_some_and(talks) {
            self.flush(token);
        }
    }

    /// Send what waits, as far as the system takes it.
    fn flush(&mut self, token: usize) {
        let Some(stream) = self.get(token) else { return };
        if let Err(error) = stream.flush() {
            return self.fail(token, cause(&error));
        }
        match stream.state {
            State::Open if stream.is_full && stream.waiting() <= LOW_WATER => {
                stream.is_full = false;
                if !std::mem::take(&mut stream.is_stalled) {
                    self.tell_writable(token);
                }
                self.set_deadline(token, None);
            }
            // Its end; the peer's own end follows.
            State::Lingering if stream.has_left() => drop(stream.io.shutdown(Shutdown::Write)),
            _ => {}
        }
    }

    fn tell_writable(&mut self, token: usize) {
        let Some(stream) = self.get(token) else { return };
        let event = (stream.index, stream.wire, Event::Writable);
        self.events.push_back(event);
    }

    // --- the end ----------------------------------------------------------------------------------------------------

    /// Close a stream of which nothing is wanted any longer. Returns how many batches cannot leave: that of a peer that
    /// does not read.
    pub fn close(&mut self, now: Instant, token: usize) -> usize {
        let Some(stream) = self.get(token) else { return 0 };
        let unsent = usize::from(stream.is_full);
        if stream.state != State::Open {
            self.drop_stream(token);
            return unsent;
        }
        stream.state = State::Lingering;
        stream.deframer = None;
        if let Some(session) = &mut stream.session {
            // Behind everything that waits: `flush` gives TLS the rest before it takes its close_notify.
            if stream.out.len() == stream.sent {
                session.send_close_notify();
            }
        }
        self.lingering += 1;
        self.set_deadline(token, Some(now + LINGER));
        self.flush(token);
        unsent
    }

    /// Whether streams that were closed are not at their end.
    pub fn lingers(&self) -> bool {
        self.lingering > 0
    }

    /// Streams that are there, those that linger with them.
    pub fn count(&self) -> usize {
        self.streams.len() - self.free.len()
    }

    pub fn poll_event(&mut self) -> Option<(u32, Wire, Event)> {
        self.events.pop_front()
    }

    fn fail(&mut self, token: usize, text: String) {
        let Some(stream) = self.get(token) else { return };
        let (index, wire, state) = (stream.index, stream.wire, stream.state);
        self.drop_stream(token);
        if index == UNCLAIMED {
            self.listeners.settle(wire.local);
        }
        if state != State::Lingering {
            self.events.push_back((index, wire, Event::Closed(text)));
        }
    }

    fn drop_stream(&mut self, token: usize) {
        self.set_deadline(token, None);
        let Some(mut stream) = self.streams.get_mut(token - FIRST_TOKEN).and_then(Option::take) else {
            return;
        };
        process::forget_socket(&stream.io);
        let _ = self.registry.deregister(&mut stream.io);
        self.lingering -= usize::from(stream.state == State::Lingering);
        self.free.push(token - FIRST_TOKEN);
        // What was said of it is not true of the next stream with its number.
        self.awaiting_trust.retain(|waiting| *waiting != token);
    }

    // --- helpers ----------------------------------------------------------------------------------------------------

    fn get(&mut self, token: usize) -> Option<&mut Stream> {
        // Smaller ones are of listeners and UDP sockets.
        self.streams.get_mut(token.checked_sub(FIRST_TOKEN)?)?.as_mut()
    }

    fn set_deadline(&mut self, token: usize, at: Option<Instant>) {
        let Some(stream) = self.get(token) else { return };
        let before = std::mem::replace(&mut stream.deadline, at);
        before.map(|at| self.deadlines.remove(&(at, token)));
        at.map(|at| self.deadlines.insert((at, token)));
    }
}

impl Stream {
    fn new(io: TcpStream, state: State, index: u32, wire: Wire, framing: Framing) -> Stream {
        Stream {
            io,
            state,
            index,
            wire,
            tls: None,
            session: None,
            failure: None,
            framing,
            deframer: Some(Deframer::new(framing)),
            out: Vec::new(),
            sent: 0,
            is_full: false,
            is_stalled: false,
            deadline: None,
        }
    }

    /// Bytes that wait, without the one piece that TLS may have taken.
    fn waiting(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Nothing is to be sent.
    fn has_left(&self) -> bool {
        self.waiting() == 0 && self.session.as_ref().is_none_or(|session| !session.wants_write())
    }

    /// None: nothing more for now. Some(0): the end.
    fn read(&mut self, buffer: &mut [u8], raw: &mut [u8]) -> Result<Option<usize>, String> {
        if self.session.is_some() {
            return self.read_tls(buffer, raw);
        }
        would_block(self.io.read(buffer)).map_err(|error| cause(&error))
    }

    /// Read once from the system, and decrypt all of it. Left alone, the session reads 4 KiB at a time: three packets of a
    /// relay. `buffer` has room for all that is in `raw`, and for the record whose first part came earlier.
    fn read_tls(&mut self, buffer: &mut [u8], raw: &mut [u8]) -> Result<Option<usize>, String> {
        debug_assert!(buffer.len() >= raw.len() + MAX_RECORD);
        let Some(session) = &mut self.session else { return Ok(None) };
        if let Some(text) = self.failure.take() {
            return Err(text);
        }
        let host = self.tls.as_ref().map_or("", |tls| &tls.name);
        let (mut filled, mut rest): (usize, &[u8]) = (0, &[]);
        loop {
            match session.reader().read(&mut buffer[filled..]) {
                Ok(size) if size > 0 => {
                    filled += size;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => return Ok(Some(filled)), // an end, also without close_notify
            }
            if rest.is_empty() {
                if filled > 0 {
                    return Ok(Some(filled));
                }
                match would_block(self.io.read(raw)).map_err(|error| cause(&error))? {
                    None => return Ok(None),
                    // A handshake has no good end.
                    Some(0) if session.is_handshaking() => {
                        return Err(format!("{host} closed the connection during the TLS handshake"));
                    }
                    Some(0) => return Ok(Some(0)),
                    Some(size) => rest = &raw[..size],
                }
            }
            session.read_tls(&mut rest).map_err(|error| cause(&error))?;
            if let Err(error) = session.process_new_packets() {
                let text = tls::explain(&error, host);
                if filled == 0 {
                    return Err(text);
                }
                self.failure = Some(text); // behind what was right
                return Ok(Some(filled));
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else {
            while self.sent < self.out.len() {
                match would_block(self.io.write(&self.out[self.sent..]))? {
                    None => return self.compact(),
                    Some(size) => self.sent += size,
                }
            }
            return self.compact();
        };
        loop {
            while session.wants_write() {
                if would_block(session.write_tls(&mut self.io))?.is_none() {
                    return self.compact();
                }
            }
            if self.sent == self.out.len() || session.is_handshaking() {
                break;
            }
            let piece = &self.out[self.sent..self.out.len().min(self.sent + TLS_PIECE)];
            self.sent += session.writer().write(piece)?;
            if self.sent == self.out.len() && self.state == State::Lingering {
                session.send_close_notify();
            }
        }
        self.compact()
    }

    fn compact(&mut self) -> io::Result<()> {
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            if self.out.capacity() > HIGH_WATER {
                self.out = Vec::new();
            }
        } else if self.sent > HIGH_WATER {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }
}

/// Options of every stream: nothing waits for more to come, and little waits in the system.
pub fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Bytes in the system's own buffer are late for everyone: datagrams should wait where they can be replaced.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(HIGH_WATER as u32);
    Ok(())
}

fn would_block(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(size) => Ok(Some(size)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: nothing listens there".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "the other side reset the connection".to_owned()
        }
        io::ErrorKind::TimedOut => "no answer: the connection has timed out".to_owned(),
        _ => trouble::name(error),
    }
}

#[cfg(test)]
mod tests;
