//! Frames of the packets of one stream: in order, whole, and only those that can be decoded.
//!
//! A frame is given up as soon as its last packet is here and all before it were. Behind a gap that is given up goes on
//! what needs nothing of it: the next whole key frame, or by VP8's numbers a frame whose references are here.

use std::collections::{BTreeMap, BTreeSet};

use super::super::depacketize::{Start, h264, start, vp8};
use super::super::section::VideoCodec;

const MAX_PACKETS: usize = 4096;
const MAX_BYTES: usize = 4 << 20;
/// How far before the first packet that came the stream may begin.
const MAX_EARLIER: u64 = 64;
/// The newest key frames that are looked at behind a gap.
const MAX_KEYS: usize = 8;
/// A set of all temporal layers.
const ALL_LAYERS: u8 = 0b1111;

/// A packet of the stream.
#[derive(Debug)]
pub struct Piece {
    pub codec: VideoCodec,
    pub timestamp: u64,
    pub marker: bool,
    /// Empty: padding.
    pub payload: Vec<u8>,
}

struct Slot {
    piece: Piece,
    start: Start,
}

/// A whole frame that can be decoded.
#[derive(Debug, PartialEq, Eq)]
pub struct Whole {
    pub codec: VideoCodec,
    pub timestamp: u64,
    pub is_key: bool,
    pub temporal: u8,
    pub packets: usize,
    pub data: Vec<u8>,
}

/// The outcome of inserting a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The packets of this range were not expected before.
    Taken { earlier: Option<std::ops::Range<u64>> },
    /// The packet's place was given up, or it is here already.
    Late,
    /// No room was left: all was dropped.
    Full,
}

/// How frames go on from those that were handed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    Whole,
    /// Something was given up, and VP8's numbers can tell whether it is needed.
    Gap,
    /// Only a key frame helps.
    Broken,
}

/// The numbers of VP8 of the frame that was handed up last.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    picture: Option<(u16, u16)>,
    base: Option<u8>,
    /// The temporal layers that have all their references.
    layers: u8,
}

impl Numbers {
    fn is_before(&self, picture: Option<(u16, u16)>) -> bool {
        match (self.picture, picture) {
            (Some((before, _)), Some((now, mask))) => now == before.wrapping_add(1) & mask,
            _ => false,
        }
    }
}

pub struct Assembly {
    slots: BTreeMap<u64, Slot>,
    bytes: usize,
    /// The packet that comes next; all before it was used or given up.
    next: Option<u64>,
    /// The packets up to this one are of the frame at `next`.
    scanned: u64,
    /// A frame was taken already: nothing earlier comes.
    has_begun: bool,
    /// The packets that begin a key frame.
    keys: BTreeSet<u64>,
    /// The packet that was inserted last, and whether a gap was given up since.
    last: u64,
    has_jumped: bool,
    chain: Chain,
    codec: Option<VideoCodec>,
    numbers: Numbers,
    sets: h264::Sets,
    /// Whole frames, and those of them that could not be used or had parts missing.
    pub received: u64,
    pub dropped: u64,
}

enum Run {
    /// The frame ends with this packet.
    Until(u64),
    Padding,
    Open,
}

impl Default for Assembly {
    fn default() -> Assembly {
        Assembly {
            slots: BTreeMap::new(),
            bytes: 0,
            next: None,
            scanned: 0,
            has_begun: false,
            keys: BTreeSet::new(),
            last: 0,
            has_jumped: false,
            chain: Chain::Broken,
            codec: None,
            numbers: Numbers::default(),
            sets: h264::Sets::default(),
            received: 0,
            dropped: 0,
        }
    }
}

impl Assembly {
    /// Whether a key frame is needed to go on.
    pub fn is_broken(&self) -> bool {
        self.chain == Chain::Broken
    }

    /// Whether a part of a key frame is here.
    pub fn has_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The bytes that are kept.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Everything before this was used or given up.
    pub fn next(&self) -> u64 {
        self.next.unwrap_or(0)
    }

    pub fn insert(&mut self, index: u64, piece: Piece) -> Inserted {
        let mut earlier = None;
        match self.next {
            None => (self.next, self.scanned) = (Some(index), index),
            Some(next) if index < next => {
                if self.has_begun || next - index > MAX_EARLIER {
                    return Inserted::Late;
                }
                earlier = Some(index + 1..next);
                (self.next, self.scanned) = (Some(index), index);
            }
            Some(_) => {}
        }
        if self.slots.contains_key(&index) {
            return Inserted::Late;
        }
        if self.slots.len() >= MAX_PACKETS || self.bytes + piece.payload.len() > MAX_BYTES {
            self.restart(index + 1);
            return Inserted::Full;
        }
        let start = start(piece.codec, &piece.payload);
        if matches!(start, Start::Key | Start::KeyPicture) {
            self.keys.insert(index);
        }
        self.bytes += piece.payload.len();
        self.slots.insert(index, Slot { piece, start });
        self.last = index;
        Inserted::Taken { earlier }
    }

