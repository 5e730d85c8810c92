//! A network in memory with its own clock: the same hub, engines and commands, no sockets, no thread.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adieu_engine::{Batch, Wire};
pub use adieu_links::Link;
use adieu_links::{Fate, Numbers, Path};

use crate::addresses::{FAR, Interface};
use crate::command::{CommandQueue, Request};
use crate::event::EventQueue;
use crate::gathering::Lookup;
use crate::handles::Client;
use crate::hub::Hub;
use crate::hub::network::{Network, Place, Port, Sent};
use crate::mdns::Known;
use crate::media::Media;
use crate::process::errno;
use crate::stream::memory::{Arrival, MemoryStreams, RETRY};
use crate::stream::{self, Connect, UNCLAIMED};
use crate::virtual_relay::VirtualRelay;
use crate::watch::Change;

/// One datagram as it was sent.
#[derive(Clone, Debug)]
pub struct SentDatagram {
    pub at: Duration,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub bytes: Vec<u8>,
}

/// The world: hosts, links, time. Usable from any thread.
pub struct VirtualNetwork {
    world: Mutex<World>,
    commands: Arc<CommandQueue>,
    numbers: Arc<Mutex<Numbers>>,
    media: Arc<Media>,
    /// The time of the world, for those that do not hold it.
    clock: Arc<Mutex<Instant>>,
}

struct World {
    hub: Hub<MemoryNetwork>,
    start: Instant,
    now: Instant,
    media: Arc<Media>,
}

// SAFETY: what keeps `World` from being Send are the reference counts inside the SCTP sockets. Each of them, with all
// its clones, lies inside one socket, that inside one engine of `hub`, and the hub is reached only through the mutex of
// `VirtualNetwork`: no two threads ever touch a count at the same time, and none leaves the world.
unsafe impl Send for World {}

impl VirtualNetwork {
    pub fn new(seed: u64) -> VirtualNetwork {
        let start = Instant::now();
        let commands = Arc::new(CommandQueue::new(None));
        let numbers = Arc::new(Mutex::new(Numbers::new(seed)));
        let net = MemoryNetwork::new(commands.clone(), Numbers::new(seed ^ 0x5bd1_e995));
        let hub = Hub::new(start, net, commands.clone());
        let media = Media::virtual_();
        let world = World { hub, start, now: start, media: media.clone() };
        let clock = Arc::new(Mutex::new(start));
        VirtualNetwork { world: Mutex::new(world), commands, numbers, media, clock }
    }

    /// Return the time since the beginning.
    pub fn now(&self) -> Duration {
        let world = self.lock();
        world.now - world.start
    }

    /// A loop on a host of its own with these addresses.
    pub fn host(&self, addresses: Vec<IpAddr>) -> Client {
        let numbers = self.numbers.clone();
        let seed = move || numbers.lock().unwrap_or_else(PoisonError::into_inner).seed();
        let queue = Arc::new(EventQueue::new(None));
        let clock = self.clock.clone();
        let clock = move || *clock.lock().unwrap_or_else(PoisonError::into_inner);
        let host =
            Client::new(queue, self.commands.clone(), self.media.clone(), Box::new(seed), Box::new(clock));
        self.lock().hub.net.hosts.insert(host.id(), addresses);
        host
    }

    pub fn set_link(&self, link: Link) {
        let mut world = self.lock();
        let now = world.now;
        world.hub.net.set_link(now, link);
    }

    pub fn cut(&self, address: IpAddr, cut: bool) {
        self.cut_way(address, Way::Both, cut);
    }

    /// Drop everything that this address sends, that it is sent, or both; or heal that.
    pub fn cut_way(&self, address: IpAddr, way: Way, cut: bool) {
        let mut world = self.lock();
        let MemoryNetwork { mute, deaf, .. } = &mut world.hub.net;
        for (set, other) in [(mute, Way::In), (deaf, Way::Out)] {
            if way != other && cut {
                set.insert(address);
            } else if way != other {
                set.remove(&address);
            }
        }
    }

    /// Lose all datagrams from and to this address, as a firewall does that lets only TCP through.
    pub fn block_udp(&self, address: IpAddr, blocked: bool) {
        let mut world = self.lock();
        if blocked {
            world.hub.net.no_udp.insert(address);
        } else {
            world.hub.net.no_udp.remove(&address);
        }
    }

    /// Refuse sockets on this address, and sending from it, with this error; None: stop that.
    pub fn refuse(&self, address: IpAddr, errno: Option<i32>) {
        let mut world = self.lock();
        match errno {
            Some(errno) => world.hub.net.refused.insert(address, errno),
            None => world.hub.net.refused.remove(&address),
        };
    }

