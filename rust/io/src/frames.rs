//! A queue of pictures, between the hub and a program that reads them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use adieu_engine::rtp::Frame;

use crate::event::{Event, EventQueue};
use crate::process;

/// The bytes that wait at most.
const MAX_BYTES: usize = 4 << 20;

pub struct Frames {
    id: u64,
    max_frames: usize,
    queue: Arc<EventQueue>,
    state: Mutex<State>,
    forks: u64,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    dropped: u64,
    /// A key frame was taken, and nothing was left out since.
    is_whole: bool,
    /// Whether a frame found no room: as soon as there is room, a key frame is asked for.
    was_full: bool,
}

/// A picture that was taken from a queue, if there was one; and whether a key frame is to be asked for.
pub struct Taken {
    pub frame: Option<Arc<Frame>>,
    pub wants_key: bool,
}

impl Frames {
    pub fn new(id: u64, queue: Arc<EventQueue>, max_frames: usize) -> Frames {
        Frames { id, max_frames: max_frames.max(1), queue, state: Mutex::default(), forks: process::forks() }
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    /// Lock the state. `None` in the child of a fork: the thread that may hold the lock is not there.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        (self.forks == process::forks()).then(|| self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keep a picture. Without room it is dropped, and all up to the next key frame that finds room.
    pub fn push(&self, frame: Arc<Frame>) {
        let Some(mut state) = self.lock() else { return };
        let is_full = state.frames.len() >= self.max_frames
            || !state.frames.is_empty() && state.bytes + frame.data.len() > MAX_BYTES;
        if is_full || !(frame.key || state.is_whole) {
            state.dropped += 1;
            state.is_whole = false;
            state.was_full |= is_full;
            return;
        }
        (state.is_whole, state.was_full) = (true, false);
        state.bytes += frame.data.len();
        state.frames.push_back(frame);
        if state.frames.len() == 1 {
            drop(state);
            self.queue.push(Event::FrameReady { sink: self.id });
        }
    }

    pub fn take(&self) -> Taken {
        let Some(mut state) = self.lock() else { return Taken { frame: None, wants_key: false } };
        let frame = state.frames.pop_front();
        state.bytes -= frame.as_ref().map_or(0, |frame| frame.data.len());
        let has_room = state.frames.len() * 2 <= self.max_frames && state.bytes * 2 <= MAX_BYTES;
        let wants_key = has_room && std::mem::take(&mut state.was_full);
        Taken { frame, wants_key }
    }

    pub fn dropped(&self) -> u64 {
        self.lock().map_or(0, |state| state.dropped)
    }
}

/// Seconds on the one axis of all media of this process. Only differences have a meaning.
pub fn axis(time: Instant) -> f64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let origin = *ORIGIN.get_or_init(Instant::now);
    match time.checked_duration_since(origin) {
        Some(since) => since.as_secs_f64(),
        None => -(origin - time).as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use adieu_engine::rtp::VideoCodec;

    use super::*;

    fn frame(id: u64, key: bool, size: usize) -> Arc<Frame> {
        let now = Instant::now();
        let (codec, data) = (VideoCodec::Vp8, vec![0; size]);
        let (timestamp, captured, temporal) = (id * 3000, None, 0);
        Arc::new(Frame { codec, key, ssrc: 1, id, timestamp, captured, temporal, arrived: now, data })
    }

    fn frames(max_frames: usize) -> (Frames, Arc<EventQueue>) {
        let queue = Arc::new(EventQueue::new(None));
        (Frames::new(5, queue.clone(), max_frames), queue)
    }

    fn taken(frames: &Frames) -> Option<u64> {
        frames.take().frame.map(|frame| frame.id)
    }

    #[test]
    fn it_begins_with_a_key_frame_and_tells_when_it_is_no_longer_empty() {
        let (frames, queue) = frames(10);
        frames.push(frame(1, false, 10));
        assert_eq!((taken(&frames), queue.len(), frames.dropped()), (None, 0, 1));
        frames.push(frame(2, true, 10));
        frames.push(frame(3, false, 10));
        assert!(matches!(queue.pop(), Some(Event::FrameReady { sink: 5 })));
        assert_eq!(queue.len(), 0, "once");
        assert_eq!([taken(&frames), taken(&frames), taken(&frames)], [Some(2), Some(3), None]);
    }

    #[test]
    fn a_full_queue_goes_on_with_a_key_frame_that_is_asked_for_when_there_is_room() {
        let (frames, _queue) = frames(4);
        for id in 0..4 {
            frames.push(frame(id, id == 0, 10));
        }
        frames.push(frame(4, true, 10));
        frames.push(frame(5, false, 10));
        assert_eq!(frames.dropped(), 2);
        assert!(!frames.take().wants_key);
        frames.push(frame(6, false, 10));
        assert_eq!(frames.dropped(), 3, "it refers to one that was dropped");
        assert!(frames.take().wants_key);
        assert!(!frames.take().wants_key, "once");
        frames.push(frame(7, true, 10));
        assert_eq!([taken(&frames), taken(&frames), taken(&frames)], [Some(3), Some(7), None]);
    }

    #[test]
    fn its_bytes_are_bounded_but_one_picture_always_fits() {
        let (frames, _queue) = frames(100);
        frames.push(frame(1, true, MAX_BYTES));
        frames.push(frame(2, false, 1));
        assert_eq!(frames.dropped(), 1);
        assert_eq!(taken(&frames), Some(1));
    }

    #[test]
    fn the_axis_grows_with_the_time() {
        let now = Instant::now();
        let later = now + std::time::Duration::from_millis(250);
        assert!((axis(later) - axis(now) - 0.25).abs() < 1e-9);
        let earlier = now.checked_sub(std::time::Duration::from_secs(1)).unwrap_or(now);
        assert!(axis(earlier) <= axis(now));
    }
}
