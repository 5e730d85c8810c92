//! Lets packets leave at a steady rate: a frame at once would fill the path's queue, and audio would wait behind it.
//!
//! Audio leaves at once. Then come repairs, in a quarter of the rate, then video in its order, then what fills a probe.
//! More video than a quarter of a second takes is dropped up to the next key frame: what is late is of no use.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::bwe::Probe;

/// A pause earns so much: it may leave at once after it.
const BURST: Duration = Duration::from_millis(5);
/// Packets that are late, because the computer is busy, catch up so much.
const CATCH_UP: Duration = Duration::from_millis(40);
/// The first time, in which the rate is a guess: nothing that waits is dropped yet.
const START: Duration = Duration::from_secs(1);
/// Video that waits longer than this is too much. Key frames do not count: without them there is no picture at all.
const LONGEST: Duration = Duration::from_millis(250);
/// Repairs that would wait longer than the peer does are not made.
const LONGEST_REPAIR: Duration = Duration::from_millis(500);
const REPAIR_PART: f64 = 0.25;
/// Audio leaves at once, but what it took is waited for: not longer than this.
const LONGEST_DEBT: Duration = Duration::from_millis(100);
/// Bytes that wait in all, whatever they are.
const MAX_BYTES: usize = 8 << 20;
/// A repair always finds room for so many bytes.
const LEAST_REPAIR: f64 = 3_000.0;
/// After so long a stream that was dropped asks for a key frame, so that the encoder has followed the rate by then. It
/// asks later each time, up to the longest, where the last one did not help for [`HELPS`].
const ASKS: Duration = Duration::from_millis(400);
const ASKS_LATEST: Duration = Duration::from_secs(3);
const HELPS: Duration = Duration::from_secs(5);
/// A probe that gets nothing to send for so much longer than it takes is given up.
const PROBE_TIME: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Audio,
    /// A packet that is sent again.
    Repair,
    /// A packet of a frame. `frame` grows in its stream.
    Video {
        stream: u64,
        frame: u64,
        key: bool,
    },
    /// A packet that only fills a probe.
    Padding,
}

#[derive(Debug)]
struct Item<P> {
    class: Class,
    bytes: usize,
    packet: P,
}

/// Knowledge of a stream of video.
#[derive(Debug, Default)]
struct Stream {
    /// Bytes that wait and are not of key frames.
    bytes: usize,
    /// Dropped up to the next key frame.
    waits: bool,
    /// When it asks for one, when it did last, and how long it waits for that.
    asks: Option<Instant>,
    asked: Option<Instant>,
    patience: Duration,
    /// The frame of which a packet left last.
    begun: Option<u64>,
}

#[derive(Debug)]
struct Running {
    probe: Probe,
    left: usize,
    ends: Instant,
}

pub struct Pacer<P> {
    /// Bytes a second.
    rate: f64,
    audio: VecDeque<Item<P>>,
    repairs: VecDeque<Item<P>>,
    video: VecDeque<Item<P>>,
    padding: VecDeque<Item<P>>,
    repair_bytes: usize,
    bytes: usize,
    /// When what has left is paid for: by all, and by repairs.
    paid: Instant,
    repairs_paid: Instant,
    /// When the first packet of video came.
    begun: Option<Instant>,
    streams: BTreeMap<u64, Stream>,
    probe: Option<Running>,
    dropped: VecDeque<P>,
}

impl<P> Pacer<P> {
    /// `rate`: bits a second.
    pub fn new(now: Instant, rate: u32) -> Pacer<P> {
        Pacer {
            rate: f64::from(rate.max(1)) / 8.0,
            audio: VecDeque::new(),
            repairs: VecDeque::new(),
            video: VecDeque::new(),
            padding: VecDeque::new(),
            repair_bytes: 0,
            bytes: 0,
            paid: now,
            repairs_paid: now,
            begun: None,
            streams: BTreeMap::new(),
            probe: None,
            dropped: VecDeque::new(),
        }
    }

