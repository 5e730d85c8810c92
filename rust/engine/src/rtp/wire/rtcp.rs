//! RTCP packets (RFC 3550 section 6; feedback: RFC 4585, RFC 5104).

use super::feedback::Feedback;
use super::words::{RTPFB, begin, finish, put, word};

/// The most that one report carries.
pub const MAX_BLOCKS: usize = 31;

/// The part of a sender report about the sender itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// NTP time: seconds since 1900 << 32 | fraction.
    pub ntp: u64,
    pub timestamp: u32,
    pub packets: u32,
    pub bytes: u32,
}

/// A report block about one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub ssrc: u32,
    /// Lost packets of 256, since the report before.
    pub fraction_lost: u8,
    /// 24 bits with a sign.
    pub lost: i32,
    /// Cycles << 16 | sequence number.
    pub highest: u32,
    pub jitter: u32,
    /// The middle of the NTP time of the last sender report, and how long ago that came, in 1/65536 s.
    pub last_report: u32,
    pub delay: u32,
}

/// One packet of a compound.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet {
    Sender {
        ssrc: u32,
        info: SenderInfo,
        blocks: Vec<Block>,
    },
    Receiver {
        ssrc: u32,
        blocks: Vec<Block>,
    },
    Bye {
        ssrcs: Vec<u32>,
    },
    /// The peer wants a key frame of this stream: PLI.
    KeyWanted {
        ssrc: u32,
    },
    /// The same by FIR: streams, and the number of the wish: the same number again is the same wish.
    Fir {
        wanted: Vec<(u32, u8)>,
    },
    /// The peer lacks packets of this stream; each pair is a sequence number and a bit mask of the 16 after it.
    Nack {
        ssrc: u32,
        lost: Vec<(u16, u16)>,
    },
    /// The most that the peer can receive of these streams, in bits a second.
    Remb {
        bitrate: u32,
        ssrcs: Vec<u32>,
    },
    /// About all packets of the transport.
    Transport(Feedback),
    /// Known here, and of no use: SDES, APP, XR, other feedback.
    Other,
}

const SR: u8 = 200;
const RR: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;
const PSFB: u8 = 206;

/// The packets of a compound; None in place of the first that is malformed, and then it ends.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = Option<Packet>> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (packet, after) = split(rest).unwrap_or((None, &[]));
        rest = if packet.is_some() { after } else { &[] };
        Some(packet)
    })
}

fn split(bytes: &[u8]) -> Option<(Option<Packet>, &[u8])> {
    let head = bytes.get(..4)?;
    let size = 4 * (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1);
    let packet = bytes.get(..size).filter(|_| head[0] >> 6 == 2)?;
    let mut body = &packet[4..];
    if head[0] & 0x20 != 0 {
        let padding = usize::from(*body.last()?);
        body = body.get(..body.len().checked_sub(padding)?)?;
    }
    Some((read(head[0] & 31, head[1], body), &bytes[size..]))
}

fn read(count: u8, kind: u8, body: &[u8]) -> Option<Packet> {
    match kind {
        SR => Some(Packet::Sender {
            ssrc: word(body, 0)?,
            info: SenderInfo {
                ntp: u64::from(word(body, 1)?) << 32 | u64::from(word(body, 2)?),
                timestamp: word(body, 3)?,
                packets: word(body, 4)?,
                bytes: word(body, 5)?,
            },
            blocks: blocks(count, body.get(24..)?)?,
        }),
        RR => Some(Packet::Receiver { ssrc: word(body, 0)?, blocks: blocks(count, body.get(4..)?)? }),
        BYE => Some(Packet::Bye {
            ssrcs: (0..usize::from(count)).map(|at| word(body, at)).collect::<Option<_>>()?,
        }),
        PSFB if count == 1 => Some(Packet::KeyWanted { ssrc: word(body, 1)? }),
        PSFB if count == 4 => {
            let entries = body.get(8..)?.chunks_exact(8);
            Some(Packet::Fir {
                wanted: entries.map(|entry| Some((word(entry, 0)?, entry[4]))).collect::<Option<_>>()?,
            })
        }
        PSFB if count == 15 && body.get(8..12) == Some(b"REMB") => remb(body.get(12..)?),
        RTPFB if count == 1 => {
            let lost = body.get(8..)?.chunks_exact(4);
            let pair = |c: &[u8]| (u16::from_be_bytes([c[0], c[1]]), u16::from_be_bytes([c[2], c[3]]));
            Some(Packet::Nack { ssrc: word(body, 1)?, lost: lost.map(pair).collect() })
        }
        RTPFB if count == 15 => Some(Packet::Transport(Feedback::read(body.get(8..)?)?)),
        _ => Some(Packet::Other),
    }
}

