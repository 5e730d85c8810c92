//! One transport: the secure path, and the data channels over it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::certificate::Certificate;
use crate::channel::{ChannelEvent, ChannelKey, ChannelOptions, Kind};
use crate::close::{self, LastWord};
use crate::data::{Data, StateChange};
use crate::demux::{Class, classify};
use crate::dtls::fingerprint::Fingerprint;
use crate::dtls::{DtlsFailure, DtlsState};
use crate::ice::candidate::RemoteCandidate;
use crate::ice::consent::Timing;
use crate::ice::{Credentials, IceEvent, Role};
use crate::random::Random;
use crate::rare::Rare;
use crate::sctp::SctpState;
use crate::sctp::packet::Cause;
use crate::secure::{Secure, SecureEvent};
use crate::stats::{Drops, Stats};
use crate::tenant::Turns;
use crate::transmit::{Batch, Route};

#[derive(Clone, Debug)]
pub struct Config {
    pub disconnected_after: Duration,
    pub failed_after: Duration,
    /// Bytes that the application may leave unread before messages are held back.
    pub receive_buffer: usize,
    /// The size that we announce as a=max-message-size.
    pub max_message_size: usize,
    pub seed: [u8; 32],
}

/// Small, because almost all of them are messages: what is rare is boxed.
#[derive(Debug)]
pub enum Event {
    Ice(Box<IceEvent>),
    /// DER, the leaf first; before `Dtls` says connected.
    Certificates(Vec<Vec<u8>>),
    Dtls {
        state: DtlsState,
        failure: Option<Box<DtlsFailure>>,
    },
    Sctp {
        state: SctpState,
        cause: Option<Box<Cause>>,
        max_channels: Option<u16>,
    },
    Channel(ChannelEvent),
}

impl From<StateChange> for Event {
    fn from(change: StateChange) -> Event {
        let StateChange { state, cause, max_channels } = change;
        Event::Sctp { state, cause, max_channels }
    }
}

/// The life of a transport: its users are there until it is closed.
enum Phase {
    Open(Box<Data>),
    /// Only last packets leave. The drop counters of the users are kept.
    Closed(Drops),
}

/// See the crate's documentation for the verbs. After any number of `handle_*` and commands, call
/// [`Transport::poll_event`] until it is empty, then [`Transport::poll_transmit`] until it is empty, then
/// [`Transport::poll_timeout`].
pub struct Transport {
    secure: Secure,
    phase: Phase,
    turns: Turns,
    /// Events of the secure path, among those of the data channels.
    events: Rare<Event>,
    scratch: Vec<u8>,
    dropped_unknown: u64,
}

impl Transport {
    pub fn new(now: Instant, certificate: Arc<Certificate>, config: Config) -> Transport {
        let timing =
            Timing { disconnected_after: config.disconnected_after, failed_after: config.failed_after };
        Transport {
            secure: Secure::new(now, certificate, timing, Random::new(config.seed)),
            phase: Phase::Open(Box::new(Data::new(config.receive_buffer, config.max_message_size))),
            turns: Turns::default(),
            events: Rare::new(),
            scratch: vec![0; 2048],
            dropped_unknown: 0,
        }
    }

    // --- ICE commands -----------------------------------------------------------------------------------------------

    /// Begin an ICE generation. Its host candidates follow by [`Transport::add_host`], its servers by
    /// [`Transport::expect_server`], then [`Transport::hosts_done`].
    pub fn start_generation(&mut self, now: Instant, number: u32, local: Credentials, role: Role) {
        self.secure.ice.start_generation(now, number, local, role);
        self.pump(now);
    }

    pub fn set_role(&mut self, generation: u32, role: Role) {
        self.secure.ice.set_role(generation, role);
    }

    pub fn add_host(&mut self, now: Instant, generation: u32, address: SocketAddr) {
        self.secure.ice.add_host(now, generation, address);
        self.pump(now);
    }

    pub fn expect_server(&mut self, now: Instant, generation: u32, url: Arc<str>) {
        self.secure.ice.expect_server(now, generation, url);
    }

    pub fn server_resolved(
        &mut self,
        now: Instant,
        generation: u32,
        url: &str,
        addresses: Result<Vec<SocketAddr>, String>,
    ) {
        self.secure.ice.server_resolved(now, generation, url, addresses);
        self.pump(now);
    }

    pub fn hosts_done(&mut self, now: Instant, generation: u32) {
        self.secure.ice.hosts_done(now, generation);
        self.pump(now);
    }

    pub fn set_remote(&mut self, now: Instant, generation: u32, remote: Credentials, lite: bool) {
        self.secure.ice.set_remote(now, generation, remote, lite);
        self.pump(now);
    }

