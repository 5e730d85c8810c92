//! The objects that the application holds: a client for each event loop, and channels. All are usable from any thread.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adieu_engine::rtp::{AudioCodec, FrameUnit, MediaKind, Section, VideoCodec};
use adieu_engine::{Algorithm, Certificate, ChannelOptions, Config, Kind, Transport};

use crate::capture::Capture;
use crate::command::{Command, CommandQueue, Negotiated, Request};
use crate::ends::NO_TARGET;
use crate::event::{Event, EventQueue};
use crate::frame_sink::FrameSink;
use crate::gathering::Gather;
use crate::heard::Source;
use crate::media::registry::Registry;
use crate::media::{AudioSink, AudioSource, Media, SinkOptions};
use crate::packet_sink::PacketSink;
use crate::process;
use crate::shared::{ChannelShared, Posted, TransportShared, next_id};

/// Payload bytes that may wait to be sent, for a whole transport.
pub const SEND_BUFFER: usize = 16 << 20;

/// The largest message that its sender's thread may bring into a packet and to the socket. A larger one takes a time
/// in which that thread had better make the next one.
const MAX_URGENT: usize = 1024;

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
            Posted::First => {
                let command = Command::Send { channel: self.shared.clone() };
                // Alone, and small: it can leave from this thread.
                if size <= MAX_URGENT && self.shared.transport.buffered.load(Ordering::Relaxed) == size {
                    self.commands.push_urgent(command, false);
                } else {
                    self.commands.push(command);
                }
            }
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
pub(crate) type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// An event loop's two queues: its commands down, its events up.
pub struct Client {
    id: u64,
    queue: Arc<EventQueue>,
    commands: Arc<CommandQueue>,
    forks: u64,
    /// Commands do not wake the hub at present.
    is_held: AtomicBool,
    /// Where the engines' randomness comes from.
    seed: Seeds,
    clock: Clock,
    /// For the calls that need more than the number of a transport.
    transports: Mutex<Transports>,
    media: Arc<Media>,
    ends: Registry,
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
    pub congestion: Algorithm,
    /// The file that gets a copy of every packet.
    pub capture: Option<Arc<Capture>>,
}

impl Client {
    pub(crate) fn new(
        queue: Arc<EventQueue>,
        commands: Arc<CommandQueue>,
        media: Arc<Media>,
        seed: Seeds,
        clock: Clock,
    ) -> Client {
        let id = next_id();
        commands.request(Request::OpenClient { id, queue: queue.clone() });
        Client {
            id,
            queue,
            commands,
            forks: process::forks(),
            is_held: AtomicBool::new(false),
            seed,
            clock,
            transports: Mutex::default(),
            media,
            ends: Registry::default(),
        }
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
        self.request_now(Request::CloseClient { id: self.id });
        *self.lock() = Transports::default();
        self.forget_media(None);
    }

    pub fn connection(&self, certificate: Arc<Certificate>) -> u64 {
        let id = next_id();
        self.lock().of_connection.insert(id, Vec::new());
        self.request(Request::OpenConnection { owner: self.id, id, certificate });
        id
    }

    pub fn close_connection(&self, connection: u64, reason: String) {
        self.forget(connection);
        self.request_now(Request::CloseConnection { id: connection, reason });
    }

