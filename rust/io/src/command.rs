//! Commands of an event loop to the hub, and the queue that carries them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use adieu_engine::rtp::{FrameUnit, Section};
use adieu_engine::{Certificate, ChannelOptions, Config, Transport};
use crossbeam_queue::SegQueue;

use crate::capture::Capture;
use crate::ends::{Outlet, ReceiverShared, SenderShared, Spoken};
use crate::event::EventQueue;
use crate::gathering::{Gather, Lookup};
use crate::shared::{ChannelShared, TransportShared};

/// The largest picture that its sender's thread may bring into packets. Most of these packets wait for the pacer then.
const MAX_URGENT_FRAME: usize = 64 << 10;

pub type EngineCall = Box<dyn FnOnce(&mut Transport, Instant) + Send>;

/// Kept small for the sake of `Send`.
pub enum Command {
    /// The outbox of this channel, empty before, has messages now.
    Send {
        channel: Arc<ChannelShared>,
    },
    Consumed {
        transport: Arc<TransportShared>,
        size: usize,
    },
    /// The packets of a tick of the media thread.
    Sound(Box<[Spoken]>),
    /// An encoded picture.
    Frame {
        sender: Arc<SenderShared>,
        unit: Box<FrameUnit>,
    },
    Request(Box<Request>),
}

pub enum Request {
    OpenClient {
        id: u64,
        queue: Arc<EventQueue>,
    },
    CloseClient {
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
        capture: Option<Arc<Capture>>,
    },
    /// One transport of a connection that goes on.
    CloseTransport {
        transport: u64,
    },
    Gather {
        transport: u64,
        gather: Gather,
    },
    /// A word for the engine of a transport, which the hub only forwards.
    Engine {
        transport: u64,
        call: EngineCall,
    },
    /// The negotiated media of a transport.
    Media {
        transport: u64,
        negotiated: Negotiated,
    },
    /// Somebody began or ended to read the frames of a receiver.
    ReadFrames {
        receiver: Arc<ReceiverShared>,
    },
    /// The peer shall send a key frame.
    RequestKey {
        receiver: Arc<ReceiverShared>,
    },
    Tone {
        sender: Arc<SenderShared>,
        tone: char,
        length: Duration,
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
    /// The roots of trust have been read: the thread looks around.
    TrustLoaded,
    /// The name of a candidate was looked up.
    NameFound {
        transport: u64,
        name: Arc<str>,
        addresses: Vec<IpAddr>,
    },
    /// The process ends: close everything, and tell when the last words have left.
    Shutdown {
        done: Arc<dyn Fn() + Send + Sync>,
    },
}

/// All sections of a transport, with their senders and receivers.
pub struct Negotiated {
    /// Another number: another negotiation.
    pub epoch: u32,
    /// The name of this side in RTCP.
    pub cname: String,
    pub sections: Vec<Section>,
    pub senders: Vec<Arc<SenderShared>>,
    pub receivers: Vec<Arc<ReceiverShared>>,
    /// The time since 1970.
    pub unix: Duration,
}

/// The thread of a hub, as a command finds it: asleep.
pub trait Sleeper: Send + Sync {
    fn wake(&self);

    /// Do a turn of the hub on this thread, and let its own thread sleep on. False: that was not possible, or not
    /// enough; wake it. `is_all`: nothing follows at once that its own thread would send together with this.
    fn take_turn(&self, _is_all: bool) -> bool {
        false
    }
}

/// The queue of commands to one hub, and how to wake it.
pub struct CommandQueue {
    commands: SegQueue<Command>,
    sleeping: AtomicBool,
    sleeper: Option<Arc<dyn Sleeper>>,
}

impl CommandQueue {
    pub fn new(sleeper: Option<Arc<dyn Sleeper>>) -> CommandQueue {
        CommandQueue { commands: SegQueue::new(), sleeping: AtomicBool::new(false), sleeper }
    }

    pub fn push(&self, command: Command) {
        self.commands.push(command);
        self.wake();
    }

    /// The hub may sleep on: [`CommandQueue::wake`] follows.
    pub fn push_quietly(&self, command: Command) {
        self.commands.push(command);
    }

    /// Push what is small and urgent. If the hub sleeps, this thread may do its turn: that is over before another
    /// thread is awake. `is_all`: as of [`Sleeper::take_turn`].
    pub fn push_urgent(&self, command: Command, is_all: bool) {
        self.commands.push(command);
        if let Some(sleeper) = self.take_sleeper()
            && !sleeper.take_turn(is_all)
        {
            sleeper.wake();
        }
    }

    /// Wake the hub if it sleeps. Call it after a push.
    pub fn wake(&self) {
        if let Some(sleeper) = self.take_sleeper() {
            sleeper.wake();
        }
    }

    /// Only one caller gets it, and has to rouse it. None: the hub is awake.
    fn take_sleeper(&self) -> Option<&dyn Sleeper> {
        // Between the push and the look: the hub does the same in the other order (`may_sleep`). A look is cheaper than
        // a swap while the hub is awake.
        fence(Ordering::SeqCst);
        let sleeps = self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::SeqCst);
        self.sleeper.as_deref().filter(|_| sleeps)
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
        fence(Ordering::SeqCst);
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

impl Outlet for CommandQueue {
    fn send(&self, spoken: Vec<Spoken>) {
        // The media thread has nothing else to do until its next tick.
        self.push_urgent(Command::Sound(spoken.into()), true);
    }

    fn send_frame(&self, sender: &Arc<SenderShared>, unit: FrameUnit) {
        let is_small = unit.data.len() <= MAX_URGENT_FRAME;
        let command = Command::Frame { sender: sender.clone(), unit: Box::new(unit) };
        if is_small { self.push_urgent(command, false) } else { self.push(command) }
    }
}
