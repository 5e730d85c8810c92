//! The jitter buffer: packets as they come in, sound as it is due.
//!
//! Time decides, not counts. A moment of the sound is due when the *delay* has passed since the fastest packet would have
//! brought it ([`Delay`]). 97 of 100 packets are here by then. While no packet is here, the sound before it is continued,
//! and the position does not move: packets that are only late are played, and the delay is longer. Packets that are missing
//! while later ones are here are lost: the time that was filled is theirs. A delay that is not the wanted one is corrected
//! by taking out or putting in periods of the sound, at most a tenth of it. A delay that ten seconds cannot correct is cut.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::decoder::Decoder;
use crate::delay::{self, Delay};
use crate::{Codec, opus_packet, stretch};

/// Packets that wait, and their payload bytes: more than any delay that is allowed needs.
const MAX_PACKETS: usize = 400;
const MAX_BYTES: usize = 64 << 10;
/// The number of late packets in a row that are the first ones of a sender who has started again.
const LATE_RUN: u32 = 10;
/// How long packets of the SSRC before are those that were on the way.
const OLD_SSRC: Duration = Duration::from_secs(1);
/// A timestamp that goes back by more is a new clock, not a packet that overlaps.
const STEP_BACK: i64 = 1_000_000;
/// A delay that is longer or shorter by this is left alone. Playing begins up to 10 ms late, at a tick.
const LONG: i64 = 15_000;
const SHORT: i64 = 5000;
/// The time that ten seconds can take back at a tenth of the speed: a delay that is longer by more is cut.
const CUT: i64 = 1_000_000;
/// A loss while the delay is longer than wanted by this is not filled: the delay is shorter then.
const JUMP: i64 = 100_000;
/// After a loss the delay has room for the packet that repairs it, for this long.
const REPAIR_TIME: Duration = Duration::from_secs(10);
/// The fade of sound that is made up: from, and for. In milliseconds.
const FADE_FROM: usize = 100;
const FADE_FOR: usize = 100;
/// After this nothing is missing: the sender has paused.
const PAUSED: usize = 1000;
/// Below this amplitude nothing is heard.
const SILENT: f32 = 0.001;
/// How alike two periods must be. While there is no such pair, less and less is asked for, until any pair will do.
const ALIKE: f32 = 0.9;
const PATIENCE: f32 = 200.0;
/// A tenth of the sound may be taken out or put in, and 15 ms at most at once.
const CREDIT: f64 = 0.1;
/// More turns for 10 ms are not needed by any packets.
const MAX_TURNS: usize = 2 * MAX_PACKETS;

#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Samples a second that are wanted. [`Pulled::rate`] may be another.
    pub rate: u32,
    /// 1 or 2.
    pub channels: usize,
}

/// A packet that has come in. Numbers are extended: they do not wrap.
#[derive(Clone, Debug)]
pub struct Packet {
    pub codec: Codec,
    pub ssrc: u32,
    pub sequence: u64,
    pub timestamp: u64,
    pub arrived: Instant,
    pub payload: Vec<u8>,
}

/// The result of [`Playout::pull`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    pub rate: u32,
    /// 10 ms; 0 before the first packet is due.
    pub frames: usize,
    /// Frames of these that were made up for lost or late ones.
    pub concealed: usize,
}

/// Counts since the beginning. Samples are those of one channel, at the rate of [`Pulled`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    pub samples: u64,
    /// Made up for lost and late packets, `silent` of them not to be heard; and how often that began.
    pub concealed: u64,
    pub silent: u64,
    pub events: u64,
    /// Put in, or taken out, to correct the delay.
    pub inserted: u64,
    pub removed: u64,
    /// Packets that were lost, and could be heard because the next one repeats them.
    pub repaired: u64,
    /// Packets that came too late, twice, or when too many waited.
    pub discarded: u64,
    /// Packets that are no sound.
    pub damaged: u64,
    /// Samples that were decoded from packets; the sums of the seconds that they waited here, of the wanted ones, and of
    /// the least ones that the network asks for.
    pub emitted: u64,
    pub delay: f64,
    pub target: f64,
    pub least: f64,
    /// Seconds of sound.
    pub duration: f64,
}

