//! RTCIceTransportState from facts of our own (W3C webrtc-pc section 5.6.3; RFC 8445, RFC 8838).
//!
//! The ICE crate's own state is only asked whether pairs are left: it knows no "failed", and its "completed" may come
//! moments before its "disconnected".

use std::time::Duration;

use super::consent::Liveness;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceState {
    New,
    Checking,
    Connected,
    Completed,
    Disconnected,
    Failed,
}

impl IceState {
    pub fn name(self) -> &'static str {
        match self {
            IceState::New => "new",
            IceState::Checking => "checking",
            IceState::Connected => "connected",
            IceState::Completed => "completed",
            IceState::Disconnected => "disconnected",
            IceState::Failed => "failed",
        }
    }
}

/// The state of the generation in negotiation, and of the pair that carries traffic.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The pair that carries traffic, and whether it belongs to an older generation: an ICE restart is under way.
    pub path: Option<(Liveness, Age)>,
    /// The peer's credentials and one candidate of it are known, of whatever kind.
    pub has_remote: bool,
    /// Both sides have sent their last candidate.
    pub all_known: bool,
    /// We have a candidate.
    pub has_local: bool,
    pub pairs: Pairs,
    /// Nothing has been left to check for some time, and the pair that carries traffic answers.
    pub is_complete: bool,
    /// The time since the checks started.
    pub checking_for: Duration,
    pub failed_after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    Current,
    /// The pair of the generation before the one in negotiation.
    Older,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// None could be formed so far.
    None,
    /// Some are being checked.
    Open,
    /// All were checked, some work.
    Checked,
    /// All pairs were checked, and every one failed.
    Exhausted,
}

pub fn derive(facts: &Facts, before: IceState) -> IceState {
    use IceState::*;
    let Some((liveness, age)) = facts.path else {
        return without_path(facts);
    };
    match (liveness, age) {
        (Liveness::Alive, Age::Current) if before == Completed => Completed,
        (Liveness::Alive, Age::Current) if facts.is_complete => Completed,
        (Liveness::Alive, Age::Current) => Connected,
        // "If the restart was begun in the completed state": connected, while the new pairs are checked. When all of
        // those have failed, the restart has; the pair that works is used all the same.
        (Liveness::Alive, Age::Older) if without_path(facts) == Failed => Failed,
        (Liveness::Alive, Age::Older) => Connected,
        (Liveness::Disconnected, Age::Current) => Disconnected,
        (Liveness::Failed | Liveness::Expired, Age::Current) => Failed,
        // "If begun in the transient disconnected state": checking, as if it were the first time, but never new.
        (_, Age::Older) => match without_path(facts) {
            New => Checking,
            state => state,
        },
    }
}

fn without_path(facts: &Facts) -> IceState {
    if !facts.has_remote {
        return IceState::New;
    }
    // Without the last candidate on both sides, or with names only, a peer-reflexive one may still come: wait. Not where
    // there is nothing that it could come to: "either zero local candidates were gathered or the PAC timer has expired".
    let waited = facts.checking_for >= facts.failed_after;
    match facts.pairs {
        Pairs::Exhausted if facts.all_known || waited => IceState::Failed,
        Pairs::None if waited || (facts.all_known && !facts.has_local) => IceState::Failed,
        _ => IceState::Checking,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts = Facts {
        path: None,
        has_remote: true,
        all_known: false,
        has_local: true,
        pairs: Pairs::Open,
        is_complete: false,
        checking_for: Duration::from_secs(1),
        failed_after: Duration::from_secs(15),
    };

    fn with_path(liveness: Liveness, age: Age) -> Facts {
        Facts { path: Some((liveness, age)), ..FACTS }
    }

    #[test]
    fn nothing_known_of_the_peer_is_new() {
        assert_eq!(derive(&Facts { has_remote: false, ..FACTS }, IceState::New), IceState::New);
    }

    #[test]
    fn failed_needs_all_candidates_or_time() {
        let exhausted = Facts { pairs: Pairs::Exhausted, ..FACTS };
        assert_eq!(derive(&exhausted, IceState::Checking), IceState::Checking);
        assert_eq!(derive(&Facts { all_known: true, ..exhausted }, IceState::Checking), IceState::Failed);
        let late = Duration::from_secs(15);
        assert_eq!(derive(&Facts { checking_for: late, ..exhausted }, IceState::Checking), IceState::Failed);
    }

    #[test]
    fn without_a_pair_a_peer_reflexive_one_is_waited_for_even_after_the_last_candidate() {
        let none = Facts { pairs: Pairs::None, all_known: true, ..FACTS };
        assert_eq!(derive(&none, IceState::Checking), IceState::Checking);
        let late = Duration::from_secs(15);
        assert_eq!(derive(&Facts { checking_for: late, ..none }, IceState::Checking), IceState::Failed);
    }

    #[test]
    fn without_any_candidate_of_our_own_nothing_is_waited_for() {
        let none = Facts { pairs: Pairs::None, has_local: false, ..FACTS };
        assert_eq!(
            derive(&none, IceState::Checking),
            IceState::Checking,
            "one may still be gathered, or come"
        );
        assert_eq!(derive(&Facts { all_known: true, ..none }, IceState::Checking), IceState::Failed);
    }

    #[test]
    fn completed_needs_that_everything_was_checked() {
        let alive = with_path(Liveness::Alive, Age::Current);
        assert_eq!(derive(&alive, IceState::Checking), IceState::Connected);
        let complete = Facts { is_complete: true, ..alive };
        assert_eq!(derive(&complete, IceState::Connected), IceState::Completed);
        assert_eq!(derive(&alive, IceState::Completed), IceState::Completed, "it does not flap");
    }

    #[test]
    fn silence_is_disconnected_and_then_failed_and_an_answer_heals_both() {
        let state = |liveness| derive(&with_path(liveness, Age::Current), IceState::Connected);
        assert_eq!(state(Liveness::Disconnected), IceState::Disconnected);
        assert_eq!(state(Liveness::Failed), IceState::Failed);
        assert_eq!(state(Liveness::Expired), IceState::Failed);
        for before in [IceState::Disconnected, IceState::Failed] {
            assert_eq!(derive(&with_path(Liveness::Alive, Age::Current), before), IceState::Connected);
        }
    }

    #[test]
    fn a_restart_keeps_a_living_connection_and_forgets_a_lost_one() {
        let state = |liveness, before| derive(&with_path(liveness, Age::Older), before);
        assert_eq!(state(Liveness::Alive, IceState::Completed), IceState::Connected);
        let failed =
            Facts { all_known: true, pairs: Pairs::Exhausted, ..with_path(Liveness::Alive, Age::Older) };
        assert_eq!(
            derive(&failed, IceState::Connected),
            IceState::Failed,
            "and says so when nothing new was found"
        );
        assert_eq!(state(Liveness::Disconnected, IceState::Disconnected), IceState::Checking);
        assert_eq!(state(Liveness::Failed, IceState::Failed), IceState::Checking);
        assert_eq!(state(Liveness::Expired, IceState::Failed), IceState::Checking);
        let early = Facts { has_remote: false, ..with_path(Liveness::Disconnected, Age::Older) };
        assert_eq!(
            derive(&early, IceState::Disconnected),
            IceState::Checking,
            "before the first candidate too"
        );
    }
}
