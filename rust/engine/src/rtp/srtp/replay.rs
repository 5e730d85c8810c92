//! The indexes of a stream that have come already (RFC 3711 section 3.3.2).

const WORDS: usize = 16;
/// How far behind the highest index a packet may be.
const WINDOW: u64 = 64 * WORDS as u64;

#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// The highest index, plus one; 0: no packet has come.
    next: u64,
    /// A bit for each index of the window, at the index modulo its size.
    seen: [u64; WORDS],
}

impl Replay {
    /// A window in which everything up to this index counts as seen.
    pub fn after(highest: u64) -> Replay {
        Replay { next: highest + 1, seen: [u64::MAX; WORDS] }
    }

    /// The highest index that has come.
    pub fn highest(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// Whether a packet with this index may be taken: it has not come yet, and is not too old.
    pub fn is_fresh(&self, index: u64) -> bool {
        if index >= self.next {
            return true;
        }
        self.next - index <= WINDOW && self.seen[word(index)] & bit(index) == 0
    }

    /// Note an authentic packet.
    pub fn note(&mut self, index: u64) {
        if index >= self.next {
            for skipped in self.next.max((index + 1).saturating_sub(WINDOW))..index {
                self.seen[word(skipped)] &= !bit(skipped);
            }
            self.next = index + 1;
        }
        self.seen[word(index)] |= bit(index);
    }
}

fn word(index: u64) -> usize {
    (index % WINDOW / 64) as usize
}

fn bit(index: u64) -> u64 {
    1 << (index % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_is_taken_once_in_whatever_order() {
        let mut replay = Replay::default();
        for index in [5, 3, 900, 4, 2000, 1999, 2001 + WINDOW] {
            assert!(replay.is_fresh(index), "{index}");
            replay.note(index);
            assert!(!replay.is_fresh(index), "{index} again");
        }
        assert!(!replay.is_fresh(2001), "older than the window");
        assert!(replay.is_fresh(2002), "the last of the window");
    }

    #[test]
    fn what_was_skipped_is_fresh_also_where_the_window_has_gone_round() {
        let mut replay = Replay::default();
        for index in 0..WINDOW {
            replay.note(index);
        }
        replay.note(2 * WINDOW - 1);
        for index in WINDOW..2 * WINDOW - 1 {
            assert!(replay.is_fresh(index), "{index}");
        }
    }

    #[test]
    fn a_window_after_an_index_takes_only_higher_ones() {
        let replay = Replay::after(70_000);
        assert!(!replay.is_fresh(70_000) && !replay.is_fresh(69_000) && replay.is_fresh(70_001));
        assert_eq!(replay.highest(), Some(70_000));
    }
}
