//! Negotiated sections of the descriptions, as the engine needs them.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    Audio,
    Video,
}

/// The codecs of audio that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioCodec {
    Opus,
    Pcmu,
    Pcma,
    G722,
}

impl AudioCodec {
    pub fn name(self) -> &'static str {
        match self {
            AudioCodec::Opus => "opus",
            AudioCodec::Pcmu => "PCMU",
            AudioCodec::Pcma => "PCMA",
            AudioCodec::G722 => "G722",
        }
    }

    /// RTP ticks a second. G.722 has 8000 of them for its 16 000 samples (RFC 3551 section 4.5.2).
    pub fn clock_rate(self) -> u32 {
        match self {
            AudioCodec::Opus => 48_000,
            AudioCodec::Pcmu | AudioCodec::Pcma | AudioCodec::G722 => 8000,
        }
    }
}

/// The codecs of video that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    Vp8,
    H264,
}

impl VideoCodec {
    /// RTP ticks a second, of all codecs of video.
    pub const CLOCK_RATE: u32 = 90_000;

    pub fn name(self) -> &'static str {
        match self {
            VideoCodec::Vp8 => "VP8",
            VideoCodec::H264 => "H264",
        }
    }
}

/// A payload type and its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    pub payload_type: u8,
    pub name: String,
    pub clock_rate: u32,
    /// The number of channels of audio; 0 for video.
    pub channels: u8,
    pub fmtp: String,
}

/// The meaning of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    Audio(AudioCodec),
    Video(VideoCodec),
    /// Packets sent again, of the format with this payload type (RFC 4588).
    Rtx(u8),
    /// Telephone tones (RFC 4733).
    Tone,
    /// Redundancy (RFC 2198).
    Red,
    /// All that is not known.
    Other,
}

impl Format {
    pub fn payload(&self) -> Payload {
        const KNOWN: [(&str, Payload); 8] = [
            ("opus", Payload::Audio(AudioCodec::Opus)),
            ("pcmu", Payload::Audio(AudioCodec::Pcmu)),
            ("pcma", Payload::Audio(AudioCodec::Pcma)),
            ("g722", Payload::Audio(AudioCodec::G722)),
            ("vp8", Payload::Video(VideoCodec::Vp8)),
            ("h264", Payload::Video(VideoCodec::H264)),
            ("telephone-event", Payload::Tone),
            ("red", Payload::Red),
        ];
        if self.name.eq_ignore_ascii_case("rtx") {
            let of = self.parameter("apt").and_then(|text| text.parse().ok());
            return of.map_or(Payload::Other, Payload::Rtx);
        }
        let known = KNOWN.iter().find(|(name, _)| self.name.eq_ignore_ascii_case(name));
        known.map_or(Payload::Other, |(_, payload)| *payload)
    }

    /// The value of a parameter in the fmtp.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp
            .split(';')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// One section of audio or video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub mid: String,
    pub kind: MediaKind,
    /// The handles of its sender and receiver, which the events name.
    pub sender: Option<u64>,
    pub receiver: Option<u64>,
    /// Whether the directions let it send and receive.
    pub sends: bool,
    pub receives: bool,
    /// The best one first, as the peer describes them.
    pub send: Vec<Format>,
    /// As this side describes them.
    pub receive: Vec<Format>,
    /// Header extensions: their numbers and names.
    pub extensions: Vec<(u8, String)>,
    /// Streams of the peer that its description names.
    pub ssrcs: Vec<u32>,
    pub rids: Vec<String>,
    /// The streams that its sender has by this side's description: of packets, and of those that are sent again. None:
    /// they are chosen here.
    pub own_ssrcs: Option<(u32, u32)>,
    /// Whether its encoding is active.
    pub active: bool,
    pub max_bitrate: Option<u32>,
    pub reduced_size: bool,
}

pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
pub const SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
pub const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

impl Section {
    /// The number of an extension.
    pub fn extension(&self, name: &str) -> Option<u8> {
        self.extensions.iter().find(|(_, known)| known == name).map(|(id, _)| *id)
    }

    /// The format that is sent, if the section sends audio.
    pub fn sent_format(&self) -> Option<(&Format, AudioCodec)> {
        if !self.sends || !self.active {
            return None;
        }
        self.send.iter().find_map(|format| match format.payload() {
            Payload::Audio(codec) => Some((format, codec)),
            _ => None,
        })
    }

