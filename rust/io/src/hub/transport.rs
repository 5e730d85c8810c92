//! One transport in the hub: its engine, its sockets, its channels as the application knows them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use adieu_engine::channel::ChannelEvent;
use adieu_engine::dtls::DtlsState;
use adieu_engine::lines as layers;
use adieu_engine::sctp::SctpState;
use adieu_engine::{
    Batch, ChannelKey, ChannelOptions, Drops, Kind, Protocol, Transport, Wire, WireEvent, WireKey, WireOrder,
    WireTransport,
};

use super::media::MediaEnds;
use super::network::{Network, Place, Port, Sent};
use super::passive::{Passive, Wish};
use super::shared::{Guest, SharedSockets};
use super::streams::OpenStreams;
use crate::addresses::{Addresses, Ports};
use crate::capture::{Capture, Direction};
use crate::command::Negotiated;
use crate::event::{Counters, Event, EventQueue, Notice, TransportStats};
use crate::gathering::{Gather, IceServer};
use crate::lines;
use crate::shared::{ChannelShared, NOWHERE, TransportShared};
use crate::stream::framing::Framing;
use crate::stream::tls::Trust;
use crate::stream::{self, Connect, Tls};
use crate::trouble;

pub(super) struct HubTransport<N: Network> {
    index: u32,
    pub connection: u64,
    pub owner: u64,
    pub shared: Arc<TransportShared>,
    pub queue: Arc<EventQueue>,
    pub engine: Transport,
    pub sockets: Vec<Held<N::Socket>>,
    /// Those of relays: an allocation needs a port of its own.
    pub relay_sockets: Vec<(WireKey, SocketAddr, N::Socket)>,
    /// The ports that the newest generation may use, also for the sockets of its relays.
    pub ports: Option<Ports>,
    pub streams: OpenStreams<N::Stream>,
    /// Ports on which connections come in for it.
    pub passive: Vec<Wish>,
    /// The certificates that TURN servers must have; None: those that the platform trusts.
    pub trust: Option<Arc<Trust>>,
    /// Allocations in the counters of the queue.
    pub counted_allocations: usize,
    /// The names that hide addresses, for as long as it has sockets there.
    pub names: Vec<(IpAddr, Arc<str>)>,
    capture: Option<Arc<Capture>>,
    media: MediaEnds,
    channels: Vec<Option<OpenChannel>>,
    pub timer: Option<Instant>,
    pub counted_timer: bool,
    pub is_touched: bool,
    /// A socket takes nothing at present.
    pub is_blocked: bool,
    pub is_congested: bool,
    /// Closed: only its last words are waited for, until then.
    pub reaped_by: Option<Instant>,
    /// The latest generation that was gathered for.
    pub generation: u32,
    /// As the engine had it when unused sockets were last looked for.
    generations_gone: u64,
    told_forbidden: bool,
    drops: Drops,
    /// The last figures, taken before everything was closed.
    pub last_stats: Option<TransportStats>,
}

/// A socket that a transport uses.
pub(super) struct Held<S> {
    pub local: SocketAddr,
    pub socket: S,
    /// The number among the sockets that are shared.
    pub shared: Option<u32>,
}

struct OpenChannel {
    shared: Arc<ChannelShared>,
    /// Payload bytes that the engine took and that did not leave yet.
    unsent: usize,
}

impl<N: Network> HubTransport<N> {
    pub fn new(
        index: u32,
        (connection, owner): (u64, u64),
        shared: Arc<TransportShared>,
        queue: Arc<EventQueue>,
        engine: Transport,
    ) -> HubTransport<N> {
        HubTransport {
            index,
            connection,
            owner,
            shared,
            queue,
            engine,
            sockets: Vec::new(),
            relay_sockets: Vec::new(),
            ports: None,
            streams: OpenStreams::default(),
            passive: Vec::new(),
            trust: None,
            counted_allocations: 0,
            names: Vec::new(),
            capture: None,
            media: MediaEnds::default(),
            channels: Vec::new(),
            timer: None,
            counted_timer: false,
            is_touched: false,
            is_blocked: false,
            is_congested: false,
            reaped_by: None,
            generation: 0,
            generations_gone: 0,
            told_forbidden: false,
            drops: Drops::default(),
            last_stats: None,
        }
    }

