//! State that the application's handles and the hub share without a lock.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use adieu_engine::Kind;

/// In place of an index: the hub does not have it.
pub const NOWHERE: u64 = u64::MAX;

/// The last handle that was given out: unique in the process, never used again.
static IDS: AtomicU64 = AtomicU64::new(1);

pub(crate) fn next_id() -> u64 {
    IDS.fetch_add(1, Ordering::Relaxed)
}

/// A transport as both sides know it.
#[derive(Debug)]
pub struct TransportShared {
    pub id: u64,
    /// The index in the hub; NOWHERE before it was made and after it has ended.
    pub index: AtomicU64,
    /// Payload bytes of all channels that did not leave yet.
    pub buffered: AtomicUsize,
    /// Bytes that the application has taken since the hub was last woken for them.
    untold: AtomicUsize,
    /// The most of them that the hub need not know of while it sleeps.
    max_untold: usize,
}

impl TransportShared {
    /// `receive_buffer`: the bytes that the application may leave unread before the peer is held back.
    pub(crate) fn new(id: u64, receive_buffer: usize) -> TransportShared {
        TransportShared {
            id,
            index: AtomicU64::new(NOWHERE),
            buffered: AtomicUsize::new(0),
            untold: AtomicUsize::new(0),
            // A peer that is held back goes on when half of the buffer is free: far more than is kept back here.
            max_untold: receive_buffer / 4,
        }
    }

    /// Note that the application has taken so many bytes. Returns whether the hub must wake for them.
    pub(crate) fn takes(&self, size: usize) -> bool {
        let is_much = self.untold.fetch_add(size, Ordering::Relaxed) + size > self.max_untold;
        if is_much {
            self.untold.store(0, Ordering::Relaxed);
        }
        is_much
    }
}

#[derive(Debug, Default)]
struct Outbox {
    messages: Vec<(Kind, Vec<u8>)>,
    /// The channel is closed, and takes no messages: else they would overtake the command that closes it.
    is_closed: bool,
}

/// The result of posting a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Posted {
    /// Posted as the only one in the outbox: the hub must be woken.
    First,
    Behind,
    Dropped,
}

/// A data channel as both sides know it.
#[derive(Debug)]
pub struct ChannelShared {
    pub id: u64,
    pub stream: u16,
    pub transport: Arc<TransportShared>,
    pub buffered: AtomicUsize,
    pub low: AtomicUsize,
    /// The application waits for one [`crate::Event::Low`]: when `buffered` is at `low` or below.
    pub watched: AtomicBool,
    /// Where the hub finds it: the transport's index << 32 | the channel's key. NOWHERE: it is closed.
    pub place: AtomicU64,
    /// Messages on their way to the hub: a batch of them needs one command and one lock at the hub.
    outbox: Mutex<Outbox>,
}

impl ChannelShared {
    pub(crate) fn new(stream: u16, transport: Arc<TransportShared>) -> ChannelShared {
        ChannelShared {
            id: next_id(),
            stream,
            transport,
            buffered: AtomicUsize::new(0),
            low: AtomicUsize::new(0),
            watched: AtomicBool::new(false),
            place: AtomicU64::new(NOWHERE),
            outbox: Mutex::default(),
        }
    }

    pub(crate) fn post(&self, kind: Kind, data: Vec<u8>) -> Posted {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        if outbox.is_closed {
            return Posted::Dropped;
        }
        outbox.messages.push((kind, data));
        if outbox.messages.len() == 1 { Posted::First } else { Posted::Behind }
    }

    pub(crate) fn close_outbox(&self) {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
    }

    pub(crate) fn take_outbox(&self) -> Vec<(Kind, Vec<u8>)> {
        std::mem::take(&mut self.outbox.lock().unwrap_or_else(PoisonError::into_inner).messages)
    }
}
