//! Real sockets, and the one I/O thread.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adieu_engine::lines::CONNECTION;
use adieu_engine::{Batch, Wire};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use crate::addresses::{FAR, Interface, Ports};
use crate::alarm::Alarm;
use crate::command::{CommandQueue, Request, Sleeper};
use crate::gathering::Lookup;
use crate::hub::Hub;
use crate::hub::network::{Network, Place, Port, Sent};
use crate::lull::Lull;
use crate::mdns;
use crate::process;
use crate::stream::{self, Connect, Got, Streams, Taken, UNCLAIMED, listener};
use crate::watch::Watcher;

const WAKE: Token = Token(usize::MAX);
/// Those between are of mDNS.
const NETWORK: Token = Token(usize::MAX - 3);
const ALARM: Token = Token(usize::MAX - 4);
/// 208 KiB, the system's default, loses packets on loopback.
const SOCKET_BUFFER: usize = 4 << 20;
/// Buffers of one recvmmsg; with GRO each holds up to 64 datagrams.
const RECEIVE_BUFFERS: usize = 32;
const RECEIVE_SIZE: usize = 65_536;
/// Whether a read that fills not every buffer has emptied the socket. On Windows each read takes one datagram, and only
/// one that finds nothing has the next readiness reported.
const ENDS_WHEN_SHORT: bool = cfg!(unix);
/// Reads of one socket before the others have their turn.
const MAX_READS: usize = 16;
/// Commands of one turn before the sockets have theirs.
const MAX_COMMANDS: usize = 1024;
/// Even without a timer the thread looks around.
const MAX_SLEEP: Duration = Duration::from_secs(10);
/// Look-ups at the same time; what is more waits for one to end.
const MAX_LOOKUPS: usize = 4;
/// Look-ups that wait for that. Gathering has a clock of its own, so what is refused here would hardly be in time.
const MAX_WAITING_LOOKUPS: usize = 1024;

struct Socket {
    io: mio::net::UdpSocket,
    state: UdpSocketState,
    index: u32,
    local: SocketAddr,
    /// Datagrams that the system did not accept: at most one batch of each transport, because the hub stops then.
    blocked: VecDeque<Blocked>,
}

struct Blocked {
    remote: SocketAddr,
    contents: Vec<u8>,
    segment: Option<usize>,
}

pub struct UdpNetwork {
    registry: Registry,
    sockets: Vec<Option<Socket>>,
    free: Vec<usize>,
    streams: Streams,
    commands: Arc<CommandQueue>,
    lookups: Arc<AtomicUsize>,
    waiting_lookups: VecDeque<Lookup>,
    names: mdns::Service,
}

/// Start the thread. `at_start` runs in it before anything else.
pub fn start(at_start: impl FnOnce() + Send + 'static) -> io::Result<Arc<CommandQueue>> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    let alarm = Alarm::new(poll.registry(), ALARM)?;
    let desk = Arc::new(Desk { state: Mutex::new(None), waker, alarm });
    let commands = Arc::new(CommandQueue::new(Some(desk.clone())));
    let registry = poll.registry().try_clone()?;
    let trust_commands = commands.clone();
    let wake_for_trust = Arc::new(move || trust_commands.request(Request::TrustLoaded));
    let names = mdns::Service::new(poll.registry().try_clone()?);
    // Here, not in the thread: all that the core keeps open for good is open when this returns.
    let watcher = Watcher::new(Instant::now(), poll.registry(), NETWORK);
    let net = UdpNetwork {
        streams: Streams::new(registry.try_clone()?, wake_for_trust)?,
        registry,
        sockets: Vec::new(),
        free: Vec::new(),
        commands: commands.clone(),
        lookups: Arc::default(),
        waiting_lookups: VecDeque::new(),
        names,
    };
    let thread_commands = commands.clone();
    let run = move || {
        at_start();
        let hub = Hub::new(Instant::now(), net, thread_commands);
        *desk.lock() = Some(State { hub, wakes_at: Instant::now(), has_heard: false });
        run(poll, &desk, watcher);
    };
    std::thread::Builder::new().name("adieu-io".into()).spawn(run)?;
    Ok(commands)
}

