//! Datagrams in a stream of bytes: where each begins and ends.

/// How the datagrams of a stream follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// STUN messages and ChannelData, which carry their length themselves; padded to a multiple of 4 (RFC 8656
    /// sections 3.1 and 12.5).
    Turn,
    /// 16 bits of length before each datagram (RFC 4571 section 2; RFC 6544 section 10.1).
    Ice,
}

const STUN_HEADER: usize = 20;
const CHANNEL_HEADER: usize = 4;
const ICE_HEADER: usize = 2;
/// The longest datagram that a header can announce.
pub const MAX_DATAGRAM: usize = 65_535;

/// The bytes at the beginning of a buffer.
enum Next {
    /// The header is not there in full.
    Unknown,
    /// A datagram from `start` to `end`; the one behind it begins at `next`.
    Datagram { start: usize, end: usize, next: usize },
}

impl Framing {
    /// Add a datagram to the bytes that leave. False: it is too long, or no message of this kind.
    pub fn write(self, datagram: &[u8], out: &mut Vec<u8>) -> bool {
        match self {
            Framing::Ice => {
                let Ok(length) = u16::try_from(datagram.len()) else { return false };
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(datagram);
            }
            Framing::Turn => {
                match Framing::Turn.next(datagram) {
                    Ok(Next::Datagram { end, .. }) if end == datagram.len() => {}
                    _ => return false,
                }
                out.extend_from_slice(datagram);
                out.resize(out.len() + padding(datagram.len()), 0);
            }
        }
        true
    }

    fn next(self, bytes: &[u8]) -> Result<Next, &'static str> {
        let (header, length) = match (self, bytes) {
            (Framing::Ice, [high, low, ..]) => (ICE_HEADER, u16::from_be_bytes([*high, *low])),
            (Framing::Turn, [first, ..]) if !matches!(first, 0..=3 | 64..=79) => {
                return Err("neither a STUN message nor ChannelData");
            }
            (Framing::Turn, [_, _, high, low, ..]) => {
                let is_stun = bytes[0] < 4;
                let header = if is_stun { STUN_HEADER } else { CHANNEL_HEADER };
                let length = u16::from_be_bytes([*high, *low]);
                if is_stun && !length.is_multiple_of(4) {
                    return Err("a STUN message whose length is no multiple of 4");
                }
                (header, length)
            }
            _ => return Ok(Next::Unknown),
        };
        let end = header + usize::from(length);
        if end > MAX_DATAGRAM + ICE_HEADER {
            return Err("a datagram of more than 64 KiB");
        }
        Ok(match self {
            Framing::Ice => Next::Datagram { start: header, end, next: end },
            Framing::Turn => Next::Datagram { start: 0, end, next: end + padding(end) },
        })
    }
}

fn padding(length: usize) -> usize {
    length.next_multiple_of(4) - length
}

/// Puts datagrams together from the pieces that a stream gives. Holds less than one datagram between two pieces.
#[derive(Debug)]
pub struct Deframer {
    framing: Framing,
    rest: Vec<u8>,
}

impl Deframer {
    pub fn new(framing: Framing) -> Deframer {
        Deframer { framing, rest: Vec::new() }
    }

    /// Bytes that wait for the rest of their datagram.
    pub fn held(&self) -> usize {
        self.rest.len()
    }

    /// Hand every datagram that is whole now to `take`. The error says what the stream had instead of a datagram: it
    /// cannot be read any further.
    pub fn push(&mut self, piece: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), &'static str> {
        // Without a rest the datagrams are taken from where they lie.
        if self.rest.is_empty() {
            let used = take_whole(self.framing, piece, &mut take)?;
            self.rest.extend_from_slice(&piece[used..]);
            return Ok(());
        }
        self.rest.extend_from_slice(piece);
        let used = take_whole(self.framing, &self.rest, &mut take)?;
        self.rest.drain(..used);
        if self.rest.is_empty() && self.rest.capacity() > MAX_DATAGRAM {
            self.rest = Vec::new();
        }
        Ok(())
    }
}

