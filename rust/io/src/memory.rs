//! A network in memory with its own clock: the same hub, engines and commands, no sockets, no thread.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adieu_engine::Batch;

use crate::command::{CommandQueue, Request};
use crate::event::EventQueue;
use crate::gathering::{Interface, Lookup};
use crate::handles::Client;
use crate::hub::Hub;
use crate::hub::network::{Network, Sent};

/// Every path between two hosts.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Probability that a datagram is lost, 0 to 1.
    pub loss: f64,
    pub delay: Duration,
    /// Up to this much more, equally distributed: later datagrams may overtake.
    pub jitter: Duration,
    /// Bytes a second that a host can send; None: any.
    pub rate: Option<f64>,
    /// Bytes that wait for the rate; what is more is lost.
    pub queue: usize,
}

impl Default for Link {
    fn default() -> Link {
        Link { loss: 0.0, delay: Duration::ZERO, jitter: Duration::ZERO, rate: None, queue: 262_144 }
    }
}

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
}

struct World {
    hub: Hub<MemoryNetwork>,
    start: Instant,
    now: Instant,
}

// SAFETY: what keeps `World` from being Send are the reference counts inside the SCTP sockets. Each of them, with all
// its clones, lies inside one socket, that inside one engine of `hub`, and the hub is reached only through the mutex of
// `VirtualNetwork`: no two threads ever touch a count at the same time, and none leaves the world.
unsafe impl Send for World {}

impl VirtualNetwork {
    pub fn new(seed: u64) -> VirtualNetwork {
        let start = Instant::now();
        let commands = Arc::new(CommandQueue::new(None));
        let numbers = Arc::new(Mutex::new(Numbers(seed)));
        let net = MemoryNetwork::new(commands.clone(), Numbers(seed ^ 0x5bd1_e995));
        let hub = Hub::new(start, net, commands.clone());
        VirtualNetwork { world: Mutex::new(World { hub, start, now: start }), commands, numbers }
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
        let host = Client::new(queue, self.commands.clone(), Box::new(seed));
        self.lock().hub.net.hosts.insert(host.id(), addresses);
        host
    }

    pub fn set_link(&self, link: Link) {
        self.lock().hub.net.link = link;
    }

