//! Data channels over one association: opened, used, closed (RFC 8831, RFC 8832).

pub mod closing;
pub mod dcep;
mod options;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::sctp::{Association, Outgoing, SctpState};
use closing::{Action, Input, Phase};
pub use options::{ChannelOptions, Reliability};

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
    /// The channel could not be made, or the peer broke its rules (closing rule 51).
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
    /// The application knows it. Not so for a stream that is only being refused.
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

/// Counters of dropped channel messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChannelDrops {
    /// DCEP messages that make no sense, or OPENs for a stream that is taken or has the wrong parity, or with more
    /// names than are held.
    pub dcep: u64,
    /// Messages on a stream without an open channel, or of an unknown kind.
    pub message: u64,
}

pub struct Channels {
    /// The channels by key.
    channels: Vec<Option<Channel>>,
    /// Keys that are free.
    free: Vec<u32>,
    /// stream id -> key + 1
    by_stream: Vec<u32>,
    /// Keys of those that have something queued, or drain before they are reset.
    busy: Vec<u32>,
    /// Keys of those with `due` set.
    waiting: Vec<u32>,
    events: VecDeque<ChannelEvent>,
    /// Payload bytes that left since the last look.
    drained: VecDeque<(ChannelKey, usize)>,
    max_channels: Option<u16>,
    max_receive: usize,
    /// Our DTLS role: the client has the even streams (RFC 8832 section 6). None: not known yet.
    is_client: Option<bool>,
    open_count: usize,
    /// The number of channels that the peer has opened.
    names: usize,
    pub drops: ChannelDrops,
}

