//! CoDel (RFC 8289): drops from a queue that is never empty for long.

use std::time::{Duration, Instant};

const TARGET: Duration = Duration::from_millis(5);
const INTERVAL: Duration = Duration::from_millis(100);
/// A new phase of dropping goes on where the last one stopped if that was so long ago at most.
const SOON: u32 = 8;

#[derive(Debug, Default)]
pub struct CoDel {
    /// When it will have waited longer than the target for a whole interval.
    late_at: Option<Instant>,
    next_drop: Option<Instant>,
    last_phase: Option<Instant>,
    count: u32,
}

impl CoDel {
    /// Whether the datagram that leaves the queue at `now`, after it has waited so long, is dropped.
    pub fn drops(&mut self, now: Instant, waited: Duration) -> bool {
        if waited < TARGET {
            self.late_at = None;
            self.last_phase = self.next_drop.take().or(self.last_phase);
            return false;
        }
        let late_at = *self.late_at.get_or_insert(now + INTERVAL);
        if now < late_at {
            return false;
        }
        let next = match self.next_drop {
            Some(next) if now < next => return false,
            Some(next) => {
                self.count += 1;
                next
            }
            None => {
                let is_soon = self.last_phase.is_some_and(|last| now < last + INTERVAL * SOON);
                self.count = if is_soon && self.count > 2 { self.count - 2 } else { 1 };
                now
            }
        };
        self.next_drop = Some(next + INTERVAL.div_f64(f64::from(self.count).sqrt()));
        true
    }
}
