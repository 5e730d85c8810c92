//! Telephone tones that go out (RFC 4733): a report each 50 ms, and the last one three times.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::wire::tone::Report;

const BETWEEN: Duration = Duration::from_millis(50);
/// RFC 4733 section 2.5.1.4.
const LAST_REPORTS: u8 = 3;
/// Tones that wait.
const MAX_WAITING: usize = 64;

#[derive(Debug, Default)]
pub struct Tones {
    waiting: VecDeque<(char, Duration)>,
    playing: Option<Playing>,
}

#[derive(Debug)]
struct Playing {
    tone: char,
    started: Instant,
    timestamp: u64,
    length: Duration,
    next: Instant,
    /// How often it was reported as over.
    ends: u8,
    is_first: bool,
}

/// A packet that is due.
#[derive(Debug, PartialEq, Eq)]
pub struct Turn {
    pub report: Report,
    /// The time at which the tone began.
    pub timestamp: u64,
    pub is_first: bool,
}

impl Tones {
    /// Play a tone behind those that wait. When too many wait, it is dropped.
    pub fn add(&mut self, tone: char, length: Duration) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back((tone, length));
        }
    }

    pub fn clear(&mut self) {
        *self = Tones::default();
    }

    pub fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    /// When the next packet is due; `now`: one waits to begin.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        match &self.playing {
            Some(playing) => Some(playing.next),
            None => (!self.waiting.is_empty()).then_some(now),
        }
    }

    /// The packet that is due. `timestamp`: of now, for a tone that begins.
    pub fn poll(&mut self, now: Instant, timestamp: u64, clock_rate: u32) -> Option<Turn> {
        let playing = match &mut self.playing {
            Some(playing) => playing,
            None => {
                let (tone, length) = self.waiting.pop_front()?;
                let next = now;
                self.playing.insert(Playing {
                    tone,
                    started: now,
                    timestamp,
                    length,
                    next,
                    ends: 0,
                    is_first: true,
                })
            }
        };
        if now < playing.next {
            return None;
        }
        let passed = now - playing.started;
        let is_over = passed >= playing.length;
        let ticks = passed.clamp(BETWEEN, playing.length.max(BETWEEN)).as_secs_f64() * f64::from(clock_rate);
        let report = Report { tone: playing.tone, is_over, duration: ticks.min(65_535.0) as u16 };
        let turn =
            Turn { report, timestamp: playing.timestamp, is_first: std::mem::take(&mut playing.is_first) };
        if is_over {
            playing.ends += 1;
            playing.next = now + Duration::from_millis(5);
            if playing.ends >= LAST_REPORTS {
                self.playing = None;
            }
        } else {
            playing.next = (now + BETWEEN).min(playing.started + playing.length);
        }
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_reported_while_it_lasts_and_three_times_when_it_is_over() {
        let start = Instant::now();
        let mut tones = Tones::default();
        tones.add('5', Duration::from_millis(120));
        tones.add('#', Duration::from_millis(40));
        let mut turns = Vec::new();
        let mut now = start;
        while let Some(at) = tones.poll_timeout(now) {
            now = at.max(now);
            turns.extend(tones.poll(now, (now - start).as_millis() as u64 * 8, 8000));
            assert!(turns.len() < 100);
        }
        let first: Vec<_> = turns.iter().filter(|turn| turn.report.tone == '5').collect();
        let durations: Vec<_> =
            first.iter().map(|turn| (turn.report.duration, turn.report.is_over)).collect();
        let over = (960, true);
        assert_eq!(durations, [(400, false), (400, false), (800, false), over, over, over]);
        assert!(first.iter().all(|turn| turn.timestamp == 0) && first[0].is_first && !first[1].is_first);
        let second: Vec<_> = turns.iter().filter(|turn| turn.report.tone == '#').collect();
        assert_eq!(second.iter().filter(|turn| turn.report.is_over).count(), 3);
        assert!(second.iter().all(|turn| turn.timestamp >= 960));
    }

    #[test]
    fn tones_that_wait_are_bounded() {
        let mut tones = Tones::default();
        for _ in 0..1000 {
            tones.add('1', Duration::from_secs(6));
        }
        assert_eq!(tones.waiting.len(), MAX_WAITING);
    }
}
