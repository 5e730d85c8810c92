//! Media that comes in: the streams of the peer, and requests to it.
//!
//! State of a stream is made by its first authentic packet that has a receiver, and is bounded.

mod arrivals;
pub mod assemble;
pub mod repair;
pub mod stream;
mod sync;
#[cfg(test)]
mod tests;
mod tones;
pub mod video;

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::packet::{AudioPacket, Frame, MediaEvent};
use super::section::{AudioCodec, Format, MediaKind, Payload, Section, VideoCodec};
use super::srtp;
use super::table::{Destination, Tables};
use super::wire::header::Header;
use super::wire::rtcp::{Block, SenderInfo};
use super::wire::{red, rtcp, tone};
use arrivals::Arrivals;
use assemble::Piece;
use stream::Incoming;
use sync::PeerClock;

/// Streams of the peer that have a receiver.
const MAX_STREAMS: usize = srtp::MAX_STREAMS;
/// After this a stream of the peer makes room for another one.
const SILENT: Duration = Duration::from_secs(10);
/// Streams of one receiver whose frames are put together: a peer may change from one to another.
const MAX_VIDEOS: usize = 2;
/// The most packets that one NACK asks for.
const MAX_ASKED: usize = 200;

/// The receiving side of a transport.
pub struct Receive {
    start: Instant,
    pub streams: Vec<Incoming>,
    arrivals: Arrivals,
    clock: PeerClock,
    /// Receivers of pictures that somebody reads.
    readers: HashSet<u64>,
    /// As repairs have measured it.
    pub round_trip: Option<Duration>,
}

impl Receive {
    pub fn new(now: Instant) -> Receive {
        Receive {
            start: now,
            streams: Vec::new(),
            arrivals: Arrivals::new(now),
            clock: PeerClock::new(now),
            readers: HashSet::new(),
            round_trip: None,
        }
    }

    /// Keep the streams that still have their receiver. One of another section is found again by its next packet.
    pub fn apply(&mut self, sections: &[Section]) {
        self.streams.retain_mut(|stream| {
            let section = sections.iter().find(|section| section.mid == stream.mid);
            stream.is_on &= section.is_some_and(|section| section.receives);
            if !stream.is_on {
                stream.end_frames();
            }
            section.and_then(|section| section.receiver) == Some(stream.receiver)
        });
        let is_known = |receiver: &u64| sections.iter().any(|section| section.receiver == Some(*receiver));
        self.readers.retain(is_known);
    }

    /// The path is over: nothing is waited for.
    pub fn stop(&mut self) {
        self.arrivals = Arrivals::new(self.start);
        self.streams.iter_mut().for_each(Incoming::end_frames);
    }

    // --- packets ----------------------------------------------------------------------------------------------------

