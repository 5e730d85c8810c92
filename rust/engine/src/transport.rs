//! One transport: the secure path, and the data channels over it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adieu_congestion::Algorithm;

use crate::certificate::Certificate;
use crate::channel::{ChannelEvent, ChannelKey, ChannelOptions, Kind};
use crate::close::{self, LastWord};
use crate::data::{Data, StateChange};
use crate::demux::{Class, classify};
use crate::dtls::fingerprint::Fingerprint;
use crate::dtls::{DtlsFailure, DtlsState};
use crate::ice::candidate::{Outside, RemoteCandidate};
use crate::ice::consent::Timing;
use crate::ice::{Credentials, IceEvent, Role};
use crate::random::Random;
use crate::rare::Rare;
use crate::rtp::{AudioUnit, FrameUnit, Media, MediaEvent, Section};
use crate::sctp::SctpState;
use crate::sctp::packet::Cause;
use crate::secure::{Secure, SecureEvent};
use crate::stats::{Drops, Stats};
use crate::tenant::Turns;
use crate::transmit::{Batch, Protocol, Route, Wire};
use crate::turn::Server;
use crate::wire::{WireEvent, WireKey, WireOrder};

#[derive(Clone, Debug)]
pub struct Config {
    pub disconnected_after: Duration,
    pub failed_after: Duration,
    /// Bytes that the application may leave unread before messages are held back.
    pub receive_buffer: usize,
    /// The size that we announce as a=max-message-size.
    pub max_message_size: usize,
    /// The congestion controller.
    pub congestion: Algorithm,
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
    /// None: no section of audio or video has been negotiated, or it is closed.
    media: Option<Box<Media>>,
    turns: Turns,
    /// Events of the secure path, among those of the data channels.
    events: Rare<Event>,
    scratch: Vec<u8>,
    dropped_unknown: u64,
    /// RTP and RTCP before media is negotiated, and from addresses that ICE has not checked.
    dropped_media: u64,
    seed: [u8; 32],
}