    /// Bits a second from now on.
    pub fn set_rate(&mut self, now: Instant, rate: u32) {
        let rate = f64::from(rate.max(1)) / 8.0;
        let times = self.rate / rate;
        for paid in [&mut self.paid, &mut self.repairs_paid] {
            // What is late stays late, or it would not be caught up.
            if *paid > now {
                *paid = now + (*paid - now).mul_f64(times.min(10.0));
            }
        }
        self.rate = rate;
        self.shed(now);
    }

    /// Queue a packet. [`Pacer::pop_dropped`] gives those that are dropped for it.
    pub fn push(&mut self, now: Instant, class: Class, bytes: usize, packet: P) {
        let item = Item { class, bytes, packet };
        if self.bytes + bytes > MAX_BYTES {
            return self.refuse(now, item);
        }
        if self.bytes == 0 {
            self.paid = self.paid.max(now.checked_sub(BURST).unwrap_or(now));
        }
        match class {
            Class::Audio => self.audio.push_back(item),
            Class::Padding => self.padding.push_back(item),
            Class::Repair => {
                let most = (self.rate * REPAIR_PART * LONGEST_REPAIR.as_secs_f64()).max(LEAST_REPAIR);
                if (self.repair_bytes + bytes) as f64 > most {
                    return self.dropped.push_back(item.packet);
                }
                self.repair_bytes += bytes;
                self.repairs.push_back(item);
            }
            Class::Video { stream, frame, key } => {
                self.begun.get_or_insert(now);
                let known = self.streams.entry(stream).or_default();
                if key {
                    known.waits = false;
                    known.asks = None;
                } else if known.waits {
                    return self.dropped.push_back(item.packet);
                } else {
                    known.bytes += bytes;
                }
                if key && self.is_late(now) {
                    self.supersede(stream, frame);
                }
                self.video.push_back(item);
            }
        }
        self.bytes += bytes;
        self.shed(now);
    }

    /// Nothing has room.
    fn refuse(&mut self, now: Instant, item: Item<P>) {
        if let Class::Video { stream, .. } = item.class {
            self.drop_stream(now, stream);
        }
        self.dropped.push_back(item.packet);
    }

    /// Send a probe from now on.
    pub fn probe(&mut self, now: Instant, probe: Probe) {
        let length = Duration::from_secs_f64(probe.bytes as f64 * 8.0 / f64::from(probe.rate.max(1)));
        let ends = now + 2 * length.min(Duration::from_secs(1)) + PROBE_TIME;
        self.paid = now; // what is late is not caught up at its rate
        self.probe = Some(Running { probe, left: probe.bytes, ends });
    }

    /// Bytes that a probe needs now and nothing waits for: push so much [`Class::Padding`], in one packet or several.
    pub fn padding(&self, now: Instant) -> Option<usize> {
        let running = self.probe.as_ref().filter(|running| now < running.ends)?;
        let is_empty = self.video.is_empty() && self.repairs.is_empty() && self.padding.is_empty();
        (is_empty && self.paid <= now).then_some(running.left)
    }

    /// Take the next packet that may leave now, and the id of the probe that it belongs to.
    pub fn pop(&mut self, now: Instant) -> Option<(Class, P, Option<u32>)> {
        if self.probe.as_ref().is_some_and(|running| now >= running.ends) {
            self.end_probe();
        }
        if let Some(item) = self.audio.pop_front() {
            self.pay(now, item.bytes, self.rate);
            self.paid = self.paid.min(now + LONGEST_DEBT);
            self.bytes -= item.bytes;
            return Some((item.class, item.packet, None));
        }
        if self.paid > now {
            return None;
        }
        let item = self.next(now)?;
        self.bytes -= item.bytes;
        let Some(running) = &mut self.probe else {
            self.pay(now, item.bytes, self.rate);
            return Some((item.class, item.packet, None));
        };
        let Probe { id, rate, .. } = running.probe;
        running.left = running.left.saturating_sub(item.bytes);
        let is_done = running.left == 0;
        self.pay(now, item.bytes, f64::from(rate.max(1)) / 8.0);
        if is_done {
            self.end_probe();
        }
        Some((item.class, item.packet, Some(id)))
    }

