//! The packets of a stream that have not come: when to ask for them, and when to give them up (RFC 4585 section 6.2.1).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The most packets that are waited for. With more missing, asking is of no use.
pub const MAX_MISSING: usize = 1000;
/// The longest time that a packet may be late by itself before it is asked for.
const MAX_REORDERING: Duration = Duration::from_millis(20);
const PATIENCE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(500));
const INTERVAL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

#[derive(Clone, Copy, Debug)]
struct Missing {
    noticed: Instant,
    asked: u32,
    last: Option<Instant>,
}

#[derive(Debug, Default)]
pub struct Repair {
    missing: BTreeMap<u64, Missing>,
    highest: Option<u64>,
    /// How late packets have been that came by themselves.
    reordering: Duration,
}

/// How long a packet is waited for: until the answer to the fourth question would be here.
pub fn patience(round_trip: Duration) -> Duration {
    (interval(round_trip) * 4).clamp(PATIENCE.0, PATIENCE.1)
}

/// The time between two questions: an answer may take a little longer than those before.
fn interval(round_trip: Duration) -> Duration {
    (round_trip * 9 / 8).clamp(INTERVAL.0, INTERVAL.1)
}

/// The meaning of a packet's arrival.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A new packet, which may have been waited for. With a measured round trip, if it was asked for once.
    Taken(Option<Duration>),
    /// Too many are missing before it.
    Jump,
}

impl Repair {
    /// Note that a packet is here. `again`: in the stream of repairs.
    pub fn arrived(&mut self, now: Instant, index: u64, again: bool) -> Arrival {
        let Some(highest) = self.highest else {
            self.highest = Some(index);
            return Arrival::Taken(None);
        };
        if index > highest {
            let gap = (index - highest - 1) as usize;
            if gap + self.missing.len() > MAX_MISSING {
                *self = Repair { highest: Some(index), reordering: self.reordering, ..Repair::default() };
                return Arrival::Jump;
            }
            self.expect(now, highest + 1..index);
            self.highest = Some(index);
            return Arrival::Taken(None);
        }
        let Some(missing) = self.missing.remove(&index) else { return Arrival::Taken(None) };
        let late = now.saturating_duration_since(missing.noticed);
        if !again && late <= MAX_REORDERING {
            self.reordering = self.reordering.max(late); // it was on its way, whether asked for or not
            return Arrival::Taken(None);
        }
        // With two questions nobody knows which of them was answered.
        let asked = missing.last.filter(|_| missing.asked == 1);
        Arrival::Taken(asked.map(|asked| now.saturating_duration_since(asked)))
    }

    /// Wait for these packets.
    pub fn expect(&mut self, now: Instant, indexes: std::ops::Range<u64>) {
        let missing = Missing { noticed: now, asked: 0, last: None };
        for index in indexes.take(MAX_MISSING.saturating_sub(self.missing.len())) {
            self.missing.entry(index).or_insert(missing);
        }
    }

    /// Forget all before this one.
    pub fn forget(&mut self, before: u64) {
        while self.missing.first_key_value().is_some_and(|(index, _)| *index < before) {
            self.missing.pop_first();
        }
    }

    /// Forget slowly how late packets have been.
    pub fn calm(&mut self) {
        self.reordering = self.reordering * 7 / 8;
    }

    fn due(&self, missing: &Missing, round_trip: Duration) -> Instant {
        match missing.last {
            None => missing.noticed + self.reordering,
            Some(asked) => asked + interval(round_trip),
        }
    }

    /// The packets to ask for now.
    pub fn ask(&mut self, now: Instant, round_trip: Duration) -> Vec<u64> {
        let is_due = |missing: &Missing| self.due(missing, round_trip) <= now;
        let due: Vec<u64> =
            self.missing.iter().filter(|(_, missing)| is_due(missing)).map(|(index, _)| *index).collect();
        for index in &due {
            if let Some(missing) = self.missing.get_mut(index) {
                missing.asked += 1;
                missing.last = Some(now);
            }
        }
        due
    }

    /// The oldest missing packet, if it has been waited for long enough: it is given up.
    pub fn give_up(&mut self, now: Instant, round_trip: Duration) -> Option<u64> {
        let (index, missing) = self.missing.first_key_value()?;
        let index = *index;
        if missing.noticed + patience(round_trip) > now {
            return None;
        }
        self.missing.pop_first();
        Some(index)
    }

    pub fn timeout(&self, round_trip: Duration) -> Option<Instant> {
        let oldest = self.missing.first_key_value()?.1.noticed + patience(round_trip);
        let asked = self.missing.values().map(|missing| self.due(missing, round_trip)).min()?;
        Some(oldest.min(asked))
    }

    pub fn missing(&self, index: u64) -> bool {
        self.missing.contains_key(&index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_missing_packet_is_asked_for_each_round_trip_until_it_is_given_up() {
        let now = Instant::now();
        let mut repair = Repair::default();
        repair.arrived(now, 10, false);
        assert_eq!(repair.arrived(now, 13, false), Arrival::Taken(None));
        let (mut asked, mut given_up) = (Vec::new(), Vec::new());
        for at in 0..400 {
            let at = ms(at);
            let due = repair.timeout(RTT).is_some_and(|due| due <= now + at);
            let lost = repair.ask(now + at, RTT);
            if !lost.is_empty() {
                assert!(due && lost == [11, 12]);
                asked.push(at);
            }
            while let Some(index) = repair.give_up(now + at, RTT) {
                given_up.push((at, index));
            }
        }
        assert_eq!(asked, [0, 57, 114, 171].map(ms), "each 56.25 ms");
        assert_eq!(given_up, [(ms(225), 11), (ms(225), 12)], "after the fourth answer");
        assert_eq!(repair.timeout(RTT), None);
    }

    #[test]
    fn patience_has_bounds() {
        assert_eq!(patience(ms(1)), ms(100));
        assert_eq!(patience(ms(60)), ms(270));
        assert_eq!(patience(ms(1000)), ms(500));
    }

    #[test]
    fn it_waits_as_long_as_packets_have_been_late() {
        let now = Instant::now();
        let mut repair = Repair::default();
        repair.arrived(now, 1, false);
        repair.arrived(now, 3, false);
        assert_eq!(repair.arrived(now + ms(8), 2, false), Arrival::Taken(None));
        repair.arrived(now + ms(10), 5, false);
        assert!(repair.ask(now + ms(17), RTT).is_empty());
        assert_eq!(repair.ask(now + ms(18), RTT), [4]);
        assert_eq!(repair.arrived(now + ms(70), 4, true), Arrival::Taken(Some(ms(52))), "a round trip");
    }

    #[test]
    fn a_jump_forgets_what_was_missing() {
        let now = Instant::now();
        let mut repair = Repair::default();
        repair.arrived(now, 1, false);
        repair.arrived(now, 601, false);
        assert_eq!(repair.arrived(now, 1100, false), Arrival::Jump);
        assert_eq!((repair.timeout(RTT), repair.missing(5)), (None, false));
        repair.arrived(now, 1102, false);
        assert!(repair.missing(1101));
    }
}
