//! The telephone tones of a stream that comes in (RFC 4733): each is reported once, also if its end is lost.

use std::time::{Duration, Instant};

use super::super::wire::tone::Report;

/// A tone is over when nothing of it has come for this time: senders report each 50 ms at least.
const LONGEST_GAP: Duration = Duration::from_millis(250);

/// The newest tone.
#[derive(Debug, Default)]
pub struct Tones {
    newest: Option<Tone>,
}

#[derive(Debug)]
struct Tone {
    timestamp: u64,
    /// The last report of it; the longest one, if they came in another order.
    report: Report,
    clock_rate: u32,
    heard: Instant,
    is_told: bool,
}

impl Tones {
    /// Take a report of the tone that began at this timestamp. Returns the tones that are over, with their seconds.
    pub fn take(
        &mut self,
        now: Instant,
        (timestamp, clock_rate): (u64, u32),
        report: Report,
    ) -> impl Iterator<Item = (char, f64)> + use<> {
        let mut before = None;
        match &mut self.newest {
            Some(known) if known.timestamp == timestamp => {
                known.heard = now;
                known.report.duration = known.report.duration.max(report.duration);
            }
            // A packet of an older one comes late.
            Some(known) if known.timestamp > timestamp => return [None, None].into_iter().flatten(),
            newest => {
                before = newest.as_mut().and_then(Tone::tell);
                *newest = Some(Tone { timestamp, report, clock_rate, heard: now, is_told: false });
            }
        }
        let this = self.newest.as_mut().filter(|_| report.is_over).and_then(Tone::tell);
        [before, this].into_iter().flatten()
    }

    /// When a tone is over of which nothing more has come.
    pub fn timeout(&self) -> Option<Instant> {
        self.newest.as_ref().filter(|tone| !tone.is_told).map(|tone| tone.heard + LONGEST_GAP)
    }

    pub fn handle_timeout(&mut self, now: Instant) -> Option<(char, f64)> {
        self.timeout().filter(|at| *at <= now)?;
        self.end()
    }

    /// The stream is over, and so is its tone.
    pub fn end(&mut self) -> Option<(char, f64)> {
        self.newest.as_mut()?.tell()
    }
}

impl Tone {
    /// Return its name and its seconds, once.
    fn tell(&mut self) -> Option<(char, f64)> {
        let seconds = f64::from(self.report.duration) / f64::from(self.clock_rate.max(1));
        (!std::mem::replace(&mut self.is_told, true)).then_some((self.report.tone, seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8000;
    const MS: Duration = Duration::from_millis(1);

    fn take(
        tones: &mut Tones,
        now: Instant,
        timestamp: u64,
        tone: char,
        duration: u16,
        is_over: bool,
    ) -> String {
        let told = tones.take(now, (timestamp, RATE), Report { tone, is_over, duration });
        told.map(|(tone, seconds)| format!("{tone}{seconds}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_tone_is_told_once_at_its_end() {
        let (mut tones, now) = (Tones::default(), Instant::now());
        assert_eq!(take(&mut tones, now, 100, '7', 160, false), "");
        assert_eq!(take(&mut tones, now, 100, '7', 800, true), "70.1");
        assert_eq!(take(&mut tones, now, 100, '7', 800, true), "");
        assert_eq!((tones.timeout(), tones.end()), (None, None));
        assert_eq!(take(&mut tones, now, 900, '7', 800, true), "70.1", "the same key again");
        assert_eq!(take(&mut tones, now, 100, '7', 800, true), "", "late");
    }

    #[test]
    fn a_tone_whose_end_is_lost_ends_with_the_next_one_or_after_a_time() {
        let (mut tones, now) = (Tones::default(), Instant::now());
        assert_eq!(take(&mut tones, now, 100, '1', 400, false), "");
        assert_eq!(take(&mut tones, now, 100, '1', 200, false), "", "in another order");
        assert_eq!(take(&mut tones, now + 50 * MS, 900, '2', 160, false), "10.05");
        assert_eq!(take(&mut tones, now + 60 * MS, 1800, '3', 160, true), "20.02 30.02");
        assert_eq!(take(&mut tones, now + 100 * MS, 2700, '4', 240, false), "");
        let over = now + 100 * MS + LONGEST_GAP;
        assert_eq!((tones.timeout(), tones.handle_timeout(over - MS)), (Some(over), None));
        assert_eq!(tones.handle_timeout(over), Some(('4', 0.03)));
        assert_eq!((tones.timeout(), tones.handle_timeout(over + MS)), (None, None));
        assert_eq!(take(&mut tones, over + MS, 2700, '4', 800, true), "", "it was told");
    }
}
