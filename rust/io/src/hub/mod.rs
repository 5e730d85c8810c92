//! The hub: commands, engines, timers and events of all loops that share one network.
//!
//! One turn: run what came in — commands, datagrams, timers — each touching some transports, then [`Hub::finish`]:
//! every touched transport hands up its events, sends what it has, and sets its one timer. What was not touched costs
//! nothing.
//!
//! Each call into an engine runs under `catch_unwind`: a bug of ours ends one connection, and says so.

mod entry;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use adieu_engine::{Batch, Certificate, ChannelKey, Config, Transport};

use crate::command::{Command, Door, Gather, Lookup, Loopback, Policy, Request};
use crate::event::{Counters, Left, Notice, Queue, TransportStats};
use crate::handles::{ChannelShared, NOWHERE, TransportShared};
use crate::trouble;
use crate::wheel::Wheel;
use entry::Entry;

/// How long the last words of a closed connection may wait for the network to take them.
const REAPER_TIMEOUT: Duration = Duration::from_secs(2);
/// Host candidates of one generation (closing rule: nothing grows without bound).
const MAX_HOSTS: usize = 32;
/// Ended transports whose last figures can still be asked for.
const MAX_ENDED: usize = 256;

/// What carries datagrams, and names the addresses to send them from.
pub trait Network {
    type Socket: Copy + std::fmt::Debug;

    /// The addresses of the machine, or of the loop's host.
    fn interfaces(&mut self, owner: u64) -> io::Result<Vec<Interface>>;
    /// A socket on a port of its own; what arrives is handed to [`Hub::handle_datagram`] with this slot.
    fn bind(&mut self, owner: u64, ip: IpAddr, slot: u32) -> io::Result<(Self::Socket, SocketAddr)>;
    fn send(&mut self, now: Instant, socket: Self::Socket, batch: &Batch) -> Sent;
    /// Returns how many datagrams it had taken that can not leave any more.
    fn close(&mut self, socket: Self::Socket) -> usize;
    /// Look a name up; [`Request::Resolved`] comes through the door.
    fn resolve(&mut self, lookup: Lookup);
    fn max_segments(&self) -> usize;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    pub ip: IpAddr,
    pub is_loopback: bool,
}

#[derive(Debug)]
pub enum Sent {
    Taken,
    /// Taken, but it is the last for now: [`Hub::handle_writable`] follows.
    Full,
    /// The system refused: lost, as on the way.
    Refused(io::Error),
}

struct Connection {
    owner: u64,
    queue: Arc<Queue>,
    certificate: Arc<Certificate>,
    slots: Vec<u32>,
    left: Left,
    is_closing: bool,
}

/// See the module's text. `N` carries the datagrams.
pub struct Hub<N: Network> {
    pub net: N,
    door: Arc<Door>,
    loops: HashMap<u64, Arc<Queue>>,
    connections: HashMap<u64, Connection>,
    entries: Vec<Option<Entry<N::Socket>>>,
    free: Vec<u32>,
    slots: HashMap<u64, u32>,
    ended: VecDeque<(u64, Arc<TransportStats>)>,
    wheel: Wheel,
    touched: Vec<u32>,
    batch: Batch,
    due: Vec<u32>,
    shutdown: Vec<Arc<dyn Fn() + Send + Sync>>,
    now: Instant,
}

impl<N: Network> Hub<N> {
    pub fn new(now: Instant, net: N, door: Arc<Door>) -> Hub<N> {
        let batch = Batch::new(net.max_segments());
        Hub {
            net,
            door,
            loops: HashMap::new(),
            connections: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            slots: HashMap::new(),
            ended: VecDeque::new(),
            wheel: Wheel::new(now),
            touched: Vec::new(),
            batch,
            due: Vec::new(),
            shutdown: Vec::new(),
            now,
        }
    }

    // --- what comes in ----------------------------------------------------------------------------------------------