    /// The socket of this address; of a generation before, if there is one: the pair of addresses and ports may stay
    /// the same over an ICE restart.
    pub fn socket_on(
        &mut self,
        net: &mut N,
        shared: &mut SharedSockets<N::Socket>,
        ip: IpAddr,
        gather: &Gather,
    ) -> io::Result<SocketAddr> {
        let (index, owner, ufrag) = (self.index, self.owner, gather.local.ufrag.as_str());
        let known = self.sockets.iter().find(|held| held.local.ip() == ip);
        if let Some(Held { local, shared: number, .. }) = known {
            if let Some(socket) = number.and_then(|number| shared.get(number)) {
                socket.demux.enter(index, ufrag);
            }
            return Ok(*local);
        }
        if let Some(port) = gather.addresses.shared_port {
            let guest = Guest { index, ufrag, queue: &self.queue };
            if let Some((number, socket, local)) = shared.enter(net, (owner, ip, port), guest)? {
                self.sockets.push(Held { local, socket, shared: Some(number) });
                return Ok(local);
            }
            log::debug!(target: layers::ICE, "! a transport with this ufrag shares port {port} already");
        }
        let port = gather.addresses.ports.map_or(Port::Any, Port::Of);
        let (socket, local) = net.bind(index, Place { owner, ip, port })?;
        log::debug!(target: layers::ICE, "= socket {local}");
        self.sockets.push(Held { local, socket, shared: None });
        Counters::add(&self.queue.counters.sockets, 1);
        Ok(local)
    }

    /// Write all packets there.
    pub fn set_capture(&mut self, capture: Option<Arc<Capture>>) {
        self.engine.set_tapped(capture.as_ref().is_some_and(|capture| capture.has_contents));
        self.capture = capture;
    }

    #[inline]
    pub fn handle_datagram(&mut self, now: Instant, wire: Wire, datagram: &[u8]) {
        if let Some(capture) = &self.capture {
            capture.received(now, wire, datagram);
        }
        self.engine.handle_datagram(now, wire, datagram);
    }

    /// Give the engine the addresses of the latest generation: of UDP, and of TCP that connects or listens.
    /// Of a socket behind a 1:1 NAT the peer learns the outside address.
    pub fn add_candidates(
        &mut self,
        now: Instant,
        hosts: &[SocketAddr],
        passive: Vec<SocketAddr>,
        addresses: &Addresses,
    ) {
        for &host in hosts {
            match addresses.outside(host.ip()) {
                Some(outside) => self.engine.add_host_behind(now, self.generation, host, outside),
                None => self.engine.add_host(now, self.generation, host),
            }
        }
        for host in hosts {
            self.engine.add_tcp(now, self.generation, host.ip());
        }
        for address in passive {
            self.engine.add_tcp_passive(now, self.generation, address);
        }
    }

    /// The name that hides an address.
    pub fn name_of(&mut self, now: Instant, net: &mut N, ip: IpAddr) -> Arc<str> {
        if let Some((_, name)) = self.names.iter().find(|(known, _)| *known == ip) {
            return name.clone();
        }
        let (name, published) = net.publish_name(now, ip);
        if let Err(error) = published {
            // The address stays hidden all the same: it was the application's wish.
            let text = format!("the name of a candidate cannot be published: {}", trouble::name(&error));
            self.tell_trouble(None, None, text);
        }
        self.names.push((ip, name.clone()));
        name
    }

    /// Something of this machine is in the way of the latest generation.
    pub fn tell_trouble(&self, address: Option<IpAddr>, port: Option<u16>, text: String) {
        let (transport, generation) = (self.shared.id, self.generation);
        self.queue.notice(Notice::Trouble { transport, generation, address, port, text });
    }

    pub fn open_channel(&mut self, now: Instant, shared: Arc<ChannelShared>, options: ChannelOptions) {
        self.deliver(now); // keys of channels that have ended are used again
        if let Some(key) = self.engine.open_channel(now, shared.stream, options) {
            self.enter_channel(key, shared);
        }
    }

