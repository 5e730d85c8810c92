//! One transport: ICE, DTLS and SCTP bundled, and the data channels on it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::certificate::Certificate;
use crate::channel::{ChannelEvent, ChannelKey, ChannelOptions, Channels, Kind};
use crate::close::{self, LastWord};
use crate::demux::{Class, classify};
use crate::dtls::fingerprint::Fingerprint;
use crate::dtls::{self, Dtls, DtlsFailure, DtlsState};
use crate::ice::candidate::RemoteCandidate;
use crate::ice::consent::Timing;
use crate::ice::{Credentials, Ice, IceEvent, IceState, Role};
use crate::lines;
use crate::random::Random;
use crate::sctp::packet::Cause;
use crate::sctp::{self, Association, SctpState};
use crate::stats::{Drops, PairStats, SctpStats, Stats, Traffic};
use crate::transmit::{Batch, Datagram};

/// What a DTLS record adds to an SCTP packet, at most (DTLS 1.2, AES-GCM: 13 + 8 + 16).
const DTLS_OVERHEAD: usize = 64;
/// Handshake packets and last words that wait to be polled. The caller polls after each turn; more than this is a
/// peer that makes us talk.
const MAX_WAITING: usize = 256;

#[derive(Clone, Debug)]
pub struct Config {
    pub disconnected_after: Duration,
    pub failed_after: Duration,
    /// Bytes that the application may leave unread before no more messages are taken.
    pub receive_buffer: usize,
    /// What we announce as a=max-message-size.
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

impl From<ChannelEvent> for Event {
    #[inline]
    fn from(event: ChannelEvent) -> Event {
        Event::Channel(event)
    }
}

/// See the crate's documentation for the five verbs. After any number of `handle_*` and commands, call
/// [`Transport::poll_event`] until it is empty, then [`Transport::poll_transmit`] until it is empty, then
/// [`Transport::poll_timeout`].
pub struct Transport {
    ice: Ice,
    dtls: Dtls,
    dtls_wanted: Option<(bool, Vec<Fingerprint>)>,
    sctp: Option<Association>,
    sctp_wanted: Option<SctpPorts>,
    channels: Channels,
    events: VecDeque<Event>,
    waiting: VecDeque<Datagram>,
    scratch: Vec<u8>,
    config: Config,
    /// Bytes given to the application that it did not say to have taken.
    unread: usize,
    /// `unread` has reached its bound.
    is_full: bool,
    is_congested: bool,
    /// Something was handled since the last look at what has drained.
    is_dirty: bool,
    sctp_ended: bool,
    is_closed: bool,
    traffic: Traffic,
    /// Of the selected pair alone.
    pair_traffic: Traffic,
    dropped_unknown: u64,
    dropped_dtls: u64,
}

#[derive(Clone, Copy)]
struct SctpPorts {
    local: u16,
    remote: u16,
    remote_max_message_size: usize,
}

impl Transport {
    pub fn new(now: Instant, certificate: Arc<Certificate>, config: Config) -> Transport {
        let timing =
            Timing { disconnected_after: config.disconnected_after, failed_after: config.failed_after };
        Transport {
            ice: Ice::new(timing, Random::new(config.seed)),
            dtls: Dtls::new(now, certificate),
            dtls_wanted: None,
            sctp: None,
            sctp_wanted: None,
            channels: Channels::new(config.max_message_size),
            events: VecDeque::new(),
            waiting: VecDeque::new(),
            scratch: vec![0; 2048],
            config,
            unread: 0,
            is_full: false,
            is_congested: false,
            is_dirty: false,
            sctp_ended: false,
            is_closed: false,
            traffic: Traffic::default(),
            pair_traffic: Traffic::default(),
            dropped_unknown: 0,
            dropped_dtls: 0,
        }
    }

    // --- ICE commands -----------------------------------------------------------------------------------------------

