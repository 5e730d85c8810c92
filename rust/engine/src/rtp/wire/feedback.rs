//! Feedback about all packets of a transport, by their transport-wide numbers
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

use super::words::{RTPFB, begin, finish, put};

/// The unit of arrivals.
pub const TICK_MICROS: i64 = 250;
/// Ticks of a unit of the reference time, which has 24 bits.
const REFERENCE: i64 = 256;
/// The most packets that one feedback of this side is about.
pub const MAX_PACKETS: usize = 500;

const NOT_HERE: u8 = 0;
const SMALL: u8 = 1;
const LARGE: u8 = 2;

/// The arrivals of the packets from one number on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// The number of the first packet, its lower 16 bits.
    pub base: u16,
    /// The number of this feedback: one more each time, modulo 256.
    pub count: u8,
    /// How many packets it is about.
    pub packets: u16,
    /// The packets that have come: how far each is behind the first, and its arrival on the writer's clock. Arrivals are
    /// in ticks of 250 µs modulo 2^32, because of the bits of the reference time. Offsets grow; arrivals need not.
    pub arrived: Vec<(u16, i64)>,
}

impl Feedback {
    /// Read what follows the two SSRCs; None: it is malformed.
    pub(super) fn read(body: &[u8]) -> Option<Feedback> {
        let head = body.get(..8)?;
        let packets = u16::from_be_bytes([head[2], head[3]]);
        let reference = i64::from(u32::from_be_bytes([0, head[4], head[5], head[6]]));
        let mut rest = &body[8..];
        let mut kinds: Vec<(u16, u8)> = Vec::new();
        let mut next = 0u32;
        while next < packets.into() {
            let (chunk, after) = rest.split_first_chunk::<2>()?;
            rest = after;
            next += chunk_of(u16::from_be_bytes(*chunk), next, packets, &mut kinds);
        }
        let mut time = reference * REFERENCE;
        let mut arrived = Vec::with_capacity(kinds.len().min(rest.len()));
        for (offset, kind) in kinds {
            let delta = if kind == SMALL {
                let (byte, after) = rest.split_first()?;
                rest = after;
                i64::from(*byte)
            } else {
                let (two, after) = rest.split_first_chunk::<2>()?;
                rest = after;
                i64::from(i16::from_be_bytes(*two))
            };
            time += delta;
            arrived.push((offset, time));
        }
        Some(Feedback { base: u16::from_be_bytes([head[0], head[1]]), count: head[7], packets, arrived })
    }

    /// All packets that it is about, by their numbers: the arrival of each, or None.
    pub fn all(&self) -> impl Iterator<Item = (u16, Option<i64>)> {
        let mut arrived = self.arrived.iter().peekable();
        (0..self.packets).map(move |offset| {
            let found = arrived.next_if(|(at, _)| *at == offset);
            (self.base.wrapping_add(offset), found.map(|(_, time)| *time))
        })
    }

    /// Add it to a compound. The distance of two arrivals must be within 8 seconds; `media`: any stream of the transport.
    pub fn write(&self, out: &mut Vec<u8>, ssrc: u32, media: u32) {
        let first = self.arrived.first().map_or(0, |(_, time)| *time);
        let reference = first.div_euclid(REFERENCE);
        let mut time = reference * REFERENCE;
        let mut kinds = vec![NOT_HERE; self.packets.into()];
        let mut deltas = Vec::with_capacity(self.arrived.len() * 2);
        for (offset, arrival) in &self.arrived {
            let Some(kind) = kinds.get_mut(usize::from(*offset)) else { continue };
            let delta = (arrival - time).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            time += i64::from(delta);
            match u8::try_from(delta) {
                Ok(small) => {
                    *kind = SMALL;
                    deltas.push(small);
                }
                Err(_) => {
                    *kind = LARGE;
                    deltas.extend_from_slice(&delta.to_be_bytes());
                }
            }
        }
        let start = begin(out, 15, RTPFB);
        put(out, &[ssrc, media]);
        put(out, &[u32::from(self.base) << 16 | u32::from(self.packets)]);
        put(out, &[(reference as u32) << 8 | u32::from(self.count)]);
        write_chunks(out, &kinds);
        out.extend_from_slice(&deltas);
        let padding = (4 - (out.len() - start) % 4) % 4;
        if padding > 0 {
            out[start] |= 0x20;
            out.resize(out.len() + padding - 1, 0);
            out.push(padding as u8);
        }
        finish(out, start);
    }
}

