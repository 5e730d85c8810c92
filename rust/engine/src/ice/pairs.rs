//! Counts of the checks on each candidate pair, for getStats: the ICE crate shows its nominated pair alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::transmit::Route;

/// Pairs of one generation that are counted: as many as the crate checks.
const MAX_PAIRS: usize = 100;
/// A pair whose checks have no answer for this long is given up by the crate.
const GIVEN_UP: Duration = Duration::from_secs(13);

const REQUEST: [u8; 2] = [0x00, 0x01];
const SUCCESS: [u8; 2] = [0x01, 0x01];

/// The checks of one pair.
#[derive(Clone, Copy, Debug)]
pub struct PairCounts {
    pub route: Route,
    pub requests_sent: u64,
    pub responses_received: u64,
    pub requests_received: u64,
    pub responses_sent: u64,
    last_response: Option<Instant>,
    unanswered_since: Option<Instant>,
}

impl PairCounts {
    /// RTCStatsIceCandidatePairState.
    pub fn state(&self, now: Instant) -> &'static str {
        match self.unanswered_since {
            None if self.responses_received > 0 => "succeeded",
            None => "waiting",
            Some(since) if now >= since + GIVEN_UP => "failed",
            Some(_) if self.responses_received > 0 => "succeeded",
            Some(_) => "in-progress",
        }
    }
}

#[derive(Default)]
pub(super) struct Accounts {
    pairs: Vec<PairCounts>,
}

impl Accounts {
    /// A message of the agent leaves.
    pub fn sent(&mut self, now: Instant, route: Route, message: &[u8]) {
        let Some(pair) = self.find(route) else { return };
        if message.starts_with(&REQUEST) {
            pair.requests_sent += 1;
            pair.unanswered_since.get_or_insert(now);
        } else if message.starts_with(&SUCCESS) {
            pair.responses_sent += 1;
        }
    }

    /// The agent has taken a message of the peer.
    pub fn received(&mut self, now: Instant, route: Route, is_request: bool) {
        let Some(pair) = self.find(route) else { return };
        if is_request {
            pair.requests_received += 1;
        } else {
            pair.responses_received += 1;
            pair.last_response = Some(now);
            pair.unanswered_since = None;
        }
    }

    /// When the peer has last answered on this pair, and since when it owes an answer there.
    pub fn answers(&self, route: Route) -> (Option<Instant>, Option<Instant>) {
        let pair = self.pairs.iter().find(|pair| pair.route == route);
        pair.map_or((None, None), |pair| (pair.last_response, pair.unanswered_since))
    }

    /// Whether a check from `remote` was right, so that it was answered.
    pub fn has_answered(&self, remote: SocketAddr) -> bool {
        self.pairs.iter().any(|pair| pair.route.remote == remote && pair.responses_sent > 0)
    }

    pub fn iter(&self) -> impl Iterator<Item = &PairCounts> {
        self.pairs.iter()
    }

    fn find(&mut self, route: Route) -> Option<&mut PairCounts> {
        if let Some(at) = self.pairs.iter().position(|pair| pair.route == route) {
            return self.pairs.get_mut(at);
        }
        if self.pairs.len() == MAX_PAIRS {
            // One that never answered is missed least; the pair that carries the traffic has answered.
            let useless = self.pairs.iter().position(|pair| pair.responses_received == 0)?;
            self.pairs.remove(useless);
        }
        let counts = PairCounts {
            route,
            requests_sent: 0,
            responses_received: 0,
            requests_received: 0,
            responses_sent: 0,
            last_response: None,
            unanswered_since: None,
        };
        self.pairs.push(counts);
        self.pairs.last_mut()
    }
}