    /// Begin an ICE generation. Its host candidates follow by [`Transport::add_host`], its servers by
    /// [`Transport::expect_server`], then [`Transport::hosts_done`].
    pub fn start_generation(&mut self, now: Instant, number: u32, local: Credentials, role: Role) {
        self.ice.start_generation(now, number, local, role);
        self.after_ice(now);
    }

    pub fn set_role(&mut self, generation: u32, role: Role) {
        self.ice.set_role(generation, role);
    }

    pub fn add_host(&mut self, now: Instant, generation: u32, address: SocketAddr) {
        self.ice.add_host(now, generation, address);
        self.after_ice(now);
    }

    pub fn expect_server(&mut self, now: Instant, generation: u32, url: Arc<str>) {
        self.ice.expect_server(now, generation, url);
    }

    pub fn server_resolved(
        &mut self,
        now: Instant,
        generation: u32,
        url: &str,
        addresses: Result<Vec<SocketAddr>, String>,
    ) {
        self.ice.server_resolved(now, generation, url, addresses);
        self.after_ice(now);
    }

    pub fn hosts_done(&mut self, now: Instant, generation: u32) {
        self.ice.hosts_done(now, generation);
        self.after_ice(now);
    }

    pub fn set_remote(&mut self, now: Instant, generation: u32, remote: Credentials, lite: bool) {
        self.ice.set_remote(now, generation, remote, lite);
        self.after_ice(now);
    }

    /// None: end-of-candidates.
    pub fn add_candidate(&mut self, now: Instant, generation: u32, candidate: Option<RemoteCandidate>) {
        self.ice.add_candidate(now, generation, candidate);
        self.after_ice(now);
    }

    pub fn drop_generation(&mut self, now: Instant, generation: u32) {
        self.ice.drop_generation(now, generation);
        self.after_ice(now);
    }

    // --- DTLS and SCTP commands -------------------------------------------------------------------------------------

    /// The handshake starts when ICE has a pair.
    pub fn start_dtls(&mut self, now: Instant, client: bool, fingerprints: Vec<Fingerprint>) {
        if self.dtls.state() == DtlsState::New && self.dtls_wanted.is_none() && !self.is_closed {
            self.dtls_wanted = Some((client, fingerprints));
            self.channels.set_role(client);
            self.start_what_can_start(now);
        }
    }

    /// `remote_max_message_size` 0: unlimited (RFC 8841 section 6.1).
    pub fn start_sctp(&mut self, now: Instant, local: u16, remote: u16, remote_max_message_size: usize) {
        if self.sctp_wanted.is_none() && !self.is_closed {
            let remote_max_message_size = match remote_max_message_size {
                0 => usize::MAX,
                size => size,
            };
            self.sctp_wanted = Some(SctpPorts { local, remote, remote_max_message_size });
            self.start_what_can_start(now);
        }
    }

    // --- channels ---------------------------------------------------------------------------------------------------

    /// Keys of closed channels are used again: empty [`Transport::poll_event`] first.
    pub fn open_channel(&mut self, now: Instant, stream: u16, options: ChannelOptions) -> ChannelKey {
        self.is_dirty = true;
        let ended = self.sctp_ended;
        self.channels.open(now, self.sctp.as_mut(), ended, (stream, options), &mut self.events)
    }

    /// False: the message was not taken, because the channel is not open or the message is larger than the peer takes.
    pub fn send(&mut self, now: Instant, key: ChannelKey, kind: Kind, payload: Vec<u8>) -> bool {
        let largest = self.sctp_wanted.map_or(0, |ports| ports.remote_max_message_size);
        let Some(sctp) = self.sctp.as_mut().filter(|_| payload.len() <= largest) else { return false };
        self.is_dirty = true;
        self.channels.send(now, sctp, key, kind, payload)
    }

    pub fn close_channel(&mut self, now: Instant, key: ChannelKey) {
        self.is_dirty = true;
        self.channels.close(now, self.sctp.as_mut(), key, &mut self.events);
        self.pump_sctp(now);
    }

