//! Models a path between two hosts: rate, queue, loss, delay. For tests, in virtual time.
//!
//! A [`Path`] is one direction. It knows for each datagram at once when it will arrive, so nothing is kept: a queue is
//! only the time until which its link is busy. A change of the rate moves these times: [`Path::change`].
#![forbid(unsafe_code)]

mod codel;
mod numbers;

use std::time::{Duration, Instant};

use codel::CoDel;
pub use numbers::Numbers;

/// Ordered jitter changes once in this time, as the scheduler of a radio link does.
const JITTER_TIME: Duration = Duration::from_millis(10);

/// Properties of a path.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Probability that a datagram is lost, 0 to 1, before it takes room in the queue.
    pub loss: f64,
    /// The same behind the queue: what a radio link loses although it was sent.
    pub late_loss: f64,
    /// Datagrams that are lost in a row behind the queue, on average; up to 1: each by itself.
    pub burst: f64,
    pub delay: Duration,
    /// Up to this much more, equally distributed.
    pub jitter: Duration,
    /// No datagram overtakes another because of jitter, which then changes every 10 ms.
    pub ordered: bool,
    /// Probability that a datagram takes `reorder_delay` more, and is overtaken.
    pub reorder: f64,
    pub reorder_delay: Duration,
    /// Bytes a second; None: any.
    pub rate: Option<f64>,
    /// Bytes that wait for the rate; what is more is lost.
    pub queue: usize,
    /// The queue drops by CoDel (RFC 8289: 5 ms, 100 ms) before it is full.
    pub codel: bool,
    /// Bytes a second of the rate that others take, whatever happens.
    pub others: f64,
}

impl Default for Link {
    fn default() -> Link {
        Link {
            loss: 0.0,
            late_loss: 0.0,
            burst: 1.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            ordered: false,
            reorder: 0.0,
            reorder_delay: Duration::ZERO,
            rate: None,
            queue: 262_144,
            codel: false,
            others: 0.0,
        }
    }
}

impl Link {
    /// Bytes a second that others leave; None: any.
    fn free_rate(&self) -> Option<f64> {
        self.rate.map(|rate| (rate - self.others).max(1.0))
    }
}

/// The fate of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Arrives {
        at: Instant,
        /// When it leaves the queue.
        left: Instant,
        /// How long it waits for the rate.
        waits: Duration,
    },
    /// Lost by chance.
    Lost,
    /// Dropped by the queue.
    Dropped,
}

/// One direction of a path.
#[derive(Debug, Default)]
pub struct Path {
    busy_until: Option<Instant>,
    codel: CoDel,
    is_in_burst: bool,
    jitter: Option<(Instant, f64)>,
    last_arrival: Option<Instant>,
}

impl Path {
    /// Send `size` bytes.
    pub fn send(&mut self, link: &Link, now: Instant, size: usize, numbers: &mut Numbers) -> Fate {
        if numbers.happens(link.loss) {
            return Fate::Lost;
        }
        let Some((left, waits)) = self.pass_queue(link, now, size) else { return Fate::Dropped };
        if self.is_lost_late(link, numbers) {
            return Fate::Lost;
        }
        let mut at = left + link.delay + self.jitter(link, left, numbers);
        if link.ordered {
            at = self.last_arrival.map_or(at, |last| at.max(last));
            self.last_arrival = Some(at);
        }
        if numbers.happens(link.reorder) {
            at += link.reorder_delay;
        }
        Fate::Arrives { at, left, waits }
    }

    /// Change the link. Packets in the queue leave at the new rate.
    ///
    /// `under_way`: when each datagram of this path leaves the queue and when it arrives, in the order of arrival.
    pub fn change<'a>(
        &mut self,
        now: Instant,
        from: &Link,
        to: &Link,
        under_way: impl IntoIterator<Item = (&'a mut Instant, &'a mut Instant)>,
    ) {
        let longer = match (from.free_rate(), to.free_rate()) {
            (Some(from), Some(to)) => from / to,
            (_, None) => 0.0,
            (None, _) => 1.0,
        };
        let moved = |left: Instant| match left.checked_duration_since(now) {
            Some(waits) => now + waits.mul_f64(longer),
            None => left,
        };
        self.busy_until = self.busy_until.map(moved);
        self.last_arrival = None;
        for (left, at) in under_way {
            let travels = *at - *left;
            *left = moved(*left);
            *at = *left + travels;
            if to.ordered {
                *at = self.last_arrival.map_or(*at, |last| last.max(*at));
                self.last_arrival = Some(*at);
            }
        }
    }

    /// When the datagram has left the queue, and how long it waits there; None: dropped.
    fn pass_queue(&mut self, link: &Link, now: Instant, size: usize) -> Option<(Instant, Duration)> {
        let Some(rate) = link.free_rate() else { return Some((now, Duration::ZERO)) };
        let starts = self.busy_until.map_or(now, |until| until.max(now));
        let waits = starts - now;
        if waits.as_secs_f64() * rate + size as f64 > link.queue as f64 {
            return None;
        }
        if link.codel && self.codel.drops(starts, waits) {
            return None;
        }
        let left = starts + Duration::from_secs_f64(size as f64 / rate);
        self.busy_until = Some(left);
        Some((left, waits))
    }

    /// Gilbert's model: in a burst everything is lost.
    fn is_lost_late(&mut self, link: &Link, numbers: &mut Numbers) -> bool {
        if link.burst <= 1.0 || link.late_loss >= 1.0 {
            return numbers.happens(link.late_loss);
        }
        let ends = 1.0 / link.burst;
        let begins = link.late_loss * ends / (1.0 - link.late_loss);
        let changes = numbers.happens(if self.is_in_burst { ends } else { begins });
        self.is_in_burst ^= changes;
        self.is_in_burst
    }

    fn jitter(&mut self, link: &Link, now: Instant, numbers: &mut Numbers) -> Duration {
        if link.jitter.is_zero() {
            return Duration::ZERO;
        }
        if !link.ordered {
            return link.jitter.mul_f64(numbers.unit());
        }
        match self.jitter {
            Some((since, part)) if now.saturating_duration_since(since) < JITTER_TIME => {
                link.jitter.mul_f64(part)
            }
            _ => {
                let part = numbers.unit();
                self.jitter = Some((now, part));
                link.jitter.mul_f64(part)
            }
        }
    }
}

#[cfg(test)]
mod tests;
