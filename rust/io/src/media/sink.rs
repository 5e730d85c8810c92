//! The sound that a program hears: the playout of a receiver, and the queue of frames that it reads.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adieu_codec::{Config, Figures, Level, Packet, Playout, Resampler, to_i16};
use adieu_engine::rtp::AudioPacket;

use super::{Change, Media, TICK, codec};
use crate::ends::{NO_TARGET, ReceiverShared};
use crate::event::{Event, EventQueue};
use crate::figures::PlayoutStats;
use crate::frames::axis;
use crate::process;
use crate::shared::next_id;

/// A sink whose frames nobody takes for so long rests: nothing is decoded for it until somebody reads again.
const UNREAD: Duration = Duration::from_secs(5);

/// How fast the time of frames is corrected, when the peer's reports say it better.
const CORRECTION: f64 = 0.1;
/// The seconds by which the quickest way may be longer with the next packet: the clocks of two hosts part slowly.
const DRIFT: f64 = 2e-6;

#[derive(Clone, Copy, Debug)]
pub struct SinkOptions {
    pub rate: u32,
    pub channels: u8,
    /// The length of a frame.
    pub frame: Duration,
    /// Frames that wait at most. The oldest ones are dropped.
    pub max_frames: usize,
}

/// Sound of one length.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioFrame {
    /// Interleaved.
    pub samples: Vec<i16>,
    /// When the peer took it, in seconds on the axis of [`axis`]. The next one's is later by the length of this one, or by a
    /// tenth more or less while that is corrected.
    pub time: f64,
    /// How many of its samples, of one channel, were made up.
    pub concealed: u32,
}

/// A program's ear. Cheap to clone; usable from any thread; closed with the last clone.
#[derive(Clone)]
pub struct AudioSink(Arc<Handle>);

struct Handle {
    sink: Arc<Sink>,
    media: Arc<Media>,
}

/// The sink, as each tick sees it.
pub struct Sink {
    id: u64,
    options: SinkOptions,
    queue: Arc<EventQueue>,
    state: Mutex<State>,
    forks: u64,
}

#[derive(Default)]
struct State {
    frames: VecDeque<AudioFrame>,
    dropped: u64,
    /// Somebody reads: sound is decoded.
    is_wanted: bool,
    /// Frames that were added since the last read.
    unread: u64,
}

impl AudioSink {
    pub(super) fn new(
        media: Arc<Media>,
        queue: Arc<EventQueue>,
        options: SinkOptions,
    ) -> (AudioSink, Arc<Sink>) {
        let sink = Sink { id: next_id(), options, queue, state: Mutex::default(), forks: process::forks() };
        let sink = Arc::new(sink);
        (AudioSink(Arc::new(Handle { sink: sink.clone(), media })), sink)
    }

    pub fn id(&self) -> u64 {
        self.0.sink.id
    }

    pub fn options(&self) -> &SinkOptions {
        &self.0.sink.options
    }

    /// Take the oldest frame. `None`: there is no frame, and [`Event::AudioReady`] comes with the next.
    pub fn read(&self) -> Option<AudioFrame> {
        let mut state = self.0.sink.lock()?;
        state.unread = 0;
        let was_wanted = std::mem::replace(&mut state.is_wanted, true);
        let frame = state.frames.pop_front();
        drop(state);
        if !was_wanted {
            self.0.media.post(Change::Read);
        }
        frame
    }

    /// Frames that nobody took in time.
    pub fn dropped(&self) -> u64 {
        self.0.sink.lock().map_or(0, |state| state.dropped)
    }

    pub fn close(&self) {
        self.0.media.post(Change::CloseSink(self.id()));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.media.post(Change::CloseSink(self.sink.id));
    }
}

impl Sink {
    /// Lock the state. `None` in the child of a fork: the thread that may hold the lock is not there.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        (self.forks == process::forks()).then(|| self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_wanted(&self) -> bool {
        self.lock().is_some_and(|state| state.is_wanted)
    }

    fn add(&self, frame: AudioFrame) {
        let Some(mut state) = self.lock() else { return };
        let was_empty = state.frames.is_empty();
        state.frames.push_back(frame);
        if state.frames.len() > self.options.max_frames.max(1) {
            state.frames.pop_front();
            state.dropped += 1;
        }
        state.unread += 1;
        let most = (UNREAD.as_secs_f64() / self.options.frame.as_secs_f64().max(0.001)) as u64;
        if state.unread > most.max(2 * self.options.max_frames as u64) {
            // What is old by then is of no use to a reader who comes back.
            state.dropped += state.frames.len() as u64;
            state.frames.clear();
            state.is_wanted = false;
            return;
        }
        drop(state);
        if was_empty {
            self.queue.push(Event::AudioReady { sink: self.id });
            self.queue.signal();
        }
    }
}

/// A receiver that has sinks.
pub struct Receiving {
    shared: Arc<ReceiverShared>,
    sinks: Vec<Playing>,
    packets: Vec<AudioPacket>,
}

struct Playing {
    sink: Arc<Sink>,
    playout: Playout,
    /// The rate that it takes, and the resampler.
    resampler: Option<(u32, Resampler)>,
    /// Samples of this tick, and those that fill no frame yet.
    pulled: Vec<f32>,
    samples: Vec<f32>,
    concealed: f64,
    /// When the peer took the next frame, as [`AudioFrame::time`].
    time: f64,
    /// How long the quickest packet was on its way, by the peer's reports: seconds.
    travel: Option<f64>,
    has_begun: bool,
    level: f64,
    energy: f64,
}

impl Receiving {
    pub fn new(shared: Arc<ReceiverShared>) -> Receiving {
        Receiving { shared, sinks: Vec::new(), packets: Vec::new() }
    }

