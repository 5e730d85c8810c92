//! Short bursts at a higher rate: do they come through?

/// Seconds that a probe lasts, its least bytes, and how long a queue it may make where nothing of it comes through: of
/// the rate that is proven.
const LENGTH: f64 = 0.015;
const FEWEST_BYTES: f64 = 3_000.0;
const LONGEST_QUEUE: f64 = 0.08;
/// The first probe, and each later one, is so many times the estimate.
const FIRST: f64 = 3.0;
const NEXT: f64 = 2.0;
/// A probe that proved so much of its rate is followed by another one at once.
const GOES_ON: f64 = 0.7;
/// One that proved so many times the estimate is followed too: a busy computer sends it slower than it should.
const PROGRESS: f64 = 1.2;
/// Seconds between probes that do not follow each other, and since a queue grew.
const PAUSE: f64 = 5.0;
/// Seconds after which no answer will come.
const ANSWER: f64 = 1.5;
/// Part of a probe that has to arrive.
const ENOUGH: f64 = 0.8;
/// A probe that came so much faster than it was sent was held back: its rate is chance.
const TOO_FAST: f64 = 2.0;
/// Slower than this part of how it was sent: the path was full.
const FULL: f64 = 0.9;
const OF_FULL: f64 = 0.95;
/// Without a demand that is so much higher there are no probes.
const WANTED: f64 = 1.05;

/// A probe: so many bytes at that rate, with its id on each packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    pub id: u32,
    /// Bits a second.
    pub rate: u32,
    pub bytes: usize,
}

/// Times in seconds, rates in bits a second.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    pub now: f64,
    pub estimate: f64,
    pub demand: f64,
    pub max: f64,
    /// The path has no queue, and no queue grows.
    pub is_calm: bool,
    /// Feedback has come. Without it the first probe is the last one.
    pub is_answered: bool,
    /// When a queue grew last.
    pub lowered: Option<f64>,
}

/// Proof by a probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proof {
    pub rate: f64,
    /// The path was full.
    pub is_full: bool,
}

#[derive(Debug, Default)]
pub struct Probes {
    next_id: u32,
    last: Option<f64>,
    /// The rate of the one that follows at once.
    follow: Option<f64>,
    running: Option<Cluster>,
}

#[derive(Debug)]
struct Cluster {
    probe: Probe,
    begun: f64,
    estimate: f64,
    /// When the one before it was sent.
    before: Option<f64>,
    sent: Span,
    arrived: Span,
}

/// Packets on one clock.
#[derive(Debug, Default)]
struct Span {
    bits: f64,
    first: Option<(f64, f64)>,
    last: (f64, f64),
}

impl Span {
    fn add(&mut self, at: f64, bits: f64) {
        self.bits += bits;
        if self.first.is_none_or(|(first, _)| at < first) {
            self.first = Some((at, bits));
        }
        if at >= self.last.0 || self.last.1 == 0.0 {
            self.last = (at, bits);
        }
    }

    /// Seconds from the first to the last.
    fn length(&self) -> f64 {
        self.first.map_or(0.0, |(first, _)| self.last.0 - first)
    }
}

impl Probes {
    /// When one may be due; None: nobody wants it.
    pub fn due(&self, conditions: &Conditions) -> Option<f64> {
        let Conditions { estimate, demand, max, lowered, .. } = *conditions;
        if demand < WANTED * estimate || max < WANTED * estimate {
            return None;
        }
        if self.last.is_some() && !conditions.is_answered {
            return None;
        }
        if let Some(cluster) = &self.running {
            return Some(cluster.begun + ANSWER);
        }
        if self.follow.is_some() {
            return Some(conditions.now);
        }
        let pauses = [self.last, lowered].into_iter().flatten().map(|at| at + PAUSE);
        Some(pauses.fold(0.0, f64::max))
    }

    /// Try this rate as soon as there is calm.
    pub fn try_again(&mut self, rate: f64) {
        self.follow = Some(rate);
    }

    pub fn poll(&mut self, conditions: &Conditions) -> Option<Probe> {
        let Conditions { now, estimate, demand, max, is_calm, .. } = *conditions;
        if let Some(cluster) = self.running.take_if(|cluster| now >= cluster.begun + ANSWER)
            && !cluster.is_sent()
        {
            // There was not enough to send: it is as if it had not been.
            self.last = cluster.before;
        }
        let is_due = self.due(conditions).is_some_and(|at| at <= now) && self.running.is_none();
        let follow = self.follow.take();
        if !is_due || !is_calm {
            return None;
        }
        let times = if self.last.is_none() { FIRST } else { NEXT };
        let rate = follow.unwrap_or(times * estimate).min(max).min(NEXT * demand);
        let longest = LONGEST_QUEUE * estimate / 8.0;
        let bytes = (rate * LENGTH / 8.0).max(FEWEST_BYTES).min(longest);
        let probe = Probe { id: self.next_id, rate: rate as u32, bytes: bytes as usize };
        self.next_id = self.next_id.wrapping_add(1);
        let before = self.last.replace(now);
        let (sent, arrived) = (Span::default(), Span::default());
        self.running = Some(Cluster { probe, begun: now, estimate, before, sent, arrived });
        Some(probe)
    }

    fn running(&mut self, id: u32) -> Option<&mut Cluster> {
        self.running.as_mut().filter(|cluster| cluster.probe.id == id)
    }

