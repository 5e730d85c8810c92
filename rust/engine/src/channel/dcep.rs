//! The Data Channel Establishment Protocol (RFC 8832): its messages, and how channels are opened with it.

use std::time::Instant;

use super::closing::{Input, Phase};
use super::options::{ChannelOptions, Reliability};
use super::{ChannelEvent, ChannelKey, Channels, MAX_NAMES, MAX_STREAM, PPID_DCEP};
use crate::lines;
use crate::sctp::{Association, Outgoing};

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

impl Channels {
    /// Send the OPEN of a new channel and announce it.
    pub(super) fn establish(&mut self, now: Instant, sctp: &mut Association, key: ChannelKey) {
        let Some(channel) = self.channels[key.0 as usize].as_mut() else { return };
        if self.max_channels.is_some_and(|max| channel.stream >= max) {
            let message = format!("stream {} is above what the association has", channel.stream);
            self.fail(key, message);
            self.remove(key);
            return;
        }
        channel.phase = Phase::Open;
        sctp.set_priority(channel.stream, channel.options.priority);
        if !channel.options.negotiated {
            log::debug!(target: lines::SCTP, "> DCEP OPEN, stream {}", channel.stream);
            send_dcep(now, sctp, channel.stream, open(&channel.options));
        }
        self.events.push_back(ChannelEvent::Open { key });
    }

    pub(super) fn handle_dcep(&mut self, now: Instant, sctp: &mut Association, stream: u16, payload: &[u8]) {
        let owner = self.find(stream);
        match (parse(payload), owner) {
            (Some(Dcep::Ack), Some(key)) => {
                log::debug!(target: lines::SCTP, "< DCEP ACK, stream {stream}");
                if let Some(channel) = self.channels[key.0 as usize].as_mut() {
                    channel.confirmed = true;
                }
            }
            (Some(Dcep::Open(options)), None) if self.peer_may_open(stream) && self.has_room(&options) => {
                let names = options.label.len() + options.protocol.len();
                log::debug!(target: lines::SCTP, "< DCEP OPEN, stream {stream}: answered with ACK");
                let key = self.insert(stream, nameless(&options), true, true);
                if let Some(channel) = self.channels[key.0 as usize].as_mut() {
                    channel.phase = Phase::Open;
                    channel.names = names;
                }
                self.names += names;
                sctp.set_priority(stream, options.priority);
                send_dcep(now, sctp, stream, ack());
                self.events.push_back(ChannelEvent::Incoming { key, stream, options: Box::new(options) });
            }
            // RFC 8832 section 6: an OPEN that can not be is answered by closing that channel.
            (Some(Dcep::Open(_)), Some(key)) => {
                log::debug!(target: lines::SCTP, "! DCEP OPEN for stream {stream}, which is in use: closed");
                self.drops.dcep += 1;
                let announced =
                    self.channels[key.0 as usize].as_ref().is_some_and(|channel| channel.announced);
                let open =
                    self.channels[key.0 as usize].as_ref().is_some_and(|channel| channel.phase.is_open());
                if announced && open {
                    self.events.push_back(ChannelEvent::Closing { key });
                }
                self.apply(now, Some(sctp), key, Input::CloseCalled);
            }
            (Some(Dcep::Open(options)), None) => {
                log::debug!(target: lines::SCTP, "! DCEP OPEN for stream {stream}, which the peer may not use: closed");
                self.drops.dcep += 1;
                let key = self.insert(stream, nameless(&options), true, true);
                if let Some(channel) = self.channels[key.0 as usize].as_mut() {
                    channel.phase = Phase::Open;
                    channel.announced = false;
                    self.open_count -= 1;
                }
                self.apply(now, Some(sctp), key, Input::CloseCalled);
            }
            (Some(Dcep::Ack), None) | (None, _) => self.drops.dcep += 1,
        }
    }

    /// RFC 8832 section 6: the DTLS client has the even streams, the server the odd ones.
    fn peer_may_open(&self, stream: u16) -> bool {
        match self.is_client {
            Some(we_are_client) => stream <= MAX_STREAM && (stream % 2 == 1) == we_are_client,
            None => false,
        }
    }

    fn has_room(&self, options: &ChannelOptions) -> bool {
        self.names + options.label.len() + options.protocol.len() <= MAX_NAMES
    }
}

/// The names of an incoming channel go to the application: they are not held twice.
fn nameless(options: &ChannelOptions) -> ChannelOptions {
    let ChannelOptions { negotiated, ordered, reliability, priority, .. } = *options;
    ChannelOptions {
        label: String::new(),
        protocol: String::new(),
        negotiated,
        ordered,
        reliability,
        priority,
    }
}

/// Control messages are always reliable and in order (RFC 8832 section 6).
fn send_dcep(now: Instant, sctp: &mut Association, stream: u16, payload: Vec<u8>) {
    sctp.send(
        now,
        Outgoing {
            stream,
            ppid: PPID_DCEP,
            payload,
            unordered: false,
            lifetime: None,
            max_retransmits: None,
        },
    );
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
