//! A stream that goes out: its numbers, its reports, and what the peer says of it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::super::clock::{Clock, middle, short};
use super::super::packet::{AudioUnit, FrameUnit, MediaEvent};
use super::super::section::{
    AUDIO_LEVEL, AudioCodec, MID, MediaKind, Plan, SEND_TIME, Section, TRANSPORT_CC, VideoCodec,
};
use super::super::tones::{Tones, Turn};
use super::super::wire::extensions::Writer;
use super::super::wire::header::NewHeader;
use super::super::wire::rtcp::{Block, SenderInfo};
use super::history::{Ready, Slot};
use super::video::{Draft, Video};

/// Room for a header and the tag: of a longer one the packet is moved once.
const HEAD: usize = 128;
/// Packets whose marks are kept until a report covers them.
const MAX_MARKS: usize = 1024;
/// The round trip until one is measured.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// The stream of one sender. Its SSRC, its numbers and its clock go on for as long as the sender is negotiated.
#[derive(Debug)]
pub struct Outgoing {
    pub sender: u64,
    pub mid: String,
    stamp: Stamp,
    pub ssrc: u32,
    /// How to encode, as it was reported last.
    pub plan: Option<Plan>,
    /// The index of the first packet.
    first: u64,
    /// The index of the next packet. The lower 16 bits are its sequence number.
    next: u64,
    /// Added to all timestamps.
    offset: u32,
    pub packets: u64,
    pub bytes: u64,
    pub header_bytes: u64,
    pub payload_type: u8,
    /// The timestamp of the last packet, its clock, and when its first sample was due.
    last: Option<(u64, u32, Instant)>,
    pub last_sent: Option<Instant>,
    pub tones: Tones,
    /// The index and mark of packets that have left.
    marks: VecDeque<(u64, u64)>,
    pub sent: u64,
    pub arrived: u64,
    pub remote: Option<Remote>,
    /// None: it carries sound.
    pub video: Option<Box<Video>>,
}

/// The part of a packet that its section says: looked up once in a negotiation.
#[derive(Debug)]
struct Stamp {
    sound: Option<(u8, AudioCodec)>,
    /// The ids of header extensions.
    number: Option<u8>,
    time: Option<u8>,
    mid: Option<u8>,
    level: Option<u8>,
}

impl Stamp {
    fn of(section: &Section) -> Stamp {
        Stamp {
            sound: section.sent_format().map(|(format, codec)| (format.payload_type, codec)),
            number: section.extension(TRANSPORT_CC),
            time: section.extension(SEND_TIME),
            mid: section.extension(MID),
            level: section.extension(AUDIO_LEVEL),
        }
    }
}

/// The peer's reports of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remote {
    pub at: Instant,
    pub block: Block,
    /// Packets of this side that the report covers and that came.
    pub received: u64,
    pub round_trip: Option<Duration>,
    pub total_round_trip: Duration,
    pub measurements: u64,
}

impl Outgoing {
    /// `random`: where its numbers begin. The first index is below half of a round, so that the peer guesses the first
    /// round right (RFC 3711 section 3.3.1). `repairs`: the SSRC of packets that are sent again.
    pub fn new(sender: u64, section: &Section, (ssrc, repairs): (u32, u32), random: [u8; 10]) -> Outgoing {
        let [a, b, c, d, e, f, rest @ ..] = random;
        let first = u64::from(u16::from_be_bytes([a, b]) >> 1);
        let has_pictures = section.kind == MediaKind::Video;
        Outgoing {
            sender,
            mid: section.mid.clone(),
            stamp: Stamp::of(section),
            ssrc,
            plan: None,
            first,
            next: first,
            offset: u32::from_be_bytes([c, d, e, f]),
            packets: 0,
            bytes: 0,
            header_bytes: 0,
            payload_type: 0,
            last: None,
            last_sent: None,
            tones: Tones::default(),
            marks: VecDeque::new(),
            sent: 0,
            arrived: 0,
            remote: None,
            video: has_pictures.then(|| Box::new(Video::new(repairs, rest))),
        }
    }

    /// Follow another negotiation.
    pub fn follow(&mut self, section: &Section) {
        self.mid.clone_from(&section.mid);
        self.stamp = Stamp::of(section);
    }

    /// A packet of audio; None: its section does not send this codec now, or a tone is played.
    pub fn audio(&mut self, now: Instant, unit: AudioUnit) -> Option<Ready> {
        let (payload_type, codec) = self.stamp.sound.filter(|(_, codec)| *codec == unit.codec)?;
        self.last = Some((unit.timestamp, codec.clock_rate(), unit.captured));
        if self.tones.is_playing() {
            self.sent = unit.mark;
            return None;
        }
        let numbers = (payload_type, unit.marker, unit.timestamp);
        Some(self.packet(now, numbers, unit.level, &unit.payload, unit.mark))
    }