    fn next(&mut self, now: Instant) -> Option<Item<P>> {
        if self.repairs_paid <= now
            && let Some(item) = self.repairs.pop_front()
        {
            self.repair_bytes -= item.bytes;
            let time = Duration::from_secs_f64(item.bytes as f64 / (self.rate * REPAIR_PART));
            self.repairs_paid = self.repairs_paid.max(now.checked_sub(BURST).unwrap_or(now)) + time;
            return Some(item);
        }
        if let Some(item) = self.video.pop_front() {
            self.forget(&item.class, item.bytes);
            if let Class::Video { stream, frame, .. } = item.class
                && let Some(known) = self.streams.get_mut(&stream)
            {
                known.begun = Some(frame);
            }
            return Some(item);
        }
        self.padding.pop_front()
    }

    fn end_probe(&mut self) {
        self.probe = None;
        self.bytes -= self.padding.iter().map(|item| item.bytes).sum::<usize>();
        self.dropped.extend(self.padding.drain(..).map(|item| item.packet));
    }

    fn pay(&mut self, now: Instant, bytes: usize, rate: f64) {
        let from = self.paid.max(now.checked_sub(CATCH_UP).unwrap_or(now));
        self.paid = from + Duration::from_secs_f64(bytes as f64 / rate);
    }

    /// When [`Pacer::pop`] or [`Pacer::overflowed`] gives something; None: nothing waits.
    pub fn timeout(&self) -> Option<Instant> {
        if !self.audio.is_empty() {
            return Some(self.paid.min(self.repairs_paid));
        }
        let is_waiting = !self.video.is_empty() || !self.padding.is_empty() || self.probe.is_some();
        let repairs = (!self.repairs.is_empty()).then(|| self.paid.max(self.repairs_paid));
        let asks = self.streams.values().filter_map(|stream| stream.asks).min();
        [is_waiting.then_some(self.paid), repairs, asks].into_iter().flatten().min()
    }

    /// Bytes that wait.
    pub fn queued_bytes(&self) -> usize {
        self.bytes
    }

    /// Take a packet that was dropped.
    pub fn pop_dropped(&mut self) -> Option<P> {
        self.dropped.pop_front()
    }

    /// Take a stream that was dropped up to its next key frame: now it needs one.
    pub fn overflowed(&mut self, now: Instant) -> Option<u64> {
        let due = |stream: &Stream| stream.asks.is_some_and(|at| at <= now);
        let (stream, known) = self.streams.iter_mut().find(|(_, stream)| due(stream))?;
        known.asks = None;
        known.asked = Some(now);
        Some(*stream)
    }

    /// Forget a stream that has ended. Its packets are dropped.
    pub fn remove(&mut self, stream: u64) {
        self.keep(stream, |_, _| false);
        self.streams.remove(&stream);
    }

    // --- too much ---------------------------------------------------------------------------------------------------

    fn is_late(&self, now: Instant) -> bool {
        if self.begun.is_none_or(|begun| now < begun + START) {
            return false;
        }
        let bytes: usize = self.streams.values().map(|stream| stream.bytes).sum();
        bytes as f64 > self.rate * LONGEST.as_secs_f64()
    }

    /// Drop the stream that has most waiting, until what waits takes not too long.
    fn shed(&mut self, now: Instant) {
        while self.is_late(now) {
            let most = self.streams.iter().max_by_key(|(_, stream)| stream.bytes);
            let Some(stream) = most.map(|(stream, _)| *stream) else { return };
            self.drop_stream(now, stream);
        }
    }

    /// Drop what a key frame makes needless, or all but key frames, and then up to the next one.
    fn drop_stream(&mut self, now: Instant, stream: u64) {
        let keys = self.video.iter().rev().find_map(|item| match item.class {
            Class::Video { stream: of, frame, key: true } if of == stream => Some(frame),
            _ => None,
        });
        if let Some(latest) = keys {
            self.keep(stream, |frame, key| key || frame > latest);
            if !self.is_late(now) {
                return;
            }
        }
        self.keep(stream, |_, key| key);
        if let Some(known) = self.streams.get_mut(&stream)
            && !known.waits
        {
            known.waits = true;
            let is_helped = known.asked.is_none_or(|at| now.saturating_duration_since(at) > HELPS);
            known.patience = if is_helped { ASKS } else { (2 * known.patience).min(ASKS_LATEST) };
            known.asks = Some(now + known.patience);
        }
    }