    /// Take a decrypted packet with its index. None: it belongs to no receiver.
    pub fn handle_rtp(
        &mut self,
        now: Instant,
        tables: &Tables,
        (header, packet, index): (&Header, &[u8], u64),
        events: &mut VecDeque<MediaEvent>,
    ) -> Option<()> {
        let known = self.streams.iter().position(|stream| stream.ssrc == header.ssrc);
        let bound = known.map(|at| self.streams[at].mid.as_str());
        let found = tables.find(now, header, packet, bound)?;
        let section = found.section;
        let receiver = section.receiver?;
        let payload = header.payload(packet)?;
        let at = match known {
            Some(at) => at,
            None => {
                self.make_room(now)?;
                let whose = (section.mid.clone(), receiver);
                self.streams.push(Incoming::new(now, header.ssrc, whose, index, header.timestamp));
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[at];
        if stream.mid != section.mid {
            stream.mid.clone_from(&section.mid);
            (stream.receiver, stream.is_on) = (receiver, false);
            stream.end_frames();
        }
        let numbers = (index, header.timestamp);
        let sizes = (header.size, payload.len());
        let timestamp = stream.count(now, self.start, numbers, found.format.clock_rate, sizes);
        stream.payload_type = header.payload_type;
        if let Some(number) = found.number {
            self.arrivals.note(now, number);
        }
        if let Payload::Rtx(original) = found.payload {
            stream.is_repair = true;
            self.handle_repair(now, &found, (header, original, payload), events);
            return Some(());
        }
        if !std::mem::replace(&mut stream.is_on, true) {
            events.push_back(MediaEvent::On { receiver, ssrc: header.ssrc });
        }
        stream.is_video = section.kind == MediaKind::Video;
        if stream.is_video {
            let place = ((index, false), timestamp, header.marker);
            self.handle_picture(now, at, section, (found.payload, place), payload, events);
            return Some(());
        }
        let captured = stream
            .report
            .and_then(|(info, _)| self.clock.captured(now, &info, header.timestamp, found.format.clock_rate));
        let place = Place { ssrc: header.ssrc, sequence: index, timestamp, arrived: now, captured };
        if let Payload::Tone = found.payload {
            if let Some(report) = tone::Report::read(payload) {
                let told = stream.tones.take(now, (timestamp, found.format.clock_rate), report);
                events.extend(told.map(|tone| tone_event(receiver, tone)));
            }
            return Some(());
        }
        hand_up(events, receiver, &found, (place, (header.marker, found.level)), payload);
        Some(())
    }

    /// Take a packet that came again in a stream of its own (RFC 4588): the number of the original is in front.
    fn handle_repair(
        &mut self,
        now: Instant,
        found: &Destination<'_>,
        (header, original, payload): (&Header, u8, &[u8]),
        events: &mut VecDeque<MediaEvent>,
    ) {
        let Some((sequence, payload)) = payload.split_first_chunk::<2>() else { return }; // padding
        let sequence = u16::from_be_bytes(*sequence);
        let section = found.section;
        let formats = &section.receive;
        let Some(format) = formats.iter().find(|format| format.payload_type == original) else { return };
        let is_of_section = |stream: &Incoming| stream.mid == section.mid && !stream.is_repair;
        let is_missing = |stream: &Incoming| {
            let index = stream.index_of(sequence);
            index.is_some_and(|index| stream.video.as_ref().is_some_and(|video| video.is_missing(index)))
        };
        let wanted = |stream: &Incoming| is_of_section(stream) && is_missing(stream);
        let (at, is_wanted) = match self.streams.iter().position(wanted) {
            Some(at) => (at, true),
            None => match self.streams.iter().position(is_of_section) {
                Some(at) => (at, false),
                None => return,
            },
        };
        let stream = &mut self.streams[at];
        stream.asked.repaired += 1;
        stream.asked.repaired_bytes += payload.len() as u64;
        stream.asked.repair_ssrc = Some(header.ssrc);
        let Some(index) = stream.index_of(sequence).filter(|_| is_wanted) else { return };
        let place = ((index, true), stream.extend(header.timestamp), header.marker);
        self.handle_picture(now, at, section, (format.payload(), place), payload, events);
    }

    /// Take a packet of pictures. A packet without a frame has its place among the others.
    fn handle_picture(
        &mut self,
        now: Instant,
        at: usize,
        section: &Section,
        (kind, (place, timestamp, marker)): (Payload, ((u64, bool), u64, bool)),
        payload: &[u8],
        events: &mut VecDeque<MediaEvent>,
    ) {
        if !self.readers.contains(&self.streams[at].receiver) {
            return;
        }
        if self.streams[at].video.is_none() {
            self.begin(now, at);
        }
        let (codec, payload) = match kind {
            Payload::Video(codec) => (codec, payload),
            Payload::Red => unwrapped(section, payload).unwrap_or((VideoCodec::Vp8, &[])),
            _ => (VideoCodec::Vp8, &[][..]),
        };
        let piece = Piece { codec, timestamp, marker, payload: payload.to_vec() };
        let Some(video) = &mut self.streams[at].video else { return };
        if let Some(measured) = video.insert(now, place, piece) {
            let before = self.round_trip.unwrap_or(measured);
            self.round_trip = Some((before * 7 + measured) / 8);
        }
        self.hand_up_frames(now, at, events);
    }

    /// Begin to put the frames of a stream together.
    fn begin(&mut self, now: Instant, at: usize) {
        let receiver = self.streams[at].receiver;
        let others = self.streams.iter_mut().filter(|one| one.receiver == receiver && one.video.is_some());
        let mut others: Vec<&mut Incoming> = others.collect();
        if others.len() >= MAX_VIDEOS
            && let Some(oldest) = others.iter_mut().min_by_key(|stream| stream.last)
        {
            oldest.end_frames();
        }
        self.streams[at].begin_frames(now);
    }

    fn hand_up_frames(&mut self, now: Instant, at: usize, events: &mut VecDeque<MediaEvent>) {
        let Receive { streams, clock, .. } = self;
        let stream = &mut streams[at];
        let Some(video) = &mut stream.video else { return };
        while let Some(whole) = video.poll(now) {
            let captured = stream.report.and_then(|(info, _)| {
                clock.captured(now, &info, whole.timestamp as u32, VideoCodec::CLOCK_RATE)
            });
            let frame = Frame {
                codec: whole.codec,
                key: whole.is_key,
                ssrc: stream.ssrc,
                id: video.id,
                timestamp: whole.timestamp,
                captured,
                temporal: whole.temporal,
                arrived: now,
                data: whole.data,
            };
            events.push_back(MediaEvent::Frame { receiver: stream.receiver, frame });
        }
    }

    /// Make room for one more stream; None: all are in use.
    fn make_room(&mut self, now: Instant) -> Option<()> {
        if self.streams.len() >= MAX_STREAMS {
            let silent = self.streams.iter().position(|stream| stream.is_silent(now, SILENT))?;
            self.streams.swap_remove(silent);
        }
        Some(())
    }

    // --- reports ----------------------------------------------------------------------------------------------------

    pub fn handle_report(&mut self, now: Instant, ssrc: u32, info: SenderInfo) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) {
            stream.report = Some((info, now));
            stream.reports += 1;
            self.clock.note(now, &info);
        }
    }