    /// The packet of a tone that is due.
    pub fn tone(&mut self, now: Instant, section: &Section) -> Option<Ready> {
        let Some((_, codec)) = section.sent_format() else {
            self.tones.clear();
            return None;
        };
        let Some(format) = section.tone_format(codec.clock_rate()) else {
            self.tones.clear();
            return None;
        };
        let timestamp = self.timestamp(now, codec.clock_rate());
        let Turn { report, timestamp, is_first } = self.tones.poll(now, timestamp, codec.clock_rate())?;
        let numbers = (format.payload_type, is_first, timestamp);
        let mark = self.sent;
        Some(self.packet(now, numbers, None, &report.write(), mark))
    }

    fn packet(
        &mut self,
        now: Instant,
        numbers: (u8, bool, u64),
        level: Option<(u8, bool)>,
        payload: &[u8],
        mark: u64,
    ) -> Ready {
        let (mut bytes, slot) = self.head(numbers, level, payload.len());
        let header = bytes.len();
        bytes.extend_from_slice(payload);
        self.number(now, (bytes, header, slot), mark)
    }

    /// The header of a packet, without its sequence number, and with room for a payload of this size.
    fn head(
        &self,
        (payload_type, marker, timestamp): (u8, bool, u64),
        level: Option<(u8, bool)>,
        size: usize,
    ) -> (Vec<u8>, Option<Slot>) {
        let level = level.map(|(level, is_voice)| [level.min(127) | u8::from(is_voice) << 7]);
        let mut extensions = Writer::default();
        // The first one: its place is known then.
        let slot: Option<fn(usize) -> Slot> = if let Some(id) = self.stamp.number {
            extensions.add(id, &[0; 2]);
            Some(Slot::Number)
        } else if let Some(id) = self.stamp.time.filter(|_| self.video.is_some()) {
            extensions.add(id, &[0; 3]);
            Some(Slot::Time)
        } else {
            None
        };
        if let Some(id) = self.stamp.mid {
            extensions.add(id, self.mid.as_bytes());
        }
        if let (Some(id), Some(level)) = (self.stamp.level, &level) {
            extensions.add(id, level);
        }
        let mut bytes = Vec::with_capacity(HEAD + size);
        let header = NewHeader {
            payload_type,
            marker,
            sequence: 0,
            timestamp: self.offset.wrapping_add(timestamp as u32),
            ssrc: self.ssrc,
            has_extension: !extensions.is_empty(),
        };
        header.write(&mut bytes);
        let place = extensions.write(&mut bytes);
        (bytes, slot.map(|slot| slot(place)))
    }

    /// Give a packet its number, and count it: it leaves now.
    fn number(
        &mut self,
        now: Instant,
        (mut bytes, header, slot): (Vec<u8>, usize, Option<Slot>),
        mark: u64,
    ) -> Ready {
        let index = self.next;
        self.next += 1;
        let payload_type = bytes[1] & 0x7f;
        NewHeader::renumber(&mut bytes, payload_type, index as u16, self.ssrc);
        self.packets += 1;
        self.header_bytes += header as u64;
        self.bytes += (bytes.len() - header) as u64;
        self.payload_type = payload_type;
        self.last_sent = Some(now);
        Ready { bytes, header, ssrc: self.ssrc, index, sent: Some((self.sender, mark)), slot }
    }

    /// The packets of a frame. Empty: the section does not send this codec now, or there is nothing in it.
    pub fn frame(&mut self, now: Instant, section: &Section, mut unit: FrameUnit) -> Vec<Draft> {
        let sent = section.sent_video().filter(|(_, codec)| *codec == unit.codec);
        let Some((format, _)) = sent else { return Vec::new() };
        // Two frames with one timestamp would be one to the peer.
        let least = self.last.map_or(0, |(timestamp, ..)| timestamp + 1);
        unit.timestamp = unit.timestamp.max(least);
        let head = self.head((format.payload_type, false, unit.timestamp), None, 0);
        let Some(video) = &mut self.video else { return Vec::new() };
        let drafts = video.packets(now, (&head.0, head.1), &unit);
        if !drafts.is_empty() {
            let captured = now.checked_sub(unit.age).unwrap_or(now);
            self.last = Some((unit.timestamp, VideoCodec::CLOCK_RATE, captured));
        }
        drafts
    }

