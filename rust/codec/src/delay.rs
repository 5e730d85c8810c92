//! How much later than the fastest ones packets arrive, and the delay that most of them need.

use std::time::{Duration, Instant};

/// A bucket of the histogram; the last one holds all that is longer.
const BUCKET: i64 = 5000;
const BUCKETS: usize = 104;
/// The part of the packets of the last seconds that must be in time.
const PART: f32 = 0.97;
/// A packet of this age counts for 1/e. After 10 s even a time in which all were late is below the 3 % that are let go.
const MEMORY: f32 = 2.5;
/// The fastest packet is looked for in this time, and in the one before.
const WINDOW: Duration = Duration::from_secs(5);
/// The network makes no such step: the sender's clock has jumped, or all packets waited somewhere.
const JUMP: i64 = 1_000_000;
/// The least time to wait: two ticks of a player.
pub const LEAST: Duration = Duration::from_millis(20);
pub const MOST: Duration = Duration::from_millis(500);

/// The delays of one stream. Numbers are microseconds.
#[derive(Debug)]
pub struct Delay {
    origin: Instant,
    clock: u32,
    /// The least of arrival minus timestamp: in this window, and in the one before.
    fastest: Option<[i64; 2]>,
    window: Instant,
    last: (Instant, i64),
    histogram: [f32; BUCKETS],
}

impl Delay {
    pub fn new(now: Instant, clock: u32) -> Delay {
        Delay { origin: now, clock, fastest: None, window: now, last: (now, 0), histogram: [0.0; BUCKETS] }
    }

    /// The sender has another clock from now on; the network is the same.
    pub fn restart(&mut self, clock: u32) {
        self.clock = clock;
        self.fastest = None;
    }

    /// A packet has arrived. Whether its sender's clock has jumped.
    pub fn observe(&mut self, arrived: Instant, timestamp: u64) -> bool {
        let offset = self.offset(arrived, timestamp);
        let has_jumped = self.fastest.is_some() && offset.wrapping_sub(self.last.1).saturating_abs() > JUMP;
        let fastest = match self.fastest {
            Some(_) if has_jumped => [offset; 2],
            None => [offset; 2],
            Some(known) if arrived.saturating_duration_since(self.window) >= WINDOW => [offset, known[0]],
            Some([this, before]) => [this.min(offset), before],
        };
        if self.fastest.is_none() || arrived.saturating_duration_since(self.window) >= WINDOW {
            self.window = arrived;
        }
        self.fastest = Some(fastest);
        let age = arrived.saturating_duration_since(self.last.0).as_secs_f32();
        let kept = (-age / MEMORY).exp();
        self.histogram.iter_mut().for_each(|weight| *weight *= kept);
        let late = offset.wrapping_sub(fastest[0].min(fastest[1])).max(0);
        self.histogram[(late / BUCKET).min(BUCKETS as i64 - 1) as usize] += 1.0;
        self.last = (self.last.0.max(arrived), offset);
        has_jumped
    }

    /// Return how long after its arrival by the fastest way this moment of the sound is now. Negative: it is not here yet.
    pub fn lag(&self, now: Instant, timestamp: u64) -> i64 {
        let fastest = self.fastest.map_or(0, |[this, before]| this.min(before));
        self.offset(now, timestamp).wrapping_sub(fastest)
    }

    /// The delay that the arrivals ask for, without bounds.
    pub fn wanted(&self) -> Duration {
        let all: f32 = self.histogram.iter().sum();
        let mut sum = 0.0;
        let enough = self.histogram.iter().position(|weight| {
            sum += weight;
            sum >= all * PART
        });
        // Within the first bucket nothing was late.
        Duration::from_micros(
            enough.map_or(0, |index| if index == 0 { 0 } else { (index as u64 + 1) * BUCKET as u64 }),
        )
    }

    fn offset(&self, at: Instant, timestamp: u64) -> i64 {
        let since = match at.checked_duration_since(self.origin) {
            Some(after) => after.as_micros() as i64,
            None => -(self.origin.duration_since(at).as_micros() as i64),
        };
        since.wrapping_sub((u128::from(timestamp) * 1_000_000 / u128::from(self.clock)) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Let a packet arrive each 20 ms for a time, late by what `late` says for its number.
    fn run(delay: &mut Delay, start: Instant, numbers: std::ops::Range<u64>, late: impl Fn(u64) -> u32) {
        for number in numbers {
            delay.observe(start + MS * (number as u32 * 20 + late(number)), number * 960);
        }
    }

    #[test]
    fn the_delay_fits_97_of_100_packets_and_forgets_in_ten_seconds() {
        let start = Instant::now();
        let mut delay = Delay::new(start, 48_000);
        run(&mut delay, start, 0..500, |_| 0);
        assert_eq!(delay.wanted(), Duration::ZERO);
        run(&mut delay, start, 500..1000, |number| if number % 10 == 0 { 83 } else { 2 });
        assert_eq!(delay.wanted(), MS * 85);
        run(&mut delay, start, 1000..1500, |number| if number % 50 == 0 { 83 } else { 2 });
        assert_eq!(delay.wanted(), Duration::ZERO, "2 of 100 are let go");
        run(&mut delay, start, 1500..2000, |_| 300);
        run(&mut delay, start, 2000..2500, |_| 0);
        assert_eq!(delay.wanted(), Duration::ZERO, "after 10 s");
    }

    #[test]
    fn a_jump_of_the_clock_is_no_delay() {
        let start = Instant::now();
        let mut delay = Delay::new(start, 48_000);
        run(&mut delay, start, 0..100, |_| 0);
        assert!(delay.observe(start + MS * 2000, 1 << 40));
        assert!(delay.observe(start + MS * 2020, 17));
        assert!(!delay.observe(start + MS * 2040, 17 + 960));
        assert_eq!(delay.lag(start + MS * 2040, 17 + 960), 0);
        assert_eq!(delay.wanted(), Duration::ZERO);
        assert!(delay.observe(start, u64::MAX));
    }

    #[test]
    fn a_way_that_becomes_longer_is_the_normal_one_after_ten_seconds() {
        let start = Instant::now();
        let mut delay = Delay::new(start, 48_000);
        run(&mut delay, start, 0..500, |_| 0);
        run(&mut delay, start, 500..1100, |_| 90);
        assert_eq!(delay.lag(start + MS * (1099 * 20 + 90), 1099 * 960), 0);
    }
}