    pub fn send(&mut self, now: Instant, key: ChannelKey, kind: Kind, data: Vec<u8>) -> bool {
        let size = data.len();
        if !self.engine.send(now, key, kind, data) {
            return false;
        }
        if let Some(channel) = self.channels.get_mut(key.0 as usize).and_then(Option::as_mut) {
            channel.unsent += size;
        }
        true
    }

    /// Close this transport while its connection goes on. Its channels get their event.
    pub fn close_alone(&mut self, now: Instant, reason: &str, reaped_by: Instant) {
        self.deliver(now);
        for channel in self.channels.iter().flatten() {
            let error = Some(format!("the transport was closed: {reason}"));
            self.queue.notice(Notice::ChannelClosed { channel: channel.shared.id, error, cause: None });
        }
        self.close(now, reason, reaped_by);
    }

    pub fn close(&mut self, now: Instant, reason: &str, reaped_by: Instant) {
        if self.reaped_by.is_some() {
            return;
        }
        self.last_stats = Some(self.stats(now));
        self.engine.close(now, reason);
        self.media.close(self.index);
        self.abandon_channels();
        self.channels.clear();
        self.reaped_by = Some(reaped_by);
        self.timer = None;
    }

    /// Apply what has been negotiated for its media.
    pub fn apply_media(&mut self, now: Instant, negotiated: Negotiated) {
        let Negotiated { epoch, cname, sections, senders, receivers, unix } = negotiated;
        let kept_senders: Vec<u64> = senders.iter().map(|sender| sender.id).collect();
        let kept_receivers: Vec<u64> = receivers.iter().map(|receiver| receiver.id).collect();
        self.media.add(self.index, senders, receivers);
        self.engine.apply_media(now, unix, (epoch, cname), sections);
        for receiver in self.media.read_receivers() {
            self.engine.read_frames(now, receiver, true);
        }
        self.deliver_media();
        self.media.keep(&kept_senders, &kept_receivers);
    }

    fn deliver_media(&mut self) {
        while let Some(event) = self.engine.poll_media() {
            self.media.handle(&self.queue, self.index, event);
        }
        self.media.set_unsent(self.engine.unsent_media());
    }

    /// Make later commands on these channels do nothing.
    pub fn abandon_channels(&self) {
        for channel in self.channels.iter().flatten() {
            channel.shared.place.store(NOWHERE, Ordering::Relaxed);
            Counters::subtract(&self.queue.counters.channels, 1);
        }
    }

    /// Events up, datagrams out.
    pub fn pump(
        &mut self,
        now: Instant,
        net: &mut N,
        shared: &mut SharedSockets<N::Socket>,
        batch: &mut Batch,
    ) {
        self.deliver(now);
        // Before anything is sent: meanwhile the application's thread wakes up.
        self.queue.signal();
        self.run_orders(now, net);
        while let Some(name) = self.engine.poll_name() {
            net.find_name(now, self.shared.id, &name);
        }
        while !self.is_blocked && self.engine.poll_transmit(now, batch) {
            if let Some(capture) = &self.capture {
                capture.sent(now, batch);
            }
            let Some((sent, number)) = self.send_batch(now, net, shared, batch) else { continue };
            match sent {
                Sent::Taken => {}
                Sent::Full => {
                    self.is_blocked = true;
                    if let Some(number) = number {
                        shared.block(number, self.index);
                    }
                }
                Sent::Refused(error) => {
                    Counters::add(&self.queue.counters.dropped_unsent, batch.count() as u64);
                    // Once: what is forbidden stays so. All else may pass, and ICE has its own clock for it.
                    if trouble::is_forbidden(&error) && !std::mem::replace(&mut self.told_forbidden, true) {
                        let text = format!(
                            "nothing can be sent to {}: {}",
                            batch.wire.remote,
                            trouble::name(&error)
                        );
                        self.tell_trouble(Some(batch.wire.local.ip()), Some(batch.wire.local.port()), text);
                    }
                }
            }
        }
        self.run_orders(now, net);
        if let Some(capture) = &self.capture {
            while let Some((is_sent, packet)) = self.engine.poll_tapped() {
                capture.plain(now, if is_sent { Direction::Out } else { Direction::In }, &packet);
            }
        }
        self.deliver(now);
        self.run_orders(now, net);
        self.count_allocations();
        if !self.is_congested && self.queue.is_congested() {
            self.is_congested = true;
            self.engine.set_congested(now, true);
        }
        let drops = self.engine.drops();
        if drops != self.drops {
            let more = drops.minus(&self.drops);
            log::debug!(target: layers::CONNECTION, "! dropped: {more}");
            self.queue.counters.add_drops(&more);
            self.drops = drops;
        }
    }

