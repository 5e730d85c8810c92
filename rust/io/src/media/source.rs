//! The queue that a program speaks into.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adieu_codec::to_f32;
use adieu_engine::rtp::AudioCodec;

use super::{Change, Media};
use crate::event::{EventQueue, Notice};
use crate::process;
use crate::shared::next_id;

/// After [`AudioSource::clear`] this part of a second is still spoken, and fades.
const FADE: u32 = 200; // 1/200 s
/// A talk spurt begins when this part of a second is queued, or two ticks after its first sample. A program that speaks
/// live writes its pieces a little earlier or later than they are due.
const HEADROOM: u32 = 25; // 1/25 s
const PATIENCE: u8 = 2;
/// Waiting calls of [`AudioSource::watch`].
const MAX_WATCHES: usize = 64;

/// A program's voice. Cheap to clone; usable from any thread; gone with the last clone, and when no sender has it.
#[derive(Clone)]
pub struct AudioSource {
    source: Arc<Source>,
    media: Arc<Media>,
}

/// The source, as each tick sees it.
pub struct Source {
    pub id: u64,
    pub rate: u32,
    pub channels: usize,
    /// Codec of its packets, which are ready to be sent; None: it has samples.
    pub codec: Option<AudioCodec>,
    /// Frames.
    max: usize,
    queue: Arc<EventQueue>,
    state: Mutex<State>,
    forks: u64,
}

#[derive(Default)]
struct State {
    samples: VecDeque<i16>,
    packets: VecDeque<Packet>,
    /// Frames of all packets that wait; and those that are due, less those of the packets that were taken for them.
    packet_frames: usize,
    due: i64,
    /// The codec that is sent in place of that of the packets.
    wrong: Option<AudioCodec>,
    /// Frames that the encoder has; that have left; that a report of the peer covers.
    taken: u64,
    sent: u64,
    arrived: u64,
    is_ended: bool,
    is_closed: bool,
    is_talking: bool,
    waited: u8,
    /// Hundredths of a frame that the last block was too short, for rates that 10 ms do not divide.
    rest: u32,
    wants_room: bool,
    watches: Vec<Watch>,
}

/// A packet of a codec, and the frames that it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub payload: Vec<u8>,
    pub frames: u32,
}

struct Watch {
    position: u64,
    arrived: bool,
}

/// 10 ms of a source: what all its senders send.
#[derive(Default)]
pub struct Block {
    pub samples: Vec<f32>,
    /// Packets of a source that has them: those that begin in this time.
    pub packets: Vec<Packet>,
    /// Something was queued for it.
    pub is_spoken: bool,
    /// Frames of the source up to its end.
    pub position: u64,
}

impl AudioSource {
    pub(super) fn new(
        media: Arc<Media>,
        queue: Arc<EventQueue>,
        (rate, channels, codec): (u32, u8, Option<AudioCodec>),
        max: Duration,
    ) -> AudioSource {
        let source = Source {
            id: next_id(),
            rate,
            channels: usize::from(channels.clamp(1, 2)),
            codec,
            max: (max.as_secs_f64() * f64::from(rate)) as usize,
            queue,
            state: Mutex::default(),
            forks: process::forks(),
        };
        AudioSource { source: Arc::new(source), media }
    }

    pub(super) fn shared(&self) -> Arc<Source> {
        self.source.clone()
    }

    pub fn id(&self) -> u64 {
        self.source.id
    }

    pub fn rate(&self) -> u32 {
        self.source.rate
    }

    pub fn channels(&self) -> usize {
        self.source.channels
    }

    /// Queue interleaved samples, and return the frames that were taken: as many as there was room for. When they are
    /// fewer, [`Notice::AudioRoom`] comes once half of the queue is free. None after [`AudioSource::end`].
    pub fn write(&self, samples: &[i16]) -> usize {
        let Some(mut state) = self.source.lock() else { return 0 };
        if state.is_ended || state.is_closed {
            return 0;
        }
        let channels = self.source.channels;
        let (given, queued) = (samples.len() / channels, state.queued(channels));
        let taken = given.min(self.source.max.saturating_sub(queued));
        state.samples.extend(&samples[..taken * channels]);
        state.wants_room |= taken < given;
        taken
    }

