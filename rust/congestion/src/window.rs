//! How much may be in flight: CUBIC (RFC 9438) with the delay exit of HyStart (RFC 9406) and proportional rate
//! reduction (RFC 6937), and the rule of the tolerant controller.
//!
//! The rule: a loss does not slow us down while no queue is seen and not significantly more than [`TOLERATED`] is lost.
//! A queue is seen by round trips that are longer than the shortest. A round without a measured round trip says
//! nothing: then there is no "no queue".

use std::time::Duration;

use crate::flight::{Loss, Sample};
use crate::{Algorithm, INITIAL_PACKETS, MAX_PACKETS, Report};

/// The part that a path may lose by itself.
const TOLERATED: f64 = 0.02;
/// A queue this long, for a whole round trip, is cut.
const LONG_QUEUE: f64 = 0.100;
/// The queue that is left then.
const SHORT_QUEUE: f64 = 0.020;
/// Cuts in a row: if the queue stays then it is somebody else's.
const MAX_CUTS: u32 = 2;
/// A round with a queue of 4 ms has one: CoDel drops where 5 ms waited for 100 ms, and those losses are the load's.
const SEEN_QUEUE: f64 = 0.004;
/// Round trips of a round before its shortest says something.
const ENOUGH: u32 = 8;
/// RFC 9438 section 4.6.
const BETA: f64 = 0.7;
/// RFC 9438 section 4.1: packets a second to the third.
const C: f64 = 0.4;
/// RFC 9438 section 4.3: as fast as Reno, with this BETA.
const RENO: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// The shortest round trip is that of the last 15 to 30 s: a path may change.
const PATH_TIME: f64 = 15.0;
/// Rounds after a tolerated loss in which room that is free is taken faster than CUBIC takes it.
const TAKE_ROUNDS: u32 = 32;
/// Rounds without a queue before that.
const QUIET_ROUNDS: u32 = 3;
/// Rounds in which the fastest delivery is remembered: this many to twice as many.
const RATE_ROUNDS: u32 = 8;

/// One acknowledgement, or the time for losses. Sizes are bytes, times seconds.
pub struct News<'a> {
    pub now: f64,
    pub acked: f64,
    /// In all.
    pub delivered: u64,
    pub lost: u64,
    pub losses: &'a [Loss],
    /// When the newest piece that has arrived was sent.
    pub newest_sent: f64,
    pub rtt: Option<f64>,
    /// 0: never measured.
    pub smoothed: f64,
    pub sample: Option<Sample>,
    /// In flight before and after.
    pub before: f64,
    pub in_flight: f64,
}

pub struct Window {
    algorithm: Algorithm,
    packet: f64,
    size: f64,
    threshold: f64,
    curve: Curve,
    recovery: Option<Recovery>,
    /// Pieces that were sent before this are of the time before the last reduction.
    reduced_at: f64,
    rounds: Rounds,
    part: Option<Part>,
    path: Path,
    tolerance: Tolerance,
    last: f64,
    reductions: u64,
    timeouts: u64,
}

/// CUBIC's curve.
#[derive(Default)]
struct Curve {
    begun: Option<f64>,
    /// The window at the last reduction, and the time to reach it again.
    top: f64,
    time: f64,
    /// The window that Reno would have.
    reno: f64,
}

/// Proportional rate reduction.
struct Recovery {
    flight: f64,
    delivered: f64,
    sent: f64,
    window: f64,
}

#[derive(Default)]
struct Rounds {
    count: u32,
    /// The round ends when what is sent after this much was delivered has arrived.
    end: u64,
    samples: u32,
    shortest: Option<f64>,
    last_shortest: Option<f64>,
}

/// A quarter of a round in slow start.
struct Part {
    since: f64,
    samples: u32,
    shortest: f64,
}

#[derive(Default)]
struct Path {
    shortest: [Option<f64>; 2],
    since: f64,
    smoothed: f64,
    rates: [f64; 2],
    last_rate: f64,
}

#[derive(Default)]
struct Tolerance {
    quiet_rounds: u32,
    /// The round of the last loss that was tolerated.
    last: Option<u32>,
    cuts: u32,
    /// The largest window that was cut because of a queue, until it is reached again.
    cut_from: f64,
    /// The part that is lost, over thousands of packets.
    long: f64,
    long_delivered: u64,
    long_lost: u64,
    spared: u64,
    caps: u64,
}