/// Read one chunk: add the packets that have come. Returns how many packets it is about.
fn chunk_of(chunk: u16, from: u32, packets: u16, kinds: &mut Vec<(u16, u8)>) -> u32 {
    let left = u32::from(packets) - from;
    let mut add = |at: u32, kind: u8| {
        // A reserved kind says nothing of a delta: as if it had not come.
        if kind == SMALL || kind == LARGE {
            kinds.push(((from + at) as u16, kind));
        }
    };
    if chunk & 0x8000 == 0 {
        let (kind, length) = ((chunk >> 13) as u8, u32::from(chunk & 0x1fff).min(left));
        if kind != NOT_HERE {
            (0..length).for_each(|at| add(at, kind));
        }
        return length.max(1); // an empty run would never end
    }
    let (bits, mask) = if chunk & 0x4000 == 0 { (1, 1) } else { (2, 3) };
    let length = (14 / bits).min(left);
    (0..length).for_each(|at| add(at, (chunk >> (14 - bits * (at + 1)) & mask) as u8));
    length
}

fn write_chunks(out: &mut Vec<u8>, mut kinds: &[u8]) {
    while let Some(&first) = kinds.first() {
        let run = kinds.iter().take(0x1fff).take_while(|kind| **kind == first).count();
        let is_narrow = kinds.iter().take(14).all(|kind| *kind != LARGE);
        let (chunk, taken) = if run >= 14 || run == kinds.len() {
            (u16::from(first) << 13 | run as u16, run)
        } else {
            let (bits, most) = if is_narrow { (1, 14) } else { (2, 7) };
            let taken = kinds.len().min(most);
            let symbols = kinds[..taken].iter().zip(1u16..);
            let vector = symbols.fold(0u16, |sum, (kind, at)| sum | u16::from(*kind) << (14 - bits * at));
            (0x8000 | (bits - 1) << 14 | vector, taken)
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        kinds = &kinds[taken..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(feedback: &Feedback) -> Feedback {
        let mut out = Vec::new();
        feedback.write(&mut out, 1, 2);
        assert_eq!(out.len() % 4, 0);
        Feedback::read(&out[12..]).expect("well-formed")
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut seed = 1u32;
        let mut random = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 16
        };
        for round in 0..2000 {
            let packets = (random() % MAX_PACKETS as u32 + 1) as u16;
            let mut time = i64::from(random()) * 1000;
            let density = random() % 101;
            let mut arrived = Vec::new();
            for offset in 0..packets {
                if random() % 100 < density {
                    let step = random() % if round % 2 == 0 { 200 } else { 60_000 };
                    time = (time + i64::from(step) - 50).max(0);
                    arrived.push((offset, time));
                }
            }
            let mut feedback = Feedback { base: random() as u16, count: round as u8, packets, arrived };
            // Deltas of one feedback are within a signed number of 16 bits.
            let mut before = feedback.arrived.first().map_or(0, |(_, time)| *time);
            for (_, time) in &mut feedback.arrived {
                *time = (*time).clamp(before - 30_000, before + 30_000);
                before = *time;
            }
            assert_eq!(again(&feedback), feedback, "round {round}");
        }
    }

    #[test]
    fn all_names_those_that_have_not_come() {
        let feedback = Feedback { base: 65_535, count: 0, packets: 3, arrived: vec![(1, 512)] };
        let all: Vec<_> = again(&feedback).all().collect();
        assert_eq!(all, [(65_535, None), (0, Some(512)), (1, None)]);
    }

    #[test]
    fn an_example_by_hand() {
        // Base 1, 9 packets, reference 2 (128 ms), a vector of 14 bits, then deltas 1, 2, 3.
        let body = [0, 1, 0, 9, 0, 0, 2, 7, 0xa0, 0x80, 1, 2, 3, 0];
        let read = Feedback::read(&body);
        let arrived = vec![(0, 513), (6, 515)];
        assert_eq!(read, Some(Feedback { base: 1, count: 7, packets: 9, arrived }));
    }

    #[test]
    fn what_is_cut_off_is_malformed_and_an_empty_run_ends() {
        assert_eq!(Feedback::read(&[0; 7]), None);
        assert_eq!(Feedback::read(&[0, 0, 0, 1, 0, 0, 0, 0]), None, "no chunk");
        assert_eq!(Feedback::read(&[0, 0, 0, 1, 0, 0, 0, 0, 0x20, 1]), None, "no delta");
        let empty = [0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Feedback::read(&empty), None);
        let long = [0, 0, 0xff, 0xff, 0, 0, 0, 0, 0x1f, 0xff];
        assert_eq!(Feedback::read(&long), None, "8191 of 65535");
    }
}