    pub fn handle_bye(&mut self, ssrcs: &[u32], events: &mut VecDeque<MediaEvent>) {
        for stream in self.streams.iter_mut().filter(|stream| ssrcs.contains(&stream.ssrc)) {
            stream.end_frames();
            events.extend(stream.tones.end().map(|tone| tone_event(stream.receiver, tone)));
            if std::mem::replace(&mut stream.is_on, false) {
                events.push_back(MediaEvent::Off { receiver: stream.receiver });
            }
        }
    }

    /// The blocks about streams that were heard within `bound`.
    pub fn blocks(&mut self, now: Instant, bound: Duration) -> Vec<Block> {
        let recent = self.streams.iter_mut().filter(|stream| !stream.is_silent(now, bound));
        recent
            .map(|stream| {
                stream.video.iter_mut().for_each(|video| video.calm());
                stream.block(now)
            })
            .collect()
    }

    // --- what the peer is asked for ---------------------------------------------------------------------------------

    /// Begin or end to put frames together.
    pub fn read(&mut self, now: Instant, receiver: u64, is_read: bool) {
        let is_changed = if is_read { self.readers.insert(receiver) } else { self.readers.remove(&receiver) };
        if !is_changed {
            return;
        }
        for at in 0..self.streams.len() {
            let stream = &mut self.streams[at];
            if stream.receiver != receiver || stream.is_repair {
                continue;
            }
            stream.end_frames();
            if is_read && stream.is_on {
                self.begin(now, at);
            }
        }
        if is_read {
            self.request_key(now, receiver);
        }
    }

    pub fn request_key(&mut self, now: Instant, receiver: u64) {
        let streams = self.streams.iter_mut().filter(|stream| stream.receiver == receiver);
        streams.filter_map(|stream| stream.video.as_mut()).for_each(|video| video.want_key(now));
    }

    pub fn handle_timeout(&mut self, now: Instant, round_trip: Duration, events: &mut VecDeque<MediaEvent>) {
        for at in 0..self.streams.len() {
            let stream = &mut self.streams[at];
            events.extend(stream.tones.handle_timeout(now).map(|tone| tone_event(stream.receiver, tone)));
            if let Some(video) = &mut stream.video
                && video.handle_timeout(now, round_trip)
            {
                self.hand_up_frames(now, at, events);
            }
        }
    }

