//! The interface of a network: real sockets, or one in memory.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use adieu_engine::{Batch, Wire};

use crate::addresses::{Interface, Ports};
use crate::gathering::Lookup;
use crate::stream::Connect;

/// Carries datagrams, and names the addresses to send them from.
pub trait Network {
    type Socket: Copy + std::fmt::Debug;
    type Stream: Copy + std::fmt::Debug;
    type Listener: Copy + std::fmt::Debug;

    /// The addresses of the machine, or of the loop's host.
    fn interfaces(&mut self, owner: u64) -> io::Result<Vec<Interface>>;
    /// Those of them by which the default routes lead out.
    fn default_routes(&mut self, owner: u64) -> Vec<IpAddr>;
    /// Open a socket on a port of its own. Datagrams go to `Hub::handle_datagram` with this index: of a transport, or of
    /// a socket that is shared.
    fn bind(&mut self, index: u32, place: Place) -> io::Result<(Self::Socket, SocketAddr)>;
    fn send(&mut self, now: Instant, socket: Self::Socket, batch: &Batch) -> Sent;
    /// Returns how many accepted datagrams cannot leave now.
    fn close(&mut self, socket: Self::Socket) -> usize;
    /// Begin to open a stream. Its wire is known at once; `Hub::handle_stream` says what becomes of it.
    fn connect(&mut self, now: Instant, order: Connect) -> io::Result<(Self::Stream, Wire)>;
    fn send_stream(&mut self, now: Instant, stream: Self::Stream, batch: &Batch) -> Sent;
    /// Close a stream. The bytes that were sent before still leave, if the peer reads; nothing more is heard of the stream. Returns how many
    /// batches cannot leave now.
    fn close_stream(&mut self, now: Instant, stream: Self::Stream) -> usize;
    /// Have connections come in on this port; 0: one that the network chooses. `Hub::claim_stream` finds their transport.
    fn listen(&mut self, ip: IpAddr, port: u16) -> io::Result<(Self::Listener, SocketAddr)>;
    fn stop_listening(&mut self, listener: Self::Listener);
    /// Whether streams that were closed are not at their end.
    fn lingers(&self) -> bool;
    /// Look a name up; `Request::Resolved` comes through the command queue.
    fn resolve(&mut self, lookup: Lookup);
    /// Look up the name of a candidate (mDNS). `Request::NameFound` may come through the command queue.
    fn find_name(&mut self, now: Instant, transport: u64, name: &str);
    /// Publish a new name for an address. With the error, nobody can look it up.
    fn publish_name(&mut self, now: Instant, ip: IpAddr) -> (Arc<str>, io::Result<()>);
    fn withdraw_name(&mut self, name: &str);
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

/// Where a socket is bound.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub owner: u64,
    pub ip: IpAddr,
    pub port: Port,
}

#[derive(Clone, Copy, Debug)]
pub enum Port {
    /// One that the system chooses.
    Any,
    One(u16),
    Of(Ports),
}