/// Where the sound goes on.
#[derive(Clone, Copy, Debug)]
struct Position {
    sequence: u64,
    timestamp: u64,
}

#[derive(Debug)]
struct Waiting {
    codec: Codec,
    timestamp: u64,
    ticks: u32,
    arrived: Instant,
    payload: Vec<u8>,
}

/// The buffer of one receiver.
#[derive(Debug)]
pub struct Playout {
    config: Config,
    asked: Option<Duration>,
    ssrc: Option<u32>,
    previous: Option<(u32, Instant)>,
    decoder: Option<Decoder>,
    delay: Option<Delay>,
    packets: BTreeMap<u64, Waiting>,
    bytes: usize,
    next: Option<Position>,
    late_run: u32,
    repairs_until: Option<Instant>,
    /// How long the last packet is.
    packet_time: Duration,
    begun: bool,
    /// Decoded, and not played yet.
    sound: Vec<f32>,
    /// Ticks that were filled while the position did not move.
    owed: u64,
    /// Frames made up since the last true one.
    made_up: usize,
    concealed: usize,
    /// The last payload was the sender's word that it pauses (DTX).
    pauses: bool,
    /// The next sound does not continue the one before: it is faded in.
    seam: bool,
    credit: f64,
    impatience: f32,
    figures: Figures,
}

impl Playout {
    pub fn new(config: Config) -> Playout {
        Playout {
            config,
            asked: None,
            ssrc: None,
            previous: None,
            decoder: None,
            delay: None,
            packets: BTreeMap::new(),
            bytes: 0,
            next: None,
            late_run: 0,
            repairs_until: None,
            packet_time: Duration::from_millis(20),
            begun: false,
            sound: Vec::new(),
            owed: 0,
            made_up: 0,
            concealed: 0,
            pauses: false,
            seam: false,
            credit: 0.0,
            impatience: 0.0,
            figures: Figures::default(),
        }
    }

    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The W3C's `jitterBufferTarget`: no less delay than this, as far as the bounds allow. `None`: as the packets need.
    pub fn set_target(&mut self, target: Option<Duration>) {
        self.asked = target;
    }

    /// The delay that is aimed at.
    pub fn target(&self, now: Instant) -> Duration {
        self.least(now).max(self.asked.unwrap_or_default()).min(delay::MOST)
    }

    /// How long after its fastest arrival the sound is played that comes next.
    pub fn delay(&self, now: Instant) -> Option<Duration> {
        self.state(now).map(|(delay, _)| Duration::from_micros(delay.max(0) as u64))
    }

    /// Payload bytes and samples that wait: bounded, whatever comes in.
    pub fn waiting(&self) -> (usize, usize) {
        (self.bytes, self.sound.len())
    }

    // --- packets ----------------------------------------------------------------------------------------------------

    pub fn insert(&mut self, packet: Packet) {
        let Some(ticks) = packet.codec.ticks(&packet.payload) else {
            self.figures.damaged += 1;
            return;
        };
        if !self.choose_stream(&packet) {
            self.figures.discarded += 1;
            return;
        }
        if let Some(delay) = &mut self.delay {
            delay.observe(packet.arrived, packet.timestamp);
        }
        if self.next.is_some_and(|next| packet.sequence < next.sequence) {
            self.figures.discarded += 1;
            self.late_run += 1;
            if self.late_run < LATE_RUN {
                return;
            }
            self.begin_anew();
        }
        self.late_run = 0;
        let Packet { codec, sequence, timestamp, arrived, payload, .. } = packet;
        if self.packets.contains_key(&sequence) {
            self.figures.discarded += 1;
            return;
        }
        self.packet_time =
            Duration::from_micros(u64::from(ticks) * 1_000_000 / u64::from(codec.clock_rate()));
        self.bytes += payload.len();
        self.packets.insert(sequence, Waiting { codec, timestamp, ticks, arrived, payload });
        while self.packets.len() > MAX_PACKETS || self.bytes > MAX_BYTES {
            self.drop_first();
        }
    }