    /// The application has taken this many bytes of messages.
    pub fn consumed(&mut self, now: Instant, size: usize) {
        self.unread = self.unread.saturating_sub(size);
        if self.is_full && self.unread <= self.config.receive_buffer / 2 {
            log::debug!(target: lines::SCTP, "= receives again: {} bytes wait to be read", self.unread);
            self.is_full = false;
            self.pause_or_resume(now);
        }
    }

    /// The application has too many events waiting: take no messages until it has fewer.
    pub fn set_congested(&mut self, now: Instant, is_congested: bool) {
        log::debug!(target: lines::SCTP, "= too many events wait for the program: {is_congested}");
        self.is_congested = is_congested;
        self.pause_or_resume(now);
    }

    fn pause_or_resume(&mut self, now: Instant) {
        if let Some(sctp) = &mut self.sctp {
            sctp.pause(now, self.is_full || self.is_congested);
            self.pump_sctp(now);
        }
    }

    /// Close abruptly: what follows from [`Transport::poll_transmit`] is all that the peer hears (closing rule 72).
    /// No event comes any more.
    pub fn close(&mut self, now: Instant, reason: &str) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let plan = close::plan(self.sctp.as_ref().map(Association::state), self.dtls.state());
        for word in plan {
            match word {
                LastWord::SctpAbort => {
                    let abort = self.sctp.as_mut().and_then(|sctp| sctp.abort(now, reason));
                    if let Some(abort) = abort {
                        self.dtls.handle_timeout(now);
                        self.dtls.send(&abort);
                    }
                }
                LastWord::DtlsCloseNotify => self.dtls.close(),
            }
            // After each word: else a later one would overtake it.
            loop {
                match self.dtls.step(&mut scratch) {
                    dtls::Step::Packet(packet) => {
                        let packet = packet.to_vec();
                        self.put_waiting(packet);
                    }
                    dtls::Step::Idle | dtls::Step::Failed(_) => break,
                    _ => {}
                }
            }
        }
        self.scratch = scratch;
        self.sctp = None;
        self.events.clear();
    }

    // --- datagrams and time -----------------------------------------------------------------------------------------

    pub fn handle_datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        if self.is_closed {
            return;
        }
        self.traffic.received(now, datagram.len());
        if self.ice.path() == Some((local, remote)) {
            self.pair_traffic.received(now, datagram.len());
        }
        match classify(datagram) {
            Class::Stun => {
                self.ice.handle_datagram(now, local, remote, datagram);
                self.after_ice(now);
            }
            Class::Dtls if self.ice.accepts(remote) => {
                if !self.dtls.handle_datagram(now, datagram) {
                    self.dropped_dtls += 1;
                }
                self.pump_dtls(now);
            }
            Class::Dtls => self.dropped_dtls += 1,
            Class::TurnChannel | Class::Rtp | Class::Unknown => self.dropped_unknown += 1,
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed {
            return;
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.ice.timeout(now)) {
            self.ice.handle_timeout(now);
            self.after_ice(now);
        }
        if is_due(self.dtls.timeout()) {
            if self.dtls.state() == DtlsState::Connecting {
                log::debug!(target: lines::DTLS, "! the handshake has no answer yet: its flight is sent again");
            }
            self.dtls.handle_timeout(now);
            self.pump_dtls(now);
        }
        if is_due(self.sctp.as_ref().and_then(Association::timeout)) {
            if let Some(sctp) = &mut self.sctp {
                sctp.handle_timeout(now);
            }
            self.pump_sctp(now);
        }
        if is_due(self.channels.timeout()) {
            let is_silent = !self.ice.is_alive(now);
            if let Some(sctp) = &mut self.sctp {
                self.channels.handle_timeout(now, sctp, is_silent, &mut self.events);
            }
            self.pump_sctp(now);
        }
    }

