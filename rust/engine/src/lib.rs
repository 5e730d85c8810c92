//! The engine: ICE, DTLS, SCTP and data channels of one transport, without sockets, clocks, threads or randomness.
//!
//! A [`Transport`] takes datagrams, commands and `now`, and gives datagrams, events and the time when it wants to be
//! called again. Five verbs do all of it:
//!
//! * `handle_datagram(now, …)` and the commands (`open_channel`, `send`, `close`, …) put something in,
//! * [`Transport::poll_event`] and [`Transport::poll_transmit`] take out what came of it; call both until they are empty,
//! * [`Transport::poll_timeout`] says when [`Transport::handle_timeout`] is due.
//!
//! The way of a datagram: [`demux`] → [`ice`] | [`dtls`] → [`sctp`] → [`channel`]. Each layer hands values up and takes
//! calls from above; no layer knows the one above it.
//!
//! Nothing that comes from the network may panic or grow without bound: it is dropped and counted ([`Drops`]). The
//! caller still runs each connection under `catch_unwind`, because the crates below are not ours.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod channel;
mod close;
pub mod data;
pub mod demux;
pub mod dtls;
pub mod ice;
pub mod lines;
pub mod mdns;
mod random;
mod rare;
pub mod rtp;
pub mod sctp;
pub mod secure;
pub mod stats;
mod tap;
pub mod tenant;
mod traffic;
mod transmit;
mod transport;
pub mod turn;
mod wire;

pub use adieu_congestion::Algorithm;
pub use certificate::Certificate;
pub use channel::{ChannelKey, ChannelOptions, Kind, Reliability};
pub use dtls::fingerprint::Fingerprint;
pub use ice::candidate::{Outside, RemoteCandidate};
pub use ice::wanted_ufrag;
pub use ice::{Credentials, Role};
pub use random::Random;
pub use stats::{Drops, Stats};
pub use transmit::{Batch, Datagram, Protocol, Route, Wire, WireTransport};
pub use transport::{Config, Event, Transport};
pub use wire::{WireEvent, WireKey, WireOrder};