    /// Begin with another SSRC, or another clock. False: the packet is one of the SSRC before, which was on the way.
    fn choose_stream(&mut self, packet: &Packet) -> bool {
        let clock = packet.codec.clock_rate();
        let is_known = self.ssrc == Some(packet.ssrc);
        if is_known && self.decoder.as_ref().is_some_and(|decoder| decoder.codec().clock_rate() == clock) {
            return true;
        }
        let is_old = |(ssrc, since): (u32, Instant)| {
            ssrc == packet.ssrc && packet.arrived.saturating_duration_since(since) < OLD_SSRC
        };
        if !is_known && self.previous.is_some_and(is_old) {
            return false;
        }
        self.previous = self.ssrc.filter(|_| !is_known).map(|ssrc| (ssrc, packet.arrived));
        self.ssrc = Some(packet.ssrc);
        self.decoder = Decoder::new(packet.codec, self.config.rate, self.config.channels);
        match &mut self.delay {
            Some(delay) => delay.restart(clock),
            None => self.delay = Some(Delay::new(packet.arrived, clock)),
        }
        self.sound.clear();
        self.begin_anew();
        true
    }

    /// Nobody listens for a while: drop what waits. The counts go on.
    pub fn rest(&mut self) {
        self.begin_anew();
        self.ssrc = None;
        self.decoder = None;
        self.sound.clear();
        self.begun = false;
        self.seam = false;
    }

    fn begin_anew(&mut self) {
        self.figures.discarded += self.packets.len() as u64;
        self.packets.clear();
        self.bytes = 0;
        self.next = None;
        self.owed = 0;
        self.late_run = 0;
        self.pauses = false;
        self.seam = self.begun;
    }

    fn drop_first(&mut self) {
        if let Some((_, dropped)) = self.packets.pop_first() {
            self.bytes -= dropped.payload.len();
            self.figures.discarded += 1;
        }
    }

    // --- sound ------------------------------------------------------------------------------------------------------

    /// Append the next 10 ms to `out`. Call this each 10 ms; `now` is when they are due, not when there was time for it.
    pub fn pull(&mut self, now: Instant, out: &mut Vec<f32>) -> Pulled {
        let Some(decoder) = &self.decoder else { return Pulled::default() };
        let (rate, channels) = (decoder.codec().working_rate(self.config.rate), self.config.channels);
        if !self.begun && !self.is_due(now) {
            return Pulled { rate, ..Pulled::default() };
        }
        self.begun = true;
        let frames = rate as usize / 100;
        self.cut(now);
        for turn in 0.. {
            let missing = frames.saturating_sub(self.sound.len() / channels);
            if missing == 0 {
                break;
            } else if turn == MAX_TURNS {
                self.sound.resize(frames * channels, 0.0);
            } else {
                self.step(now, missing);
            }
        }
        self.stretch(now, rate);
        out.extend(self.sound.drain(..frames * channels));
        let concealed = std::mem::take(&mut self.concealed).min(frames);
        self.figures.samples += frames as u64;
        self.figures.duration += 0.01;
        Pulled { rate, frames, concealed }
    }

    fn is_due(&self, now: Instant) -> bool {
        let target = self.target(now).as_micros() as i64;
        self.packets.first_key_value().is_some_and(|(_, head)| self.lag(now, head.timestamp) >= target)
    }

    fn lag(&self, now: Instant, timestamp: u64) -> i64 {
        self.delay.as_ref().map_or(0, |delay| delay.lag(now, timestamp))
    }

    /// The delay that the network asks for, repairs included.
    fn least(&self, now: Instant) -> Duration {
        let wanted = self.delay.as_ref().map_or(Duration::ZERO, Delay::wanted).max(delay::LEAST);
        let repairs = self.repairs_until.is_some_and(|until| now < until);
        (if repairs { wanted + self.packet_time } else { wanted }).min(delay::MOST)
    }

