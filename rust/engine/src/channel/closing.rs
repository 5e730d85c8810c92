//! The closing procedure of one data channel (RFC 8831 section 6.7; closing rules 37 to 47 and 73).
//!
//! ```text
//!            close()                 nothing queued          our reset is done
//!   Open ───────────────▶ Draining ─────────────▶ Resetting ──────────────────▶ HalfClosed
//!     │                    ▲    (theirs: no/yes)   │     ▲                          │ the peer's reset
//!     │ the peer's reset   │                refused│     │ again                    ▼
//!     └────────────────────┘                       └▶ Refused                     Closed
//! ```
//!
//! `theirs` says whether the peer's direction is reset already; then Resetting leads to Closed at once.

/// How often a refused reset is requested again before our direction counts as closed anyway.
const MAX_TRIES: u8 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No association exists yet.
    Waiting,
    Open,
    /// The queued messages leave first (rule 40).
    Draining {
        theirs: bool,
    },
    Resetting {
        theirs: bool,
        tries: u8,
    },
    /// The peer said no ("Wrong SSN", "Bad sequence", "Denied"): ask again later (rule 73).
    Refused {
        theirs: bool,
        tries: u8,
    },
    /// Our direction is reset, the peer's is not.
    HalfClosed,
    /// The peer did not finish in time. The application got its event, but the stream cannot be used again yet.
    Abandoned {
        ours: bool,
        theirs: bool,
    },
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    CloseCalled,
    PeerReset,
    /// The last queued message of this stream has left.
    Drained,
    ResetDone,
    ResetRefused,
    RetryDue,
    /// Nothing has moved for too long.
    TimedOut,
}

/// The result of an input, besides the new phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    None,
    /// The application learns that the peer closes (rule 42).
    AnnounceClosing,
    AskReset,
    /// Wait a little, then [`Input::RetryDue`].
    WaitToRetry,
    /// Both directions are reset: the stream is free again (rules 43 and 47).
    AnnounceClosed,
    /// The application learns that it is over, though the stream is not free.
    AnnounceAbandoned,
}

/// One row of the table. An input that does not concern a phase changes nothing: peers repeat resets.
pub fn next(phase: Phase, input: Input) -> (Phase, Action) {
    use Action as A;
    use Input as I;
    use Phase as P;
    match (phase, input) {
        (P::Waiting, I::CloseCalled) => (P::Closed, A::AnnounceClosed),
        (P::Open, I::CloseCalled) => (P::Draining { theirs: false }, A::None),
        (P::Open, I::PeerReset) => (P::Draining { theirs: true }, A::AnnounceClosing),

        (P::Draining { .. }, I::PeerReset) => (P::Draining { theirs: true }, A::None),
        (P::Draining { theirs }, I::Drained) => (P::Resetting { theirs, tries: 1 }, A::AskReset),

        (P::Resetting { tries, .. }, I::PeerReset) => (P::Resetting { theirs: true, tries }, A::None),
        (P::Resetting { theirs: true, .. }, I::ResetDone) => (P::Closed, A::AnnounceClosed),
        (P::Resetting { theirs: false, .. }, I::ResetDone) => (P::HalfClosed, A::None),
        (P::Resetting { theirs, tries }, I::ResetRefused) if tries < MAX_TRIES => {
            (P::Refused { theirs, tries }, A::WaitToRetry)
        }
        (P::Resetting { theirs: true, .. }, I::ResetRefused) => (P::Closed, A::AnnounceClosed),
        (P::Resetting { theirs: false, .. }, I::ResetRefused) => (P::HalfClosed, A::None),
        (P::Resetting { theirs, .. } | P::Refused { theirs, .. }, I::TimedOut) => {
            (P::Abandoned { ours: false, theirs }, A::AnnounceAbandoned)
        }

        (P::Refused { tries, .. }, I::PeerReset) => (P::Refused { theirs: true, tries }, A::None),
        (P::Refused { theirs, tries }, I::RetryDue) => {
            (P::Resetting { theirs, tries: tries + 1 }, A::AskReset)
        }

        (P::HalfClosed, I::PeerReset) => (P::Closed, A::AnnounceClosed),
        (P::HalfClosed, I::TimedOut) => (P::Abandoned { ours: true, theirs: false }, A::AnnounceAbandoned),

        (P::Abandoned { ours: true, .. }, I::PeerReset) => (P::Closed, A::AnnounceClosed),
        (P::Abandoned { theirs: true, .. }, I::ResetDone) => (P::Closed, A::AnnounceClosed),
        (P::Abandoned { ours, .. }, I::PeerReset) => (P::Abandoned { ours, theirs: true }, A::None),
        (P::Abandoned { theirs, .. }, I::ResetDone) => (P::Abandoned { ours: true, theirs }, A::None),

        (phase, _) => (phase, A::None),
    }
}