    /// Run at most `budget` commands; true when more may wait.
    pub fn run_commands(&mut self, now: Instant, budget: usize) -> bool {
        self.now = now;
        for _ in 0..budget {
            match self.door.pop() {
                None => return false,
                Some(Command::Send { channel, kind, data }) => {
                    let size = data.len();
                    let sent = self.on_channel(&channel, |entry, key| entry.send(now, key, kind, data));
                    if sent != Some(true) {
                        channel.transport.buffered.fetch_sub(size, Ordering::AcqRel);
                    }
                    if sent == Some(false) {
                        // The channel lives; of one that has ended the amount stays (closing rule 48).
                        channel.buffered.fetch_sub(size, Ordering::AcqRel);
                    }
                }
                Some(Command::Consumed { transport, size }) => {
                    let slot = transport.slot.load(Ordering::Relaxed);
                    if let Ok(slot) = u32::try_from(slot) {
                        self.guarded(slot, |entry| entry.engine.consumed(now, size));
                    }
                }
                Some(Command::Request(request)) => self.run(now, *request),
            }
        }
        true
    }

    pub fn handle_datagram(
        &mut self,
        now: Instant,
        slot: u32,
        (local, remote): (SocketAddr, SocketAddr),
        datagram: &[u8],
    ) {
        self.guarded(slot, |entry| entry.engine.handle_datagram(now, local, remote, datagram));
    }

    /// A socket of this transport takes datagrams again.
    pub fn handle_writable(&mut self, slot: u32) {
        self.guarded(slot, |entry| entry.is_blocked = false);
    }

    /// Fire what is due.
    pub fn handle_timeouts(&mut self, now: Instant) {
        self.now = now;
        let mut due = std::mem::take(&mut self.due);
        self.wheel.expire(now, &mut due);
        for slot in due.drain(..) {
            self.guarded(slot, |entry| {
                entry.timer = None;
                entry.engine.handle_timeout(now);
            });
        }
        self.due = due;
    }

