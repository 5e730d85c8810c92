//! The payloads of one frame's packets, as the frame that they were. Nothing is kept from one frame to the next.

pub mod h264;
pub mod vp8;

use super::section::VideoCodec;

/// The place of a packet in its frame, as the packet says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing says that it is the first packet of a frame.
    Unknown,
    /// The first packet of a frame that refers to others.
    Frame,
    /// The first packet of a frame that can be decoded by itself, or one before which nothing of it is needed.
    Key,
    /// The first packet of such a picture; packets before it may be needed.
    KeyPicture,
}

pub fn start(codec: VideoCodec, payload: &[u8]) -> Start {
    match codec {
        VideoCodec::Vp8 => vp8::start(payload),
        VideoCodec::H264 => h264::start(payload),
    }
}
