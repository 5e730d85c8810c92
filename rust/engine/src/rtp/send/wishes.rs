//! Wishes for key frames: handed on at most each 300 ms, also if the peer repeats them without end.

use std::time::{Duration, Instant};

const BETWEEN: Duration = Duration::from_millis(300);

#[derive(Debug, Default)]
pub struct Wishes {
    is_open: bool,
    told: Option<Instant>,
    /// When the last key frame was sent.
    met: Option<Instant>,
}

impl Wishes {
    /// The peer wants a key frame. It cannot have seen one that was sent less than a round trip ago.
    pub fn add(&mut self, now: Instant, round_trip: Duration) {
        let is_on_its_way = self.met.is_some_and(|at| now.saturating_duration_since(at) < round_trip);
        self.is_open |= !is_on_its_way;
    }

    /// A key frame is sent.
    pub fn meet(&mut self, now: Instant) {
        (self.is_open, self.met) = (false, Some(now));
    }

    /// Whether the wish is to be handed on now.
    pub fn poll(&mut self, now: Instant) -> bool {
        let is_due = self.poll_timeout(now).is_some_and(|at| at <= now);
        if is_due {
            (self.is_open, self.told) = (false, Some(now));
        }
        is_due
    }

    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.is_open.then(|| self.told.map_or(now, |at| at + BETWEEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_thousand_wishes_a_second_are_told_four_times() {
        let start = Instant::now();
        let mut wishes = Wishes::default();
        let told = (0..1000).filter(|at| {
            wishes.add(start + MS * *at, 50 * MS);
            wishes.poll(start + MS * *at)
        });
        assert_eq!(told.collect::<Vec<_>>(), [0, 300, 600, 900]);
    }

    #[test]
    fn a_wish_waits_for_its_time_and_a_key_frame_meets_it() {
        let start = Instant::now();
        let mut wishes = Wishes::default();
        wishes.add(start, 50 * MS);
        assert!(wishes.poll(start) && !wishes.poll(start));
        wishes.meet(start + 20 * MS);
        wishes.add(start + 60 * MS, 50 * MS);
        assert_eq!(wishes.poll_timeout(start), None, "it is on its way");
        wishes.add(start + 80 * MS, 50 * MS);
        assert_eq!(wishes.poll_timeout(start), Some(start + BETWEEN));
        assert!(!wishes.poll(start + 299 * MS) && wishes.poll(start + 300 * MS));
        wishes.add(start + 400 * MS, 50 * MS);
        wishes.meet(start + 450 * MS);
        assert_eq!(wishes.poll_timeout(start), None);
    }
}
