//! The arrivals of all packets that carry a transport-wide number, and the feedback about them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::wire::feedback::{Feedback, MAX_PACKETS, TICK_MICROS};

/// The time between two feedbacks: the shorter one while many packets come.
const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_millis(100);
const MANY: usize = 20;
/// How long the other packets of a frame are waited for after a pause.
const GATHER: Duration = Duration::from_millis(10);
/// How long arrivals are kept for packets that come late.
const KEPT: Duration = Duration::from_millis(500);
/// The most packets that are kept, and the widest range of numbers that one turn is about.
const MAX_KEPT: usize = 2 * MAX_PACKETS;

#[derive(Debug)]
pub struct Arrivals {
    start: Instant,
    /// Arrivals by the packets' numbers, extended.
    arrived: BTreeMap<u64, Instant>,
    highest: Option<u64>,
    /// The first number that no feedback was about, and the lowest that has come since the last one.
    next: u64,
    lowest: Option<u64>,
    waiting: usize,
    /// The first packet since the last feedback, and that feedback.
    since: Option<Instant>,
    last: Option<Instant>,
    count: u8,
}

impl Arrivals {
    pub fn new(start: Instant) -> Arrivals {
        Arrivals {
            start,
            arrived: BTreeMap::new(),
            highest: None,
            next: 0,
            lowest: None,
            waiting: 0,
            since: None,
            last: None,
            count: 0,
        }
    }

    pub fn note(&mut self, now: Instant, number: u16) {
        let highest = *self.highest.get_or_insert_with(|| {
            self.next = u64::from(number) + (1 << 16);
            self.next
        });
        let distance = number.wrapping_sub(highest as u16) as i16;
        let Some(extended) = highest.checked_add_signed(distance.into()) else { return };
        if extended + MAX_KEPT as u64 <= highest {
            return;
        }
        self.highest = Some(highest.max(extended));
        self.next = self.next.max(self.highest.unwrap_or(0).saturating_sub(MAX_KEPT as u64));
        self.arrived.entry(extended).or_insert(now);
        while self.arrived.len() > MAX_KEPT {
            self.arrived.pop_first();
        }
        self.lowest = Some(self.lowest.map_or(extended, |lowest| lowest.min(extended)));
        self.waiting += 1;
        self.since.get_or_insert(now);
    }

    pub fn timeout(&self) -> Option<Instant> {
        let since = self.since?;
        let wait = if self.waiting >= MANY { SHORT } else { LONG };
        Some(self.last.map_or(since + wait, |last| (last + wait).max(since + GATHER)))
    }

    /// The feedback that is due, in parts.
    pub fn poll(&mut self, now: Instant) -> Vec<Feedback> {
        if self.timeout().is_none_or(|due| due > now) {
            return Vec::new();
        }
        let (Some(lowest), Some(highest)) = (self.lowest.take(), self.highest) else { return Vec::new() };
        (self.since, self.last, self.waiting) = (None, Some(now), 0);
        let mut base = lowest.min(self.next);
        self.next = highest + 1;
        let mut parts = Vec::new();
        while base <= highest {
            let end = highest.min(base + MAX_PACKETS as u64 - 1);
            let arrived = self.arrived.range(base..=end).map(|(number, at)| {
                ((number - base) as u16, at.duration_since(self.start).as_micros() as i64 / TICK_MICROS)
            });
            let packets = (end - base + 1) as u16;
            let arrived: Vec<_> = arrived.collect();
            if !arrived.is_empty() {
                parts.push(Feedback { base: base as u16, count: self.count, packets, arrived });
                self.count = self.count.wrapping_add(1);
            }
            base = end + 1;
        }
        self.arrived.retain(|_, at| now.saturating_duration_since(*at) < KEPT);
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn each_packet_is_told_of_once_and_lost_ones_are_named() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        for number in [65_534u16, 65_535, 1] {
            arrivals.note(start + ms(10), number);
        }
        assert_eq!(arrivals.timeout(), Some(start + ms(110)));
        assert!(arrivals.poll(start + ms(109)).is_empty());
        let first = arrivals.poll(start + ms(110));
        let arrived = vec![(0, 40), (1, 40), (3, 40)];
        assert_eq!(first, [Feedback { base: 65_534, count: 0, packets: 4, arrived }]);
        assert_eq!(arrivals.timeout(), None);
        arrivals.note(start + ms(200), 3);
        let second = arrivals.poll(start + ms(300));
        assert_eq!(second, [Feedback { base: 2, count: 1, packets: 2, arrived: vec![(1, 800)] }]);
    }

    #[test]
    fn one_that_comes_late_is_told_of_again_with_those_around_it() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        arrivals.note(start, 1);
        arrivals.note(start, 3);
        arrivals.poll(start + ms(100));
        arrivals.note(start + ms(120), 2);
        let again = arrivals.poll(start + ms(220));
        assert_eq!(again, [Feedback { base: 2, count: 1, packets: 2, arrived: vec![(0, 480), (1, 0)] }]);
    }

    #[test]
    fn many_packets_are_told_of_sooner_and_the_memory_is_bounded() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        for number in 0..20_000u32 {
            arrivals.note(start, number as u16);
        }
        assert_eq!((arrivals.arrived.len(), arrivals.timeout()), (MAX_KEPT, Some(start + SHORT)));
        let parts = arrivals.poll(start + SHORT);
        assert!(parts.len() <= 3 && parts.iter().all(|part| usize::from(part.packets) <= MAX_PACKETS));
        arrivals.note(start + ms(600), 20_001u16);
        arrivals.poll(start + ms(700));
        assert_eq!(arrivals.arrived.len(), 1, "old ones are forgotten");
    }
}
