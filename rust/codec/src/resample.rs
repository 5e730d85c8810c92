//! Samples of one rate as samples of another, in pieces of any length.

use std::fmt;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, FixedAsync, Indexing, Resampler as _, SincInterpolationParameters, WindowFunction};

/// Taps of the filter: 60 dB below 0.9 of the lower rate's band, and a delay of 32 samples.
const TAPS: usize = 64;
/// Steps between two taps; between two steps a cubic curve is good for 16 bits.
const STEPS: usize = 64;

/// Converts one stream. Equal rates cost nothing and delay nothing.
pub struct Resampler {
    channels: usize,
    inner: Option<Inner>,
}

struct Inner {
    filter: Async<f32>,
    /// Samples that do not fill a piece yet.
    waiting: Vec<f32>,
    /// The frames of a piece of 10 ms.
    piece: usize,
    out: Vec<f32>,
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler").field("channels", &self.channels).finish_non_exhaustive()
    }
}

impl Resampler {
    /// Rates in samples a second, from 1000 to 384 000. `None`: they are not.
    pub fn new(from: u32, to: u32, channels: usize) -> Option<Resampler> {
        if ![from, to].iter().all(|rate| (1000..=384_000).contains(rate)) || !(1..=2).contains(&channels) {
            return None;
        }
        if from == to {
            return Some(Resampler { channels, inner: None });
        }
        let piece = from as usize / 100;
        let ratio = f64::from(to) / f64::from(from);
        let parameters =
            SincInterpolationParameters::new(TAPS, WindowFunction::Hann2).oversampling_factor(STEPS);
        let filter = Async::new_sinc(ratio, 1.0, &parameters, piece, channels, FixedAsync::Input).ok()?;
        let out = vec![0.0; filter.output_frames_max() * channels];
        Some(Resampler { channels, inner: Some(Inner { filter, waiting: Vec::new(), piece, out }) })
    }

    /// Append to `out` what `samples` become. Less than 10 ms may wait for the next call.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        let channels = self.channels;
        let Some(inner) = &mut self.inner else { return out.extend_from_slice(samples) };
        inner.waiting.extend_from_slice(samples);
        let mut used = 0;
        while inner.waiting.len() - used >= inner.piece * channels {
            let made = inner.convert(used, channels);
            out.extend_from_slice(&inner.out[..made * channels]);
            used += inner.piece * channels;
        }
        inner.waiting.drain(..used);
    }
}

impl Inner {
    /// Convert the piece at `from`; return the frames that it became.
    fn convert(&mut self, from: usize, channels: usize) -> usize {
        let input = &self.waiting[from..from + self.piece * channels];
        let room = self.out.len() / channels;
        // The sizes are right by construction: a piece is what the filter was made for, `out` is the most it gives.
        let Ok(input) = InterleavedSlice::new(input, channels, self.piece) else { return 0 };
        let Ok(mut output) = InterleavedSlice::new_mut(&mut self.out, channels, room) else { return 0 };
        let made = self.filter.process_into_buffer(&input, &mut output, None::<&Indexing>);
        made.map_or(0, |(_, made)| made)
    }
}
