//! The rate that the delays allow: more and more while no queue grows, less at once when one does.

use super::trendline::Usage;

/// Part of the path's rate that is used after a queue grew.
const BACK_OFF: f64 = 0.9;
/// Growth a second while the path's rate is not known.
const GROWTH: f64 = 0.08;
/// Bits that are added in each response time near the path's rate, and at most this part of the rate a second.
const STEP: f64 = 14_400.0;
const STEEPEST: f64 = 0.16;
/// Never above this many times what was proven, and so many bits a second.
const PROVEN: f64 = 1.5;
const UNPROVEN: f64 = 50_000.0;
/// Part of the rate of arrivals that counts as proven, if nothing waits: also an encoder that does not follow proves it.
const CARRIED: f64 = 0.95;
/// More than this above what a path carried, and it is another path by now.
const CHANGED: f64 = 1.15;
/// Seconds. A shorter queue does not count.
const NO_QUEUE: f64 = 0.02;
/// A queue this long halves what is sent until it is gone.
const LONG_QUEUE: f64 = 0.3;
/// Least part of the rate while a queue drains, and the longest time for it.
const LEAST_PART: f64 = 0.4;
const LONGEST_DRAIN: f64 = 3.0;

/// Seconds until an answer is seen in the packets that leave.
const ANSWER: f64 = 0.02;

/// Knowledge at a feedback. Times in seconds, rates in bits a second.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub now: f64,
    pub usage: Usage,
    /// Bits a second that arrived, over half a second and of late.
    pub delivered: Option<f64>,
    pub recent: Option<f64>,
    /// Bits that were sent after the newest packet that arrived.
    pub flying: f64,
    pub round_trip: f64,
    /// When the newest packet of those that arrived was sent.
    pub newest: f64,
    /// Less is sent than would be allowed.
    pub is_idle: bool,
    /// Nothing waits on the path, and no losses set a limit.
    pub is_open: bool,
}

#[derive(Debug)]
pub struct Rate {
    estimate: f64,
    /// Rate of the path when its queue grew.
    capacity: Option<f64>,
    raised: Option<f64>,
    lowered: Option<f64>,
    drain: Option<Drain>,
}

/// A queue is left to drain: less is sent than the path carries.
#[derive(Clone, Copy, Debug)]
struct Drain {
    until: f64,
    part: f64,
}

impl Rate {
    pub fn new(start: f64) -> Rate {
        Rate { estimate: start, capacity: None, raised: None, lowered: None, drain: None }
    }

    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// Bits a second that may be sent now.
    pub fn target(&self) -> f64 {
        self.estimate * self.drain.map_or(1.0, |drain| drain.part)
    }

    /// Rate of the path, as far as it is known.
    pub fn capacity(&self) -> Option<f64> {
        self.capacity
    }

    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// When a queue grew last.
    pub fn lowered(&self) -> Option<f64> {
        self.lowered
    }

    pub fn update(&mut self, known: &Known) {
        if let Some(Drain { mut until, .. }) = self.drain {
            let queue = self.queue(known);
            if !self.is_answered(known) {
                until = until.max(drained_at(known, queue));
            }
            let is_over = queue < NO_QUEUE || known.now >= until;
            self.drain = (!is_over).then(|| Drain { until, part: part(queue) });
        }
        match known.usage {
            Usage::Over => self.lower(known),
            Usage::Normal if self.drain.is_none() => self.raise(known),
            // The queue becomes shorter: wait for its end.
            Usage::Normal | Usage::Under => self.raised = Some(known.now),
        }
    }

    fn lower(&mut self, known: &Known) {
        self.raised = Some(known.now);
        let Some(delivered) = known.delivered else { return };
        let carried = known.recent.unwrap_or(delivered);
        // What arrives says nothing of the path when little was sent.
        let carried = if known.is_idle { carried.max(self.estimate) } else { carried };
        // What was sent before the last answer tells how much the path carries, but asks for no other answer.
        if self.is_answered(known) {
            self.lowered = Some(known.now);
        } else if carried >= self.estimate {
            return;
        }
        self.capacity = Some(carried);
        self.estimate = self.estimate.min(BACK_OFF * carried);
        let queue = self.queue(known);
        let drain = Drain { until: drained_at(known, queue), part: part(queue) };
        self.drain = (queue > NO_QUEUE).then_some(drain);
    }

    /// How long the path's queue is now: delays tell how long it was when the packets that arrive were sent.
    fn queue(&self, known: &Known) -> f64 {
        let capacity = self.capacity.unwrap_or(self.estimate).max(1.0);
        (known.flying / capacity - known.round_trip).max(0.0)
    }

    /// Whether what arrives was sent after the last answer to a queue.
    fn is_answered(&self, known: &Known) -> bool {
        self.lowered.is_none_or(|at| known.newest > at + ANSWER)
    }

    fn raise(&mut self, known: &Known) {
        let elapsed = (known.now - self.raised.replace(known.now).unwrap_or(known.now)).clamp(0.0, 1.0);
        let Some(delivered) = known.delivered else { return };
        if self.capacity.is_some_and(|capacity| delivered > CHANGED * capacity) {
            self.capacity = None;
        }
        let more = match self.capacity {
            Some(_) => (STEP / (known.round_trip + 0.1)).min(self.estimate * STEEPEST) * elapsed,
            None => self.estimate * GROWTH * elapsed,
        };
        let ceiling = PROVEN * delivered + UNPROVEN;
        self.estimate = self.estimate.max((self.estimate + more).min(ceiling));
        if known.is_open {
            self.estimate = self.estimate.max(CARRIED * delivered);
        }
    }

    /// A probe came through at this rate. `is_full`: the path was full.
    pub fn prove(&mut self, proven: f64, is_full: bool) {
        self.estimate = self.estimate.max(proven);
        if is_full {
            self.capacity = Some(proven);
        } else if self.capacity.is_some_and(|capacity| proven > CHANGED * capacity) {
            self.capacity = None;
        }
    }

    /// Something else allows this at most.
    pub fn cap(&mut self, limit: f64) {
        self.estimate = self.estimate.min(limit);
    }

    /// The path carries this at most: go on slowly from there.
    pub fn cap_by_path(&mut self, limit: f64) {
        if limit < self.estimate {
            self.estimate = limit;
            self.capacity = Some(limit);
        }
    }
}

/// When the queue should be gone: longer is not waited, because it may be that of others.
fn drained_at(known: &Known, queue: f64) -> f64 {
    known.now + (2.0 * queue + known.round_trip + 0.1).min(LONGEST_DRAIN)
}

fn part(queue: f64) -> f64 {
    (1.0 - 0.5 * queue / LONG_QUEUE).clamp(LEAST_PART, 1.0)
}
