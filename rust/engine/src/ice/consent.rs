//! Consent and liveness of the selected pair (RFC 7675; closing rules 67 and 68).
//!
//! Our own checks, on our own clock: while idle one each 1 to 1.5 s; once one is unanswered ten each 250 ms, and then
//! one each 500 ms. So a peer that dies is missed within 2.5 to 4 s, and no bad luck on a lossy link looks like death.
//! Silence is the time since the oldest check that nothing has answered. An answer, or authenticated data, ends it;
//! consent is renewed by answers alone, and each answer counts once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use is::Sha1HmacProvider;
use is::stun::{Class, StunMessage, TransId};

use super::credentials::{Credentials, HMAC};
use crate::lines;
use crate::random::Random;
use crate::transmit::{Datagram, Route};

/// Between checks that are answered: 1 s, and up to this much more (RFC 7675 section 5.1 asks for a random part).
const INTERVAL: Duration = Duration::from_secs(1);
const INTERVAL_JITTER: f64 = 0.5;
/// Between the first checks after one that is unanswered. Nine of them fit into the 2.5 s until "disconnected". With 5 %
/// loss each way all nine are lost once in a billion times; with checks each 500 ms it would be once in 100 000.
const EAGER_RETRY: Duration = Duration::from_millis(250);
const EAGER_TRIES: u32 = 10;
/// Between later ones: a healed link is noticed within this and a round trip.
const RETRY: Duration = Duration::from_millis(500);
/// RFC 7675 section 5.1: after that, nothing may be sent on this pair.
const EXPIRY: Duration = Duration::from_secs(30);
/// Checks whose answers are still welcome: all of the time until expiry.
const MAX_OUTSTANDING: usize = 80;
/// PRIORITY of a check: that of a peer-reflexive candidate (RFC 8445 section 7.1.1).
const CHECK_PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;
const MAX_STUN: usize = 512;

/// How far the silence has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Liveness {
    Alive,
    Disconnected,
    Failed,
    /// Consent has expired, or the peer revoked it: only an ICE restart helps.
    Expired,
}

#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub disconnected_after: Duration,
    pub failed_after: Duration,
}

/// The contents of a check, besides its pair.
pub struct Asker<'a> {
    pub local: &'a Credentials,
    pub remote: &'a Credentials,
    pub is_controlling: bool,
    pub tie_breaker: u64,
}

pub struct Consent {
    timing: Timing,
    pub route: Route,
    outstanding: VecDeque<(TransId, Instant)>,
    next_check: Instant,
    unanswered_since: Option<Instant>,
    /// Checks since then.
    unanswered: u32,
    last_answer: Instant,
    revoked: bool,
    /// The local address has gone, and nothing has shown since that the pair works.
    is_cut_off: bool,
    pub counts: ConsentCounts,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct ConsentCounts {
    pub checks_sent: u64,
    pub answers: u64,
    pub round_trip: Option<Duration>,
    pub total_round_trip: Duration,
}

impl Consent {
    /// The pair was checked before: consent is as old as its last answer, and silence as its oldest open check. Else a
    /// pair that once worked would be taken for a living one when the pair before it has died.
    pub fn since(mut self, last_answer: Option<Instant>, unanswered_since: Option<Instant>) -> Consent {
        self.last_answer = last_answer.unwrap_or(self.last_answer);
        self.unanswered_since = unanswered_since;
        self
    }

    /// A pair was just selected: its check was answered a moment ago.
    pub fn new(now: Instant, timing: Timing, route: Route, jitter: f64) -> Consent {
        Consent {
            timing,
            route,
            outstanding: VecDeque::new(),
            next_check: now + interval(jitter),
            unanswered_since: None,
            unanswered: 0,
            last_answer: now,
            revoked: false,
            is_cut_off: false,
            counts: ConsentCounts::default(),
        }
    }

    pub fn liveness(&self, now: Instant) -> Liveness {
        if self.revoked || now >= self.last_answer + EXPIRY {
            return Liveness::Expired;
        }
        match self.unanswered_since.map(|since| now.saturating_duration_since(since)) {
            Some(silence) if silence >= self.timing.failed_after => Liveness::Failed,
            Some(silence) if silence >= self.timing.disconnected_after => Liveness::Disconnected,
            _ if self.is_cut_off => Liveness::Disconnected,
            _ => Liveness::Alive,
        }
    }

