//! The core's queues and its one I/O thread.
//!
//! ```text
//!   Python ──▶ CommandQueue (lock-free; a wake-up only if the thread sleeps) ──▶ Hub ──▶ engine ──▶ Network
//!   Python ◀── EventQueue (one per event loop; its descriptor is written only on empty → non-empty) ◀── Hub
//! ```
//!
//! The [`hub::Hub`] runs commands, engines, timers and events. It is generic over the [`hub::network::Network`]: real
//! sockets with one thread that never takes the GIL ([`udp`]), or a network in memory with its own clock ([`memory`]).

pub mod addresses;
mod alarm;
pub mod capture;
pub mod command;
pub mod core;
pub mod ends;
pub mod event;
pub mod figures;
pub mod frame_sink;
pub mod frames;
pub mod gathering;
pub mod handles;
pub mod heard;
pub mod hub;
pub mod lines;
mod lull;
mod mdns;
pub mod media;
pub mod memory;
pub mod packet_sink;
pub mod packets;
mod process;
pub mod shared;
pub mod stream;
pub mod trouble;
mod udp;
mod virtual_relay;
pub mod waiting;
pub mod watch;
mod wheel;

pub use addresses::{Addresses, Filter, Loopback, Ports, Public};
pub use core::Core;
pub use event::{Event, Notice};
pub use gathering::{Gather, IceServer, Policy};
pub use handles::{Channel, Client, TransportOptions};
pub use process::{entropy, forks, unix_time};
pub use stream::tls::Trust;