    /// No timer fires before this.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.wheel.next()
    }

    pub fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// Whether some loop has events that were not taken.
    pub fn has_events(&self) -> bool {
        self.loops.values().any(|queue| !queue.is_empty())
    }

    // --- what goes out ----------------------------------------------------------------------------------------------

    /// End of a turn: see the module's text.
    pub fn finish(&mut self, now: Instant) {
        while let Some(slot) = self.touched.pop() {
            let Some(entry) = self.entries[slot as usize].as_mut() else { continue };
            entry.is_touched = false;
            let queue = entry.queue.clone();
            self.pump(now, slot);
            if !queue.is_closed() {
                queue.signal();
            }
        }
        if !self.shutdown.is_empty() && self.connections.is_empty() {
            for done in self.shutdown.drain(..) {
                done();
            }
        }
    }

    fn pump(&mut self, now: Instant, slot: u32) {
        let Some(entry) = self.entries[slot as usize].as_mut() else { return };
        let (net, batch) = (&mut self.net, &mut self.batch);
        let result = catch_unwind(AssertUnwindSafe(|| entry.pump(now, net, batch)));
        if let Err(panic) = result {
            return self.panicked(now, slot, &*panic);
        }
        if entry.reaped_by.is_some_and(|deadline| !entry.is_blocked || now >= deadline) {
            return self.end_transport(slot);
        }
        let wanted = match entry.reaped_by {
            Some(deadline) => Some(deadline),
            None => entry.engine.poll_timeout(now),
        };
        // A timer that fires too early is set again then: cheaper than moving it with every datagram.
        let Some(at) = wanted else { return };
        if entry.timer.is_none_or(|set| at < set) {
            if !std::mem::replace(&mut entry.counted_timer, true) {
                Counters::add(&entry.queue.counters.timers, 1);
            }
            entry.timer = Some(at);
            self.wheel.set(slot, at);
        }
    }

    // --- commands ---------------------------------------------------------------------------------------------------

    fn run(&mut self, now: Instant, request: Request) {
        match request {
            Request::OpenLoop { id, queue } => {
                self.loops.insert(id, queue);
            }
            Request::CloseLoop { id } => self.close_loop(now, id),
            Request::Relieved { id } => self.relieve(now, id),
            Request::OpenConnection { owner, id, certificate } => {
                self.open_connection(owner, id, certificate)
            }
            Request::CloseConnection { id, reason } => self.close_connection(now, id, &reason),
            Request::OpenTransport { connection, shared, config } => {
                self.open_transport(now, connection, shared, config);
            }
            Request::CloseTransport { transport } => {
                let reaped_by = now + REAPER_TIMEOUT;
                self.on_transport(transport, |entry| entry.close_alone(now, "Transport closed", reaped_by));
            }
            Request::Gather { transport, gather } => self.gather(now, transport, gather),
            Request::SetRole { transport, generation, role } => {
                self.on_transport(transport, |entry| entry.engine.set_role(generation, role));
            }
            Request::SetRemote { transport, generation, remote, lite } => {
                self.on_transport(transport, |entry| entry.engine.set_remote(now, generation, remote, lite));
            }
            Request::AddCandidate { transport, generation, candidate } => {
                self.on_transport(transport, |entry| entry.engine.add_candidate(now, generation, candidate));
            }
            Request::DropGeneration { transport, generation } => {
                self.on_transport(transport, |entry| entry.engine.drop_generation(now, generation));
            }
            Request::StartDtls { transport, client, fingerprints } => {
                self.on_transport(transport, |entry| entry.engine.start_dtls(now, client, fingerprints));
            }
            Request::StartSctp { transport, local_port, remote_port, remote_max_message_size } => {
                self.on_transport(transport, |entry| {
                    entry.engine.start_sctp(now, local_port, remote_port, remote_max_message_size);
                });
            }
            Request::OpenChannel { channel, options } => {
                let slot = channel.transport.slot.load(Ordering::Relaxed);
                if let Ok(slot) = u32::try_from(slot) {
                    self.guarded(slot, |entry| entry.open_channel(now, channel, options));
                }
            }
            Request::CloseChannel { channel } => {
                self.on_channel(&channel, |entry, key| entry.engine.close_channel(now, key));
            }
            Request::Stats { owner, transport, request } => self.stats(now, owner, transport, request),
            Request::Resolved { lookup, addresses } => {
                self.on_transport(lookup.transport, |entry| {
                    entry.engine.server_resolved(now, lookup.generation, &lookup.server.url, addresses);
                });
            }
            Request::Shutdown { done } => {
                let mut all: Vec<u64> = self.connections.keys().copied().collect();
                all.sort_unstable();
                for id in all {
                    self.close_connection(now, id, "Process exit");
                }
                self.shutdown.push(done);
            }
        }
    }

    fn open_connection(&mut self, owner: u64, id: u64, certificate: Arc<Certificate>) {
        let Some(queue) = self.loops.get(&owner).cloned() else { return };
        Counters::add(&queue.counters.connections, 1);
        let connection = Connection {
            owner,
            queue,
            certificate,
            slots: Vec::new(),
            left: Left::default(),
            is_closing: false,
        };
        self.connections.insert(id, connection);
    }

    fn open_transport(
        &mut self,
        now: Instant,
        connection_id: u64,
        shared: Arc<TransportShared>,
        config: Config,
    ) {
        let Some(connection) = self.connections.get_mut(&connection_id).filter(|one| !one.is_closing) else {
            return;
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() as u32 - 1
        });
        let engine = Transport::new(now, connection.certificate.clone(), config);
        shared.slot.store(slot.into(), Ordering::Relaxed);
        self.slots.insert(shared.id, slot);
        connection.slots.push(slot);
        Counters::add(&connection.queue.counters.transports, 1);
        let queue = connection.queue.clone();
        self.entries[slot as usize] =
            Some(Entry::new(slot, (connection_id, connection.owner), shared, queue, engine));
    }

    fn gather(&mut self, now: Instant, transport: u64, gather: Gather) {
        let Some(&slot) = self.slots.get(&transport) else { return };
        let Some(entry) = self.entries[slot as usize].as_mut() else { return };
        let generation = gather.generation;
        entry.generation = generation;
        let mut hosts = Vec::new();
        match addresses(&mut self.net, entry, &gather) {
            Ok(addresses) => {
                for ip in addresses {
                    match entry.socket_on(&mut self.net, ip) {
                        Ok(local) => hosts.push(local),
                        Err(error) => {
                            let text = format!("no socket on {ip}: {}", trouble::name(&error));
                            entry.tell_trouble(Some(ip), None, text);
                        }
                    }
                }
            }
            Err(text) => {
                entry.tell_trouble(None, None, text);
                if gather.policy == Policy::All {
                    // Those of the generation before are still there.
                    hosts.extend(entry.sockets.iter().map(|(local, _)| *local));
                }
            }
        }
        let servers = if gather.policy == Policy::All { gather.servers } else { Vec::new() };
        let mut lookups = Vec::new();
        self.guarded(slot, |entry| {
            entry.engine.start_generation(now, generation, gather.local, gather.role);
            for host in hosts {
                entry.engine.add_host(now, generation, host);
            }
            for server in servers {
                entry.engine.expect_server(now, generation, server.url.clone());
                match server.host.parse::<IpAddr>() {
                    Ok(ip) => {
                        let address = vec![SocketAddr::new(ip, server.port)];
                        entry.engine.server_resolved(now, generation, &server.url, Ok(address));
                    }
                    Err(_) => lookups.push(Lookup { transport, generation, server }),
                }
            }
            entry.engine.hosts_done(now, generation);
        });
        for lookup in lookups {
            self.net.resolve(lookup);
        }
    }

    fn stats(&mut self, now: Instant, owner: u64, transport: u64, request: u64) {
        let Some(queue) = self.loops.get(&owner).cloned() else { return };
        let living = self.slots.get(&transport).and_then(|slot| self.entries[*slot as usize].as_ref());
        let stats = match living {
            Some(entry) => Some(Arc::new(entry.stats(now))),
            None => self.ended.iter().find(|(id, _)| *id == transport).map(|(_, stats)| stats.clone()),
        };
        queue.notice(Notice::Stats { transport, request, now, stats });
        queue.signal();
    }

    fn relieve(&mut self, now: Instant, owner: u64) {
        for slot in 0..self.entries.len() as u32 {
            if self.entries[slot as usize]
                .as_ref()
                .is_some_and(|entry| entry.owner == owner && entry.is_congested)
            {
                self.guarded(slot, |entry| {
                    entry.is_congested = false;
                    entry.engine.set_congested(now, false);
                });
            }
        }
    }

    // --- endings ----------------------------------------------------------------------------------------------------

    fn close_loop(&mut self, now: Instant, id: u64) {
        let mut owned: Vec<u64> =
            self.connections.iter().filter(|(_, one)| one.owner == id).map(|(id, _)| *id).collect();
        owned.sort_unstable();
        for connection in owned {
            self.close_connection(now, connection, "Event loop ended");
        }
        self.loops.remove(&id);
    }

    /// The last words of every transport leave in this turn, or when the network takes them; then its sockets go.
    fn close_connection(&mut self, now: Instant, id: u64, reason: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if std::mem::replace(&mut connection.is_closing, true) {
            return;
        }
        for slot in connection.slots.clone() {
            self.guarded(slot, |entry| entry.close(now, reason, now + REAPER_TIMEOUT));
        }
        self.end_connection_if_done(id);
    }

    fn end_transport(&mut self, slot: u32) {
        let Some(mut entry) = self.entries[slot as usize].take() else { return };
        if let Some(mut stats) = entry.last_stats.take() {
            stats.ended = true;
            if self.ended.len() == MAX_ENDED {
                self.ended.pop_front();
            }
            self.ended.push_back((entry.shared.id, Arc::new(stats)));
        }
        self.release(slot, entry);
    }

    /// Give back all that a transport holds.
    fn release(&mut self, slot: u32, entry: Entry<N::Socket>) {
        self.wheel.remove(slot);
        self.slots.remove(&entry.shared.id);
        self.free.push(slot);
        entry.shared.slot.store(NOWHERE, Ordering::Relaxed);
        let counters = &entry.queue.counters;
        Counters::subtract(&counters.transports, 1);
        Counters::subtract(&counters.timers, u64::from(entry.counted_timer));
        let unsent: usize = entry.sockets.iter().map(|(_, socket)| self.net.close(*socket)).sum();
        Counters::subtract(&counters.sockets, entry.sockets.len() as u64);
        let id = entry.connection;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.left.unsent += unsent;
            connection.slots.retain(|one| *one != slot);
        }
        // An engine that has panicked may panic again when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(entry)));
        self.end_connection_if_done(id);
    }

    fn end_connection_if_done(&mut self, id: u64) {
        let Some(connection) = self.connections.get(&id) else { return };
        if !connection.is_closing || !connection.slots.is_empty() {
            return;
        }
        let Some(connection) = self.connections.remove(&id) else { return };
        Counters::subtract(&connection.queue.counters.connections, 1);
        connection.queue.notice(Notice::ConnectionEnded { connection: id, left: connection.left });
        connection.queue.signal();
    }

    /// A bug of ours: this connection alone dies. What it wanted to say last is lost with it.
    fn panicked(&mut self, now: Instant, slot: u32, panic: &(dyn std::any::Any + Send)) {
        let Some(entry) = self.entries[slot as usize].take() else { return };
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let message =
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned();
        log::error!("adieu: a connection has panicked: {message}");
        let connection = entry.connection;
        let queue = entry.queue.clone();
        Counters::add(&queue.counters.panics, 1);
        queue.notice(Notice::ConnectionPanicked { connection, message });
        entry.abandon_channels();
        self.release(slot, entry);
        self.close_connection(now, connection, "internal error");
        queue.signal();
    }

    // --- helpers ----------------------------------------------------------------------------------------------------

    fn on_transport(&mut self, transport: u64, call: impl FnOnce(&mut Entry<N::Socket>)) {
        if let Some(&slot) = self.slots.get(&transport) {
            self.guarded(slot, call);
        }
    }

    fn on_channel<T>(
        &mut self,
        channel: &ChannelShared,
        call: impl FnOnce(&mut Entry<N::Socket>, ChannelKey) -> T,
    ) -> Option<T> {
        let place = channel.place.load(Ordering::Relaxed);
        if place == NOWHERE {
            return None;
        }
        self.guarded((place >> 32) as u32, |entry| call(entry, ChannelKey(place as u32)))
    }

    /// Run something on a transport, and look at it at the end of the turn.
    fn guarded<T>(&mut self, slot: u32, call: impl FnOnce(&mut Entry<N::Socket>) -> T) -> Option<T> {
        let entry = self.entries.get_mut(slot as usize)?.as_mut()?;
        if !std::mem::replace(&mut entry.is_touched, true) {
            self.touched.push(slot);
        }
        match catch_unwind(AssertUnwindSafe(|| call(entry))) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.panicked(self.now, slot, &*panic);
                None
            }
        }
    }
}

