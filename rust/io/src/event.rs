//! The events for an event loop, and their queue.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use adieu_engine::rtp::VideoPlan;
use adieu_engine::{ChannelOptions, Drops, Kind, Stats};
use crossbeam_queue::SegQueue;

use crate::figures::{PlayoutStats, SourceStats};
use crate::lines::{self, Line};
use crate::process::Signal;
use crate::shared::ChannelShared;
use crate::waiting::Waiting;
use crate::watch::Change;

/// Kept small: messages come by the hundred thousand, everything else is rare and boxed.
#[derive(Debug)]
pub enum Event {
    Message {
        channel: u64,
        kind: Kind,
        data: Vec<u8>,
    },
    Low {
        channel: u64,
    },
    /// A sink that was empty has a frame.
    AudioReady {
        sink: u64,
    },
    /// The same of pictures.
    FrameReady {
        sink: u64,
    },
    Notice(Box<Notice>),
}

#[derive(Debug)]
pub enum Notice {
    /// An event of an engine about ICE, DTLS or SCTP, passed up as it is.
    Engine {
        transport: u64,
        event: adieu_engine::Event,
    },
    ChannelOpen {
        channel: u64,
    },
    ChannelIncoming {
        transport: u64,
        channel: Arc<ChannelShared>,
        options: ChannelOptions,
    },
    ChannelClosing {
        channel: u64,
    },
    ChannelClosed {
        channel: u64,
        error: Option<String>,
        cause: Option<u16>,
    },
    ChannelFailed {
        channel: u64,
        message: String,
    },
    /// Something of this machine is in the way of a generation: of this address, or of all.
    Trouble {
        transport: u64,
        generation: u32,
        address: Option<IpAddr>,
        port: Option<u16>,
        text: String,
    },
    /// The machine's addresses have changed, or it has slept.
    Network {
        connection: u64,
        change: Change,
        slept: Duration,
    },
    Stats {
        transport: u64,
        request: u64,
        now: Instant,
        stats: Option<Arc<TransportStats>>,
    },
    /// The first packet for a receiver, or the first after a BYE, with its SSRC; or a BYE.
    Media {
        receiver: u64,
        changes: Arc<Waiting<Option<u32>>>,
    },
    /// The peer wants a key frame.
    KeyWanted {
        sender: u64,
        encoding: u8,
    },
    /// The encoding, and bits a second that its encoder may use.
    Target {
        sender: u64,
        targets: Arc<Waiting<(u8, u32)>>,
    },
    /// How to encode pictures. None: it may not send now.
    VideoPlan {
        sender: u64,
        plan: Option<VideoPlan>,
    },
    /// A telephone tone of the peer is over; its length in seconds.
    Tone {
        receiver: u64,
        tones: Arc<Waiting<(char, f64)>>,
    },
    /// A source that was full has room.
    AudioRoom {
        source: u64,
    },
    /// All that was queued when it was asked for has left, or a report of the peer covers it.
    Drained {
        source: u64,
        position: u64,
        arrived: bool,
    },
    ConnectionEnded {
        connection: u64,
        left: Left,
    },
    ConnectionPanicked {
        connection: u64,
        message: String,
    },
    /// A line of the log, while it is wanted. Connection 0: no connection. [`lines::Waiting::leave`] follows when it is
    /// taken.
    Log {
        connection: u64,
        line: Line,
    },
}

/// Figures of a transport as the application sees them: channels by their own ids.
#[derive(Debug)]
pub struct TransportStats {
    pub engine: Stats,
    /// (channel id, index in `engine.channels`)
    pub channels: Vec<(u64, usize)>,
    pub ended: bool,
    /// Figures of sources and of played sound, by the handles of senders and receivers.
    pub sources: Vec<(u64, SourceStats)>,
    pub playouts: Vec<(u64, PlayoutStats)>,
}

/// The release ledger of the core: what a connection still holds when the reaper is done with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub transports: usize,
    pub channels: usize,
    pub sockets: usize,
    pub timers: usize,
    /// Last words that the network did not take in time.
    pub unsent: usize,
    /// Relayed addresses whose release no TURN server has confirmed in time.
    pub allocations: usize,
}

/// The event queue of one event loop. Many producers would be fine; there is one.
pub struct EventQueue {
    events: SegQueue<Event>,
    /// The descriptor was written and not read since.
    signalled: AtomicBool,
    /// The producer holds messages back because too many wait.
    congested: AtomicBool,
    closed: AtomicBool,
    signal: Option<Signal>,
    pub lines: lines::Waiting,
    pub counters: Counters,
}

/// Above this many waiting events, messages are held back: bytes alone do not bound the cost of small messages.
pub const CONGESTED: usize = 65_536;

impl EventQueue {
    pub fn new(signal: Option<Signal>) -> EventQueue {
        EventQueue {
            events: SegQueue::new(),
            signalled: AtomicBool::new(false),
            congested: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            signal,
            lines: lines::Waiting::default(),
            counters: Counters::default(),
        }
    }

    pub fn push(&self, event: Event) {
        if !self.closed.load(Ordering::Relaxed) {
            self.events.push(event);
        }
    }

    pub fn notice(&self, notice: Notice) {
        self.push(Event::Notice(Box::new(notice)));
    }

    /// A line of the log; counted and left out when too many wait.
    pub fn line(&self, connection: u64, line: Line) {
        if self.is_closed() {
            return;
        }
        let Some(left_out) = self.lines.enter() else {
            return Counters::add(&self.counters.dropped_log, 1);
        };
        if left_out > 0 {
            let text = format!("! {left_out} lines before this one are left out: too many waited");
            self.notice(Notice::Log { connection: 0, line: Line { layer: line.layer, text } });
        }
        self.notice(Notice::Log { connection, line });
    }

