//! Candidates of the peer that have a name in place of an address, while the name is looked up.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::candidate::{NamedCandidate, UsableCandidate};
use crate::mdns;

/// Candidates of one generation that wait; browsers send one for each of their addresses.
const MAX_WAITING: usize = 16;

#[derive(Default)]
pub(super) struct Names {
    waiting: Vec<(NamedCandidate, Instant)>,
    wanted: VecDeque<Arc<str>>,
}

impl Names {
    /// False: there are too many.
    pub fn add(&mut self, now: Instant, candidate: NamedCandidate) -> bool {
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        if self.waiting.iter().all(|(known, _)| known.name != candidate.name) {
            self.wanted.push_back(candidate.name.clone());
        }
        self.waiting.push((candidate, now + mdns::LIFETIME));
        true
    }

    /// The next name to look up.
    pub fn poll_wanted(&mut self) -> Option<Arc<str>> {
        self.wanted.pop_front()
    }

    /// Return the candidates that had this name, with each of its addresses.
    pub fn take_found(&mut self, name: &str, addresses: &[IpAddr]) -> Vec<UsableCandidate> {
        let is_found = |(candidate, _): &mut (NamedCandidate, Instant)| &*candidate.name == name;
        let found: Vec<_> = self.waiting.extract_if(.., is_found).collect();
        let at =
            |ip: &IpAddr| found.iter().filter_map(|(candidate, _)| candidate.at(*ip)).collect::<Vec<_>>();
        addresses.iter().flat_map(at).collect()
    }

    /// Give up what has waited too long; how many candidates that were.
    pub fn expire(&mut self, now: Instant) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(|(_, ends)| now < *ends);
        before - self.waiting.len()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.iter().map(|(_, ends)| *ends).min()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
