//! Taking out or putting in whole periods of a sound, so that it is shorter or longer at the same pitch (WSOLA).

use std::ops::RangeInclusive;

/// Below this amplitude there is no period to look for, and nothing to hear of a seam.
const QUIET: f32 = 0.001;

/// The periods of a voice: 400 to 66 Hz. Several periods of a higher sound are one of these.
fn periods(rate: u32) -> RangeInclusive<usize> {
    rate as usize / 400..=rate as usize * 15 / 1000
}

/// The length of a cross-fade, in frames.
pub fn fade(rate: u32) -> usize {
    rate as usize / 200
}

/// How long the sound must be that is stretched: the longest period and a cross-fade.
pub fn needed(rate: u32) -> usize {
    *periods(rate).end() + fade(rate)
}

/// Take one period out near the start of `samples`, at most `most` frames. How many were taken out: 0 if no period is
/// at least as `alike` (-1 to 1) as this.
pub fn shorten(samples: &mut Vec<f32>, channels: usize, rate: u32, most: usize, alike: f32) -> usize {
    let Some(period) = period_at_start(samples, channels, rate, most, alike) else { return 0 };
    let fade = fade(rate) * channels;
    mix(samples, period * channels, fade, |old, later, part| old * (1.0 - part) + later * part);
    samples.drain(fade..fade + period * channels);
    period
}

/// Put one period in near the start of `samples`: as [`shorten`].
pub fn lengthen(samples: &mut Vec<f32>, channels: usize, rate: u32, most: usize, alike: f32) -> usize {
    let Some(period) = period_at_start(samples, channels, rate, most, alike) else { return 0 };
    let (shift, fade) = (period * channels, fade(rate) * channels);
    let first = samples[..shift].to_vec();
    mix(samples, shift, fade, |old, later, part| later * (1.0 - part) + old * part);
    samples.splice(0..0, first);
    period
}

/// Replace the first `fade` samples: `how` gets each, the one `shift` later, and the progress from 0 to 1.
fn mix(samples: &mut [f32], shift: usize, fade: usize, how: impl Fn(f32, f32, f32) -> f32) {
    for at in 0..fade {
        let part = (at as f32 + 0.5) / fade as f32;
        samples[at] = how(samples[at], samples[at + shift], part);
    }
}

/// Let `samples` begin as `tail` and end as themselves.
pub fn join(tail: &[f32], samples: &mut [f32]) {
    let length = tail.len().min(samples.len());
    for (at, (sample, old)) in samples.iter_mut().zip(tail).enumerate() {
        let part = (at as f32 + 0.5) / length as f32;
        *sample = old * (1.0 - part) + *sample * part;
    }
}

/// Return the period at the end of a sound: for its repetition. 0: too little was heard.
pub fn last_period(history: &[f32], rate: u32) -> usize {
    let fade = fade(rate);
    let most = history.len().saturating_sub(fade).min(*periods(rate).end());
    let end = &history[history.len().saturating_sub(fade)..];
    let score = |lag: usize| likeness(end, &history[history.len() - fade - lag..], 1, fade);
    (*periods(rate).start()..=most).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap_or(0)
}

fn period_at_start(samples: &[f32], channels: usize, rate: u32, most: usize, alike: f32) -> Option<usize> {
    let fade = fade(rate);
    let room = (samples.len() / channels).checked_sub(fade)?;
    let (least, most) = (*periods(rate).start(), (*periods(rate).end()).min(most).min(room));
    if least > most {
        return None;
    }
    let head = &samples[..fade * channels];
    if head.iter().all(|sample| sample.abs() < QUIET) {
        return Some(most);
    }
    // First by every fourth, then by each around the best one. The first channel is enough.
    let step = if rate > 16_000 { 4 } else { 1 };
    let score =
        |lag: usize, step: usize| likeness(head, &samples[lag * channels..], step * channels, fade / step);
    let best_of = |lags: &mut dyn Iterator<Item = usize>, step: usize| {
        lags.max_by(|a, b| score(*a, step).total_cmp(&score(*b, step)))
    };
    let coarse = best_of(&mut (least..=most).step_by(step), step)?;
    let around = coarse.saturating_sub(step).max(least)..=(coarse + step).min(most);
    let best = best_of(&mut { around }, 1)?;
    (score(best, 1) >= alike).then_some(best)
}

/// How alike two sounds are, from -1 to 1, by `count` samples of each.
fn likeness(one: &[f32], other: &[f32], step: usize, count: usize) -> f32 {
    let (mut both, mut first, mut second) = (0.0f32, 1e-9f32, 1e-9f32);
    for (a, b) in one.iter().step_by(step).zip(other.iter().step_by(step)).take(count) {
        both += a * b;
        first += a * a;
        second += b * b;
    }
    both / (first * second).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;

    fn tone(hertz: f32, frames: usize) -> Vec<f32> {
        (0..frames).map(|at| (at as f32 * hertz * std::f32::consts::TAU / RATE as f32).sin() * 0.5).collect()
    }

    /// The largest step between two samples: that of the tone, if no seam can be heard.
    fn largest_step(samples: &[f32]) -> f32 {
        samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_tone_that_is_shortened_or_lengthened_has_no_seam() {
        for hertz in [100.0, 220.0, 441.0, 1000.0] {
            for is_shorter in [true, false] {
                let mut samples = tone(hertz, 2000);
                let before = largest_step(&samples);
                let stretch = if is_shorter { shorten } else { lengthen };
                let count = stretch(&mut samples, 1, RATE, 720, 0.9);
                let period = RATE as f32 / hertz;
                let whole = (count as f32 / period).round() * period;
                assert!(count >= 120 && (count as f32 - whole).abs() < 2.0, "{hertz} Hz: {count}");
                assert_eq!(samples.len(), if is_shorter { 2000 - count } else { 2000 + count });
                assert!(largest_step(&samples) < before * 1.1, "{hertz} Hz");
            }
        }
    }

    #[test]
    fn noise_has_no_period_and_silence_has_any() {
        let mut state = 1u32;
        let mut noise: Vec<f32> = (0..2000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state as f32 / u32::MAX as f32 - 0.5
            })
            .collect();
        assert_eq!(shorten(&mut noise, 1, RATE, 720, 0.9), 0);
        assert_eq!(shorten(&mut vec![0.0; 2000], 1, RATE, 720, 0.9), 720);
        assert_eq!(shorten(&mut vec![0.0; 100], 1, RATE, 720, 0.9), 0, "too short");
        assert_eq!(shorten(&mut vec![0.0; 2000], 1, RATE, 50, 0.9), 0, "not even a short period is allowed");
    }
}
