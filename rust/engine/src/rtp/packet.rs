//! Packets between the engine and the encoders and decoders.

use std::time::{Duration, Instant};

use super::section::{AudioCodec, SendPlan, VideoCodec, VideoPlan};

/// A packet of audio that has come in: authentic, and its receiver is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioPacket {
    pub codec: AudioCodec,
    /// As negotiated.
    pub channels: u8,
    pub ssrc: u32,
    /// Extended: one more for each packet of the SSRC.
    pub sequence: u64,
    /// Extended, in ticks of the codec's clock.
    pub timestamp: u64,
    pub marker: bool,
    /// RFC 6464: 0 is the loudest, 127 is silence.
    pub level: Option<u8>,
    pub arrived: Instant,
    /// When the peer took its first sample, as in [`Frame`].
    pub captured: Option<Instant>,
    pub payload: Vec<u8>,
}

/// A packet of audio to send. The engine adds all that it needs on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioUnit {
    pub codec: AudioCodec,
    /// In ticks of the codec's clock, on one growing axis of the sender.
    pub timestamp: u64,
    /// The first after a pause.
    pub marker: bool,
    /// RFC 6464: the level, and whether it is a voice.
    pub level: Option<(u8, bool)>,
    /// When its first sample was due.
    pub captured: Instant,
    /// The maker's own number: it grows with each unit of the sender.
    pub mark: u64,
    pub payload: Vec<u8>,
}

/// A whole frame that has come in: every packet of it is here, and the frames that it refers to were given up before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub codec: VideoCodec,
    /// Whether it can be decoded by itself.
    pub key: bool,
    pub ssrc: u32,
    /// One more for each frame of the SSRC that was handed up.
    pub id: u64,
    /// Extended, in ticks of 90 kHz.
    pub timestamp: u64,
    /// When the peer took it, on the clock of this host, by the peer's reports; None: there was no report yet.
    pub captured: Option<Instant>,
    /// The temporal layer.
    pub temporal: u8,
    /// The moment of the last packet.
    pub arrived: Instant,
    /// VP8: the frame. H264: an Annex B stream with start codes.
    pub data: Vec<u8>,
}

/// A whole frame to send. The engine adds all that it needs on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameUnit {
    /// The index of the encoding.
    pub encoding: u8,
    pub codec: VideoCodec,
    pub key: bool,
    pub temporal: u8,
    /// In ticks of 90 kHz, on one growing axis of the sender.
    pub timestamp: u64,
    /// How long ago it was taken.
    pub age: Duration,
    /// The maker's own number: it grows with each frame of the sender.
    pub mark: u64,
    /// As in [`Frame`]; at most 4 MiB.
    pub data: Vec<u8>,
}

/// The engine's reports of media. Senders and receivers are named by their handles.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// How to encode has changed. None: it may not send now.
    Plan {
        sender: u64,
        plan: Option<SendPlan>,
    },
    /// The highest marks that have left, and that a report of the peer covers; lost packets of a thousand.
    Progress {
        sender: u64,
        sent: u64,
        arrived: u64,
        loss: u32,
    },
    Audio {
        receiver: u64,
        packet: AudioPacket,
    },
    Frame {
        receiver: u64,
        frame: Frame,
    },
    /// The peer wants a key frame.
    KeyWanted {
        sender: u64,
        encoding: u8,
    },
    /// How many bits a second an encoding may have.
    Target {
        sender: u64,
        encoding: u8,
        bitrate: u32,
    },
    /// How to encode pictures has changed. None: it may not send now.
    VideoPlan {
        sender: u64,
        plan: Option<VideoPlan>,
    },
    /// The first packet, or the first after a BYE.
    On {
        receiver: u64,
        ssrc: u32,
    },
    /// A BYE of the peer.
    Off {
        receiver: u64,
    },
    /// A telephone tone is over; its length.
    Tone {
        receiver: u64,
        tone: char,
        seconds: f64,
    },
}
