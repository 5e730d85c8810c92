//! State that the application's handles and the hub share without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

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
    /// Its index in the hub; NOWHERE before it was made and after it has ended.
    pub index: AtomicU64,
    /// Payload bytes of all channels that did not leave yet.
    pub buffered: AtomicUsize,
}

impl TransportShared {
    pub(crate) fn new(id: u64) -> TransportShared {
        TransportShared { id, index: AtomicU64::new(NOWHERE), buffered: AtomicUsize::new(0) }
    }
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
        }
    }
}
