//! Samples to payloads.

use std::fmt;

use opus::{Application, Bitrate, Channels, Signal};

use crate::{Codec, g711, to_i16};

/// The most that one RTP packet carries.
pub const MAX_PAYLOAD: usize = 1200;
/// Bits a second for each channel that is sent, if nobody wants less.
pub const BITRATE: u32 = 32_000;
/// The effort, 0 to 10. With repairs, 20 ms of a voice cost 185 µs with 5, and 243 µs with 9, for as many bits. A program
/// that speaks in many calls notices that; a listener hardly hears the difference.
const COMPLEXITY: i32 = 5;
/// The least loss that the encoder of a voice takes for granted, in percent. A call is protected from its first second on,
/// and with up to 5 % libopus leaves repairs out where bits are few. Music would lose by it: repairs are for voices alone.
const ASSUMED_LOSS: u8 = 6;

/// How to encode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub codec: Codec,
    /// Samples a second: [`Codec::working_rate`].
    pub rate: u32,
    pub channels: usize,
    /// Bits a second; 32 000 for each channel if nobody says it. RFC 7587: 6000 to 510 000.
    pub max_bitrate: Option<u32>,
    /// Opus: each packet may also hold the one before it.
    pub fec: bool,
    /// Opus: silence is not sent.
    pub dtx: bool,
}

impl Settings {
    fn least_loss(&self) -> u8 {
        if self.channels == 1 { ASSUMED_LOSS } else { 0 }
    }

    fn bitrate(&self) -> u32 {
        self.max_bitrate.unwrap_or(BITRATE * self.channels as u32).clamp(6000, 510_000)
    }
}

/// Encodes one stream.
pub struct Encoder {
    settings: Settings,
    opus: Option<opus::Encoder>,
    loss: u8,
    /// Nothing is sent now (DTX).
    pauses: bool,
    buffer: Vec<u8>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Encoder {
    /// `None`: there is no such encoder, or no memory for it.
    pub fn new(settings: Settings) -> Option<Encoder> {
        let opus = match settings.codec {
            Codec::Opus => Some(make_opus(&settings)?),
            Codec::Pcmu | Codec::Pcma => None,
        };
        let mut encoder = Encoder { settings, opus, loss: 0, pauses: false, buffer: vec![0; MAX_PAYLOAD] };
        encoder.set_loss(0.0);
        Some(encoder)
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Take over what can be changed while it runs. False: it needs a new encoder.
    pub fn adjust(&mut self, settings: Settings) -> bool {
        let old = self.settings;
        if (old.codec, old.rate, old.channels) != (settings.codec, settings.rate, settings.channels) {
            return false;
        }
        self.settings = settings;
        let loss = self.loss;
        self.opus.as_mut().is_none_or(|opus| configure(opus, &settings, loss).is_ok())
    }

    /// Tell the part of the packets that is lost on the way, 0 to 1: it decides how well the repair is.
    pub fn set_loss(&mut self, part: f32) {
        let percent = ((part * 100.0).round().clamp(0.0, 30.0) as u8).max(self.settings.least_loss());
        if percent != self.loss
            && let Some(opus) = &mut self.opus
        {
            // Any value from 0 to 100 is taken.
            let _ = opus.set_packet_loss_perc(i32::from(percent));
        }
        self.loss = percent;
    }

    /// Return the payload of one packet, of 10 to 60 ms. `None`: there is nothing to send (DTX), or the length is wrong.
    pub fn encode(&mut self, samples: &[f32]) -> Option<&[u8]> {
        let size = match (self.settings.codec, &mut self.opus) {
            (Codec::Opus, Some(opus)) => {
                let size = opus.encode_float(samples, &mut self.buffer).ok()?;
                // Up to two bytes need not be sent (libopus), but the first ones tell the decoder that a pause begins.
                let was_pause = std::mem::replace(&mut self.pauses, self.settings.dtx && size <= 2);
                (!was_pause || !self.pauses).then_some(size)?
            }
            (Codec::Pcma, _) => self.encode_g711(samples, g711::encode_a),
            _ => self.encode_g711(samples, g711::encode_mu),
        };
        (size > 0).then(|| &self.buffer[..size])
    }

    fn encode_g711(&mut self, samples: &[f32], byte: fn(i16) -> u8) -> usize {
        let frames = samples.chunks_exact(self.settings.channels);
        let size = frames.len().min(MAX_PAYLOAD);
        for (out, frame) in self.buffer.iter_mut().zip(frames) {
            *out = byte(to_i16(frame.iter().sum::<f32>() / frame.len() as f32));
        }
        size
    }
}

fn make_opus(settings: &Settings) -> Option<opus::Encoder> {
    // Mono is speech. Stereo was asked for, and that is done for music.
    let (channels, application) = match settings.channels {
        2 => (Channels::Stereo, Application::Audio),
        _ => (Channels::Mono, Application::Voip),
    };
    let mut opus = opus::Encoder::new(settings.rate, channels, application).ok()?;
    if settings.channels == 1 {
        opus.set_signal(Signal::Voice).ok()?;
    }
    opus.set_complexity(COMPLEXITY).ok()?;
    configure(&mut opus, settings, settings.least_loss()).ok()?;
    Some(opus)
}

fn configure(opus: &mut opus::Encoder, settings: &Settings, loss: u8) -> opus::Result<()> {
    opus.set_bitrate(Bitrate::Bits(settings.bitrate() as i32))?;
    opus.set_inband_fec(settings.fec)?;
    opus.set_packet_loss_perc(i32::from(loss))?;
    opus.set_dtx(settings.dtx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opus_packet;

    /// Return the parts of the packets that hold a repair, and that are coded as music (CELT).
    fn parts(channels: usize, max_bitrate: Option<u32>) -> (f32, f32) {
        let settings =
            Settings { codec: Codec::Opus, rate: 48_000, channels, max_bitrate, fec: true, dtx: false };
        let mut encoder = Encoder::new(settings).expect("made");
        let mut phase = 0.0f32;
        let (mut repairs, mut music) = (0, 0);
        for number in 0..200 {
            let frames = (0..960).flat_map(|at| {
                let time = (number * 960 + at) as f32 / 48_000.0;
                phase = (phase + (140.0 + 40.0 * (time * 5.3).sin()) / 48_000.0).fract();
                let tones =
                    (1..12).map(|tone| (phase * tone as f32 * std::f32::consts::TAU).sin() / tone as f32);
                let sample = if (time * 4.0).fract() < 0.9 { tones.sum::<f32>() * 0.2 } else { 0.0 };
                std::iter::repeat_n(sample, channels)
            });
            let frame: Vec<f32> = frames.collect();
            let payload = encoder.encode(&frame).expect("sent");
            repairs += u32::from(opus_packet::has_repair(payload));
            music += u32::from(payload[0] >> 3 >= 16);
        }
        (repairs as f32 / 200.0, music as f32 / 200.0)
    }

    #[test]
    fn a_voice_repairs_itself_before_the_first_report_and_music_is_coded_as_music() {
        for bitrate in [None, Some(24_000)] {
            let (repairs, _) = parts(1, bitrate);
            assert!(repairs > 0.8, "{bitrate:?}: {repairs}");
        }
        let (_, music) = parts(2, None);
        assert!(music > 0.9, "{music}");
    }
}
