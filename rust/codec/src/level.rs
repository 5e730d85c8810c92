//! How loud samples are: for RFC 6464's header extension and the W3C's statistics.

/// The loudness of some samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// The root of the mean square, 0 to 1.
    pub rms: f32,
}

impl Level {
    pub fn of(samples: &[f32]) -> Level {
        if samples.is_empty() {
            return Level::default();
        }
        let sum: f32 = samples.iter().map(|sample| sample * sample).sum();
        let rms = (sum / samples.len() as f32).sqrt();
        Level { rms: if rms.is_finite() { rms.min(1.0) } else { 0.0 } }
    }

    /// RFC 6464: 0 is the loudest, 127 is silence; decibels below the overload point.
    pub fn dbov(self) -> u8 {
        if self.rms <= 0.0 {
            return 127;
        }
        (-20.0 * self.rms.log10()).round().clamp(0.0, 127.0) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loudness_is_in_decibels_below_the_loudest() {
        let dbov = |value: f32| Level::of(&[value, -value]).dbov();
        assert_eq!([dbov(1.0), dbov(0.1), dbov(0.001), dbov(0.0)], [0, 20, 60, 127]);
        assert_eq!(Level::of(&[f32::NAN]).dbov(), 127);
        assert_eq!(Level::of(&[]).dbov(), 127);
    }
}
