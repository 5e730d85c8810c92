//! How much the path carries: an estimate from the arrival of packets.
//!
//! Feedback says when each packet arrived. Delays that grow mean a queue: [`trendline`] sees it, [`rate`] answers it and
//! lets it drain. Losses count where they come with the rate: [`loss`]. [`probe`] tries more when more is wanted. Without
//! such feedback the receiver reports alone decide: [`reports`].
//!
//! The rate grows to 1.5 times what has arrived and 50 kbit/s at most. Bytes are those of whole datagrams.

mod alr;
mod arrival;
mod delivered;
mod history;
mod loss;
mod probe;
mod rate;
mod reports;
mod trendline;

use std::time::{Duration, Instant};

use alr::Sending;
use arrival::{Groups, Smallest};
use delivered::Delivered;
use history::{History, News};
use loss::Losses;
pub use probe::Probe;
use probe::{Conditions, Probes};
use rate::{Known, Rate};
use reports::Reports;
use trendline::{Trend, Usage};

/// Bits a second that any estimate keeps to.
pub const MIN: u32 = 30_000;
pub const MAX: u32 = 1_000_000_000;
/// Rate of the pacer at most, by the target.
const PACING: f64 = 2.5;
/// The same while a queue drains, or packets are lost: the path's queue has no room for bursts.
const GENTLE: f64 = 1.25;
/// Seconds over which arrivals are counted: as a rule, and when a queue grows.
const WINDOW: f64 = 0.5;
const RECENT: f64 = 0.15;
/// Seconds. A queue that is shorter does not keep from probing.
const CALM: f64 = 0.025;
/// The queue is what the quickest of so many packets waited: jitter is not the same for all of them.
const LATEST: usize = 3;
/// A queue this long that grows is too much, whatever the trend says; and by how much it grows between two feedbacks.
const LONG: f64 = 0.1;
const GROWS: f64 = 0.03;
/// Seconds without feedback, in addition to two round trips, after which half is sent.
const SILENCE: f64 = 1.0;
/// After this long without feedback, reports alone decide.
const GONE: f64 = 10.0;
/// An estimate that a probe does not reach by more than this was too high.
const MISSED: f64 = 0.9;

#[derive(Debug)]
pub struct Estimate {
    begun: Instant,
    history: History,
    delivered: Delivered,
    groups: Groups,
    shortest: Smallest,
    /// How long the latest packets were under way, on two clocks.
    ways: [f64; LATEST],
    /// When the newest packet of those that arrived was sent, and all bits that had been sent by then.
    newest: f64,
    newest_total: f64,
    trend: Trend,
    rate: Rate,
    losses: Losses,
    probes: Probes,
    sending: Sending,
    reports: Reports,
    remb: Option<f64>,
    demand: f64,
    round_trip: f64,
    /// Seconds that the path's queue is long.
    queue: f64,
    /// When the last feedback came.
    heard: Option<f64>,
    /// When the first packet after it left; or after half was taken for want of feedback.
    unanswered: Option<f64>,
    /// The estimate before there was silence, which goes on.
    before_silence: Option<f64>,
}

impl Estimate {
    /// `start`: bits a second to begin with.
    pub fn new(now: Instant, start: u32) -> Estimate {
        Estimate {
            begun: now,
            history: History::default(),
            delivered: Delivered::default(),
            groups: Groups::default(),
            shortest: Smallest::default(),
            ways: [f64::INFINITY; LATEST],
            newest: 0.0,
            newest_total: 0.0,
            trend: Trend::default(),
            rate: Rate::new(f64::from(start.clamp(MIN, MAX))),
            losses: Losses::default(),
            probes: Probes::default(),
            sending: Sending::default(),
            reports: Reports::default(),
            remb: None,
            demand: 0.0,
            round_trip: 0.1,
            queue: 0.0,
            heard: None,
            unanswered: None,
            before_silence: None,
        }
    }

    // --- reports ----------------------------------------------------------------------------------------------------

