//! Classifies a datagram once, by its first byte (RFC 7983, RFC 9443).

/// The protocols that share one 5-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Stun,
    Dtls,
    /// TURN ChannelData: comes with relayed candidates.
    TurnChannel,
    /// RTP and RTCP: come with media.
    Rtp,
    Unknown,
}

/// RFC 7983 section 7, as amended by RFC 9443 (the QUIC range is unknown to WebRTC).
pub fn classify(datagram: &[u8]) -> Class {
    match datagram.first() {
        Some(0..=3) => Class::Stun,
        Some(20..=63) => Class::Dtls,
        Some(64..=79) => Class::TurnChannel,
        Some(128..=191) => Class::Rtp,
        _ => Class::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_decides_and_an_empty_datagram_is_unknown() {
        let expected = [
            (0u8, Class::Stun),
            (3, Class::Stun),
            (4, Class::Unknown),
            (19, Class::Unknown),
            (20, Class::Dtls),
            (63, Class::Dtls),
            (64, Class::TurnChannel),
            (79, Class::TurnChannel),
            (80, Class::Unknown),
            (127, Class::Unknown),
            (128, Class::Rtp),
            (191, Class::Rtp),
            (192, Class::Unknown),
            (255, Class::Unknown),
        ];
        for (byte, class) in expected {
            assert_eq!(classify(&[byte]), class, "first byte {byte}");
        }
        assert_eq!(classify(&[]), Class::Unknown);
    }
}