impl Channels {
    pub fn new(max_receive: usize) -> Channels {
        Channels {
            channels: Vec::new(),
            free: Vec::new(),
            by_stream: Vec::new(),
            busy: Vec::new(),
            waiting: Vec::new(),
            events: VecDeque::new(),
            drained: VecDeque::new(),
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

    /// The number of channels that the application knows.
    pub fn count(&self) -> usize {
        self.open_count
    }

    pub fn counts(&self) -> impl Iterator<Item = (ChannelKey, u16, ChannelCounts)> {
        let announced = |(key, channel): (usize, &Option<Channel>)| {
            let channel = channel.as_ref().filter(|channel| channel.announced)?;
            Some((ChannelKey(key as u32), channel.stream, channel.counts))
        };
        self.channels.iter().enumerate().filter_map(announced)
    }

    /// Open a channel of our own. The stream is the caller's choice.
    pub fn open(
        &mut self,
        now: Instant,
        sctp: Option<&mut Association>,
        has_ended: bool,
        (stream, options): (u16, ChannelOptions),
    ) -> ChannelKey {
        let taken = self.find(stream).is_some();
        let confirmed = options.negotiated;
        let key = self.insert(stream, options, confirmed, !taken);
        if taken {
            // Nothing of it goes into the tables of the stream's present owner.
            self.fail(key, format!("stream {stream} is in use by another channel"));
            return key;
        }
        if has_ended {
            self.fail(key, "the association has ended".into());
            self.remove(key);
            return key;
        }
        if let Some(sctp) = sctp.filter(|sctp| sctp.state() == SctpState::Connected) {
            self.establish(now, sctp, key);
        }
        key
    }

    /// The association is up: announce all that wait for it.
    pub fn handle_connected(&mut self, now: Instant, sctp: &mut Association, max_channels: u16) {
        self.max_channels = Some(max_channels);
        for index in 0..self.channels.len() {
            if matches!(&self.channels[index], Some(channel) if channel.phase == Phase::Waiting) {
                self.establish(now, sctp, ChannelKey(index as u32));
            }
        }
    }

    /// The association has ended: nothing can follow (closing rule 56).
    pub fn handle_ended(&mut self, error: Option<&str>, cause: Option<u16>) {
        for index in 0..self.channels.len() {
            let Some(channel) = self.channels[index].take() else { continue };
            if channel.announced {
                let key = ChannelKey(index as u32);
                self.events.push_back(ChannelEvent::Closed { key, error: error.map(Into::into), cause });
            }
        }
        let max_receive = self.max_receive;
        let (is_client, drops) = (self.is_client, self.drops);
        let events = std::mem::take(&mut self.events);
        *self = Channels { is_client, drops, events, ..Channels::new(max_receive) };
    }

    /// Queue one message. False: the channel is not open.
    pub fn send(
        &mut self,
        now: Instant,
        sctp: &mut Association,
        key: ChannelKey,
        kind: Kind,
        payload: Vec<u8>,
    ) -> bool {
        let Some(channel) = self.channels.get_mut(key.0 as usize).and_then(Option::as_mut) else {
            return false;
        };
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

    pub fn close(&mut self, now: Instant, sctp: Option<&mut Association>, key: ChannelKey) {
        self.apply(now, sctp, key, Input::CloseCalled);
    }

    /// A message came in. Returns the bytes that went to the application.
    #[inline]
    pub fn handle_message(
        &mut self,
        now: Instant,
        sctp: &mut Association,
        (stream, ppid, payload): (u16, u32, Vec<u8>),
    ) -> usize {
        if ppid == PPID_DCEP {
            self.handle_dcep(now, sctp, stream, &payload);
            return 0;
        }
        let Some(key) = self.find(stream) else {
            self.drops.message += 1;
            return 0;
        };
        let max_receive = self.max_receive;
        let Some(channel) = self.channels.get_mut(key.0 as usize).and_then(Option::as_mut) else { return 0 };
        channel.confirmed = true;
        if !channel.phase.is_open() || !channel.announced {
            if channel.phase.waits_for_peer() {
                channel.due = Some(now + CLOSING_TIMEOUT); // it still sends its queue
            }
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
            self.refuse(now, sctp, key, payload.len());
            return 0;
        }
        channel.counts.messages_received += 1;
        let size = payload.len();
        channel.counts.bytes_received += size as u64;
        self.events.push_back(ChannelEvent::Message { key, kind, payload });
        size
    }

    /// Fail a channel whose peer sent a message beyond the size that was announced as the largest.
    #[cold]
    fn refuse(&mut self, now: Instant, sctp: &mut Association, key: ChannelKey, size: usize) {
        let largest = self.max_receive;
        self.drops.message += 1;
        let text =
            format!("the peer sent a message of {size} bytes where {largest} were announced as the largest");
        self.fail(key, text);
        self.apply(now, Some(sctp), key, Input::CloseCalled);
    }

    /// The peer has reset its direction of these streams; of all, when the list is empty.
    pub fn handle_incoming_reset(&mut self, now: Instant, sctp: &mut Association, streams: &[u16]) {
        for key in self.keys_of(streams) {
            self.apply(now, Some(sctp), key, Input::PeerReset);
        }
    }

    /// Handle the answer to our reset.
    pub fn handle_reset_answer(&mut self, now: Instant, sctp: &mut Association, streams: &[u16], done: bool) {
        let input = if done { Input::ResetDone } else { Input::ResetRefused };
        for key in self.keys_of(streams) {
            self.apply(now, Some(sctp), key, input);
        }
    }

    /// Note what has left, and reset what has drained. Call it after every turn.
    pub fn handle_progress(&mut self, now: Instant, sctp: &mut Association) {
        if self.busy.is_empty() {
            return;
        }
        let busy = std::mem::take(&mut self.busy);
        for key in busy {
            let Some(channel) = self.channels[key as usize].as_mut() else { continue };
            let buffered = sctp.buffered(channel.stream);
            let left = buffered.min(channel.unsent);
            if left < channel.unsent {
                self.drained.push_back((ChannelKey(key), channel.unsent - left));
                channel.unsent = left;
            }
            if buffered > 0 {
                self.busy.push(key);
                continue;
            }
            channel.is_busy = false;
            if matches!(channel.phase, Phase::Draining { .. }) {
                self.apply(now, Some(&mut *sctp), ChannelKey(key), Input::Drained);
            }
        }
    }

    #[inline]
    pub fn poll_event(&mut self) -> Option<ChannelEvent> {
        self.events.pop_front()
    }

    /// How many events [`Channels::poll_event`] has to give.
    #[inline]
    pub fn waiting_events(&self) -> usize {
        self.events.len()
    }

    /// Payload bytes of a channel that have left.
    #[inline]
    pub fn poll_drained(&mut self) -> Option<(ChannelKey, usize)> {
        self.drained.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.iter().filter_map(|&key| self.channels[key as usize].as_ref()?.due).min()
    }

    /// `peer_is_silent`: nothing can be said of a peer that ICE does not hear; its time starts again.
    pub fn handle_timeout(&mut self, now: Instant, sctp: &mut Association, peer_is_silent: bool) {
        for index in std::mem::take(&mut self.waiting) {
            let Some(channel) = self.channels[index as usize].as_mut() else { continue };
            match channel.due {
                None => continue,
                Some(due) if due > now => {
                    self.waiting.push(index);
                    continue;
                }
                Some(_) => {}
            }
            let key = ChannelKey(index);
            if matches!(channel.phase, Phase::Refused { .. }) {
                self.apply(now, Some(&mut *sctp), key, Input::RetryDue);
            } else if peer_is_silent || sctp.metrics().is_some_and(|metrics| metrics.unack_data_count > 0) {
                self.arm(key, now + CLOSING_TIMEOUT);
            } else {
                channel.due = None;
                self.apply(now, Some(&mut *sctp), key, Input::TimedOut);
            }
        }
    }

    /// Feed the closing procedure, and do what follows.
    fn apply(&mut self, now: Instant, mut sctp: Option<&mut Association>, key: ChannelKey, input: Input) {
        let Some(channel) = self.channels.get_mut(key.0 as usize).and_then(Option::as_mut) else { return };
        let (phase, action) = closing::next(channel.phase, input);
        channel.phase = phase;
        let announced = channel.announced;
        match action {
            Action::None => {}
            Action::AnnounceClosing if announced => self.events.push_back(ChannelEvent::Closing { key }),
            Action::AnnounceClosing => {}
            Action::AskReset => {
                let stream = channel.stream;
                let understood = sctp.as_mut().is_some_and(|sctp| sctp.reset(now, stream));
                self.arm(key, now + CLOSING_TIMEOUT);
                if !understood {
                    // A peer without RFC 6525 will not reset either: both directions count as done.
                    self.apply(now, None, key, Input::PeerReset);
                    return self.apply(now, None, key, Input::ResetDone);
                }
            }
            Action::WaitToRetry => self.arm(key, now + RETRY_AFTER),
            Action::AnnounceClosed => {
                if announced {
                    self.events.push_back(ChannelEvent::Closed { key, error: None, cause: None });
                }
                self.remove(key);
            }
            Action::AnnounceAbandoned => {
                if announced {
                    let error = Some("the peer did not finish closing this channel in time".into());
                    self.events.push_back(ChannelEvent::Closed { key, error, cause: None });
                    channel.announced = false;
                    self.open_count -= 1;
                }
            }
        }
        let Some(channel) = self.channels[key.0 as usize].as_mut() else { return };
        if channel.phase == Phase::HalfClosed && input == Input::ResetDone {
            self.arm(key, now + CLOSING_TIMEOUT);
        } else if matches!(channel.phase, Phase::Draining { .. }) {
            let buffered = sctp.as_mut().map_or(0, |sctp| {
                sctp.flush(now);
                sctp.buffered(channel.stream)
            });
            if buffered == 0 {
                self.apply(now, sctp, key, Input::Drained);
            } else if !channel.is_busy {
                channel.is_busy = true;
                self.busy.push(key.0);
            }
        }
    }

    fn fail(&mut self, key: ChannelKey, message: String) {
        self.events.push_back(ChannelEvent::Failed { key, message });
        if let Some(channel) = self.channels[key.0 as usize].as_mut() {
            if std::mem::take(&mut channel.announced) {
                self.open_count -= 1;
            }
            let owns_stream = self.by_stream.get(usize::from(channel.stream)) == Some(&(key.0 + 1));
            if !owns_stream {
                self.channels[key.0 as usize] = None;
                self.free.push(key.0);
            }
        }
    }

    fn arm(&mut self, key: ChannelKey, at: Instant) {
        let Some(channel) = self.channels[key.0 as usize].as_mut() else { return };
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
        let key = match self.free.pop() {
            Some(key) => key,
            None => {
                self.channels.push(None);
                self.channels.len() as u32 - 1
            }
        };
        self.channels[key as usize] = Some(channel);
        if owns_stream {
            let stream = usize::from(stream);
            if self.by_stream.len() <= stream {
                self.by_stream.resize(stream + 1, 0);
            }
            self.by_stream[stream] = key + 1;
        }
        ChannelKey(key)
    }

    fn remove(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels[key.0 as usize].take() else { return };
        self.open_count -= usize::from(channel.announced);
        self.names -= channel.names;
        self.by_stream[usize::from(channel.stream)] = 0;
        self.free.push(key.0);
        self.busy.retain(|&one| one != key.0);
        self.waiting.retain(|&one| one != key.0);
    }

    #[inline]
    fn find(&self, stream: u16) -> Option<ChannelKey> {
        match self.by_stream.get(usize::from(stream)) {
            None | Some(0) => None,
            Some(key) => Some(ChannelKey(key - 1)),
        }
    }

    fn keys_of(&self, streams: &[u16]) -> Vec<ChannelKey> {
        if streams.is_empty() {
            let keys = self.by_stream.iter().filter(|&&key| key > 0);
            return keys.map(|key| ChannelKey(key - 1)).collect();
        }
        streams.iter().filter_map(|&stream| self.find(stream)).collect()
    }
}

#[cfg(test)]
mod tests;
