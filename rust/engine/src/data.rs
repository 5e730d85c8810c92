//! The data channels of one transport: SCTP over the secure path, and the channels on it.

use std::time::Instant;

use adieu_congestion::Algorithm;

use crate::channel::{ChannelEvent, ChannelKey, ChannelOptions, Channels, Kind};
use crate::lines;
use crate::rare::Rare;
use crate::sctp::packet::Cause;
use crate::sctp::{Association, SctpEvent, SctpState};
use crate::secure::Secure;
use crate::stats::SctpStats;
use crate::tenant::Tenant;
use crate::transmit::Batch;

/// A new state of the association. `max_channels` comes with connected, `cause` with closed.
#[derive(Debug)]
pub struct StateChange {
    pub state: SctpState,
    pub cause: Option<Box<Cause>>,
    pub max_channels: Option<u16>,
}

#[derive(Clone, Copy)]
struct Ports {
    local: u16,
    remote: u16,
    remote_max_message_size: usize,
}

/// The life of the association.
enum Phase {
    /// No description has asked for it yet.
    New,
    /// The secure path is awaited.
    Waiting(Ports),
    Running {
        sctp: Box<Association>,
        remote_max_message_size: usize,
    },
    /// The association is over. Its statistics are kept, and its last packets still leave.
    Ended(Option<Box<Association>>),
}

impl Phase {
    #[inline]
    fn sctp(&self) -> Option<&Association> {
        match self {
            Phase::Running { sctp, .. } | Phase::Ended(Some(sctp)) => Some(sctp),
            Phase::New | Phase::Waiting(_) | Phase::Ended(None) => None,
        }
    }

    #[inline]
    fn sctp_mut(&mut self) -> Option<&mut Association> {
        match self {
            Phase::Running { sctp, .. } | Phase::Ended(Some(sctp)) => Some(sctp),
            Phase::New | Phase::Waiting(_) | Phase::Ended(None) => None,
        }
    }
}

pub struct Data {
    phase: Phase,
    channels: Channels,
    /// States of the association, among the events of the channels.
    states: Rare<StateChange>,
    /// Events of the channels that were taken.
    taken: u64,
    states_taken: u64,
    /// Bytes that the application may leave unread before messages are held back.
    receive_buffer: usize,
    /// The size that we announce as a=max-message-size.
    max_message_size: usize,
    /// The congestion controller.
    congestion: Algorithm,
    /// Bytes given to the application that it did not say to have taken.
    pub unread: usize,
    /// `unread` has reached its bound.
    is_full: bool,
    is_congested: bool,
    /// Whether something was handled since the last check for drained channels.
    is_dirty: bool,
}

impl Data {
    pub fn new(receive_buffer: usize, max_message_size: usize, congestion: Algorithm) -> Data {
        Data {
            phase: Phase::New,
            channels: Channels::new(max_message_size),
            states: Rare::new(),
            taken: 0,
            states_taken: 0,
            receive_buffer,
            max_message_size,
            congestion,
            unread: 0,
            is_full: false,
            is_congested: false,
            is_dirty: false,
        }
    }

    // --- the association --------------------------------------------------------------------------------------------

    /// The DTLS role decides which streams are ours (RFC 8832 section 6).
    pub fn set_role(&mut self, is_client: bool) {
        self.channels.set_role(is_client);
    }

    /// Have [`Data::handle_secured`] begin an association with these ports. `remote_max_message_size` 0: unlimited
    /// (RFC 8841 section 6.1).
    pub fn start(&mut self, local: u16, remote: u16, remote_max_message_size: usize) {
        if let Phase::New = self.phase {
            let remote_max_message_size = match remote_max_message_size {
                0 => usize::MAX,
                size => size,
            };
            self.phase = Phase::Waiting(Ports { local, remote, remote_max_message_size });
        }
    }

    /// The secure path is there.
    pub fn handle_secured(&mut self, now: Instant) {
        let Phase::Waiting(ports) = self.phase else { return };
        let (buffer, largest) = (self.receive_buffer, self.max_message_size);
        let numbers = (ports.local, ports.remote);
        let mut sctp = Box::new(Association::new(now, numbers, buffer, largest, self.congestion));
        sctp.connect(now);
        sctp.pause(now, self.is_congested);
        self.phase = Phase::Running { sctp, remote_max_message_size: ports.remote_max_message_size };
        self.pump(now);
    }