    pub fn add(&mut self, sink: Arc<Sink>) {
        let config =
            Config { rate: sink.options.rate, channels: usize::from(sink.options.channels.clamp(1, 2)) };
        self.sinks.push(Playing {
            sink,
            playout: Playout::new(config),
            resampler: None,
            pulled: Vec::new(),
            samples: Vec::new(),
            concealed: 0.0,
            time: 0.0,
            travel: None,
            has_begun: false,
            level: 0.0,
            energy: 0.0,
        });
    }

    pub fn remove(&mut self, sink: u64) {
        self.sinks.retain(|playing| playing.sink.id != sink);
        if self.sinks.is_empty() {
            self.shared.set_wanted(false);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.sinks.is_empty()
    }

    pub fn is_wanted(&self) -> bool {
        self.sinks.iter().any(|playing| playing.sink.is_wanted())
    }

    /// The connection is over.
    pub fn end(self) {
        self.shared.set_wanted(false);
    }

    pub fn tick(&mut self, now: Instant, passed: u64) {
        let is_wanted = self.is_wanted();
        if is_wanted != self.shared.is_wanted() {
            self.shared.set_wanted(is_wanted);
        }
        self.packets.clear();
        if is_wanted {
            self.shared.take(&mut self.packets);
        }
        let target = self.shared.target.load(Ordering::Relaxed);
        let target = (target != NO_TARGET).then(|| Duration::from_millis(target.into()));
        for playing in &mut self.sinks {
            if !playing.sink.is_wanted() {
                playing.rest();
                continue;
            }
            playing.playout.set_target(target);
            for packet in &self.packets {
                playing.insert(packet);
            }
            playing.tick(now, passed);
        }
        if let Some(first) = self.sinks.first() {
            *self.shared.playout.lock().unwrap_or_else(PoisonError::into_inner) = first.stats();
        }
    }
}

impl Playing {
    fn rest(&mut self) {
        if self.has_begun {
            self.playout.rest();
            self.samples.clear();
            self.concealed = 0.0;
        }
    }

    fn insert(&mut self, packet: &AudioPacket) {
        let Some(codec) = codec(packet.codec) else { return };
        if let Some(captured) = packet.captured {
            let travel = axis(packet.arrived) - axis(captured);
            self.travel = Some(self.travel.map_or(travel, |before| travel.min(before + DRIFT)));
        }
        self.playout.insert(Packet {
            codec,
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            arrived: packet.arrived,
            payload: packet.payload.clone(),
        });
    }

    fn tick(&mut self, now: Instant, passed: u64) {
        let options = self.sink.options;
        let channels = usize::from(options.channels.clamp(1, 2));
        if self.has_begun && passed > 1 {
            self.time += (TICK * (passed - 1) as u32).as_secs_f64();
        }
        self.pulled.clear();
        let pulled = self.playout.pull(now, &mut self.pulled);
        if pulled.frames == 0 {
            return;
        }
        let taken = self.taken(now);
        if !std::mem::replace(&mut self.has_begun, true) {
            self.time = taken.unwrap_or_else(|| axis(now));
        }
        let wrong = taken.map_or(0.0, |taken| taken - self.time);
        self.level = f64::from(Level::of(&self.pulled).rms);
        self.energy += self.level * self.level * TICK.as_secs_f64();
        if self.resampler.as_ref().is_none_or(|(rate, _)| *rate != pulled.rate) {
            self.resampler =
                Resampler::new(pulled.rate, options.rate, channels).map(|made| (pulled.rate, made));
        }
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.push(&self.pulled, &mut self.samples);
        }
        self.concealed += pulled.concealed as f64 * f64::from(options.rate) / f64::from(pulled.rate);
        let frames = (f64::from(options.rate) * options.frame.as_secs_f64()).round() as usize;
        while frames > 0 && self.samples.len() >= frames * channels {
            let samples = self.samples.drain(..frames * channels).map(to_i16).collect();
            let concealed = self.concealed.min(frames as f64).floor();
            self.concealed -= concealed;
            self.sink.add(AudioFrame { samples, time: self.time, concealed: concealed as u32 });
            let length = frames as f64 / f64::from(options.rate);
            self.time += length + (wrong * CORRECTION).clamp(-CORRECTION * length, CORRECTION * length);
        }
    }

    /// When the peer took the sound that begins the next frame; the sound of this tick was pulled just now.
    fn taken(&self, now: Instant) -> Option<f64> {
        let options = self.sink.options;
        let waiting =
            self.samples.len() as f64 / f64::from(options.channels.clamp(1, 2)) / f64::from(options.rate);
        let delay = self.playout.delay(now)?.as_secs_f64();
        Some(axis(now) - delay - TICK.as_secs_f64() - self.travel.unwrap_or(0.0) - waiting)
    }

    fn stats(&self) -> PlayoutStats {
        let Figures { samples, concealed, silent, events, inserted, removed, .. } = *self.playout.figures();
        let figures = self.playout.figures();
        PlayoutStats {
            total_samples: samples,
            concealed_samples: concealed,
            silent_concealed_samples: silent,
            concealment_events: events,
            inserted_for_deceleration: inserted,
            removed_for_acceleration: removed,
            jitter_buffer_delay: figures.delay,
            jitter_buffer_target_delay: figures.target,
            jitter_buffer_minimum_delay: figures.least,
            jitter_buffer_emitted: figures.emitted,
            audio_level: self.level,
            total_audio_energy: self.energy,
            total_samples_duration: figures.duration,
            fec_packets: figures.repaired,
            discarded: figures.discarded,
        }
    }
}