    /// The peer's own limit (REMB); 0: it has not set one.
    pub fn set_remb(&mut self, bits: u64) {
        self.remb = (bits > 0).then_some(bits as f64);
    }

    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip.as_secs_f64().min(2.0);
    }

    /// Bits a second that the encoders would send if they might.
    pub fn set_demand(&mut self, bits: u32) {
        self.demand = f64::from(bits);
    }

    /// A packet has left. `probe`: the id that the pacer gave with it.
    pub fn sent(&mut self, now: Instant, number: u64, bytes: usize, probe: Option<u32>) {
        let (now, bits) = (self.seconds(now), bytes as f64 * 8.0);
        self.history.push(number, now, bits, probe);
        self.sending.add(now, bits);
        if let Some(id) = probe {
            self.probes.sent(id, now, bits);
        }
        self.unanswered.get_or_insert(now);
    }

    /// Take feedback: a number, and when it arrived on the peer's clock; None: it has not.
    pub fn feedback(&mut self, now: Instant, packets: &[(u64, Option<Duration>)]) {
        let now = self.seconds(now);
        let mut is_news = false;
        for (number, arrival) in packets {
            let Some(news) = self.history.settle(*number, arrival.is_some()) else { continue };
            is_news = true;
            match (news, arrival) {
                (News::Arrived { packet, late }, Some(arrival)) => {
                    let arrival = arrival.as_secs_f64();
                    if late {
                        self.losses.found();
                    } else {
                        self.losses.add(packet.sent, packet.bits, false);
                    }
                    self.delivered.add(arrival, packet.bits);
                    if let Some(id) = packet.probe {
                        self.probes.arrived(id, arrival, packet.bits);
                    }
                    if let Some(delta) = self.groups.add(packet.sent, arrival) {
                        self.trend.add(delta);
                    }
                    self.newest = self.newest.max(packet.sent);
                    self.newest_total = self.newest_total.max(packet.total);
                    self.ways.rotate_left(1);
                    self.ways[LATEST - 1] = arrival - packet.sent;
                }
                (News::Missing { packet }, _) => self.losses.add(packet.sent, packet.bits, true),
                (News::Arrived { .. }, None) => {}
            }
        }
        if !is_news {
            return;
        }
        (self.heard, self.unanswered) = (Some(now), None);
        if let Some(before) = self.before_silence.take() {
            self.probes.try_again(before);
        }
        let way = self.ways.iter().copied().fold(f64::INFINITY, f64::min);
        let before = std::mem::replace(&mut self.queue, self.shortest.above(now, way));
        let is_long = self.queue > LONG && self.queue > before + GROWS;
        let usage = if is_long { Usage::Over } else { self.trend.usage() };
        self.judge(now, usage);
    }

    fn judge(&mut self, now: f64, usage: Usage) {
        let known = Known {
            now,
            usage,
            delivered: self.delivered.rate(WINDOW),
            recent: self.delivered.rate(RECENT),
            flying: self.history.total() - self.newest_total,
            round_trip: self.round_trip,
            newest: self.newest,
            is_idle: self.sending.is_idle(now, self.rate.target()),
            is_open: self.queue < CALM && self.losses.limit().is_none(),
        };
        self.rate.update(&known);
        if let Some(proof) = self.probes.result() {
            // One that was only sent slowly, because the computer is busy, says nothing against the path.
            if proof.is_full && proof.rate < MISSED * self.rate.estimate() && known.is_idle {
                self.rate.cap_by_path(proof.rate);
            } else if known.usage != Usage::Over && !self.rate.is_draining() {
                self.rate.prove(proof.rate, proof.is_full);
            }
        }
        if let Some(limit) = self.losses.limit() {
            self.rate.cap_by_path(limit);
        }
        self.bound();
    }

    /// A receiver report: parts of 256 that were lost. It counts where no feedback comes.
    pub fn report(&mut self, now: Instant, lost: u8) {
        let now = self.seconds(now);
        if self.heard.is_some_and(|heard| now - heard < GONE) {
            return;
        }
        let (estimate, sent) = (self.rate.estimate(), self.sending.rate(now));
        let estimate = self.reports.update(now, estimate, sent, f64::from(lost) / 256.0, self.round_trip);
        self.rate.cap(estimate);
        self.rate.prove(estimate, false);
        self.bound();
    }

    /// The estimate itself keeps to the bounds, or it would take long to leave them.
    fn bound(&mut self) {
        self.rate.cap(MAX.into());
        self.rate.prove(MIN.into(), false);
    }

    // --- answers ----------------------------------------------------------------------------------------------------

    /// Bits a second that may be sent, audio and repairs included.
    pub fn target(&self) -> u32 {
        self.rate.target().min(self.limit()).max(MIN.into()) as u32
    }

    /// Bits a second that the peer takes, and any path.
    fn limit(&self) -> f64 {
        self.remb.unwrap_or(f64::INFINITY).min(MAX.into())
    }

    /// Bits a second for the pacer: bursts may be as fast as the path carries them, and a little faster than the mean.
    pub fn pace(&self) -> u32 {
        let target = f64::from(self.target());
        let is_gentle = self.rate.is_draining() || self.losses.is_lossy();
        let burst = if is_gentle { 0.0 } else { self.rate.capacity().unwrap_or(f64::INFINITY) };
        burst.clamp(GENTLE * target, PACING * target).min(f64::from(u32::MAX)) as u32
    }

    /// A probe to send now.
    pub fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        let conditions = self.conditions(self.seconds(now));
        self.probes.poll(&conditions)
    }

    /// When [`Estimate::handle_timeout`] and [`Estimate::poll_probe`] are due.
    pub fn timeout(&self) -> Option<Instant> {
        let now = self.history.newest().unwrap_or(0.0);
        let conditions = self.conditions(now);
        // Without calm the next feedback decides.
        let probe = self.probes.due(&conditions).filter(|_| conditions.is_calm);
        let next = [self.silent_at(), probe].into_iter().flatten().reduce(f64::min)?;
        Some(self.begun + Duration::from_secs_f64(next.max(0.0)))
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.seconds(now);
        if self.silent_at().is_some_and(|at| at <= now) {
            self.unanswered = None;
            self.before_silence.get_or_insert(self.rate.estimate());
            self.rate.cap((self.rate.estimate() / 2.0).max(MIN.into()));
        }
    }

    fn conditions(&self, now: f64) -> Conditions {
        Conditions {
            now,
            estimate: self.rate.estimate(),
            demand: self.demand,
            max: self.limit(),
            is_calm: self.trend.usage() == Usage::Normal
                && self.queue < CALM
                && !self.rate.is_draining()
                && self.before_silence.is_none(),
            is_answered: self.heard.is_some(),
            lowered: self.rate.lowered(),
        }
    }

    /// When the feedback will have been missed; None: it never came, or nothing was sent since. A pause in sending is no
    /// silence of the peer: its time counts from the first packet after it.
    fn silent_at(&self) -> Option<f64> {
        self.heard?;
        Some(self.unanswered? + SILENCE + 2.0 * self.round_trip)
    }

    fn seconds(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.begun).as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