    /// The format that is sent, if the section sends video. A large unit of H264 fits into packets only in
    /// packetization mode 1 (RFC 6184 section 6.3).
    pub fn sent_video(&self) -> Option<(&Format, VideoCodec)> {
        if !self.sends || !self.active {
            return None;
        }
        self.send.iter().find_map(|format| match format.payload() {
            Payload::Video(VideoCodec::H264) if format.parameter("packetization-mode") != Some("1") => None,
            Payload::Video(codec) => Some((format, codec)),
            _ => None,
        })
    }

    /// The payload type of packets that are sent again, for those of this payload type.
    pub fn repair_type(&self, payload_type: u8) -> Option<u8> {
        let found = self.send.iter().find(|format| format.payload() == Payload::Rtx(payload_type));
        found.map(|format| format.payload_type)
    }

    /// The format of telephone tones with this clock.
    pub fn tone_format(&self, clock_rate: u32) -> Option<&Format> {
        self.send.iter().find(|format| format.payload() == Payload::Tone && format.clock_rate == clock_rate)
    }

    /// How to encode; None: the section sends nothing.
    pub fn plan(&self) -> Option<Plan> {
        match self.kind {
            MediaKind::Audio => self.send_plan().map(Plan::Audio),
            MediaKind::Video => self.video_plan().map(Plan::Video),
        }
    }

    fn video_plan(&self) -> Option<VideoPlan> {
        let (format, codec) = self.sent_video()?;
        Some(VideoPlan { codec, fmtp: format.fmtp.clone(), max_bitrate: self.max_bitrate })
    }

    fn send_plan(&self) -> Option<SendPlan> {
        let (format, codec) = self.sent_format()?;
        let is_on = |name| format.parameter(name) == Some("1");
        let is_opus = codec == AudioCodec::Opus;
        let average = format.parameter("maxaveragebitrate").and_then(|text| text.parse().ok());
        Some(SendPlan {
            codec,
            channels: if is_opus && is_on("stereo") { 2 } else { 1 },
            max_bitrate: [self.max_bitrate, average.filter(|_| is_opus)].into_iter().flatten().min(),
            fec: is_opus && is_on("useinbandfec"),
            dtx: is_opus && is_on("usedtx"),
            frame: Duration::from_millis(20),
        })
    }
}

/// How to encode for a sender of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    Audio(SendPlan),
    Video(VideoPlan),
}

/// How to encode for a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendPlan {
    pub codec: AudioCodec,
    /// 2 only of Opus, if the peer has asked for it.
    pub channels: u8,
    /// Bits a second.
    pub max_bitrate: Option<u32>,
    /// Opus: forward error correction within its packets.
    pub fec: bool,
    /// Opus: nothing is sent while it is silent.
    pub dtx: bool,
    /// The length of one packet.
    pub frame: Duration,
}

/// How to encode pictures for a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoPlan {
    pub codec: VideoCodec,
    /// The parameters of the format, as the peer describes them.
    pub fmtp: String,
    /// Bits a second.
    pub max_bitrate: Option<u32>,
}

#[cfg(test)]
pub(super) fn section(mid: &str, payload_type: u8) -> Section {
    let format = |payload_type, name: &str, clock_rate, channels| Format {
        payload_type,
        name: name.to_owned(),
        clock_rate,
        channels,
        fmtp: String::new(),
    };
    let formats = vec![
        format(payload_type, "opus", 48_000, 2),
        format(0, "PCMU", 8000, 1),
        format(110, "telephone-event", 48_000, 1),
    ];
    Section {
        mid: mid.to_owned(),
        kind: MediaKind::Audio,
        sender: Some(u64::from(payload_type) * 10),
        receiver: Some(u64::from(payload_type) * 10 + 1),
        sends: true,
        receives: true,
        send: formats.clone(),
        receive: formats,
        extensions: vec![(4, MID.to_owned()), (1, AUDIO_LEVEL.to_owned())],
        ssrcs: Vec::new(),
        rids: Vec::new(),
        own_ssrcs: None,
        active: true,
        max_bitrate: None,
        reduced_size: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_follows_the_parameters_of_the_peer() {
        let mut section = section("0", 111);
        let plain = section.send_plan().expect("it sends");
        assert_eq!((plain.codec, plain.channels, plain.fec), (AudioCodec::Opus, 1, false));
        section.send[0].fmtp = "minptime=10; useinbandfec=1;stereo=1;maxaveragebitrate=40000".to_owned();
        section.max_bitrate = Some(64_000);
        let plan = section.send_plan().expect("it sends");
        assert_eq!((plan.channels, plan.fec, plan.dtx, plan.max_bitrate), (2, true, false, Some(40_000)));
        section.send.remove(0);
        assert_eq!(section.send_plan().map(|plan| plan.codec), Some(AudioCodec::Pcmu));
        section.active = false;
        assert_eq!(section.send_plan(), None);
    }
}
