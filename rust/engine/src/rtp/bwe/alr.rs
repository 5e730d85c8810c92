//! Whether the application sends less than it may.

/// Seconds over which the rate of sending is taken.
const TIME: f64 = 0.5;
/// Parts of the rate that is allowed: less and it is idle, more and it is not.
const BEGINS: f64 = 0.65;
const ENDS: f64 = 0.8;

/// The rate of sending: a mean that forgets.
#[derive(Debug, Default)]
pub struct Sending {
    rate: f64,
    at: f64,
    is_idle: bool,
}

impl Sending {
    pub fn add(&mut self, now: f64, bits: f64) {
        self.rate = self.rate(now) + bits / TIME;
        self.at = now;
    }

    /// Bits a second.
    pub fn rate(&self, now: f64) -> f64 {
        self.rate * (-(now - self.at).max(0.0) / TIME).exp()
    }

    /// Whether much less is sent than allowed.
    pub fn is_idle(&mut self, now: f64, allowed: f64) -> bool {
        let part = self.rate(now) / allowed.max(1.0);
        self.is_idle = part < if self.is_idle { ENDS } else { BEGINS };
        self.is_idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_late_and_idle_is_much_less_than_allowed() {
        let mut sending = Sending::default();
        for index in 0..300 {
            sending.add(f64::from(index) * 0.01, 10_000.0);
        }
        assert!((sending.rate(3.0) / 1e6 - 1.0).abs() < 0.03, "{}", sending.rate(3.0));
        assert!(!sending.is_idle(3.0, 1e6));
        assert!(sending.is_idle(3.0, 2e6));
        assert!(sending.is_idle(3.0, 1.3e6), "it was idle, and is almost");
        assert!(!sending.is_idle(3.0, 1.2e6));
        assert!(sending.is_idle(5.0, 1.2e6));
    }
}
