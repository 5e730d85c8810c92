//! The pictures that a program sees: encoded, and whole.

use std::sync::Arc;

use adieu_engine::rtp::Frame;

use crate::command::{CommandQueue, Request};
use crate::ends::ReceiverShared;
use crate::event::EventQueue;
use crate::frames::Frames;
use crate::shared::next_id;

/// A program's eye. Cheap to clone; usable from any thread; closed with the last clone.
#[derive(Clone)]
pub struct FrameSink(Arc<Handle>);

struct Handle {
    frames: Arc<Frames>,
    receiver: Arc<ReceiverShared>,
    commands: Arc<CommandQueue>,
}

impl FrameSink {
    pub fn new(
        queue: Arc<EventQueue>,
        commands: Arc<CommandQueue>,
        receiver: Arc<ReceiverShared>,
        max_frames: usize,
    ) -> FrameSink {
        let frames = Arc::new(Frames::new(next_id(), queue, max_frames));
        let is_first = !receiver.is_wanted();
        receiver.add_frames(frames.clone());
        let handle = Handle { frames, receiver, commands };
        if is_first {
            handle.request(|receiver| Request::ReadFrames { receiver });
        } else {
            handle.request(|receiver| Request::RequestKey { receiver });
        }
        FrameSink(Arc::new(handle))
    }

    pub fn id(&self) -> u64 {
        self.0.frames.id()
    }

    /// Take the oldest frame. `None`: there is no frame, and [`crate::Event::FrameReady`] comes with the next.
    pub fn read(&self) -> Option<Arc<Frame>> {
        let taken = self.0.frames.take();
        if taken.wants_key {
            self.0.request(|receiver| Request::RequestKey { receiver });
        }
        taken.frame
    }

    /// Frames that were dropped: nobody took others in time, or they refer to one that was dropped.
    pub fn dropped(&self) -> u64 {
        self.0.frames.dropped()
    }

    pub fn close(&self) {
        self.0.close();
    }
}

impl Handle {
    fn request(&self, request: impl FnOnce(Arc<ReceiverShared>) -> Request) {
        self.commands.request(request(self.receiver.clone()));
    }

    fn close(&self) {
        if self.receiver.remove_frames(self.frames.id()) {
            self.request(|receiver| Request::ReadFrames { receiver });
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