/// draft-alvestrand-rmcat-remb-03 section 2.2.
fn remb(body: &[u8]) -> Option<Packet> {
    let head = word(body, 0)?;
    let (exponent, mantissa) = (head >> 18 & 0x3f, u64::from(head & 0x3_ffff));
    let bitrate = if exponent > 32 { u64::MAX * mantissa.min(1) } else { mantissa << exponent };
    let ssrcs = (1..=head as usize >> 24).map(|at| word(body, at)).collect::<Option<_>>()?;
    Some(Packet::Remb { bitrate: bitrate.min(u32::MAX.into()) as u32, ssrcs })
}

fn blocks(count: u8, bytes: &[u8]) -> Option<Vec<Block>> {
    let block = |at: usize| {
        let lost = word(bytes, at + 1)?;
        Some(Block {
            ssrc: word(bytes, at)?,
            fraction_lost: (lost >> 24) as u8,
            lost: ((lost << 8) as i32) >> 8,
            highest: word(bytes, at + 2)?,
            jitter: word(bytes, at + 3)?,
            last_report: word(bytes, at + 4)?,
            delay: word(bytes, at + 5)?,
        })
    };
    (0..usize::from(count)).map(|at| block(6 * at)).collect()
}

// --- writing -------------------------------------------------------------------------------------------------------

/// Add a sender report, or a receiver report if there is no info.
pub fn write_report(out: &mut Vec<u8>, ssrc: u32, info: Option<&SenderInfo>, blocks: &[Block]) {
    let blocks = &blocks[..blocks.len().min(MAX_BLOCKS)];
    let start = begin(out, blocks.len() as u8, if info.is_some() { SR } else { RR });
    put(out, &[ssrc]);
    if let Some(info) = info {
        put(out, &[(info.ntp >> 32) as u32, info.ntp as u32, info.timestamp, info.packets, info.bytes]);
    }
    for block in blocks {
        let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        let (loss, ages) = (u32::from(block.fraction_lost) << 24 | lost, [block.last_report, block.delay]);
        put(out, &[block.ssrc, loss, block.highest, block.jitter, ages[0], ages[1]]);
    }
    finish(out, start);
}

/// Add a source description: the name of this side, of at most 255 bytes.
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let start = begin(out, 1, SDES);
    put(out, &[ssrc]);
    let name = &cname.as_bytes()[..cname.len().min(255)];
    out.extend_from_slice(&[1, name.len() as u8]);
    out.extend_from_slice(name);
    out.push(0);
    out.resize((out.len() - start).next_multiple_of(4) + start, 0);
    finish(out, start);
}

/// Add the end of these streams, at most 31.
pub fn write_bye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    let ssrcs = &ssrcs[..ssrcs.len().min(MAX_BLOCKS)];
    let start = begin(out, ssrcs.len() as u8, BYE);
    put(out, ssrcs);
    finish(out, start);
}

/// Ask for packets that have not come. `lost`: extended numbers that grow.
pub fn write_nack(out: &mut Vec<u8>, ssrc: u32, media: u32, lost: &[u64]) {
    let start = begin(out, 1, RTPFB);
    put(out, &[ssrc, media]);
    let mut rest = lost;
    while let Some((&first, after)) = rest.split_first() {
        let near = after.iter().take_while(|number| **number - first <= 16).count();
        let mask = after[..near].iter().fold(0, |mask, number| mask | 1 << (number - first - 1));
        put(out, &[(first as u32 & 0xffff) << 16 | mask]);
        rest = &after[near..];
    }
    finish(out, start);
}