    /// Ticks of the timestamp in a frame: whole, for every codec and rate.
    fn scale(&self) -> u64 {
        let Some(decoder) = &self.decoder else { return 1 };
        let codec = decoder.codec();
        u64::from(codec.clock_rate() / codec.working_rate(self.config.rate)).max(1)
    }

    /// Do one thing for the sound that is due; `missing` frames of it are not here.
    fn step(&mut self, now: Instant, missing: usize) {
        let target = self.target(now).as_micros() as i64;
        let Some((&sequence, head)) = self.packets.first_key_value() else {
            return self.fill(missing);
        };
        let (timestamp, ticks) = (head.timestamp, u64::from(head.ticks));
        let lag = self.lag(now, timestamp);
        let Some(next) = self.next else {
            return if lag < target {
                self.fill(missing)
            } else {
                self.next = Some(Position { sequence, timestamp });
            };
        };
        let gap = timestamp.wrapping_sub(next.timestamp) as i64;
        if gap <= 0 {
            let overlap = gap.unsigned_abs();
            if gap.saturating_mul(1_000_000) / i64::from(self.clock()) < -STEP_BACK {
                self.go_to(timestamp);
            } else if overlap >= ticks {
                self.drop_first();
                self.next = Some(Position { sequence: sequence.saturating_add(1), ..next });
            } else {
                self.decode(now, overlap);
            }
        } else if sequence == next.sequence {
            // Nothing was lost: the sender has paused, and a pause may be as long as it likes.
            if lag < target {
                self.pause(missing);
            } else {
                self.go_to(timestamp);
            }
        } else {
            self.bridge(now, missing, (gap as u64, ticks), lag >= target + JUMP);
        }
    }

    /// Frames a second of the decoder.
    fn rate(&self) -> usize {
        self.decoder.as_ref().map_or(48_000, |decoder| decoder.codec().working_rate(self.config.rate))
            as usize
    }

    fn clock(&self) -> u32 {
        self.decoder.as_ref().map_or(48_000, |decoder| decoder.codec().clock_rate())
    }

    fn go_to(&mut self, timestamp: u64) {
        if let Some(next) = &mut self.next {
            // What was filled exactly has no seam.
            self.seam |= next.timestamp.wrapping_add(self.owed) != timestamp;
            next.timestamp = timestamp;
        }
        self.owed = 0;
    }

    /// Packets are lost: `gap` ticks before the first one that is here, which has `ticks`.
    fn bridge(&mut self, now: Instant, missing: usize, (gap, ticks): (u64, u64), is_overdue: bool) {
        let scale = self.scale();
        let left = (gap.saturating_sub(self.owed) / scale) as usize;
        let Some((_, head)) = self.packets.first_key_value() else { return };
        let timestamp = head.timestamp;
        if left == 0 || is_overdue {
            return self.go_to(timestamp);
        }
        let mut repairable = 0;
        if head.codec == Codec::Opus && opus_packet::has_repair(&head.payload) {
            repairable = (ticks / scale) as usize;
            self.repairs_until = Some(now + REPAIR_TIME);
        }
        if left <= repairable && self.repair(repairable, left) {
            self.next = self.next.map(|next| Position { timestamp, ..next });
            return;
        }
        let frames = missing.min(left - repairable.min(left - 1));
        self.conceal(frames);
        if let Some(next) = &mut self.next {
            next.timestamp = next.timestamp.wrapping_add(frames as u64 * scale);
        }
    }

    /// Play the last `left` frames of those before the first packet, which has `frames` of them too.
    fn repair(&mut self, frames: usize, left: usize) -> bool {
        let (mut tail, mut sound) = (Vec::new(), Vec::new());
        if self.owed > 0 {
            self.continue_old(&mut tail);
        }
        let (Some(decoder), Some((_, head))) = (&mut self.decoder, self.packets.first_key_value()) else {
            return false;
        };
        let made = decoder.repair(&head.payload, frames, &mut sound);
        if made < left {
            return false;
        }
        sound.drain(..(made - left) * self.config.channels);
        stretch::join(&tail, &mut sound);
        self.sound.append(&mut sound);
        self.figures.repaired += 1;
        self.made_up = 0;
        self.owed = 0;
        self.seam = false;
        true
    }

