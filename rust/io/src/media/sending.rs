//! A sender at each tick: from blocks of 10 ms to packets.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use adieu_codec::{Codec, Encoder, Level, Resampler, Settings};
use adieu_engine::rtp::{AudioCodec, AudioUnit, SendPlan};

use super::source::{Block, Source};
use super::{TICK, codec};
use crate::ends::{SenderShared, Spoken};

/// Marks that no report has covered: a minute and more. A peer that never reports makes nothing grow.
const MAX_MARKS: usize = 8192;

pub struct Sending {
    shared: Arc<SenderShared>,
    /// The id of its source.
    pub source: Option<u64>,
    /// Not enabled: silence is sent.
    is_enabled: bool,
    /// The encoder was made for these: the plan's revision, the rate and the channels of the source.
    made_for: Option<(u64, u32, usize)>,
    voice: Option<Voice>,
    /// The codec of the plan with this revision.
    codec: (u64, Option<AudioCodec>),
    /// The timestamp of the next packet that is ready.
    next: u64,
    /// Ticks since it was first attached; 0: the first one comes.
    axis: u64,
    /// Nothing was sent just before: what comes is marked as a beginning.
    has_paused: bool,
    was_spoken: bool,
    mark: u64,
    /// Marks, and the frame of the source up to which each of them carries it.
    marks: VecDeque<(u64, u64)>,
}

/// Makes packets of one source by one plan.
struct Voice {
    codec: AudioCodec,
    encoder: Encoder,
    /// The rate of the source.
    rate: u32,
    resampler: Resampler,
    /// Frames of a packet, and its ticks in time.
    frames: usize,
    ticks: u64,
    /// Samples that fill no packet yet, and whether any of them was spoken.
    samples: Vec<f32>,
    is_spoken: bool,
    /// The timestamp of the first of them.
    timestamp: u64,
    mixed: Vec<f32>,
}

impl Sending {
    pub fn new(shared: Arc<SenderShared>) -> Sending {
        Sending {
            shared,
            source: None,
            is_enabled: true,
            made_for: None,
            voice: None,
            codec: (0, None),
            next: 0,
            axis: 0,
            has_paused: true,
            was_spoken: false,
            mark: 0,
            marks: VecDeque::new(),
        }
    }

    pub fn attach(&mut self, source: Option<u64>, is_enabled: bool) {
        if self.source != source {
            // Positions are those of one source.
            self.marks.clear();
        }
        self.source = source;
        self.is_enabled = is_enabled;
    }

    /// Another source comes: all that it has of this one is with the hub.
    pub fn leave(&self, source: &Source) {
        if let Some((_, position)) = self.marks.back() {
            source.progress(*position, 0);
        }
    }

    /// The codec that is sent now; None: nothing can be sent.
    pub fn codec(&mut self) -> Option<AudioCodec> {
        let revision = self.shared.revision();
        if self.codec.0 != revision {
            self.codec = (revision, self.shared.plan().map(|plan| plan.codec));
        }
        self.codec.1.filter(|_| self.shared.is_open())
    }

    /// Add the packets that are due.
    pub fn tick(&mut self, now: Instant, passed: u64, fed: Option<(&Source, &Block)>, out: &mut Vec<Spoken>) {
        self.axis += if self.axis == 0 { 1 } else { passed };
        let Some((source, block)) = fed else { return self.rest() };
        self.report(source);
        if let Some(codec) = source.codec {
            return self.pass_on(now, source, (block, codec), out);
        }
        if !self.shared.is_open() || block.samples.is_empty() {
            return self.rest();
        }
        self.follow_plan(source);
        let Some(voice) = &mut self.voice else { return };
        let axis = (self.axis - 1) * voice.ticks_of_tick();
        voice.add(source.channels, block, self.is_enabled, axis);
        while self.add_packet(now, source, block.position, out) {}
    }