    /// A new key frame: nothing before it is needed, but for one of which a part has left.
    fn supersede(&mut self, stream: u64, new: u64) {
        let begun = self.streams.get(&stream).and_then(|known| known.begun);
        self.keep(stream, |frame, key| frame == new || (key && Some(frame) == begun));
    }

    fn keep(&mut self, stream: u64, is_kept: impl Fn(u64, bool) -> bool) {
        for item in std::mem::take(&mut self.video) {
            match item.class {
                Class::Video { stream: of, frame, key } if of == stream && !is_kept(frame, key) => {
                    self.forget(&item.class, item.bytes);
                    self.bytes -= item.bytes;
                    self.dropped.push_back(item.packet);
                }
                _ => self.video.push_back(item),
            }
        }
    }

    /// A packet of a stream waits no longer.
    fn forget(&mut self, class: &Class, bytes: usize) {
        if let Class::Video { stream, key: false, .. } = class
            && let Some(known) = self.streams.get_mut(stream)
        {
            known.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    /// 1000 bytes in 10 ms.
    const RATE: u32 = 800_000;

    fn frame(frame: u64, key: bool) -> Class {
        Class::Video { stream: 1, frame, key }
    }

    /// What leaves in `time`: (ms, packet, probe).
    fn run(pacer: &mut Pacer<u32>, start: Instant, time: u32) -> Vec<(u32, u32, Option<u32>)> {
        let mut out = Vec::new();
        for at in 0..time {
            while let Some((_, packet, probe)) = pacer.pop(start + MS * at) {
                out.push((at, packet, probe));
            }
        }
        out
    }

    /// A pacer whose first second is over.
    fn begun(now: Instant) -> Pacer<u32> {
        Pacer { begun: now.checked_sub(START), ..Pacer::new(now, RATE) }
    }

    #[test]
    fn in_the_first_second_nothing_is_dropped_and_then_what_is_too_much() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, RATE);
        for packet in 0..99 {
            pacer.push(now + MS * packet * 10, frame(packet.into(), false), 2000, packet);
        }
        assert!(dropped(&mut pacer).is_empty());
        pacer.set_rate(now + START, RATE);
        assert_eq!(dropped(&mut pacer).len(), 99);
    }

    fn dropped(pacer: &mut Pacer<u32>) -> Vec<u32> {
        std::iter::from_fn(|| pacer.pop_dropped()).collect()
    }

