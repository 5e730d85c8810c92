//! The queue that a program speaks into.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adieu_codec::to_f32;

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
    /// Frames.
    max: usize,
    queue: Arc<EventQueue>,
    state: Mutex<State>,
    forks: u64,
}

#[derive(Default)]
struct State {
    samples: VecDeque<i16>,
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

struct Watch {
    position: u64,
    arrived: bool,
}

/// 10 ms of a source: what all its senders send.
#[derive(Default)]
pub struct Block {
    pub samples: Vec<f32>,
    /// Something was queued for it.
    pub is_spoken: bool,
    /// Frames of the source up to its end.
    pub position: u64,
}

impl AudioSource {
    pub(super) fn new(
        media: Arc<Media>,
        queue: Arc<EventQueue>,
        rate: u32,
        channels: u8,
        max: Duration,
    ) -> AudioSource {
        let source = Source {
            id: next_id(),
            rate,
            channels: usize::from(channels.clamp(1, 2)),
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
        let (given, queued) = (samples.len() / channels, state.samples.len() / channels);
        let taken = given.min(self.source.max.saturating_sub(queued));
        state.samples.extend(&samples[..taken * channels]);
        state.wants_room |= taken < given;
        taken
    }

    /// Drop what is queued, and return the frames that will not be spoken. 5 ms are, fading, so that nothing clicks.
    pub fn clear(&self) -> u64 {
        let Some(mut state) = self.source.lock() else { return 0 };
        let channels = self.source.channels;
        let queued = state.samples.len() / channels;
        let fade = queued.min((self.source.rate / FADE) as usize);
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
        self.source.lock().map_or(0, |state| (state.samples.len() / self.source.channels) as u64)
    }

    /// Frames that have left this host.
    pub fn position(&self) -> u64 {
        self.source.lock().map_or(0, |state| state.sent)
    }

    /// Have [`Notice::Drained`] come once: when all that is queued now has left, or (`arrived`) when a report of the
    /// peer covers it.
    pub fn watch(&self, arrived: bool) {
        let Some(mut state) = self.source.lock() else { return };
        let position = state.taken + (state.samples.len() / self.source.channels) as u64;
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
            state.samples = VecDeque::new();
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

    /// Take the next 10 ms, silence if nothing is queued. Not open: nobody can send it, and it stays.
    pub fn take(&self, is_open: bool, block: &mut Block) {
        block.samples.clear();
        block.is_spoken = false;
        let Some(mut state) = self.lock() else { return };
        if !is_open {
            return;
        }
        let hundredths = self.rate + state.rest;
        let frames = (hundredths / 100) as usize;
        state.rest = hundredths % 100;
        let queued = state.samples.len() / self.channels;
        if !state.is_talking && queued > 0 {
            let is_enough = queued >= (self.rate / HEADROOM) as usize || state.is_ended;
            state.is_talking = is_enough || state.waited >= PATIENCE;
            state.waited = if state.is_talking { 0 } else { state.waited + 1 };
        }
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
        let free = self.max.saturating_sub(state.samples.len() / self.channels);
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