    pub fn transport(&self, connection: u64, options: TransportOptions) -> u64 {
        let id = next_id();
        let shared = Arc::new(TransportShared::new(id, options.receive_buffer));
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
            congestion: options.congestion,
            seed: (self.seed)(),
        };
        let capture = options.capture;
        self.request(Request::OpenTransport { connection, shared, config, capture });
        id
    }

    pub fn close_transport(&self, transport: u64) {
        self.lock().by_id.remove(&transport);
        self.request_now(Request::CloseTransport { transport });
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
        let shared = known.unwrap_or_else(|| Arc::new(TransportShared::new(transport, 0)));
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

    /// The same without a look-up. A few bytes do not wake the hub: it hears of them when it wakes next, as it does for
    /// every message.
    pub fn give_back(&self, transport: Arc<TransportShared>, size: usize) {
        if self.is_alive() {
            let is_much = transport.takes(size);
            self.commands.push_quietly(Command::Consumed { transport, size });
            if is_much {
                self.commands.wake();
            }
        }
    }

    pub fn request_stats(&self, transport: u64, request: u64) {
        self.request(Request::Stats { owner: self.id, transport, request });
    }

    // --- media ------------------------------------------------------------------------------------------------------

    /// The handle of a new sender. It is forgotten with its connection.
    pub fn sender(&self, connection: u64, kind: MediaKind) -> u64 {
        self.ends.add_sender(connection, kind, self.commands.clone())
    }

    pub fn receiver(&self, connection: u64, kind: MediaKind) -> u64 {
        self.ends.add_receiver(connection, kind)
    }

    /// Replace all that has been negotiated for the media of a transport.
    pub fn apply_media(&self, transport: u64, epoch: u32, cname: String, sections: Vec<Section>) {
        let (senders, receivers) = self.ends.of_sections(&sections);
        let unix = process::since_1970();
        let negotiated = Negotiated { epoch, cname, sections, senders, receivers, unix };
        self.request(Request::Media { transport, negotiated });
    }

    /// A source that keeps at most so much.
    pub fn audio_source(&self, form: (u32, u8, Option<AudioCodec>), max: Duration) -> AudioSource {
        self.media.audio_source(self.queue.clone(), form, max)
    }

    /// None: there is no such receiver any longer.
    pub fn audio_sink(&self, receiver: u64, options: SinkOptions) -> Option<AudioSink> {
        let receiver = self.ends.receiver(receiver)?;
        Some(self.media.audio_sink(self.queue.clone(), &receiver, options))
    }

    /// A queue of the pictures of a receiver, at most so many. None: there is no such receiver any longer.
    pub fn frame_sink(&self, receiver: u64, max_frames: usize) -> Option<FrameSink> {
        let receiver = self.ends.receiver(receiver)?;
        Some(FrameSink::new(self.queue.clone(), self.commands.clone(), receiver, max_frames))
    }

    /// A queue of the packets of sound of a receiver, at most so many. None: there is no such receiver any longer.
    pub fn packet_sink(&self, receiver: u64, max_packets: usize) -> Option<PacketSink> {
        let receiver = self.ends.receiver(receiver)?;
        Some(PacketSink::new(self.queue.clone(), receiver, max_packets))
    }

    /// Ask the peer for a key frame of a receiver.
    pub fn request_key(&self, receiver: u64) {
        if let Some(receiver) = self.ends.receiver(receiver) {
            self.request(Request::RequestKey { receiver });
        }
    }

    /// Have a sender send what a source gives; None: nothing. While it is not enabled, silence is sent.
    pub fn attach(&self, sender: u64, source: Option<&AudioSource>, enabled: bool) {
        if let Some(sender) = self.ends.sender(sender) {
            self.media.attach(&sender, source, enabled);
        }
    }

    /// The codec in which a sender sends pictures now; None: it may not send.
    pub fn video_codec(&self, sender: u64) -> Option<VideoCodec> {
        self.ends.sender(sender)?.video_codec()
    }

    /// Send an encoded picture. Returns the bytes that wait; 0: it may not send, and the picture was dropped.
    pub fn send_frame(&self, sender: u64, unit: FrameUnit) -> usize {
        self.ends.sender(sender).map_or(0, |sender| sender.send_frame(unit))
    }

    /// How long a receiver holds media back, in milliseconds; None: as it chooses.
    pub fn set_jitter_target(&self, receiver: u64, target: Option<u32>) {
        if let Some(receiver) = self.ends.receiver(receiver) {
            receiver.target.store(target.unwrap_or(NO_TARGET), Ordering::Relaxed);
        }
    }

    /// The sources of a receiver's media in the last ten seconds, and how long ago each sent.
    pub fn sources(&self, receiver: u64) -> Vec<(Source, Duration)> {
        let Some(receiver) = self.ends.receiver(receiver) else { return Vec::new() };
        let now = (self.clock)();
        let age = |source: Source| (source, now.saturating_duration_since(source.arrived));
        receiver.sources(now).into_iter().map(age).collect()
    }

    /// Play a telephone tone behind those that wait.
    pub fn send_tone(&self, sender: u64, tone: char, length: Duration) {
        if let Some(sender) = self.ends.sender(sender) {
            self.request(Request::Tone { sender, tone, length });
        }
    }

    fn forget_media(&self, connection: Option<u64>) {
        let gone = self.ends.forget(connection);
        gone.senders.into_iter().for_each(|id| self.media.forget_sender(id));
        gone.receivers.into_iter().for_each(|id| self.media.forget_receiver(id));
    }

    fn forget(&self, connection: u64) {
        let mut transports = self.lock();
        for id in transports.of_connection.remove(&connection).unwrap_or_default() {
            transports.by_id.remove(&id);
        }
        drop(transports);
        self.forget_media(Some(connection));
    }

    fn lock(&self) -> MutexGuard<'_, Transports> {
        self.transports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until [`Client::release`], commands but those that close do not wake the hub: several of them cost one wake-up.
    pub fn hold(&self) {
        self.is_held.store(true, Ordering::Relaxed);
    }

    pub fn release(&self) {
        self.is_held.store(false, Ordering::Relaxed);
        if self.is_alive() {
            self.commands.wake();
        }
    }

    fn request(&self, request: Request) {
        if self.is_alive() && self.is_held.load(Ordering::Relaxed) {
            self.commands.push_quietly(Command::Request(Box::new(request)));
        } else {
            self.request_now(request);
        }
    }

    /// Send at once. A close needs this too: no later command may be awaited.
    fn request_now(&self, request: Request) {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::command::Sleeper;

    struct Woken(Arc<AtomicUsize>);

    impl Sleeper for Woken {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A client whose hub is asleep, and how often that was woken.
    fn client() -> (Client, Arc<CommandQueue>, Arc<AtomicUsize>) {
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = woken.clone();
        let commands = Arc::new(CommandQueue::new(Some(Arc::new(Woken(counter)))));
        let client = Client::new(
            Arc::new(EventQueue::new(None)),
            commands.clone(),
            Media::virtual_(),
            Box::new(|| [0; 32]),
            Box::new(Instant::now),
        );
        while commands.pop().is_some() {}
        assert!(commands.may_sleep());
        (client, commands, woken)
    }

    #[test]
    fn commands_that_are_held_wake_the_hub_once() {
        let (client, commands, woken) = client();
        client.hold();
        for request in 0..5 {
            client.request_stats(1, request);
        }
        assert_eq!(woken.load(Ordering::SeqCst), 0);
        client.release();
        assert_eq!(woken.load(Ordering::SeqCst), 1);
        assert_eq!(std::iter::from_fn(|| commands.pop()).count(), 5);
    }

    #[test]
    fn what_closes_is_never_held() {
        let (client, _, woken) = client();
        client.hold();
        client.close_connection(1, "gone".to_owned());
        assert_eq!(woken.load(Ordering::SeqCst), 1);
    }

    /// The answer to a message shall not cost two wake-ups.
    #[test]
    fn bytes_that_were_taken_wake_the_hub_when_they_are_many() {
        let (client, commands, woken) = client();
        let transport = Arc::new(TransportShared::new(1, 4000));
        for _ in 0..10 {
            client.give_back(transport.clone(), 100);
        }
        assert_eq!(woken.load(Ordering::SeqCst), 0);
        assert!(!commands.may_sleep(), "they are there when the hub looks");
        assert!(std::iter::from_fn(|| commands.pop()).count() == 10 && commands.may_sleep());
        client.give_back(transport.clone(), 1);
        assert_eq!(woken.load(Ordering::SeqCst), 1);
        client.give_back(transport, 1000);
        assert_eq!(woken.load(Ordering::SeqCst), 1);
    }

    /// They are on their way before the channel is closed; what comes later is not sent before that command.
    #[test]
    fn messages_of_one_batch_need_one_command_and_none_follows_a_close() {
        let (client, commands, woken) = client();
        let transport = Arc::new(TransportShared::new(1, 0));
        let channel = client.adopt(Arc::new(ChannelShared::new(0, transport)));
        for _ in 0..3 {
            channel.reserve(1).expect("room");
            channel.send(Kind::Binary, vec![0]);
        }
        channel.close();
        channel.reserve(1).expect("room");
        channel.send(Kind::Binary, vec![1]);
        assert_eq!(woken.load(Ordering::SeqCst), 1);
        assert_eq!(channel.buffered(), 3);
        assert_eq!(std::iter::from_fn(|| commands.pop()).count(), 2);
        assert_eq!(channel.shared.take_outbox().len(), 3);
    }
}
