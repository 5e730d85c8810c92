//! The bytes of RTP and RTCP packets. Nothing here keeps state.

pub mod extensions;
pub mod feedback;
pub mod header;
pub mod red;
pub mod rtcp;
pub mod tone;
mod words;

/// Whether a datagram whose first byte is that of RTP is an RTCP packet (RFC 5761 section 4).
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.get(1).is_some_and(|byte| (192..=223).contains(byte))
}
