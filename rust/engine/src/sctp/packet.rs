//! SCTP packets as far as the association's wrapper has to read and write them (RFC 9260 section 3).
//!
//! The crate `dcsctp` gives an ABORT's causes as one string, sends its own reason, and cannot announce a window. The
//! few bytes for that are read and written here.

/// RFC 9260 section 3.2.
const DATA: u8 = 0;
const SACK: u8 = 3;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
const SHUTDOWN_COMPLETE: u8 = 14;

const HEADER: usize = 12;
const CHUNK_HEADER: usize = 4;

/// RFC 9260 section 3.3.10.12: the peer left on purpose (closing rule 58).
pub const USER_INITIATED_ABORT: u16 = 12;

/// The T bit of an ABORT: the verification tag is the receiver's own.
const TAG_REFLECTED: u8 = 1;

/// The chunks of a packet, in order; stops where the packet makes no sense.
pub struct Chunks<'a> {
    rest: &'a [u8],
}

pub struct Chunk<'a> {
    pub kind: u8,
    pub flags: u8,
    pub value: &'a [u8],
}

pub fn chunks(packet: &[u8]) -> Chunks<'_> {
    Chunks { rest: packet.get(HEADER..).unwrap_or_default() }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    #[inline]
    fn next(&mut self) -> Option<Chunk<'a>> {
        let rest = self.rest;
        let &[kind, flags, high, low, ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = rest.get(CHUNK_HEADER..length)?;
        let padded = (length + 3) & !3;
        self.rest = rest.get(padded..).unwrap_or_default();
        Some(Chunk { kind, flags, value })
    }
}

/// The facts about an incoming packet that the wrapper needs before the association sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Whether it can end the association, which then forgets complete messages that were not taken.
    pub may_end: bool,
    pub has_data: bool,
    /// Whether it has chunks that the association may have to keep: DATA, FORWARD-TSN, resets of streams.
    pub may_be_kept: bool,
    pub abort: Option<Cause>,
}

pub fn inspect_packet(packet: &[u8]) -> Inspected {
    const ENDS: u32 = 1 << ABORT | 1 << SHUTDOWN | 1 << SHUTDOWN_ACK | 1 << SHUTDOWN_COMPLETE;
    // A packet can be full of small messages: one bit for each kind of chunk, the last for all that are not known here.
    let kinds = chunks(packet).fold(0_u32, |kinds, chunk| kinds | 1 << chunk.kind.min(31));
    let abort = || chunks(packet).find(|chunk| chunk.kind == ABORT).map(|chunk| first_cause(chunk.value));
    Inspected {
        may_end: kinds & ENDS != 0,
        has_data: kinds & 1 << DATA != 0,
        may_be_kept: kinds & (1 << DATA | 1 << 31) != 0,
        abort: if kinds & 1 << ABORT != 0 { abort() } else { None },
    }
}

/// The reason of an ABORT: RTCError.sctpCauseCode and a text for a person (closing rule 57).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub code: Option<u16>,
    pub text: String,
}

/// The first error cause counts: nobody sends two.
fn first_cause(causes: &[u8]) -> Cause {
    let Some(code) = be16(causes, 0) else {
        return Cause { code: None, text: "the peer aborted the association without a cause".into() };
    };
    let length = usize::from(be16(causes, 2).unwrap_or(4));
    let information = causes.get(4..length.max(4)).unwrap_or_default();
    let name = cause_name(code);
    let text = match code {
        USER_INITIATED_ABORT | 13 if !information.is_empty() => {
            format!("{name}, reason={}", String::from_utf8_lossy(information))
        }
        _ => name.to_owned(),
    };
    Cause { code: Some(code), text }
}

/// RFC 9260 section 3.3.10.
fn cause_name(code: u16) -> &'static str {
    match code {
        1 => "Invalid Stream Identifier",
        2 => "Missing Mandatory Parameter",
        3 => "Stale Cookie",
        4 => "Out of Resource",
        5 => "Unresolvable Address",
        6 => "Unrecognized Chunk Type",
        7 => "Invalid Mandatory Parameter",
        8 => "Unrecognized Parameters",
        9 => "No User Data",
        10 => "Cookie Received While Shutting Down",
        11 => "Restart of an Association with New Addresses",
        USER_INITIATED_ABORT => "User-Initiated Abort",
        13 => "Protocol Violation",
        _ => "Unknown cause",
    }
}

