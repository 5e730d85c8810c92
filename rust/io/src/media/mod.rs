//! Sound: what programs speak and hear, between their samples and the packets of the hub.
//!
//! ```text
//!   AudioSource ─▶ queue ─▶ each 10 ms: Sending (resample, encode) ─▶ SenderShared ─▶ hub
//!   AudioSink   ◀─ queue ◀─ each 10 ms: Playing (playout, resample) ◀─ ReceiverShared ◀─ hub
//! ```
//!
//! One thread of the process ticks (`thread`); in a network in memory its world does. All encoders and buffers belong to
//! the one that ticks: the application only leaves changes, and never waits for a tick.

pub mod registry;
mod sending;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use adieu_codec::Codec;
use adieu_engine::lines::CONNECTION;
use adieu_engine::rtp::AudioCodec;
use crossbeam_queue::SegQueue;

use crate::ends::{ReceiverShared, SenderShared, send_together};
use crate::event::EventQueue;
use crate::process;
use sending::Sending;
pub use sink::{AudioFrame, AudioSink, SinkOptions};
use sink::{Receiving, Sink};
pub use source::{AudioSource, Packet};
use source::{Block, Source};

/// How often sound is made and played.
pub const TICK: Duration = Duration::from_millis(10);

/// Wishes of the application, for the next tick.
enum Change {
    Attach {
        sender: Arc<SenderShared>,
        source: Option<Arc<Source>>,
        enabled: bool,
    },
    ForgetSender(u64),
    ForgetReceiver(u64),
    CloseSource(u64),
    AddSink(Arc<Sink>, Arc<ReceiverShared>),
    /// Somebody reads a sink that rested.
    Read,
    CloseSink(u64),
}

/// The sound of a process, or of a network in memory.
pub struct Media {
    changes: SegQueue<Change>,
    state: Mutex<State>,
    /// None: somebody else ticks.
    thread: Option<thread::Control>,
    forks: u64,
}

struct State {
    sources: HashMap<u64, Feed>,
    senders: HashMap<u64, Sending>,
    receivers: HashMap<u64, Receiving>,
    /// The time of the last tick; before the first one, any time that has passed.
    last: Instant,
    is_running: bool,
}

/// A source that a sender has.
struct Feed {
    source: Arc<Source>,
    block: Block,
    /// In this tick a sender can send it; and one sends another codec.
    is_open: bool,
    wrong: Option<AudioCodec>,
}

impl Feed {
    fn new(source: Arc<Source>) -> Feed {
        Feed { source, block: Block::default(), is_open: false, wrong: None }
    }
}

impl Media {
    /// Make one with a thread, which runs while there is something to do.
    pub fn threaded() -> Arc<Media> {
        Arc::new_cyclic(|media| Media::new(Some(thread::Control::new(media.clone()))))
    }

    /// Make one without a thread: somebody calls [`Media::tick`] when [`Media::next_tick`] is due.
    pub fn virtual_() -> Arc<Media> {
        Arc::new(Media::new(None))
    }

    fn new(thread: Option<thread::Control>) -> Media {
        let now = Instant::now();
        let state = State {
            sources: HashMap::new(),
            senders: HashMap::new(),
            receivers: HashMap::new(),
            last: now.checked_sub(Duration::from_secs(1)).unwrap_or(now),
            is_running: false,
        };
        Media { changes: SegQueue::new(), state: Mutex::new(state), thread, forks: process::forks() }
    }

    // --- for the application ----------------------------------------------------------------------------------------

    /// A queue for samples of so many channels, or for packets of a codec; at most so much of them.
    pub fn audio_source(
        self: &Arc<Self>,
        queue: Arc<EventQueue>,
        form: (u32, u8, Option<AudioCodec>),
        max: Duration,
    ) -> AudioSource {
        AudioSource::new(self.clone(), queue, form, max)
    }

    /// A queue of the sound of a receiver, from the first [`AudioSink::read`] on.
    pub fn audio_sink(
        self: &Arc<Self>,
        queue: Arc<EventQueue>,
        receiver: &Arc<ReceiverShared>,
        options: SinkOptions,
    ) -> AudioSink {
        let (handle, sink) = AudioSink::new(self.clone(), queue, options);
        self.post(Change::AddSink(sink, receiver.clone()));
        handle
    }

    /// Let a sender send what a source gives; `None`: nothing. Not enabled: silence, and the source goes on.
    pub fn attach(&self, sender: &Arc<SenderShared>, source: Option<&AudioSource>, enabled: bool) {
        let source = source.map(AudioSource::shared);
        self.post(Change::Attach { sender: sender.clone(), source, enabled });
    }

    pub fn forget_sender(&self, id: u64) {
        self.post(Change::ForgetSender(id));
    }

    /// The connection of a receiver is over: its sinks get nothing more.
    pub fn forget_receiver(&self, id: u64) {
        self.post(Change::ForgetReceiver(id));
    }

