//! Data channels over one association: opened, used, closed (RFC 8831, RFC 8832).

pub mod closing;
pub mod dcep;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Event;
use crate::lines;
use crate::sctp::{Association, Outgoing, SctpState};
use closing::{Action, Input, Phase};
use dcep::Dcep;
pub use dcep::{ChannelOptions, Reliability};

/// RFC 8831 section 8: what a message is, is its PPID.
const PPID_DCEP: u32 = 50;
const PPID_TEXT: u32 = 51;
const PPID_BINARY: u32 = 53;
const PPID_TEXT_EMPTY: u32 = 56;
const PPID_BINARY_EMPTY: u32 = 57;

/// Before a refused reset is asked for again.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// A closing channel whose peer lives, has everything, and says nothing for so long is given up.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(10);
/// RFC 8832 section 6: stream 65535 does not exist, because 65535 streams are numbered from 0.
const MAX_STREAM: u16 = 65534;

/// Bytes of labels and protocols that a peer may make us hold: RFC 8832 allows 128 KiB for each of 32767 channels.
const MAX_NAMES: usize = 8 << 20;

/// Names a channel of one transport while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelKey(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Binary,
}

#[derive(Debug)]
pub enum ChannelEvent {
    /// The association is up; an OPEN, if there is one, is on its way.
    Open {
        key: ChannelKey,
    },
    Incoming {
        key: ChannelKey,
        stream: u16,
        options: Box<ChannelOptions>,
    },
    Message {
        key: ChannelKey,
        kind: Kind,
        payload: Vec<u8>,
    },
    /// The peer closes.
    Closing {
        key: ChannelKey,
    },
    /// Closed by the procedure: the stream is free. Or, with an error, because the association ended under it.
    Closed {
        key: ChannelKey,
        error: Option<Box<str>>,
        cause: Option<u16>,
    },
    /// It could not be made, or the peer broke its rules (closing rule 51).
    Failed {
        key: ChannelKey,
        message: String,
    },
}

/// Counts for one channel's statistics.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChannelCounts {
    pub messages_sent: u64,
    pub bytes_sent: u64,
    pub messages_received: u64,
    pub bytes_received: u64,
}

struct Channel {
    stream: u16,
    options: ChannelOptions,
    phase: Phase,
    /// The application knows it and hears of it. Not so for a stream that is only being refused.
    announced: bool,
    /// RFC 8832 section 6: until the peer has shown that it knows the channel, everything is sent in order.
    confirmed: bool,
    /// Payload bytes handed to the association that did not go into a packet yet, as last seen.
    unsent: usize,
    is_busy: bool,
    /// When a retry or the closing timeout is due.
    due: Option<Instant>,
    counts: ChannelCounts,
    /// Bytes of the label and the protocol that the peer gave it.
    names: usize,
}

/// What strangers' or broken peers' channel messages came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChannelDrops {
    /// DCEP messages that make no sense, or OPENs for a stream that is taken or has the wrong parity, or with more
    /// names than are held.
    pub dcep: u64,
    /// Messages on a stream without an open channel, or of an unknown kind.
    pub message: u64,
}

pub struct Channels {
    slots: Vec<Option<Channel>>,
    free: Vec<u32>,
    /// stream id -> slot + 1
    by_stream: Vec<u32>,
    /// Slots that have something queued, or drain before they are reset.
    busy: Vec<u32>,
    /// Slots with `due` set.
    waiting: Vec<u32>,
    /// Payload bytes that left since the last look.
    drained: Vec<(ChannelKey, usize)>,
    max_channels: Option<u16>,
    max_receive: usize,
    /// Our DTLS role: the client has the even streams (RFC 8832 section 6). None: not known yet.
    is_client: Option<bool>,
    open_count: usize,
    /// Of all channels that the peer has opened.
    names: usize,
    pub drops: ChannelDrops,
}