    /// When to call [`Consent::poll_transmit`] or [`Consent::liveness`] again.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.liveness(now) == Liveness::Expired {
            return None;
        }
        let mut next = self.next_check.min(self.last_answer + EXPIRY);
        if let Some(since) = self.unanswered_since {
            for threshold in [since + self.timing.disconnected_after, since + self.timing.failed_after] {
                if threshold > now {
                    next = next.min(threshold);
                }
            }
        }
        Some(next)
    }

    /// Whether [`Consent::poll_transmit`] has a check to send.
    pub fn check_due(&self, now: Instant) -> bool {
        now >= self.next_check && self.liveness(now) != Liveness::Expired
    }

    /// The check that is due.
    pub fn poll_transmit(&mut self, now: Instant, asker: &Asker<'_>) -> Option<Datagram> {
        if !self.check_due(now) {
            return None;
        }
        let transaction = TransId::new();
        let username = format!("{}:{}", asker.remote.ufrag, asker.local.ufrag);
        let check = StunMessage::binding_request(
            &username,
            transaction,
            asker.is_controlling,
            asker.tie_breaker,
            CHECK_PRIORITY,
            false,
        );
        let mut bytes = vec![0; MAX_STUN + username.len()];
        let key = asker.remote.pwd.as_bytes();
        let size = check.to_bytes(Some(key), &mut bytes, |key, parts| HMAC.sha1_hmac(key, parts)).ok()?;
        bytes.truncate(size);
        self.sent(now, transaction);
        Some(Datagram { route: self.route, bytes })
    }

    /// Handle an answer to a check, with the right key, from the right address. False: it is something else.
    pub fn handle_answer(
        &mut self,
        now: Instant,
        route: Route,
        message: &StunMessage<'_>,
        pwd: &str,
        random: &mut Random,
    ) -> bool {
        if !self.is_ours(message.trans_id()) || route != self.route {
            return false;
        }
        if !message.verify(pwd.as_bytes(), |key, parts| HMAC.sha1_hmac(key, parts)) {
            return false;
        }
        match message.class() {
            Class::Success => self.answered(now, message.trans_id(), random.unit()),
            Class::Failure if message.error_code().is_some_and(|(code, _)| code == 403) => {
                log::debug!(target: lines::ICE, "x {} has revoked its consent (403)", route.remote);
                self.revoke();
            }
            // A role conflict is for the agent's own checks to resolve; the peer is there all the same.
            Class::Failure => self.heard(),
            _ => return false,
        }
        true
    }

    fn sent(&mut self, now: Instant, transaction: TransId) {
        if self.outstanding.len() == MAX_OUTSTANDING {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back((transaction, now));
        if let Some(silence) = self.silence(now) {
            let seconds = silence.as_secs_f64();
            log::debug!(target: lines::ICE, "> check again: {} has not answered for {seconds:.1} s", self.route.remote);
        }
        if self.unanswered_since.is_none() {
            (self.unanswered_since, self.unanswered) = (Some(now), 0);
        }
        self.unanswered += 1;
        self.next_check = now + if self.unanswered <= EAGER_TRIES { EAGER_RETRY } else { RETRY };
        self.counts.checks_sent += 1;
    }

    /// Return the time since which a check is unanswered.
    pub fn silence(&self, now: Instant) -> Option<Duration> {
        self.unanswered_since.map(|since| now.saturating_duration_since(since))
    }

    /// Whether a check has not been answered yet.
    pub fn is_waiting(&self) -> bool {
        self.unanswered_since.is_some()
    }

    fn is_ours(&self, transaction: TransId) -> bool {
        self.outstanding.iter().any(|(ours, _)| *ours == transaction)
    }

    /// An answer to one of our checks, its integrity checked.
    fn answered(&mut self, now: Instant, transaction: TransId, jitter: f64) {
        let Some(at) = self.outstanding.iter().position(|(ours, _)| *ours == transaction) else { return };
        let (_, sent) = self.outstanding[at];
        // Older ones are answered by this one too: what is later said to them proves nothing new.
        self.outstanding.drain(..=at);
        let round_trip = now.saturating_duration_since(sent);
        self.counts.answers += 1;
        self.counts.round_trip = Some(round_trip);
        self.counts.total_round_trip += round_trip;
        if let Some(silence) = self.silence(now).filter(|silence| *silence >= RETRY) {
            let seconds = silence.as_secs_f64();
            log::debug!(target: lines::ICE, "< {} answers again after {seconds:.1} s", self.route.remote);
        }
        self.unanswered_since = None;
        self.is_cut_off = false;
        self.last_answer = now;
        self.next_check = now + interval(jitter);
    }

    /// Authenticated data came in: the peer lives. Its consent is another matter.
    #[inline]
    pub fn heard(&mut self) {
        self.unanswered_since = None;
        self.is_cut_off = false;
    }

    /// Check at once: there is a reason to doubt.
    pub fn check_soon(&mut self, now: Instant) {
        self.next_check = self.next_check.min(now);
    }

    /// The local address has gone: the pair counts as disconnected at once, until an answer shows that it works.
    pub fn cut_off(&mut self) {
        self.is_cut_off = true;
    }

    /// 403 Forbidden (RFC 7675 section 5.2), its integrity checked.
    fn revoke(&mut self) {
        self.revoked = true;
    }

    pub fn last_answer(&self) -> Instant {
        self.last_answer
    }

    pub fn may_send(&self, now: Instant) -> bool {
        self.liveness(now) != Liveness::Expired
    }
}