    /// End the thread, and wait for it, so long at most. Nothing is sent or played after this.
    pub fn shutdown(&self, timeout: Duration) {
        if let Some(thread) = &self.thread
            && self.forks == process::forks()
        {
            thread.stop(timeout);
        }
    }

    fn post(&self, change: Change) {
        if self.forks == process::forks() {
            self.changes.push(change);
            if let Some(thread) = &self.thread {
                thread.wake();
            }
        }
    }

    // --- for who ticks ----------------------------------------------------------------------------------------------

    /// When there is something to do; a time that has passed: at once. `None`: nothing, until a change is made.
    pub fn next_tick(&self) -> Option<Instant> {
        let state = self.lock();
        if state.is_running {
            return Some(state.last + TICK);
        }
        (!self.changes.is_empty()).then_some(state.last)
    }

    /// Do what is due at this time. Later than due: time has been lost, and nobody tries to get it back.
    pub fn tick(&self, now: Instant) {
        let mut state = self.lock();
        while let Some(change) = self.changes.pop() {
            state.apply(change);
        }
        // Our own bug must not end the sound of the whole process.
        if catch_unwind(AssertUnwindSafe(|| state.tick(now))).is_err() {
            log::error!(target: CONNECTION, "! a tick of the media thread has panicked: its senders and sinks are dropped");
            state.sources.clear();
            state.senders.clear();
            state.receivers.clear();
            state.is_running = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Attach { sender, source, enabled } => {
                let id = source.as_ref().map(|source| source.id);
                if let Some(sending) = self.senders.get(&sender.id).filter(|sending| sending.source != id)
                    && let Some(feed) = sending.source.and_then(|old| self.sources.get(&old))
                {
                    sending.leave(&feed.source);
                }
                if let Some(source) = source.filter(|source| !source.is_closed()) {
                    self.sources.entry(source.id).or_insert_with(|| Feed::new(source));
                }
                self.senders.entry(sender.id).or_insert_with(|| Sending::new(sender)).attach(id, enabled);
                self.drop_unused_sources();
            }
            Change::ForgetSender(id) => {
                self.senders.remove(&id);
                self.drop_unused_sources();
            }
            Change::CloseSource(id) => {
                self.sources.remove(&id);
                self.senders.values_mut().filter(|sender| sender.source == Some(id)).for_each(|sender| {
                    sender.attach(None, true);
                });
            }
            Change::ForgetReceiver(id) => {
                if let Some(receiver) = self.receivers.remove(&id) {
                    receiver.end();
                }
            }
            Change::AddSink(sink, receiver) => {
                self.receivers.entry(receiver.id).or_insert_with(|| Receiving::new(receiver)).add(sink);
            }
            Change::CloseSink(id) => {
                self.receivers.values_mut().for_each(|receiver| receiver.remove(id));
                self.receivers.retain(|_, receiver| !receiver.is_empty());
            }
            Change::Read => {}
        }
    }

    fn drop_unused_sources(&mut self) {
        let senders = &self.senders;
        self.sources.retain(|id, _| senders.values().any(|sender| sender.source == Some(*id)));
    }

    fn tick(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.last);
        // After a rest, and when time was lost, more than one tick has passed on the axes of time.
        let passed = (since.as_millis() as u64 / TICK.as_millis() as u64).max(1);
        self.last = now;
        self.send(now, passed);
        for receiver in self.receivers.values_mut() {
            receiver.tick(now, passed);
        }
        self.is_running = !self.sources.is_empty() || self.receivers.values().any(Receiving::is_wanted);
    }

    fn send(&mut self, now: Instant, passed: u64) {
        for sender in self.senders.values_mut() {
            let Some(feed) = sender.source.and_then(|id| self.sources.get_mut(&id)) else { continue };
            match (sender.codec(), feed.source.codec) {
                (Some(sent), Some(codec)) if sent != codec => feed.wrong = Some(sent),
                (sent, _) => feed.is_open |= sent.is_some(),
            }
        }
        for Feed { source, block, is_open, wrong } in self.sources.values_mut() {
            let (is_open, wrong) = (std::mem::take(is_open), wrong.take());
            if source.codec.is_some() {
                source.set_wrong(wrong.filter(|_| !is_open));
            }
            source.take(is_open, block);
        }
        let mut spoken = Vec::new();
        for sender in self.senders.values_mut() {
            let feed = sender.source.and_then(|id| self.sources.get(&id));
            sender.tick(now, passed, feed.map(|feed| (&*feed.source, &feed.block)), &mut spoken);
        }
        send_together(spoken);
    }
}

/// The codec of the engine as one that can be decoded and encoded here.
fn codec(codec: AudioCodec) -> Option<Codec> {
    match codec {
        AudioCodec::Opus => Some(Codec::Opus),
        AudioCodec::Pcmu => Some(Codec::Pcmu),
        AudioCodec::Pcma => Some(Codec::Pcma),
        AudioCodec::G722 => None,
    }
}
