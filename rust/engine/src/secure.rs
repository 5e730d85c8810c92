//! The secure path of one transport: ICE finds the path, and DTLS encrypts it. It knows nothing about its users.
//!
//! Datagrams and commands go in; events, decrypted records and datagrams come out. A user of the path (see
//! [`crate::tenant`]) gets the records and has its packets encrypted by [`Secure::seal`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::certificate::Certificate;
use crate::dtls::fingerprint::Fingerprint;
use crate::dtls::{Dtls, DtlsFailure, DtlsState, Output};
use crate::ice::consent::Timing;
use crate::ice::{Ice, IceEvent, IceState, PairStats};
use crate::lines;
use crate::random::Random;
use crate::tap::Tap;
use crate::traffic::Traffic;
use crate::transmit::{Batch, Datagram, Path, Route, Wire};
use crate::turn::{Arrival, Leave, RelayEvent, Relays};

/// The most bytes that a DTLS record adds to a packet (DTLS 1.2, AES-GCM: 13 + 8 + 16).
const DTLS_OVERHEAD: usize = 64;
/// Handshake packets and last words that wait to be polled. The caller polls after each turn; more than this is a
/// peer that makes us talk.
const MAX_WAITING: usize = 256;

/// The events of the path.
#[derive(Debug)]
pub enum SecureEvent {
    Ice(IceEvent),
    /// The handshake has started.
    Connecting,
    /// The handshake is done. The certificate of the peer is in DER, its fingerprint checked.
    Connected {
        certificate: Vec<u8>,
    },
    /// The peer said close_notify. It was answered.
    Closed,
    Failed(DtlsFailure),
}

pub struct Secure {
    pub ice: Ice,
    pub dtls: Dtls,
    pub relays: Relays,
    events: VecDeque<SecureEvent>,
    waiting: VecDeque<Datagram>,
    pub traffic: Traffic,
    /// The traffic of the selected pair alone.
    pair_traffic: Traffic,
    pub dropped_dtls: u64,
    pub(crate) tap: Tap,
}

impl Secure {
    pub fn new(now: Instant, certificate: Arc<Certificate>, timing: Timing, random: Random) -> Secure {
        let relays = Relays::new(random.branch("turn"));
        Secure {
            relays,
            ice: Ice::new(timing, random),
            dtls: Dtls::new(now, certificate),
            events: VecDeque::new(),
            waiting: VecDeque::new(),
            traffic: Traffic::default(),
            pair_traffic: Traffic::default(),
            dropped_dtls: 0,
            tap: Tap::default(),
        }
    }

    // --- what goes in -----------------------------------------------------------------------------------------------

    /// Start the handshake when ICE has a pair. False: that was asked before.
    pub fn start_dtls(&mut self, client: bool, fingerprints: Vec<Fingerprint>) -> bool {
        self.dtls.want(client, fingerprints)
    }