    /// None: there is no such socket any longer.
    fn send_batch(
        &self,
        now: Instant,
        net: &mut N,
        shared: &mut SharedSockets<N::Socket>,
        batch: &Batch,
    ) -> Option<(Sent, Option<u32>)> {
        if batch.wire.transport != WireTransport::Udp {
            let stream = self.streams.on_wire(batch.wire)?.stream;
            return Some((net.send_stream(now, stream, batch), None));
        }
        if let Some(held) = self.sockets.iter().find(|held| held.local == batch.wire.local) {
            if let Some(number) = held.shared {
                shared.sent(now, number, self.index, batch);
            }
            return Some((net.send(now, held.socket, batch), held.shared));
        }
        let (_, _, socket) = self.relay_sockets.iter().find(|(_, local, _)| *local == batch.wire.local)?;
        Some((net.send(now, *socket, batch), None))
    }

    /// Open and close wires as the engine wants it.
    fn run_orders(&mut self, now: Instant, net: &mut N) {
        while let Some(order) = self.engine.poll_order() {
            match order {
                WireOrder::Open { key, transport: WireTransport::Udp, local, remote, .. } => {
                    let port = self.ports.map_or(Port::Any, Port::Of);
                    let event = match net.bind(self.index, Place { owner: self.owner, ip: local, port }) {
                        Ok((socket, local)) => {
                            self.relay_sockets.push((key, local, socket));
                            Counters::add(&self.queue.counters.sockets, 1);
                            WireEvent::Open { wire: Wire::udp(local, remote) }
                        }
                        Err(error) => WireEvent::Closed { text: trouble::name(&error) },
                    };
                    self.engine.handle_wire(now, key, event);
                }
                WireOrder::Open { key, transport, local, remote, name } => {
                    let wire = Wire { transport, local: SocketAddr::new(local, 0), remote };
                    if let Err(error) = self.open_stream(now, net, key, wire, name) {
                        let text = trouble::name(&error);
                        self.engine.handle_wire(now, key, WireEvent::Closed { text });
                    }
                }
                WireOrder::Close { key } => self.close_wire(now, net, key),
            }
        }
    }

    fn open_stream(
        &mut self,
        now: Instant,
        net: &mut N,
        key: WireKey,
        wire: Wire,
        name: Option<String>,
    ) -> io::Result<()> {
        let tls = name.map(|name| Tls { name, trust: self.trust.clone() });
        let framing = match key {
            WireKey::Turn(_) => Framing::Turn,
            WireKey::Ice(_) | WireKey::Accepted(_) => Framing::Ice,
        };
        let (stream, wire) = net.connect(now, Connect { index: self.index, wire, framing, tls })?;
        self.streams.add(key, wire, stream);
        Counters::add(&self.queue.counters.sockets, 1);
        Ok(())
    }

    fn close_wire(&mut self, now: Instant, net: &mut N, key: WireKey) {
        if let Some(closed) = self.streams.take(|one| one.key == key) {
            net.close_stream(now, closed.stream);
            self.stream_is_gone();
        }
        if let Some(at) = self.relay_sockets.iter().position(|(known, ..)| *known == key) {
            let (_, _, socket) = self.relay_sockets.swap_remove(at);
            self.close_socket(net, socket);
        }
    }

    /// Close a socket of its own. It may have been the full one: another that is full says so at the next datagram.
    fn close_socket(&mut self, net: &mut N, socket: N::Socket) {
        let unsent = net.close(socket);
        self.is_blocked = false;
        Counters::add(&self.queue.counters.dropped_unsent, unsent as u64);
        Counters::subtract(&self.queue.counters.sockets, 1);
    }

