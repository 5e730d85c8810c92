//! The events of ICE.

use std::net::SocketAddr;
use std::sync::Arc;

use super::role::Role;
use super::state::IceState;

#[derive(Debug)]
pub enum IceEvent {
    Candidate {
        generation: u32,
        line: String,
        url: Option<Arc<str>>,
        /// The protocol between this side and the server of a relayed candidate.
        relay_protocol: Option<&'static str>,
    },
    CandidateError {
        generation: u32,
        local: Option<SocketAddr>,
        url: Arc<str>,
        code: u16,
        text: String,
    },
    Gathering {
        generation: u32,
        complete: bool,
    },
    State(IceState),
    /// The pair that carries the traffic from now on, as candidate lines.
    Pair {
        generation: u32,
        local: String,
        remote: String,
    },
    /// After a role conflict (RFC 8445 section 7.3.1.1).
    Role(Role),
}
