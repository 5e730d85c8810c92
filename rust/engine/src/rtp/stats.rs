//! Figures of the streams, for getStats.

use std::time::Instant;

use super::clock::Clock;
pub use super::receive::stream::FrameStats;
use super::receive::stream::Incoming;
use super::send::{Outgoing, Sending};

/// A stream that comes in. Times are seconds; ages count back from the moment of the figures.
#[derive(Clone, Debug, PartialEq)]
pub struct InboundStats {
    pub ssrc: u32,
    pub mid: String,
    pub receiver: u64,
    pub payload_type: u8,
    pub packets: u64,
    pub bytes: u64,
    pub header_bytes: u64,
    pub lost: i64,
    pub jitter: f64,
    pub last_age: f64,
    /// The peer's reports: its clock (seconds since 1970), packets, bytes, how many reports.
    pub remote: Option<(f64, u32, u32, u64)>,
    /// Packets that came again because they were asked for, their bytes, and the stream that carried them.
    pub repaired: (u64, u64, Option<u32>),
    /// How many NACKs and PLIs were sent.
    pub asked: (u64, u64),
    pub is_video: bool,
    pub frames: FrameStats,
}

/// A stream that goes out.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboundStats {
    pub ssrc: u32,
    pub mid: String,
    pub sender: u64,
    pub payload_type: u8,
    pub packets: u64,
    pub bytes: u64,
    pub header_bytes: u64,
    pub is_active: bool,
    pub remote: Option<RemoteStats>,
    /// None: it carries sound.
    pub video: Option<VideoStats>,
}

/// Figures of pictures that go out.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoStats {
    pub frames: u64,
    pub nacks: u64,
    pub plis: u64,
    pub firs: u64,
    /// Packets that were sent again because the peer has asked, and bytes of their payload.
    pub asked: u64,
    pub asked_bytes: u64,
    /// The stream of packets that are sent again: packets, bytes of payload, bytes of headers.
    pub repair_ssrc: u32,
    pub repairs: (u64, u64, u64),
    /// Bits a second.
    pub target: Option<u32>,
    /// Seconds that packets have waited, in all.
    pub delay: f64,
}

/// The peer's reports of a stream that goes out.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteStats {
    pub age: f64,
    pub received: u64,
    pub lost: i32,
    pub fraction_lost: f64,
    pub jitter: f64,
    pub round_trip: Option<f64>,
    pub total_round_trip: f64,
    pub measurements: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaStats {
    pub inbound: Vec<InboundStats>,
    pub outbound: Vec<OutboundStats>,
    /// Bits a second that all that is sent may have.
    pub available: Option<u32>,
}

pub fn collect(now: Instant, incoming: &[Incoming], sending: &Sending) -> MediaStats {
    let age = |time: Instant| now.saturating_duration_since(time).as_secs_f64();
    let media = incoming.iter().filter(|stream| !stream.is_repair);
    let inbound = media.map(|stream| InboundStats {
        ssrc: stream.ssrc,
        mid: stream.mid.clone(),
        receiver: stream.receiver,
        payload_type: stream.payload_type,
        packets: stream.packets,
        bytes: stream.bytes,
        header_bytes: stream.header_bytes,
        lost: stream.lost(),
        jitter: stream.jitter(),
        last_age: age(stream.last),
        remote: stream
            .report
            .map(|(info, _)| (Clock::unix(info.ntp), info.packets, info.bytes, stream.reports)),
        repaired: (stream.asked.repaired, stream.asked.repaired_bytes, stream.asked.repair_ssrc),
        asked: (stream.asked.nacks, stream.asked.keys),
        is_video: stream.is_video,
        frames: stream.frames(),
    });
    let outbound = sending.streams.iter().filter(|stream| stream.packets > 0 || stream.plan.is_some());
    MediaStats {
        inbound: inbound.collect(),
        outbound: outbound.map(|stream| outbound_of(now, stream)).collect(),
        available: sending.available(),
    }
}

fn outbound_of(now: Instant, stream: &Outgoing) -> OutboundStats {
    OutboundStats {
        ssrc: stream.ssrc,
        mid: stream.mid.clone(),
        sender: stream.sender,
        payload_type: stream.payload_type,
        packets: stream.packets,
        bytes: stream.bytes,
        header_bytes: stream.header_bytes,
        is_active: stream.plan.is_some(),
        remote: stream.remote.map(|remote| RemoteStats {
            age: now.saturating_duration_since(remote.at).as_secs_f64(),
            received: remote.received,
            lost: remote.block.lost,
            fraction_lost: f64::from(remote.block.fraction_lost) / 256.0,
            jitter: f64::from(remote.block.jitter) / f64::from(stream.clock_rate()),
            round_trip: remote.round_trip.map(|time| time.as_secs_f64()),
            total_round_trip: remote.total_round_trip.as_secs_f64(),
            measurements: remote.measurements,
        }),
        video: stream.video.as_ref().map(|video| VideoStats {
            frames: video.frames,
            nacks: video.nacks,
            plis: video.plis,
            firs: video.firs,
            repair_ssrc: video.repairs.ssrc,
            repairs: (video.repairs.packets, video.repairs.bytes, video.repairs.header_bytes),
            asked: video.repairs.asked,
            asked_bytes: video.repairs.asked_bytes,
            target: video.target,
            delay: video.delay.as_secs_f64(),
        }),
    }
}
