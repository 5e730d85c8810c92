//! Rare events beside a queue of many, in the order in which both happened.

use std::collections::VecDeque;

/// Each rare event notes how many of the others came before it. So the others, almost all of them messages, stay in the
/// queue of the engine that made them.
#[derive(Debug)]
pub(crate) struct Rare<T> {
    events: VecDeque<(u64, T)>,
}

impl<T> Rare<T> {
    pub fn new() -> Rare<T> {
        Rare { events: VecDeque::new() }
    }

    /// Add an event that comes after this many of the others.
    pub fn push(&mut self, after: u64, event: T) {
        self.events.push_back((after, event));
    }

    /// Whether the next event comes before the next of the others, of which `taken` have been taken.
    #[inline]
    pub fn is_next(&self, taken: u64) -> bool {
        self.events.front().is_some_and(|(after, _)| *after <= taken)
    }

    /// The next event. Ask [`Rare::is_next`] first.
    #[cold]
    pub fn pop(&mut self) -> Option<T> {
        self.events.pop_front().map(|(_, event)| event)
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

    pub fn clear(&mut self) {
        self.events.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_event_comes_after_those_that_were_there_and_before_those_that_followed() {
        let mut rare = Rare::new();
        rare.push(0, "first");
        rare.push(2, "after two");
        rare.push(2, "and at once");
        assert!(rare.is_next(0));
        assert_eq!(rare.pop(), Some("first"));
        assert!(!rare.is_next(0) && !rare.is_next(1) && rare.is_next(2));
        assert_eq!(rare.pop(), Some("after two"));
        assert!(rare.is_next(2));
        assert_eq!(rare.pop(), Some("and at once"));
        assert!(!rare.is_next(9) && rare.is_empty());
    }
}