    /// The secure path has ended, and with it everything above.
    pub fn handle_lost(&mut self, now: Instant, why: &str) {
        match &mut self.phase {
            Phase::New | Phase::Ended(_) => return,
            Phase::Waiting(_) => {}
            Phase::Running { sctp, .. } => {
                sctp.drop_silently();
                self.pump(now); // what was complete is delivered
            }
        }
        self.end(true, Cause { code: None, text: why.to_owned() });
    }

    /// Closing rule 56: the association's state first, then each channel's error and close.
    fn end(&mut self, error: bool, cause: Cause) {
        let sctp = match std::mem::replace(&mut self.phase, Phase::Ended(None)) {
            Phase::Running { sctp, .. } | Phase::Ended(Some(sctp)) => Some(sctp),
            Phase::New | Phase::Waiting(_) | Phase::Ended(None) => None,
        };
        self.phase = Phase::Ended(sctp);
        let text = error.then_some(cause.text.as_str());
        let code = cause.code.filter(|_| error);
        let shown = Some(Box::new(cause.clone()));
        let before = self.taken + self.channels.waiting_events() as u64;
        let state = SctpState::Closed;
        self.states.push(before, StateChange { state, cause: shown, max_channels: None });
        self.channels.handle_ended(text, code);
    }

    /// Abrupt end: the packet that tells the peer, if there is an association to abort.
    pub fn abort(&mut self, now: Instant, reason: &str) -> Option<Vec<u8>> {
        self.phase.sctp_mut()?.abort(now, reason)
    }

    // --- channels ---------------------------------------------------------------------------------------------------

    /// Keys of closed channels are used again: empty [`Data::poll_event`] first.
    pub fn open_channel(&mut self, now: Instant, stream: u16, options: ChannelOptions) -> ChannelKey {
        self.is_dirty = true;
        let has_ended = matches!(self.phase, Phase::Ended(_));
        self.channels.open(now, self.phase.sctp_mut(), has_ended, (stream, options))
    }

    /// Queue a message. False: the channel is not open, or the message is larger than the peer takes.
    pub fn send(&mut self, now: Instant, key: ChannelKey, kind: Kind, payload: Vec<u8>) -> bool {
        let Phase::Running { sctp, remote_max_message_size } = &mut self.phase else { return false };
        if payload.len() > *remote_max_message_size {
            return false;
        }
        self.is_dirty = true;
        self.channels.send(now, sctp, key, kind, payload)
    }

    pub fn close_channel(&mut self, now: Instant, key: ChannelKey) {
        self.is_dirty = true;
        self.channels.close(now, self.phase.sctp_mut(), key);
        self.pump(now);
    }

    /// The application has taken this many bytes of messages.
    pub fn consumed(&mut self, now: Instant, size: usize) {
        self.unread = self.unread.saturating_sub(size);
        if self.is_full && self.unread <= self.receive_buffer / 2 {
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
        if let Some(sctp) = self.phase.sctp_mut() {
            sctp.pause(now, self.is_full || self.is_congested);
            self.pump(now);
        }
    }

    // --- packets and time -------------------------------------------------------------------------------------------

    /// One decrypted record. The association's events are taken at once, so that what follows in the same datagram,
    /// a close_notify after an ABORT, does not overtake them.
    pub fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        if let Some(sctp) = self.phase.sctp_mut() {
            sctp.handle_packet(now, packet);
            self.pump(now);
        }
    }

    /// `peer_is_silent`: ICE hears nothing of the peer.
    pub fn handle_timeout(&mut self, now: Instant, peer_is_silent: bool) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if let Some(sctp) = self.phase.sctp_mut()
            && is_due(sctp.poll_timeout())
        {
            sctp.handle_timeout(now);
            self.pump(now);
        }
        if is_due(self.channels.poll_timeout()) {
            if let Some(sctp) = self.phase.sctp_mut() {
                self.channels.handle_timeout(now, sctp, peer_is_silent);
            }
            self.pump(now);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let sctp = self.phase.sctp().and_then(Association::poll_timeout);
        [sctp, self.channels.poll_timeout()].into_iter().flatten().min()
    }

    /// The next event of a channel. [`Data::poll_state`] gives what comes before it.
    #[inline]
    pub fn poll_event(&mut self) -> Option<ChannelEvent> {
        let event = self.channels.poll_event()?;
        self.taken += 1;
        Some(event)
    }

    #[inline]
    pub fn has_states(&self) -> bool {
        !self.states.is_empty()
    }

    /// The state of the association that was reached before the next event of a channel.
    pub fn poll_state(&mut self) -> Option<StateChange> {
        if !self.states.is_next(self.taken) {
            return None;
        }
        self.states_taken += 1;
        self.states.pop()
    }