    /// Add the packets that are ready and due.
    fn pass_on(
        &mut self,
        now: Instant,
        source: &Source,
        (block, codec): (&Block, AudioCodec),
        out: &mut Vec<Spoken>,
    ) {
        if !block.is_spoken || self.codec() != Some(codec) {
            return self.rest();
        }
        if !self.is_enabled {
            // Silence is what the other side makes of packets that it does not get.
            self.rest();
            return source.progress(block.position, block.position);
        }
        let of_tick = u64::from(codec.clock_rate() / 100);
        let axis = (self.axis - 1) * of_tick;
        // Pauses and lost time advance the axis. Packets begin up to a tick before theirs.
        if axis >= self.next + if self.has_paused { 0 } else { of_tick } {
            self.next = axis;
        }
        let all: u64 = block.packets.iter().map(|packet| u64::from(packet.frames)).sum();
        let mut position = block.position.saturating_sub(all);
        for packet in &block.packets {
            position += u64::from(packet.frames);
            let marker = std::mem::take(&mut self.has_paused);
            let (timestamp, payload) = (self.next, packet.payload.clone());
            let mark = self.mark(position);
            let (level, captured) = (None, now);
            let unit = AudioUnit { codec, timestamp, marker, level, captured, mark, payload };
            out.push(Spoken { sender: self.shared.clone(), unit });
            self.next += u64::from(packet.frames);
        }
    }

    /// The mark of a packet that carries its source up to this frame.
    fn mark(&mut self, position: u64) -> u64 {
        self.mark += 1;
        if self.marks.len() == MAX_MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back((self.mark, position));
        self.mark
    }

    /// Nothing is sent now, and the packet that was half full is not sent later.
    fn rest(&mut self) {
        self.has_paused = true;
        if let Some(voice) = &mut self.voice {
            voice.samples.clear();
        }
    }

    /// Tell the source what has left and arrived.
    fn report(&mut self, source: &Source) {
        let upto = |marks: &VecDeque<(u64, u64)>, mark: u64| {
            let count = marks.partition_point(|(made, _)| *made <= mark);
            (count, count.checked_sub(1).map_or(0, |last| marks[last].1))
        };
        let (_, sent) = upto(&self.marks, self.shared.sent.load(Ordering::Acquire));
        let (count, arrived) = upto(&self.marks, self.shared.arrived.load(Ordering::Acquire));
        if sent > 0 {
            source.progress(sent, arrived);
        }
        self.marks.drain(..count);
    }

    /// Have the encoder that the plan wants, for this source.
    fn follow_plan(&mut self, source: &Source) {
        let wanted = Some((self.shared.revision(), source.rate, source.channels));
        if let Some(voice) = &mut self.voice {
            voice.encoder.set_loss(self.shared.loss.load(Ordering::Relaxed) as f32 / 1000.0);
        }
        if self.made_for == wanted {
            return;
        }
        self.made_for = wanted;
        let plan = self.shared.plan();
        let old = self.voice.take();
        self.voice = plan.and_then(|plan| Voice::new(&plan, source.rate, old));
    }

