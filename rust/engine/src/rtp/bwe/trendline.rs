//! Whether delays grow: a line through the sum of the differences between groups, against a threshold that adapts.
//!
//! The way of draft-ietf-rmcat-gcc-02 with a fitted line in place of its filter. Times here are milliseconds.

use std::collections::VecDeque;

use super::arrival::Delta;

/// Groups that the line goes through.
const POINTS: usize = 20;
/// How much of the smoothed delay is kept at each group.
const SMOOTHING: f64 = 0.9;
const GAIN: f64 = 4.0;
/// A line through few groups is little trusted: its slope counts as many times as there were groups, up to this.
const TRUST: f64 = 60.0;
const FIRST_THRESHOLD: f64 = 12.5;
const THRESHOLDS: (f64, f64) = (6.0, 600.0);
/// How fast the threshold follows, up and down.
const UP: f64 = 0.0087;
const DOWN: f64 = 0.039;
/// Above the threshold by more than this it is no noise: the threshold does not follow.
const NO_NOISE: f64 = 15.0;
/// Delays that grow for a shorter time do not count.
const LASTING: f64 = 10.0;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    #[default]
    Normal,
    /// A queue grows.
    Over,
    /// A queue becomes shorter.
    Under,
}

#[derive(Debug)]
pub struct Trend {
    /// When a group arrived, and the smoothed sum of differences then.
    points: VecDeque<(f64, f64)>,
    groups: f64,
    sum: f64,
    smoothed: f64,
    threshold: f64,
    followed: Option<f64>,
    growing: f64,
    growing_groups: u32,
    slope: f64,
    usage: Usage,
}

impl Default for Trend {
    fn default() -> Trend {
        Trend {
            points: VecDeque::with_capacity(POINTS),
            groups: 0.0,
            sum: 0.0,
            smoothed: 0.0,
            threshold: FIRST_THRESHOLD,
            followed: None,
            growing: 0.0,
            growing_groups: 0,
            slope: 0.0,
            usage: Usage::Normal,
        }
    }
}

impl Trend {
    pub fn usage(&self) -> Usage {
        self.usage
    }

    pub fn add(&mut self, delta: Delta) -> Usage {
        let at = delta.at * 1000.0;
        if self.points.back().is_some_and(|(last, _)| at < *last) {
            // The peer's clock was set: what was before cannot be compared.
            *self = Trend { threshold: self.threshold, ..Trend::default() };
        }
        self.sum += (delta.arrived - delta.sent) * 1000.0;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.sum;
        self.groups += 1.0;
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back((at, self.smoothed));
        let slope = if self.points.len() == POINTS { slope(&self.points) } else { None };
        self.judge(slope.unwrap_or(self.slope), delta.sent * 1000.0, at);
        self.usage
    }

    fn judge(&mut self, slope: f64, sent: f64, at: f64) {
        let trend = self.groups.min(TRUST) * slope * GAIN;
        if trend > self.threshold {
            self.growing += if self.growing_groups == 0 { sent / 2.0 } else { sent };
            self.growing_groups += 1;
            if self.growing > LASTING && self.growing_groups > 1 && slope >= self.slope {
                (self.growing, self.growing_groups) = (0.0, 0);
                self.usage = Usage::Over;
            }
        } else {
            (self.growing, self.growing_groups) = (0.0, 0);
            self.usage = if trend < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.slope = slope;
        self.follow(trend.abs(), at);
    }

    fn follow(&mut self, trend: f64, at: f64) {
        let elapsed = (at - self.followed.replace(at).unwrap_or(at)).clamp(0.0, 100.0);
        if trend > self.threshold + NO_NOISE {
            return;
        }
        let speed = if trend < self.threshold { DOWN } else { UP };
        let threshold = self.threshold + speed * (trend - self.threshold) * elapsed;
        self.threshold = threshold.clamp(THRESHOLDS.0, THRESHOLDS.1);
    }
}

/// The slope of the best line; None: all came at one time.
fn slope(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x, y) = (x / count, y / count);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for point in points {
        covariance += (point.0 - x) * (point.1 - y);
        variance += (point.0 - x).powi(2);
    }
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 ms between groups; each arrives `more` seconds later than the one before it.
    fn groups(trend: &mut Trend, from: u32, count: u32, more: impl Fn(u32) -> f64) -> Vec<Usage> {
        let mut at = f64::from(from) * 10.0;
        let one = |index| {
            at += 0.01 + more(index);
            trend.add(Delta { sent: 0.01, arrived: 0.01 + more(index), at })
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_queue_that_grows_is_over_one_that_shrinks_under_and_a_steady_one_neither() {
        let mut trend = Trend::default();
        assert!(groups(&mut trend, 1, 100, |_| 0.0).iter().all(|usage| *usage == Usage::Normal));
        assert!(groups(&mut trend, 2, 30, |_| 0.002).contains(&Usage::Over));
        assert_eq!(groups(&mut trend, 3, 60, |_| 0.0).last(), Some(&Usage::Normal));
        assert!(groups(&mut trend, 4, 30, |_| -0.002).contains(&Usage::Under));
    }

    #[test]
    fn noise_raises_the_threshold() {
        let grows = |_| 0.0003;
        let noise = |index: u32| if index % 60 < 30 { 0.0016 } else { -0.0016 };
        let mut quiet = Trend::default();
        groups(&mut quiet, 1, 400, |_| 0.0);
        let mut noisy = Trend::default();
        groups(&mut noisy, 1, 400, noise);
        assert!(noisy.threshold > 2.0 * quiet.threshold, "{} {}", noisy.threshold, quiet.threshold);
        assert!(groups(&mut quiet, 500, 30, grows).contains(&Usage::Over));
        assert!(!groups(&mut noisy, 500, 30, grows).contains(&Usage::Over));
    }

    #[test]
    fn absurd_times_leave_finite_numbers() {
        let mut trend = Trend::default();
        for (arrived, at) in [(1e19, 1e19), (-1e19, 0.0), (0.0, 0.0), (3.0, -1e19), (0.0, 1e19)].repeat(20) {
            trend.add(Delta { sent: 0.01, arrived, at });
            assert!(trend.threshold.is_finite() && !trend.slope.is_nan());
        }
    }
}
