//! The controller alone, over a path of its own in virtual time.

use std::collections::{BTreeMap, VecDeque};

use super::*;

const PIECE: usize = 1176;
const MS: Duration = Duration::from_millis(1);

/// A path: bytes a second, a queue in bytes, and loss of each piece with a fixed period.
struct Path {
    control: Control,
    rate: f64,
    queue: f64,
    /// Every so many pieces one is lost; 0: no loss.
    lose: u64,
    now: Duration,
    busy_until: f64,
    next: u64,
    passed: u64,
    in_flight: BTreeMap<u64, Stamp>,
    lost: VecDeque<u64>,
    /// (time of the acknowledgement, number, sent again), in order.
    under_way: VecDeque<(Duration, u64, bool)>,
    again: BTreeMap<u64, bool>,
    delivered: usize,
    longest_queue: f64,
}

const DELAY: f64 = 0.040;

impl Path {
    fn new(algorithm: Algorithm, lose: u64) -> Path {
        Path {
            control: Control::new(algorithm, PIECE),
            rate: 12.5e6,
            queue: 500_000.0,
            lose,
            now: Duration::ZERO,
            busy_until: 0.0,
            next: 1,
            passed: 0,
            in_flight: BTreeMap::new(),
            lost: VecDeque::new(),
            under_way: VecDeque::new(),
            again: BTreeMap::new(),
            delivered: 0,
            longest_queue: 0.0,
        }
    }

    fn bytes_in_flight(&self) -> usize {
        self.in_flight.len() * PIECE
    }

    fn send(&mut self) {
        while self.control.allowance(self.now, self.bytes_in_flight(), !self.lost.is_empty()) > 0 {
            let (number, again) = match self.lost.pop_front() {
                Some(number) => (number, true),
                None => (self.next, false),
            };
            self.next += u64::from(!again);
            let in_flight = self.bytes_in_flight();
            let stamp = self.control.on_sent(self.now, number, PIECE, again, in_flight);
            self.in_flight.insert(number, stamp);
            self.again.insert(number, again);
            let now = self.now.as_secs_f64();
            let starts = self.busy_until.max(now);
            self.passed += 1;
            if (starts - now) * self.rate > self.queue {
                continue;
            }
            self.busy_until = starts + PIECE as f64 / self.rate;
            if self.lose == 0 || !self.passed.is_multiple_of(self.lose) {
                let at = Duration::from_secs_f64(self.busy_until + DELAY);
                self.under_way.push_back((at, number, again));
            }
        }
    }

    fn acknowledge(&mut self, number: u64) {
        let in_flight = self.bytes_in_flight();
        self.control.begin(self.now, in_flight);
        if let Some(stamp) = self.in_flight.remove(&number) {
            let again = self.again.get(&number).copied().unwrap_or(false);
            self.control.on_acked(number, &stamp, PIECE, again, false);
            self.delivered += PIECE;
        }
        self.look_for_losses();
        let in_flight = self.bytes_in_flight();
        self.control.finish(self.now, in_flight);
    }

    fn look_for_losses(&mut self) {
        while let Some(number) =
            self.control.next_lost(0, |number| Some((*self.in_flight.get(&number)?, PIECE)))
        {
            self.in_flight.remove(&number);
            self.lost.push_back(number);
        }
    }

    /// Gives Mbit/s.
    fn run(&mut self, seconds: u32) -> f64 {
        let (end, before) = (self.now + Duration::from_secs(seconds.into()), self.delivered);
        self.send();
        while let Some(at) =
            self.under_way.front().map(|front| front.0).into_iter().chain(self.control.next_timeout()).min()
        {
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            while self.under_way.front().is_some_and(|front| front.0 <= self.now) {
                if let Some((_, number, _)) = self.under_way.pop_front() {
                    self.acknowledge(number);
                }
            }
            let due = self.control.handle_timeout(self.now);
            if due.losses {
                let in_flight = self.bytes_in_flight();
                self.control.begin(self.now, in_flight);
                self.look_for_losses();
                let in_flight = self.bytes_in_flight();
                self.control.finish(self.now, in_flight);
            }
            self.send();
            self.longest_queue = (self.busy_until - self.now.as_secs_f64()).max(self.longest_queue);
        }
        self.now = end;
        (self.delivered - before) as f64 * 8e-6 / f64::from(seconds)
    }
}

#[test]
fn without_loss_both_fill_the_path_and_do_the_same() {
    let [cubic, tolerant] = [Algorithm::Cubic, Algorithm::Tolerant].map(|algorithm| {
        let mut path = Path::new(algorithm, 0);
        path.run(2);
        path.run(8)
    });
    assert!(cubic > 95.0, "{cubic}");
    assert!((cubic - tolerant).abs() < 0.01, "{cubic} {tolerant}");
}