    /// Decode the first packet, but for the `overlap` ticks that were played already.
    fn decode(&mut self, now: Instant, overlap: u64) {
        let Some((sequence, head)) = self.packets.pop_first() else { return };
        self.bytes -= head.payload.len();
        let (scale, channels) = (self.scale(), self.config.channels);
        if self.decoder.as_ref().is_none_or(|decoder| decoder.codec() != head.codec) {
            self.decoder = Decoder::new(head.codec, self.config.rate, channels);
        }
        self.next =
            Some(Position { sequence: sequence + 1, timestamp: head.timestamp + u64::from(head.ticks) });
        // What follows something made up by repetition does not continue it; Opus sees to it itself.
        let is_seam =
            self.seam || self.owed > 0 || overlap > 0 || self.made_up > 0 && head.codec != Codec::Opus;
        let (mut sound, mut tail) = (Vec::new(), Vec::new());
        if is_seam {
            self.continue_old(&mut tail);
        }
        let frames = match &mut self.decoder {
            Some(decoder) => decoder.decode(&head.payload, &mut sound),
            None => 0,
        };
        if frames == 0 {
            self.figures.damaged += 1;
            return self.conceal((u64::from(head.ticks) / scale) as usize);
        }
        sound.drain(..((overlap / scale) as usize).min(frames) * channels);
        stretch::join(&tail, &mut sound);
        self.sound.append(&mut sound);
        self.owed = 0;
        self.made_up = 0;
        self.seam = false;
        self.pauses = head.codec == Codec::Opus && opus_packet::is_pause(&head.payload);
        let count = frames as f64;
        self.figures.emitted += frames as u64;
        self.figures.delay += now.saturating_duration_since(head.arrived).as_secs_f64() * count;
        self.figures.target += self.target(now).as_secs_f64() * count;
        self.figures.least += self.least(now).as_secs_f64() * count;
    }

    /// Nothing is here: continue what was, and owe the time.
    fn fill(&mut self, frames: usize) {
        if self.next.is_none() {
            return self.pause(frames);
        }
        self.conceal(frames);
        self.owed = self.owed.saturating_add(frames as u64 * self.scale());
    }

    /// Nothing is missing, and nothing is to be heard but the noise that the sender's pause leaves behind.
    fn pause(&mut self, frames: usize) {
        let mut sound = Vec::new();
        self.make_up(frames, self.rate() / 1000, &mut sound);
        self.sound.append(&mut sound);
    }

    fn conceal(&mut self, frames: usize) {
        let (before, from) = (self.made_up, self.sound.len());
        self.pause(frames);
        if self.pauses || before >= PAUSED * self.rate() / 1000 {
            return;
        }
        self.figures.events += u64::from(before == 0);
        self.figures.concealed += frames as u64;
        self.concealed += frames;
        if self.sound[from..].iter().all(|sample| sample.abs() < SILENT) {
            self.figures.silent += frames as u64;
        }
    }

    /// Continue what was heard, fading.
    fn make_up(&mut self, frames: usize, per_ms: usize, sound: &mut Vec<f32>) {
        let channels = self.config.channels;
        // The noise of a pause goes on until the sender would have renewed it twice.
        let from = if self.pauses { PAUSED } else { FADE_FROM } * per_ms;
        let begin = self.made_up;
        self.made_up = self.made_up.saturating_add(frames);
        if begin >= from + FADE_FOR * per_ms || self.next.is_none() {
            return sound.resize(frames * channels, 0.0);
        }
        if let Some(decoder) = &mut self.decoder {
            decoder.conceal(frames, sound);
        }
        for (at, frame) in sound.chunks_exact_mut(channels).enumerate() {
            let over = (begin + at).saturating_sub(from) as f32 / (FADE_FOR * per_ms) as f32;
            frame.iter_mut().for_each(|sample| *sample *= (1.0 - over).max(0.0));
        }
    }