/// The place of the hub. While the I/O thread sleeps, a thread that has a message for it may take its turn.
struct Desk {
    /// None: it has not started yet.
    state: Mutex<Option<State>>,
    waker: Waker,
    alarm: Alarm,
}

struct State {
    hub: Hub<UdpNetwork>,
    /// When the I/O thread wakes by itself.
    wakes_at: Instant,
    /// Something has come from the network since the last turn on another thread. A program that sends one message after
    /// the other gets one turn: the next ones wake the I/O thread, which sends them together.
    has_heard: bool,
}

// SAFETY: SCTP sockets count their own parts without atomics (`Rc`). All of these counts are inside the hub, nothing hands
// one out, and the hub is only reached through the lock of its desk.
unsafe impl Send for State {}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sleeper for Desk {
    fn wake(&self) {
        // A wake-up that fails finds the thread awake: the counter was full.
        drop(self.waker.wake());
    }

    fn take_turn(&self, is_all: bool) -> bool {
        let Ok(mut place) = self.state.try_lock() else { return false };
        let Some(state) = place.as_mut().filter(|state| is_all || state.has_heard) else { return false };
        state.has_heard = false;
        let now = Instant::now();
        if turn(&mut state.hub, now) || !state.hub.commands().may_sleep() {
            return false;
        }
        let Some(at) = next_timeout(&state.hub, now).filter(|at| *at < state.wakes_at) else { return true };
        state.wakes_at = at;
        self.alarm.set(at.saturating_duration_since(now))
    }
}

fn run(mut poll: Poll, desk: &Desk, mut watcher: Watcher) {
    let mut events = Events::with_capacity(256);
    let mut receiver = Receiver::new();
    let mut lull = Lull::new(Instant::now());
    let mut more_commands = false;
    // Sockets that had more to read than their turn.
    let mut unread: Vec<usize> = Vec::new();
    loop {
        let mut place = desk.lock();
        let Some(state) = place.as_mut() else { return };
        let now = Instant::now();
        let busy = more_commands || !unread.is_empty() || !state.hub.commands().may_sleep();
        let pause = lull.pause(now).filter(|_| !busy).unwrap_or_default();
        let timeout = if busy { Duration::ZERO } else { time_to_sleep(&state.hub, &watcher, now) };
        state.wakes_at = now + timeout;
        drop(place);
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        if let Err(error) = poll.poll(&mut events, Some(timeout.saturating_sub(pause))) {
            if error.kind() != io::ErrorKind::Interrupted {
                log::error!(target: CONNECTION, "! waiting for sockets failed: {error}");
            }
            events.clear();
        }
        let mut place = desk.lock();
        let Some(State { hub, has_heard, .. }) = place.as_mut() else { return };
        hub.commands().awake();
        for token in std::mem::take(&mut unread) {
            receiver.read_any(hub, token, &mut unread);
        }
        for event in &events {
            let (now, token) = (Instant::now(), event.token());
            match token {
                WAKE | ALARM => continue,
                NETWORK => {
                    watcher.handle_readable(now);
                    continue;
                }
                _ => {}
            }
            if mdns::Service::owns(token) {
                hub.net.names.read(now);
                continue;
            }
            if event.is_writable() {
                hub.net.flush(token.0).into_iter().for_each(|index| hub.handle_writable(index));
                tell_of_streams(hub, now);
            }
            if event.is_readable() {
                receiver.read_any(hub, token.0, &mut unread);
            }
        }
        let now = Instant::now();
        look_at_network(hub, &mut watcher, now, timeout);
        more_commands = turn(hub, now);
        let packets = std::mem::take(&mut receiver.packets);
        *has_heard |= packets > 0;
        lull.came(now, packets, std::mem::take(&mut hub.had_relayed));
    }
}

/// Run commands and timers, and send what comes of them. Returns whether more commands may wait.
fn turn(hub: &mut Hub<UdpNetwork>, now: Instant) -> bool {
    let more_commands = hub.run_commands(now, MAX_COMMANDS);
    hub.handle_timeouts(now);
    hub.net.streams.handle_timeouts(now);
    tell_of_streams(hub, now);
    hub.finish(now);
    // Sending and closing can end a stream. Each ends once.
    while tell_of_streams(hub, now) {
        hub.finish(now);
    }
    hub.net.start_lookups();
    hub.net.turn_names(now);
    more_commands
}