    /// The route and the contents of a datagram that has come in. None: it was for the relays themselves.
    #[inline]
    pub fn arrive<'a>(&mut self, now: Instant, wire: Wire, datagram: &'a [u8]) -> Option<(Route, &'a [u8])> {
        if self.relays.is_empty() {
            return Some((self.ice.route_of(wire), datagram));
        }
        match self.relays.handle_datagram(now, wire, datagram) {
            Arrival::Direct => Some((self.ice.route_of(wire), datagram)),
            Arrival::Relayed(route, data) => Some((route, data)),
            Arrival::Handled | Arrival::Dropped => {
                self.traffic.received(now, datagram.len());
                None
            }
        }
    }

    /// Count a datagram that has come in, of whatever kind.
    #[inline]
    pub fn count_received(&mut self, now: Instant, route: Route, size: usize) {
        self.traffic.received(now, size);
        if self.ice.route() == Some(route) {
            self.pair_traffic.received(now, size);
        }
    }

    pub fn handle_stun(&mut self, now: Instant, route: Route, datagram: &[u8]) {
        self.ice.handle_datagram(now, route, datagram);
    }

    pub fn handle_dtls(&mut self, now: Instant, route: Route, datagram: &[u8]) {
        if !self.ice.accepts(route.remote) || !self.dtls.handle_datagram(now, datagram) {
            self.dropped_dtls += 1;
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.relays.poll_timeout().is_some_and(|at| at <= now) {
            self.relays.handle_timeout(now);
        }
        // Always: a moment that has passed is no longer among the coming ones, and it must not wait for the next.
        self.ice.handle_timeout(now);
        if self.dtls.poll_timeout().is_some_and(|at| at <= now) {
            if self.dtls.state() == DtlsState::Connecting {
                log::debug!(target: lines::DTLS, "! the handshake has no answer yet: its flight is sent again");
            }
            self.dtls.handle_timeout(now);
        }
    }

    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        [self.ice.poll_timeout(now), self.dtls.poll_timeout(), self.relays.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    // --- what comes out ---------------------------------------------------------------------------------------------

    /// Take the events of ICE: after everything that goes in. The handshake starts on the first pair.
    #[inline]
    pub fn follow_ice(&mut self, now: Instant) {
        self.follow_relays(now);
        while let Some(event) = self.ice.poll_event() {
            if matches!(event, IceEvent::Pair { .. }) {
                self.pair_traffic = Traffic::default();
                if let Some(route) = self.ice.route() {
                    self.relays.bind(now, route);
                }
            }
            self.events.push_back(SecureEvent::Ice(event));
        }
        if self.dtls.state() == DtlsState::New && self.ice.route().is_some() && self.dtls.start(now) {
            self.events.push_back(SecureEvent::Connecting);
        }
    }

    /// The next decrypted record, written to `buffer`; its size. Call it after [`Secure::follow_ice`], until it gives
    /// None. Poll the events before you use a record: they came before it.
    pub fn poll_record(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<usize> {
        loop {
            match self.dtls.poll_output(buffer) {
                Output::Idle => return None,
                Output::Packet(packet) => {
                    let packet = packet.to_vec();
                    self.put_waiting(packet);
                }
                Output::Data(data) => {
                    let size = data.len();
                    self.hear(now);
                    self.tap.put(false, &buffer[..size]);
                    return Some(size);
                }
                Output::Connected { certificate } => {
                    self.events.push_back(SecureEvent::Connected { certificate });
                }
                // Closing rules 60 and 71: answered by our own.
                Output::CloseNotify => {
                    self.dtls.close();
                    self.events.push_back(SecureEvent::Closed);
                }
                Output::Failed(failure) => self.events.push_back(SecureEvent::Failed(failure)),
            }
        }
    }

    #[inline]
    pub fn poll_event(&mut self) -> Option<SecureEvent> {
        self.events.pop_front()
    }

    /// Return the packets of the path itself: checks, handshakes, last packets. They go before everything else.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut Batch) -> bool {
        loop {
            if let Some((wire, bytes)) = self.relays.poll_transmit() {
                batch.put(Path { wire, ..wire.route().into() }, &bytes);
                return true;
            }
            let datagram = self.ice.poll_transmit().or_else(|| {
                if !self.waiting.is_empty() && !self.ice.may_send(now) {
                    self.waiting.clear();
                }
                self.waiting.pop_front()
            });
            let Some(Datagram { route, bytes }) = datagram else { return false };
            match self.leave(now, route) {
                Leave::Now(path) => {
                    batch.put(path, &bytes);
                    return true;
                }
                Leave::Later => self.relays.hold(route, bytes),
                Leave::Never => {}
            }
        }
    }

    /// Begin a batch for packets that [`Secure::seal`] adds. False: nothing may be sent now.
    pub fn start_batch(&mut self, now: Instant, batch: &mut Batch) -> bool {
        let route = self.ice.route().filter(|_| self.ice.may_send(now));
        let (Some(route), DtlsState::Connected) = (route, self.dtls.state()) else { return false };
        let Leave::Now(path) = self.leave(now, route) else { return false };
        batch.start(path);
        true
    }

    /// Whether a packet of `size` bytes can be added to the batch.
    #[inline]
    pub fn has_room(batch: &mut Batch, size: usize) -> bool {
        batch.room(size + DTLS_OVERHEAD).is_some()
    }

    /// Encrypt a packet to the end of the batch. A record that does not fit, because a key update came between, leaves
    /// by itself.
    #[inline]
    pub fn seal(&mut self, packet: &[u8], batch: &mut Batch) {
        if !self.dtls.send(packet) {
            return;
        }
        self.tap.put(true, packet);
        let (route, limit) = (batch.route, batch.segment_limit());
        let Some(room) = batch.room(0) else { return };
        let Some(size) = self.dtls.poll_transmit(room) else { return };
        if size > limit {
            self.waiting.push_back(Datagram { route, bytes: room[..size].to_vec() });
        } else {
            batch.push(size);
        }
    }

    #[inline]
    pub fn count_sent(&mut self, now: Instant, batch: &Batch) {
        self.traffic.sent(now, batch.count(), batch.contents().len());
        if self.ice.route() == Some(batch.route) {
            self.pair_traffic.sent(now, batch.count(), batch.payload());
        }
    }

    // --- the end ----------------------------------------------------------------------------------------------------

    /// Encrypt the last packet of a user of the path, before [`Secure::close`].
    pub fn say_last(&mut self, now: Instant, packet: &[u8], buffer: &mut Vec<u8>) {
        self.dtls.handle_timeout(now);
        self.dtls.send(packet);
        self.tap.put(true, packet);
        self.take_last_words(buffer);
    }

    /// Send close_notify. After it, [`Secure::poll_transmit`] gives the last packets that the peer gets.
    pub fn close(&mut self, buffer: &mut Vec<u8>) {
        self.dtls.close();
        self.take_last_words(buffer);
    }

    /// Give all relayed addresses back, after the last words that leave by them.
    pub fn release(&mut self, now: Instant) {
        for Datagram { route, bytes } in std::mem::take(&mut self.waiting) {
            match self.relays.leave(now, route) {
                None => self.waiting.push_back(Datagram { route, bytes }),
                Some(Leave::Now(path)) if self.ice.may_send(now) => self.relays.put(&path, &bytes),
                Some(_) => {}
            }
        }
        self.relays.keep(now, |_| false);
    }

    /// Put a packet that is protected already among the last ones.
    pub fn say_last_protected(&mut self, packet: Vec<u8>) {
        self.put_waiting(packet);
    }

    fn take_last_words(&mut self, buffer: &mut Vec<u8>) {
        loop {
            match self.dtls.poll_output(buffer) {
                Output::Packet(packet) => {
                    let packet = packet.to_vec();
                    self.put_waiting(packet);
                }
                Output::Idle | Output::Failed(_) => return,
                _ => {}
            }
        }
    }

    // --- questions --------------------------------------------------------------------------------------------------

    pub fn is_connected(&self) -> bool {
        self.dtls.state() == DtlsState::Connected
    }

    /// Whether the packets go over a TURN server.
    #[inline]
    pub fn is_relayed(&self) -> bool {
        !self.relays.is_empty() && self.ice.route().is_some_and(|route| self.relays.carries(route))
    }

    /// Whether the peer answers at present.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.ice.is_alive(now)
    }

    pub fn pair_stats(&self, now: Instant) -> Vec<PairStats> {
        self.ice.pair_stats(now, self.pair_traffic)
    }

    // --- helpers ----------------------------------------------------------------------------------------------------

    /// A record or a packet was authentic: the peer lives.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.ice.heard();
        if matches!(self.ice.state(), IceState::Disconnected | IceState::Failed) {
            self.ice.handle_timeout(now);
            self.follow_ice(now);
        }
    }

    /// How a datagram of this route leaves.
    #[inline]
    fn leave(&mut self, now: Instant, route: Route) -> Leave {
        let relayed = if self.relays.is_empty() { None } else { self.relays.leave(now, route) };
        relayed.unwrap_or_else(|| match self.ice.wire_of(route) {
            Some(wire) => Leave::Now(Path { wire, ..route.into() }),
            None => Leave::Never, // its stream is over
        })
    }

    /// Tell ICE what has become of its relayed addresses, and the relays which of them ICE has dropped.
    #[inline]
    fn follow_relays(&mut self, now: Instant) {
        while let Some(event) = self.relays.poll_event() {
            match event {
                RelayEvent::Relayed(relayed) => self.ice.add_relayed(now, *relayed),
                RelayEvent::Error { generation, local, url, code, text } => {
                    self.ice.relay_failed(generation, local, url, code, text);
                }
                RelayEvent::Settled { generation } => self.ice.relays_settled(now, generation),
            }
        }
        if !self.relays.is_empty() {
            let ice = &self.ice;
            self.relays.keep(now, |generation| ice.has_generation(generation));
        }
    }

    fn put_waiting(&mut self, bytes: Vec<u8>) {
        let Some(route) = self.ice.route() else { return };
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(Datagram { route, bytes });
        }
    }
}
