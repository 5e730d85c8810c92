//! The objects that the application holds: a client for each event loop, and channels. All are usable from any thread.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adieu_engine::{Certificate, ChannelOptions, Config, Kind, Transport};

use crate::command::{Command, CommandQueue, Request};
use crate::event::{Event, EventQueue};
use crate::gathering::Gather;
use crate::process;
use crate::shared::{ChannelShared, Posted, TransportShared, next_id};

/// Payload bytes that may wait to be sent, for a whole transport.
pub const SEND_BUFFER: usize = 16 << 20;

/// A data channel on the hot path: no lock, no look-up.
pub struct Channel {
    shared: Arc<ChannelShared>,
    commands: Arc<CommandQueue>,
    forks: u64,
}

/// The message does not fit into the send buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct BufferFull {
    pub buffered: usize,
}

impl Channel {
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    pub fn stream(&self) -> u16 {
        self.shared.stream
    }

    pub fn buffered(&self) -> usize {
        self.shared.buffered.load(Ordering::Acquire)
    }

    pub fn low(&self) -> usize {
        self.shared.low.load(Ordering::Relaxed)
    }

    pub fn set_low(&self, bytes: usize) {
        self.shared.low.store(bytes, Ordering::Relaxed);
    }

    /// Have [`crate::Event::Low`] come once, with the next message that leaves `low` or less behind. False: it is so
    /// already, and nothing may come.
    pub fn watch_low(&self) -> bool {
        // Sequentially consistent, as in the hub: either it sees the wish, or this sees what it has drained.
        self.shared.watched.swap(true, Ordering::SeqCst);
        self.shared.buffered.load(Ordering::SeqCst) > self.low()
    }

    /// Whether a message of this size can be taken now; then [`Channel::send`] takes it.
    pub fn reserve(&self, size: usize) -> Result<(), BufferFull> {
        let buffered = &self.shared.transport.buffered;
        let before = buffered.fetch_add(size, Ordering::AcqRel);
        if before + size > SEND_BUFFER {
            buffered.fetch_sub(size, Ordering::AcqRel);
            return Err(BufferFull { buffered: before });
        }
        self.shared.buffered.fetch_add(size, Ordering::AcqRel);
        Ok(())
    }

    /// Queue a message whose room was reserved.
    pub fn send(&self, kind: Kind, data: Vec<u8>) {
        if self.forks != process::forks() {
            return;
        }
        let size = data.len();
        match self.shared.post(kind, data) {
            Posted::First => self.commands.push(Command::Send { channel: self.shared.clone() }),
            Posted::Behind => {}
            Posted::Dropped => {
                self.shared.transport.buffered.fetch_sub(size, Ordering::AcqRel);
                self.shared.buffered.fetch_sub(size, Ordering::AcqRel);
            }
        }
    }

    /// The transport that it is on.
    pub fn transport(&self) -> &Arc<TransportShared> {
        &self.shared.transport
    }

    pub fn close(&self) {
        if self.forks == process::forks() {
            self.shared.close_outbox();
            self.commands.request(Request::CloseChannel { channel: self.shared.clone() });
        }
    }
}

pub(crate) type Seeds = Box<dyn Fn() -> [u8; 32] + Send + Sync>;

/// An event loop's two queues: its commands down, its events up.
pub struct Client {
    id: u64,
    queue: Arc<EventQueue>,
    commands: Arc<CommandQueue>,
    forks: u64,
    /// Where the engines' randomness comes from.
    seed: Seeds,
    /// For the calls that need more than the number of a transport.
    transports: Mutex<Transports>,
}

#[derive(Default)]
struct Transports {
    by_id: HashMap<u64, Arc<TransportShared>>,
    of_connection: HashMap<u64, Vec<u64>>,
}

pub struct TransportOptions {
    pub disconnected_after: Duration,
    pub failed_after: Duration,
    pub receive_buffer: usize,
    pub max_message_size: usize,
}

