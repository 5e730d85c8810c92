//! The close plan: the packets that leave when a transport is closed abruptly, and their order (W3C "close the
//! connection", closing rules 12, 70 to 72 and S6).
//!
//! The plan is data, so that the order is in one place. The release of relay addresses comes after it, with TURN.

use crate::dtls::DtlsState;
use crate::sctp::SctpState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastWord {
    /// RTCP BYE of every stream that has sent (closing rule 6): before the ABORT, as the W3C has it.
    RtcpBye,
    /// ABORT, cause 12: the peer learns that it was on purpose (closing rule 58). Nothing queued is flushed.
    SctpAbort,
    /// Never overtakes the ABORT: who reads it first forgets the association.
    DtlsCloseNotify,
}

const ORDER: [LastWord; 3] = [LastWord::RtcpBye, LastWord::SctpAbort, LastWord::DtlsCloseNotify];

/// Return the packets that can be sent in these states, in order.
pub fn plan(sends_media: bool, sctp: Option<SctpState>, dtls: DtlsState) -> impl Iterator<Item = LastWord> {
    ORDER.into_iter().filter(move |word| match word {
        LastWord::RtcpBye => sends_media && dtls == DtlsState::Connected,
        LastWord::SctpAbort => {
            dtls == DtlsState::Connected && matches!(sctp, Some(SctpState::Connecting | SctpState::Connected))
        }
        LastWord::DtlsCloseNotify => dtls == DtlsState::Connected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(sctp: Option<SctpState>, dtls: DtlsState) -> Vec<LastWord> {
        plan(false, sctp, dtls).collect()
    }

    #[test]
    fn the_abort_leaves_before_the_close_notify() {
        let both = [LastWord::SctpAbort, LastWord::DtlsCloseNotify];
        assert_eq!(words(Some(SctpState::Connected), DtlsState::Connected), both);
    }

    #[test]
    fn the_bye_of_media_is_the_first() {
        let words: Vec<_> = plan(true, Some(SctpState::Connected), DtlsState::Connected).collect();
        assert_eq!(words, ORDER);
        assert_eq!(plan(true, None, DtlsState::Failed).count(), 0);
    }

    #[test]
    fn what_never_was_or_is_over_says_nothing() {
        assert_eq!(words(None, DtlsState::Connected), [LastWord::DtlsCloseNotify]);
        assert_eq!(words(Some(SctpState::Closed), DtlsState::Connected), [LastWord::DtlsCloseNotify]);
        for dtls in [DtlsState::New, DtlsState::Connecting, DtlsState::Closed, DtlsState::Failed] {
            assert_eq!(words(Some(SctpState::Connected), dtls), []);
        }
    }
}
