//! The hub: commands, engines, timers and events of all loops that share one network.
//!
//! One turn: run what came in — commands, datagrams, timers — each touching some transports, then [`Hub::finish`]:
//! every touched transport passes its events up, sends its packets, and sets its one timer. Untouched transports cost
//! nothing.
//!
//! Each call into an engine runs under `catch_unwind`: our own bug ends one connection, and is reported.

pub mod network;
mod transport;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use adieu_engine::{Batch, Certificate, ChannelKey, Config, Kind, Transport};

use crate::command::{Command, CommandQueue, Request};
use crate::event::{Counters, EventQueue, Left, Notice, TransportStats};
use crate::gathering::{Gather, Lookup, Policy};
use crate::lines;
use crate::shared::{ChannelShared, NOWHERE, TransportShared};
use crate::trouble;
use crate::wheel::Wheel;
use network::Network;
use transport::HubTransport;

/// How long the last words of a closed connection may wait for the network to take them.
const REAPER_TIMEOUT: Duration = Duration::from_secs(2);
/// Ended transports whose last figures can still be asked for.
const MAX_ENDED: usize = 256;

struct Connection {
    owner: u64,
    queue: Arc<EventQueue>,
    certificate: Arc<Certificate>,
    /// Indices of its transports.
    transports: Vec<u32>,
    left: Left,
    is_closing: bool,
}

/// See the module's text. `N` carries the datagrams.
pub struct Hub<N: Network> {
    pub net: N,
    commands: Arc<CommandQueue>,
    clients: HashMap<u64, Arc<EventQueue>>,
    connections: HashMap<u64, Connection>,
    transports: Vec<Option<HubTransport<N::Socket>>>,
    /// Indices of `transports` that are free.
    free: Vec<u32>,
    /// id of a transport -> its index
    indices: HashMap<u64, u32>,
    ended: VecDeque<(u64, Arc<TransportStats>)>,
    wheel: Wheel,
    touched: Vec<u32>,
    batch: Batch,
    due: Vec<u32>,
    shutdown: Vec<Arc<dyn Fn() + Send + Sync>>,
    sending: Option<Sending>,
    now: Instant,
}

/// An outbox that is being emptied: what was in it when its command came, before the commands that came later.
struct Sending {
    channel: Arc<ChannelShared>,
    messages: std::vec::IntoIter<(Kind, Vec<u8>)>,
}

impl From<Arc<ChannelShared>> for Sending {
    fn from(channel: Arc<ChannelShared>) -> Sending {
        let messages = channel.take_outbox().into_iter();
        Sending { channel, messages }
    }
}

impl<N: Network> Hub<N> {
    pub fn new(now: Instant, net: N, commands: Arc<CommandQueue>) -> Hub<N> {
        let batch = Batch::new(net.max_segments());
        Hub {
            net,
            commands,
            clients: HashMap::new(),
            connections: HashMap::new(),
            transports: Vec::new(),
            free: Vec::new(),
            indices: HashMap::new(),
            ended: VecDeque::new(),
            wheel: Wheel::new(now),
            touched: Vec::new(),
            batch,
            due: Vec::new(),
            shutdown: Vec::new(),
            sending: None,
            now,
        }
    }

    // --- what comes in ----------------------------------------------------------------------------------------------

    /// Run at most `budget` commands; true when more may wait.
    pub fn run_commands(&mut self, now: Instant, budget: usize) -> bool {
        self.now = now;
        for _ in 0..budget {
            if let Some(sending) = &mut self.sending {
                match sending.messages.next() {
                    Some((kind, data)) => {
                        let channel = sending.channel.clone();
                        self.send(now, &channel, kind, data);
                        continue;
                    }
                    None => self.sending = None,
                }
            }
            match self.commands.pop() {
                None => return false,
                Some(Command::Send { channel }) => self.sending = Some(Sending::from(channel)),
                Some(Command::Consumed { transport, size }) => {
                    let index = transport.index.load(Ordering::Relaxed);
                    if let Ok(index) = u32::try_from(index) {
                        self.guarded(index, |transport| transport.engine.consumed(now, size));
                    }
                }
                Some(Command::Request(request)) => self.run(now, *request),
            }
        }
        true
    }

    fn send(&mut self, now: Instant, channel: &ChannelShared, kind: Kind, data: Vec<u8>) {
        let size = data.len();
        let sent = self.on_channel(channel, |transport, key| transport.send(now, key, kind, data));
        if sent != Some(true) {
            channel.transport.buffered.fetch_sub(size, Ordering::AcqRel);
        }
        if sent == Some(false) {
            // The channel lives; of one that has ended the amount stays (closing rule 48).
            channel.buffered.fetch_sub(size, Ordering::AcqRel);
        }
    }