    /// Put a host behind a 1:1 NAT: it is reached at `outside`, and what it sends comes from there.
    pub fn nat(&self, inside: IpAddr, outside: IpAddr) {
        self.lock().hub.net.nats.push((inside, outside));
    }

    /// Put a TURN server there, which relays over UDP for this user. False: there is one already.
    pub fn add_relay(&self, address: SocketAddr, username: &str, password: &str) -> bool {
        let relays = &mut self.lock().hub.net.relays;
        let is_free = relays.iter().all(|relay| relay.address().ip() != address.ip());
        if is_free {
            relays.push(VirtualRelay::new(address, username, password));
        }
        is_free
    }

    /// Have the TURN server of this address ignore that addresses are given back, or end that.
    pub fn keep_relayed(&self, address: IpAddr, keeps: bool) {
        let mut world = self.lock();
        let mut relays = world.hub.net.relays.iter_mut();
        if let Some(relay) = relays.find(|relay| relay.address().ip() == address) {
            relay.set_keeps(keeps);
        }
    }

    /// The number of allocations that the TURN server of this address holds.
    pub fn relay_holds(&self, address: IpAddr) -> usize {
        let mut world = self.lock();
        let now = world.now;
        let mut relays = world.hub.net.relays.iter_mut();
        relays.find(|relay| relay.address().ip() == address).map_or(0, |relay| relay.held(now))
    }

    /// Give this loop's host other addresses. Its sockets on those that have gone send and receive nothing.
    pub fn move_host(&self, host: u64, addresses: Vec<IpAddr>) {
        let mut world = self.lock();
        let after: BTreeSet<IpAddr> = addresses.iter().copied().collect();
        let before = world.hub.net.hosts.insert(host, addresses).unwrap_or_default();
        if let Some(change) = Change::between(&before.into_iter().collect(), &after) {
            let now = world.now;
            world.hub.handle_network(now, Some(host), &change, Duration::ZERO);
            world.hub.finish(now);
        }
    }

    /// Have this loop's host learn that it has slept.
    pub fn wake_host(&self, host: u64, slept: Duration) {
        let mut world = self.lock();
        let now = world.now;
        world.hub.handle_network(now, Some(host), &Change::default(), slept);
        world.hub.finish(now);
    }

    /// Lose `count` datagrams after `skip` more have passed.
    pub fn drop_next(&self, count: usize, skip: usize) {
        let net = &mut self.lock().hub.net;
        (net.skip, net.drop) = (skip, count);
    }

    pub fn inject(&self, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        let mut world = self.lock();
        let now = world.now;
        world.hub.net.put((now, now), source, destination, bytes);
    }

    pub fn record(&self, on: bool) {
        let net = &mut self.lock().hub.net;
        net.is_recording = on;
        net.record.clear();
    }

    pub fn take_sent(&self) -> Vec<SentDatagram> {
        let mut world = self.lock();
        let start = world.start;
        let record = std::mem::take(&mut world.hub.net.record);
        let with_age = |(at, source, destination, bytes): (Instant, SocketAddr, SocketAddr, Vec<u8>)| {
            SentDatagram { at: at - start, source, destination, bytes }
        };
        record.into_iter().map(with_age).collect()
    }

    /// When something is due; now, while events wait to be taken.
    pub fn next(&self) -> Option<Duration> {
        let mut world = self.lock();
        world.run_commands();
        if world.hub.has_events() {
            return Some(world.now - world.start);
        }
        world.next().map(|at| at - world.start)
    }