    /// When [`Transport::handle_timeout`] is due. Call it when nothing is left to poll.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        let sctp = self.sctp.as_ref().and_then(Association::timeout);
        [self.ice.timeout(now), self.dtls.timeout(), sctp, self.channels.timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    // --- what comes of it -------------------------------------------------------------------------------------------

    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.settle(now);
        self.events.pop_front()
    }

    /// Fill `batch` with what is to be sent next; false when there is nothing.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut Batch) -> bool {
        self.settle(now);
        let filled = self.next_datagram(now, batch) || self.next_packets(now, batch);
        if filled {
            self.traffic.sent(now, batch.count(), batch.contents().len());
            if self.ice.path() == Some((batch.local, batch.remote)) {
                self.pair_traffic.sent(now, batch.count(), batch.contents().len());
            }
        }
        filled
    }

    /// Payload bytes that have left, by channel, since the last call.
    pub fn take_drained(&mut self, now: Instant) -> std::vec::Drain<'_, (ChannelKey, usize)> {
        self.settle(now);
        self.channels.take_drained()
    }

    pub fn channel_count(&self) -> usize {
        self.channels.count()
    }

    pub fn drops(&self) -> Drops {
        Drops {
            unknown: self.dropped_unknown,
            stun: self.ice.drops.stun,
            dtls: self.dropped_dtls,
            sctp: self.sctp.as_ref().map_or(0, |sctp| sctp.dropped),
            dcep: self.channels.drops.dcep,
            message: self.channels.drops.message,
            candidate: self.ice.drops.candidate,
        }
    }

    pub fn stats(&self, now: Instant) -> Stats {
        let (requests_sent, responses_received, requests_received) = self.ice.check_counts();
        let sctp = self.sctp.as_ref().and_then(Association::metrics).map(|metrics| SctpStats {
            round_trip: metrics.srtt,
            congestion_window: metrics.cwnd_bytes,
            receiver_window: metrics.peer_rwnd_bytes,
            unacknowledged: metrics.unack_data_count,
            packets_sent: metrics.tx_packets_count,
            packets_received: metrics.rx_packets_count,
            packets_retransmitted: metrics.rtx_packets_count,
            zero_checksum: metrics.uses_zero_checksum,
        });
        Stats {
            at: now,
            ice_state: self.ice.state().name(),
            ice_role: self.ice.role().map(Role::name),
            traffic: self.traffic,
            pair: self.ice.pair_stats().map(|pair| PairStats { traffic: self.pair_traffic, ..pair }),
            pair_changes: self.ice.pair_changes,
            requests_sent,
            responses_received,
            requests_received,
            dtls_state: self.dtls.state().name(),
            dtls_version: self.dtls.version(),
            dtls_cipher: self.dtls.cipher_suite(),
            srtp_cipher: self.dtls.srtp_profile(),
            dtls_role: self.dtls.is_client().map(|client| if client { "client" } else { "server" }),
            sctp,
            channels: self.channels.counts().collect(),
            unread: self.unread,
            drops: self.drops(),
        }
    }

    // --- the layers, from below -------------------------------------------------------------------------------------

    fn after_ice(&mut self, now: Instant) {
        while let Some(event) = self.ice.poll_event() {
            if matches!(event, IceEvent::Pair { .. }) {
                self.pair_traffic = Traffic::default();
            }
            self.events.push_back(Event::Ice(Box::new(event)));
        }
        self.start_what_can_start(now);
    }

    /// DTLS starts on a pair, SCTP on DTLS.
    fn start_what_can_start(&mut self, now: Instant) {
        if self.ice.path().is_some()
            && self.dtls.state() == DtlsState::New
            && let Some((client, fingerprints)) = self.dtls_wanted.take()
        {
            self.dtls.start(now, client, fingerprints);
            self.events.push_back(Event::Dtls { state: DtlsState::Connecting, failure: None });
            self.pump_dtls(now);
        }
        if self.dtls.state() == DtlsState::Connected
            && self.sctp.is_none()
            && let Some(ports) = self.sctp_wanted
        {
            let (buffer, largest) = (self.config.receive_buffer, self.config.max_message_size);
            let mut sctp = Association::new(now, ports.local, ports.remote, buffer, largest);
            sctp.connect(now);
            sctp.pause(now, self.is_congested);
            self.sctp = Some(sctp);
            self.pump_sctp(now);
        }
    }

    fn pump_dtls(&mut self, now: Instant) {
        let mut scratch = std::mem::take(&mut self.scratch);
        loop {
            match self.dtls.step(&mut scratch) {
                dtls::Step::Idle => break,
                dtls::Step::Packet(packet) => {
                    let packet = packet.to_vec();
                    self.put_waiting(packet);
                }
                dtls::Step::Data(data) => self.handle_data(now, data),
                dtls::Step::Connected { certificate } => {
                    self.events.push_back(Event::Certificates(vec![certificate]));
                    self.events.push_back(Event::Dtls { state: DtlsState::Connected, failure: None });
                    self.start_what_can_start(now);
                }
                // Closing rules 60 and 71: answered by our own, and everything above is closed.
                dtls::Step::CloseNotify => {
                    self.dtls.close();
                    self.events.push_back(Event::Dtls { state: DtlsState::Closed, failure: None });
                    self.lose_sctp(now, "the peer closed the connection (DTLS close_notify)");
                }
                dtls::Step::Failed(failure) => {
                    let message = failure.message.clone();
                    self.events.push_back(Event::Dtls {
                        state: DtlsState::Failed,
                        failure: Some(Box::new(failure)),
                    });
                    self.lose_sctp(now, &message);
                }
            }
        }
        self.scratch = scratch;
    }

    /// One decrypted record. The association's events are taken at once, so that what follows in the same datagram —
    /// a close_notify after an ABORT — does not overtake them.
    fn handle_data(&mut self, now: Instant, data: &[u8]) {
        self.ice.heard();
        if matches!(self.ice.state(), IceState::Disconnected | IceState::Failed) {
            self.ice.handle_timeout(now);
            self.after_ice(now);
        }
        if let Some(sctp) = &mut self.sctp {
            sctp.handle_packet(now, data);
            self.pump_sctp(now);
        }
    }

    fn pump_sctp(&mut self, now: Instant) {
        self.is_dirty = true;
        while let Some(sctp) = &mut self.sctp {
            let Some(step) = sctp.poll_step() else { return };
            match step {
                sctp::Step::Message { stream, ppid, payload } => {
                    self.unread +=
                        self.channels.handle_message(now, sctp, (stream, ppid, payload), &mut self.events);
                    if !self.is_full && self.unread >= self.config.receive_buffer {
                        log::debug!(target: lines::SCTP, "! the program does not read: {} bytes wait", self.unread);
                        self.is_full = true;
                        sctp.pause(now, true);
                    }
                }
                sctp::Step::Connected { max_channels } => {
                    let state = SctpState::Connected;
                    self.events.push_back(Event::Sctp {
                        state,
                        cause: None,
                        max_channels: Some(max_channels),
                    });
                    self.channels.handle_connected(now, sctp, max_channels, &mut self.events);
                }
                sctp::Step::IncomingReset(streams) => {
                    self.channels.handle_incoming_reset(now, sctp, &streams, &mut self.events);
                }
                sctp::Step::ResetDone(streams) => {
                    self.channels.handle_reset_answer(now, sctp, &streams, true, &mut self.events);
                }
                sctp::Step::ResetFailed(streams) => {
                    self.channels.handle_reset_answer(now, sctp, &streams, false, &mut self.events);
                }
                sctp::Step::Ended { error, cause } => self.end_sctp(error, cause),
            }
        }
    }

    /// Closing rule 56: the transport's state first, then each channel's error and close.
    fn end_sctp(&mut self, error: bool, cause: Cause) {
        let text = error.then_some(cause.text.as_str());
        let code = cause.code.filter(|_| error);
        self.sctp_ended = true;
        let shown = Some(Box::new(cause.clone()));
        self.events.push_back(Event::Sctp { state: SctpState::Closed, cause: shown, max_channels: None });
        self.channels.handle_ended(text, code, &mut self.events);
    }

    /// The layer below has ended.
    fn lose_sctp(&mut self, now: Instant, why: &str) {
        match &mut self.sctp {
            Some(sctp) if sctp.state() == SctpState::Closed => return,
            Some(sctp) => {
                sctp.drop_silently();
                self.pump_sctp(now); // what was complete is delivered
            }
            None if self.sctp_wanted.take().is_none() => return,
            None => {}
        }
        self.end_sctp(true, Cause { code: None, text: why.to_owned() });
    }

    /// Hand over what the channels have queued and look what has left: once a turn, before anything is polled.
    fn settle(&mut self, now: Instant) {
        while std::mem::take(&mut self.is_dirty) {
            let Some(sctp) = &mut self.sctp else { return };
            sctp.flush(now);
            self.channels.settle(now, sctp, &mut self.events);
            if sctp.has_steps() {
                self.pump_sctp(now);
            }
        }
    }

    fn put_waiting(&mut self, bytes: Vec<u8>) {
        let Some((local, remote)) = self.ice.path() else { return };
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(Datagram { local, remote, bytes });
        }
    }

    fn next_datagram(&mut self, now: Instant, batch: &mut Batch) -> bool {
        let datagram = match self.ice.poll_datagram() {
            Some(datagram) => datagram,
            None => {
                if !self.waiting.is_empty() && !self.ice.may_send(now) {
                    self.waiting.clear();
                }
                match self.waiting.pop_front() {
                    Some(datagram) => datagram,
                    None => return false,
                }
            }
        };
        batch.put(&datagram);
        true
    }

    /// Encrypt as many packets of the association as make one batch, straight into it.
    fn next_packets(&mut self, now: Instant, batch: &mut Batch) -> bool {
        let Some(sctp) = &mut self.sctp else { return false };
        let Some(mut size) = sctp.next_packet_size() else { return false };
        let path = self.ice.path().filter(|_| self.ice.may_send(now));
        let (Some((local, remote)), DtlsState::Connected) = (path, self.dtls.state()) else {
            // RFC 7675: nothing may leave, and nothing may pile up; SCTP sends it again.
            while sctp.poll_packet().is_some() {}
            return false;
        };
        batch.start(local, remote);
        let mut longest = usize::MAX;
        // A packet longer than the ones before it can not join their batch: then it begins the next.
        while size <= longest && batch.room(size + DTLS_OVERHEAD).is_some() {
            let Some(packet) = sctp.poll_packet() else { break };
            longest = longest.min(size);
            if self.dtls.send(&packet) {
                Self::encrypt_into(&mut self.dtls, &mut self.waiting, batch);
            }
            match sctp.next_packet_size() {
                Some(next) => size = next,
                None => break,
            }
        }
        self.pump_dtls(now);
        !batch.is_empty()
    }

    /// One record from the DTLS engine to the end of the batch. What does not fit — a key update may come between —
    /// leaves by itself.
    fn encrypt_into(dtls: &mut Dtls, waiting: &mut VecDeque<Datagram>, batch: &mut Batch) {
        let (local, remote, limit) = (batch.local, batch.remote, batch.segment_limit());
        let Some(room) = batch.room(0) else { return };
        let Some(size) = dtls.next_record(room) else { return };
        let record = &room[..size];
        if size > limit {
            waiting.push_back(Datagram { local, remote, bytes: record.to_vec() });
        } else {
            batch.push(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_small() {
        assert!(size_of::<Event>() <= 48, "{}", size_of::<Event>());
    }
}