impl Client {
    pub(crate) fn new(queue: Arc<EventQueue>, commands: Arc<CommandQueue>, seed: Seeds) -> Client {
        let id = next_id();
        commands.request(Request::OpenClient { id, queue: queue.clone() });
        Client { id, queue, commands, forks: process::forks(), seed, transports: Mutex::default() }
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn fileno(&self) -> i32 {
        self.queue.fileno()
    }

    pub fn queue(&self) -> &EventQueue {
        &self.queue
    }

    /// The oldest event. Call [`Client::lower`] before the first, [`Client::drained`] after the last.
    pub fn pop(&self) -> Option<Event> {
        let event = self.queue.pop()?;
        if let Event::Notice(notice) = &event
            && let crate::event::Notice::ConnectionEnded { connection, .. } = **notice
        {
            self.forget(connection);
        }
        Some(event)
    }

    pub fn lower(&self) {
        self.queue.lower();
    }

    pub fn drained(&self) {
        if self.queue.relieved() {
            self.request(Request::Relieved { id: self.id });
        }
    }

    /// False in the child of a fork: then this loop is dead.
    pub fn is_alive(&self) -> bool {
        self.forks == process::forks()
    }

    pub fn close(&self) {
        if !self.is_alive() {
            return; // the fork may have stopped the I/O thread in the middle of a push: who pops waits for its end
        }
        self.queue.close();
        self.request(Request::CloseClient { id: self.id });
        *self.lock() = Transports::default();
    }

    pub fn connection(&self, certificate: Arc<Certificate>) -> u64 {
        let id = next_id();
        self.lock().of_connection.insert(id, Vec::new());
        self.request(Request::OpenConnection { owner: self.id, id, certificate });
        id
    }

    pub fn close_connection(&self, connection: u64, reason: String) {
        self.forget(connection);
        self.request(Request::CloseConnection { id: connection, reason });
    }

    pub fn transport(&self, connection: u64, options: TransportOptions) -> u64 {
        let id = next_id();
        let shared = Arc::new(TransportShared::new(id));
        let mut transports = self.lock();
        if let Some(siblings) = transports.of_connection.get_mut(&connection) {
            siblings.push(id);
            transports.by_id.insert(id, shared.clone());
        } // else it has ended: nothing would ever forget this one
        drop(transports);
        let config = Config {
            disconnected_after: options.disconnected_after,
            failed_after: options.failed_after,
            receive_buffer: options.receive_buffer,
            max_message_size: options.max_message_size,
            seed: (self.seed)(),
        };
        self.request(Request::OpenTransport { connection, shared, config });
        id
    }

    pub fn close_transport(&self, transport: u64) {
        self.lock().by_id.remove(&transport);
        self.request(Request::CloseTransport { transport });
    }

    pub fn gather(&self, transport: u64, gather: Gather) {
        self.request(Request::Gather { transport, gather });
    }

    /// Say something to the engine of a transport. Nothing happens when that has ended.
    pub fn engine(&self, transport: u64, call: impl FnOnce(&mut Transport, Instant) + Send + 'static) {
        self.request(Request::Engine { transport, call: Box::new(call) });
    }

    /// On a transport that has ended the channel does nothing.
    pub fn open_channel(&self, transport: u64, stream: u16, options: ChannelOptions) -> Channel {
        let known = self.lock().by_id.get(&transport).cloned();
        let exists = known.is_some();
        let shared = known.unwrap_or_else(|| Arc::new(TransportShared::new(transport)));
        let channel = Arc::new(ChannelShared::new(stream, shared));
        if exists {
            self.request(Request::OpenChannel { channel: channel.clone(), options });
        }
        self.adopt(channel)
    }

    /// The handle of a channel that came up with an event.
    pub fn adopt(&self, shared: Arc<ChannelShared>) -> Channel {
        Channel { shared, commands: self.commands.clone(), forks: self.forks }
    }

    pub fn consumed(&self, transport: u64, size: usize) {
        let shared = self.lock().by_id.get(&transport).cloned();
        if let Some(transport) = shared {
            self.give_back(transport, size);
        }
    }

    /// The same without a look-up.
    pub fn give_back(&self, transport: Arc<TransportShared>, size: usize) {
        if self.is_alive() {
            self.commands.push(Command::Consumed { transport, size });
        }
    }

    pub fn request_stats(&self, transport: u64, request: u64) {
        self.request(Request::Stats { owner: self.id, transport, request });
    }

    fn forget(&self, connection: u64) {
        let mut transports = self.lock();
        for id in transports.of_connection.remove(&connection).unwrap_or_default() {
            transports.by_id.remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Transports> {
        self.transports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, request: Request) {
        if self.is_alive() {
            self.commands.request(request);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}
