//! News that a peer can repeat as often as it likes, on their way to a program that may be slow.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More of one kind, of one sender or receiver, do not wait.
const MAX: usize = 64;

/// News of one kind. The event queue has a notice for each. When too many wait, the oldest go.
#[derive(Debug)]
pub struct Waiting<T>(Mutex<VecDeque<T>>);

impl<T> Default for Waiting<T> {
    fn default() -> Waiting<T> {
        Waiting(Mutex::default())
    }
}

impl<T> Waiting<T> {
    /// Returns whether it needs a notice: else it has that of the one that went.
    pub fn push(&self, news: T) -> bool {
        let mut waiting = self.lock();
        let had_room = waiting.len() < MAX;
        if !had_room {
            waiting.pop_front();
        }
        waiting.push_back(news);
        had_room
    }

    /// Take the oldest; each notice has one.
    pub fn pop(&self) -> Option<T> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wait_and_each_has_one_notice() {
        let waiting = Waiting::default();
        let notices = (0..1000).filter(|number| waiting.push(*number)).count();
        let taken: Vec<i32> = std::iter::from_fn(|| waiting.pop()).collect();
        assert_eq!(notices, MAX);
        assert_eq!(taken, (1000 - MAX as i32..1000).collect::<Vec<_>>());
        assert!(waiting.push(1));
    }
}