/// Returns how many bytes were used.
fn take_whole(framing: Framing, bytes: &[u8], take: &mut impl FnMut(&[u8])) -> Result<usize, &'static str> {
    let mut used = 0;
    while let Next::Datagram { start, end, next } = framing.next(&bytes[used..])? {
        if bytes.len() < used + next {
            break;
        }
        // RFC 4571 section 2: an empty one says nothing.
        if end > start {
            take(&bytes[used + start..used + end]);
        }
        used += next;
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun(attributes: usize) -> Vec<u8> {
        let mut message = vec![7; STUN_HEADER + attributes];
        message[..4].copy_from_slice(&[0, 1, (attributes >> 8) as u8, attributes as u8]);
        message
    }

    fn channel_data(size: usize) -> Vec<u8> {
        let mut message = vec![9; CHANNEL_HEADER + size];
        message[..4].copy_from_slice(&[0x40, 1, (size >> 8) as u8, size as u8]);
        message
    }

    fn pieces(framing: Framing, bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
        let (mut deframer, mut out) = (Deframer::new(framing), Vec::new());
        for piece in bytes.chunks(size) {
            deframer.push(piece, |datagram| out.push(datagram.to_vec())).expect("good bytes");
        }
        assert!(deframer.rest.is_empty(), "nothing is left over");
        out
    }

    #[test]
    fn datagrams_come_out_as_they_went_in_however_they_are_cut() {
        let turn =
            [stun(0), channel_data(1), channel_data(2), stun(8), channel_data(3), channel_data(0), stun(400)];
        let ice = [vec![1], vec![2; 1200], vec![3; MAX_DATAGRAM], vec![4; 7]];
        for (framing, datagrams) in [(Framing::Turn, turn.to_vec()), (Framing::Ice, ice.to_vec())] {
            let mut bytes = Vec::new();
            for datagram in &datagrams {
                assert!(framing.write(datagram, &mut bytes));
            }
            if framing == Framing::Turn {
                assert!(bytes.len().is_multiple_of(4));
            }
            for size in [1, 2, 3, 5, 19, 1000, bytes.len()] {
                assert_eq!(pieces(framing, &bytes, size), datagrams, "{framing:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn an_empty_datagram_is_passed_over() {
        assert_eq!(pieces(Framing::Ice, &[0, 0, 0, 1, 5, 0, 0], 1), [vec![5]]);
    }

    #[test]
    fn what_is_no_datagram_ends_the_stream() {
        for bytes in [
            &b"SSH-2.0-OpenSSH_9.2"[..],
            &[0x15, 3, 3, 0, 2],
            &[4, 0, 0, 0],
            &[80, 0, 0, 0],
            &[255],
            &[0, 1, 0, 3],       // a length that STUN does not have
            &[0, 1, 0xFF, 0xFC], // with its header above 64 KiB
        ] {
            let mut deframer = Deframer::new(Framing::Turn);
            assert!(deframer.push(bytes, |_| panic!("no datagram")).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_peer_that_announces_much_and_sends_on_and_on_is_held_to_one_datagram() {
        let mut deframer = Deframer::new(Framing::Ice);
        let mut count = 0;
        deframer.push(&[0xFF, 0xFF], |_| count += 1).expect("a length");
        for _ in 0..1000 {
            deframer.push(&[0xFF; 1000], |_| count += 1).expect("more of the same");
            assert!(deframer.rest.len() <= MAX_DATAGRAM + ICE_HEADER);
        }
        assert_eq!(count, 1_000_000 / (MAX_DATAGRAM + ICE_HEADER));
    }

    /// Random bytes, many of them with good lengths: no panic, and never more than one datagram held.
    #[test]
    fn garbage_is_read_without_harm() {
        let mut state = 1u64;
        let mut number = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for round in 0..2000 {
            let framing = if round % 2 == 0 { Framing::Turn } else { Framing::Ice };
            let mut deframer = Deframer::new(framing);
            for _ in 0..20 {
                let mut piece: Vec<u8> = (0..number(300)).map(|_| number(256) as u8).collect();
                if let [first, _, high, ..] = &mut piece[..] {
                    (*first, *high) = ([0, 1, 64, 79, 200][number(5) as usize], number(2) as u8);
                }
                let size = piece.len();
                if deframer.push(&piece, |datagram| assert!(!datagram.is_empty())).is_err() {
                    break;
                }
                assert!(deframer.held() <= MAX_DATAGRAM + ICE_HEADER + size);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_sent() {
        let mut out = Vec::new();
        assert!(!Framing::Ice.write(&vec![0; MAX_DATAGRAM + 1], &mut out));
        assert!(!Framing::Turn.write(&stun(4)[..23], &mut out), "its length is another");
        assert!(!Framing::Turn.write(&[22, 254, 253, 0], &mut out), "DTLS without a channel");
        assert!(out.is_empty());
    }
}
