//! A pause before the next reading, while the packets of relays come one by one in great number.
//!
//! A direct path brings packets in batches: the kernel joins those that were sent together (GRO). A relay forwards each
//! packet by itself. If the thread wakes up for each of them, it spends more on waking and on acknowledgements that leave
//! alone than on the packets. So it lets some come together first. The price is half a millisecond, only while
//! there are thousands of packets each second, and small beside the way over a relay.

use std::time::{Duration, Instant};

/// The time in which packets are counted.
const WINDOW: Duration = Duration::from_millis(1);
/// Packets of relays in a window from which on a pause pays: some 100 Mbit/s. Sound and pictures bring fewer.
const MANY: usize = 8;
const PAUSE: Duration = Duration::from_micros(500);

/// Counts the packets of relays, and says when to pause.
pub struct Lull {
    start: Instant,
    count: usize,
    are_many: bool,
}

impl Lull {
    pub fn new(now: Instant) -> Lull {
        Lull { start: now, count: 0, are_many: false }
    }

    /// Count packets that have come in a turn, if some of them came over a relay.
    pub fn came(&mut self, now: Instant, packets: usize, are_relayed: bool) {
        self.look(now);
        self.count += if are_relayed { packets } else { 0 };
    }

    /// The pause to make now, before the sockets are waited for.
    pub fn pause(&mut self, now: Instant) -> Option<Duration> {
        self.look(now);
        self.are_many.then_some(PAUSE)
    }

    /// A window that is over says how it is in the next one, unless that is over too.
    fn look(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.start);
        if passed >= WINDOW {
            self.are_many = self.count >= MANY && passed < 2 * WINDOW;
            (self.start, self.count) = (now, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a pause is made after each of so many packets, which come this many microseconds apart.
    fn pauses(apart: u64, packets: u64, are_relayed: bool) -> Vec<bool> {
        let start = Instant::now();
        let mut lull = Lull::new(start);
        let mut after = |number: u64| {
            let now = start + Duration::from_micros(number * apart);
            lull.came(now, 1, are_relayed);
            lull.pause(now).is_some()
        };
        (0..packets).map(&mut after).collect()
    }

    #[test]
    fn thousands_of_packets_a_second_pause_and_pictures_or_sound_do_not() {
        let many = pauses(30, 1000, true);
        assert!(!many[..30].contains(&true), "the first millisecond is not judged yet");
        assert!(many[40..].iter().all(|pauses| *pauses));
        assert!(!pauses(1000, 1000, true).contains(&true), "a thousand a second");
        assert!(!pauses(20_000, 1000, true).contains(&true));
        assert!(!pauses(30, 1000, false).contains(&true), "a direct path");
    }

    #[test]
    fn the_first_packet_after_a_silence_waits_for_nothing() {
        let start = Instant::now();
        let mut lull = Lull::new(start);
        (0..100).for_each(|number| lull.came(start + Duration::from_micros(30 * number), 1, true));
        let busy = start + Duration::from_millis(3);
        assert_eq!(lull.pause(busy), Some(PAUSE));
        assert_eq!(lull.pause(busy + Duration::from_millis(5)), None);
    }
}
