//! Spreads what a window allows over a round trip.

use crate::{Nanos, nanos_of, seconds};

/// The burst that may leave at once: two milliseconds of the rate, because a timer is no finer, and at least four packets.
const BURST_TIME: f64 = 0.002;
const BURST_PACKETS: f64 = 4.0;
const SHORTEST: f64 = 0.0002;
const LONGEST: f64 = 1.0;
/// Before a rate is known.
const FIRST_PACKETS: f64 = 10.0;

/// A bucket of bytes that fills with the rate.
pub struct Pacer {
    packet: f64,
    /// Bytes that may leave at once; below 0 what passed without leave is waited for, at most a burst of it.
    bytes: f64,
    at: Option<Nanos>,
}

impl Pacer {
    pub fn new(packet: usize) -> Pacer {
        Pacer { packet: packet as f64, bytes: FIRST_PACKETS * packet as f64, at: None }
    }

    /// How long the next packet has to wait; None: not at all.
    pub fn wait(&mut self, now: Nanos, rate: Option<f64>) -> Option<Nanos> {
        let rate = rate?;
        self.fill(now, rate);
        if self.bytes > 0.0 {
            return None;
        }
        // A little more than nothing: a timer for each packet is dear.
        let enough = (rate * BURST_TIME / 2.0).clamp(1.0, BURST_PACKETS * self.packet);
        Some(nanos_of(((enough - self.bytes) / rate).clamp(SHORTEST, LONGEST)))
    }

    pub fn on_sent(&mut self, now: Nanos, rate: Option<f64>, size: usize) {
        let Some(rate) = rate else { return };
        self.fill(now, rate);
        self.bytes = (self.bytes - size as f64).max(-self.burst(rate));
    }

    /// Forget the debt: one packet may leave.
    pub fn clear(&mut self, now: Nanos) {
        self.bytes = self.bytes.max(self.packet);
        self.at = Some(now);
    }

    fn fill(&mut self, now: Nanos, rate: f64) {
        if let Some(at) = self.at {
            self.bytes = (self.bytes + seconds(now.saturating_sub(at)) * rate).min(self.burst(rate));
        }
        self.at = Some(now);
    }

    fn burst(&self, rate: f64) -> f64 {
        (rate * BURST_TIME).max(BURST_PACKETS * self.packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = crate::MILLISECOND;

    #[test]
    fn the_rate_is_kept() {
        let mut pacer = Pacer::new(1000);
        let (mut now, mut sent) = (0, 0);
        while now < 1000 * MS {
            match pacer.wait(now, Some(1e6)) {
                None => {
                    pacer.on_sent(now, Some(1e6), 1000);
                    sent += 1;
                }
                Some(wait) => now += wait,
            }
        }
        assert!((1000..1012).contains(&sent), "{sent}");
    }

    #[test]
    fn a_debt_is_never_more_than_a_burst() {
        let mut pacer = Pacer::new(1000);
        for _ in 0..1000 {
            pacer.on_sent(MS, Some(1e5), 1000);
        }
        let wait = pacer.wait(MS, Some(1e5)).expect("it waits");
        assert!(wait < 45 * MS, "{wait}");
        pacer.clear(MS);
        assert_eq!(pacer.wait(MS, Some(1e5)), None);
    }

    #[test]
    fn after_a_pause_no_more_than_a_burst_leaves_at_once() {
        let mut pacer = Pacer::new(1000);
        pacer.on_sent(MS, Some(1e6), 1000);
        let (now, mut sent) = (60_000 * MS, 0);
        while pacer.wait(now, Some(1e6)).is_none() {
            pacer.on_sent(now, Some(1e6), 1000);
            sent += 1;
        }
        assert_eq!(sent, 4);
    }
}