impl Path {
    fn shortest(&self) -> Option<f64> {
        self.shortest.into_iter().flatten().reduce(f64::min)
    }

    fn measure(&mut self, now: f64, rtt: f64) {
        if now - self.since > PATH_TIME {
            self.since = now;
            self.shortest = [None, self.shortest[0]];
        }
        self.shortest[0] = Some(self.shortest[0].map_or(rtt, |shortest| shortest.min(rtt)));
    }
}

impl Window {
    pub fn new(algorithm: Algorithm, packet: usize) -> Window {
        let packet = packet as f64;
        Window {
            algorithm,
            packet,
            size: INITIAL_PACKETS as f64 * packet,
            threshold: f64::INFINITY,
            curve: Curve::default(),
            recovery: None,
            reduced_at: -1.0,
            rounds: Rounds::default(),
            part: None,
            path: Path::default(),
            tolerance: Tolerance::default(),
            last: 0.0,
            reductions: 0,
            timeouts: 0,
        }
    }

    pub fn size(&self) -> usize {
        self.recovery.as_ref().map_or(self.size, |recovery| recovery.window) as usize
    }

    /// Bytes of a round trip for the pacer: some more than the window, so that it is the window that limits.
    pub fn pace(&self) -> f64 {
        self.size * if self.size < self.threshold { 2.0 } else { 1.2 }
    }

    pub fn on_sent(&mut self, size: usize) {
        if let Some(recovery) = &mut self.recovery {
            recovery.sent += size as f64;
        }
    }

    pub fn on_timeout(&mut self, now: f64) {
        self.timeouts += 1;
        // Timeouts in a row are one event: the threshold stays what the window was before.
        if self.size > self.packet {
            self.threshold = (self.size * 0.5).max(4.0 * self.packet);
            self.curve.top = self.size;
        }
        self.size = self.packet;
        self.curve.begun = None;
        self.recovery = None;
        self.reduced_at = now;
    }

    pub fn on_news(&mut self, news: &News) {
        if news.newest_sent > self.reduced_at {
            self.recovery = None;
        }
        self.path.smoothed = news.smoothed;
        if let Some(rtt) = news.rtt {
            self.path.measure(news.now, rtt);
            self.rounds.shortest = Some(self.rounds.shortest.map_or(rtt, |shortest| shortest.min(rtt)));
            self.rounds.samples += 1;
        }
        if let Some(sample) = &news.sample {
            self.note_rate(sample);
            if sample.delivered_before >= self.rounds.end {
                self.end_round(news, sample);
            }
        }
        self.leave_slow_start(news.now, news.rtt);
        self.note_long_loss(news);
        for loss in news.losses {
            if loss.sent_at > self.reduced_at && !self.is_tolerated(loss) {
                self.reduce(news);
            }
        }
        if self.recovery.is_some() {
            self.proceed_in_recovery(news);
        } else {
            self.grow(news);
        }
        self.size = self.size.min((MAX_PACKETS as f64) * self.packet);
        self.last = news.now;
    }

    fn note_rate(&mut self, sample: &Sample) {
        let Some(rate) = sample.rate else { return };
        self.path.last_rate = rate;
        if !sample.is_limited {
            let half = &mut self.path.rates[(self.rounds.count / RATE_ROUNDS % 2) as usize];
            *half = half.max(rate);
        }
    }

    fn end_round(&mut self, news: &News, sample: &Sample) {
        self.rounds.end = news.delivered;
        let has_queue = self.has_queue();
        if !has_queue || self.cut_has_helped() {
            self.tolerance.cuts = 0;
        }
        self.cut_long_queue(news, sample);
        // Without a measurement nothing is known.
        let is_quiet = self.rounds.samples > 0 && !has_queue;
        self.tolerance.quiet_rounds = if is_quiet { self.tolerance.quiet_rounds + 1 } else { 0 };
        self.rounds.count += 1;
        if self.rounds.count.is_multiple_of(RATE_ROUNDS) {
            self.path.rates[(self.rounds.count / RATE_ROUNDS % 2) as usize] = 0.0;
        }
        if self.rounds.samples > 0 {
            self.rounds.last_shortest = self.rounds.shortest.take();
            self.rounds.samples = 0;
        }
    }