#[test]
fn one_per_cent_slows_cubic_down_and_not_the_tolerant_one() {
    let [cubic, tolerant] =
        [Algorithm::Cubic, Algorithm::Tolerant].map(|algorithm| Path::new(algorithm, 100).run(10));
    assert!(cubic < 15.0, "{cubic}");
    assert!(tolerant > 65.0, "{tolerant}");
}

#[test]
fn what_loses_far_more_than_two_per_cent_is_not_tolerated() {
    let mut path = Path::new(Algorithm::Tolerant, 12);
    path.run(10);
    let report = path.control.report();
    assert!(report.reductions > 20, "{report:?}");
    assert!(report.tolerated < report.lost / 4, "{report:?}");
}

#[test]
fn a_long_queue_is_cut() {
    let mut path = Path::new(Algorithm::Tolerant, 0);
    path.queue = 1e8;
    path.run(10);
    path.longest_queue = 0.0;
    path.run(20);
    assert!(path.control.report().caps > 0);
    assert!(path.longest_queue < 0.25, "{}", path.longest_queue);
}

#[test]
fn a_timeout_clears_the_debt_of_the_pacer() {
    let mut path = Path::new(Algorithm::Tolerant, 0);
    path.run(2);
    for number in 0..1000 {
        path.control.on_sent(path.now, 1_000_000 + number, PIECE, true, 1_000_000);
    }
    path.control.on_timeout(path.now);
    assert_eq!(path.control.allowance(path.now, 0, true), PIECE);
    assert_eq!(path.control.window(), PIECE);
}

#[test]
fn timeouts_in_a_row_are_one_event() {
    let mut path = Path::new(Algorithm::Tolerant, 0);
    path.run(2);
    path.control.on_timeout(path.now);
    let threshold = path.control.report().threshold;
    path.control.on_timeout(path.now + MS * 400);
    path.control.on_timeout(path.now + MS * 1400);
    assert_eq!(path.control.report().threshold, threshold);
}

#[test]
fn where_nothing_was_measured_a_loss_is_not_tolerated() {
    let mut control = Control::new(Algorithm::Tolerant, PIECE);
    let stamps: Vec<Stamp> =
        (1..=8).map(|number| control.on_sent(MS, number, PIECE, true, PIECE * number as usize)).collect();
    control.begin(MS * 100, PIECE * 8);
    // Sent again, all of them: no round trip can be measured.
    control.on_acked(8, &stamps[7], PIECE, true, false);
    while control.next_lost(0, |number| Some((*stamps.get(number as usize - 1)?, PIECE))).is_some() {}
    control.begin(MS * 300, PIECE * 7);
    while control.next_lost(0, |number| Some((*stamps.get(number as usize - 1)?, PIECE))).is_some() {}
    control.finish(MS * 300, 0);
    let report = control.report();
    assert_eq!((report.tolerated, report.reductions), (0, 1), "{report:?}");
}

#[test]
fn a_peer_that_acknowledges_everything_at_once_does_not_make_the_window_grow_for_ever() {
    let mut control = Control::new(Algorithm::Tolerant, PIECE);
    let mut number = 0;
    for round in 1..40 {
        let now = MS * round * 50;
        let mut stamps = Vec::new();
        while stamps.len() * PIECE < control.window() {
            number += 1;
            stamps.push((number, control.on_sent(now, number, PIECE, false, stamps.len() * PIECE)));
        }
        control.begin(now + MS, stamps.len() * PIECE);
        for (number, stamp) in &stamps {
            control.on_acked(*number, stamp, PIECE, false, false);
        }
        control.finish(now + MS, 0);
    }
    assert_eq!(control.window(), MAX_PACKETS * PIECE);
}

#[test]
fn a_small_message_does_not_wait_for_another_one() {
    let mut control = Control::new(Algorithm::Tolerant, PIECE);
    control.on_sent(MS, 1, 50, false, 0);
    control.on_timeout(MS * 400);
    control.on_sent(MS * 400, 1, 50, true, 0);
    assert_eq!(control.allowance(MS * 401, 50, false), PIECE);
}

#[test]
fn a_lost_tail_is_probed_for_a_few_times() {
    let mut control = Control::new(Algorithm::Tolerant, PIECE);
    control.on_sent(MS, 1, PIECE, false, 0);
    let mut probes = 0;
    while let Some(at) = control.next_timeout() {
        assert!(control.handle_timeout(at).probe);
        control.on_probe(at);
        assert_eq!(control.allowance(at, PIECE, true), PIECE * (INITIAL_PACKETS - 1));
        control.on_sent(at, 1, PIECE, true, 0);
        probes += 1;
    }
    assert_eq!(probes, MAX_PROBES);
}
