//! Sound between packets and samples, without a thread, a clock or a socket: the time is an argument.
//!
//! ```text
//!   samples ─▶ Resampler ─▶ Encoder ─▶ payload ··· network ··· Packet ─▶ Playout ─▶ Resampler ─▶ samples
//!                                                                        (delay, Decoder, stretch)
//! ```
//!
//! Samples are `f32` from -1 to 1, those of several channels interleaved. A *frame* is one sample for each channel.

#![forbid(unsafe_code)]

pub mod decoder;
pub mod delay;
pub mod encoder;
pub mod g711;
pub mod level;
pub mod opus_packet;
pub mod playout;
pub mod resample;
pub mod stretch;

pub use decoder::Decoder;
pub use encoder::{Encoder, Settings};
pub use level::Level;
pub use playout::{Config, Figures, Packet, Playout, Pulled};
pub use resample::Resampler;

/// The codecs that can be decoded and encoded here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Opus,
    Pcmu,
    Pcma,
}

impl Codec {
    /// Ticks of an RTP timestamp in a second.
    pub fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus => 48_000,
            Codec::Pcmu | Codec::Pcma => 8000,
        }
    }

    /// Return the rate at which this codec works for somebody who wants samples of `rate`. Opus has five rates of its own.
    pub fn working_rate(self, rate: u32) -> u32 {
        match self {
            Codec::Opus if matches!(rate, 8000 | 12_000 | 16_000 | 24_000 | 48_000) => rate,
            Codec::Opus => 48_000,
            Codec::Pcmu | Codec::Pcma => 8000,
        }
    }

    /// Return the ticks that a payload lasts. `None`: it is damaged, or longer than any true one.
    pub fn ticks(self, payload: &[u8]) -> Option<u32> {
        match self {
            Codec::Opus => opus_packet::ticks(payload),
            Codec::Pcmu | Codec::Pcma => {
                (1..=g711::MAX_PAYLOAD).contains(&payload.len()).then_some(payload.len() as u32)
            }
        }
    }
}

/// Return a sample as a 16-bit number.
pub fn to_i16(sample: f32) -> i16 {
    (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}

/// Return a 16-bit sample as a number from -1 to 1.
pub fn to_f32(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}
