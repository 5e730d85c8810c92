//! Wall-clock time of monotonic time, for reports (RFC 3550 section 4).

use std::time::{Duration, Instant};

/// Seconds from 1900 to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// One moment on both clocks, for the life of the transport: so the distances between reports are right, also when the
/// wall clock is set.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    at: Instant,
    unix: Duration,
}

impl Clock {
    pub fn new(at: Instant, unix: Duration) -> Clock {
        Clock { at, unix }
    }

    /// NTP time: seconds since 1900 << 32 | fraction.
    pub fn ntp(&self, time: Instant) -> u64 {
        let unix = match time.checked_duration_since(self.at) {
            Some(since) => self.unix + since,
            None => self.unix.saturating_sub(self.at - time),
        };
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        (unix.as_secs() + NTP_TO_UNIX) << 32 | fraction
    }

    /// Seconds since 1970 of a time of NTP.
    pub fn unix(ntp: u64) -> f64 {
        (ntp >> 32) as f64 - NTP_TO_UNIX as f64 + (ntp & 0xffff_ffff) as f64 / 4_294_967_296.0
    }
}

/// The middle 32 bits of NTP time, in 1/65536 s.
pub fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// A duration in 1/65536 s.
pub fn short(duration: Duration) -> u32 {
    (duration.as_secs_f64() * 65_536.0).min(u32::MAX.into()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_counts_from_1900_and_keeps_distances() {
        let at = Instant::now();
        let clock = Clock::new(at, Duration::from_secs(1));
        assert_eq!(clock.ntp(at), (NTP_TO_UNIX + 1) << 32);
        let later = clock.ntp(at + Duration::from_millis(500));
        assert_eq!(later - clock.ntp(at), 1 << 31);
        assert_eq!(middle(later).wrapping_sub(middle(clock.ntp(at))), short(Duration::from_millis(500)));
        assert!((Clock::unix(later) - 1.5).abs() < 1e-6);
    }
}
