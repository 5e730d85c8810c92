//! SRTP and SRTCP with the keys of one DTLS association (RFC 3711, RFC 5764, RFC 7714).
//!
//! The contexts live as long as the association: with the same keys an index may never be used again. A stream of the peer
//! gets a context when its first packet is authentic, and not before.

mod cm;
mod gcm;
mod replay;

use std::collections::HashMap;

use aws_lc_rs::error::Unspecified;

use super::wire::header::Header;
pub use crate::dtls::material::{Material, Profile};
use replay::Replay;

/// Streams of the peer that have a context.
pub const MAX_STREAMS: usize = 64;
/// Streams that have made room for others: of each the highest index is kept, so that no packet of it is replayed.
const MAX_RETIRED: usize = 1024;
/// The size of the word that SRTCP adds before the tag: whether it is encrypted, and the index.
const INDEX: usize = 4;
const RTCP_HEADER: usize = 8;

/// The sizes of a key and of a salt.
fn sizes(profile: Profile) -> (usize, usize) {
    match profile {
        Profile::Aes128CmSha1 => (16, cm::SALT),
        Profile::Aes128Gcm => (16, gcm::SALT),
        Profile::Aes256Gcm => (32, gcm::SALT),
    }
}

enum Keys {
    Cm(Box<cm::Keys>),
    Gcm(Box<gcm::Keys>),
}

impl Keys {
    fn new(profile: Profile, key: &[u8], salt: &[u8], first_label: u8) -> Result<Keys, Unspecified> {
        Ok(match profile {
            Profile::Aes128CmSha1 => Keys::Cm(Box::new(cm::Keys::new(key, salt, first_label)?)),
            Profile::Aes128Gcm | Profile::Aes256Gcm => {
                Keys::Gcm(Box::new(gcm::Keys::new(key, salt, first_label)?))
            }
        })
    }

    fn tag(&self) -> usize {
        match self {
            Keys::Cm(_) => cm::Keys::TAG,
            Keys::Gcm(_) => gcm::Keys::TAG,
        }
    }
}

/// The streams of one kind that come in.
#[derive(Default)]
struct Streams {
    live: HashMap<u32, Stream>,
    retired: HashMap<u32, u64>,
    /// Counts packets, to find the stream that has been silent longest.
    clock: u64,
}

struct Stream {
    replay: Replay,
    last: u64,
}

impl Streams {
    fn replay(&self, ssrc: u32) -> Option<Replay> {
        match self.live.get(&ssrc) {
            Some(stream) => Some(stream.replay.clone()),
            None => self.retired.get(&ssrc).map(|highest| Replay::after(*highest)),
        }
    }

    /// Note an authentic packet. False: there is no room for its stream.
    fn note(&mut self, ssrc: u32, index: u64) -> bool {
        self.clock += 1;
        if let Some(stream) = self.live.get_mut(&ssrc) {
            stream.replay.note(index);
            stream.last = self.clock;
            return true;
        }
        if self.live.len() >= MAX_STREAMS && !self.retire() {
            return false;
        }
        let mut replay = self.retired.remove(&ssrc).map_or_else(Replay::default, Replay::after);
        replay.note(index);
        self.live.insert(ssrc, Stream { replay, last: self.clock });
        true
    }

    /// Make room: the stream that has been silent longest goes, if more than a thousand packets have come since.
    fn retire(&mut self) -> bool {
        let oldest = self.live.iter().min_by_key(|(_, stream)| stream.last);
        let Some((&ssrc, stream)) = oldest else { return false };
        if self.clock - stream.last < 1000 || self.retired.len() >= MAX_RETIRED {
            return false;
        }
        self.retired.insert(ssrc, stream.replay.highest().unwrap_or(0));
        self.live.remove(&ssrc);
        true
    }
}

/// Both directions of one association.
pub struct Srtp {
    local: Keys,
    local_rtcp: Keys,
    remote: Keys,
    remote_rtcp: Keys,
    rtp: Streams,
    rtcp: Streams,
    /// The index of the next SRTCP packet of this side: one for all streams, so that each is used once.
    next_rtcp: u32,
}

impl Srtp {
    /// None: the material does not fit the profile.
    pub fn new(material: &Material) -> Option<Srtp> {
        let (key, salt) = sizes(material.profile);
        let bytes = material.bytes.get(..2 * (key + salt))?;
        let (keys, salts) = bytes.split_at(2 * key);
        let client = (&keys[..key], &salts[..salt]);
        let server = (&keys[key..], &salts[salt..]);
        let (local, remote) = if material.is_client { (client, server) } else { (server, client) };
        let keys = |(key, salt): (&[u8], &[u8]), label| Keys::new(material.profile, key, salt, label).ok();
        Some(Srtp {
            local: keys(local, 0)?,
            local_rtcp: keys(local, 3)?,
            remote: keys(remote, 0)?,
            remote_rtcp: keys(remote, 3)?,
            rtp: Streams::default(),
            rtcp: Streams::default(),
            next_rtcp: 0,
        })
    }

    /// The bytes that a protected RTP packet has more.
    pub fn overhead(&self) -> usize {
        self.local.tag()
    }