impl Transport {
    pub fn new(now: Instant, certificate: Arc<Certificate>, config: Config) -> Transport {
        let timing =
            Timing { disconnected_after: config.disconnected_after, failed_after: config.failed_after };
        Transport {
            secure: Secure::new(now, certificate, timing, Random::new(config.seed)),
            phase: Phase::Open(Box::new(Data::new(
                config.receive_buffer,
                config.max_message_size,
                config.congestion,
            ))),
            media: None,
            turns: Turns::default(),
            events: Rare::new(),
            scratch: vec![0; 2048],
            dropped_unknown: 0,
            dropped_media: 0,
            seed: config.seed,
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

    /// Show this name in place of the host address. It comes before [`Transport::add_host`].
    pub fn hide_address(&mut self, generation: u32, ip: IpAddr, name: Arc<str>) {
        self.secure.ice.hide_address(generation, ip, name);
    }

    pub fn add_host(&mut self, now: Instant, generation: u32, address: SocketAddr) {
        self.secure.ice.add_host(now, generation, address);
        self.pump(now);
    }

    /// An active TCP candidate of this address (RFC 6544): it connects when the peer has a passive one.
    pub fn add_tcp(&mut self, now: Instant, generation: u32, ip: IpAddr) {
        self.secure.ice.add_tcp(now, generation, ip);
        self.pump(now);
    }

    /// A passive TCP candidate: connections come in on this address.
    pub fn add_tcp_passive(&mut self, now: Instant, generation: u32, address: SocketAddr) {
        self.secure.ice.add_tcp_passive(now, generation, address);
        self.pump(now);
    }

    /// The same for a socket behind a 1:1 NAT.
    pub fn add_host_behind(&mut self, now: Instant, generation: u32, address: SocketAddr, outside: Outside) {
        self.secure.ice.add_host_behind(now, generation, address, outside);
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

    /// The next name of a candidate to look up; [`Transport::name_found`] may follow.
    pub fn poll_name(&mut self) -> Option<Arc<str>> {
        self.secure.ice.poll_name()
    }

    pub fn name_found(&mut self, now: Instant, name: &str, addresses: &[IpAddr]) {
        if let Phase::Open(_) = self.phase {
            self.secure.ice.name_found(now, name, addresses);
            self.pump(now);
        }
    }

    pub fn drop_generation(&mut self, now: Instant, generation: u32) {
        self.secure.ice.drop_generation(now, generation);
        self.pump(now);
    }

    // --- TURN -------------------------------------------------------------------------------------------------------

    /// The addresses of this machine from which the relays of a generation are asked.
    pub fn set_bases(&mut self, generation: u32, bases: Vec<IpAddr>) {
        self.secure.ice.set_bases(generation, bases);
    }

    /// The address of this TURN server is being looked up; [`Transport::relay_resolved`] follows.
    pub fn expect_relay(&mut self, now: Instant, generation: u32, server: Arc<Server>) {
        let is_open = matches!(self.phase, Phase::Open(_));
        if is_open && self.secure.ice.expect_relays(generation) {
            self.secure.relays.expect(now, generation, server);
        }
    }

    pub fn relay_resolved(
        &mut self,
        now: Instant,
        generation: u32,
        server: &Arc<Server>,
        addresses: Result<Vec<SocketAddr>, String>,
    ) {
        let bases = self.secure.ice.bases(generation);
        self.secure.relays.handle_resolved(now, generation, server, addresses, &bases);
        self.pump(now);
    }

    /// See [`crate::ice::Ice::network_changed`].
    pub fn network_changed(&mut self, now: Instant, gone: &[IpAddr]) {
        if let Phase::Open(_) = self.phase {
            self.secure.ice.network_changed(now, gone);
            self.pump(now);
        }
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
        for word in close::plan(self.media.is_some(), data.state(), self.secure.dtls.state()) {
            match word {
                LastWord::RtcpBye => {
                    if let Some(bye) = self.media.as_mut().and_then(|media| media.last_word(now)) {
                        self.secure.say_last_protected(bye);
                    }
                }
                LastWord::SctpAbort => {
                    if let Some(abort) = data.abort(now, reason) {
                        self.secure.say_last(now, &abort, &mut self.scratch);
                    }
                }
                LastWord::DtlsCloseNotify => self.secure.close(&mut self.scratch),
            }
        }
        self.secure.release(now);
        self.phase = Phase::Closed(drops);
        self.media = None;
        self.events.clear();
    }

    /// Whether relayed addresses are still being given back. It ends by itself, after 2 s at most.
    pub fn is_releasing(&self) -> bool {
        matches!(self.phase, Phase::Closed(_)) && !self.secure.relays.is_empty()
    }

    /// (allocations that TURN servers may hold for this transport, those whose release was not confirmed in time)
    pub fn allocations(&self) -> (usize, usize) {
        self.secure.relays.counts()
    }

    /// A number that changes when a generation has gone, and with it perhaps the use of a socket.
    #[inline]
    pub fn generations_gone(&self) -> u64 {
        self.secure.ice.generations_gone
    }

    /// Whether a candidate is of this socket, or of connections that come in there.
    pub fn uses(&self, protocol: Protocol, local: SocketAddr) -> bool {
        self.secure.ice.uses(protocol, local)
    }

    /// Whether the packets go over a TURN server.
    #[inline]
    pub fn is_relayed(&self) -> bool {
        self.secure.is_relayed()
    }

    // --- media ------------------------------------------------------------------------------------------------------

    /// Replace what has been negotiated for media. `unix`: the time since 1970, now.
    pub fn apply_media(
        &mut self,
        now: Instant,
        unix: Duration,
        (epoch, cname): (u32, String),
        sections: Vec<Section>,
    ) {
        if let Phase::Closed(_) = self.phase {
            return;
        }
        let seed = self.seed;
        let media = self
            .media
            .get_or_insert_with(|| Box::new(Media::new(now, unix, Random::new(seed).branch("media"))));
        media.apply(now, epoch, cname, sections);
        secure_media(now, media, &mut self.secure);
    }

    /// False: it cannot be sent now.
    pub fn send_audio(&mut self, now: Instant, sender: u64, unit: AudioUnit) -> bool {
        self.media.as_mut().is_some_and(|media| media.send_audio(now, sender, unit))
    }

    /// False: it cannot be sent now. The bytes that wait for their turn: [`Transport::unsent_media`].
    pub fn send_frame(&mut self, now: Instant, sender: u64, unit: FrameUnit) -> bool {
        self.media.as_mut().is_some_and(|media| media.send_frame(now, sender, unit))
    }

    /// Bytes of pictures that wait for their turn.
    pub fn unsent_media(&self) -> usize {
        self.media.as_ref().map_or(0, |media| media.unsent())
    }

    /// Play a telephone tone behind those that wait.
    pub fn send_tone(&mut self, now: Instant, sender: u64, tone: char, length: Duration) {
        if let Some(media) = &mut self.media {
            media.send_tone(now, sender, tone, length);
        }
    }

    /// Begin or end to put the frames of a receiver together. At the beginning the peer is asked for a key frame.
    pub fn read_frames(&mut self, now: Instant, receiver: u64, is_read: bool) {
        if let Some(media) = &mut self.media {
            media.read(now, receiver, is_read);
        }
    }

    /// Ask the peer for a key frame, as soon as it may be asked again.
    pub fn request_key(&mut self, now: Instant, receiver: u64) {
        if let Some(media) = &mut self.media {
            media.request_key(now, receiver);
        }
    }

    /// The next event of media.
    #[inline]
    pub fn poll_media(&mut self) -> Option<MediaEvent> {
        self.media.as_mut()?.poll_event()
    }

    #[inline(never)]
    fn handle_media(&mut self, now: Instant, route: Route, datagram: &[u8]) {
        let is_checked = self.secure.ice.accepts(route.remote);
        match self.media.as_mut().filter(|_| is_checked) {
            Some(media) => {
                if media.handle_datagram(now, datagram) {
                    self.secure.hear(now);
                    self.pump(now);
                }
            }
            None => self.dropped_media += 1,
        }
    }

    // --- wires ------------------------------------------------------------------------------------------------------

    /// Something has happened to a wire that was ordered, or a connection has come in.
    pub fn handle_wire(&mut self, now: Instant, key: WireKey, event: WireEvent) {
        match key {
            WireKey::Turn(key) => self.secure.relays.handle_wire(now, key, event),
            WireKey::Ice(_) | WireKey::Accepted(_) => self.secure.ice.handle_wire(now, key, event),
        }
        self.pump(now);
    }

    /// Take the orders of wires: after everything that goes in.
    pub fn poll_order(&mut self) -> Option<WireOrder> {
        self.secure.relays.poll_order().or_else(|| self.secure.ice.poll_order())
    }

    // --- datagrams and time -----------------------------------------------------------------------------------------

    pub fn handle_datagram(&mut self, now: Instant, wire: Wire, datagram: &[u8]) {
        let Some((route, datagram)) = self.secure.arrive(now, wire, datagram) else { return self.pump(now) };
        if let Phase::Closed(_) = self.phase {
            return;
        }
        self.secure.count_received(now, route, datagram.len());
        match classify(datagram) {
            Class::Stun => self.secure.handle_stun(now, route, datagram),
            Class::Dtls => self.secure.handle_dtls(now, route, datagram),
            Class::Rtp => return self.handle_media(now, route, datagram),
            Class::TurnChannel | Class::Unknown => {
                self.dropped_unknown += 1;
                return;
            }
        }
        self.pump(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Closed(_) = self.phase {
            return self.secure.relays.handle_timeout(now);
        }
        self.secure.handle_timeout(now);
        if let Some(media) = &mut self.media {
            media.handle_timeout(now);
        }
        self.pump(now);
        let is_silent = !self.secure.is_alive(now);
        if let Phase::Open(data) = &mut self.phase {
            data.handle_timeout(now, is_silent);
        }
    }

    /// When [`Transport::handle_timeout`] is due. Call it when nothing is left to poll.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let Phase::Open(data) = &self.phase else { return self.secure.relays.poll_timeout() };
        let media = self.media.as_ref().and_then(|media| media.poll_timeout(now));
        [self.secure.poll_timeout(now), data.poll_timeout(), media].into_iter().flatten().min()
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
        let filled = match &mut self.media {
            None => self.turns.poll_transmit(now, &mut [&mut **data], &mut self.secure, batch),
            Some(media) => {
                self.turns.poll_transmit(now, &mut [&mut **media, &mut **data], &mut self.secure, batch)
            }
        };
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

    /// Grows with each check, or answer to one, whose integrity was right: then the peer is where it came from.
    pub fn authentic_checks(&self) -> u64 {
        self.secure.ice.authentic_checks
    }

    pub fn drops(&self) -> Drops {
        let tenants = match &self.phase {
            Phase::Open(data) => {
                let channels = data.channels().drops;
                let (sctp, dcep, message) = (data.dropped(), channels.dcep, channels.message);
                let media = self.dropped_media + self.media.as_ref().map_or(0, |media| media.dropped);
                Drops { sctp, dcep, message, media, ..Drops::default() }
            }
            Phase::Closed(drops) => *drops,
        };
        Drops {
            unknown: self.dropped_unknown,
            stun: self.secure.ice.drops.stun + self.secure.relays.dropped,
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
            pairs: self.secure.pair_stats(now),
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
            media: self.media.as_ref().map(|media| media.stats(now)),
        }
    }

    /// Keep copies of the packets that DTLS carries, for a capture; [`Transport::poll_tapped`] gives them.
    pub fn set_tapped(&mut self, is_on: bool) {
        self.secure.tap.set(is_on);
    }

    /// The next packet that DTLS has carried, and whether it was sent.
    pub fn poll_tapped(&mut self) -> Option<(bool, Vec<u8>)> {
        self.secure.tap.take()
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
                        lose(now, &mut self.media);
                        data.handle_lost(now, "the peer closed the connection (DTLS close_notify)");
                    }
                    SecureEvent::Failed(failure) => {
                        let message = failure.message.clone();
                        let failure = Some(Box::new(failure));
                        report(data, Event::Dtls { state: DtlsState::Failed, failure });
                        lose(now, &mut self.media);
                        data.handle_lost(now, &message);
                    }
                }
            }
            let Some(size) = record else {
                if let Some(media) = &mut self.media {
                    secure_media(now, media, &mut self.secure);
                }
                return;
            };
            data.handle_packet(now, &self.scratch[..size]);
        }
    }
}

/// Give media its keys, as soon as they are there.
fn secure_media(now: Instant, media: &mut Media, secure: &mut Secure) {
    if secure.is_connected()
        && !media.is_secured()
        && let Some(material) = secure.dtls.take_material()
    {
        media.handle_secured(now, &material);
    }
}

/// The secure path has ended.
fn lose(now: Instant, media: &mut Option<Box<Media>>) {
    if let Some(media) = media {
        media.handle_lost(now);
    }
}

fn dtls(state: DtlsState) -> Event {
    Event::Dtls { state, failure: None }
}

#[cfg(test)]
mod tests;
