//! Real sockets, and the one I/O thread.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use adieu_engine::Batch;
use adieu_engine::lines::CONNECTION;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use crate::command::{CommandQueue, Request};
use crate::gathering::{Interface, Lookup};
use crate::hub::Hub;
use crate::hub::network::{Network, Sent};
use crate::process;

const WAKE: Token = Token(usize::MAX);
/// 208 KiB, the system's default, loses packets on loopback.
const SOCKET_BUFFER: usize = 4 << 20;
/// Buffers of one recvmmsg; with GRO each holds up to 64 datagrams.
const RECEIVE_BUFFERS: usize = 8;
const RECEIVE_SIZE: usize = 65_536;
/// Reads of one socket before the others have their turn.
const MAX_READS: usize = 16;
/// Commands of one turn before the sockets have theirs.
const MAX_COMMANDS: usize = 1024;
/// Even without a timer the thread looks around.
const MAX_SLEEP: Duration = Duration::from_secs(10);
/// Look-ups at the same time; what is more waits for one to end.
const MAX_LOOKUPS: usize = 4;

struct Socket {
    io: mio::net::UdpSocket,
    state: UdpSocketState,
    index: u32,
    local: SocketAddr,
    /// Datagrams that the system did not accept: at most one batch, because the hub stops then.
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
    commands: Arc<CommandQueue>,
    lookups: Arc<AtomicUsize>,
    waiting_lookups: VecDeque<Lookup>,
}

/// Start the thread. `at_start` runs in it before anything else.
pub fn start(at_start: impl FnOnce() + Send + 'static) -> io::Result<Arc<CommandQueue>> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    // A wake-up that fails finds the thread awake: the counter was full.
    let wake = move || drop(waker.wake());
    let commands = Arc::new(CommandQueue::new(Some(Box::new(wake))));
    let registry = poll.registry().try_clone()?;
    let net = UdpNetwork {
        registry,
        sockets: Vec::new(),
        free: Vec::new(),
        commands: commands.clone(),
        lookups: Arc::default(),
        waiting_lookups: VecDeque::new(),
    };
    let thread_commands = commands.clone();
    let run = move || {
        at_start();
        // The hub is made here and never leaves: SCTP sockets belong to one thread.
        run(poll, Hub::new(Instant::now(), net, thread_commands));
    };
    std::thread::Builder::new().name("adieu-io".into()).spawn(run)?;
    Ok(commands)
}

fn run(mut poll: Poll, mut hub: Hub<UdpNetwork>) {
    let mut events = Events::with_capacity(256);
    let mut receiver = Receiver::new();
    let mut more_commands = false;
    // Sockets that had more to read than their turn.
    let mut unread: Vec<usize> = Vec::new();
    loop {
        let busy = more_commands || !unread.is_empty() || !hub.commands().may_sleep();
        let timeout = match hub.next_timeout() {
            _ if busy => Duration::ZERO,
            Some(at) => at.saturating_duration_since(Instant::now()).min(MAX_SLEEP),
            None => MAX_SLEEP,
        };
        if let Err(error) = poll.poll(&mut events, Some(timeout)) {
            if error.kind() != io::ErrorKind::Interrupted {
                log::error!(target: CONNECTION, "! waiting for sockets failed: {error}");
            }
            events.clear();
        }
        hub.commands().awake();
        let now = Instant::now();
        for token in std::mem::take(&mut unread) {
            receiver.read(&mut hub, now, token, &mut unread);
        }
        for event in &events {
            let token = event.token();
            if token == WAKE {
                continue;
            }
            if event.is_writable() {
                hub.net.flush(token.0).into_iter().for_each(|index| hub.handle_writable(index));
            }
            if event.is_readable() {
                receiver.read(&mut hub, now, token.0, &mut unread);
            }
        }
        more_commands = hub.run_commands(now, MAX_COMMANDS);
        hub.handle_timeouts(now);
        hub.finish(now);
        hub.net.start_lookups();
    }
}

struct Receiver {
    buffers: Vec<Vec<u8>>,
}

impl Receiver {
    fn new() -> Receiver {
        Receiver { buffers: vec![vec![0; RECEIVE_SIZE]; RECEIVE_BUFFERS] }
    }

