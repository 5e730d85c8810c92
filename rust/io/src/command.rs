//! Commands of an event loop to the hub, and the queue that carries them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use adieu_engine::ice::{Credentials, Role};
use adieu_engine::{Certificate, ChannelOptions, Config, Fingerprint, Kind, RemoteCandidate};
use crossbeam_queue::SegQueue;

use crate::event::EventQueue;
use crate::gathering::{Gather, Lookup};
use crate::shared::{ChannelShared, TransportShared};

/// Kept small for the sake of `Send`.
pub enum Command {
    Send { channel: Arc<ChannelShared>, kind: Kind, data: Vec<u8> },
    Consumed { transport: Arc<TransportShared>, size: usize },
    Request(Box<Request>),
}

pub enum Request {
    OpenLoop {
        id: u64,
        queue: Arc<EventQueue>,
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

/// The queue of commands to one hub, and how to wake it.
pub struct CommandQueue {
    commands: SegQueue<Command>,
    sleeping: AtomicBool,
    waker: Option<Box<dyn Fn() + Send + Sync>>,
}

impl CommandQueue {
    pub fn new(waker: Option<Box<dyn Fn() + Send + Sync>>) -> CommandQueue {
        CommandQueue { commands: SegQueue::new(), sleeping: AtomicBool::new(false), waker }
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
