//! A queue of packets of sound, between the hub and a program that takes them as they come.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adieu_engine::rtp::AudioPacket;

use crate::event::{Event, EventQueue};
use crate::process;

/// The bytes that wait at most.
const MAX_BYTES: usize = 1 << 20;

pub struct Packets {
    id: u64,
    max_packets: usize,
    queue: Arc<EventQueue>,
    state: Mutex<State>,
    forks: u64,
}

#[derive(Default)]
struct State {
    packets: VecDeque<AudioPacket>,
    bytes: usize,
    dropped: u64,
}

impl Packets {
    pub fn new(id: u64, queue: Arc<EventQueue>, max_packets: usize) -> Packets {
        Packets {
            id,
            max_packets: max_packets.max(1),
            queue,
            state: Mutex::default(),
            forks: process::forks(),
        }
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    /// Lock the state. `None` in the child of a fork: the thread that may hold the lock is not there.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        (self.forks == process::forks()).then(|| self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keep a packet. When too many wait, the oldest go: sound never grows old.
    pub fn push(&self, packet: AudioPacket) {
        let Some(mut state) = self.lock() else { return };
        let was_empty = state.packets.is_empty();
        state.bytes += packet.payload.len();
        state.packets.push_back(packet);
        while state.packets.len() > self.max_packets || state.bytes > MAX_BYTES {
            let Some(oldest) = state.packets.pop_front() else { break };
            state.bytes -= oldest.payload.len();
            state.dropped += 1;
        }
        if was_empty {
            drop(state);
            self.queue.push(Event::FrameReady { sink: self.id });
        }
    }

    pub fn take(&self) -> Option<AudioPacket> {
        let mut state = self.lock()?;
        let packet = state.packets.pop_front()?;
        state.bytes -= packet.payload.len();
        Some(packet)
    }

    pub fn dropped(&self) -> u64 {
        self.lock().map_or(0, |state| state.dropped)
    }
}