    /// False: its samples are not there yet.
    fn add_packet(&mut self, now: Instant, source: &Source, position: u64, out: &mut Vec<Spoken>) -> bool {
        let Some(voice) = &mut self.voice else { return false };
        let size = voice.frames * voice.encoder.settings().channels;
        if voice.samples.len() < size {
            return false;
        }
        let level = Level::of(&voice.samples[..size]);
        let seconds = voice.ticks as f64 * TICK.as_secs_f64();
        if let Ok(mut stats) = self.shared.source.lock().map_err(PoisonError::into_inner) {
            stats.level = f64::from(level.rms);
            stats.energy += f64::from(level.rms).powi(2) * seconds;
            stats.duration += seconds;
        }
        let is_spoken = std::mem::take(&mut voice.is_spoken);
        let was_spoken = std::mem::replace(&mut self.was_spoken, is_spoken);
        let begins = is_spoken && !was_spoken;
        let timestamp = voice.timestamp;
        voice.timestamp += voice.ticks * voice.ticks_of_tick();
        let payload = voice.encoder.encode(&voice.samples[..size]).map(<[u8]>::to_vec);
        voice.samples.drain(..size);
        let Some(payload) = payload else {
            self.has_paused = true;
            // Nothing is to be heard of these: they are where the packet before is.
            match self.marks.back_mut() {
                Some(last) => last.1 = position,
                None => source.progress(position, position),
            }
            return true;
        };
        let (codec, ticks) = (voice.codec, voice.ticks as u32);
        let mark = self.mark(position);
        let unit = AudioUnit {
            codec,
            timestamp,
            marker: begins | std::mem::take(&mut self.has_paused),
            level: Some((level.dbov(), is_spoken)),
            captured: now.checked_sub(TICK * (ticks - 1)).unwrap_or(now),
            mark,
            payload,
        };
        out.push(Spoken { sender: self.shared.clone(), unit });
        true
    }
}

impl Voice {
    fn new(plan: &SendPlan, rate: u32, old: Option<Voice>) -> Option<Voice> {
        let wanted = codec(plan.codec)?;
        let settings = Settings {
            codec: wanted,
            rate: wanted.working_rate(rate),
            channels: usize::from(plan.channels.clamp(1, 2)),
            max_bitrate: plan.max_bitrate,
            fec: plan.fec,
            dtx: plan.dtx,
        };
        let ticks = match (plan.frame.as_millis() / TICK.as_millis()) as u64 {
            0 | 1 => 1,
            // Opus has no frames of 30 or 50 ms.
            ticks @ 2.. if wanted == Codec::Opus => [2, 4, 6][(ticks.min(6) / 2 - 1) as usize],
            ticks => ticks.min(6),
        };
        let frames = settings.rate as usize / 100 * ticks as usize;
        if let Some(mut old) = old.filter(|old| old.rate == rate)
            && old.encoder.adjust(settings)
        {
            // What it has heard is continued, and nothing of it is lost.
            return Some(Voice { frames, ticks, ..old });
        }
        Some(Voice {
            codec: plan.codec,
            encoder: Encoder::new(settings)?,
            rate,
            resampler: Resampler::new(rate, settings.rate, settings.channels)?,
            frames,
            ticks,
            samples: Vec::new(),
            is_spoken: false,
            timestamp: 0,
            mixed: Vec::new(),
        })
    }

    /// Ticks of the timestamp in 10 ms.
    fn ticks_of_tick(&self) -> u64 {
        u64::from(self.codec.clock_rate() / 100)
    }

    /// Add a block, which begins at `axis`.
    fn add(&mut self, channels: usize, block: &Block, is_enabled: bool, axis: u64) {
        let settings = self.encoder.settings();
        let waiting = (self.samples.len() / settings.channels) as u64 * u64::from(self.codec.clock_rate())
            / u64::from(settings.rate);
        // Pauses and lost time advance the axis. Less than a block is what a resampler keeps for the next one.
        let begin = axis.saturating_sub(waiting);
        if self.timestamp.abs_diff(begin) >= self.ticks_of_tick() {
            self.timestamp = begin;
        }
        self.mixed.clear();
        match (channels, settings.channels) {
            _ if !is_enabled => {
                self.mixed.resize(block.samples.len() / channels * settings.channels, 0.0);
            }
            (1, 2) => self.mixed.extend(block.samples.iter().flat_map(|sample| [*sample; 2])),
            (2, 1) => {
                self.mixed.extend(block.samples.chunks_exact(2).map(|pair| (pair[0] + pair[1]) / 2.0));
            }
            _ => self.mixed.extend_from_slice(&block.samples),
        }
        self.is_spoken |= block.is_spoken && is_enabled;
        self.resampler.push(&self.mixed, &mut self.samples);
    }
}