/// The chunk of a packet that is a SACK and nothing else (RFC 9260 section 3.3.4).
#[derive(Clone, Copy)]
pub struct Sack<'a> {
    cumulative: u32,
    /// Each has a start and an end, relative to the cumulative TSN.
    gaps: &'a [u8],
    has_duplicates: bool,
}

impl<'a> Sack<'a> {
    /// None: there is something else in the packet.
    #[inline]
    pub fn alone_in(packet: &'a [u8]) -> Option<Sack<'a>> {
        /// Cumulative TSN, window, number of gaps, number of duplicates.
        const FIXED: usize = 12;
        let mut chunks = chunks(packet);
        let sack = chunks.next().filter(|chunk| chunk.kind == SACK)?;
        if chunks.next().is_some() {
            return None;
        }
        let gaps = usize::from(be16(sack.value, 8)?);
        Some(Sack {
            cumulative: be32(sack.value, 0)?,
            gaps: sack.value.get(FIXED..FIXED + 4 * gaps)?,
            has_duplicates: be16(sack.value, 10)? > 0,
        })
    }

    /// The TSN behind the newest hole. None: nothing is missing.
    pub fn behind_newest_hole(&self) -> Option<u32> {
        let start = be16(self.gaps, self.gaps.len().checked_sub(4)?)?;
        Some(self.cumulative.wrapping_add(u32::from(start)))
    }

    /// Whether both name the same TSNs.
    pub fn says_the_same(&self, other: &Sack<'_>) -> bool {
        self.cumulative == other.cumulative && self.gaps == other.gaps
    }

    /// Whether something is known to have come twice, which later ones do not say again.
    pub fn has_duplicates(&self) -> bool {
        self.has_duplicates
    }
}

/// The cumulative TSN of a packet that begins with a SACK.
#[inline]
pub fn cumulative_ack(packet: &[u8]) -> Option<u32> {
    (packet.get(HEADER) == Some(&SACK)).then(|| be32(packet, HEADER + CHUNK_HEADER)).flatten()
}

/// Put `reason` into the ABORT that `packet` is, as its only cause: User-Initiated Abort.
///
/// None when the packet is no ABORT.
pub fn with_abort_reason(packet: &[u8], reason: &str) -> Option<Vec<u8>> {
    /// Enough for a sentence; far below the MTU.
    const MAX_REASON: usize = 512;
    let abort = chunks(packet).next().filter(|chunk| chunk.kind == ABORT)?;
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason.as_bytes()[..end];
    let cause_length = 4 + reason.len();
    let mut out = Vec::with_capacity(HEADER + CHUNK_HEADER + cause_length + 3);
    out.extend_from_slice(&packet[..HEADER]);
    out.extend_from_slice(&[ABORT, abort.flags & TAG_REFLECTED]);
    out.extend_from_slice(&((CHUNK_HEADER + cause_length) as u16).to_be_bytes());
    out.extend_from_slice(&USER_INITIATED_ABORT.to_be_bytes());
    out.extend_from_slice(&(cause_length as u16).to_be_bytes());
    out.extend_from_slice(reason);
    out.resize(out.len().next_multiple_of(4), 0);
    // A zero checksum is what the two sides agreed on (RFC 9653); else it is made anew.
    if packet[8..HEADER] != [0; 4] {
        put_checksum(&mut out);
    }
    Some(out)
}

/// A DATA chunk with a TSN that is acknowledged already: the association answers it at once with a SACK, and so with
/// its window (RFC 9260 section 6.2). `header` is the first eight bytes of any packet of the peer.
pub fn window_probe(header: [u8; 8], acknowledged: u32) -> Vec<u8> {
    const WHOLE_MESSAGE: u8 = 3;
    let mut out = Vec::with_capacity(32);
    out.extend_from_slice(&header);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[DATA, WHOLE_MESSAGE]);
    out.extend_from_slice(&17u16.to_be_bytes());
    out.extend_from_slice(&acknowledged.to_be_bytes());
    out.extend_from_slice(&[0; 8]); // stream, sequence number, PPID: a duplicate's are not looked at
    out.extend_from_slice(&[0; 4]); // one byte of payload and its padding
    put_checksum(&mut out);
    out
}