    /// Make the descriptor readable if there is something and it is not yet: once per turn of the producer.
    pub fn signal(&self) {
        if !self.events.is_empty()
            && !self.signalled.swap(true, Ordering::SeqCst)
            && let Some(signal) = &self.signal
        {
            signal.raise();
        }
    }

    /// Before the consumer looks: what is pushed from now on signals again.
    pub fn lower(&self) {
        if self.signalled.load(Ordering::Relaxed) {
            if let Some(signal) = &self.signal {
                signal.lower();
            }
            self.signalled.store(false, Ordering::SeqCst);
        }
    }

    pub fn pop(&self) -> Option<Event> {
        self.events.pop()
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub fn fileno(&self) -> i32 {
        self.signal.as_ref().map_or(-1, Signal::fileno)
    }

    /// Whether the producer must hold back; [`EventQueue::relieved`] ends that.
    pub fn is_congested(&self) -> bool {
        if self.events.len() <= CONGESTED {
            return false;
        }
        self.congested.store(true, Ordering::SeqCst);
        self.is_still_congested()
    }

    /// The consumer may have taken everything before it could see the wish. Then it would not report it.
    fn is_still_congested(&self) -> bool {
        let congested = self.events.len() >= CONGESTED / 2;
        if !congested {
            self.congested.store(false, Ordering::SeqCst);
        }
        congested
    }

    /// Whether the producer must be notified to go on, after the consumer has taken events.
    pub fn relieved(&self) -> bool {
        self.congested.load(Ordering::SeqCst)
            && self.events.len() < CONGESTED / 2
            && self.congested.swap(false, Ordering::SeqCst)
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Close the queue: nothing is delivered after this. A thread that waits for the descriptor finds it readable.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        while self.events.pop().is_some() {}
        if let Some(signal) = &self.signal {
            signal.raise();
        }
    }
}

/// The numbers of things that an event loop holds in the core, and of drops.
#[derive(Default)]
pub struct Counters {
    pub connections: AtomicU64,
    pub transports: AtomicU64,
    pub channels: AtomicU64,
    pub sockets: AtomicU64,
    /// Allocations that TURN servers hold, or may hold.
    pub allocations: AtomicU64,
    pub timers: AtomicU64,
    pub panics: AtomicU64,
    pub dropped_unknown: AtomicU64,
    pub dropped_stun: AtomicU64,
    pub dropped_dtls: AtomicU64,
    pub dropped_sctp: AtomicU64,
    pub dropped_dcep: AtomicU64,
    pub dropped_message: AtomicU64,
    pub dropped_candidate: AtomicU64,
    /// RTP and RTCP.
    pub dropped_media: AtomicU64,
    /// Datagrams that the system refused to send.
    pub dropped_unsent: AtomicU64,
    /// Connections that came in for a TCP candidate, and said nothing, or nothing that belongs here.
    pub dropped_stream: AtomicU64,
    /// Lines of the log.
    pub dropped_log: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, count: u64) {
        if count > 0 {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub fn subtract(counter: &AtomicU64, count: u64) {
        counter.fetch_sub(count, Ordering::Relaxed);
    }

    pub fn add_drops(&self, drops: &Drops) {
        Self::add(&self.dropped_unknown, drops.unknown);
        Self::add(&self.dropped_stun, drops.stun);
        Self::add(&self.dropped_dtls, drops.dtls);
        Self::add(&self.dropped_sctp, drops.sctp);
        Self::add(&self.dropped_dcep, drops.dcep);
        Self::add(&self.dropped_message, drops.message);
        Self::add(&self.dropped_candidate, drops.candidate);
        Self::add(&self.dropped_media, drops.media);
    }

    pub fn list(&self) -> [(&'static str, u64); 18] {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("connections", get(&self.connections)),
            ("transports", get(&self.transports)),
            ("channels", get(&self.channels)),
            ("sockets", get(&self.sockets)),
            ("allocations", get(&self.allocations)),
            ("timers", get(&self.timers)),
            ("panics", get(&self.panics)),
            ("dropped_unknown", get(&self.dropped_unknown)),
            ("dropped_stun", get(&self.dropped_stun)),
            ("dropped_dtls", get(&self.dropped_dtls)),
            ("dropped_sctp", get(&self.dropped_sctp)),
            ("dropped_dcep", get(&self.dropped_dcep)),
            ("dropped_message", get(&self.dropped_message)),
            ("dropped_candidate", get(&self.dropped_candidate)),
            ("dropped_media", get(&self.dropped_media)),
            ("dropped_unsent", get(&self.dropped_unsent)),
            ("dropped_stream", get(&self.dropped_stream)),
            ("dropped_log", get(&self.dropped_log)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> EventQueue {
        let queue = EventQueue::new(None);
        for channel in 0..=CONGESTED as u64 {
            queue.push(Event::Low { channel });
        }
        queue
    }

    #[test]
    fn a_producer_that_holds_back_is_told_when_half_is_taken() {
        let queue = full();
        assert!(queue.is_congested());
        while queue.len() >= CONGESTED / 2 {
            assert!(!queue.relieved());
            queue.pop();
        }
        assert!(queue.relieved());
        assert!(!queue.relieved(), "once");
    }

    /// Else it would hold back for ever: the consumer has looked before the wish was there.
    #[test]
    fn a_producer_does_not_hold_back_when_all_was_taken_while_it_looked() {
        let queue = full();
        while queue.pop().is_some() {}
        assert!(!queue.relieved());
        queue.congested.store(true, Ordering::SeqCst); // it had seen that too many wait, and goes on here
        assert!(!queue.is_still_congested());
        assert!(!queue.relieved(), "there is nothing to tell");
    }
}
