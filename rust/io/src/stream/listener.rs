//! Ports on which connections come in, for passive TCP candidates (RFC 6544 section 4.1).

use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::process;

/// Tokens of listeners begin here, those of UDP sockets end before it.
pub const FIRST_TOKEN: usize = 1 << 29;
/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 256;
/// Connections of one port that have not said whose they are; with more, new ones are refused.
const MAX_UNCLAIMED: usize = 128;
/// Connections that are accepted before the other sockets have their turn.
const MAX_ACCEPTS: usize = 64;

struct Listener {
    io: TcpListener,
    address: SocketAddr,
    unclaimed: usize,
}

pub struct Listeners {
    registry: Registry,
    listeners: Vec<Option<Listener>>,
}

/// The connections of one turn.
pub struct Accepted {
    pub connections: Vec<TcpStream>,
    pub local: SocketAddr,
    pub refused: usize,
    /// More may wait.
    pub has_more: bool,
}

impl Listeners {
    pub fn new(registry: Registry) -> Listeners {
        Listeners { registry, listeners: Vec::new() }
    }

    /// Port 0: one that the system chooses.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<(usize, SocketAddr)> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        super::prepare(&socket)?;
        // The connections of a program before this one may still be ending on this port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let mut io = TcpListener::from_std(socket.into());
        let address = io.local_addr()?;
        let at = self.listeners.iter().position(Option::is_none).unwrap_or_else(|| {
            self.listeners.push(None);
            self.listeners.len() - 1
        });
        self.registry.register(&mut io, Token(FIRST_TOKEN + at), Interest::READABLE)?;
        process::remember_socket(&io);
        self.listeners[at] = Some(Listener { io, address, unclaimed: 0 });
        Ok((FIRST_TOKEN + at, address))
    }

    pub fn close(&mut self, token: usize) {
        let Some(mut listener) = self.listeners.get_mut(token - FIRST_TOKEN).and_then(Option::take) else {
            return;
        };
        process::forget_socket(&listener.io);
        let _ = self.registry.deregister(&mut listener.io);
    }

    /// Take what has come in. The error is the system's, which may have no descriptor left: call it again later.
    pub fn accept(&mut self, token: usize) -> io::Result<Option<Accepted>> {
        let Some(listener) = self.listeners.get_mut(token - FIRST_TOKEN).and_then(Option::as_mut) else {
            return Ok(None);
        };
        let mut all =
            Accepted { connections: Vec::new(), local: listener.address, refused: 0, has_more: true };
        for _ in 0..MAX_ACCEPTS {
            match listener.io.accept() {
                Ok((io, _)) if listener.unclaimed < MAX_UNCLAIMED => {
                    listener.unclaimed += 1;
                    all.connections.push(io);
                }
                Ok(_) => all.refused += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    all.has_more = false;
                    break;
                }
                // It had gone again before it was accepted.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) if all.connections.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(Some(all))
    }

    /// A connection of this address has said whose it is, or is over.
    pub fn settle(&mut self, local: SocketAddr) {
        let mut all = self.listeners.iter_mut().flatten();
        if let Some(listener) = all.find(|listener| listener.address == local) {
            listener.unclaimed = listener.unclaimed.saturating_sub(1);
        }
    }
}