    #[test]
    fn what_waits_catches_up_when_the_computer_is_late_and_a_pause_earns_little() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, RATE);
        let late = |at: u32| now + MS * at;
        (0..200).for_each(|packet| pacer.push(now, frame(1, true), 1000, packet));
        // 10 ms of a packet, and looked at each 25, with a rate that is said again each time.
        let mut left = 0;
        for at in (0..1000).step_by(25) {
            pacer.set_rate(late(at), RATE);
            left += std::iter::from_fn(|| pacer.pop(late(at))).count();
        }
        assert!((97..=100).contains(&left), "{left}");
        assert_eq!(std::iter::from_fn(|| pacer.pop(late(5000))).count(), 5, "not all after seconds");
        pacer.remove(1);
        (0..10).for_each(|packet| pacer.push(late(9000), frame(2, true), 1000, packet));
        assert_eq!(std::iter::from_fn(|| pacer.pop(late(9000))).count(), 1, "a pause earns 5 ms");
    }

    #[test]
    fn audio_is_first_and_at_once_and_the_rest_is_even() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, RATE);
        for packet in 0..10 {
            pacer.push(now, frame(1, false), 1000, packet);
        }
        for packet in 100..103 {
            pacer.push(now, Class::Audio, 100, packet);
        }
        assert_eq!(pacer.queued_bytes(), 10_300);
        let out = run(&mut pacer, now, 200);
        assert_eq!(
            out.iter().take(3).map(|(at, packet, _)| (*at, *packet)).collect::<Vec<_>>(),
            [(0, 100), (0, 101), (0, 102)]
        );
        let video: Vec<(u32, u32)> = out[3..].iter().map(|(at, packet, _)| (*at, *packet)).collect();
        assert_eq!(video.iter().map(|(_, packet)| *packet).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        for pair in video.windows(2) {
            assert_eq!(pair[1].0 - pair[0].0, 10, "{video:?}");
        }
        assert_eq!((pacer.queued_bytes(), pacer.timeout()), (0, None));
    }

    #[test]
    fn a_pause_earns_a_short_burst() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, 8_000_000);
        let later = now + Duration::from_secs(60);
        for packet in 0..20 {
            pacer.push(later, frame(1, false), 1000, packet);
        }
        assert_eq!(run(&mut pacer, later, 1).len(), 6, "5 ms of the rate, and the one that ends it");
    }

    #[test]
    fn repairs_are_before_video_in_a_quarter_of_the_rate() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, RATE);
        for packet in 0..20 {
            pacer.push(now, Class::Repair, 1000, 1000 + packet);
            pacer.push(now, frame(1, true), 1000, packet);
        }
        // More than half a second of a quarter is refused.
        assert_eq!(dropped(&mut pacer), (1012..1020).collect::<Vec<_>>());
        let out = run(&mut pacer, now, 200);
        assert_eq!(out[0].1, 1000);
        let repairs = out.iter().filter(|(_, packet, _)| *packet >= 1000).count();
        assert!((4..=6).contains(&repairs), "{repairs} of {}", out.len());
        assert!((20..=22).contains(&out.len()), "{}", out.len());
    }

    #[test]
    fn what_waits_too_long_is_dropped_up_to_the_next_key_frame_which_is_asked_for_later() {
        let now = Instant::now();
        let mut pacer = begun(now);
        pacer.push(now, frame(1, true), 60_000, 1);
        for packet in 2..28 {
            pacer.push(now, frame(packet, false), 1000, packet as u32);
        }
        assert_eq!(dropped(&mut pacer), (2..28).collect::<Vec<_>>());
        pacer.push(now, frame(28, false), 10, 28);
        assert_eq!(dropped(&mut pacer), [28], "nothing can be decoded before a key frame");
        assert_eq!(pacer.overflowed(now + ASKS - MS), None);
        assert_eq!(pacer.pop(now).map(|(_, packet, _)| packet), Some(1), "the key frame was not too much");
        assert_eq!(pacer.timeout(), Some(now + ASKS));
        assert_eq!(pacer.overflowed(now + ASKS), Some(1));
        assert_eq!(pacer.overflowed(now + ASKS), None);
        pacer.push(now + ASKS, frame(29, true), 1000, 29);
        pacer.push(now + ASKS, frame(30, false), 1000, 30);
        assert_eq!((dropped(&mut pacer), pacer.queued_bytes()), (vec![], 2000));
    }

    #[test]
    fn key_frames_that_do_not_help_are_asked_for_ever_less_often() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start, 8_000);
        let mut asked = Vec::new();
        for at in 0..30_000 {
            let now = start + MS * at;
            if at % 33 == 0 {
                pacer.push(now, frame(at.into(), false), 1000, at);
            }
            if pacer.overflowed(now).is_some() {
                asked.push(at);
                pacer.push(now, frame(at.into(), true), 100, at);
            }
        }
        assert!(asked.len() <= 12, "{asked:?}");
        assert!(asked.windows(3).all(|at| at[2] - at[1] >= (at[1] - at[0]).min(3000)), "{asked:?}");
    }

    #[test]
    fn a_key_frame_makes_what_is_before_it_needless_but_not_one_that_is_on_its_way() {
        let now = Instant::now();
        let mut pacer = begun(now);
        let key = |pacer: &mut Pacer<u32>, number: u64| {
            for part in 0..3 {
                pacer.push(now, frame(number, true), 1000, number as u32 * 10 + part);
            }
        };
        key(&mut pacer, 1);
        assert_eq!(pacer.pop(now).map(|(_, packet, _)| packet), Some(10));
        for number in 2..=26 {
            pacer.push(now, frame(number, false), 1000, number as u32 * 10);
        }
        assert_eq!(dropped(&mut pacer), []);
        // 25 frames in a quarter of a second, and one too many: the key frame behind them makes them needless.
        key(&mut pacer, 27);
        pacer.push(now, frame(28, false), 1000, 280);
        assert_eq!(dropped(&mut pacer), (2..=26).map(|number| number * 10).collect::<Vec<_>>());
        assert_eq!(pacer.overflowed(now + ASKS), None);
        let left = run(&mut pacer, now, 100);
        let left: Vec<u32> = left.iter().map(|(_, packet, _)| *packet).collect();
        assert_eq!(left, [11, 12, 270, 271, 272, 280]);
    }

    #[test]
    fn the_stream_that_has_most_is_dropped() {
        let now = Instant::now();
        let mut pacer = begun(now);
        for number in 0..30 {
            pacer.push(now, Class::Video { stream: 2, frame: number, key: false }, 200, 2);
            pacer.push(now, frame(number, false), 1000, 1);
        }
        assert!(dropped(&mut pacer).iter().all(|packet| *packet == 1));
        assert_eq!((pacer.overflowed(now + ASKS), pacer.overflowed(now + ASKS)), (Some(1), None));
        pacer.remove(2);
        assert_eq!((dropped(&mut pacer).len(), pacer.queued_bytes()), (30, 0));
    }

    #[test]
    fn a_lower_rate_drops_what_takes_too_long_with_it() {
        let now = Instant::now();
        let mut pacer = begun(now);
        for number in 0..20 {
            pacer.push(now, frame(number, false), 1000, number as u32);
        }
        pacer.set_rate(now, RATE / 2);
        assert_eq!(dropped(&mut pacer).len(), 20);
    }

    #[test]
    fn what_waits_is_bounded_whatever_it_is() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, 1);
        for number in 0..3000 {
            pacer.push(now, frame(number, true), 4000, 0);
            pacer.push(now, Class::Audio, 4000, 0);
            pacer.push(now, Class::Repair, 4000, 0);
            pacer.push(now, Class::Padding, 4000, 0);
            assert!(pacer.queued_bytes() <= MAX_BYTES);
            dropped(&mut pacer);
        }
    }

    #[test]
    fn a_probe_takes_what_waits_and_padding_at_its_rate() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, RATE);
        assert_eq!(pacer.padding(now), None);
        pacer.push(now, frame(1, true), 1000, 1);
        pacer.probe(now, Probe { id: 7, rate: 4 * RATE, bytes: 3000 });
        assert_eq!(pacer.padding(now), None, "video waits");
        let mut out = Vec::new();
        for at in 0..100 {
            let now = now + MS * at;
            loop {
                if let Some(bytes) = pacer.padding(now) {
                    pacer.push(now, Class::Padding, bytes.min(250), 0);
                }
                let Some((class, _, probe)) = pacer.pop(now) else { break };
                out.push((at, class, probe));
            }
        }
        assert_eq!(out.len(), 9);
        assert!(out.iter().all(|(_, _, probe)| *probe == Some(7)));
        assert_eq!(out.iter().filter(|(_, class, _)| *class == Class::Padding).count(), 8);
        let last = out.last().map(|(at, ..)| *at);
        assert!(last.is_some_and(|at| (6..=8).contains(&at)), "3000 bytes take 7.5 ms: {last:?}");
        assert_eq!(pacer.timeout(), None);
    }

    #[test]
    fn a_probe_that_gets_nothing_is_given_up() {
        let now = Instant::now();
        let mut pacer = Pacer::<u32>::new(now, RATE);
        pacer.probe(now, Probe { id: 7, rate: RATE, bytes: 1000 });
        let later = now + 100 * MS;
        assert_eq!((pacer.padding(later), pacer.pop(later)), (None, None));
        assert_eq!(pacer.timeout(), None);
    }
}