/// Return the time until the next timer.
fn time_to_sleep(hub: &Hub<UdpNetwork>, watcher: &Watcher, now: Instant) -> Duration {
    let timers = [next_timeout(hub, now), watcher.next_timeout()];
    timers
        .into_iter()
        .flatten()
        .min()
        .map_or(MAX_SLEEP, |at| at.saturating_duration_since(now).min(MAX_SLEEP))
}

/// No timer of the hub and its network fires before this.
fn next_timeout(hub: &Hub<UdpNetwork>, now: Instant) -> Option<Instant> {
    let of_network = [hub.net.streams.next_timeout(), hub.net.names.poll_timeout(now)];
    of_network.into_iter().chain([hub.next_timeout()]).flatten().min()
}

/// Returns whether there was something to tell.
fn tell_of_streams(hub: &mut Hub<UdpNetwork>, now: Instant) -> bool {
    let mut had_some = false;
    while let Some((index, wire, event)) = hub.net.streams.poll_event() {
        match event {
            stream::Event::Closed(text) if index == UNCLAIMED => hub.refuse_stream(wire, &text),
            event => hub.handle_stream(now, index, wire, event),
        }
        had_some = true;
    }
    had_some
}

/// Look for a change of the network and for sleep. After either, every path is in doubt.
fn look_at_network(hub: &mut Hub<UdpNetwork>, watcher: &mut Watcher, now: Instant, waited: Duration) {
    let slept = watcher.slept(now, waited).filter(|_| !hub.is_idle());
    let change = watcher.look(now, !hub.is_idle(), || {
        Ok(hub.net.interfaces(0)?.iter().map(|interface| interface.ip).collect())
    });
    if change.is_none() && slept.is_none() {
        return;
    }
    let (change, slept) = (change.unwrap_or_default(), slept.unwrap_or_default());
    log::debug!(target: CONNECTION, "= network: gone {:?}, came {:?}, slept {slept:?}", change.gone, change.came);
    hub.handle_network(now, None, &change, slept);
}

struct Receiver {
    buffers: Vec<Vec<u8>>,
    /// Datagrams of this turn, those that came together counted as one.
    packets: usize,
}

impl Receiver {
    fn new() -> Receiver {
        Receiver { buffers: vec![vec![0; RECEIVE_SIZE]; RECEIVE_BUFFERS], packets: 0 }
    }

    fn read_any(&mut self, hub: &mut Hub<UdpNetwork>, token: usize, unread: &mut Vec<usize>) {
        match token {
            stream::FIRST_TOKEN.. => self.read_stream(hub, token, unread),
            listener::FIRST_TOKEN.. => {
                let now = Instant::now();
                if hub.net.streams.accept(now, token) {
                    unread.push(token);
                }
                tell_of_streams(hub, now);
            }
            _ => self.read(hub, token, unread),
        }
    }

    fn read_stream(&mut self, hub: &mut Hub<UdpNetwork>, token: usize, unread: &mut Vec<usize>) {
        let buffer = &mut self.buffers[0];
        for _ in 0..MAX_READS {
            let got = hub.net.streams.read(token, buffer);
            let now = Instant::now();
            tell_of_streams(hub, now);
            let Got::Bytes(size) = got else { return };
            let Some((mut deframer, index, wire)) = hub.net.streams.take_deframer(token) else { continue };
            let (mut owner, mut is_stranger) = (Some(index).filter(|index| *index != UNCLAIMED), false);
            let result = deframer.push(&buffer[..size], |datagram| {
                if owner.is_none() && !is_stranger {
                    owner = hub.claim_stream(now, wire, token, datagram);
                    is_stranger = owner.is_none();
                }
                self.packets += 1;
                if let Some(index) = owner {
                    hub.handle_datagram(now, index, wire, datagram);
                }
            });
            if owner.is_some() || is_stranger {
                hub.net.streams.claim(token, owner);
            }
            hub.net.streams.put_deframer(token, deframer, result);
            tell_of_streams(hub, now);
            hub.finish(now);
        }
        unread.push(token);
    }