    pub fn cut(&self, address: IpAddr, cut: bool) {
        let mut world = self.lock();
        if cut {
            world.hub.net.cut.insert(address);
        } else {
            world.hub.net.cut.remove(&address);
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

    /// Lose `count` datagrams after `skip` more have passed.
    pub fn drop_next(&self, count: usize, skip: usize) {
        let net = &mut self.lock().hub.net;
        (net.skip, net.drop) = (skip, count);
    }

    pub fn inject(&self, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        let mut world = self.lock();
        let now = world.now;
        world.hub.net.put(now, source, destination, bytes);
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
        match (delivery, timeout) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn turn(&mut self) {
        let now = self.now;
        while let Some((index, path, bytes)) = self.hub.net.pop(now) {
            self.hub.handle_datagram(now, index, path, &bytes);
            self.hub.finish(now);
        }
        self.hub.handle_timeouts(now);
        self.run_commands();
    }
}

struct Delivery {
    at: Instant,
    /// Sent earlier, delivered earlier, if due at the same time.
    order: u64,
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

struct MemoryNetwork {
    hosts: HashMap<u64, Vec<IpAddr>>,
    sockets: HashMap<SocketAddr, u32>,
    next_port: HashMap<IpAddr, u16>,
    link: Link,
    busy_until: HashMap<IpAddr, Instant>,
    cut: HashSet<IpAddr>,
    /// Addresses on which the system refuses sockets and datagrams, with its error.
    refused: HashMap<IpAddr, i32>,
    skip: usize,
    drop: usize,
    under_way: BinaryHeap<Reverse<Delivery>>,
    order: u64,
    numbers: Numbers,
    is_recording: bool,
    record: Vec<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    commands: Arc<CommandQueue>,
}

/// The first port of each host.
const FIRST_PORT: u16 = 10_000;

impl MemoryNetwork {
    fn new(commands: Arc<CommandQueue>, numbers: Numbers) -> MemoryNetwork {
        MemoryNetwork {
            hosts: HashMap::new(),
            sockets: HashMap::new(),
            next_port: HashMap::new(),
            link: Link::default(),
            busy_until: HashMap::new(),
            cut: HashSet::new(),
            refused: HashMap::new(),
            skip: 0,
            drop: 0,
            under_way: BinaryHeap::new(),
            order: 0,
            numbers,
            is_recording: false,
            record: Vec::new(),
            commands,
        }
    }

    fn is_cut(&self, source: SocketAddr, destination: SocketAddr) -> bool {
        !self.cut.is_empty() && (self.cut.contains(&source.ip()) || self.cut.contains(&destination.ip()))
    }

    fn is_unlucky(&mut self) -> bool {
        if self.drop > 0 {
            if self.skip > 0 {
                self.skip -= 1;
            } else {
                self.drop -= 1;
                return true;
            }
        }
        self.link.loss > 0.0 && self.numbers.unit() < self.link.loss
    }

    /// When it has left its host, or None: the queue was full.
    fn departure(&mut self, now: Instant, source: IpAddr, size: usize) -> Option<Instant> {
        let Some(rate) = self.link.rate else { return Some(now) };
        let busy = self.busy_until.get(&source).copied().unwrap_or(now).max(now);
        let waiting = (busy - now).as_secs_f64() * rate;
        if waiting + size as f64 > self.link.queue as f64 {
            return None;
        }
        let departure = busy + Duration::from_secs_f64(size as f64 / rate);
        self.busy_until.insert(source, departure);
        Some(departure)
    }

    fn send_one(&mut self, now: Instant, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
        if self.is_recording {
            self.record.push((now, source, destination, bytes.to_vec()));
        }
        if self.is_cut(source, destination) || self.is_unlucky() {
            return;
        }
        let Some(departure) = self.departure(now, source.ip(), bytes.len()) else { return };
        let jitter = match self.link.jitter.is_zero() {
            true => Duration::ZERO,
            false => self.link.jitter.mul_f64(self.numbers.unit()),
        };
        self.put(departure + self.link.delay + jitter, source, destination, bytes.to_vec());
    }

    fn put(&mut self, at: Instant, source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        self.order += 1;
        self.under_way.push(Reverse(Delivery { at, order: self.order, source, destination, bytes }));
    }

    fn next(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(delivery)| delivery.at)
    }

    /// Return the datagrams that have arrived: (index, (local, remote), bytes).
    fn pop(&mut self, now: Instant) -> Option<(u32, (SocketAddr, SocketAddr), Vec<u8>)> {
        while self.next()? <= now {
            let Reverse(delivery) = self.under_way.pop()?;
            let (source, destination) = (delivery.source, delivery.destination);
            if let Some(index) = self.sockets.get(&destination).filter(|_| !self.is_cut(source, destination))
            {
                return Some((*index, (destination, source), delivery.bytes));
            }
        }
        None
    }
}

impl Network for MemoryNetwork {
    type Socket = SocketAddr;

    fn interfaces(&mut self, owner: u64) -> io::Result<Vec<Interface>> {
        let addresses = self.hosts.get(&owner).cloned().unwrap_or_default();
        Ok(addresses.into_iter().map(|ip| Interface { ip, is_loopback: ip.is_loopback() }).collect())
    }

    fn bind(&mut self, _owner: u64, ip: IpAddr, index: u32) -> io::Result<(SocketAddr, SocketAddr)> {
        if let Some(&errno) = self.refused.get(&ip) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let next = self.next_port.entry(ip).or_insert(FIRST_PORT);
        for _ in 0..u16::MAX {
            let address = SocketAddr::new(ip, *next);
            *next = next.checked_add(1).unwrap_or(FIRST_PORT);
            if let std::collections::hash_map::Entry::Vacant(free) = self.sockets.entry(address) {
                free.insert(index);
                return Ok((address, address));
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    fn send(&mut self, now: Instant, socket: SocketAddr, batch: &Batch) -> Sent {
        // A socket that is there needs no descriptor any more.
        let refused =
            self.refused.get(&socket.ip()).filter(|errno| !matches!(**errno, libc::EMFILE | libc::ENFILE));
        if let Some(&errno) = refused {
            return Sent::Refused(io::Error::from_raw_os_error(errno));
        }
        for datagram in batch.datagrams() {
            self.send_one(now, socket, batch.route.remote, datagram);
        }
        Sent::Taken
    }

    fn close(&mut self, socket: SocketAddr) -> usize {
        self.sockets.remove(&socket);
        0
    }

    /// Fail: a network in memory has no names.
    fn resolve(&mut self, lookup: Lookup) {
        let addresses = Err("a virtual network has no names".to_owned());
        self.commands.request(Request::Resolved { lookup, addresses });
    }

    fn max_segments(&self) -> usize {
        64
    }
}

/// SplitMix64: small, good enough for losses, and the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for chunk in seed.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        seed
    }
}
