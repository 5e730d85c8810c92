//! The peer's clock: when it took what it sends, on the clock of this host (RFC 3550 section 6.4.1).
//!
//! All streams of one transport share it, so sound and pictures lie on one axis.

use std::time::{Duration, Instant};

use super::super::wire::rtcp::SenderInfo;

/// How fast the clocks of two hosts may part, in millionths.
const DRIFT: i64 = 100;
/// A report that is so much later than expected: the peer's clock was set.
const JUMP: i64 = 2_000_000;
/// Bounds in µs: a picture that was taken longer ago, or so far in the future, is not believed.
const OLDEST: i64 = 10_000_000;
const FUTURE: i64 = 1_000_000;

#[derive(Debug)]
pub struct PeerClock {
    start: Instant,
    /// The time of this host minus that of the peer, in microseconds, as the quickest report had it; and its arrival.
    offset: Option<(i64, i64)>,
}

/// Microseconds of a time of NTP.
fn micros(ntp: u64) -> i64 {
    let fraction = ((ntp & 0xffff_ffff) * 1_000_000) >> 32;
    (ntp >> 32) as i64 * 1_000_000 + fraction as i64
}

impl PeerClock {
    pub fn new(start: Instant) -> PeerClock {
        PeerClock { start, offset: None }
    }

    fn since(&self, now: Instant) -> i64 {
        now.saturating_duration_since(self.start).as_micros() as i64
    }

    /// Note a sender report that came now.
    pub fn note(&mut self, now: Instant, info: &SenderInfo) {
        let now = self.since(now);
        let measured = now - micros(info.ntp);
        let offset = match self.offset {
            Some((offset, at)) if (measured - offset).abs() < JUMP => {
                measured.min(offset + (now - at) * DRIFT / 1_000_000)
            }
            _ => measured,
        };
        self.offset = Some((offset, now));
    }

    /// When the peer took what has this timestamp. None: its reports do not say it, or say what cannot be.
    pub fn captured(
        &self,
        now: Instant,
        info: &SenderInfo,
        timestamp: u32,
        clock_rate: u32,
    ) -> Option<Instant> {
        let (offset, _) = self.offset?;
        let ticks = i64::from(timestamp.wrapping_sub(info.timestamp) as i32);
        let at = micros(info.ntp) + offset + ticks * 1_000_000 / i64::from(clock_rate.max(1));
        let age = self.since(now) - at;
        if !(-FUTURE..=OLDEST).contains(&age) {
            return None;
        }
        let age_of = Duration::from_micros(age.unsigned_abs());
        if age < 0 { now.checked_add(age_of) } else { now.checked_sub(age_of) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(seconds: u64, timestamp: u32) -> SenderInfo {
        SenderInfo { ntp: seconds << 32, timestamp, packets: 0, bytes: 0 }
    }

    #[test]
    fn sound_and_pictures_of_one_moment_have_one_time() {
        let now = Instant::now();
        let mut clock = PeerClock::new(now);
        let (sound, picture) = (report(4_000_000_000, 5), report(4_000_000_001, u32::MAX));
        let ms = Duration::from_millis;
        assert_eq!(clock.captured(now, &sound, 5, 48_000), None);
        clock.note(now + ms(20), &sound);
        clock.note(now + ms(1080), &picture);
        let heard = clock.captured(now + ms(1100), &sound, 5 + 48_000, 48_000);
        let seen = clock.captured(now + ms(1100), &picture, u32::MAX, 90_000);
        assert_eq!(heard, seen);
        let early = heard.expect("a time").duration_since(now + ms(1020));
        assert!(early < ms(1), "{early:?}: the quickest report counts");
        let next = clock.captured(now + ms(1100), &picture, 2999, 90_000);
        assert!(next.expect("a time").duration_since(now + ms(1053)) < ms(1));
    }

    #[test]
    fn a_clock_that_was_set_is_followed_and_what_cannot_be_is_not_believed() {
        let now = Instant::now();
        let mut clock = PeerClock::new(now);
        clock.note(now, &report(4_000_000_000, 0));
        clock.note(now, &report(5, 0));
        assert_eq!(clock.captured(now, &report(5, 0), 0, 90_000), Some(now));
        for timestamp in [i32::MAX as u32, i32::MIN as u32] {
            assert_eq!(clock.captured(now, &report(5, 0), timestamp, 90_000), None);
        }
        assert_eq!(clock.captured(now, &report(u32::MAX.into(), 0), 0, 0), None);
    }
}