    /// Read until the socket is empty, or its turn is over. Then it goes to `unread`, because its readiness is reported
    /// only once.
    fn read(&mut self, hub: &mut Hub<UdpNetwork>, now: Instant, token: usize, unread: &mut Vec<usize>) {
        for _ in 0..MAX_READS {
            let Some(socket) = hub.net.sockets.get(token).and_then(Option::as_ref) else { return };
            let (index, local) = (socket.index, socket.local);
            let mut meta = [RecvMeta::default(); RECEIVE_BUFFERS];
            let received = {
                let mut buffers = self.buffers.iter_mut();
                let mut slices: [IoSliceMut<'_>; RECEIVE_BUFFERS] = std::array::from_fn(|_| {
                    IoSliceMut::new(buffers.next().map_or(&mut [], Vec::as_mut_slice))
                });
                match socket.state.recv((&socket.io).into(), &mut slices, &mut meta) {
                    Ok(received) => received,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                    // ICMP errors come up here on some systems: the next read goes on after them.
                    Err(_) => continue,
                }
            };
            for (buffer, meta) in self.buffers.iter().zip(&meta[..received]) {
                let stride = meta.stride.max(1);
                for datagram in buffer[..meta.len.min(RECEIVE_SIZE)].chunks(stride) {
                    hub.handle_datagram(now, index, (local, meta.addr), datagram);
                }
            }
            // What has come goes up and is answered before more is read: the acknowledgements open the peer's window.
            hub.finish(now);
            if received < RECEIVE_BUFFERS {
                return; // it was empty; what comes now makes a new edge
            }
        }
        unread.push(token);
    }
}

impl UdpNetwork {
    /// Send what a socket had to keep. Its transport, if it takes more now.
    fn flush(&mut self, token: usize) -> Option<u32> {
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
        Some(socket.index)
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
                interfaces.push(Interface { ip, is_loopback: one.is_loopback() });
            }
        }
        Ok(interfaces)
    }

    fn bind(&mut self, _owner: u64, ip: IpAddr, index: u32) -> io::Result<(usize, SocketAddr)> {
        let socket = UdpSocket::bind((ip, 0))?;
        socket.set_nonblocking(true)?;
        let sock = socket2::SockRef::from(&socket);
        // The system may give less; then it loses more, and SCTP sends it again.
        let _ = sock.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = sock.set_send_buffer_size(SOCKET_BUFFER);
        let local = socket.local_addr()?;
        let mut io = mio::net::UdpSocket::from_std(socket);
        let state = UdpSocketState::new((&io).into())?;
        let token = self.free.pop().unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        if let Err(error) =
            self.registry.register(&mut io, Token(token), Interest::READABLE | Interest::WRITABLE)
        {
            self.free.push(token);
            return Err(error);
        }
        process::remember_socket(io.as_raw_fd());
        self.sockets[token] = Some(Socket { io, state, index, local, blocked: VecDeque::new() });
        Ok((token, local))
    }

    fn send(&mut self, _now: Instant, socket: usize, batch: &Batch) -> Sent {
        let Some(socket) = self.sockets.get_mut(socket).and_then(Option::as_mut) else {
            return Sent::Refused(io::ErrorKind::NotFound.into());
        };
        let sent = try_send(socket, batch.route.remote, batch.contents(), batch.segment());
        if matches!(sent, Sent::Full) {
            let contents = batch.contents().to_vec();
            socket.blocked.push_back(Blocked {
                remote: batch.route.remote,
                contents,
                segment: batch.segment(),
            });
        }
        sent
    }

    fn close(&mut self, token: usize) -> usize {
        let Some(mut socket) = self.sockets.get_mut(token).and_then(Option::take) else { return 0 };
        process::forget_socket(socket.io.as_raw_fd());
        if let Err(error) = self.registry.deregister(&mut socket.io) {
            log::warn!(target: CONNECTION, "! a socket could not be deregistered: {error}");
        }
        self.free.push(token);
        socket.blocked.iter().map(|blocked| datagrams(blocked.contents.len(), blocked.segment)).sum()
    }

    fn resolve(&mut self, lookup: Lookup) {
        self.waiting_lookups.push_back(lookup);
    }

    fn max_segments(&self) -> usize {
        64
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
    match socket.state.try_send((&socket.io).into(), &transmit) {
        Ok(()) => Sent::Taken,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Full,
        Err(error) => Sent::Refused(error),
    }
}
