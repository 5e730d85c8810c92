//! The header of an RTP packet (RFC 3550 section 5.1).

use std::ops::Range;

const FIXED: usize = 12;

/// A header that was read. The ranges count from the beginning of the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// The number that says what the extension is, and its bytes.
    pub extension: Option<(u16, Range<usize>)>,
    /// The bytes before the payload. They are not encrypted.
    pub size: usize,
    has_padding: bool,
}

impl Header {
    /// Read a header; None: it is not one of RTP, or is longer than the packet.
    pub fn parse(packet: &[u8]) -> Option<Header> {
        let fixed = packet.get(..FIXED)?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut size = FIXED + 4 * usize::from(fixed[0] & 0x0f);
        let mut extension = None;
        if fixed[0] & 0x10 != 0 {
            let head = packet.get(size..size + 4)?;
            let length = 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
            extension = Some((u16::from_be_bytes([head[0], head[1]]), size + 4..size + 4 + length));
            size += 4 + length;
        }
        (size <= packet.len()).then_some(Header {
            payload_type: fixed[1] & 0x7f,
            marker: fixed[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            extension,
            size,
            has_padding: fixed[0] & 0x20 != 0,
        })
    }

    /// The payload of the decrypted packet, without its padding; None: the padding is longer than it.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        let payload = packet.get(self.size..)?;
        if !self.has_padding {
            return Some(payload);
        }
        let padding = usize::from(*payload.last()?);
        let left = payload.len().checked_sub(padding).filter(|_| padding > 0)?;
        Some(&payload[..left])
    }
}

/// The members of a header to write. Extensions follow it (see [`super::extensions::Writer`]).
#[derive(Clone, Copy, Debug)]
pub struct NewHeader {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub has_extension: bool,
}

impl NewHeader {
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(if self.has_extension { 0x90 } else { 0x80 });
        out.push(u8::from(self.marker) << 7 | self.payload_type);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
    }

    /// Give a packet with a header another stream, payload type and sequence number; its marker stays.
    pub fn renumber(packet: &mut [u8], payload_type: u8, sequence: u16, ssrc: u32) {
        packet[1] = packet[1] & 0x80 | payload_type;
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(has_extension: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let header = NewHeader {
            payload_type: 111,
            marker: true,
            sequence: 0xfffe,
            timestamp: 0x0102_0304,
            ssrc: 0x0506_0708,
            has_extension,
        };
        header.write(&mut out);
        out
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut bytes = packet(false);
        bytes.extend_from_slice(b"sound");
        let header = Header::parse(&bytes).expect("a header");
        assert_eq!((header.payload_type, header.marker, header.sequence), (111, true, 0xfffe));
        assert_eq!((header.timestamp, header.ssrc), (0x0102_0304, 0x0506_0708));
        assert_eq!(header.payload(&bytes), Some(&b"sound"[..]));
    }

    #[test]
    fn a_header_that_is_longer_than_the_packet_is_none() {
        let mut extended = packet(true);
        extended.extend_from_slice(&[0xbe, 0xde, 0, 1]);
        assert_eq!(Header::parse(&extended), None, "the extension is past the end");
        extended.extend_from_slice(&[0; 4]);
        assert!(Header::parse(&extended).is_some());
        let mut sources = packet(false);
        sources[0] |= 15;
        assert_eq!(Header::parse(&sources), None, "fifteen sources are past the end");
        for length in 0..FIXED {
            assert_eq!(Header::parse(&packet(false)[..length]), None);
        }
        let mut version = packet(false);
        version[0] = 0x40;
        assert_eq!(Header::parse(&version), None);
    }

    #[test]
    fn padding_is_cut_off_and_may_not_be_longer_than_the_payload() {
        let mut bytes = packet(false);
        bytes[0] |= 0x20;
        bytes.extend_from_slice(&[7, 7, 0, 2]);
        let header = Header::parse(&bytes).expect("a header");
        assert_eq!(header.payload(&bytes), Some(&[7, 7][..]));
        let last = bytes.len() - 1;
        for (padding, payload) in [(4, Some(&[][..])), (5, None), (0, None)] {
            bytes[last] = padding;
            assert_eq!(header.payload(&bytes), payload, "padding {padding}");
        }
        assert_eq!(header.payload(&bytes[..12]), None, "no byte says how long the padding is");
    }
}
