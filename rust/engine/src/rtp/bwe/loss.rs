//! The rate that losses allow. A path that loses whatever is sent is no reason to slow down; one that loses what is above its
//! rate is.
//!
//! Which of the two it is shows in the losses at different rates. The loss at a rate is taken as
//! `inherent + (1 - inherent) * (1 - limit / rate)`, the second part only above the limit. The pair of inherent loss and
//! limit is believed that makes the losses seen most likely. A limit is believed only if there is need for one.

use std::collections::VecDeque;

/// Losses are counted over so many seconds and packets at least.
const SPAN: f64 = 0.25;
const FEWEST: f64 = 20.0;
const MAX_WINDOWS: usize = 20;
/// Weight of a window beside the one after it.
const AGEING: f64 = 0.9;
/// More than this part lost is an outage: it says nothing of rates, and silence is answered elsewhere.
const OUTAGE: f64 = 0.9;
/// Less than this part lost is no reason for anything.
const HARMLESS: f64 = 0.02;
/// Inherent losses that are thought possible. More than the last is never inherent: it is too much to send into.
const INHERENT: [f64; 11] = [0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.18, 0.22];
/// Losses come in bursts: a packet says less than one that is lost by itself would.
const BURSTS: f64 = 3.0;
/// How much more likely (its logarithm) a limit has to make what was seen.
const NEED: f64 = 4.0;
/// Part of the limit: a little below it nothing is lost.
const BELOW: f64 = 0.95;

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    rate: f64,
    lost: f64,
    arrived: f64,
}

#[derive(Debug, Default)]
pub struct Losses {
    windows: VecDeque<Window>,
    /// When its first packet was sent, its bits, and what became of its packets.
    open: Option<(f64, f64, Window)>,
    limit: Option<f64>,
    is_lossy: bool,
}

impl Losses {
    /// Bits a second; None: losses are no reason to slow down.
    pub fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// Whether more is lost than is harmless.
    pub fn is_lossy(&self) -> bool {
        self.is_lossy
    }

    /// A packet that was sent then has arrived or not.
    pub fn add(&mut self, sent: f64, bits: f64, is_lost: bool) {
        let (from, all, counts) = self.open.get_or_insert((sent, 0.0, Window::default()));
        *all += bits;
        *(if is_lost { &mut counts.lost } else { &mut counts.arrived }) += 1.0;
        let span = sent - *from;
        if span < SPAN || counts.lost + counts.arrived < FEWEST {
            return;
        }
        let window = Window { rate: *all / span, ..*counts };
        self.open = None;
        if window.lost > OUTAGE * (window.lost + window.arrived) {
            return;
        }
        if self.windows.len() == MAX_WINDOWS {
            self.windows.pop_front();
        }
        self.windows.push_back(window);
        self.limit = self.judge();
    }

    /// A packet that counts as lost was only late.
    pub fn found(&mut self) {
        let last = self.windows.back_mut();
        if let Some(counts) = self.open.as_mut().map(|(_, _, counts)| counts).filter(|one| one.lost > 0.0) {
            (counts.lost, counts.arrived) = (counts.lost - 1.0, counts.arrived + 1.0);
        } else if let Some(counts) = last.filter(|one| one.lost > 0.0) {
            (counts.lost, counts.arrived) = (counts.lost - 1.0, counts.arrived + 1.0);
        }
    }

    fn judge(&mut self) -> Option<f64> {
        let sum = |count: fn(&Window) -> f64| self.windows.iter().map(count).sum::<f64>();
        self.is_lossy = sum(|one| one.lost) > HARMLESS * sum(|one| one.lost + one.arrived);
        if !self.is_lossy {
            return None;
        }
        let unlimited = self.likelihood(f64::INFINITY);
        let candidates = self.windows.iter().map(|one| one.rate * one.arrived / (one.arrived + one.lost));
        let best = candidates.map(|limit| (self.likelihood(limit), limit)).max_by(|a, b| a.0.total_cmp(&b.0));
        best.filter(|(likelihood, _)| *likelihood > unlimited + NEED).map(|(_, limit)| BELOW * limit)
    }

    /// The logarithm of how likely the losses are with this limit and the inherent loss that suits it best.
    fn likelihood(&self, limit: f64) -> f64 {
        let with = |inherent: f64| {
            let mut weight = 1.0 / BURSTS;
            let mut sum = 0.0;
            for window in self.windows.iter().rev() {
                let above = (1.0 - limit / window.rate).clamp(0.0, 0.99);
                let loss = inherent + (1.0 - inherent) * above;
                sum += weight * (window.lost * loss.ln() + window.arrived * (1.0 - loss).ln());
                weight *= AGEING;
            }
            sum
        };
        INHERENT.into_iter().map(with).fold(f64::NEG_INFINITY, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second at `rate` bits a second, `part` of it lost, evenly.
    fn second(losses: &mut Losses, at: u32, rate: f64, part: f64) {
        let packets = (rate / 9600.0) as u32;
        for index in 0..packets {
            let is_lost = (f64::from(index + 1) * part) as u32 != (f64::from(index) * part) as u32;
            losses.add(f64::from(at) + f64::from(index) / f64::from(packets), 9600.0, is_lost);
        }
    }

    #[test]
    fn a_loss_that_is_the_same_at_all_rates_is_no_limit() {
        for part in [0.0, 0.01, 0.05, 0.1, 0.2] {
            let mut losses = Losses::default();
            for (at, rate) in [1e6, 1.5e6, 2e6, 1e6, 1.2e6, 3e6].into_iter().enumerate() {
                second(&mut losses, at as u32, rate, part);
                assert_eq!(losses.limit(), None, "{part}");
            }
        }
    }

    #[test]
    fn a_loss_above_a_rate_is_a_limit_and_is_forgotten() {
        let mut losses = Losses::default();
        second(&mut losses, 0, 8e5, 0.0);
        second(&mut losses, 1, 2e6, 0.5);
        let limit = losses.limit().expect("a limit");
        assert!((8e5..1.05e6).contains(&limit), "{limit}");
        for at in 2..12 {
            second(&mut losses, at, 9e5, 0.0);
        }
        assert_eq!(losses.limit(), None);
    }

    #[test]
    fn what_was_only_late_is_not_lost() {
        let mut losses = Losses::default();
        second(&mut losses, 0, 8e5, 0.0);
        second(&mut losses, 1, 2e6, 0.5);
        for _ in 0..1000 {
            losses.found();
        }
        assert!(losses.windows.iter().all(|window| window.lost >= 0.0));
    }

    #[test]
    fn an_outage_is_no_limit() {
        let mut losses = Losses::default();
        second(&mut losses, 0, 2e6, 0.0);
        second(&mut losses, 1, 2e6, 1.0);
        second(&mut losses, 2, 1e6, 1.0);
        second(&mut losses, 3, 5e5, 0.0);
        assert_eq!(losses.limit(), None);
    }

    #[test]
    fn more_than_a_path_loses_by_itself_is_too_much() {
        let mut losses = Losses::default();
        for at in 0..3 {
            second(&mut losses, at, 1e6, 0.6);
        }
        assert!(losses.limit().is_some_and(|limit| limit < 6e5), "{:?}", losses.limit());
    }
}