impl Channels {
    pub fn new(max_receive: usize) -> Channels {
        Channels {
            slots: Vec::new(),
            free: Vec::new(),
            by_stream: Vec::new(),
            busy: Vec::new(),
            waiting: Vec::new(),
            drained: Vec::new(),
            max_channels: None,
            max_receive,
            is_client: None,
            open_count: 0,
            names: 0,
            drops: ChannelDrops::default(),
        }
    }

    pub fn set_role(&mut self, is_client: bool) {
        self.is_client = Some(is_client);
    }

    /// How many the application knows.
    pub fn count(&self) -> usize {
        self.open_count
    }

    pub fn counts(&self) -> impl Iterator<Item = (ChannelKey, u16, ChannelCounts)> {
        let announced = |(slot, channel): (usize, &Option<Channel>)| {
            let channel = channel.as_ref().filter(|channel| channel.announced)?;
            Some((ChannelKey(slot as u32), channel.stream, channel.counts))
        };
        self.slots.iter().enumerate().filter_map(announced)
    }

    /// Open a channel of our own. The stream is the caller's choice.
    pub fn open(
        &mut self,
        now: Instant,
        sctp: Option<&mut Association>,
        has_ended: bool,
        (stream, options): (u16, ChannelOptions),
        events: &mut VecDeque<Event>,
    ) -> ChannelKey {
        let taken = self.find(stream).is_some();
        let confirmed = options.negotiated;
        let key = self.insert(stream, options, confirmed, !taken);
        if taken {
            // Nothing of it goes into the tables of the stream's present owner.
            self.fail(key, format!("stream {stream} is in use by another channel"), events);
            return key;
        }
        if has_ended {
            self.fail(key, "the association has ended".into(), events);
            self.remove(key);
            return key;
        }
        if let Some(sctp) = sctp.filter(|sctp| sctp.state() == SctpState::Connected) {
            self.establish(now, sctp, key, events);
        }
        key
    }

    /// The association is up: announce all that wait for it.
    pub fn handle_connected(
        &mut self,
        now: Instant,
        sctp: &mut Association,
        max_channels: u16,
        events: &mut VecDeque<Event>,
    ) {
        self.max_channels = Some(max_channels);
        for slot in 0..self.slots.len() {
            if matches!(&self.slots[slot], Some(channel) if channel.phase == Phase::Waiting) {
                self.establish(now, sctp, ChannelKey(slot as u32), events);
            }
        }
    }

    /// The association has ended: nothing can follow (closing rule 56).
    pub fn handle_ended(&mut self, error: Option<&str>, cause: Option<u16>, events: &mut VecDeque<Event>) {
        for slot in 0..self.slots.len() {
            let Some(channel) = self.slots[slot].take() else { continue };
            if channel.announced {
                let key = ChannelKey(slot as u32);
                events.push_back(ChannelEvent::Closed { key, error: error.map(Into::into), cause }.into());
            }
        }
        let max_receive = self.max_receive;
        let (is_client, drops) = (self.is_client, self.drops);
        *self = Channels { is_client, drops, ..Channels::new(max_receive) };
    }

    /// Queue one message. False: the channel is not open (any more).
    pub fn send(
        &mut self,
        now: Instant,
        sctp: &mut Association,
        key: ChannelKey,
        kind: Kind,
        payload: Vec<u8>,
    ) -> bool {
        let slot = key.0 as usize;
        let Some(channel) = self.slots.get_mut(slot).and_then(Option::as_mut) else { return false };
        if !channel.phase.is_open() {
            return false;
        }
        channel.counts.messages_sent += 1;
        channel.counts.bytes_sent += payload.len() as u64;
        channel.unsent += payload.len();
        if !channel.is_busy {
            channel.is_busy = true;
            self.busy.push(key.0);
        }
        let (ppid, payload) = match (kind, payload.is_empty()) {
            (Kind::Text, false) => (PPID_TEXT, payload),
            (Kind::Binary, false) => (PPID_BINARY, payload),
            // SCTP knows no empty message: one zero byte, and the PPID says so (RFC 8831 section 6.6).
            (Kind::Text, true) => (PPID_TEXT_EMPTY, vec![0]),
            (Kind::Binary, true) => (PPID_BINARY_EMPTY, vec![0]),
        };
        sctp.send(
            now,
            Outgoing {
                stream: channel.stream,
                ppid,
                payload,
                unordered: !channel.options.ordered && channel.confirmed,
                lifetime: channel.options.reliability.lifetime(),
                max_retransmits: channel.options.reliability.max_retransmits(),
            },
        );
        true
    }