fn put_checksum(packet: &mut [u8]) {
    packet[8..HEADER].fill(0);
    let sum = crc32c::crc32c(packet);
    packet[8..HEADER].copy_from_slice(&sum.to_le_bytes());
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abort(flags: u8, causes: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x13, 0x88, 0x13, 0x88, 1, 2, 3, 4, 0, 0, 0, 0, ABORT, flags];
        packet.extend_from_slice(&((4 + causes.len()) as u16).to_be_bytes());
        packet.extend_from_slice(causes);
        packet
    }

    #[test]
    fn the_cause_of_an_abort_is_read_with_its_reason() {
        let packet =
            abort(0, &[0, 12, 0, 16, b'C', b'l', b'o', b's', b'e', b' ', b'c', b'a', b'l', b'l', b'e', b'd']);
        let found = inspect_packet(&packet);
        assert!(found.may_end);
        let cause = found.abort.expect("an ABORT");
        assert_eq!(cause.code, Some(12));
        assert_eq!(cause.text, "User-Initiated Abort, reason=Close called");
    }

    #[test]
    fn an_abort_without_or_with_a_broken_cause_has_a_text_all_the_same() {
        assert_eq!(inspect_packet(&abort(0, &[])).abort.expect("an ABORT").code, None);
        assert_eq!(inspect_packet(&abort(0, &[0, 4, 255, 255, 1])).abort.expect("an ABORT").code, Some(4));
        assert_eq!(inspect_packet(&abort(0, &[0])).abort.expect("an ABORT").code, None);
    }

    #[test]
    fn a_reason_is_put_into_an_abort_and_read_again() {
        for reason in ["", "bye", "ade, ade, ade", "ünïcödé"] {
            let made = with_abort_reason(&abort(0, &[0, 12, 0, 4]), reason).expect("an ABORT");
            let cause = inspect_packet(&made).abort.expect("an ABORT");
            assert_eq!(cause.code, Some(12));
            assert!(cause.text.ends_with(reason));
            assert_eq!(made.len() % 4, 0);
            assert_eq!(made[8..12], [0; 4], "a zero checksum stays zero");
        }
        let long = "é".repeat(2000);
        let made = with_abort_reason(&abort(0, &[]), &long).expect("an ABORT");
        assert!(made.len() < 600);
        assert!(with_abort_reason(&[0; 16], "x").is_none(), "DATA is no ABORT");
    }

    #[test]
    fn a_checksum_is_made_anew_when_there_was_one() {
        let mut packet = abort(0, &[0, 12, 0, 4]);
        put_checksum(&mut packet);
        let mut made = with_abort_reason(&packet, "bye").expect("an ABORT");
        let sum: [u8; 4] = made[8..12].try_into().expect("four");
        put_checksum(&mut made);
        assert_eq!(made[8..12], sum);
    }

    #[test]
    fn chunks_of_a_truncated_or_lying_packet_end_where_it_makes_no_sense() {
        assert_eq!(chunks(&[]).count(), 0);
        assert_eq!(chunks(&[0; 12]).count(), 0);
        assert_eq!(chunks(&[0; 15]).count(), 0);
        let zero_length = [0u8; 32];
        assert_eq!(chunks(&zero_length).count(), 0, "a chunk shorter than its header");
        let mut lying = abort(0, &[0, 12, 0, 4]);
        lying[15] = 200;
        assert_eq!(chunks(&lying).count(), 0);
    }

    #[test]
    fn only_a_packet_that_begins_with_a_sack_gives_a_cumulative_ack() {
        let mut packet = vec![0; 12];
        packet.extend_from_slice(&[SACK, 0, 0, 16, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(cumulative_ack(&packet), Some(0x102));
        packet[12] = DATA;
        assert_eq!(cumulative_ack(&packet), None);
        assert_eq!(cumulative_ack(&[0; 12]), None);
    }
}