/// The addresses to gather on; or why there are none.
fn addresses<N: Network>(
    net: &mut N,
    entry: &Entry<N::Socket>,
    gather: &Gather,
) -> Result<Vec<IpAddr>, String> {
    if gather.policy == Policy::Relay {
        return Err("only relayed candidates are wanted, and there is no TURN server that could be used: \
                    set iceTransportPolicy to \"all\""
            .to_owned());
    }
    let mut interfaces = net
        .interfaces(entry.owner)
        .map_err(|error| format!("the network interfaces can not be listed: {}", trouble::name(&error)))?;
    let only_loopback = interfaces.iter().all(|interface| interface.is_loopback);
    let had_some = !interfaces.is_empty();
    interfaces.retain(|interface| match gather.loopback {
        Loopback::Always => true,
        Loopback::Never => !interface.is_loopback,
        Loopback::Auto => only_loopback || !interface.is_loopback,
    });
    interfaces.truncate(MAX_HOSTS);
    match interfaces[..] {
        [] if had_some => {
            Err("no network interface but loopback has an address, and loopback is \"never\" used".to_owned())
        }
        [] => {
            Err("no network interface has an address: this machine is not connected to a network".to_owned())
        }
        _ => Ok(interfaces.iter().map(|interface| interface.ip).collect()),
    }
}
