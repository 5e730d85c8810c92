//! Payloads to samples, and samples in place of missing payloads.

use std::fmt;

use crate::{Codec, g711, stretch, to_f32};

/// Samples that G.711's concealment looks back on: two of the longest periods of a voice, and a bit.
const HISTORY: usize = 320;

/// Decodes one stream, at [`Codec::working_rate`], into one or two channels.
pub struct Decoder {
    codec: Codec,
    rate: u32,
    channels: usize,
    inner: Inner,
    buffer: Vec<f32>,
}

enum Inner {
    Opus(opus::Decoder),
    G711(G711),
}

struct G711 {
    decode: fn(u8) -> i16,
    /// The last samples that were decoded.
    history: Vec<f32>,
    /// The period that is repeated while samples are missing, and where in it the next one is.
    period: Option<usize>,
    at: usize,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("codec", &self.codec)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// `rate` is what somebody wants to have. `None`: there is no such decoder, or no memory for it.
    pub fn new(codec: Codec, rate: u32, channels: usize) -> Option<Decoder> {
        let rate = codec.working_rate(rate);
        let g711 = |decode| Inner::G711(G711 { decode, history: Vec::new(), period: None, at: 0 });
        let inner = match codec {
            Codec::Opus => {
                let channels = if channels == 2 { opus::Channels::Stereo } else { opus::Channels::Mono };
                Inner::Opus(opus::Decoder::new(rate, channels).ok()?)
            }
            Codec::Pcmu => g711(g711::decode_mu),
            Codec::Pcma => g711(g711::decode_a),
        };
        // 120 ms, the longest packet of Opus.
        let buffer = vec![0.0; rate as usize * 12 / 100 * channels];
        Some(Decoder { codec, rate, channels, inner, buffer })
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Append the samples of a payload. The number of frames; 0: it is damaged.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<f32>) -> usize {
        match &mut self.inner {
            Inner::Opus(opus) => {
                let frames = match payload {
                    [] => 0, // would mean a loss
                    _ => opus.decode_float(payload, &mut self.buffer, false).unwrap_or(0),
                };
                out.extend_from_slice(&self.buffer[..frames * self.channels]);
                frames
            }
            Inner::G711(g711) => {
                let from = out.len();
                for byte in payload {
                    let sample = to_f32((g711.decode)(*byte));
                    out.extend(std::iter::repeat_n(sample, self.channels));
                }
                g711.remember(&out[from..], self.channels);
                payload.len()
            }
        }
    }

    /// Append the `frames` before a payload that holds them too ([`crate::opus_packet::has_repair`]), and return their
    /// number; 0: it cannot be done.
    pub fn repair(&mut self, payload: &[u8], frames: usize, out: &mut Vec<f32>) -> usize {
        let Inner::Opus(opus) = &mut self.inner else { return 0 };
        let Some(room) = self.buffer.get_mut(..frames * self.channels) else { return 0 };
        let frames = opus.decode_float(payload, room, true).unwrap_or(0);
        out.extend_from_slice(&room[..frames * self.channels]);
        frames
    }

    /// Append `frames` that continue what was decoded last; 30 ms at most at a time.
    pub fn conceal(&mut self, frames: usize, out: &mut Vec<f32>) {
        let end = out.len() + frames * self.channels;
        match &mut self.inner {
            Inner::Opus(opus) => {
                // libopus conceals multiples of 2.5 ms.
                let unit = self.rate as usize / 400;
                let whole = frames.div_ceil(unit) * unit * self.channels;
                if let Some(room) = self.buffer.get_mut(..whole) {
                    let made = opus.decode_float(&[], room, false).unwrap_or(0);
                    out.extend_from_slice(&room[..made * self.channels]);
                }
            }
            Inner::G711(g711) => g711.conceal(frames, self.channels, out),
        }
        out.resize(end, 0.0);
    }
}

impl G711 {
    fn remember(&mut self, samples: &[f32], channels: usize) {
        self.period = None;
        self.at = 0;
        self.history.extend(samples.iter().step_by(channels));
        let spare = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..spare);
    }

    /// G.711 appendix I, in short: repeat the last period of the voice.
    fn conceal(&mut self, frames: usize, channels: usize, out: &mut Vec<f32>) {
        let period = *self.period.get_or_insert_with(|| stretch::last_period(&self.history, 8000));
        for _ in 0..frames {
            let sample = match period {
                0 => 0.0,
                _ => self.history[self.history.len() - period + self.at % period],
            };
            self.at += 1;
            out.extend(std::iter::repeat_n(sample, channels));
        }
    }
}