    /// When a generation has gone, give back its sockets, ports and names, unless another one uses them.
    pub fn close_unused(
        &mut self,
        net: &mut N,
        shared: &mut SharedSockets<N::Socket>,
        passive: &mut Passive<N::Listener>,
    ) {
        let gone = self.engine.generations_gone();
        if std::mem::replace(&mut self.generations_gone, gone) == gone {
            return;
        }
        let engine = &self.engine;
        let unused = self.sockets.extract_if(.., |held| !engine.uses(Protocol::Udp, held.local));
        for Held { local, socket, shared: number } in unused.collect::<Vec<_>>() {
            log::debug!(target: layers::ICE, "x socket {local}: no generation uses it");
            match number {
                Some(number) => {
                    shared.leave(net, number, self.index);
                    self.is_blocked = false;
                }
                None => self.close_socket(net, socket),
            }
        }
        let engine = &self.engine;
        let is_used = |address| engine.uses(Protocol::Tcp, address);
        let unused = self.passive.extract_if(.., |wish| !passive.address(*wish).is_some_and(is_used));
        for wish in unused.collect::<Vec<_>>() {
            passive.leave(net, wish);
        }
        let sockets = &self.sockets;
        let is_unused = |(ip, _): &mut (IpAddr, _)| sockets.iter().all(|held| held.local.ip() != *ip);
        for (_, name) in self.names.extract_if(.., is_unused) {
            net.withdraw_name(&name);
        }
    }

    /// A connection has come in for this transport. False: it is closed.
    pub fn accept_stream(&mut self, now: Instant, wire: Wire, stream: N::Stream) -> bool {
        if self.reaped_by.is_some() {
            return false;
        }
        let key = self.streams.accept(wire, stream);
        Counters::add(&self.queue.counters.sockets, 1);
        self.engine.handle_wire(now, key, WireEvent::Open { wire });
        true
    }

    /// The network has news of a stream.
    pub fn handle_stream(&mut self, now: Instant, wire: Wire, event: stream::Event) {
        let Some(known) = self.streams.on_wire(wire) else { return };
        match event {
            stream::Event::Open => self.engine.handle_wire(now, known.key, WireEvent::Open { wire }),
            stream::Event::Closed(text) => {
                self.streams.take(|one| one.wire == wire);
                self.stream_is_gone();
                self.engine.handle_wire(now, known.key, WireEvent::Closed { text });
            }
            stream::Event::Writable => self.is_blocked = false,
        }
    }

    /// Count a stream that is gone. It may have been the full one.
    fn stream_is_gone(&mut self) {
        self.is_blocked = false;
        Counters::subtract(&self.queue.counters.sockets, 1);
    }

    fn count_allocations(&mut self) {
        let (held, _) = self.engine.allocations();
        let before = std::mem::replace(&mut self.counted_allocations, held);
        Counters::add(&self.queue.counters.allocations, held.saturating_sub(before) as u64);
        Counters::subtract(&self.queue.counters.allocations, before.saturating_sub(held) as u64);
    }

    /// The addresses of a server are known, or why they are not.
    pub fn server_resolved(
        &mut self,
        now: Instant,
        generation: u32,
        server: &IceServer,
        addresses: Result<Vec<SocketAddr>, String>,
    ) {
        match &server.relay {
            Some(relay) => self.engine.relay_resolved(now, generation, relay, addresses),
            None => self.engine.server_resolved(now, generation, &server.url, addresses),
        }
    }

    /// Whether something is still to be sent, or to be answered by a TURN server, after the close.
    pub fn has_last_words(&self) -> bool {
        self.is_blocked || self.engine.is_releasing()
    }

    /// Returns how many accepted datagrams cannot leave now.
    pub fn close_sockets(&mut self, net: &mut N, shared: &mut SharedSockets<N::Socket>) -> usize {
        let mut unsent = 0;
        for held in self.sockets.drain(..) {
            if let Some(number) = held.shared {
                unsent += shared.leave(net, number, self.index);
            } else {
                unsent += net.close(held.socket);
                Counters::subtract(&self.queue.counters.sockets, 1);
            }
        }
        unsent
    }

    /// Hand up the lines that the engine has logged in this turn.
    pub fn hand_up_lines(&self) {
        for line in lines::take() {
            self.queue.line(self.connection, line);
        }
    }