/// Ask for a key frame of a stream (RFC 4585 section 6.3.1).
pub fn write_pli(out: &mut Vec<u8>, ssrc: u32, media: u32) {
    let start = begin(out, 1, PSFB);
    put(out, &[ssrc, media]);
    finish(out, start);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8]) -> Vec<Packet> {
        packets(bytes).map(|packet| packet.expect("well-formed")).collect()
    }

    #[test]
    fn reports_and_a_bye_are_read_as_they_were_written() {
        let info = SenderInfo { ntp: 0x0123_4567_89ab_cdef, timestamp: 7, packets: 8, bytes: 9 };
        let block = Block {
            ssrc: 1,
            fraction_lost: 255,
            lost: -3,
            highest: 0x1_0002,
            jitter: 4,
            last_report: 5,
            delay: 6,
        };
        let mut out = Vec::new();
        write_report(&mut out, 10, Some(&info), &[block]);
        write_report(&mut out, 10, None, &[block, Block { lost: 0x7f_ffff, ..block }]);
        for name in ["", "a", "ab", "abc", "abcd"] {
            write_cname(&mut out, 10, name);
        }
        write_bye(&mut out, &[10, 11]);
        let read = read_all(&out);
        assert_eq!(read[0], Packet::Sender { ssrc: 10, info, blocks: vec![block] });
        let blocks = vec![block, Block { lost: 0x7f_ffff, ..block }];
        assert_eq!(read[1], Packet::Receiver { ssrc: 10, blocks });
        assert_eq!(read[2..7], [const { Packet::Other }; 5]);
        assert_eq!(read[7], Packet::Bye { ssrcs: vec![10, 11] });
    }

    #[test]
    fn a_packet_that_says_more_than_it_has_is_malformed_and_the_last() {
        let mut bye = Vec::new();
        write_bye(&mut bye, &[1]);
        bye[0] |= 31; // of 31 streams, in one word
        assert_eq!(packets(&bye).collect::<Vec<_>>(), [None]);
        let mut short = Vec::new();
        write_report(&mut short, 1, None, &[Block::default()]);
        assert_eq!(packets(&short[..short.len() - 4]).collect::<Vec<_>>(), [None]);
        let padded = [0xa0, RR, 0, 1, 0, 0, 0, 9];
        assert_eq!(packets(&padded).collect::<Vec<_>>(), [None], "padding longer than the packet");
        assert_eq!(packets(&[]).count(), 0);
    }

    #[test]
    fn feedback_names_its_stream() {
        let pli = [0x81, PSFB, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        assert_eq!(read_all(&pli), [Packet::KeyWanted { ssrc: 2 }]);
        let fir = [0x84, PSFB, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 7, 0, 0, 0];
        assert_eq!(read_all(&fir), [Packet::Fir { wanted: vec![(3, 7)] }]);
        let nack = [0x81, RTPFB, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0x80, 1];
        assert_eq!(read_all(&nack), [Packet::Nack { ssrc: 2, lost: vec![(9, 0x8001)] }]);
        let remb = [0x8f, PSFB, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(read_all(&remb), [Packet::Other], "without the letters of REMB");
    }

    #[test]
    fn a_limit_of_the_peer_is_a_mantissa_and_an_exponent() {
        let remb = |head: u32, ssrc: u32| {
            let mut out = vec![0x8f, PSFB, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0];
            out.extend_from_slice(b"REMB");
            put(&mut out, &[head, ssrc]);
            read_all(&out).pop()
        };
        let limit = |bitrate| Some(Packet::Remb { bitrate, ssrcs: vec![9] });
        assert_eq!(remb(1 << 24 | 3 << 18 | 125_000, 9), limit(1_000_000));
        assert_eq!(remb(1 << 24 | 63 << 18 | 1, 9), limit(u32::MAX));
        assert_eq!(remb(1 << 24 | 63 << 18, 9), limit(0));
    }

    #[test]
    fn what_is_asked_for_is_read_as_it_was_written() {
        let mut out = Vec::new();
        write_nack(&mut out, 1, 2, &[0xfffe, 0x1_0000, 0x1_000e, 0x1_000f, 0x1_0100]);
        write_pli(&mut out, 1, 2);
        let feedback = Feedback { base: 3, count: 4, packets: 5, arrived: vec![(0, 6), (3, 7)] };
        feedback.write(&mut out, 1, 2);
        let lost = vec![(0xfffe, 0x8002), (0x000f, 0), (0x0100, 0)];
        let nack = Packet::Nack { ssrc: 2, lost };
        assert_eq!(read_all(&out), [nack, Packet::KeyWanted { ssrc: 2 }, Packet::Transport(feedback)]);
    }
}