    /// Read until the socket is empty, or its turn is over. Then it goes to `unread`, because its readiness is reported
    /// only once.
    fn read(&mut self, hub: &mut Hub<UdpNetwork>, token: usize, unread: &mut Vec<usize>) {
        for _ in 0..MAX_READS {
            let Some(socket) = hub.net.sockets.get(token).and_then(Option::as_ref) else { return };
            let (index, local) = (socket.index, socket.local);
            let mut meta = [RecvMeta::default(); RECEIVE_BUFFERS];
            let received = {
                let mut buffers = self.buffers.iter_mut();
                let mut slices: [IoSliceMut<'_>; RECEIVE_BUFFERS] = std::array::from_fn(|_| {
                    IoSliceMut::new(buffers.next().map_or(&mut [], Vec::as_mut_slice))
                });
                let read = || socket.state.recv((&socket.io).into(), &mut slices, &mut meta);
                match socket.io.try_io(read) {
                    Ok(received) => received,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                    // ICMP errors come up here on some systems: the next read goes on after them.
                    Err(_) => continue,
                }
            };
            self.packets += received;
            // A time from before the reading would be before the arrival: a round trip shorter than any that is, beside
            // which every later one has a queue. On a busy computer it was 6 ms too short.
            let now = Instant::now();
            for (buffer, meta) in self.buffers.iter().zip(&meta[..received]) {
                let stride = meta.stride.max(1);
                for datagram in buffer[..meta.len.min(RECEIVE_SIZE)].chunks(stride) {
                    hub.handle_datagram(now, index, Wire::udp(local, meta.addr), datagram);
                }
            }
            // What has come goes up and is answered before more is read: the acknowledgements open the peer's window.
            hub.finish(now);
            if ENDS_WHEN_SHORT && received < RECEIVE_BUFFERS {
                return; // it was empty; what comes now makes a new edge
            }
        }
        unread.push(token);
    }
}

impl UdpNetwork {
    /// Send what a socket had to keep. Its transport, if it takes more now.
    fn flush(&mut self, token: usize) -> Option<u32> {
        if token >= listener::FIRST_TOKEN {
            self.streams.handle_writable(token);
            return None;
        }
        let socket = self.sockets.get_mut(token)?.as_mut()?;
        if socket.blocked.is_empty() {
            return None;
        }
        while let Some(blocked) = socket.blocked.front() {
            // What is refused is lost as on the way: the hub is told of the next one.
            if matches!(try_send(socket, blocked.remote, &blocked.contents, blocked.segment), Sent::Full) {
                return None;
            }
            socket.blocked.pop_front();
        }
        await_room(&self.registry, socket, token, false);
        Some(socket.index)
    }

    /// Ask and answer for names, and tell the transports that asked.
    fn turn_names(&mut self, now: Instant) {
        for found in self.names.turn(now) {
            for transport in found.askers {
                let (name, addresses) = (found.name.clone(), found.addresses.clone());
                self.commands.request(Request::NameFound { transport, name, addresses });
            }
        }
    }

    fn bind_in(&self, ports: Ports, ip: IpAddr) -> io::Result<UdpSocket> {
        ports.try_each(|port| UdpSocket::bind((ip, port))).unwrap_or_else(|| {
            let is_ours = |socket: &&Socket| socket.local.ip() == ip && ports.contains(socket.local.port());
            let ours = self.sockets.iter().flatten().filter(is_ours).count();
            Err(ports.used_up("UDP", ip, ours))
        })
    }

    fn start_lookups(&mut self) {
        while self.lookups.load(Ordering::Acquire) < MAX_LOOKUPS {
            let Some(lookup) = self.waiting_lookups.pop_front() else { return };
            let (commands, running) = (self.commands.clone(), self.lookups.clone());
            running.fetch_add(1, Ordering::AcqRel);
            let failed = Request::Resolved {
                lookup: lookup.clone(),
                addresses: Err("no thread to look it up".into()),
            };
            let look_up = move || {
                let server = &lookup.server;
                let addresses = (server.host.as_str(), server.port).to_socket_addrs();
                let addresses = addresses.map(Iterator::collect).map_err(|error| error.to_string());
                running.fetch_sub(1, Ordering::AcqRel);
                commands.request(Request::Resolved { lookup, addresses });
            };
            if std::thread::Builder::new().name("adieu-resolver".into()).spawn(look_up).is_err() {
                self.lookups.fetch_sub(1, Ordering::AcqRel);
                self.commands.request(failed);
            }
        }
    }
}

