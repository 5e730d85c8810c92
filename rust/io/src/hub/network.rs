//! The interface of a network: real sockets, or one in memory.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use adieu_engine::Batch;

use crate::gathering::{Interface, Lookup};

/// Carries datagrams, and names the addresses to send them from.
pub trait Network {
    type Socket: Copy + std::fmt::Debug;

    /// The addresses of the machine, or of the loop's host.
    fn interfaces(&mut self, owner: u64) -> io::Result<Vec<Interface>>;
    /// Open a socket on a port of its own. Datagrams go to `Hub::handle_datagram` with this index of a transport.
    fn bind(&mut self, owner: u64, ip: IpAddr, index: u32) -> io::Result<(Self::Socket, SocketAddr)>;
    fn send(&mut self, now: Instant, socket: Self::Socket, batch: &Batch) -> Sent;
    /// Returns how many accepted datagrams cannot leave now.
    fn close(&mut self, socket: Self::Socket) -> usize;
    /// Look a name up; `Request::Resolved` comes through the command queue.
    fn resolve(&mut self, lookup: Lookup);
    fn max_segments(&self) -> usize;
}

#[derive(Debug)]
pub enum Sent {
    Taken,
    /// Taken, but it is the last for now: `Hub::handle_writable` follows.
    Full,
    /// The system refused: lost, as on the way.
    Refused(io::Error),
}