    pub fn handle_datagram(
        &mut self,
        now: Instant,
        index: u32,
        (local, remote): (SocketAddr, SocketAddr),
        datagram: &[u8],
    ) {
        self.guarded(index, |transport| transport.engine.handle_datagram(now, local, remote, datagram));
    }

    /// A socket of this transport takes datagrams again.
    pub fn handle_writable(&mut self, index: u32) {
        self.guarded(index, |transport| transport.is_blocked = false);
    }

    /// Fire what is due.
    pub fn handle_timeouts(&mut self, now: Instant) {
        self.now = now;
        let mut due = std::mem::take(&mut self.due);
        self.wheel.expire(now, &mut due);
        for index in due.drain(..) {
            self.guarded(index, |transport| {
                transport.timer = None;
                transport.engine.handle_timeout(now);
            });
        }
        self.due = due;
    }

    /// No timer fires before this.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.wheel.next()
    }

    pub fn commands(&self) -> &Arc<CommandQueue> {
        &self.commands
    }

    /// Whether some loop has events that were not taken.
    pub fn has_events(&self) -> bool {
        self.clients.values().any(|queue| !queue.is_empty())
    }

    // --- what goes out ----------------------------------------------------------------------------------------------

    /// End of a turn: see the module's text.
    pub fn finish(&mut self, now: Instant) {
        while let Some(index) = self.touched.pop() {
            let Some(transport) = self.transports[index as usize].as_mut() else { continue };
            transport.is_touched = false;
            let queue = transport.queue.clone();
            self.pump(now, index);
            if !queue.is_closed() {
                queue.signal();
            }
        }
        if lines::are_wanted() {
            self.hand_up_lines();
        }
        if !self.shutdown.is_empty() && self.connections.is_empty() {
            for done in self.shutdown.drain(..) {
                done();
            }
        }
    }

    /// Lines that belong to no connection go to every event loop.
    fn hand_up_lines(&self) {
        for line in lines::take() {
            for queue in self.clients.values() {
                queue.line(0, line.clone());
                queue.signal();
            }
        }
    }

    fn pump(&mut self, now: Instant, index: u32) {
        let Some(transport) = self.transports[index as usize].as_mut() else { return };
        let (net, batch) = (&mut self.net, &mut self.batch);
        let result = catch_unwind(AssertUnwindSafe(|| transport.pump(now, net, batch)));
        if lines::are_wanted() {
            transport.hand_up_lines();
        }
        if let Err(panic) = result {
            return self.panicked(now, index, &*panic);
        }
        if transport.reaped_by.is_some_and(|deadline| !transport.is_blocked || now >= deadline) {
            return self.end_transport(index);
        }
        let wanted = match transport.reaped_by {
            Some(deadline) => Some(deadline),
            None => transport.engine.poll_timeout(now),
        };
        // A timer that fires too early is set again then: cheaper than moving it with every datagram.
        let Some(at) = wanted else { return };
        if transport.timer.is_none_or(|set| at < set) {
            if !std::mem::replace(&mut transport.counted_timer, true) {
                Counters::add(&transport.queue.counters.timers, 1);
            }
            transport.timer = Some(at);
            self.wheel.set(index, at);
        }
    }

    // --- commands ---------------------------------------------------------------------------------------------------

    fn run(&mut self, now: Instant, request: Request) {
        match request {
            Request::OpenClient { id, queue } => {
                self.clients.insert(id, queue);
            }
            Request::CloseClient { id } => self.close_client(now, id),
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
                self.on_transport(transport, |transport| {
                    transport.close_alone(now, "Transport closed", reaped_by)
                });
            }
            Request::Gather { transport, gather } => self.gather(now, transport, gather),
            Request::Engine { transport, call } => {
                self.on_transport(transport, |transport| call(&mut transport.engine, now));
            }
            Request::OpenChannel { channel, options } => {
                let index = channel.transport.index.load(Ordering::Relaxed);
                if let Ok(index) = u32::try_from(index) {
                    self.guarded(index, |transport| transport.open_channel(now, channel, options));
                }
            }
            Request::CloseChannel { channel } => {
                self.on_channel(&channel, |transport, key| transport.engine.close_channel(now, key));
            }
            Request::Stats { owner, transport, request } => self.stats(now, owner, transport, request),
            Request::Resolved { lookup, addresses } => {
                self.on_transport(lookup.transport, |transport| {
                    transport.engine.server_resolved(now, lookup.generation, &lookup.server.url, addresses);
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
        let Some(queue) = self.clients.get(&owner).cloned() else { return };
        Counters::add(&queue.counters.connections, 1);
        let connection = Connection {
            owner,
            queue,
            certificate,
            transports: Vec::new(),
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
        let index = self.free.pop().unwrap_or_else(|| {
            self.transports.push(None);
            self.transports.len() as u32 - 1
        });
        let engine = Transport::new(now, connection.certificate.clone(), config);
        shared.index.store(index.into(), Ordering::Relaxed);
        self.indices.insert(shared.id, index);
        connection.transports.push(index);
        Counters::add(&connection.queue.counters.transports, 1);
        let queue = connection.queue.clone();
        self.transports[index as usize] =
            Some(HubTransport::new(index, (connection_id, connection.owner), shared, queue, engine));
    }

    fn gather(&mut self, now: Instant, id: u64, gather: Gather) {
        let Some(&index) = self.indices.get(&id) else { return };
        let Some(transport) = self.transports[index as usize].as_mut() else { return };
        let generation = gather.generation;
        transport.generation = generation;
        let mut hosts = Vec::new();
        match addresses(&mut self.net, transport.owner, &gather) {
            Ok(addresses) => {
                for ip in addresses {
                    match transport.socket_on(&mut self.net, ip) {
                        Ok(local) => hosts.push(local),
                        Err(error) => {
                            let text = format!("no socket on {ip}: {}", trouble::name(&error));
                            transport.tell_trouble(Some(ip), None, text);
                        }
                    }
                }
            }
            Err(text) => {
                transport.tell_trouble(None, None, text);
                if gather.policy == Policy::All {
                    // Those of the generation before are still there.
                    hosts.extend(transport.sockets.iter().map(|(local, _)| *local));
                }
            }
        }
        let servers = if gather.policy == Policy::All { gather.servers } else { Vec::new() };
        let mut lookups = Vec::new();
        self.guarded(index, |transport| {
            transport.engine.start_generation(now, generation, gather.local, gather.role);
            for host in hosts {
                transport.engine.add_host(now, generation, host);
            }
            for server in servers {
                transport.engine.expect_server(now, generation, server.url.clone());
                match server.host.parse::<IpAddr>() {
                    Ok(ip) => {
                        let address = vec![SocketAddr::new(ip, server.port)];
                        transport.engine.server_resolved(now, generation, &server.url, Ok(address));
                    }
                    Err(_) => lookups.push(Lookup { transport: id, generation, server }),
                }
            }
            transport.engine.hosts_done(now, generation);
        });
        for lookup in lookups {
            self.net.resolve(lookup);
        }
    }

    fn stats(&mut self, now: Instant, owner: u64, transport: u64, request: u64) {
        let Some(queue) = self.clients.get(&owner).cloned() else { return };
        let living = self.indices.get(&transport).and_then(|index| self.transports[*index as usize].as_ref());
        let stats = match living {
            Some(transport) => Some(Arc::new(transport.stats(now))),
            None => self.ended.iter().find(|(id, _)| *id == transport).map(|(_, stats)| stats.clone()),
        };
        queue.notice(Notice::Stats { transport, request, now, stats });
        queue.signal();
    }

    fn relieve(&mut self, now: Instant, owner: u64) {
        for index in 0..self.transports.len() as u32 {
            if self.transports[index as usize]
                .as_ref()
                .is_some_and(|transport| transport.owner == owner && transport.is_congested)
            {
                self.guarded(index, |transport| {
                    transport.is_congested = false;
                    transport.engine.set_congested(now, false);
                });
            }
        }
    }

    // --- endings ----------------------------------------------------------------------------------------------------

    fn close_client(&mut self, now: Instant, id: u64) {
        let mut owned: Vec<u64> =
            self.connections.iter().filter(|(_, one)| one.owner == id).map(|(id, _)| *id).collect();
        owned.sort_unstable();
        for connection in owned {
            self.close_connection(now, connection, "Event loop ended");
        }
        self.clients.remove(&id);
    }

    /// The last words of every transport leave in this turn, or when the network takes them; then its sockets go.
    fn close_connection(&mut self, now: Instant, id: u64, reason: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if std::mem::replace(&mut connection.is_closing, true) {
            return;
        }
        for index in connection.transports.clone() {
            self.guarded(index, |transport| transport.close(now, reason, now + REAPER_TIMEOUT));
        }
        self.end_connection_if_done(id);
    }

    fn end_transport(&mut self, index: u32) {
        let Some(mut transport) = self.transports[index as usize].take() else { return };
        if let Some(mut stats) = transport.last_stats.take() {
            stats.ended = true;
            if self.ended.len() == MAX_ENDED {
                self.ended.pop_front();
            }
            self.ended.push_back((transport.shared.id, Arc::new(stats)));
        }
        self.release(index, transport);
    }

    /// Give back all that a transport holds.
    fn release(&mut self, index: u32, transport: HubTransport<N::Socket>) {
        self.wheel.remove(index);
        self.indices.remove(&transport.shared.id);
        self.free.push(index);
        transport.shared.index.store(NOWHERE, Ordering::Relaxed);
        let counters = &transport.queue.counters;
        Counters::subtract(&counters.transports, 1);
        Counters::subtract(&counters.timers, u64::from(transport.counted_timer));
        let unsent: usize = transport.sockets.iter().map(|(_, socket)| self.net.close(*socket)).sum();
        Counters::subtract(&counters.sockets, transport.sockets.len() as u64);
        let id = transport.connection;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.left.unsent += unsent;
            connection.transports.retain(|one| *one != index);
        }
        // An engine that has panicked may panic again when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(transport)));
        self.end_connection_if_done(id);
    }

    fn end_connection_if_done(&mut self, id: u64) {
        let Some(connection) = self.connections.get(&id) else { return };
        if !connection.is_closing || !connection.transports.is_empty() {
            return;
        }
        let Some(connection) = self.connections.remove(&id) else { return };
        Counters::subtract(&connection.queue.counters.connections, 1);
        connection.queue.notice(Notice::ConnectionEnded { connection: id, left: connection.left });
        connection.queue.signal();
    }

    /// End a connection because of our own bug. Its last packets are lost with it.
    fn panicked(&mut self, now: Instant, index: u32, panic: &(dyn std::any::Any + Send)) {
        let Some(transport) = self.transports[index as usize].take() else { return };
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let message =
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned();
        let connection = transport.connection;
        let queue = transport.queue.clone();
        Counters::add(&queue.counters.panics, 1);
        queue.notice(Notice::ConnectionPanicked { connection, message });
        transport.abandon_channels();
        self.release(index, transport);
        self.close_connection(now, connection, "internal error");
        queue.signal();
    }

    // --- helpers ----------------------------------------------------------------------------------------------------

    fn on_transport(&mut self, transport: u64, call: impl FnOnce(&mut HubTransport<N::Socket>)) {
        if let Some(&index) = self.indices.get(&transport) {
            self.guarded(index, call);
        }
    }

    fn on_channel<T>(
        &mut self,
        channel: &ChannelShared,
        call: impl FnOnce(&mut HubTransport<N::Socket>, ChannelKey) -> T,
    ) -> Option<T> {
        let place = channel.place.load(Ordering::Relaxed);
        if place == NOWHERE {
            return None;
        }
        self.guarded((place >> 32) as u32, |transport| call(transport, ChannelKey(place as u32)))
    }

    /// Run something on a transport, and look at it at the end of the turn.
    fn guarded<T>(&mut self, index: u32, call: impl FnOnce(&mut HubTransport<N::Socket>) -> T) -> Option<T> {
        let transport = self.transports.get_mut(index as usize)?.as_mut()?;
        if !std::mem::replace(&mut transport.is_touched, true) {
            self.touched.push(index);
        }
        let result = catch_unwind(AssertUnwindSafe(|| call(transport)));
        if lines::are_wanted() {
            transport.hand_up_lines();
        }
        match result {
            Ok(value) => Some(value),
            Err(panic) => {
                self.panicked(self.now, index, &*panic);
                None
            }
        }
    }
}

/// Return the addresses to gather on. If there are no addresses, the error says why.
fn addresses<N: Network>(net: &mut N, owner: u64, gather: &Gather) -> Result<Vec<IpAddr>, String> {
    if gather.policy == Policy::Relay {
        return Err("only relayed candidates are wanted, and there is no TURN server that could be used: \
                    set iceTransportPolicy to \"all\""
            .to_owned());
    }
    let interfaces = net
        .interfaces(owner)
        .map_err(|error| format!("the network interfaces cannot be listed: {}", trouble::name(&error)))?;
    gather.choose_addresses(interfaces)
}