impl Network for UdpNetwork {
    type Socket = usize;
    type Stream = usize;
    type Listener = usize;

    /// IPv4 and IPv6; link-local addresses mean nothing to a peer.
    fn interfaces(&mut self, _owner: u64) -> io::Result<Vec<Interface>> {
        let mut interfaces: Vec<Interface> = Vec::new();
        for one in if_addrs::get_if_addrs()? {
            let ip = one.ip();
            let link_local = match ip {
                IpAddr::V4(ip) => ip.is_link_local(),
                IpAddr::V6(ip) => ip.is_unicast_link_local(),
            };
            if !link_local && !ip.is_unspecified() && interfaces.iter().all(|known| known.ip != ip) {
                let is_loopback = one.is_loopback();
                interfaces.push(Interface { name: one.name, ip, is_loopback });
            }
        }
        Ok(interfaces)
    }

    /// The source addresses that the system would choose for addresses far away.
    fn default_routes(&mut self, _owner: u64) -> Vec<IpAddr> {
        let source = |far: &IpAddr| {
            let any = if far.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
            let socket = UdpSocket::bind((any, 0)).ok()?;
            socket.connect((*far, 9)).ok()?;
            Some(socket.local_addr().ok()?.ip())
        };
        FAR.iter().filter_map(source).collect()
    }

    fn bind(&mut self, index: u32, place: Place) -> io::Result<(usize, SocketAddr)> {
        let ip = place.ip;
        let socket = match place.port {
            Port::Any => UdpSocket::bind((ip, 0))?,
            Port::One(port) => UdpSocket::bind((ip, port))?,
            Port::Of(ports) => self.bind_in(ports, ip)?,
        };
        socket.set_nonblocking(true)?;
        let sock = socket2::SockRef::from(&socket);
        // The system may give less; then it loses more, and SCTP sends it again.
        let _ = sock.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = sock.set_send_buffer_size(SOCKET_BUFFER);
        process::ignore_refusals(&socket);
        let local = socket.local_addr()?;
        let mut io = mio::net::UdpSocket::from_std(socket);
        let state = UdpSocketState::new((&io).into())?;
        tell_less(&io, ip);
        let token = self.free.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        if let Err(error) = self.registry.register(&mut io, Token(token), Interest::READABLE) {
            self.free.push(token);
            return Err(error);
        }
        process::remember_socket(&io);
        self.sockets[token] = Some(Socket { io, state, index, local, blocked: VecDeque::new() });
        Ok((token, local))
    }

    fn send(&mut self, _now: Instant, token: usize, batch: &Batch) -> Sent {
        let Some(socket) = self.sockets.get_mut(token).and_then(Option::as_mut) else {
            return Sent::Refused(io::ErrorKind::NotFound.into());
        };
        let sent = try_send(socket, batch.wire.remote, batch.contents(), batch.segment());
        if matches!(sent, Sent::Full) {
            let contents = batch.contents().to_vec();
            let blocked = Blocked { remote: batch.wire.remote, contents, segment: batch.segment() };
            socket.blocked.push_back(blocked);
            await_room(&self.registry, socket, token, true);
        }
        sent
    }

    fn close(&mut self, token: usize) -> usize {
        let Some(mut socket) = self.sockets.get_mut(token).and_then(Option::take) else { return 0 };
        process::forget_socket(&socket.io);
        if let Err(error) = self.registry.deregister(&mut socket.io) {
            log::warn!(target: CONNECTION, "! a socket could not be deregistered: {error}");
        }
        self.free.push(token);
        socket.blocked.iter().map(|blocked| datagrams(blocked.contents.len(), blocked.segment)).sum()
    }

    fn connect(&mut self, now: Instant, order: Connect) -> io::Result<(usize, Wire)> {
        self.streams.connect(now, order)
    }

