//! The rate at which packets arrive, on the peer's clock.

use std::collections::VecDeque;

/// Arrivals that are kept: half a second of 20 Mbit/s. Above that a shorter time is as exact.
const MAX_ARRIVALS: usize = 1024;
/// Seconds. A larger step is a clock that was set, not a path.
const JUMP: f64 = 3.0;
/// Fewer arrivals, or a shorter time, say nothing of a rate.
const FEWEST: usize = 4;
const SHORTEST: f64 = 0.02;

#[derive(Debug, Default)]
pub struct Delivered {
    /// When each packet arrived, and its bits.
    arrivals: VecDeque<(f64, f64)>,
}

impl Delivered {
    pub fn add(&mut self, arrival: f64, bits: f64) {
        let mut arrival = arrival;
        if let Some((newest, _)) = self.arrivals.back() {
            if (arrival - newest).abs() > JUMP {
                self.arrivals.clear();
            } else {
                // An overtaken packet counts as if it came with the one that overtook it.
                arrival = arrival.max(*newest);
            }
        }
        if self.arrivals.len() >= MAX_ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back((arrival, bits));
    }

    /// Bits a second in the last `window` seconds; None: too little arrived to tell.
    pub fn rate(&self, window: f64) -> Option<f64> {
        let (newest, _) = self.arrivals.back()?;
        let (mut bits, mut count, mut first) = (0.0, 0, (*newest, 0.0));
        for arrival in self.arrivals.iter().rev().take_while(|(at, _)| newest - at <= window) {
            bits += arrival.1;
            count += 1;
            first = *arrival;
        }
        let span = newest - first.0;
        // The first one opens the time: its own bits came before.
        (count >= FEWEST && span >= SHORTEST).then(|| (bits - first.1) / span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_window() {
        let mut delivered = Delivered::default();
        assert_eq!(delivered.rate(0.5), None);
        for index in 0..100 {
            delivered.add(f64::from(index) * 0.01, 10_000.0);
        }
        for index in 0..20 {
            delivered.add(1.0 + f64::from(index) * 0.01, 5_000.0);
        }
        let near = |rate: Option<f64>, expected: f64| (rate.expect("a rate") / expected - 1.0).abs() < 0.06;
        assert!(near(delivered.rate(0.15), 5e5), "{:?}", delivered.rate(0.15));
        assert!(near(delivered.rate(0.5), 8e5), "{:?}", delivered.rate(0.5));
        delivered.add(1e9, 1.0);
        assert_eq!(delivered.rate(0.5), None, "the clock was set");
    }
}
