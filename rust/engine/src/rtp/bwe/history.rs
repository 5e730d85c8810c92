//! Packets that were sent, until feedback has spoken of them.

use std::collections::VecDeque;

/// Seconds for which a packet is remembered, and how many at most: feedback that is later tells nothing of use.
const KEPT: f64 = 10.0;
const MAX_PACKETS: usize = 16_384;

/// A packet that was sent. Times are seconds since the estimate began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packet {
    pub number: u64,
    pub sent: f64,
    pub bits: f64,
    /// All bits that had been sent by then, these included.
    pub total: f64,
    pub probe: Option<u32>,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unknown,
    Missing,
    Arrived,
}

/// News about a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum News {
    /// `late`: it was said to be missing before.
    Arrived {
        packet: Packet,
        late: bool,
    },
    Missing {
        packet: Packet,
    },
}

#[derive(Debug, Default)]
pub struct History {
    packets: VecDeque<Packet>,
    total: f64,
}

impl History {
    /// Remember a packet. Numbers only grow.
    pub fn push(&mut self, number: u64, sent: f64, bits: f64, probe: Option<u32>) {
        if self.packets.back().is_some_and(|last| last.number >= number) {
            return;
        }
        while self.packets.len() >= MAX_PACKETS
            || self.packets.front().is_some_and(|one| one.sent < sent - KEPT)
        {
            self.packets.pop_front();
        }
        self.total += bits;
        let total = self.total;
        self.packets.push_back(Packet { number, sent, bits, total, probe, fate: Fate::Unknown });
    }

    /// Take what feedback says of a number; None: nothing new, or it was never sent.
    pub fn settle(&mut self, number: u64, arrived: bool) -> Option<News> {
        let at = self.packets.binary_search_by_key(&number, |packet| packet.number).ok()?;
        let packet = &mut self.packets[at];
        match (packet.fate, arrived) {
            (Fate::Unknown | Fate::Missing, true) => {
                let late = packet.fate == Fate::Missing;
                packet.fate = Fate::Arrived;
                Some(News::Arrived { packet: *packet, late })
            }
            (Fate::Unknown, false) => {
                packet.fate = Fate::Missing;
                Some(News::Missing { packet: *packet })
            }
            (Fate::Missing, false) | (Fate::Arrived, _) => None,
        }
    }

    /// All bits that have been sent.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// When the newest packet was sent.
    pub fn newest(&self) -> Option<f64> {
        self.packets.back().map(|packet| packet.sent)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.packets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_is_news_once_and_only_of_what_was_sent() {
        let mut history = History::default();
        for number in [5, 6, 8, 7] {
            history.push(number, 0.0, 8000.0, None);
        }
        assert_eq!(history.len(), 3, "numbers only grow");
        assert!(matches!(history.settle(5, true), Some(News::Arrived { late: false, .. })));
        assert_eq!(history.settle(5, true), None);
        assert_eq!(history.settle(5, false), None);
        assert!(matches!(history.settle(6, false), Some(News::Missing { .. })));
        assert_eq!(history.settle(6, false), None);
        assert!(matches!(history.settle(6, true), Some(News::Arrived { late: true, .. })));
        for number in [0, 4, 7, 9, u64::MAX] {
            assert_eq!(history.settle(number, true), None, "{number}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_by_time_and_by_count() {
        let mut history = History::default();
        for number in 0..100_000 {
            history.push(number, 0.0, 8000.0, None);
        }
        assert_eq!(history.len(), MAX_PACKETS);
        history.push(100_000, KEPT + 1.0, 8000.0, None);
        assert_eq!(history.len(), 1);
    }
}
