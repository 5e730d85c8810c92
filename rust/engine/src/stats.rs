//! Figures of a transport, for getStats and for the tests.

use std::fmt;
use std::time::{Duration, Instant};

use crate::channel::{ChannelCounts, ChannelKey};
pub use crate::ice::PairStats;
pub use crate::rtp::MediaStats;
pub use crate::traffic::Traffic;

/// Counters of dropped input, by reason. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Not STUN, DTLS or anything else that is spoken here.
    pub unknown: u64,
    /// STUN that is malformed, not for us, or fails its integrity check.
    pub stun: u64,
    /// DTLS from an address that ICE has not checked, or that the engine refused.
    pub dtls: u64,
    /// SCTP that could not be kept because the application does not read.
    pub sctp: u64,
    pub dcep: u64,
    /// Messages on a stream without a channel, of an unknown kind, or larger than announced.
    pub message: u64,
    /// Remote candidates that are not used here.
    pub candidate: u64,
    /// RTP and RTCP that is not authentic, has come before, or belongs to no section.
    pub media: u64,
}

impl Drops {
    pub fn minus(&self, before: &Drops) -> Drops {
        Drops {
            unknown: self.unknown - before.unknown,
            stun: self.stun - before.stun,
            dtls: self.dtls - before.dtls,
            sctp: self.sctp - before.sctp,
            dcep: self.dcep - before.dcep,
            message: self.message - before.message,
            candidate: self.candidate - before.candidate,
            media: self.media - before.media,
        }
    }
}

/// Those that are not 0, as "stun 3, dtls 1".
impl fmt::Display for Drops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Drops { unknown, stun, dtls, sctp, dcep, message, candidate, media } = *self;
        let named = [
            ("unknown", unknown),
            ("stun", stun),
            ("dtls", dtls),
            ("sctp", sctp),
            ("dcep", dcep),
            ("message", message),
            ("candidate", candidate),
            ("media", media),
        ];
        let mut separator = "";
        for (name, count) in named.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, "{separator}{name} {count}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub struct SctpStats {
    pub round_trip: Duration,
    pub congestion_window: usize,
    pub receiver_window: u32,
    pub unacknowledged: usize,
    pub packets_sent: usize,
    pub packets_received: usize,
    pub packets_retransmitted: usize,
    pub zero_checksum: bool,
    /// State and counts of the congestion controller.
    pub congestion: Option<crate::sctp::Report>,
}

/// One look at a transport.
#[derive(Clone, Debug)]
pub struct Stats {
    pub at: Instant,
    pub ice_state: &'static str,
    pub ice_role: Option<&'static str>,
    pub traffic: Traffic,
    pub pairs: Vec<PairStats>,
    pub pair_changes: u64,
    /// Checks over all pairs: sent, answered, and answered by us.
    pub requests_sent: u64,
    pub responses_received: u64,
    pub requests_received: u64,
    pub dtls_state: &'static str,
    /// "FEFD" (DTLS 1.2) or "FEFC" (DTLS 1.3), as W3C webrtc-stats has it.
    pub dtls_version: Option<&'static str>,
    pub dtls_cipher: Option<&'static str>,
    pub srtp_cipher: Option<&'static str>,
    pub dtls_role: Option<&'static str>,
    pub sctp: Option<SctpStats>,
    pub channels: Vec<(ChannelKey, u16, ChannelCounts)>,
    /// Bytes given to the application that it did not say to have taken.
    pub unread: usize,
    pub drops: Drops,
    /// None: no media has been negotiated.
    pub media: Option<MediaStats>,
}