    /// Drop everything, and go on at this packet with a key frame.
    pub fn restart(&mut self, next: u64) {
        self.slots.clear();
        self.keys.clear();
        self.bytes = 0;
        (self.next, self.scanned, self.has_begun) = (Some(next), next, true);
        self.dropped += 1;
        self.chain = Chain::Broken;
    }

    /// A missing packet does not come. Its frame is dropped.
    pub fn give_up(&mut self, index: u64) {
        let Some(next) = self.next.filter(|next| index >= *next) else { return };
        self.has_begun = true;
        self.dropped += 1;
        self.chain = match self.chain {
            Chain::Broken => Chain::Broken,
            _ if self.codec == Some(VideoCodec::Vp8) && self.numbers.picture.is_some() => Chain::Gap,
            _ => Chain::Broken,
        };
        let mut before = None;
        for at in next..=index {
            before = self.remove(at);
        }
        let mut next = index + 1;
        // The rest of the frame that has lost its beginning. What follows another frame's end begins a frame.
        while let Some(slot) = self.slots.get(&next) {
            let begins = slot.start != Start::Unknown && slot.start != Start::KeyPicture;
            let follows = before.as_ref().is_some_and(|before| !is_one_frame(before, &slot.piece));
            if begins || follows {
                break;
            }
            before = self.remove(next);
            next += 1;
        }
        (self.next, self.scanned) = (Some(next), next);
        if self.chain == Chain::Gap && self.numbers.base.is_none() && !self.is_next_picture(next) {
            self.chain = Chain::Broken;
        }
        self.has_jumped = true;
    }

    /// Whether the packet begins the picture that follows the last one, by its number.
    fn is_next_picture(&self, index: u64) -> bool {
        let Some(slot) = self.slots.get(&index) else { return false };
        let descriptor = vp8::descriptor(&slot.piece.payload);
        descriptor.is_some_and(|found| found.begins && self.numbers.is_before(found.picture))
    }

    fn remove(&mut self, index: u64) -> Option<Piece> {
        let slot = self.slots.remove(&index)?;
        self.keys.remove(&index);
        self.bytes -= slot.piece.payload.len();
        Some(slot.piece)
    }

    /// The next whole frame that can be decoded.
    pub fn poll(&mut self) -> Option<Whole> {
        loop {
            let next = self.next?;
            match self.run(next, self.scanned) {
                (Run::Until(end), _) => {
                    let pieces: Vec<Piece> = (next..=end).filter_map(|at| self.remove(at)).collect();
                    (self.next, self.scanned, self.has_begun) = (Some(end + 1), end + 1, true);
                    if let Some(whole) = self.judge(&pieces) {
                        return Some(whole);
                    }
                }
                (Run::Padding, _) => {
                    self.remove(next);
                    (self.next, self.scanned, self.has_begun) = (Some(next + 1), next + 1, true);
                }
                // What is missing may still be repaired.
                (Run::Open, scanned) if self.chain == Chain::Whole => {
                    self.scanned = scanned;
                    return None;
                }
                (Run::Open, scanned) => {
                    self.scanned = scanned;
                    let key = self.whole_key(next)?;
                    for at in self.slots.range(..key).map(|(index, _)| *index).collect::<Vec<_>>() {
                        self.remove(at);
                    }
                    (self.next, self.scanned) = (Some(key), key);
                    self.dropped += 1;
                }
            }
        }
    }

    /// Look for the end of the frame that begins at a packet. Packets up to `from` were seen before.
    fn run(&self, first: u64, from: u64) -> (Run, u64) {
        let Some(begin) = self.slots.get(&first) else { return (Run::Open, first) };
        if begin.piece.payload.is_empty() {
            return (Run::Padding, first);
        }
        let mut expected = from;
        for (index, slot) in self.slots.range(from..) {
            if *index != expected {
                break;
            }
            if slot.piece.timestamp != begin.piece.timestamp {
                return (Run::Until(index - 1), expected);
            }
            if slot.piece.marker {
                return (Run::Until(*index), expected);
            }
            expected += 1;
        }
        (Run::Open, expected.saturating_sub(1).max(first))
    }