    pub fn close(
        &mut self,
        now: Instant,
        sctp: Option<&mut Association>,
        key: ChannelKey,
        events: &mut VecDeque<Event>,
    ) {
        self.apply(now, sctp, key, Input::CloseCalled, events);
    }

    /// A message came in. Returns the bytes that went to the application.
    pub fn handle_message(
        &mut self,
        now: Instant,
        sctp: &mut Association,
        (stream, ppid, payload): (u16, u32, Vec<u8>),
        events: &mut VecDeque<Event>,
    ) -> usize {
        if ppid == PPID_DCEP {
            self.handle_dcep(now, sctp, stream, &payload, events);
            return 0;
        }
        let Some(key) = self.find(stream) else {
            self.drops.message += 1;
            return 0;
        };
        let max_receive = self.max_receive;
        let Some(channel) = self.slots[key.0 as usize].as_mut() else { return 0 };
        channel.confirmed = true;
        if channel.phase.waits_for_peer() {
            channel.due = Some(now + CLOSING_TIMEOUT); // it still sends what it has
        }
        if !channel.phase.hears() || !channel.announced {
            return 0; // closing rule 45
        }
        let (kind, payload) = match ppid {
            PPID_TEXT => (Kind::Text, payload),
            PPID_BINARY => (Kind::Binary, payload),
            PPID_TEXT_EMPTY => (Kind::Text, Vec::new()),
            PPID_BINARY_EMPTY => (Kind::Binary, Vec::new()),
            _ => {
                self.drops.message += 1;
                return 0;
            }
        };
        if payload.len() > max_receive {
            let message = format!(
                "the peer sent a message of {} bytes where {max_receive} were announced as the largest",
                payload.len()
            );
            self.drops.message += 1;
            self.fail(key, message, events);
            self.apply(now, Some(sctp), key, Input::CloseCalled, events);
            return 0;
        }
        channel.counts.messages_received += 1;
        let size = payload.len();
        channel.counts.bytes_received += size as u64;
        events.push_back(ChannelEvent::Message { key, kind, payload }.into());
        size
    }

    /// The peer has reset its direction of these streams; of all, when the list is empty.
    pub fn handle_incoming_reset(
        &mut self,
        now: Instant,
        sctp: &mut Association,
        streams: &[u16],
        events: &mut VecDeque<Event>,
    ) {
        for key in self.keys_of(streams) {
            self.apply(now, Some(sctp), key, Input::PeerReset, events);
        }
    }

    /// The answer to a reset of ours.
    pub fn handle_reset_answer(
        &mut self,
        now: Instant,
        sctp: &mut Association,
        streams: &[u16],
        done: bool,
        events: &mut VecDeque<Event>,
    ) {
        let input = if done { Input::ResetDone } else { Input::ResetRefused };
        for key in self.keys_of(streams) {
            self.apply(now, Some(sctp), key, input, events);
        }
    }

