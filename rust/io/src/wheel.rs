//! A hierarchical timer wheel: setting, moving, removing and firing cost the same for one timer and for ten thousand.
//!
//! Ticks of a millisecond; four levels of 64 slots reach four and a half hours, what is later waits in the last slot
//! and is put in again. A timer never fires early, and at most a tick late.

use std::time::{Duration, Instant};

const LEVELS: usize = 4;
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    previous: u32,
    tick: u64,
    /// level * SLOTS + slot; NONE: not set
    list: u32,
}

const UNSET: Node = Node { next: NONE, previous: NONE, tick: 0, list: NONE };

/// Timers are named by small numbers that the caller gives out.
pub struct Wheel {
    start: Instant,
    /// Everything before this tick has fired.
    tick: u64,
    nodes: Vec<Node>,
    heads: [u32; LEVELS * SLOTS],
    /// One bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    /// How many are set.
    len: usize,
}

impl Wheel {
    pub fn new(start: Instant) -> Wheel {
        Wheel {
            start,
            tick: 0,
            nodes: Vec::new(),
            heads: [NONE; LEVELS * SLOTS],
            occupied: [0; LEVELS],
            len: 0,
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Fire timer `id` at `at`, and no longer at the time it had.
    pub fn set(&mut self, id: u32, at: Instant) {
        let tick = self.tick_of(at);
        if self.nodes.len() <= id as usize {
            self.nodes.resize(id as usize + 1, UNSET);
        }
        let node = &self.nodes[id as usize];
        if node.list != NONE && node.tick == tick {
            return;
        }
        self.remove(id);
        self.insert(id, tick);
    }

    pub fn remove(&mut self, id: u32) {
        let Some(&node) = self.nodes.get(id as usize) else { return };
        if node.list == NONE {
            return;
        }
        match node.previous {
            NONE => {
                self.heads[node.list as usize] = node.next;
                if node.next == NONE {
                    self.occupied[node.list as usize / SLOTS] &= !(1 << (node.list as usize % SLOTS));
                }
            }
            previous => self.nodes[previous as usize].next = node.next,
        }
        if node.next != NONE {
            self.nodes[node.next as usize].previous = node.previous;
        }
        self.nodes[id as usize] = UNSET;
        self.len -= 1;
    }

    /// No timer fires before this; there may be nothing to fire then but to look again.
    pub fn next(&self) -> Option<Instant> {
        let ticks = (0..LEVELS).filter_map(|level| {
            let shift = BITS * level as u32;
            // A slot that has begun came down already: what lies in it is a whole round away.
            let first = self.tick.div_ceil(1 << shift);
            let ahead = self.occupied[level].rotate_right(first as u32 % SLOTS as u32);
            (ahead != 0).then(|| (first + u64::from(ahead.trailing_zeros())) << shift)
        });
        ticks.min().map(|tick| self.start + Duration::from_millis(tick.max(self.tick)))
    }

    /// Take all timers that are due at `now`, in the order of their ticks.
    pub fn expire(&mut self, now: Instant, due: &mut Vec<u32>) {
        let until = now.saturating_duration_since(self.start).as_millis() as u64;
        while self.tick <= until {
            if self.len == 0 {
                self.tick = until + 1;
                return;
            }
            let slot = self.tick as usize % SLOTS;
            if slot == 0 {
                self.cascade();
            }
            while self.heads[slot] != NONE {
                let id = self.heads[slot];
                self.remove(id);
                due.push(id);
            }
            self.tick += 1;
            self.skip_empty(until);
        }
    }

    /// Jump over slots of the lowest level that hold nothing.
    fn skip_empty(&mut self, until: u64) {
        let slot = self.tick as u32 % SLOTS as u32;
        if slot == 0 {
            return;
        }
        let ahead = self.occupied[0] >> slot;
        let jump =
            if ahead == 0 { u64::from(SLOTS as u32 - slot) } else { u64::from(ahead.trailing_zeros()) };
        self.tick = (self.tick + jump).min(until + 1).max(self.tick);
    }

    /// The lowest level begins again: what lies in the slots above that begin now comes down.
    fn cascade(&mut self) {
        for level in 1..LEVELS {
            let slot = (self.tick >> (BITS * level as u32)) as usize % SLOTS;
            let list = level * SLOTS + slot;
            let mut id = std::mem::replace(&mut self.heads[list], NONE);
            self.occupied[level] &= !(1 << slot);
            while id != NONE {
                let node = std::mem::replace(&mut self.nodes[id as usize], UNSET);
                self.len -= 1;
                self.insert(id, node.tick);
                id = node.next;
            }
            if slot != 0 {
                return;
            }
        }
    }

    fn insert(&mut self, id: u32, tick: u64) {
        let placed = tick.max(self.tick);
        let distance = placed - self.tick;
        let level = (0..LEVELS - 1).find(|level| distance < 1 << (BITS * (*level as u32 + 1)));
        let level = level.unwrap_or(LEVELS - 1);
        let furthest = (1u64 << (BITS * LEVELS as u32)) - (1 << (BITS * (LEVELS as u32 - 1)));
        let placed = placed.min(self.tick + furthest);
        let slot = (placed >> (BITS * level as u32)) as usize % SLOTS;
        let list = level * SLOTS + slot;
        let head = std::mem::replace(&mut self.heads[list], id);
        if head != NONE {
            self.nodes[head as usize].previous = id;
        }
        self.nodes[id as usize] = Node { next: head, previous: NONE, tick, list: list as u32 };
        self.occupied[level] |= 1 << slot;
        self.len += 1;
    }

    /// Rounded up: a timer may be late, never early.
    fn tick_of(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_nanos().div_ceil(1_000_000) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    /// A small generator, so that the test repeats itself.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }
    }

    #[test]
    fn it_fires_what_a_sorted_map_would_fire() {
        let start = Instant::now();
        let (mut wheel, mut numbers) = (Wheel::new(start), Numbers(42));
        let mut expected: BTreeMap<u32, u64> = BTreeMap::new();
        let mut now = 0;
        for round in 0..20_000 {
            let id = numbers.below(300) as u32;
            match numbers.below(10) {
                0 => {
                    wheel.remove(id);
                    expected.remove(&id);
                }
                1..=6 => {
                    let reach = [40, 3000, 200_000, 9_000_000, 40_000_000][numbers.below(5) as usize];
                    let at = now + 1 + numbers.below(reach);
                    wheel.set(id, after(start, at));
                    expected.insert(id, at);
                }
                _ => {
                    let reach = [5, 100, 5000, 500_000][numbers.below(4) as usize];
                    now += numbers.below(reach);
                    let mut due = Vec::new();
                    wheel.expire(after(start, now), &mut due);
                    due.sort_unstable();
                    let wanted: Vec<u32> =
                        expected.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
                    assert_eq!(due, wanted, "round {round}");
                    expected.retain(|_, at| *at > now);
                }
            }
            assert_eq!(wheel.len(), expected.len());
            let bound = wheel.next();
            match expected.values().min() {
                None => assert_eq!(bound, None),
                Some(earliest) => {
                    let bound = bound.expect("timers are set");
                    assert!(bound <= after(start, *earliest), "never later than the earliest");
                    assert!(bound > after(start, now), "there is nothing to do now");
                }
            }
        }
    }

    #[test]
    fn going_from_one_bound_to_the_next_reaches_a_far_timer_in_a_few_steps() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        wheel.set(7, after(start, 3_600_000));
        let (mut due, mut steps) = (Vec::new(), 0);
        while due.is_empty() {
            let next = wheel.next().expect("a timer is set");
            wheel.expire(next, &mut due);
            steps += 1;
            assert!(steps < 12, "{steps}");
        }
        assert_eq!(due, [7]);
    }

    #[test]
    fn a_timer_is_rounded_up_never_down() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        wheel.set(1, start + Duration::from_micros(1500));
        let mut due = Vec::new();
        wheel.expire(start + Duration::from_micros(1900), &mut due);
        assert!(due.is_empty());
        wheel.expire(start + Duration::from_millis(2), &mut due);
        assert_eq!(due, [1]);
    }

    /// Work is counted, not timed: the nodes that `expire` touches when one of ten thousand timers is due.
    #[test]
    fn ten_thousand_timers_cost_no_scan() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for id in 0..10_000 {
            wheel.set(id, after(start, 3_000_000 + u64::from(id)));
        }
        wheel.set(10_000, after(start, 5));
        let mut due = Vec::new();
        wheel.expire(after(start, 5), &mut due);
        assert_eq!(due, [10_000]);
        // All others still lie where they were put: nothing walked over them.
        assert!(wheel.nodes[..10_000].iter().all(|node| node.list as usize / SLOTS == 3));
        assert_eq!(wheel.occupied[0].count_ones() + wheel.occupied[1].count_ones(), 0);
    }
}