    /// Continue the old sound by 5 ms, to fade over from.
    fn continue_old(&mut self, tail: &mut Vec<f32>) {
        let rate =
            self.decoder.as_ref().map_or(48_000, |decoder| decoder.codec().working_rate(self.config.rate));
        self.make_up(stretch::fade(rate), rate as usize / 1000, tail);
    }

    // --- the delay --------------------------------------------------------------------------------------------------

    /// Return the delay of the next sound, and how much is here from there on. Microseconds.
    fn state(&self, now: Instant) -> Option<(i64, i64)> {
        let next = self.next?;
        let (clock, scale) = (i64::from(self.clock()), self.scale());
        let micros = |ticks: i64| ticks.saturating_mul(1_000_000) / clock;
        let sound = micros((self.sound.len() / self.config.channels) as i64 * scale as i64);
        let last = self.packets.last_key_value();
        let end = last.map_or(0, |(_, last)| {
            last.timestamp.wrapping_sub(next.timestamp) as i64 + i64::from(last.ticks)
        });
        Some((self.lag(now, next.timestamp).saturating_add(sound), micros(end).max(0).saturating_add(sound)))
    }

    /// More delay than ten seconds can take back: go on with the sound that is not too old.
    fn cut(&mut self, now: Instant) {
        let target = self.target(now).as_micros() as i64;
        let Some((delay, here)) = self.state(now) else { return };
        if delay <= target + CUT || here <= target {
            return;
        }
        let mut is_cut = false;
        while let Some((_, second)) = self.packets.iter().nth(1)
            && self.lag(now, second.timestamp) >= target
        {
            self.drop_first();
            is_cut = true;
        }
        if is_cut && let Some((&sequence, head)) = self.packets.first_key_value() {
            self.sound.clear();
            self.next = Some(Position { sequence, timestamp: head.timestamp });
            self.owed = 0;
            self.seam = true;
        }
    }

    /// Take a period out or put one in, if the delay is not the wanted one.
    fn stretch(&mut self, now: Instant, rate: u32) {
        let at_once = rate as usize * 15 / 1000;
        self.credit = (self.credit + CREDIT * (rate as usize / 100) as f64).min(at_once as f64);
        let target = self.target(now).as_micros() as i64;
        let Some((delay, here)) = self.state(now).filter(|_| self.made_up == 0 && !self.pauses) else {
            return;
        };
        let (is_long, is_short) = (delay > target + LONG && here >= target, delay < target - SHORT);
        if !is_long && !is_short {
            self.impatience = 0.0;
            return;
        }
        let channels = self.config.channels;
        let enough = rate as usize / 100 + stretch::needed(rate);
        while is_long && self.sound.len() / channels < enough && self.continues() {
            self.decode(now, 0);
        }
        let alike = ALIKE - self.impatience * (1.0 + ALIKE) / PATIENCE;
        self.impatience = (self.impatience + 1.0).min(PATIENCE);
        let difference = ((delay - target).unsigned_abs() as usize).saturating_mul(rate as usize) / 1_000_000;
        let spare =
            if is_long { (self.sound.len() / channels).saturating_sub(rate as usize / 100) } else { at_once };
        let most = difference.min(self.credit as usize).min(at_once).min(spare);
        let change = if is_long { stretch::shorten } else { stretch::lengthen };
        let count = change(&mut self.sound, channels, rate, most, alike);
        self.credit -= count as f64;
        if is_long {
            self.figures.removed += count as u64;
        } else {
            self.figures.inserted += count as u64;
        }
    }

    /// Whether the next packet is here, and follows directly.
    fn continues(&self) -> bool {
        let head = self.packets.first_key_value();
        self.next.zip(head).is_some_and(|(next, (_, head))| head.timestamp == next.timestamp)
    }
}
