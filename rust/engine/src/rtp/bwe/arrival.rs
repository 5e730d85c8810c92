//! How much longer a group of packets was under way than the group before it, and how long the queue is.

/// Seconds. Packets that leave within this time are one group: a pacer sends bursts.
const GROUP: f64 = 0.005;
/// A burst that comes together although it left over a longer time (a radio link does that) is one group up to this.
const LONGEST_GROUP: f64 = 0.1;
/// A larger step between the clocks is a clock that was set, or another path.
const JUMP: f64 = 3.0;
/// The shortest way counts for one to two of these times.
const EPOCH: f64 = 10.0;

/// The difference between two groups, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delta {
    pub sent: f64,
    pub arrived: f64,
    /// When the later one arrived, on the peer's clock.
    pub at: f64,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: f64,
    last_sent: f64,
    first_arrived: f64,
    last_arrived: f64,
}

#[derive(Debug, Default)]
pub struct Groups {
    before: Option<Group>,
    current: Option<Group>,
}

impl Groups {
    /// Take an arrival. A group is complete when the next one begins.
    pub fn add(&mut self, sent: f64, arrived: f64) -> Option<Delta> {
        let new = Group { first_sent: sent, last_sent: sent, first_arrived: arrived, last_arrived: arrived };
        let Some(group) = &mut self.current else {
            self.current = Some(new);
            return None;
        };
        if ((arrived - group.last_arrived) - (sent - group.last_sent)).abs() > JUMP {
            *self = Groups { before: None, current: Some(new) };
            return None;
        }
        if sent < group.first_sent {
            return None;
        }
        if group.takes(sent, arrived) {
            group.last_sent = group.last_sent.max(sent);
            group.last_arrived = group.last_arrived.max(arrived);
            return None;
        }
        let done = *group;
        self.current = Some(new);
        let before = self.before.replace(done)?;
        Some(Delta {
            sent: done.last_sent - before.last_sent,
            arrived: done.last_arrived - before.last_arrived,
            at: done.last_arrived,
        })
    }
}

impl Group {
    fn takes(&self, sent: f64, arrived: f64) -> bool {
        if sent - self.first_sent <= GROUP {
            return true;
        }
        let comes_at_once =
            arrived - self.last_arrived <= GROUP && arrived - self.first_arrived < LONGEST_GROUP;
        comes_at_once && (arrived - self.last_arrived) < (sent - self.last_sent)
    }
}

/// The smallest of the last values. A path that became longer is believed after [`EPOCH`] to twice that.
#[derive(Debug, Default)]
pub struct Smallest {
    since: Option<f64>,
    current: Option<f64>,
    before: Option<f64>,
}

impl Smallest {
    /// How much a value is above the smallest.
    pub fn above(&mut self, now: f64, value: f64) -> f64 {
        if self.since.is_none_or(|since| (now - since).abs() > EPOCH) {
            self.since = Some(now);
            self.before = self.current.take();
        }
        let current = self.current.map_or(value, |current| current.min(value));
        self.current = Some(current);
        value - self.before.map_or(current, |before| before.min(current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_compared_by_their_last_packets() {
        let mut groups = Groups::default();
        let packets = [(0.0, 1.0), (0.002, 1.004), (0.02, 1.02), (0.021, 1.03), (0.04, 1.05), (0.06, 1.07)];
        let deltas: Vec<Delta> =
            packets.iter().filter_map(|(sent, arrived)| groups.add(*sent, *arrived)).collect();
        assert_eq!(deltas.len(), 2, "{deltas:?}");
        assert!((deltas[0].sent - 0.019).abs() < 1e-9 && (deltas[0].arrived - 0.026).abs() < 1e-9);
        assert!((deltas[1].sent - 0.019).abs() < 1e-9 && (deltas[1].arrived - 0.020).abs() < 1e-9);
    }

    #[test]
    fn what_a_radio_link_held_back_and_gave_at_once_is_one_group() {
        let mut groups = Groups::default();
        let mut deltas = 0;
        for index in 0..10 {
            let sent = f64::from(index) * 0.01;
            deltas += usize::from(groups.add(sent, 1.1 + f64::from(index) * 0.0001).is_some());
        }
        assert_eq!(deltas, 0);
    }

    #[test]
    fn a_clock_that_was_set_begins_anew() {
        let mut groups = Groups::default();
        for index in 0..10 {
            let sent = f64::from(index) * 0.01;
            groups.add(sent, 1.0 + sent);
        }
        assert_eq!(groups.add(0.2, 1e12), None);
        assert_eq!(groups.add(0.3, -1e12), None);
        assert_eq!(groups.add(0.4, 5.0), None);
        assert_eq!(groups.add(0.5, 5.1), None);
        assert!(groups.add(0.6, 5.2).is_some());
    }

    #[test]
    fn a_longer_path_is_believed_after_a_while() {
        let mut smallest = Smallest::default();
        assert_eq!(smallest.above(0.0, 5.0), 0.0);
        assert_eq!(smallest.above(1.0, 7.0), 2.0);
        assert_eq!(smallest.above(11.0, 7.0), 2.0);
        assert_eq!(smallest.above(22.0, 7.0), 0.0);
    }
}
