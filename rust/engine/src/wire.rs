//! Wires that the engine has the hub open: streams (TCP, TLS), and the UDP sockets of relays.

use std::net::{IpAddr, SocketAddr};

use crate::transmit::{Wire, WireTransport};

/// The user of a wire, and the number by which it knows it. It also says how datagrams follow each other on a stream: as
/// TURN has it (RFC 8656 section 3.1), or as ICE has it (RFC 4571).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireKey {
    Turn(u32),
    /// Used by an active TCP candidate.
    Ice(u32),
    /// A connection that came in for a passive TCP candidate. The hub gives the number.
    Accepted(u32),
}

/// An order to the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireOrder {
    /// Open it from this address of the machine, on a port of its own. [`WireEvent::Open`] or [`WireEvent::Closed`]
    /// follows.
    Open {
        key: WireKey,
        transport: WireTransport,
        local: IpAddr,
        remote: SocketAddr,
        /// For TLS: the server's name, which its certificate must have.
        name: Option<String>,
    },
    /// Close it: no event follows. The bytes that were sent before still leave.
    Close { key: WireKey },
}

/// The beginning or the end of a wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireEvent {
    /// Datagrams can be sent on it from now on.
    Open { wire: Wire },
    /// The wire could not be opened, or it is over. The text says why, with the remedy where there is one.
    Closed { text: String },
}