impl Phase {
    /// Whether the application may send, and messages that arrive are for it (rule 45: only while it is open).
    pub fn is_open(self) -> bool {
        self == Phase::Open
    }

    /// Whether it waits for an answer of the peer, so that a deadline applies.
    pub fn waits_for_peer(self) -> bool {
        matches!(self, Phase::Resetting { .. } | Phase::Refused { .. } | Phase::HalfClosed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Input::*;

    fn run(from: Phase, inputs: &[Input]) -> (Phase, Vec<Action>) {
        let mut phase = from;
        let mut actions = Vec::new();
        for &input in inputs {
            let (following, action) = next(phase, input);
            phase = following;
            if action != Action::None {
                actions.push(action);
            }
        }
        (phase, actions)
    }

    #[test]
    fn the_closer_drains_resets_and_waits_for_the_peer() {
        let (phase, actions) = run(Phase::Open, &[CloseCalled, Drained, ResetDone, PeerReset]);
        assert_eq!(phase, Phase::Closed);
        assert_eq!(actions, [Action::AskReset, Action::AnnounceClosed]);
    }

    #[test]
    fn the_other_side_hears_of_it_sends_its_own_and_resets() {
        let (phase, actions) = run(Phase::Open, &[PeerReset, Drained, ResetDone]);
        assert_eq!(phase, Phase::Closed);
        assert_eq!(actions, [Action::AnnounceClosing, Action::AskReset, Action::AnnounceClosed]);
    }

    #[test]
    fn both_at_once_end_closed_in_either_order() {
        for inputs in
            [[CloseCalled, Drained, PeerReset, ResetDone], [CloseCalled, PeerReset, Drained, ResetDone]]
        {
            let (phase, actions) = run(Phase::Open, &inputs);
            assert_eq!(phase, Phase::Closed);
            assert_eq!(
                actions,
                [Action::AskReset, Action::AnnounceClosed],
                "no `closing` for who closes too"
            );
        }
    }

    #[test]
    fn a_repeated_reset_of_the_peer_is_answered_once() {
        let (_, actions) =
            run(Phase::Open, &[PeerReset, PeerReset, Drained, PeerReset, ResetDone, PeerReset]);
        assert_eq!(actions, [Action::AnnounceClosing, Action::AskReset, Action::AnnounceClosed]);
    }

    #[test]
    fn before_the_association_is_up_a_close_sends_nothing() {
        assert_eq!(run(Phase::Waiting, &[CloseCalled]), (Phase::Closed, vec![Action::AnnounceClosed]));
    }

    #[test]
    fn a_refused_reset_is_tried_again_and_then_given_up() {
        let mut inputs = vec![CloseCalled, Drained];
        for _ in 1..MAX_TRIES {
            inputs.extend([ResetRefused, RetryDue]);
        }
        inputs.push(ResetRefused);
        let (phase, actions) = run(Phase::Open, &inputs);
        assert_eq!(phase, Phase::HalfClosed);
        assert_eq!(
            actions.iter().filter(|action| **action == Action::AskReset).count(),
            usize::from(MAX_TRIES)
        );
        assert_eq!(run(phase, &[PeerReset]).0, Phase::Closed);
    }

    #[test]
    fn a_peer_that_never_answers_ends_it_but_keeps_the_stream() {
        let (phase, actions) = run(Phase::Open, &[CloseCalled, Drained, TimedOut]);
        assert_eq!(phase, Phase::Abandoned { ours: false, theirs: false });
        assert_eq!(actions, [Action::AskReset, Action::AnnounceAbandoned]);
        assert_eq!(run(phase, &[ResetDone, PeerReset]).0, Phase::Closed, "late answers free it");
        assert_eq!(run(phase, &[PeerReset, ResetDone]).0, Phase::Closed, "in either order");
        let (phase, _) = run(Phase::Open, &[CloseCalled, Drained, ResetDone, TimedOut]);
        assert_eq!(phase, Phase::Abandoned { ours: true, theirs: false });
    }
}
