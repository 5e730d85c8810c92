//! The sources of a receiver's media: W3C getSynchronizationSources.

use std::time::{Duration, Instant};

/// After this a source is forgotten.
const KEPT: Duration = Duration::from_secs(10);
/// A receiver has one source, or a few in turn.
const MAX_SOURCES: usize = 16;

/// A source, as its last packet or picture shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    pub ssrc: u32,
    pub timestamp: u32,
    pub arrived: Instant,
    /// 0 to 1, if the packet tells.
    pub level: Option<f64>,
}

#[derive(Debug, Default)]
pub struct Heard(Vec<Source>);

impl Heard {
    /// Note a packet or a picture. When there are too many sources, the one that was silent the longest goes.
    pub fn note(&mut self, source: Source) {
        if let Some(known) = self.0.iter_mut().find(|known| known.ssrc == source.ssrc) {
            *known = source;
            return;
        }
        if self.0.len() == MAX_SOURCES {
            let oldest = (0..self.0.len()).min_by_key(|index| self.0[*index].arrived);
            oldest.map(|index| self.0.swap_remove(index));
        }
        self.0.push(source);
    }

    /// The sources of the last ten seconds, the newest first.
    pub fn sources(&mut self, now: Instant) -> Vec<Source> {
        self.0.retain(|source| now.saturating_duration_since(source.arrived) <= KEPT);
        self.0.sort_by_key(|source| std::cmp::Reverse(source.arrived));
        self.0.clone()
    }
}

/// RFC 6464 section 3: 0 is the loudest, 127 is silence, in decibels between.
pub fn level(decibels: u8) -> f64 {
    if decibels >= 127 { 0.0 } else { 10_f64.powf(f64::from(decibels) / -20.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sources_of_ten_seconds_are_kept() {
        let start = Instant::now();
        let at = |ssrc: u32, second: u64| Source {
            ssrc,
            timestamp: 960 * ssrc,
            arrived: start + Duration::from_secs(second),
            level: None,
        };
        let mut heard = Heard::default();
        for ssrc in 0..20 {
            heard.note(at(ssrc, ssrc.into()));
        }
        heard.note(at(12, 25));
        let found: Vec<u32> =
            heard.sources(start + Duration::from_secs(27)).iter().map(|one| one.ssrc).collect();
        assert_eq!(found, [12, 19, 18, 17]);
        assert_eq!(heard.0.len(), 4);
        for ssrc in 0..1000 {
            heard.note(at(ssrc, 26));
        }
        assert_eq!(heard.0.len(), MAX_SOURCES);
    }

    #[test]
    fn a_level_is_linear() {
        assert_eq!((level(0), level(20), level(127)), (1.0, 0.1, 0.0));
    }
}