    /// Deliver and fire everything that is due until `until`.
    pub fn advance(&self, until: Duration) {
        let mut world = self.lock();
        let until = world.start + until;
        world.run_commands();
        while let Some(at) = world.next().filter(|at| *at <= until) {
            world.now = world.now.max(at);
            world.turn();
        }
        world.now = world.now.max(until);
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = world.now;
        world.turn();
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    fn run_commands(&mut self) {
        let now = self.now;
        while self.hub.run_commands(now, 1024) {
            self.hub.finish(now);
        }
        self.hub.finish(now);
    }

    fn next(&self) -> Option<Instant> {
        let delivery = self.hub.net.next();
        let timeout = self.hub.next_timeout();
        [delivery, timeout, self.media.next_tick()].into_iter().flatten().min()
    }

    fn turn(&mut self) {
        let now = self.now;
        while let Some((index, wire, bytes)) = self.hub.net.pop(now) {
            self.hub.handle_datagram(now, index, wire, &bytes);
            self.hub.finish(now);
        }
        let MemoryNetwork { streams, mute, deaf, .. } = &mut self.hub.net;
        let is_cut = |ip| mute.contains(&ip) || deaf.contains(&ip); // a stream needs both ways
        streams.hold(now, |wire| is_cut(wire.local.ip()) || is_cut(wire.remote.ip()));
        while let Some((end, index, wire, arrival)) = self.hub.net.streams.pop(now) {
            self.arrive(now, end, (index, wire), arrival);
            self.hub.finish(now);
        }
        self.hub.handle_timeouts(now);
        if self.media.next_tick().is_some_and(|at| at <= now) {
            self.media.tick(now);
        }
        self.run_commands();
    }
}

impl World {
    fn arrive(&mut self, now: Instant, end: u64, (index, wire): (u32, Wire), arrival: Arrival) {
        match arrival {
            Arrival::Event(stream::Event::Closed(text)) if index == UNCLAIMED => {
                self.hub.refuse_stream(wire, &text)
            }
            Arrival::Event(event) => self.hub.handle_stream(now, index, wire, event),
            Arrival::Datagram(bytes) if index == UNCLAIMED => {
                match self.hub.claim_stream(now, wire, end, &bytes) {
                    Some(index) => {
                        self.hub.net.streams.claim(end, index);
                        self.hub.handle_datagram(now, index, wire, &bytes);
                    }
                    None => {
                        self.hub.net.streams.close(end, now);
                        self.hub.refuse_stream(wire, "it does not say whose it is");
                    }
                }
            }
            Arrival::Datagram(bytes) => self.hub.handle_datagram(now, index, wire, &bytes),
        }
    }
}

struct Delivery {
    at: Instant,
    /// Sent earlier, delivered earlier, if due at the same time.
    order: u64,
    /// When it leaves the queue of its path.
    left: Instant,
    source: SocketAddr,
    destination: SocketAddr,
    bytes: Vec<u8>,
}

impl PartialEq for Delivery {
    fn eq(&self, other: &Delivery) -> bool {
        self.order == other.order
    }
}

impl Eq for Delivery {}

impl PartialOrd for Delivery {
    fn partial_cmp(&self, other: &Delivery) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delivery {
    fn cmp(&self, other: &Delivery) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The datagrams of an address that a cut drops: those that come in, those that go out, or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    In,
    Out,
    Both,
}

struct MemoryNetwork {
    hosts: HashMap<u64, Vec<IpAddr>>,
    sockets: HashMap<SocketAddr, u32>,
    streams: MemoryStreams,
    next_port: HashMap<IpAddr, u16>,
    link: Link,
    /// Paths from each address: all that it sends shares one queue.
    paths: HashMap<IpAddr, Path>,
    /// Addresses whose datagrams are dropped.
    mute: HashSet<IpAddr>,
    /// Addresses to which all datagrams are dropped.
    deaf: HashSet<IpAddr>,
    no_udp: HashSet<IpAddr>,
    /// Addresses on which the system refuses sockets and datagrams, with its error.
    refused: HashMap<IpAddr, i32>,
    /// 1:1 NATs: inside and outside address.
    nats: Vec<(IpAddr, IpAddr)>,
    /// TURN servers, each with an address of its own.
    relays: Vec<VirtualRelay>,
    skip: usize,
    drop: usize,
    under_way: BinaryHeap<Reverse<Delivery>>,
    order: u64,
    numbers: Numbers,
    is_recording: bool,
    record: Vec<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    commands: Arc<CommandQueue>,
    names: Known,
}

/// The first port of each host.
const FIRST_PORT: u16 = 10_000;
/// The port of passive TCP candidates that the "system" chooses.
const PASSIVE_PORT: u16 = 9_000;

impl MemoryNetwork {
    fn new(commands: Arc<CommandQueue>, numbers: Numbers) -> MemoryNetwork {
        MemoryNetwork {
            hosts: HashMap::new(),
            sockets: HashMap::new(),
            streams: MemoryStreams::default(),
            next_port: HashMap::new(),
            link: Link::default(),
            paths: HashMap::new(),
            mute: HashSet::new(),
            deaf: HashSet::new(),
            no_udp: HashSet::new(),
            refused: HashMap::new(),
            nats: Vec::new(),
            relays: Vec::new(),
            skip: 0,
            drop: 0,
            under_way: BinaryHeap::new(),
            order: 0,
            numbers,
            is_recording: false,
            record: Vec::new(),
            commands,
            names: Known::default(),
        }
    }

    fn is_cut(&self, source: SocketAddr, destination: SocketAddr) -> bool {
        self.mute.contains(&source.ip()) || self.deaf.contains(&destination.ip())
    }