    /// A whole key frame behind a gap: the packet that came last may have made it whole, or a gap was given up.
    fn whole_key(&mut self, after: u64) -> Option<u64> {
        let (last, most) =
            if std::mem::take(&mut self.has_jumped) { (u64::MAX, MAX_KEYS) } else { (self.last, 1) };
        if last <= after {
            return None;
        }
        let is_whole = |key: &u64| {
            let Some(slot) = self.slots.get(key) else { return false };
            let before = self.slots.get(&(key - 1));
            let begins = slot.start == Start::Key
                || before.is_some_and(|before| !is_one_frame(&before.piece, &slot.piece));
            begins && matches!(self.run(*key, *key).0, Run::Until(_))
        };
        self.keys.range(after + 1..=last).rev().take(most).copied().find(is_whole)
    }

    /// Put a frame together, and decide whether it can be decoded.
    fn judge(&mut self, pieces: &[Piece]) -> Option<Whole> {
        let first = pieces.first()?;
        let payloads = pieces.iter().filter(|piece| !piece.payload.is_empty());
        let payloads = payloads.map(|piece| piece.payload.as_slice());
        let is_one = pieces.iter().all(|piece| piece.codec == first.codec);
        if is_one && self.codec.replace(first.codec) != Some(first.codec) {
            self.chain = Chain::Broken;
        }
        let (is_key, temporal, data, is_good) = match first.codec {
            VideoCodec::Vp8 => {
                let Some(picture) = vp8::assemble(payloads).filter(|_| is_one) else { return self.spoil() };
                let is_good = self.is_decodable(&picture);
                let temporal = picture.descriptor.layer.map_or(0, |(layer, _)| layer);
                (picture.is_key, temporal, picture.data, is_good)
            }
            VideoCodec::H264 => {
                let picture = h264::assemble(payloads, &mut self.sets).filter(|_| is_one);
                let Some(picture) = picture else { return self.spoil() };
                if !picture.has_picture {
                    return None; // parameter sets alone: kept for the next key frame
                }
                let is_good = picture.is_key || self.chain == Chain::Whole;
                (picture.is_key, 0, picture.data, is_good)
            }
        };
        self.received += 1;
        if !is_good {
            self.dropped += 1;
            return None;
        }
        if is_key {
            self.chain = Chain::Whole;
        }
        let (codec, timestamp) = (first.codec, first.timestamp);
        Some(Whole { codec, timestamp, is_key, temporal, packets: pieces.len(), data })
    }

    fn spoil(&mut self) -> Option<Whole> {
        self.dropped += 1;
        if self.chain == Chain::Whole {
            self.chain = Chain::Broken;
        }
        None
    }

    /// Whether all that a picture refers to was handed up; then it counts as handed up itself.
    fn is_decodable(&mut self, picture: &vp8::Picture) -> bool {
        let vp8::Descriptor { picture: number, base, layer, .. } = picture.descriptor;
        if picture.is_key {
            self.numbers = Numbers { picture: number, base, layers: ALL_LAYERS };
            return true;
        }
        let before = self.numbers;
        let is_next = before.is_before(number);
        match self.chain {
            Chain::Broken => return false,
            Chain::Gap if is_next => self.chain = Chain::Whole, // what was lost was no picture
            Chain::Gap => match (before.base, base, layer) {
                // Its lowest layer goes on without a hole. Upper ones begin again where they say so.
                (Some(before), Some(now), Some((0, _))) if now == before.wrapping_add(1) => {
                    self.chain = Chain::Whole;
                    self.numbers.layers = 1;
                }
                (Some(before), Some(now), Some((_, true))) if now == before => {
                    self.chain = Chain::Whole;
                    self.numbers.layers = 1;
                }
                (Some(before), Some(now), Some((1.., false))) if now == before => return false,
                _ => {
                    self.chain = Chain::Broken;
                    return false;
                }
            },
            Chain::Whole => {}
        }
        let (layer, is_anew) = layer.unwrap_or((0, false));
        let (mine, below) = (1u8 << layer, (1u8 << layer) - 1);
        let needed = if is_anew { 1 } else { mine | below };
        if self.numbers.layers & needed != needed {
            return false;
        }
        self.numbers.layers |= mine;
        (self.numbers.picture, self.numbers.base) = (number, base);
        true
    }
}

fn is_one_frame(before: &Piece, after: &Piece) -> bool {
    before.timestamp == after.timestamp && !before.marker
}
