//! The core's doors and its one I/O thread.
//!
//! ```text
//!   Python ──▶ Door (lock-free queue, a wake-up only if the thread sleeps) ──▶ Hub ──▶ engine ──▶ Network
//!   Python ◀── Queue (one per event loop, its descriptor written only on empty → non-empty) ◀── Hub
//! ```
//!
//! The [`hub::Hub`] runs commands, engines, timers and events; it is generic over the [`hub::Network`]: real sockets
//! with one thread that never takes the GIL ([`udp`]), or a network in memory with its own clock ([`memory`]).

pub mod command;
pub mod core;
pub mod event;
pub mod handles;
pub mod hub;
pub mod memory;
mod process;
pub mod trouble;
mod udp;
mod wheel;

pub use command::{Gather, Loopback, Policy, StunServer};
pub use core::Core;
pub use event::{Event, Notice};
pub use handles::{Channel, Loop, LoopOptions};
pub use process::{entropy, forks, unix_time};