    /// None: end-of-candidates.
    pub fn add_candidate(&mut self, now: Instant, generation: u32, candidate: Option<RemoteCandidate>) {
        self.secure.ice.add_candidate(now, generation, candidate);
        self.pump(now);
    }

    pub fn drop_generation(&mut self, now: Instant, generation: u32) {
        self.secure.ice.drop_generation(now, generation);
        self.pump(now);
    }

    // --- DTLS and SCTP commands -------------------------------------------------------------------------------------

    /// The handshake starts when ICE has a pair.
    pub fn start_dtls(&mut self, now: Instant, client: bool, fingerprints: Vec<Fingerprint>) {
        let Phase::Open(data) = &mut self.phase else { return };
        if self.secure.start_dtls(client, fingerprints) {
            data.set_role(client);
            self.pump(now);
        }
    }

    /// The association starts when the handshake is done. `remote_max_message_size` 0: unlimited (RFC 8841 section 6.1).
    pub fn start_sctp(&mut self, now: Instant, local: u16, remote: u16, remote_max_message_size: usize) {
        let Phase::Open(data) = &mut self.phase else { return };
        data.start(local, remote, remote_max_message_size);
        if self.secure.is_connected() {
            data.handle_secured(now);
        }
    }

    // --- channels ---------------------------------------------------------------------------------------------------

    /// Keys of closed channels are used again: empty [`Transport::poll_event`] first. None: the transport is closed.
    pub fn open_channel(&mut self, now: Instant, stream: u16, options: ChannelOptions) -> Option<ChannelKey> {
        match &mut self.phase {
            Phase::Open(data) => Some(data.open_channel(now, stream, options)),
            Phase::Closed(_) => None,
        }
    }

    /// False: the message was not taken, because the channel is not open or the message is larger than the peer takes.
    pub fn send(&mut self, now: Instant, key: ChannelKey, kind: Kind, payload: Vec<u8>) -> bool {
        match &mut self.phase {
            Phase::Open(data) => data.send(now, key, kind, payload),
            Phase::Closed(_) => false,
        }
    }

    pub fn close_channel(&mut self, now: Instant, key: ChannelKey) {
        if let Phase::Open(data) = &mut self.phase {
            data.close_channel(now, key);
        }
    }

    /// The application has taken this many bytes of messages.
    pub fn consumed(&mut self, now: Instant, size: usize) {
        if let Phase::Open(data) = &mut self.phase {
            data.consumed(now, size);
        }
    }

    /// The application has too many events waiting: take no messages until it has fewer.
    pub fn set_congested(&mut self, now: Instant, is_congested: bool) {
        if let Phase::Open(data) = &mut self.phase {
            data.set_congested(now, is_congested);
        }
    }

    /// Close abruptly: what follows from [`Transport::poll_transmit`] is all that the peer hears (closing rule 72).
    /// No event comes after it.
    pub fn close(&mut self, now: Instant, reason: &str) {
        let drops = self.drops();
        let Phase::Open(data) = &mut self.phase else { return };
        for word in close::plan(data.state(), self.secure.dtls.state()) {
            match word {
                LastWord::SctpAbort => {
                    if let Some(abort) = data.abort(now, reason) {
                        self.secure.say_last(now, &abort, &mut self.scratch);
                    }
                }
                LastWord::DtlsCloseNotify => self.secure.close(&mut self.scratch),
            }
        }
        self.phase = Phase::Closed(drops);
        self.events.clear();
    }

    // --- datagrams and time -----------------------------------------------------------------------------------------

    pub fn handle_datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        if let Phase::Closed(_) = self.phase {
            return;
        }
        let route = Route { local, remote };
        self.secure.count_received(now, route, datagram.len());
        match classify(datagram) {
            Class::Stun => self.secure.handle_stun(now, route, datagram),
            Class::Dtls => self.secure.handle_dtls(now, route, datagram),
            Class::TurnChannel | Class::Rtp | Class::Unknown => {
                self.dropped_unknown += 1;
                return;
            }
        }
        self.pump(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Closed(_) = self.phase {
            return;
        }
        self.secure.handle_timeout(now);
        self.pump(now);
        let is_silent = !self.secure.is_alive(now);
        if let Phase::Open(data) = &mut self.phase {
            data.handle_timeout(now, is_silent);
        }
    }

