//! The Data Channel Establishment Protocol (RFC 8832).

use std::time::Duration;

/// How hard a message is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    #[default]
    Full,
    Retransmits(u16),
    /// Milliseconds from the call of `send`.
    Lifetime(u16),
}

impl Reliability {
    pub fn lifetime(self) -> Option<Duration> {
        match self {
            Reliability::Lifetime(milliseconds) => Some(Duration::from_millis(milliseconds.into())),
            _ => None,
        }
    }

    pub fn max_retransmits(self) -> Option<u16> {
        match self {
            Reliability::Retransmits(count) => Some(count),
            _ => None,
        }
    }
}

/// What a channel was opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelOptions {
    pub label: String,
    pub protocol: String,
    /// Both sides open it themselves, with the same stream id; nothing about it is sent.
    pub negotiated: bool,
    pub ordered: bool,
    pub reliability: Reliability,
    pub priority: u16,
}

const ACK: u8 = 2;
const OPEN: u8 = 3;
const OPEN_HEADER: usize = 12;
const UNORDERED: u8 = 0x80;
const TYPE_RETRANSMITS: u8 = 1;
const TYPE_LIFETIME: u8 = 2;

#[derive(Debug, PartialEq, Eq)]
pub enum Dcep {
    Open(ChannelOptions),
    Ack,
}

/// RFC 8832 section 5. None: not a message of this protocol.
pub fn parse(payload: &[u8]) -> Option<Dcep> {
    match *payload.first()? {
        ACK => Some(Dcep::Ack),
        OPEN => {
            let header: &[u8; OPEN_HEADER] = payload.get(..OPEN_HEADER)?.try_into().ok()?;
            let parameter = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            // The parameter has 32 bits, W3C's members have 16: what is longer is as good as the longest.
            let parameter = u16::try_from(parameter).unwrap_or(u16::MAX);
            let reliability = match header[1] & !UNORDERED {
                0 => Reliability::Full,
                TYPE_RETRANSMITS => Reliability::Retransmits(parameter),
                TYPE_LIFETIME => Reliability::Lifetime(parameter),
                _ => return None,
            };
            let label_end = OPEN_HEADER + usize::from(u16::from_be_bytes([header[8], header[9]]));
            let end = label_end + usize::from(u16::from_be_bytes([header[10], header[11]]));
            let text = |range| Some(String::from_utf8_lossy(payload.get(range)?).into_owned());
            Some(Dcep::Open(ChannelOptions {
                label: text(OPEN_HEADER..label_end)?,
                protocol: text(label_end..end)?,
                negotiated: false,
                ordered: header[1] & UNORDERED == 0,
                reliability,
                priority: u16::from_be_bytes([header[2], header[3]]),
            }))
        }
        _ => None,
    }
}

/// RFC 8832 section 5.1. The caller has checked that label and protocol have at most 65535 bytes.
pub fn open(options: &ChannelOptions) -> Vec<u8> {
    let (kind, parameter) = match options.reliability {
        Reliability::Full => (0, 0),
        Reliability::Retransmits(count) => (TYPE_RETRANSMITS, count),
        Reliability::Lifetime(milliseconds) => (TYPE_LIFETIME, milliseconds),
    };
    let unordered = if options.ordered { 0 } else { UNORDERED };
    let mut out = vec![OPEN, kind | unordered];
    out.extend_from_slice(&options.priority.to_be_bytes());
    out.extend_from_slice(&u32::from(parameter).to_be_bytes());
    out.extend_from_slice(&(options.label.len() as u16).to_be_bytes());
    out.extend_from_slice(&(options.protocol.len() as u16).to_be_bytes());
    out.extend_from_slice(options.label.as_bytes());
    out.extend_from_slice(options.protocol.as_bytes());
    out
}

/// RFC 8832 section 5.2.
pub fn ack() -> Vec<u8> {
    vec![ACK]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(ordered: bool, reliability: Reliability) -> ChannelOptions {
        ChannelOptions {
            label: "läbel".into(),
            protocol: "proto".into(),
            negotiated: false,
            ordered,
            reliability,
            priority: 512,
        }
    }

    #[test]
    fn every_kind_of_channel_survives_the_wire() {
        for ordered in [true, false] {
            for reliability in [Reliability::Full, Reliability::Retransmits(3), Reliability::Lifetime(1500)] {
                let options = options(ordered, reliability);
                assert_eq!(parse(&open(&options)), Some(Dcep::Open(options)));
            }
        }
        assert_eq!(parse(&ack()), Some(Dcep::Ack));
    }

    #[test]
    fn every_truncation_and_every_unknown_kind_is_no_message() {
        let whole = open(&options(true, Reliability::Full));
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length} bytes");
        }
        let mut unknown = whole.clone();
        unknown[1] = 3;
        assert_eq!(parse(&unknown), None);
        unknown[0] = 9;
        assert_eq!(parse(&unknown), None);
    }

    #[test]
    fn a_label_that_is_no_text_becomes_text() {
        let mut message = open(&options(true, Reliability::Full));
        message[OPEN_HEADER] = 0xff;
        let Some(Dcep::Open(read)) = parse(&message) else { panic!("an OPEN") };
        assert!(read.label.starts_with('\u{fffd}'));
    }
}