    /// Queue packets, and return how many were taken: as many as there was room for, as in [`AudioSource::write`].
    pub fn write_packets(&self, packets: Vec<Packet>) -> usize {
        let Some(mut state) = self.source.lock() else { return 0 };
        if state.is_ended || state.is_closed {
            return 0;
        }
        let given = packets.len();
        let mut taken = 0;
        for packet in packets {
            let frames = packet.frames as usize;
            // One that is longer than the whole queue has it for itself.
            if state.packet_frames > 0 && state.packet_frames + frames > self.source.max {
                break;
            }
            state.packet_frames += frames;
            state.packets.push_back(packet);
            taken += 1;
        }
        state.wants_room |= taken < given;
        taken
    }

    /// The codec that the connection sends in place of that of the packets; None: they are sent, or nothing yet.
    pub fn wrong(&self) -> Option<AudioCodec> {
        self.source.lock()?.wrong
    }

    /// Drop what is queued, and return the frames that will not be spoken. 5 ms are, fading, so that nothing clicks.
    pub fn clear(&self) -> u64 {
        let Some(mut state) = self.source.lock() else { return 0 };
        let channels = self.source.channels;
        let queued = state.queued(channels);
        state.packets.clear();
        state.packet_frames = 0;
        let fade = (state.samples.len() / channels).min((self.source.rate / FADE) as usize);
        // A voice that has not begun needs no end.
        let kept = if state.is_talking { fade } else { 0 };
        state.samples.truncate(kept * channels);
        for (at, sample) in state.samples.iter_mut().enumerate() {
            let left = (kept - at / channels) as f32 / (kept + 1) as f32;
            *sample = (f32::from(*sample) * left) as i16;
        }
        let end = state.taken + kept as u64;
        state.watches.iter_mut().for_each(|watch| watch.position = watch.position.min(end));
        self.source.tell(&mut state);
        (queued - kept) as u64
    }

    /// Take nothing any longer. The queue still leaves.
    pub fn end(&self) {
        if let Some(mut state) = self.source.lock() {
            state.is_ended = true;
        }
    }

    /// Frames that wait.
    pub fn queued(&self) -> u64 {
        self.source.lock().map_or(0, |state| state.queued(self.source.channels) as u64)
    }

    /// Frames that have left this host.
    pub fn position(&self) -> u64 {
        self.source.lock().map_or(0, |state| state.sent)
    }

    /// Have [`Notice::Drained`] come once: when all that is queued now has left, or (`arrived`) when a report of the
    /// peer covers it.
    pub fn watch(&self, arrived: bool) {
        let Some(mut state) = self.source.lock() else { return };
        let position = state.taken + state.queued(self.source.channels) as u64;
        if state.watches.len() == MAX_WATCHES {
            state.watches.remove(0);
        }
        state.watches.push(Watch { position, arrived });
        self.source.tell(&mut state);
    }

    /// Take it from all its senders, and drop what is queued.
    pub fn close(&self) {
        if let Some(mut state) = self.source.lock() {
            state.is_closed = true;
            (state.samples, state.packets, state.packet_frames) = (VecDeque::new(), VecDeque::new(), 0);
            state.watches.clear();
            drop(state);
            self.media.post(Change::CloseSource(self.source.id));
        }
    }
}