    /// When [`Transport::handle_timeout`] is due. Call it when nothing is left to poll.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let Phase::Open(data) = &self.phase else { return None };
        [self.secure.poll_timeout(now), data.poll_timeout()].into_iter().flatten().min()
    }

    // --- what comes of it -------------------------------------------------------------------------------------------

    #[inline]
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        let Phase::Open(data) = &mut self.phase else { return None };
        data.flush(now);
        if (!self.events.is_empty() || data.has_states())
            && let Some(event) = Self::poll_rare(&mut self.events, data)
        {
            return Some(event);
        }
        data.poll_event().map(Event::Channel)
    }

    #[cold]
    fn poll_rare(events: &mut Rare<Event>, data: &mut Data) -> Option<Event> {
        if events.is_next(data.taken()) {
            return events.pop();
        }
        data.poll_state().map(Event::from)
    }

    /// Fill `batch` with the datagrams that leave next. False: nothing is to be sent.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut Batch) -> bool {
        let filled = self.secure.poll_transmit(now, batch) || self.next_packets(now, batch);
        if filled {
            self.secure.count_sent(now, batch);
        }
        filled
    }

    /// Packets of the tenants, in turn.
    fn next_packets(&mut self, now: Instant, batch: &mut Batch) -> bool {
        let Phase::Open(data) = &mut self.phase else { return false };
        data.flush(now);
        let filled = self.turns.poll_transmit(now, &mut [&mut **data], &mut self.secure, batch);
        if filled {
            self.pump(now); // what the DTLS engine has to say besides
        }
        filled
    }

    /// Payload bytes of a channel that have left, since they were last asked for.
    pub fn poll_drained(&mut self, now: Instant) -> Option<(ChannelKey, usize)> {
        let Phase::Open(data) = &mut self.phase else { return None };
        data.flush(now);
        data.poll_drained()
    }

    pub fn channel_count(&self) -> usize {
        match &self.phase {
            Phase::Open(data) => data.channels().count(),
            Phase::Closed(_) => 0,
        }
    }

    pub fn drops(&self) -> Drops {
        let tenants = match &self.phase {
            Phase::Open(data) => {
                let channels = data.channels().drops;
                let (sctp, dcep, message) = (data.dropped(), channels.dcep, channels.message);
                Drops { sctp, dcep, message, ..Drops::default() }
            }
            Phase::Closed(drops) => *drops,
        };
        Drops {
            unknown: self.dropped_unknown,
            stun: self.secure.ice.drops.stun,
            dtls: self.secure.dropped_dtls,
            candidate: self.secure.ice.drops.candidate,
            ..tenants
        }
    }

    pub fn stats(&self, now: Instant) -> Stats {
        let Secure { ice, dtls, traffic, .. } = &self.secure;
        let (requests_sent, responses_received, requests_received) = ice.check_counts();
        let data = match &self.phase {
            Phase::Open(data) => Some(data),
            Phase::Closed(_) => None,
        };
        Stats {
            at: now,
            ice_state: ice.state().name(),
            ice_role: ice.role().map(Role::name),
            traffic: *traffic,
            pair: self.secure.pair_stats(),
            pair_changes: ice.pair_changes,
            requests_sent,
            responses_received,
            requests_received,
            dtls_state: dtls.state().name(),
            dtls_version: dtls.version(),
            dtls_cipher: dtls.cipher_suite(),
            srtp_cipher: dtls.srtp_profile(),
            dtls_role: dtls.is_client().map(|client| if client { "client" } else { "server" }),
            sctp: data.and_then(|data| data.stats()),
            channels: data.map_or_else(Vec::new, |data| data.channels().counts().collect()),
            unread: data.map_or(0, |data| data.unread),
            drops: self.drops(),
        }
    }

    // --- from the path to its users ---------------------------------------------------------------------------------

    /// Hand up what the secure path gives: events, and records to the data channels, in their order.
    fn pump(&mut self, now: Instant) {
        let Phase::Open(data) = &mut self.phase else { return };
        self.secure.follow_ice(now);
        loop {
            let record = self.secure.poll_record(now, &mut self.scratch);
            while let Some(event) = self.secure.poll_event() {
                let events = &mut self.events;
                let mut report = |data: &Data, event| {
                    events.push(data.made(), event);
                };
                match event {
                    SecureEvent::Ice(event) => report(data, Event::Ice(Box::new(event))),
                    SecureEvent::Connecting => report(data, dtls(DtlsState::Connecting)),
                    SecureEvent::Connected { certificate } => {
                        report(data, Event::Certificates(vec![certificate]));
                        report(data, dtls(DtlsState::Connected));
                        data.handle_secured(now);
                    }
                    SecureEvent::Closed => {
                        report(data, dtls(DtlsState::Closed));
                        data.handle_lost(now, "the peer closed the connection (DTLS close_notify)");
                    }
                    SecureEvent::Failed(failure) => {
                        let message = failure.message.clone();
                        let failure = Some(Box::new(failure));
                        report(data, Event::Dtls { state: DtlsState::Failed, failure });
                        data.handle_lost(now, &message);
                    }
                }
            }
            let Some(size) = record else { return };
            data.handle_packet(now, &self.scratch[..size]);
        }
    }
}

fn dtls(state: DtlsState) -> Event {
    Event::Dtls { state, failure: None }
}

#[cfg(test)]
mod tests;
