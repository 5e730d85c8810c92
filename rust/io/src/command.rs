//! What comes down from an event loop, and the door it comes through.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use adieu_engine::ice::{Credentials, Role};
use adieu_engine::{Certificate, ChannelOptions, Config, Fingerprint, Kind, RemoteCandidate};
use crossbeam_queue::SegQueue;

use crate::event::Queue;
use crate::handles::{ChannelShared, TransportShared};

/// Kept small for the sake of `Send`.
pub enum Command {
    Send { channel: Arc<ChannelShared>, kind: Kind, data: Vec<u8> },
    Consumed { transport: Arc<TransportShared>, size: usize },
    Request(Box<Request>),
}

pub enum Request {
    OpenLoop {
        id: u64,
        queue: Arc<Queue>,
    },
    CloseLoop {
        id: u64,
    },
    /// The loop has drained a queue that was too long.
    Relieved {
        id: u64,
    },
    OpenConnection {
        owner: u64,
        id: u64,
        certificate: Arc<Certificate>,
    },
    CloseConnection {
        id: u64,
        reason: String,
    },
    OpenTransport {
        connection: u64,
        shared: Arc<TransportShared>,
        config: Config,
    },
    /// One transport of a connection that goes on.
    CloseTransport {
        transport: u64,
    },
    Gather {
        transport: u64,
        gather: Gather,
    },
    SetRole {
        transport: u64,
        generation: u32,
        role: Role,
    },
    SetRemote {
        transport: u64,
        generation: u32,
        remote: Credentials,
        lite: bool,
    },
    AddCandidate {
        transport: u64,
        generation: u32,
        candidate: Option<RemoteCandidate>,
    },
    DropGeneration {
        transport: u64,
        generation: u32,
    },
    StartDtls {
        transport: u64,
        client: bool,
        fingerprints: Vec<Fingerprint>,
    },
    StartSctp {
        transport: u64,
        local_port: u16,
        remote_port: u16,
        remote_max_message_size: usize,
    },
    OpenChannel {
        channel: Arc<ChannelShared>,
        options: ChannelOptions,
    },
    CloseChannel {
        channel: Arc<ChannelShared>,
    },
    Stats {
        owner: u64,
        transport: u64,
        request: u64,
    },
    /// A name was looked up.
    Resolved {
        lookup: Lookup,
        addresses: Result<Vec<SocketAddr>, String>,
    },
    /// The process ends: close everything, and tell when the last words have left.
    Shutdown {
        done: Arc<dyn Fn() + Send + Sync>,
    },
}

pub struct Gather {
    pub generation: u32,
    pub local: Credentials,
    pub role: Role,
    pub servers: Vec<StunServer>,
    pub policy: Policy,
    pub loopback: Loopback,
}

/// RTCIceTransportPolicy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    All,
    Relay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loopback {
    /// Only where there are no other addresses.
    Auto,
    Always,
    Never,
}

/// A server of a `stun:host:port` URL (RFC 7064).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StunServer {
    pub url: Arc<str>,
    pub host: String,
    pub port: u16,
}

impl StunServer {
    /// The error names the URL and what is wrong with it.
    pub fn parse(url: &str) -> Result<StunServer, String> {
        let wrong =
            |what: &str| format!("server {url:?}: {what}; a STUN server is stun:host or stun:host:port");
        let rest = url.strip_prefix("stun:").ok_or_else(|| wrong("the scheme is not \"stun\""))?;
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or_else(|| wrong("the \"]\" is missing"))?;
            if host.parse::<IpAddr>().is_err() {
                return Err(wrong("no IPv6 address between the brackets"));
            }
            (host, port.strip_prefix(':'))
        } else {
            match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        if host.is_empty() || host.len() > 253 || host.bytes().any(|c| c.is_ascii_whitespace() || c == b'/') {
            return Err(wrong("no host"));
        }
        let port = match port {
            None => 3478,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 && port_is_digits(rest) => port,
                _ => return Err(wrong("the port is not a number from 1 to 65535")),
            },
        };
        Ok(StunServer { url: url.into(), host: host.to_owned(), port })
    }
}

/// `parse` alone would take "+5" too.
fn port_is_digits(rest: &str) -> bool {
    rest.rsplit(':').next().is_some_and(|port| port.bytes().all(|c| c.is_ascii_digit()))
}

/// Which server of which generation a name is looked up for.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub transport: u64,
    pub generation: u32,
    pub server: StunServer,
}

/// The queue of commands to one hub, and how to wake it.
pub struct Door {
    commands: SegQueue<Command>,
    sleeping: AtomicBool,
    waker: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Door {
    pub fn new(waker: Option<Box<dyn Fn() + Send + Sync>>) -> Door {
        Door { commands: SegQueue::new(), sleeping: AtomicBool::new(false), waker }
    }

    pub fn push(&self, command: Command) {
        self.commands.push(command);
        if self.sleeping.swap(false, Ordering::SeqCst)
            && let Some(waker) = &self.waker
        {
            waker();
        }
    }

    pub fn request(&self, request: Request) {
        self.push(Command::Request(Box::new(request)));
    }

    pub fn pop(&self) -> Option<Command> {
        self.commands.pop()
    }

    /// The hub is about to sleep; false: there is something to do, so it must not.
    pub fn may_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        if self.commands.is_empty() {
            return true;
        }
        self.sleeping.store(false, Ordering::SeqCst);
        false
    }

    pub fn awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stun_urls_are_read_with_and_without_port() {
        let read = |url| StunServer::parse(url).map(|server| (server.host, server.port));
        assert_eq!(read("stun:stun.example.org"), Ok(("stun.example.org".into(), 3478)));
        assert_eq!(read("stun:192.0.2.1:19302"), Ok(("192.0.2.1".into(), 19302)));
        assert_eq!(read("stun:[2001:db8::1]:5000"), Ok(("2001:db8::1".into(), 5000)));
        assert_eq!(read("stun:[2001:db8::1]"), Ok(("2001:db8::1".into(), 3478)));
    }

    #[test]
    fn other_urls_are_refused_and_named() {
        for url in [
            "",
            "stun:",
            "turn:x",
            "stun:x:0",
            "stun:x:70000",
            "stun:x:+5",
            "stun:x:",
            "stun:[::1",
            "stun:[x]",
        ] {
            let error = StunServer::parse(url).expect_err(url);
            assert!(error.contains(&format!("{url:?}")), "{error}");
        }
    }
}