    /// A packet of a frame, whose turn it is.
    pub fn leave(&mut self, now: Instant, draft: Draft) -> Ready {
        let Draft { bytes, header, slot, mark, queued } = draft;
        if let Some(video) = &mut self.video {
            video.delay += now.saturating_duration_since(queued);
        }
        self.number(now, (bytes, header, slot), mark)
    }

    /// A packet that leaves again: in a stream of its own if that is negotiated, else just as it was. `is_asked`: else it
    /// fills a probe.
    pub fn repair(&mut self, now: Instant, section: &Section, index: u64, is_asked: bool) -> Option<Ready> {
        let video = self.video.as_mut()?;
        let kept = video.history.take(now, index)?;
        if is_asked {
            video.repairs.asked += 1;
            video.repairs.asked_bytes += (kept.bytes.len() - kept.header) as u64;
        }
        match section.repair_type(kept.bytes[1] & 0x7f) {
            Some(payload_type) => Some(video.repairs.packet(kept, payload_type)),
            // The same bytes under the same index: another number in it would break the cipher.
            None => is_asked.then(|| Ready { sent: None, slot: None, ..kept.clone() }),
        }
    }

    /// Note that a packet has left.
    pub fn has_left(&mut self, index: u64, mark: u64) {
        self.sent = self.sent.max(mark);
        if self.marks.len() >= MAX_MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back((index, mark));
    }

    pub fn ssrcs(&self) -> impl Iterator<Item = u32> {
        self.indexes().map(|(ssrc, _)| ssrc)
    }

    /// Return its streams, and the next index of each.
    pub fn indexes(&self) -> impl Iterator<Item = (u32, u64)> {
        let repairs = self.video.as_ref().map(|video| (video.repairs.ssrc, video.repairs.next));
        [Some((self.ssrc, self.next)), repairs].into_iter().flatten()
    }