    fn deliver(&mut self, now: Instant) {
        while let Some((key, bytes)) = self.engine.poll_drained(now) {
            let Some(channel) = self.channels.get_mut(key.0 as usize).and_then(Option::as_mut) else {
                continue;
            };
            channel.unsent -= bytes.min(channel.unsent);
            self.shared.buffered.fetch_sub(bytes, Ordering::AcqRel);
            let left = channel.shared.buffered.fetch_sub(bytes, Ordering::SeqCst) - bytes;
            let low = channel.shared.low.load(Ordering::Relaxed);
            // Sequentially consistent, as in `Channel::watch_low`: one of the two sees what the other has done.
            if left <= low && channel.shared.watched.swap(false, Ordering::SeqCst) {
                self.queue.push(Event::Low { channel: channel.shared.id });
            }
        }
        while let Some(event) = self.engine.poll_event(now) {
            self.translate(event);
        }
        self.deliver_media();
    }

    fn translate(&mut self, event: adieu_engine::Event) {
        use adieu_engine::Event as E;
        let notice = match event {
            E::Channel(ChannelEvent::Message { key, kind, payload }) => {
                if let Some(channel) = self.id_of(key) {
                    self.queue.push(Event::Message { channel, kind, data: payload });
                }
                return;
            }
            E::Channel(event) => match self.translate_channel(event) {
                Some(notice) => notice,
                None => return,
            },
            // The application knows that they begin: it has begun them.
            E::Dtls { state: DtlsState::New, .. } | E::Sctp { state: SctpState::Connecting, .. } => return,
            event => Notice::Engine { transport: self.shared.id, event },
        };
        self.queue.notice(notice);
    }

    fn translate_channel(&mut self, event: ChannelEvent) -> Option<Notice> {
        match event {
            ChannelEvent::Message { .. } => None,
            ChannelEvent::Open { key } => Some(Notice::ChannelOpen { channel: self.id_of(key)? }),
            ChannelEvent::Incoming { key, stream, options } => {
                let channel = Arc::new(ChannelShared::new(stream, self.shared.clone()));
                self.enter_channel(key, channel.clone());
                Some(Notice::ChannelIncoming { transport: self.shared.id, channel, options: *options })
            }
            ChannelEvent::Closing { key } => Some(Notice::ChannelClosing { channel: self.id_of(key)? }),
            ChannelEvent::Closed { key, error, cause } => Some(Notice::ChannelClosed {
                channel: self.leave_channel(key)?,
                error: error.map(String::from),
                cause,
            }),
            ChannelEvent::Failed { key, message } => {
                Some(Notice::ChannelFailed { channel: self.leave_channel(key)?, message })
            }
        }
    }

    fn enter_channel(&mut self, key: ChannelKey, shared: Arc<ChannelShared>) {
        shared.place.store(u64::from(self.index) << 32 | u64::from(key.0), Ordering::Relaxed);
        let index = key.0 as usize;
        if self.channels.len() <= index {
            self.channels.resize_with(index + 1, || None);
        }
        self.channels[index] = Some(OpenChannel { shared, unsent: 0 });
        Counters::add(&self.queue.counters.channels, 1);
    }

    /// Note that a channel is closed. Later commands on it do nothing, and its queued bytes are free for the others.
    /// Its own bufferedAmount stays (closing rule 48).
    fn leave_channel(&mut self, key: ChannelKey) -> Option<u64> {
        let channel = self.channels.get_mut(key.0 as usize)?.take()?;
        channel.shared.place.store(NOWHERE, Ordering::Relaxed);
        self.shared.buffered.fetch_sub(channel.unsent, Ordering::AcqRel);
        Counters::subtract(&self.queue.counters.channels, 1);
        Some(channel.shared.id)
    }

    #[inline]
    fn id_of(&self, key: ChannelKey) -> Option<u64> {
        Some(self.channels.get(key.0 as usize)?.as_ref()?.shared.id)
    }

    pub fn stats(&self, now: Instant) -> TransportStats {
        let engine = self.engine.stats(now);
        let channels = engine.channels.iter().enumerate();
        let channels = channels.filter_map(|(index, (key, _, _))| Some((self.id_of(*key)?, index))).collect();
        let (sources, playouts) = (self.media.sources(), self.media.playouts());
        TransportStats { engine, channels, ended: false, sources, playouts }
    }
}

#[cfg(test)]
mod tests;