    /// The queue of the whole round was short: it was our own, so a long one may be cut again.
    fn cut_has_helped(&self) -> bool {
        let rounds = self.rounds.shortest.zip(self.path.shortest());
        rounds.is_some_and(|(round, shortest)| round <= shortest + SHORT_QUEUE)
    }

    /// Whether the round trips of this round and the last say that something waits on the way.
    fn has_queue(&self) -> bool {
        let Some(shortest) = self.path.shortest() else { return true };
        let this = self.rounds.shortest.filter(|_| self.rounds.samples >= ENOUGH).unwrap_or(0.0);
        let rounds = self.rounds.last_shortest.unwrap_or(0.0).max(this);
        rounds > shortest + (shortest / 8.0).clamp(0.002, SEEN_QUEUE)
            || self.path.smoothed > shortest + (shortest / 5.0).clamp(0.003, 0.020)
    }

    /// A queue of [`LONG_QUEUE`] for a whole round: cut the window to the rate of the path.
    fn cut_long_queue(&mut self, news: &News, sample: &Sample) {
        let (Some(round), Some(shortest), Some(rate)) =
            (self.rounds.shortest, self.path.shortest(), sample.rate)
        else {
            return;
        };
        if self.algorithm != Algorithm::Tolerant
            || self.tolerance.cuts >= MAX_CUTS
            || round <= shortest + shortest.max(LONG_QUEUE)
            || news.newest_sent <= self.reduced_at
        {
            return;
        }
        self.tolerance.cuts += 1;
        self.tolerance.caps += 1;
        self.tolerance.cut_from = self.tolerance.cut_from.max(self.size);
        self.reduced_at = news.now;
        self.curve.begun = None;
        self.curve.top = self.size;
        let least = 4.0 * self.packet;
        self.size = (rate * (shortest + SHORT_QUEUE)).clamp(least, self.size.max(least));
        self.threshold = self.size;
    }

    /// All round trips of a quarter of a round are longer than the shortest of the last round: the queue begins to fill.
    ///
    /// RFC 9406 looks at the first round trips of a round only, and would now grow slowly for five rounds and see. On a
    /// fast and long path the queue fills and overflows within one round. Twice as long a queue as RFC 9406 asks for: a
    /// sender that comes late to a busy link has to push a little.
    fn leave_slow_start(&mut self, now: f64, rtt: Option<f64>) {
        let (Some(rtt), Some(last)) = (rtt, self.rounds.last_shortest) else { return };
        if self.size >= self.threshold {
            return;
        }
        let part = self.part.get_or_insert(Part { since: now, samples: 0, shortest: rtt });
        part.samples += 1;
        part.shortest = part.shortest.min(rtt);
        if part.samples >= ENOUGH && now - part.since >= last / 4.0 {
            if part.shortest >= last + (last / 4.0).clamp(0.008, 0.032) {
                self.threshold = self.size;
            }
            self.part = None;
        }
    }

    fn note_long_loss(&mut self, news: &News) {
        let tolerance = &mut self.tolerance;
        let delivered = (news.delivered - tolerance.long_delivered) as f64;
        if delivered > 256.0 * self.packet {
            let lost = (news.lost - tolerance.long_lost) as f64;
            tolerance.long += (lost / (lost + delivered) - tolerance.long) * 0.25;
            (tolerance.long_delivered, tolerance.long_lost) = (news.delivered, news.lost);
        }
    }

    /// Without a queue, and with as little lost as a path that loses [`TOLERATED`] may lose by chance, it is the path and
    /// not the load.
    fn is_tolerated(&mut self, loss: &Loss) -> bool {
        if self.algorithm != Algorithm::Tolerant || self.has_queue() {
            return false;
        }
        let expected = loss.in_flight / self.packet * TOLERATED;
        let lost = loss.lost_since / self.packet;
        if lost >= expected + 3.0 * expected.sqrt() + 1.5 || self.tolerance.long >= 2.0 * TOLERATED {
            return false;
        }
        self.tolerance.spared += 1;
        self.tolerance.last = Some(self.rounds.count);
        true
    }