    /// How many events and states were taken.
    pub fn taken(&self) -> u64 {
        self.taken + self.states_taken
    }

    /// How many events and states there were.
    pub fn made(&self) -> u64 {
        self.taken() + (self.states.len() + self.channels.waiting_events()) as u64
    }

    /// Payload bytes of a channel that have left.
    #[inline]
    pub fn poll_drained(&mut self) -> Option<(ChannelKey, usize)> {
        self.channels.poll_drained()
    }

    /// Hand over what the channels have queued, and note what has left: once a turn, before anything is polled.
    #[inline]
    pub fn flush(&mut self, now: Instant) {
        while std::mem::take(&mut self.is_dirty) {
            let Some(sctp) = self.phase.sctp_mut() else { return };
            sctp.flush(now);
            self.channels.handle_progress(now, sctp);
            if sctp.has_events() {
                self.pump(now);
            }
        }
    }

    /// Take what the association reports, and let the channels follow.
    fn pump(&mut self, now: Instant) {
        self.is_dirty = true;
        while let Some((error, cause)) = self.pump_to_end(now) {
            self.end(error, cause);
        }
    }

    /// Returns how the association has ended, if it has.
    fn pump_to_end(&mut self, now: Instant) -> Option<(bool, Cause)> {
        let sctp = self.phase.sctp_mut()?;
        loop {
            let message = match sctp.poll_message() {
                Some(message) => message,
                None => match sctp.poll_event()? {
                    SctpEvent::Message { stream, ppid, payload } => (stream, ppid, payload),
                    SctpEvent::Connected { max_channels } => {
                        let before = self.taken + self.channels.waiting_events() as u64;
                        let (state, shown) = (SctpState::Connected, Some(max_channels));
                        self.states.push(before, StateChange { state, cause: None, max_channels: shown });
                        self.channels.handle_connected(now, sctp, max_channels);
                        continue;
                    }
                    SctpEvent::IncomingReset(streams) => {
                        self.channels.handle_incoming_reset(now, sctp, &streams);
                        continue;
                    }
                    SctpEvent::ResetDone(streams) => {
                        self.channels.handle_reset_answer(now, sctp, &streams, true);
                        continue;
                    }
                    SctpEvent::ResetFailed(streams) => {
                        self.channels.handle_reset_answer(now, sctp, &streams, false);
                        continue;
                    }
                    SctpEvent::Ended { error, cause } => return Some((error, cause)),
                },
            };
            self.unread += self.channels.handle_message(now, sctp, message);
            if !self.is_full && self.unread >= self.receive_buffer {
                log::debug!(target: lines::SCTP, "! the program does not read: {} bytes wait", self.unread);
                self.is_full = true;
                sctp.pause(now, true);
            }
        }
    }

    // --- figures ----------------------------------------------------------------------------------------------------

    pub fn state(&self) -> Option<SctpState> {
        self.phase.sctp().map(Association::state)
    }

    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Packets that could not be kept because the application does not read.
    pub fn dropped(&self) -> u64 {
        self.phase.sctp().map_or(0, |sctp| sctp.dropped)
    }

    pub fn stats(&self) -> Option<SctpStats> {
        let sctp = self.phase.sctp()?;
        let metrics = sctp.metrics()?;
        Some(SctpStats {
            round_trip: metrics.srtt,
            congestion_window: metrics.cwnd_bytes,
            receiver_window: metrics.peer_rwnd_bytes,
            unacknowledged: metrics.unack_data_count,
            packets_sent: metrics.tx_packets_count,
            packets_received: metrics.rx_packets_count,
            packets_retransmitted: metrics.rtx_packets_count,
            zero_checksum: metrics.uses_zero_checksum,
            congestion: sctp.congestion(),
        })
    }
}

impl Tenant for Data {
    fn poll_transmit(&mut self, now: Instant, secure: &mut Secure, batch: &mut Batch) -> bool {
        let Some(sctp) = self.phase.sctp_mut() else { return false };
        let Some(mut size) = sctp.next_packet_size() else { return false };
        if !secure.start_batch(now, batch) {
            while sctp.poll_transmit().is_some() {} // SCTP sends it again
            return false;
        }
        let mut longest = usize::MAX;
        // A packet longer than the ones before it can not join their batch: then it begins the next.
        while size <= longest && Secure::has_room(batch, size) {
            let Some(packet) = sctp.poll_transmit() else { break };
            longest = longest.min(size);
            secure.seal(&packet, batch);
            match sctp.next_packet_size() {
                Some(next) => size = next,
                None => break,
            }
        }
        !batch.is_empty()
    }
}
