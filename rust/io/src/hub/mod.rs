//! The hub: commands, engines, timers and events of all loops that share one network.
//!
//! One turn: run what came in — commands, datagrams, timers — each touching some transports, then [`Hub::finish`]:
//! every touched transport passes its events up, sends its packets, and sets its one timer. Untouched transports cost
//! nothing.
//!
//! Each call into an engine runs under `catch_unwind`: our own bug ends one connection, and is reported.

mod media;
pub mod network;
mod passive;
mod shared;
mod streams;
mod transport;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use adieu_engine::lines as layers;
use adieu_engine::{Batch, Certificate, ChannelKey, Config, Kind, Transport, Wire, wanted_ufrag};

use crate::capture::Capture;
use crate::command::{Command, CommandQueue, Request};
use crate::ends::{ReceiverShared, SenderShared, Spoken};
use crate::event::{Counters, EventQueue, Left, Notice, TransportStats};
use crate::gathering::{Gather, IceServer, Lookup, Policy};
use crate::lines;
use crate::shared::{ChannelShared, NOWHERE, TransportShared};
use crate::stream;
use crate::trouble;
use crate::watch::Change;
use crate::wheel::Wheel;
use network::Network;
use passive::Passive;
use shared::{Destination, SharedSockets};
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
    transports: Vec<Option<HubTransport<N>>>,
    /// Indices of `transports` that are free.
    free: Vec<u32>,
    /// id of a transport -> its index
    indices: HashMap<u64, u32>,
    ended: VecDeque<(u64, Arc<TransportStats>)>,
    passive: Passive<N::Listener>,
    shared: SharedSockets<N::Socket>,
    wheel: Wheel,
    touched: Vec<u32>,
    batch: Batch,
    due: Vec<u32>,
    shutdown: Vec<Arc<dyn Fn() + Send + Sync>>,
    sending: Option<Sending>,
    now: Instant,
    /// A transport whose path is relayed had something to do, since this was last looked at.
    pub had_relayed: bool,
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
            passive: Passive::default(),
            shared: SharedSockets::new(),
            wheel: Wheel::new(now),
            touched: Vec::new(),
            batch,
            due: Vec::new(),
            shutdown: Vec::new(),
            sending: None,
            had_relayed: false,
            now,
        }
    }

    // --- what comes in ----------------------------------------------------------------------------------------------

    /// Run at most `budget` commands; true when more may wait.
    pub fn run_commands(&mut self, now: Instant, budget: usize) -> bool {
        self.now = now;
        let mut left = budget;
        while left > 0 {
            if let Some(mut sending) = self.sending.take() {
                left -= self.send(now, &mut sending, left);
                self.sending = Some(sending).filter(|sending| sending.messages.len() > 0);
                continue;
            }
            left -= 1;
            match self.commands.pop() {
                None => return false,
                Some(Command::Send { channel }) => self.sending = Some(Sending::from(channel)),
                Some(Command::Consumed { transport, size }) => {
                    let index = transport.index.load(Ordering::Relaxed);
                    if let Ok(index) = u32::try_from(index) {
                        self.guarded(index, |transport| transport.engine.consumed(now, size));
                    }
                }
                Some(Command::Sound(spoken)) => {
                    for Spoken { sender, unit } in spoken {
                        self.on_sender(&sender, |engine| engine.send_audio(now, sender.id, unit));
                    }
                }
                Some(Command::Frame { sender, unit }) => {
                    sender.is_taken(unit.data.len());
                    self.on_sender(&sender, |engine| engine.send_frame(now, sender.id, *unit));
                }
                Some(Command::Request(request)) => self.run(now, *request),
            }
        }
        true
    }

    /// Call the engine that a sender sends by now.
    fn on_sender<T>(&mut self, sender: &SenderShared, call: impl FnOnce(&mut Transport) -> T) {
        if let Ok(index) = u32::try_from(sender.place()) {
            self.guarded(index, |transport| call(&mut transport.engine));
        }
    }

    /// Call the engine that a receiver hears by now.
    fn on_receiver(&mut self, receiver: &ReceiverShared, call: impl FnOnce(&mut Transport)) {
        if let Ok(index) = u32::try_from(receiver.place()) {
            self.guarded(index, |transport| call(&mut transport.engine));
        }
    }

    /// Send messages of an outbox, at most so many, in one call into the engine. Returns how many there were.
    fn send(&mut self, now: Instant, sending: &mut Sending, most: usize) -> usize {
        let Sending { channel, messages } = sending;
        let (mut count, mut lost) = (0, 0);
        let sent = self.on_channel(channel, |transport, key| {
            for (kind, data) in messages.by_ref().take(most) {
                let size = data.len();
                count += 1;
                lost += size; // also if it panics
                if transport.send(now, key, kind, data) {
                    lost -= size;
                }
            }
        });
        if sent.is_some() {
            // The channel lives; of one that has ended the amount stays (closing rule 48).
            channel.buffered.fetch_sub(lost, Ordering::AcqRel);
        } else {
            let rest = messages.by_ref().take(most - count);
            (count, lost) =
                rest.fold((count, lost), |(count, lost), (_, data)| (count + 1, lost + data.len()));
        }
        channel.transport.buffered.fetch_sub(lost, Ordering::AcqRel);
        count
    }

    pub fn handle_datagram(&mut self, now: Instant, index: u32, wire: Wire, datagram: &[u8]) {
        match SharedSockets::<N::Socket>::number(index) {
            None => {
                self.guarded(index, |transport| transport.handle_datagram(now, wire, datagram));
            }
            Some(number) => self.handle_shared(now, number, wire, datagram),
        }
    }

    /// Something has happened to a stream of this transport.
    pub fn handle_stream(&mut self, now: Instant, index: u32, wire: Wire, event: stream::Event) {
        self.guarded(index, |transport| transport.handle_stream(now, wire, event));
    }

    /// A connection has come in, and this is its first datagram. Returns the transport that it is for; None: no
    /// transport knows it.
    pub fn claim_stream(&mut self, now: Instant, wire: Wire, stream: N::Stream, first: &[u8]) -> Option<u32> {
        let index = self.passive.owner(&wanted_ufrag(first)?)?;
        self.guarded(index, |transport| transport.accept_stream(now, wire, stream))?.then_some(index)
    }

    /// A connection that came in was dropped, and no transport knows it.
    pub fn refuse_stream(&mut self, wire: Wire, why: &str) {
        log::debug!(target: layers::ICE, "! a TCP connection from {} was dropped: {why}", wire.remote);
        let mut transports = self.transports.iter().flatten();
        if let Some(one) = transports.find(|one| one.passive.iter().any(|wish| wish.0 == wire.local.ip())) {
            Counters::add(&one.queue.counters.dropped_stream, 1);
        }
    }

    #[cold]
    #[inline(never)]
    fn handle_shared(&mut self, now: Instant, number: u32, wire: Wire, datagram: &[u8]) {
        let Some(shared) = self.shared.get(number) else { return };
        match shared.demux.find(now, wire.remote, datagram) {
            Destination::Owner(index) => {
                self.guarded(index, |transport| transport.handle_datagram(now, wire, datagram));
            }
            Destination::Claimant(index) => {
                let is_authentic = self.guarded(index, |transport| {
                    let before = transport.engine.authentic_checks();
                    transport.handle_datagram(now, wire, datagram);
                    transport.engine.authentic_checks() != before
                });
                if let (Some(true), Some(shared)) = (is_authentic, self.shared.get(number)) {
                    shared.demux.heard(now, index, wire.remote);
                }
            }
            Destination::Taken => {
                let Wire { local, remote, .. } = wire;
                log::debug!(target: adieu_engine::lines::ICE, "! {local}: another connection has {remote}, its peer is there");
                Counters::add(&shared.queue.counters.dropped_stun, 1);
            }
            Destination::Nobody => Counters::add(&shared.queue.counters.dropped_unknown, 1),
        }
    }

    /// The socket with this index takes datagrams again.
    pub fn handle_writable(&mut self, index: u32) {
        let waiting = match SharedSockets::<N::Socket>::number(index) {
            None => vec![index],
            Some(number) => self.shared.unblock(number),
        };
        for index in waiting {
            self.guarded(index, |transport| transport.is_blocked = false);
        }
    }

    /// The addresses of the machine have changed, or it has slept: every path is checked at once, and the connections
    /// learn of it. `owner`: of this loop's host alone.
    pub fn handle_network(&mut self, now: Instant, owner: Option<u64>, change: &Change, slept: Duration) {
        self.now = now;
        for index in 0..self.transports.len() as u32 {
            let transport = self.transports[index as usize].as_ref();
            if transport.is_some_and(|transport| owner.is_none_or(|owner| transport.owner == owner)) {
                self.guarded(index, |transport| transport.engine.network_changed(now, &change.gone));
            }
        }
        for (&connection, one) in &self.connections {
            if owner.is_none_or(|owner| one.owner == owner) && !one.is_closing {
                one.queue.notice(Notice::Network { connection, change: change.clone(), slept });
                one.queue.signal();
            }
        }
    }

    /// Whether no connection is open.
    pub fn is_idle(&self) -> bool {
        self.connections.is_empty()
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
        self.now = now;
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
        if !self.shutdown.is_empty() && self.connections.is_empty() && !self.net.lingers() {
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
        let Hub { net, shared, passive, batch, .. } = self;
        let result = catch_unwind(AssertUnwindSafe(|| {
            transport.close_unused(net, shared, passive);
            transport.pump(now, net, shared, batch);
        }));
        if lines::are_wanted() {
            transport.hand_up_lines();
        }
        if let Err(panic) = result {
            return self.panicked(now, index, &*panic);
        }
        self.had_relayed |= transport.engine.is_relayed();
        if transport.reaped_by.is_some_and(|deadline| !transport.has_last_words() || now >= deadline) {
            return self.end_transport(index);
        }
        if transport.reaped_by.is_some() && !transport.is_blocked {
            // From here on it only gives its relays back.
            transport.close_sockets(&mut self.net, &mut self.shared);
        }
        let wanted = [transport.engine.poll_timeout(now), transport.reaped_by].into_iter().flatten().min();
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

    #[expect(clippy::too_many_lines, reason = "one match")]
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
            Request::OpenTransport { connection, shared, config, capture } => {
                self.open_transport(now, connection, (shared, config), capture);
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
            Request::ReadFrames { receiver } => {
                let is_read = receiver.is_wanted();
                self.on_receiver(&receiver, |engine| engine.read_frames(now, receiver.id, is_read));
            }
            Request::RequestKey { receiver } => {
                self.on_receiver(&receiver, |engine| engine.request_key(now, receiver.id));
            }
            Request::Media { transport, negotiated } => {
                self.on_transport(transport, |transport| transport.apply_media(now, negotiated));
            }
            Request::Tone { sender, tone, length } => {
                self.on_sender(&sender, |engine| engine.send_tone(now, sender.id, tone, length));
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
                    transport.server_resolved(now, lookup.generation, &lookup.server, addresses);
                });
            }
            Request::TrustLoaded => {}
            Request::NameFound { transport, name, addresses } => {
                self.on_transport(transport, |transport| {
                    transport.engine.name_found(now, &name, &addresses);
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

    /// The names that hide these addresses, if they are to be hidden.
    fn names_of(
        &mut self,
        now: Instant,
        index: u32,
        hosts: &[SocketAddr],
        are_hidden: bool,
    ) -> Vec<(IpAddr, Arc<str>)> {
        let Some(transport) = self.transports[index as usize].as_mut().filter(|_| are_hidden) else {
            return Vec::new();
        };
        hosts.iter().map(|host| (host.ip(), transport.name_of(now, &mut self.net, host.ip()))).collect()
    }

    fn open_transport(
        &mut self,
        now: Instant,
        connection_id: u64,
        (shared, config): (Arc<TransportShared>, Config),
        capture: Option<Arc<Capture>>,
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
        let mut transport =
            HubTransport::new(index, (connection_id, connection.owner), shared, queue, engine);
        transport.set_capture(capture);
        self.transports[index as usize] = Some(transport);
    }

    fn gather(&mut self, now: Instant, id: u64, gather: Gather) {
        let Some(&index) = self.indices.get(&id) else { return };
        let Some(transport) = self.transports[index as usize].as_mut() else { return };
        let generation = gather.generation;
        transport.generation = generation;
        transport.trust = gather.trust.clone();
        transport.ports = gather.addresses.ports;
        let (mut hosts, mut bases) = (Vec::new(), Vec::new());
        match addresses(&mut self.net, transport.owner, &gather) {
            // No candidate is of these addresses: each relay has a socket of its own.
            Ok(addresses) if gather.policy == Policy::Relay => bases = addresses,
            Ok(addresses) => {
                for ip in addresses {
                    match transport.socket_on(&mut self.net, &mut self.shared, ip, &gather) {
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
                    hosts.extend(transport.sockets.iter().map(|held| held.local));
                }
            }
        }
        let passive = self.listen(index, &hosts, &gather);
        bases.extend(hosts.iter().map(SocketAddr::ip));
        let hidden = self.names_of(now, index, &hosts, gather.hides_addresses);
        let servers = wanted(gather.policy, gather.servers);
        let mut lookups = Vec::new();
        self.guarded(index, |transport| {
            transport.engine.start_generation(now, generation, gather.local, gather.role);
            for (ip, name) in hidden {
                transport.engine.hide_address(generation, ip, name);
            }
            transport.add_candidates(now, &hosts, passive, &gather.addresses);
            transport.engine.set_bases(generation, bases);
            for server in servers {
                match &server.relay {
                    Some(relay) => transport.engine.expect_relay(now, generation, relay.clone()),
                    None => transport.engine.expect_server(now, generation, server.url.clone()),
                }
                match server.host.parse::<IpAddr>() {
                    Ok(ip) => {
                        let address = vec![SocketAddr::new(ip, server.port)];
                        transport.server_resolved(now, generation, &server, Ok(address));
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

    /// Have connections come in for the passive TCP candidates of a generation. Returns their addresses.
    fn listen(&mut self, index: u32, hosts: &[SocketAddr], gather: &Gather) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        let Some(port) = gather.tcp_port.filter(|_| gather.policy == Policy::All) else { return addresses };
        let Some(transport) = self.transports[index as usize].as_mut() else { return addresses };
        self.passive.expect(gather.local.ufrag.clone(), index);
        for host in hosts {
            let wish = (host.ip(), port);
            if transport.passive.contains(&wish) {
                addresses.extend(self.passive.address(wish));
                continue;
            }
            match self.passive.join(&mut self.net, wish) {
                Ok(address) => {
                    transport.passive.push(wish);
                    addresses.push(address);
                }
                Err(error) => {
                    let text = format!("no TCP port {port} on {}: {}", host.ip(), trouble::name(&error));
                    transport.tell_trouble(Some(host.ip()), Some(port), text);
                }
            }
        }
        addresses
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
    fn release(&mut self, index: u32, mut transport: HubTransport<N>) {
        self.wheel.remove(index);
        self.indices.remove(&transport.shared.id);
        self.free.push(index);
        transport.shared.index.store(NOWHERE, Ordering::Relaxed);
        let queue = transport.queue.clone();
        let counters = &queue.counters;
        Counters::subtract(&counters.transports, 1);
        Counters::subtract(&counters.timers, u64::from(transport.counted_timer));
        for (_, name) in &transport.names {
            self.net.withdraw_name(name);
        }
        let (held, given_up) = transport.engine.allocations();
        Counters::subtract(&counters.allocations, transport.counted_allocations as u64);
        let mut unsent = transport.close_sockets(&mut self.net, &mut self.shared);
        let (relays, streams) = (&transport.relay_sockets, transport.streams.iter());
        unsent += relays.iter().map(|(_, _, socket)| self.net.close(*socket)).sum::<usize>();
        Counters::subtract(&counters.sockets, (relays.len() + streams.len()) as u64);
        for wish in &transport.passive {
            self.passive.leave(&mut self.net, *wish);
        }
        self.passive.forget(index);
        unsent += streams.map(|one| self.net.close_stream(self.now, one.stream)).sum::<usize>();
        let id = transport.connection;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.left.unsent += unsent;
            connection.left.allocations += held + given_up;
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

    fn on_transport(&mut self, transport: u64, call: impl FnOnce(&mut HubTransport<N>)) {
        if let Some(&index) = self.indices.get(&transport) {
            self.guarded(index, call);
        }
    }

    fn on_channel<T>(
        &mut self,
        channel: &ChannelShared,
        call: impl FnOnce(&mut HubTransport<N>, ChannelKey) -> T,
    ) -> Option<T> {
        let place = channel.place.load(Ordering::Relaxed);
        if place == NOWHERE {
            return None;
        }
        self.guarded((place >> 32) as u32, |transport| call(transport, ChannelKey(place as u32)))
    }

    /// Run something on a transport, and look at it at the end of the turn.
    fn guarded<T>(&mut self, index: u32, call: impl FnOnce(&mut HubTransport<N>) -> T) -> Option<T> {
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

/// The servers that this policy wants.
fn wanted(policy: Policy, servers: Vec<IceServer>) -> Vec<IceServer> {
    servers.into_iter().filter(|server| policy == Policy::All || server.relay.is_some()).collect()
}

/// Return the addresses to gather on. If there are no addresses, the error says why.
fn addresses<N: Network>(net: &mut N, owner: u64, gather: &Gather) -> Result<Vec<IpAddr>, String> {
    if gather.policy == Policy::Relay && gather.servers.iter().all(|server| server.relay.is_none()) {
        return Err("only relayed candidates are wanted, and there is no TURN server that could be used: \
                    set iceTransportPolicy to \"all\""
            .to_owned());
    }
    let interfaces = net
        .interfaces(owner)
        .map_err(|error| format!("the network interfaces cannot be listed: {}", trouble::name(&error)))?;
    let routes = if gather.addresses.default_route_only { net.default_routes(owner) } else { Vec::new() };
    gather.addresses.choose(&interfaces, &routes)
}