    fn reduce(&mut self, news: &News) {
        self.reductions += 1;
        self.reduced_at = news.now;
        self.curve.begun = None;
        // RFC 9438 section 4.7: fast convergence.
        let is_lower = self.size < self.curve.top;
        self.curve.top = if is_lower { self.size * (1.0 + BETA) / 2.0 } else { self.size };
        self.threshold = (self.size * BETA).max(2.0 * self.packet);
        if self.algorithm == Algorithm::Tolerant
            && !self.has_queue()
            && let Some(shortest) = self.path.shortest()
        {
            // More is lost than tolerated, but nothing waits: not far below what the path delivers.
            let delivers = self.path.rates[0].max(self.path.rates[1]) * shortest;
            self.threshold = self.threshold.max(delivers.min(self.size * 0.9));
        }
        self.size = self.threshold;
        self.recovery =
            Some(Recovery { flight: news.before.max(1.0), delivered: 0.0, sent: 0.0, window: self.size });
    }

    fn proceed_in_recovery(&mut self, news: &News) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.delivered += news.acked;
        let more = if news.in_flight > self.threshold {
            (recovery.delivered * self.threshold / recovery.flight).ceil() - recovery.sent
        } else {
            let owed = (recovery.delivered - recovery.sent).max(news.acked).max(self.packet);
            owed.min(self.threshold - news.in_flight + self.packet)
        };
        let least = if recovery.sent == 0.0 { self.packet } else { 0.0 };
        recovery.window = news.in_flight + more.max(least);
    }

    fn grow(&mut self, news: &News) {
        if news.acked == 0.0 {
            return;
        }
        if news.before + 2.0 * self.packet < self.size * 0.9 {
            // The window was not used. That time does not count (RFC 9438 section 4.2).
            self.curve.begun = self.curve.begun.map(|begun| begun + news.now - self.last);
            return;
        }
        if self.size < self.threshold {
            self.size += news.acked;
            return;
        }
        if self.size >= self.tolerance.cut_from {
            self.tolerance.cut_from = 0.0;
        }
        let spared = self.tolerance.last.is_some_and(|last| self.rounds.count - last < TAKE_ROUNDS);
        let was_cut = self.size < self.tolerance.cut_from;
        if (spared || was_cut) && self.tolerance.quiet_rounds >= QUIET_ROUNDS && !self.has_queue() {
            // Losses without a queue hold others down here, or a queue for which we made room is gone: what nobody
            // uses is free.
            self.size += news.acked / 10.0;
            self.curve.begun = None;
            return;
        }
        self.follow_curve(news);
    }

    fn follow_curve(&mut self, news: &News) {
        let begun = *self.curve.begun.get_or_insert_with(|| {
            self.curve.top = self.curve.top.max(self.size);
            self.curve.time = ((self.curve.top - self.size) / self.packet / C).cbrt();
            self.curve.reno = self.size;
            news.now
        });
        self.curve.reno += RENO * news.acked / self.size * self.packet;
        let time = news.now - begun + news.smoothed;
        let target = C * (time - self.curve.time).powi(3) * self.packet + self.curve.top;
        let target = target.clamp(self.size, 1.5 * self.size);
        if target < self.curve.reno {
            self.size = self.size.max(self.curve.reno);
        } else {
            self.size += (target - self.size) / self.size * news.acked;
        }
    }

    pub fn report(&self, smoothed: f64) -> Report {
        let shortest = self.path.shortest();
        let queue = shortest.map_or(0.0, |shortest| (smoothed - shortest).max(0.0));
        Report {
            algorithm: self.algorithm,
            window: self.size(),
            threshold: self.threshold.is_finite().then_some(self.threshold as usize),
            delivery_rate: self.path.last_rate,
            shortest_round_trip: shortest.map(Duration::from_secs_f64),
            queue: Duration::from_secs_f64(queue),
            tolerated: self.tolerance.spared,
            reductions: self.reductions,
            caps: self.tolerance.caps,
            timeouts: self.timeouts,
            lost: 0,
            mistaken: 0,
            probes: 0,
        }
    }
}
