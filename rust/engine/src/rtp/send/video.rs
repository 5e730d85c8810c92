//! The pictures of a stream that goes out: frames as packets, and packets that are sent again (RFC 4588).

use std::time::{Duration, Instant};

use super::super::packet::FrameUnit;
use super::super::packetize::{h264, vp8};
use super::super::section::VideoCodec;
use super::super::wire::header::NewHeader;
use super::history::{History, Ready, Slot};
use super::wishes::Wishes;

/// The largest packet of pictures, protected: it passes through tunnels and relays.
pub const MAX_PACKET: usize = 1200;
/// The longest tag, and the sequence number that a packet has more when it is sent again.
const RESERVE: usize = 16 + ORIGINAL;
const ORIGINAL: usize = 2;

#[derive(Debug)]
pub struct Video {
    numbers: vp8::Numbers,
    pub history: History,
    pub repairs: Repairs,
    pub wishes: Wishes,
    /// The number of the last wish by FIR.
    fir: Option<u8>,
    /// Frames that were taken.
    pub frames: u64,
    pub nacks: u64,
    pub plis: u64,
    pub firs: u64,
    /// The bit rate that was last given to the encoder.
    pub target: Option<u32>,
    /// The time that packets have waited in all.
    pub delay: Duration,
}

/// The stream of packets that are sent again, with numbers of its own.
#[derive(Debug)]
pub struct Repairs {
    pub ssrc: u32,
    pub next: u64,
    /// All packets, also those of probes; bytes of payload, and of headers.
    pub packets: u64,
    pub bytes: u64,
    pub header_bytes: u64,
    /// Packets that were asked for, and bytes of their payload.
    pub asked: u64,
    pub asked_bytes: u64,
}

/// A packet that waits for its turn. Its sequence number is given when it leaves.
#[derive(Debug)]
pub struct Draft {
    pub bytes: Vec<u8>,
    pub header: usize,
    pub slot: Option<Slot>,
    pub mark: u64,
    pub queued: Instant,
}

impl Video {
    /// `random`: where its numbers begin.
    pub fn new(ssrc: u32, random: [u8; 4]) -> Video {
        let first = u64::from(u16::from_be_bytes([random[2], random[3]]) >> 1);
        Video {
            numbers: vp8::Numbers::new([random[0], random[1]]),
            history: History::default(),
            repairs: Repairs {
                ssrc,
                next: first,
                packets: 0,
                bytes: 0,
                header_bytes: 0,
                asked: 0,
                asked_bytes: 0,
            },
            wishes: Wishes::default(),
            fir: None,
            frames: 0,
            nacks: 0,
            plis: 0,
            firs: 0,
            target: None,
            delay: Duration::ZERO,
        }
    }

    /// The packets of a frame, which all begin with this header; the last one has the marker.
    pub fn packets(
        &mut self,
        now: Instant,
        (head, slot): (&[u8], Option<Slot>),
        unit: &FrameUnit,
    ) -> Vec<Draft> {
        let limit = MAX_PACKET.saturating_sub(head.len() + RESERVE);
        let mut drafts = Vec::with_capacity(unit.data.len() / limit.max(1) + 2);
        let mut emit = |pieces: &[&[u8]]| {
            let size: usize = pieces.iter().map(|piece| piece.len()).sum();
            let mut bytes = Vec::with_capacity(head.len() + size + RESERVE);
            bytes.extend_from_slice(head);
            pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
            drafts.push(Draft { bytes, header: head.len(), slot, mark: unit.mark, queued: now });
        };
        match unit.codec {
            VideoCodec::Vp8 => self.numbers.packetize(&unit.data, unit.temporal, limit, &mut emit),
            VideoCodec::H264 => h264::packetize(&unit.data, limit, &mut emit),
        }
        if let Some(last) = drafts.last_mut() {
            last.bytes[1] |= 0x80;
            self.frames += 1;
            if unit.key {
                self.wishes.meet(now);
            }
        }
        drafts
    }

    /// Take a wish by FIR. The same number again is the same wish.
    pub fn handle_fir(&mut self, now: Instant, number: u8, round_trip: Duration) {
        if self.fir.replace(number) != Some(number) {
            self.firs += 1;
            self.wishes.add(now, round_trip);
        }
    }
}

impl Repairs {
    /// A packet as it is sent again: its sequence number in front of its payload (RFC 4588 section 4).
    pub fn packet(&mut self, kept: &Ready, payload_type: u8) -> Ready {
        let (head, payload) = kept.bytes.split_at(kept.header);
        let mut bytes = Vec::with_capacity(kept.bytes.len() + RESERVE);
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(&(kept.index as u16).to_be_bytes());
        bytes.extend_from_slice(payload);
        let index = self.next;
        self.next += 1;
        NewHeader::renumber(&mut bytes, payload_type, index as u16, self.ssrc);
        self.packets += 1;
        self.header_bytes += kept.header as u64;
        self.bytes += (ORIGINAL + payload.len()) as u64;
        Ready { bytes, header: kept.header, ssrc: self.ssrc, index, sent: None, slot: kept.slot }
    }
}