    pub fn timeout(&self, round_trip: Duration) -> Option<Instant> {
        let videos =
            self.streams.iter().filter_map(|stream| stream.video.as_ref()?.timeout(round_trip)).min();
        let tones = self.streams.iter().filter_map(|stream| stream.tones.timeout()).min();
        [videos, tones, self.arrivals.timeout()].into_iter().flatten().min()
    }

    /// RTCP packets that are due. `own`: the SSRC of this side.
    pub fn asks(&mut self, now: Instant, round_trip: Duration, own: u32) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for stream in &mut self.streams {
            let Some(video) = &mut stream.video else { continue };
            let asks = video.ask(now, round_trip);
            for lost in asks.lost.chunks(MAX_ASKED) {
                let mut packet = Vec::new();
                rtcp::write_nack(&mut packet, own, stream.ssrc, lost);
                packets.push(packet);
                stream.asked.nacks += 1;
            }
            if asks.key {
                let mut packet = Vec::new();
                rtcp::write_pli(&mut packet, own, stream.ssrc);
                packets.push(packet);
                stream.asked.keys += 1;
            }
        }
        let media = self.streams.first().map_or(0, |stream| stream.ssrc);
        for feedback in self.arrivals.poll(now) {
            let mut packet = Vec::new();
            feedback.write(&mut packet, own, media);
            packets.push(packet);
        }
        packets
    }
}

/// The primary block of redundancy (RFC 2198), if it is video. The other blocks came before, or are error correction.
fn unwrapped<'p>(section: &Section, payload: &'p [u8]) -> Option<(VideoCodec, &'p [u8])> {
    let primary = red::blocks(payload).pop()?;
    let format = section.receive.iter().find(|format| format.payload_type == primary.payload_type)?;
    match format.payload() {
        Payload::Video(codec) => Some((codec, primary.bytes)),
        _ => None,
    }
}

fn tone_event(receiver: u64, (tone, seconds): (char, f64)) -> MediaEvent {
    MediaEvent::Tone { receiver, tone, seconds }
}

/// Make the events of a payload of sound.
fn hand_up(
    events: &mut VecDeque<MediaEvent>,
    receiver: u64,
    found: &Destination<'_>,
    (place, (marker, level)): (Place, (bool, Option<u8>)),
    payload: &[u8],
) {
    let Destination { section, format, .. } = found;
    match found.payload {
        Payload::Audio(codec) => {
            let packet = place.packet(codec, format.channels, (marker, level), payload);
            events.push_back(MediaEvent::Audio { receiver, packet });
        }
        Payload::Red => {
            let blocks = red::blocks(payload);
            let count = blocks.len() as u64;
            for (older, block) in (0..count).rev().zip(blocks) {
                let inner = section.receive.iter().find(|one| one.payload_type == block.payload_type);
                let Some(Payload::Audio(codec)) = inner.map(Format::payload) else { continue };
                let place = Place {
                    sequence: place.sequence.saturating_sub(older),
                    timestamp: place.timestamp.saturating_sub(block.age.into()),
                    captured: None, // the packet itself says enough
                    ..place
                };
                let mark = (marker && older == 0, level);
                let packet = place.packet(codec, format.channels, mark, block.bytes);
                events.push_back(MediaEvent::Audio { receiver, packet });
            }
        }
        Payload::Tone | Payload::Video(_) | Payload::Rtx(_) | Payload::Other => {}
    }
}

/// Values that the packets of one datagram share.
#[derive(Clone, Copy)]
struct Place {
    ssrc: u32,
    sequence: u64,
    timestamp: u64,
    arrived: Instant,
    captured: Option<Instant>,
}

impl Place {
    fn packet(
        &self,
        codec: AudioCodec,
        channels: u8,
        (marker, level): (bool, Option<u8>),
        payload: &[u8],
    ) -> AudioPacket {
        let Place { ssrc, sequence, timestamp, arrived, captured } = *self;
        AudioPacket {
            codec,
            channels,
            ssrc,
            sequence,
            timestamp,
            marker,
            level,
            arrived,
            captured,
            payload: payload.to_vec(),
        }
    }
}
