//! The packets of a stream that may be sent again (RFC 4585 section 6.2.1): those of the last second, a megabyte at most.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const LONGEST: Duration = Duration::from_secs(1);
const MAX_BYTES: usize = 1 << 20;

/// A packet with all its numbers: it is ready to be protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub bytes: Vec<u8>,
    /// The size of its header.
    pub header: usize,
    pub ssrc: u32,
    pub index: u64,
    /// The sender and the mark; None: it is sent again.
    pub sent: Option<(u64, u64)>,
    pub slot: Option<Slot>,
}

/// The place of a value that is written when the packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The transport-wide number.
    Number(usize),
    /// The time of leaving (abs-send-time): for a peer that knows no such number.
    Time(usize),
}

/// One that has left, as it was before it was protected.
#[derive(Debug)]
struct Kept {
    packet: Ready,
    at: Instant,
    /// When it was sent again last, and whether it is to be now.
    again: Option<Instant>,
    is_asked: bool,
}

/// Packets whose indexes follow one another.
#[derive(Debug, Default)]
pub struct History {
    packets: VecDeque<Kept>,
    size: usize,
}

impl History {
    pub fn add(&mut self, now: Instant, packet: Ready) {
        self.size += packet.bytes.len();
        self.packets.push_back(Kept { packet, at: now, again: None, is_asked: false });
        let is_old = |kept: &Kept| now.saturating_duration_since(kept.at) > LONGEST;
        while let Some(oldest) = self.packets.front().filter(|kept| self.size > MAX_BYTES || is_old(kept)) {
            self.size -= oldest.packet.bytes.len();
            self.packets.pop_front();
        }
    }

    fn find(&mut self, index: u64) -> Option<&mut Kept> {
        let at = index.checked_sub(self.packets.front()?.packet.index)?;
        self.packets.get_mut(usize::try_from(at).ok()?)
    }

    /// The index and size of a packet that is asked for by its sequence number. None: it is not there, it is to
    /// leave already, or it was sent again less than a round trip ago.
    pub fn ask(&mut self, now: Instant, sequence: u16, round_trip: Duration) -> Option<(u64, usize)> {
        let highest = self.packets.back()?.packet.index;
        let index = highest.checked_sub((highest as u16).wrapping_sub(sequence).into())?;
        let kept = self.find(index)?;
        let is_gone = now.saturating_duration_since(kept.at) > LONGEST;
        let is_early = kept.again.is_some_and(|at| now.saturating_duration_since(at) < round_trip);
        if is_gone || kept.is_asked || is_early {
            return None;
        }
        kept.is_asked = true;
        Some((index, kept.packet.bytes.len()))
    }

    /// A packet that was asked for and leaves again now; None: it has become too old.
    pub fn take(&mut self, now: Instant, index: u64) -> Option<&Ready> {
        let kept = self.find(index)?;
        (kept.is_asked, kept.again) = (false, Some(now));
        Some(&kept.packet)
    }

    /// The indexes and sizes of the packets that left last, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = (u64, usize)> {
        self.packets.iter().rev().map(|kept| (kept.packet.index, kept.packet.bytes.len()))
    }

    /// A packet that was asked for does not leave after all.
    pub fn forget(&mut self, index: u64) {
        if let Some(kept) = self.find(index) {
            kept.is_asked = false;
        }
    }

    pub fn clear(&mut self) {
        *self = History::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(50);

    fn filled(now: Instant, indexes: std::ops::Range<u64>) -> History {
        let mut history = History::default();
        indexes.for_each(|index| history.add(now, packet(index, 1000)));
        history
    }

    fn packet(index: u64, size: usize) -> Ready {
        Ready { bytes: vec![index as u8; size], header: 12, ssrc: 1, index, sent: None, slot: None }
    }

    #[test]
    fn a_packet_is_sent_again_once_in_a_round_trip() {
        let now = Instant::now();
        let mut history = filled(now, 0xfff0..0x1_0010);
        let later = now + ROUND_TRIP;
        assert_eq!(history.ask(later, 5, ROUND_TRIP), Some((0x1_0005, 1000)));
        assert_eq!(history.ask(later, 5, ROUND_TRIP), None, "it leaves already");
        assert_eq!(history.take(later, 0x1_0005).map(|kept| kept.bytes[0]), Some(5));
        assert_eq!(history.ask(later + ROUND_TRIP / 2, 5, ROUND_TRIP), None);
        assert!(history.ask(later + ROUND_TRIP, 5, ROUND_TRIP).is_some());
        assert!(history.ask(later, 0xfff0, ROUND_TRIP).is_some(), "before the wrap");
        assert_eq!(history.ask(later, 0xffef, ROUND_TRIP), None, "never sent");
        assert_eq!(history.ask(later, 0x10, ROUND_TRIP), None, "never sent");
        assert_eq!(History::default().ask(now, 1, ROUND_TRIP), None);
    }

    #[test]
    fn it_keeps_a_second_and_a_megabyte() {
        let now = Instant::now();
        let mut history = filled(now, 0..5000);
        assert!(history.size <= MAX_BYTES && history.packets.len() == MAX_BYTES / 1000);
        let late = now + LONGEST + Duration::from_millis(1);
        assert_eq!(history.ask(late, 4999, ROUND_TRIP), None);
        history.add(late, packet(5000, 10));
        assert_eq!((history.packets.len(), history.size), (1, 10));
    }
}