    /// Protect an RTP packet in place. `index`: its sequence number, extended; each one of a stream once.
    pub fn seal(&self, packet: &mut Vec<u8>, header: usize, ssrc: u32, index: u64) -> Option<()> {
        match &self.local {
            Keys::Cm(keys) => {
                let rollover = ((index >> 16) as u32).to_be_bytes();
                keys.seal(packet, header, (ssrc, index), (rollover, false)).ok()
            }
            Keys::Gcm(keys) => {
                let (associated, body) = packet.split_at_mut(header);
                let tag = keys.seal(body, (ssrc, index), associated).ok()?;
                packet.extend_from_slice(tag.as_ref());
                Some(())
            }
        }
    }

    /// Protect a compound RTCP packet in place.
    pub fn seal_rtcp(&mut self, packet: &mut Vec<u8>) -> Option<()> {
        let ssrc = u32::from_be_bytes(packet.get(4..8)?.try_into().ok()?);
        let index = self.next_rtcp;
        self.next_rtcp = index.checked_add(1).filter(|next| *next < 1 << 31)?;
        let tail = (index | 1 << 31).to_be_bytes();
        match &self.local_rtcp {
            Keys::Cm(keys) => keys.seal(packet, RTCP_HEADER, (ssrc, index.into()), (tail, true)).ok(),
            Keys::Gcm(keys) => {
                let associated = [&packet[..RTCP_HEADER], &tail].concat();
                let tag = keys.seal(&mut packet[RTCP_HEADER..], (ssrc, index.into()), &associated).ok()?;
                packet.extend_from_slice(tag.as_ref());
                packet.extend_from_slice(&tail);
                Some(())
            }
        }
    }

    /// Decrypt an RTP packet in place, and cut its tag off. Returns its index. None: it is not authentic, has come
    /// before, or there are too many streams.
    pub fn open(&mut self, header: &Header, packet: &mut Vec<u8>) -> Option<u64> {
        let replay = self.rtp.replay(header.ssrc);
        let highest = replay.as_ref().and_then(Replay::highest);
        let index = index_of(header.sequence, highest);
        if replay.is_some_and(|replay| !replay.is_fresh(index)) {
            return None;
        }
        let end = packet.len().checked_sub(self.remote.tag()).filter(|end| *end >= header.size)?;
        let (content, tag) = packet.split_at_mut(end);
        match &self.remote {
            Keys::Cm(keys) => {
                let rollover = ((index >> 16) as u32).to_be_bytes();
                if !keys.is_authentic(content, rollover, tag) {
                    return None;
                }
                keys.open(&mut content[header.size..], header.ssrc, index).ok()?;
            }
            Keys::Gcm(keys) => {
                let (associated, body) = content.split_at_mut(header.size);
                keys.open(body, tag, (header.ssrc, index), associated).ok()?;
            }
        }
        packet.truncate(end);
        self.rtp.note(header.ssrc, index).then_some(index)
    }

    /// The same for a compound RTCP packet. False: it is dropped.
    pub fn open_rtcp(&mut self, packet: &mut Vec<u8>) -> bool {
        self.try_open_rtcp(packet).is_some_and(|(ssrc, index)| self.rtcp.note(ssrc, index))
    }

    fn try_open_rtcp(&self, packet: &mut Vec<u8>) -> Option<(u32, u64)> {
        let tag = self.remote_rtcp.tag();
        let end = packet.len().checked_sub(tag + INDEX).filter(|end| *end >= RTCP_HEADER)?;
        let ssrc = u32::from_be_bytes(packet[4..8].try_into().ok()?);
        let is_gcm = matches!(self.remote_rtcp, Keys::Gcm(_));
        let tail_at = if is_gcm { packet.len() - INDEX } else { end };
        let tail: [u8; INDEX] = packet[tail_at..tail_at + INDEX].try_into().ok()?;
        let word = u32::from_be_bytes(tail);
        let (is_encrypted, index) = (word >> 31 == 1, u64::from(word & 0x7fff_ffff));
        if self.rtcp.replay(ssrc).is_some_and(|replay| !replay.is_fresh(index)) {
            return None;
        }
        match &self.remote_rtcp {
            Keys::Cm(keys) => {
                let (content, rest) = packet.split_at_mut(end);
                if !keys.is_authentic(content, tail, &rest[INDEX..]) {
                    return None;
                }
                if is_encrypted {
                    keys.open(&mut content[RTCP_HEADER..], ssrc, index).ok()?;
                }
            }
            Keys::Gcm(keys) => {
                // RFC 7714 allows packets that are only authentic. Nobody sends them.
                if !is_encrypted {
                    return None;
                }
                let (content, rest) = packet.split_at_mut(end);
                let associated = [&content[..RTCP_HEADER], &tail].concat();
                keys.open(&mut content[RTCP_HEADER..], &rest[..tag], (ssrc, index), &associated).ok()?;
            }
        }
        packet.truncate(end);
        Some((ssrc, index))
    }
}

/// RFC 3711 section 3.3.1: the index that is nearest to the highest one.
fn index_of(sequence: u16, highest: Option<u64>) -> u64 {
    let Some(highest) = highest else { return sequence.into() };
    let distance = sequence.wrapping_sub(highest as u16) as i16;
    // A distance before the beginning is one into the next round.
    highest.checked_add_signed(distance.into()).unwrap_or(highest + u64::from(distance as u16))
}

#[cfg(test)]
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex digits");
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests;
