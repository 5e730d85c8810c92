//! Feedback of a peer, true or not, to an estimate and its pacer.
//!
//! An input is a list of `[what] [number, relative] [value, 2 bytes] [count]`; [`record`] writes one.

use std::time::{Duration, Instant};

use adieu_engine::rtp::bwe::{Estimate, MAX, MIN};
use adieu_engine::rtp::pacer::{Class, Pacer};

/// Kinds of records. Packets of so many bytes leave. Feedback names numbers that arrived so many ticks of 250 µs after each
/// other, or that are missing. The others: a pause in ms, a report, a REMB, a demand, a frame.
pub const SEND: u8 = 0;
pub const ARRIVED: u8 = 1;
pub const MISSING: u8 = 2;
pub const PAUSE: u8 = 3;
pub const REPORT: u8 = 4;
pub const REMB: u8 = 5;
pub const DEMAND: u8 = 6;
pub const FRAME: u8 = 7;
/// A flag: numbers and times are far away.
pub const FAR: u8 = 8;

const HEAD: usize = 5;
/// More than this waits in no pacer.
const BOUND: usize = 8 << 20;

/// One record of an input.
pub fn record(what: u8, number: i8, value: u16, count: u8) -> Vec<u8> {
    let value = value.to_be_bytes();
    vec![what, number as u8, value[0], value[1], count]
}

struct Sender {
    now: Instant,
    estimate: Estimate,
    pacer: Pacer<usize>,
    number: u64,
    arrival: Duration,
}

/// Nothing panics, rates keep to their bounds and what waits is bounded. The last target.
pub fn estimate(mut data: &[u8]) -> u32 {
    let now = Instant::now();
    let estimate = Estimate::new(now, 300_000);
    let pacer = Pacer::new(now, estimate.pace());
    let arrival = Duration::from_secs(1000);
    let mut sender = Sender { now, estimate, pacer, number: 0, arrival };
    sender.estimate.set_demand(5_000_000);
    while let Some((head, rest)) = data.split_at_checked(HEAD) {
        data = rest;
        sender.take(head[0], head[1] as i8, u16::from_be_bytes([head[2], head[3]]), head[4]);
        sender.turn();
    }
    sender.estimate.target()
}

impl Sender {
    fn take(&mut self, what: u8, number: i8, value: u16, count: u8) {
        let is_far = what & FAR != 0;
        match what & 7 {
            SEND => {
                for _ in 0..count {
                    self.now += Duration::from_micros(u64::from(number.unsigned_abs()) * 100);
                    self.sent(usize::from(value), None);
                }
            }
            ARRIVED | MISSING => self.feedback(what & 7 == ARRIVED, is_far, number, value, count),
            PAUSE => self.now += Duration::from_millis(u64::from(value) << if is_far { 8 } else { 0 }),
            REPORT => {
                self.estimate.set_round_trip(Duration::from_millis(value.into()));
                self.estimate.report(self.now, count);
            }
            REMB => self.estimate.set_remb(u64::from(value) << (count % 64)),
            DEMAND => self.estimate.set_demand(u32::from(value) << (count % 16)),
            _ => {
                for _ in 0..count {
                    let class = match number & 3 {
                        0 => Class::Repair,
                        1 => Class::Audio,
                        key => {
                            Class::Video { stream: u64::from(value & 3), frame: self.number, key: key == 2 }
                        }
                    };
                    self.pacer.push(self.now, class, usize::from(value), usize::from(value));
                }
            }
        }
    }

    fn sent(&mut self, bytes: usize, probe: Option<u32>) {
        self.number += 1;
        self.estimate.sent(self.now, self.number, bytes, probe);
    }

    fn feedback(&mut self, arrived: bool, is_far: bool, number: i8, value: u16, count: u8) {
        let mut first = self.number.wrapping_add_signed(i64::from(number));
        if is_far {
            first = first.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.arrival = Duration::from_secs(u64::from(value) << 40 | u64::from(count));
        }
        let one = |index: u8| {
            let at = self.arrival + Duration::from_micros(250) * u32::from(value) * (u32::from(index) + 1);
            (first.wrapping_add(index.into()), arrived.then_some(at))
        };
        let packets: Vec<_> = (0..count).map(one).collect();
        self.arrival = packets.iter().filter_map(|(_, at)| *at).max().unwrap_or(self.arrival);
        self.estimate.feedback(self.now, &packets);
    }

    /// Act as a sender does after each of them.
    fn turn(&mut self) {
        if self.estimate.timeout().is_some_and(|at| at <= self.now) {
            self.estimate.handle_timeout(self.now);
        }
        if let Some(probe) = self.estimate.poll_probe(self.now) {
            assert!(f64::from(probe.rate) <= 1e9 && probe.bytes <= 10_000_000, "{probe:?}");
            self.pacer.probe(self.now, probe);
        }
        let (target, pace) = (self.estimate.target(), self.estimate.pace());
        assert!((MIN..=MAX).contains(&target), "{target}");
        assert!(pace >= target, "{pace} {target}");
        self.pacer.set_rate(self.now, pace);
        for _ in 0..100 {
            if let Some(bytes) = self.pacer.padding(self.now) {
                self.pacer.push(self.now, Class::Padding, bytes.min(255), bytes.min(255));
            }
            let Some((_, bytes, probe)) = self.pacer.pop(self.now) else { break };
            self.sent(bytes, probe);
        }
        while self.pacer.pop_dropped().is_some() || self.pacer.overflowed(self.now).is_some() {}
        assert!(self.pacer.queued_bytes() <= BOUND);
    }
}