    /// Whether a host has this address.
    fn is_there(&self, ip: IpAddr) -> bool {
        self.hosts.values().any(|addresses| addresses.contains(&ip))
    }

    /// Whether it is one of those that a test wants lost.
    fn is_unlucky(&mut self) -> bool {
        if self.drop > 0 {
            if self.skip > 0 {
                self.skip -= 1;
            } else {
                self.drop -= 1;
                return true;
            }
        }
        false
    }

    fn send_one(&mut self, now: Instant, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
        if self.is_recording {
            self.record.push((now, source, destination, bytes.to_vec()));
        }
        let is_blocked = [source, destination].iter().any(|one| self.no_udp.contains(&one.ip()));
        if is_blocked || self.is_cut(source, destination) || self.is_unlucky() {
            return;
        }
        let path = self.paths.entry(source.ip()).or_default();
        if let Fate::Arrives { at, left, .. } = path.send(&self.link, now, bytes.len(), &mut self.numbers) {
            self.put((left, at), source, destination, bytes.to_vec());
        }
    }

    /// `times`: when it leaves the queue, and when it arrives.
    fn put(
        &mut self,
        times: (Instant, Instant),
        mut source: SocketAddr,
        mut destination: SocketAddr,
        bytes: Vec<u8>,
    ) {
        let (left, at) = times;
        for &(inside, outside) in &self.nats {
            if source.ip() == inside {
                source.set_ip(outside);
            }
            if destination.ip() == outside {
                destination.set_ip(inside);
            }
        }
        self.order += 1;
        self.under_way.push(Reverse(Delivery { at, order: self.order, left, source, destination, bytes }));
    }

    fn set_link(&mut self, now: Instant, link: Link) {
        let mut under_way: Vec<Delivery> =
            std::mem::take(&mut self.under_way).into_iter().map(|Reverse(delivery)| delivery).collect();
        under_way.sort_unstable();
        for (address, path) in &mut self.paths {
            let own = under_way.iter_mut().filter(|delivery| delivery.source.ip() == *address);
            path.change(now, &self.link, &link, own.map(|delivery| (&mut delivery.left, &mut delivery.at)));
        }
        self.under_way = under_way.into_iter().map(Reverse).collect();
        self.link = link;
    }

    fn next(&self) -> Option<Instant> {
        let delivery = self.under_way.peek().map(|Reverse(delivery)| delivery.at);
        [delivery, self.streams.next()].into_iter().flatten().min()
    }

    /// Return the datagrams that have arrived, each with the index of its transport and its wire.
    fn pop(&mut self, now: Instant) -> Option<(u32, Wire, Vec<u8>)> {
        while self.under_way.peek().is_some_and(|Reverse(delivery)| delivery.at <= now) {
            let Reverse(delivery) = self.under_way.pop()?;
            let (source, destination) = (delivery.source, delivery.destination);
            let is_cut = self.is_cut(source, destination);
            let mut relays = self.relays.iter_mut();
            if let Some(relay) = relays.find(|relay| relay.address().ip() == destination.ip()) {
                let out = if is_cut { None } else { relay.handle(now, source, destination, &delivery.bytes) };
                if let Some((from, to, bytes)) = out {
                    self.send_one(now, from, to, &bytes);
                }
                continue;
            }
            let arrives = !is_cut && self.is_there(destination.ip());
            if let Some(index) = self.sockets.get(&destination).filter(|_| arrives) {
                return Some((*index, Wire::udp(destination, source), delivery.bytes));
            }
        }
        None
    }
}

impl MemoryNetwork {
    fn bind_one(&mut self, index: u32, address: SocketAddr) -> io::Result<(SocketAddr, SocketAddr)> {
        match self.sockets.entry(address) {
            Entry::Vacant(free) => {
                free.insert(index);
                Ok((address, address))
            }
            Entry::Occupied(_) => Err(io::ErrorKind::AddrInUse.into()),
        }
    }
}

impl Network for MemoryNetwork {
    type Socket = SocketAddr;
    type Stream = u64;
    type Listener = SocketAddr;

    fn interfaces(&mut self, owner: u64) -> io::Result<Vec<Interface>> {
        let addresses = self.hosts.get(&owner).map_or(&[][..], Vec::as_slice);
        let interface = |(number, ip): (usize, &IpAddr)| {
            let is_loopback = ip.is_loopback();
            let name = if is_loopback { "lo".to_owned() } else { format!("eth{number}") };
            Interface { name, ip: *ip, is_loopback }
        };
        Ok(addresses.iter().enumerate().map(interface).collect())
    }