    pub fn sent(&mut self, id: u32, now: f64, bits: f64) {
        if let Some(cluster) = self.running(id) {
            cluster.sent.add(now, bits);
        }
    }

    pub fn arrived(&mut self, id: u32, at: f64, bits: f64) {
        if let Some(cluster) = self.running(id) {
            cluster.arrived.add(at, bits);
        }
    }

    /// Give the result of the probe, once.
    pub fn result(&mut self) -> Option<Proof> {
        let cluster = self.running.as_ref()?;
        if !cluster.is_sent() || cluster.arrived.bits < cluster.planned() {
            return None;
        }
        let proof = cluster.proof();
        let enough = (GOES_ON * f64::from(cluster.probe.rate)).min(PROGRESS * cluster.estimate);
        let goes_on = proof.filter(|proof| !proof.is_full && proof.rate >= enough);
        self.follow = goes_on.map(|proof| NEXT * proof.rate);
        self.running = None;
        proof
    }
}

impl Cluster {
    /// Bits that are enough.
    fn planned(&self) -> f64 {
        ENOUGH * self.probe.bytes as f64 * 8.0
    }

    fn is_sent(&self) -> bool {
        self.sent.bits >= self.planned()
    }

    fn proof(&self) -> Option<Proof> {
        let sent = (self.sent.bits - self.sent.last.1) / self.sent.length();
        let (_, first) = self.arrived.first?;
        let arrived = (self.arrived.bits - first) / self.arrived.length();
        if !sent.is_finite() || sent <= 0.0 || arrived.is_nan() || arrived <= 0.0 || arrived > TOO_FAST * sent
        {
            return None;
        }
        let is_full = arrived < FULL * sent;
        let rate = if is_full { OF_FULL * arrived } else { arrived.min(sent) };
        Some(Proof { rate: rate.min(f64::from(self.probe.rate)), is_full })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(now: f64, estimate: f64) -> Conditions {
        Conditions { now, estimate, demand: 1e9, max: 1e9, is_calm: true, is_answered: true, lowered: None }
    }

    /// Send a probe in packets of 250 bytes, and let it arrive at `rate` at most.
    fn run(probes: &mut Probes, probe: Probe, now: f64, rate: f64) {
        let mut free = 0.0f64;
        for index in 0..probe.bytes.div_ceil(250) {
            let at = now + index as f64 * 2000.0 / f64::from(probe.rate);
            probes.sent(probe.id, at, 2000.0);
            free = free.max(at) + 2000.0 / rate;
            probes.arrived(probe.id, 1000.0 + free, 2000.0);
        }
    }

    #[test]
    fn probes_follow_each_other_until_the_path_is_full() {
        let mut probes = Probes::default();
        let (mut now, mut estimate, mut rates) = (0.0, 3e5, Vec::new());
        while let Some(probe) = probes.poll(&conditions(now, estimate)) {
            run(&mut probes, probe, now, 2e6);
            let proof = probes.result().expect("a result");
            assert_eq!(probes.result(), None);
            estimate = proof.rate;
            rates.push((f64::from(probe.rate) / 1e5).round());
            now += 0.1;
        }
        assert_eq!(rates, [9.0, 18.0, 36.0]);
        assert!((1.8e6..2.0e6).contains(&estimate), "{estimate}");
        assert_eq!(probes.poll(&conditions(now + PAUSE - 0.3, estimate)), None);
        assert!(probes.poll(&conditions(now + PAUSE, estimate)).is_some());
    }

    #[test]
    fn nobody_probes_for_nothing_into_a_queue_or_after_one() {
        let mut probes = Probes::default();
        let calm = conditions(100.0, 1e6);
        assert_eq!(probes.poll(&Conditions { demand: 1e6, ..calm }), None);
        assert_eq!(probes.poll(&Conditions { max: 1e6, ..calm }), None);
        assert_eq!(probes.poll(&Conditions { is_calm: false, ..calm }), None);
        assert_eq!(
            Probes { last: Some(1.0), ..Probes::default() }.poll(&Conditions { is_answered: false, ..calm }),
            None
        );
        assert_eq!(probes.poll(&Conditions { lowered: Some(96.0), ..calm }), None);
        assert!(probes.poll(&calm).is_some());
    }

    #[test]
    fn a_probe_that_is_lost_or_held_back_proves_nothing() {
        let mut probes = Probes::default();
        let probe = probes.poll(&conditions(0.0, 3e5)).expect("a probe");
        for index in 0..12 {
            probes.sent(probe.id, f64::from(index) * 0.002, 2000.0);
            if index < 8 {
                probes.arrived(probe.id, f64::from(index) * 0.002, 2000.0);
            }
        }
        assert_eq!(probes.result(), None);
        assert_eq!(probes.poll(&conditions(1.0, 3e5)), None, "it may still come");
        let probe = probes.poll(&conditions(6.0, 3e5)).expect("the next one");
        for index in 0..12 {
            probes.sent(probe.id, f64::from(index) * 0.002, 2000.0);
            probes.arrived(probe.id, 50.0, 2000.0);
        }
        assert_eq!(probes.result(), None);
    }

    #[test]
    fn where_nothing_of_it_comes_through_the_queue_is_short() {
        for estimate in [3e4, 3e5, 1e6, 1e8] {
            let probe = Probes::default().poll(&conditions(0.0, estimate)).expect("a probe");
            assert!(probe.bytes as f64 * 8.0 <= 0.1 * estimate, "{estimate}: {probe:?}");
        }
    }
}
