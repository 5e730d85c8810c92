//! Remembers what the peer has named already, so that each acknowledgement costs only the news in it.

/// Ranges of numbers, from (included) to (excluded): ordered, apart from each other.
#[derive(Debug, Default)]
pub struct Known {
    ranges: Vec<(u64, u64)>,
    /// Room for those of before, kept so that an acknowledgement allocates little.
    before: Vec<(u64, u64)>,
}

impl Known {
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Add `ranges`, ordered and apart from each other, and give what of them was not known before.
    ///
    /// Everything below `from` is forgotten and ignored.
    pub fn learn(&mut self, from: u64, ranges: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
        let mut before = std::mem::take(&mut self.before);
        std::mem::swap(&mut before, &mut self.ranges);
        self.ranges.clear();
        let mut old = before.iter().copied().filter(|&(_, end)| end > from).peekable();
        let mut new = Vec::new();
        for (start, end) in ranges {
            let mut start = start.max(from);
            if start >= end {
                continue;
            }
            while let Some(range) = old.next_if(|&(_, end)| end <= start) {
                self.push(range);
            }
            // What was known may have reached from the range before into this one.
            start = start.max(self.ranges.last().map_or(0, |last| last.1));
            while let Some(range) = old.next_if(|&(begin, _)| begin < end) {
                if start < range.0 {
                    new.push((start, range.0));
                    self.push((start, range.0));
                }
                self.push(range);
                start = range.1;
            }
            if start < end {
                new.push((start, end));
                self.push((start, end));
            }
        }
        for range in old {
            self.push(range);
        }
        self.before = before;
        new
    }

    /// Append a range that begins where the last one ended, or later.
    fn push(&mut self, range: (u64, u64)) {
        match self.ranges.last_mut() {
            Some(last) if last.1 >= range.0 => last.1 = last.1.max(range.1),
            _ => self.ranges.push(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(known: &mut Known, from: u64, ranges: &[(u64, u64)]) -> Vec<(u64, u64)> {
        known.learn(from, ranges.iter().copied())
    }

    #[test]
    fn only_what_is_new_is_given() {
        let mut known = Known::default();
        assert_eq!(learn(&mut known, 1, &[(3, 5), (7, 9)]), [(3, 5), (7, 9)]);
        assert_eq!(learn(&mut known, 1, &[(3, 5), (7, 9)]), []);
        assert_eq!(learn(&mut known, 1, &[(3, 6), (7, 12)]), [(5, 6), (9, 12)]);
        assert_eq!(learn(&mut known, 1, &[(2, 20)]), [(2, 3), (6, 7), (12, 20)]);
        assert_eq!(known.ranges, [(2, 20)]);
    }

    #[test]
    fn what_a_peer_takes_back_is_not_new_when_it_comes_again() {
        let mut known = Known::default();
        assert_eq!(learn(&mut known, 1, &[(3, 60_000)]), [(3, 60_000)]);
        assert_eq!(learn(&mut known, 1, &[]), []);
        assert_eq!(learn(&mut known, 1, &[(3, 60_001)]), [(60_000, 60_001)]);
    }

    #[test]
    fn what_lies_below_is_forgotten() {
        let mut known = Known::default();
        learn(&mut known, 1, &[(3, 5), (7, 9), (11, 13)]);
        assert_eq!(learn(&mut known, 8, &[(2, 4), (7, 14)]), [(9, 11), (13, 14)]);
        assert_eq!(known.ranges, [(7, 14)]);
        assert_eq!(learn(&mut known, 20, &[]), []);
        assert!(known.ranges.is_empty());
    }

    #[test]
    fn every_number_is_given_once_whatever_a_peer_says() {
        let mut seed = 1u64;
        let mut number = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % bound
        };
        for _ in 0..200 {
            let (mut known, mut seen, mut from) = (Known::default(), [false; 300], 0);
            for _ in 0..40 {
                from += number(8);
                let (mut at, mut ranges) = (number(10), Vec::new());
                while ranges.len() < 6 {
                    let start = at + 1 + number(20);
                    at = start + 1 + number(12);
                    ranges.push((start, at));
                }
                let named = |n: u64| n >= from && ranges.iter().any(|&(start, end)| start <= n && n < end);
                let given = known.learn(from, ranges.iter().copied());
                for n in 0..300 {
                    let times = given.iter().filter(|&&(start, end)| start <= n && n < end).count();
                    assert_eq!(times, usize::from(named(n) && !seen[n as usize]));
                    seen[n as usize] |= named(n);
                }
            }
        }
    }
}