    /// The first address of each family.
    fn default_routes(&mut self, owner: u64) -> Vec<IpAddr> {
        let addresses = self.hosts.get(&owner).map_or(&[][..], Vec::as_slice);
        let first = |far: &IpAddr| {
            addresses.iter().find(|ip| ip.is_ipv4() == far.is_ipv4() && !ip.is_loopback()).copied()
        };
        FAR.iter().filter_map(first).collect()
    }

    fn bind(&mut self, index: u32, place: Place) -> io::Result<(SocketAddr, SocketAddr)> {
        let Place { ip, port, .. } = place;
        if let Some(&errno) = self.refused.get(&ip) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        match port {
            Port::One(port) => self.bind_one(index, SocketAddr::new(ip, port)),
            Port::Of(ports) => ports
                .try_each(|port| self.bind_one(index, SocketAddr::new(ip, port)))
                .unwrap_or_else(|| Err(ports.used_up("UDP", ip, ports.count()))),
            Port::Any => {
                for _ in 0..u16::MAX {
                    let next = self.next_port.entry(ip).or_insert(FIRST_PORT);
                    let port = *next;
                    *next = next.checked_add(1).unwrap_or(FIRST_PORT);
                    if let Ok(bound) = self.bind_one(index, SocketAddr::new(ip, port)) {
                        return Ok(bound);
                    }
                }
                Err(io::ErrorKind::AddrInUse.into())
            }
        }
    }

    fn send(&mut self, now: Instant, socket: SocketAddr, batch: &Batch) -> Sent {
        // A socket that is there needs no descriptor any more.
        let refused =
            self.refused.get(&socket.ip()).filter(|errno| !matches!(**errno, errno::EMFILE | errno::ENFILE));
        if let Some(&errno) = refused {
            return Sent::Refused(io::Error::from_raw_os_error(errno));
        }
        if !self.is_there(socket.ip()) {
            return Sent::Refused(io::Error::from_raw_os_error(errno::ENETUNREACH));
        }
        for datagram in batch.datagrams() {
            self.send_one(now, socket, batch.wire.remote, datagram);
        }
        Sent::Taken
    }

    fn close(&mut self, socket: SocketAddr) -> usize {
        self.sockets.remove(&socket);
        0
    }

    fn connect(&mut self, now: Instant, order: Connect) -> io::Result<(u64, Wire)> {
        let Wire { local, remote, .. } = order.wire;
        let delay = (!self.is_cut(local, remote)).then_some(self.link.delay);
        Ok(self.streams.connect(now, &order, delay))
    }

    /// Send on a stream. Datagrams that the link would lose come later.
    fn send_stream(&mut self, now: Instant, stream: u64, batch: &Batch) -> Sent {
        let Some(Wire { local, remote, .. }) = self.streams.addresses(stream) else {
            return Sent::Refused(io::ErrorKind::NotConnected.into());
        };
        for datagram in batch.datagrams() {
            if self.is_recording {
                self.record.push((now, local, remote, datagram.to_vec()));
            }
            let mut at = now + self.link.delay;
            if self.is_unlucky() {
                at += RETRY;
            }
            self.streams.send(stream, at, datagram);
        }
        Sent::Taken
    }

    fn close_stream(&mut self, now: Instant, stream: u64) -> usize {
        self.streams.close(stream, now + self.link.delay);
        0
    }

    fn listen(&mut self, ip: IpAddr, port: u16) -> io::Result<(SocketAddr, SocketAddr)> {
        let address = SocketAddr::new(ip, if port == 0 { PASSIVE_PORT } else { port });
        self.streams.listen(address)?;
        Ok((address, address))
    }

    fn stop_listening(&mut self, listener: SocketAddr) {
        self.streams.stop_listening(listener);
    }

    fn lingers(&self) -> bool {
        false
    }

    /// Fail: a network in memory has no names.
    fn resolve(&mut self, lookup: Lookup) {
        let addresses = Err("a virtual network has no names".to_owned());
        self.commands.request(Request::Resolved { lookup, addresses });
    }

    fn find_name(&mut self, _now: Instant, transport: u64, name: &str) {
        if let Some(ip) = self.names.find(name) {
            let addresses = vec![ip];
            self.commands.request(Request::NameFound { transport, name: name.into(), addresses });
        }
    }

    fn publish_name(&mut self, _now: Instant, ip: IpAddr) -> (Arc<str>, io::Result<()>) {
        (self.names.publish(ip, self.numbers.word()), Ok(()))
    }

    fn withdraw_name(&mut self, name: &str) {
        self.names.withdraw(name);
    }

    fn max_segments(&self) -> usize {
        64
    }
}