    /// Take the indexes up again that its streams have had.
    pub fn go_on(&mut self, over: &mut HashMap<u32, u64>) {
        if let Some(next) = over.remove(&self.ssrc) {
            (self.first, self.next) = (next, next);
        }
        if let Some(repairs) = self.video.as_mut().map(|video| &mut video.repairs)
            && let Some(next) = over.remove(&repairs.ssrc)
        {
            repairs.next = next;
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> MediaEvent {
        let loss = self.remote.map_or(0, |remote| u32::from(remote.block.fraction_lost) * 1000 / 256);
        MediaEvent::Progress { sender: self.sender, sent: self.sent, arrived: self.arrived, loss }
    }

    /// The last round trip that was measured.
    pub fn round_trip(&self) -> Duration {
        self.remote.and_then(|remote| remote.round_trip).unwrap_or(ROUND_TRIP)
    }

    /// RTP ticks a second.
    pub fn clock_rate(&self) -> u32 {
        self.last.map_or(48_000, |(_, rate, _)| rate)
    }

    /// The time on its clock, without the offset.
    fn timestamp(&self, now: Instant, clock_rate: u32) -> u64 {
        let Some((timestamp, rate, captured)) = self.last else { return 0 };
        let base = timestamp * u64::from(clock_rate) / u64::from(rate.max(1));
        let since = now.saturating_duration_since(captured).as_secs_f64();
        base + (since * f64::from(clock_rate)) as u64
    }

    /// The info for its next report; None: it has sent nothing.
    pub fn info(&self, now: Instant, clock: &Clock) -> Option<SenderInfo> {
        let (_, rate, _) = self.last.filter(|_| self.packets > 0)?;
        Some(SenderInfo {
            ntp: clock.ntp(now),
            timestamp: self.offset.wrapping_add(self.timestamp(now, rate) as u32),
            packets: self.packets as u32,
            bytes: self.bytes as u32,
        })
    }

    /// The index that a report means by its highest sequence number; None: it was never sent.
    fn covered(&self, reported: u32) -> Option<u64> {
        let highest = self.next.checked_sub(1)?;
        let behind = (highest as u32).wrapping_sub(reported);
        highest.checked_sub(behind.into()).filter(|index| behind < 1 << 31 && *index >= self.first)
    }

    /// Take a block of the peer about this stream.
    pub fn handle_block(&mut self, now: Instant, clock: &Clock, block: Block) {
        let before = self.remote.take();
        let (mut total, mut measurements) =
            before.map_or((Duration::ZERO, 0), |remote| (remote.total_round_trip, remote.measurements));
        let mut round_trip = before.and_then(|remote| remote.round_trip);
        if block.last_report != 0 {
            let passed = middle(clock.ntp(now)).wrapping_sub(block.last_report).wrapping_sub(block.delay);
            let longest = short(Duration::from_secs(60));
            // More than a minute, or less than nothing: it speaks of a report that was never sent.
            if passed < longest {
                let measured = Duration::from_secs_f64(f64::from(passed) / 65_536.0);
                round_trip = Some(measured);
                total += measured;
                measurements += 1;
            }
        }
        let covered = self.covered(block.highest);
        let received =
            covered.map_or(0, |index| (index + 1 - self.first).saturating_add_signed(-i64::from(block.lost)));
        let received = received.max(before.map_or(0, |remote| remote.received)).min(self.packets);
        self.remote =
            Some(Remote { at: now, block, received, round_trip, total_round_trip: total, measurements });
        let Some(covered) = covered else { return };
        while let Some(&(_, mark)) = self.marks.front().filter(|(index, _)| *index <= covered) {
            self.arrived = self.arrived.max(mark);
            self.marks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::section::{AudioCodec, section};
    use super::super::super::wire::header::Header;
    use super::*;

    fn unit(now: Instant, mark: u64) -> AudioUnit {
        AudioUnit {
            codec: AudioCodec::Opus,
            timestamp: 960 * (mark - 1),
            marker: mark == 1,
            level: Some((30, true)),
            captured: now,
            mark,
            payload: vec![mark as u8; 40],
        }
    }

    #[test]
    fn numbers_grow_and_a_report_says_which_marks_have_arrived() {
        let now = Instant::now();
        let clock = Clock::new(now, Duration::from_secs(1));
        let section = section("0", 111);
        let mut stream = Outgoing::new(1, &section, (7, 8), [0xff; 10]);
        let mut indexes = Vec::new();
        for mark in 1..=5 {
            let ready = stream.audio(now, unit(now, mark)).expect("a packet");
            let header = Header::parse(&ready.bytes).expect("a header");
            assert_eq!(
                (header.payload_type, header.size, header.sequence),
                (111, ready.header, ready.index as u16)
            );
            assert_eq!(header.timestamp, u32::MAX.wrapping_add(960 * (mark as u32 - 1)));
            stream.has_left(ready.index, mark);
            indexes.push(ready.index);
        }
        assert_eq!(indexes, (0x7fff..0x8004).collect::<Vec<u64>>());
        assert_eq!((stream.sent, stream.arrived), (5, 0));
        let block = Block { ssrc: 7, highest: indexes[2] as u32, ..Block::default() };
        stream.handle_block(now, &clock, block);
        assert_eq!((stream.arrived, stream.remote.map(|remote| remote.received)), (3, Some(3)));
        for highest in [indexes[4] as u32 + 1, u32::MAX, 0] {
            stream.handle_block(now, &clock, Block { highest, ..block });
            assert_eq!(stream.arrived, 3, "{highest} was never sent, or is old");
        }
    }

    #[test]
    fn the_round_trip_is_what_the_peer_did_not_hold_it() {
        let now = Instant::now();
        let clock = Clock::new(now, Duration::from_secs(1));
        let mut stream = Outgoing::new(1, &section("0", 111), (7, 8), [0; 10]);
        let last_report = middle(clock.ntp(now));
        let later = now + Duration::from_millis(250);
        let block = Block { last_report, delay: short(Duration::from_millis(200)), ..Block::default() };
        stream.handle_block(later, &clock, block);
        let round_trip = stream.remote.and_then(|remote| remote.round_trip).expect("measured");
        assert!(round_trip.abs_diff(Duration::from_millis(50)) < Duration::from_millis(1));
        stream.handle_block(later, &clock, Block { delay: u32::MAX / 2, ..block });
        assert_eq!(stream.remote.map(|remote| remote.measurements), Some(1), "a report that cannot be true");
    }

    #[test]
    fn a_codec_that_is_not_sent_makes_no_packet() {
        let now = Instant::now();
        let mut stream = Outgoing::new(1, &section("0", 111), (7, 8), [0; 10]);
        let other = AudioUnit { codec: AudioCodec::Pcma, ..unit(now, 1) };
        assert!(stream.audio(now, other).is_none());
        stream.follow(&Section { sends: false, ..section("0", 111) });
        assert!(stream.audio(now, unit(now, 1)).is_none());
        stream.follow(&section("0", 96));
        assert_eq!(stream.audio(now, unit(now, 1)).map(|ready| ready.bytes[1] & 0x7f), Some(96));
    }
}