impl Source {
    /// Lock the state. `None` in the child of a fork: the thread that may hold the lock is not there.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        (self.forks == process::forks()).then(|| self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn is_closed(&self) -> bool {
        self.lock().is_none_or(|state| state.is_closed)
    }

    /// Note the codec that is sent in place of that of the packets. A write that waits for room learns of it.
    pub fn set_wrong(&self, wrong: Option<AudioCodec>) {
        let Some(mut state) = self.lock() else { return };
        if std::mem::replace(&mut state.wrong, wrong) != wrong && std::mem::take(&mut state.wants_room) {
            self.queue.notice(Notice::AudioRoom { source: self.id });
            self.queue.signal();
        }
    }

    /// Take the next 10 ms, silence if nothing is queued. Not open: nobody can send it, and it stays.
    pub fn take(&self, is_open: bool, block: &mut Block) {
        block.samples.clear();
        block.packets.clear();
        block.is_spoken = false;
        let Some(mut state) = self.lock() else { return };
        if !is_open {
            return;
        }
        if self.codec.is_some() {
            state.take_packets(self.rate, block);
            return self.tell(&mut state);
        }
        let hundredths = self.rate + state.rest;
        let frames = (hundredths / 100) as usize;
        state.rest = hundredths % 100;
        let queued = state.queued(self.channels);
        state.begin(self.rate, queued);
        let spoken = if state.is_talking { queued.min(frames) } else { 0 };
        block.samples.extend(state.samples.drain(..spoken * self.channels).map(to_f32));
        block.samples.resize(frames * self.channels, 0.0);
        block.is_spoken = spoken > 0;
        state.is_talking &= spoken == frames;
        state.taken += spoken as u64;
        block.position = state.taken;
        if state.samples.is_empty() && state.samples.capacity() > 2 * self.rate as usize {
            state.samples = VecDeque::new();
        }
        self.tell(&mut state);
    }

    /// Note the frames up to which the hub has sent, and the peer has reported.
    pub fn progress(&self, sent: u64, arrived: u64) {
        let Some(mut state) = self.lock() else { return };
        state.sent = state.sent.max(sent);
        state.arrived = state.arrived.max(arrived);
        self.tell(&mut state);
    }

    /// Tell the application what it waits for.
    fn tell(&self, state: &mut State) {
        let mut has_told = false;
        let free = self.max.saturating_sub(state.queued(self.channels));
        if state.wants_room && free * 2 >= self.max {
            state.wants_room = false;
            self.queue.notice(Notice::AudioRoom { source: self.id });
            has_told = true;
        }
        let (sent, covered) = (state.sent, state.arrived);
        state.watches.retain(|watch| {
            let &Watch { position, arrived } = watch;
            let is_done = if arrived { covered } else { sent } >= position;
            if is_done {
                self.queue.notice(Notice::Drained { source: self.id, position, arrived });
                has_told = true;
            }
            !is_done
        });
        if has_told {
            self.queue.signal();
        }
    }
}

impl State {
    /// Frames that wait.
    fn queued(&self, channels: usize) -> usize {
        self.samples.len() / channels + self.packet_frames
    }

    /// Begin a talk spurt, if enough is queued for it.
    fn begin(&mut self, rate: u32, queued: usize) {
        if !self.is_talking && queued > 0 {
            let is_enough = queued >= (rate / HEADROOM) as usize || self.is_ended;
            self.is_talking = is_enough || self.waited >= PATIENCE;
            self.waited = if self.is_talking { 0 } else { self.waited + 1 };
        }
    }

    /// Take the packets that begin in the next 10 ms. Between two of them nothing is sent, and the spurt goes on.
    fn take_packets(&mut self, rate: u32, block: &mut Block) {
        self.begin(rate, self.packet_frames);
        if !self.is_talking {
            return;
        }
        block.is_spoken = true;
        self.due += i64::from(rate / 100);
        while self.due > 0
            && let Some(packet) = self.packets.pop_front()
        {
            self.due -= i64::from(packet.frames);
            self.packet_frames -= packet.frames as usize;
            self.taken += u64::from(packet.frames);
            block.packets.push(packet);
        }
        block.position = self.taken;
        if self.due > 0 {
            (self.is_talking, self.due) = (false, 0);
        }
    }
}