fn interval(jitter: f64) -> Duration {
    INTERVAL + Duration::from_secs_f64(INTERVAL_JITTER * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing =
        Timing { disconnected_after: Duration::from_millis(2500), failed_after: Duration::from_secs(15) };

    fn consent(now: Instant) -> Consent {
        let address = ([127, 0, 0, 1], 1).into();
        Consent::new(now, TIMING, Route::udp(address, address), 1.0)
    }

    /// Run without an answer until `until`; returns the times of the checks, in milliseconds.
    fn silent(consent: &mut Consent, start: Instant, until: Duration) -> Vec<u128> {
        let mut times = Vec::new();
        let mut now = start;
        while let Some(next) = consent.poll_timeout(now).filter(|next| *next <= start + until) {
            assert!(next > now, "time moves");
            now = next;
            if consent.check_due(now) {
                consent.sent(now, TransId::new());
                times.push((now - start).as_millis());
            }
        }
        times
    }

    #[test]
    fn while_idle_a_check_each_one_to_one_and_a_half_seconds() {
        let start = Instant::now();
        let mut consent = consent(start);
        let mut now = start;
        for _ in 0..10 {
            let next = consent.poll_timeout(now).expect("a check");
            let gap = next - now;
            assert!(gap >= Duration::from_secs(1) && gap <= Duration::from_millis(1500), "{gap:?}");
            now = next;
            let transaction = TransId::new();
            consent.sent(now, transaction);
            consent.answered(now, transaction, 0.5);
        }
        assert_eq!(consent.counts.answers, 10);
    }

    #[test]
    fn an_unanswered_check_is_repeated_ten_times_each_quarter_and_then_each_half_of_a_second() {
        let start = Instant::now();
        let mut consent = consent(start);
        let times = silent(&mut consent, start, Duration::from_secs(31));
        let eager: Vec<u128> = (0..11).map(|number| 1500 + 250 * number).collect();
        assert_eq!(times[..11], eager);
        assert_eq!(times[11..14], [4500, 5000, 5500]);
        assert!(times.last().is_some_and(|last| *last < 30_000));
        assert!(times.len() <= MAX_OUTSTANDING, "an answer to any of {} is welcome", times.len());
    }

    #[test]
    fn silence_is_disconnected_then_failed_then_expired() {
        let start = Instant::now();
        let mut consent = consent(start);
        silent(&mut consent, start, Duration::from_secs(31));
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        assert_eq!(consent.liveness(at(3.9)), Liveness::Alive);
        assert_eq!(consent.liveness(at(4.0)), Liveness::Disconnected);
        assert_eq!(consent.liveness(at(16.4)), Liveness::Disconnected);
        assert_eq!(consent.liveness(at(16.5)), Liveness::Failed);
        assert_eq!(consent.liveness(at(30.0)), Liveness::Expired);
        assert_eq!(consent.poll_timeout(at(30.0)), None, "closing rule 67: no check any more either");
    }

    #[test]
    fn data_keeps_it_alive_but_does_not_renew_consent() {
        let start = Instant::now();
        let mut consent = consent(start);
        let mut now = start;
        while now < start + Duration::from_millis(29_900) {
            now += Duration::from_millis(100);
            consent.heard();
            if consent.check_due(now) {
                consent.sent(now, TransId::new());
            }
            assert_eq!(consent.liveness(now), Liveness::Alive);
        }
        assert_eq!(consent.liveness(start + EXPIRY), Liveness::Expired);
    }

    #[test]
    fn an_answer_counts_once_and_makes_older_ones_worthless() {
        let start = Instant::now();
        let mut consent = consent(start);
        let (first, second) = (TransId::new(), TransId::new());
        consent.sent(start, first);
        consent.sent(start + RETRY, second);
        consent.answered(start + RETRY, second, 0.0);
        assert!(!consent.is_ours(first) && !consent.is_ours(second), "a replay renews nothing");
        consent.answered(start + Duration::from_secs(20), second, 0.0);
        assert_eq!(consent.counts.answers, 1);
        assert_eq!(consent.liveness(start + RETRY + EXPIRY), Liveness::Expired);
    }

    #[test]
    fn a_revoked_consent_is_gone_at_once() {
        let start = Instant::now();
        let mut consent = consent(start);
        consent.revoke();
        assert!(!consent.may_send(start));
    }
}