    fn send_stream(&mut self, now: Instant, stream: usize, batch: &Batch) -> Sent {
        match self.streams.send(now, stream, batch.datagrams()) {
            Taken::All => Sent::Taken,
            Taken::Full => Sent::Full,
            Taken::Lost(_) => Sent::Refused(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn close_stream(&mut self, now: Instant, stream: usize) -> usize {
        self.streams.close(now, stream)
    }

    fn listen(&mut self, ip: IpAddr, port: u16) -> io::Result<(usize, SocketAddr)> {
        self.streams.listen(SocketAddr::new(ip, port))
    }

    fn stop_listening(&mut self, listener: usize) {
        self.streams.stop_listening(listener);
    }

    fn lingers(&self) -> bool {
        self.streams.lingers()
    }

    fn resolve(&mut self, lookup: Lookup) {
        if self.waiting_lookups.len() == MAX_WAITING_LOOKUPS {
            let addresses = Err("too many names are being looked up".to_owned());
            return self.commands.request(Request::Resolved { lookup, addresses });
        }
        self.waiting_lookups.push_back(lookup);
    }

    fn find_name(&mut self, now: Instant, transport: u64, name: &str) {
        self.names.ask(now, name, transport);
    }

    fn publish_name(&mut self, now: Instant, ip: IpAddr) -> (Arc<str>, io::Result<()>) {
        self.names.publish(now, ip)
    }

    fn withdraw_name(&mut self, name: &str) {
        self.names.withdraw(name);
    }

    fn max_segments(&self) -> usize {
        64
    }
}

/// Have the system say nothing about each datagram but its source and its segments. `UdpSocketState` asks for the
/// destination, the time and the traffic class too, which nobody reads; a packet that comes alone pays for each.
#[cfg(target_os = "linux")]
fn tell_less(socket: &mio::net::UdpSocket, ip: IpAddr) {
    use std::os::fd::AsRawFd;
    let of_family = match ip {
        IpAddr::V4(_) => [(libc::IPPROTO_IP, libc::IP_PKTINFO), (libc::IPPROTO_IP, libc::IP_RECVTOS)],
        IpAddr::V6(_) => {
            [(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO), (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS)]
        }
    };
    let off: libc::c_int = 0;
    for (level, option) in of_family.into_iter().chain([(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)]) {
        // SAFETY: the descriptor is open, and `off` outlives the call. What fails costs a little time for each packet.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const off).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn tell_less(_socket: &mio::net::UdpSocket, _ip: IpAddr) {}

/// Have the thread woken when a socket takes datagrams again, or no longer. The system says so after each datagram that
/// has left, and each time would wake the thread.
fn await_room(registry: &Registry, socket: &mut Socket, token: usize, is_awaited: bool) {
    let interest = if is_awaited { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
    if let Err(error) = registry.reregister(&mut socket.io, Token(token), interest) {
        log::warn!(target: CONNECTION, "! a socket could not be registered again: {error}");
    }
}

fn datagrams(size: usize, segment: Option<usize>) -> usize {
    segment.map_or(1, |segment| size.div_ceil(segment.max(1)))
}

fn try_send(socket: &Socket, remote: SocketAddr, contents: &[u8], segment: Option<usize>) -> Sent {
    let offload = segment.is_none() || socket.state.max_gso_segments() >= datagrams(contents.len(), segment);
    if offload {
        match send_one(socket, remote, contents, segment) {
            // The system may find only now that it can not segment: then one by one.
            Sent::Refused(_) if segment.is_some() => {}
            sent => return sent,
        }
    }
    let mut sent = Sent::Taken;
    for datagram in contents.chunks(segment.unwrap_or(contents.len()).max(1)) {
        match send_one(socket, remote, datagram, None) {
            // What was sent already is sent again: a peer drops what it has.
            Sent::Full => return Sent::Full,
            Sent::Taken => {}
            refused => sent = refused,
        }
    }
    sent
}

fn send_one(socket: &Socket, destination: SocketAddr, contents: &[u8], segment_size: Option<usize>) -> Sent {
    let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
    match socket.io.try_io(|| socket.state.try_send((&socket.io).into(), &transmit)) {
        Ok(()) => Sent::Taken,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Full,
        Err(error) => Sent::Refused(error),
    }
}