    /// Look what has left, and reset what has drained. Call it after every turn.
    pub fn settle(&mut self, now: Instant, sctp: &mut Association, events: &mut VecDeque<Event>) {
        if self.busy.is_empty() {
            return;
        }
        let busy = std::mem::take(&mut self.busy);
        for slot in busy {
            let Some(channel) = self.slots[slot as usize].as_mut() else { continue };
            let buffered = sctp.buffered(channel.stream);
            let left = buffered.min(channel.unsent);
            if left < channel.unsent {
                self.drained.push((ChannelKey(slot), channel.unsent - left));
                channel.unsent = left;
            }
            if buffered > 0 {
                self.busy.push(slot);
                continue;
            }
            channel.is_busy = false;
            if matches!(channel.phase, Phase::Draining { .. }) {
                self.apply(now, Some(&mut *sctp), ChannelKey(slot), Input::Drained, events);
            }
        }
    }

    /// Payload bytes that have left: (channel, bytes), since the last call.
    pub fn take_drained(&mut self) -> std::vec::Drain<'_, (ChannelKey, usize)> {
        self.drained.drain(..)
    }

    pub fn timeout(&self) -> Option<Instant> {
        self.waiting.iter().filter_map(|&slot| self.slots[slot as usize].as_ref()?.due).min()
    }

    /// `peer_is_silent`: nothing can be said of a peer that ICE does not hear; its time starts again.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        sctp: &mut Association,
        peer_is_silent: bool,
        events: &mut VecDeque<Event>,
    ) {
        for slot in std::mem::take(&mut self.waiting) {
            let Some(channel) = self.slots[slot as usize].as_mut() else { continue };
            match channel.due {
                None => continue,
                Some(due) if due > now => {
                    self.waiting.push(slot);
                    continue;
                }
                Some(_) => {}
            }
            let key = ChannelKey(slot);
            if matches!(channel.phase, Phase::Refused { .. }) {
                self.apply(now, Some(&mut *sctp), key, Input::RetryDue, events);
            } else if peer_is_silent || sctp.metrics().is_some_and(|metrics| metrics.unack_data_count > 0) {
                self.arm(key, now + CLOSING_TIMEOUT);
            } else {
                channel.due = None;
                self.apply(now, Some(&mut *sctp), key, Input::TimedOut, events);
            }
        }
    }

    fn handle_dcep(
        &mut self,
        now: Instant,
        sctp: &mut Association,
        stream: u16,
        payload: &[u8],
        events: &mut VecDeque<Event>,
    ) {
        let owner = self.find(stream);
        match (dcep::parse(payload), owner) {
            (Some(Dcep::Ack), Some(key)) => {
                log::debug!(target: lines::SCTP, "< DCEP ACK, stream {stream}");
                if let Some(channel) = self.slots[key.0 as usize].as_mut() {
                    channel.confirmed = true;
                }
            }
            (Some(Dcep::Open(options)), None) if self.peer_may_open(stream) && self.has_room(&options) => {
                let names = options.label.len() + options.protocol.len();
                log::debug!(target: lines::SCTP, "< DCEP OPEN, stream {stream}: answered with ACK");
                let key = self.insert(stream, nameless(&options), true, true);
                if let Some(channel) = self.slots[key.0 as usize].as_mut() {
                    channel.phase = Phase::Open;
                    channel.names = names;
                }
                self.names += names;
                sctp.set_priority(stream, options.priority);
                send_dcep(now, sctp, stream, dcep::ack());
                events.push_back(ChannelEvent::Incoming { key, stream, options: Box::new(options) }.into());
            }
            // RFC 8832 section 6: an OPEN that can not be is answered by closing that channel.
            (Some(Dcep::Open(_)), Some(key)) => {
                log::debug!(target: lines::SCTP, "! DCEP OPEN for stream {stream}, which is in use: closed");
                self.drops.dcep += 1;
                let announced = self.slots[key.0 as usize].as_ref().is_some_and(|channel| channel.announced);
                let open = self.slots[key.0 as usize].as_ref().is_some_and(|channel| channel.phase.is_open());
                if announced && open {
                    events.push_back(ChannelEvent::Closing { key }.into());
                }
                self.apply(now, Some(sctp), key, Input::CloseCalled, events);
            }
            (Some(Dcep::Open(options)), None) => {
                log::debug!(target: lines::SCTP, "! DCEP OPEN for stream {stream}, which is not the peer's: closed");
                self.drops.dcep += 1;
                let key = self.insert(stream, nameless(&options), true, true);
                if let Some(channel) = self.slots[key.0 as usize].as_mut() {
                    channel.phase = Phase::Open;
                    channel.announced = false;
                    self.open_count -= 1;
                }
                self.apply(now, Some(sctp), key, Input::CloseCalled, events);
            }
            (Some(Dcep::Ack), None) | (None, _) => self.drops.dcep += 1,
        }
    }

    /// RFC 8832 section 6: the DTLS client has the even streams, the server the odd ones.
    fn peer_may_open(&self, stream: u16) -> bool {
        match self.is_client {
            Some(we_are_client) => stream <= MAX_STREAM && (stream % 2 == 1) == we_are_client,
            None => false,
        }
    }

    fn has_room(&self, options: &ChannelOptions) -> bool {
        self.names + options.label.len() + options.protocol.len() <= MAX_NAMES
    }

    /// Send the OPEN of a new channel and announce it.
    fn establish(
        &mut self,
        now: Instant,
        sctp: &mut Association,
        key: ChannelKey,
        events: &mut VecDeque<Event>,
    ) {
        let Some(channel) = self.slots[key.0 as usize].as_mut() else { return };
        if self.max_channels.is_some_and(|max| channel.stream >= max) {
            let message = format!("stream {} is above what the association has", channel.stream);
            self.fail(key, message, events);
            self.remove(key);
            return;
        }
        channel.phase = Phase::Open;
        sctp.set_priority(channel.stream, channel.options.priority);
        if !channel.options.negotiated {
            log::debug!(target: lines::SCTP, "> DCEP OPEN, stream {}", channel.stream);
            send_dcep(now, sctp, channel.stream, dcep::open(&channel.options));
        }
        events.push_back(ChannelEvent::Open { key }.into());
    }

    /// One step of the closing procedure, and what follows from it.
    fn apply(
        &mut self,
        now: Instant,
        mut sctp: Option<&mut Association>,
        key: ChannelKey,
        input: Input,
        events: &mut VecDeque<Event>,
    ) {
        let Some(channel) = self.slots.get_mut(key.0 as usize).and_then(Option::as_mut) else { return };
        let (phase, action) = closing::step(channel.phase, input);
        channel.phase = phase;
        let announced = channel.announced;
        match action {
            Action::None => {}
            Action::AnnounceClosing if announced => events.push_back(ChannelEvent::Closing { key }.into()),
            Action::AnnounceClosing => {}
            Action::AskReset => {
                let stream = channel.stream;
                let understood = sctp.as_mut().is_some_and(|sctp| sctp.reset(now, stream));
                self.arm(key, now + CLOSING_TIMEOUT);
                if !understood {
                    // A peer without RFC 6525 will not reset either: both directions count as done.
                    self.apply(now, None, key, Input::PeerReset, events);
                    return self.apply(now, None, key, Input::ResetDone, events);
                }
            }
            Action::WaitToRetry => self.arm(key, now + RETRY_AFTER),
            Action::AnnounceClosed => {
                if announced {
                    events.push_back(ChannelEvent::Closed { key, error: None, cause: None }.into());
                }
                self.remove(key);
            }
            Action::AnnounceAbandoned => {
                if announced {
                    let error = Some("the peer did not finish closing this channel in time".into());
                    events.push_back(ChannelEvent::Closed { key, error, cause: None }.into());
                    channel.announced = false;
                    self.open_count -= 1;
                }
            }
        }
        let Some(channel) = self.slots[key.0 as usize].as_mut() else { return };
        if channel.phase == Phase::HalfClosed && input == Input::ResetDone {
            self.arm(key, now + CLOSING_TIMEOUT);
        } else if matches!(channel.phase, Phase::Draining { .. }) {
            let buffered = sctp.as_mut().map_or(0, |sctp| {
                sctp.flush(now);
                sctp.buffered(channel.stream)
            });
            if buffered == 0 {
                self.apply(now, sctp, key, Input::Drained, events);
            } else if !channel.is_busy {
                channel.is_busy = true;
                self.busy.push(key.0);
            }
        }
    }

    fn fail(&mut self, key: ChannelKey, message: String, events: &mut VecDeque<Event>) {
        events.push_back(ChannelEvent::Failed { key, message }.into());
        if let Some(channel) = self.slots[key.0 as usize].as_mut() {
            if std::mem::take(&mut channel.announced) {
                self.open_count -= 1;
            }
            let owns_stream = self.by_stream.get(usize::from(channel.stream)) == Some(&(key.0 + 1));
            if !owns_stream {
                self.slots[key.0 as usize] = None;
                self.free.push(key.0);
            }
        }
    }

    fn arm(&mut self, key: ChannelKey, at: Instant) {
        let Some(channel) = self.slots[key.0 as usize].as_mut() else { return };
        channel.due = Some(at);
        if !self.waiting.contains(&key.0) {
            self.waiting.push(key.0);
        }
    }

    fn insert(
        &mut self,
        stream: u16,
        options: ChannelOptions,
        confirmed: bool,
        owns_stream: bool,
    ) -> ChannelKey {
        let channel = Channel {
            stream,
            options,
            phase: Phase::Waiting,
            announced: true,
            confirmed,
            unsent: 0,
            is_busy: false,
            due: None,
            counts: ChannelCounts::default(),
            names: 0,
        };
        self.open_count += 1;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() as u32 - 1
            }
        };
        self.slots[slot as usize] = Some(channel);
        if owns_stream {
            let stream = usize::from(stream);
            if self.by_stream.len() <= stream {
                self.by_stream.resize(stream + 1, 0);
            }
            self.by_stream[stream] = slot + 1;
        }
        ChannelKey(slot)
    }

    fn remove(&mut self, key: ChannelKey) {
        let Some(channel) = self.slots[key.0 as usize].take() else { return };
        self.open_count -= usize::from(channel.announced);
        self.names -= channel.names;
        self.by_stream[usize::from(channel.stream)] = 0;
        self.free.push(key.0);
        self.busy.retain(|&slot| slot != key.0);
        self.waiting.retain(|&slot| slot != key.0);
    }

    #[inline]
    fn find(&self, stream: u16) -> Option<ChannelKey> {
        match self.by_stream.get(usize::from(stream)) {
            None | Some(0) => None,
            Some(slot) => Some(ChannelKey(slot - 1)),
        }
    }

    fn keys_of(&self, streams: &[u16]) -> Vec<ChannelKey> {
        if streams.is_empty() {
            let slots = self.by_stream.iter().filter(|&&slot| slot > 0);
            return slots.map(|slot| ChannelKey(slot - 1)).collect();
        }
        streams.iter().filter_map(|&stream| self.find(stream)).collect()
    }
}

/// The names of an incoming channel go to the application: they are not held twice.
fn nameless(options: &ChannelOptions) -> ChannelOptions {
    let ChannelOptions { negotiated, ordered, reliability, priority, .. } = *options;
    ChannelOptions {
        label: String::new(),
        protocol: String::new(),
        negotiated,
        ordered,
        reliability,
        priority,
    }
}

/// Control messages are always reliable and in order (RFC 8832 section 6).
fn send_dcep(now: Instant, sctp: &mut Association, stream: u16, payload: Vec<u8>) {
    sctp.send(
        now,
        Outgoing {
            stream,
            ppid: PPID_DCEP,
            payload,
            unordered: false,
            lifetime: None,
            max_retransmits: None,
        },
    );
}

#[cfg(test)]
mod tests;
