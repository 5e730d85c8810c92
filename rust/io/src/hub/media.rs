//! The media of one transport in the hub: which senders and receivers of the application it has.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use adieu_engine::rtp::{MediaEvent, MediaKind};

use crate::ends::{ReceiverShared, SenderShared};
use crate::event::{EventQueue, Notice};
use crate::figures::{PlayoutStats, SourceStats};

/// The senders and receivers of a transport, by their handles.
#[derive(Default)]
pub(super) struct MediaEnds {
    senders: HashMap<u64, Arc<SenderShared>>,
    receivers: HashMap<u64, Arc<ReceiverShared>>,
    unsent: usize,
}

impl MediaEnds {
    /// Add those of a negotiation. Those of before stay until [`MediaEnds::keep`].
    /// `index`: of the transport.
    pub fn add(&mut self, index: u32, senders: Vec<Arc<SenderShared>>, receivers: Vec<Arc<ReceiverShared>>) {
        self.senders.extend(senders.into_iter().map(|sender| (sender.id, sender)));
        receivers.iter().for_each(|receiver| receiver.set_place(index.into()));
        self.receivers.extend(receivers.into_iter().map(|receiver| (receiver.id, receiver)));
    }

    /// Forget all others than these, after the events of the negotiation were handled.
    pub fn keep(&mut self, senders: &[u64], receivers: &[u64]) {
        self.senders.retain(|id, _| senders.contains(id));
        self.receivers.retain(|id, _| receivers.contains(id));
    }

    /// The receivers of pictures that somebody reads.
    pub fn read_receivers(&self) -> Vec<u64> {
        let read =
            |receiver: &&Arc<ReceiverShared>| receiver.kind == MediaKind::Video && receiver.is_wanted();
        self.receivers.values().filter(read).map(|receiver| receiver.id).collect()
    }

    /// `index`: of the transport.
    pub fn handle(&self, queue: &EventQueue, index: u32, event: MediaEvent) {
        match event {
            MediaEvent::Audio { receiver, packet } => {
                if let Some(receiver) = self.receivers.get(&receiver) {
                    receiver.push(packet);
                }
            }
            MediaEvent::Progress { sender, sent, arrived, loss } => {
                let Some(sender) = self.senders.get(&sender) else { return };
                sender.sent.fetch_max(sent, Ordering::Relaxed);
                sender.arrived.fetch_max(arrived, Ordering::Relaxed);
                sender.loss.store(loss, Ordering::Relaxed);
            }
            MediaEvent::Plan { sender, plan } => {
                let Some(sender) = self.senders.get(&sender) else { return };
                // It may have moved to another transport of the bundle, which has its own say.
                if plan.is_some() || sender.place() == u64::from(index) {
                    sender.set_plan(index.into(), plan);
                }
            }
            MediaEvent::Frame { receiver, frame } => {
                if let Some(receiver) = self.receivers.get(&receiver) {
                    receiver.push_frame(frame);
                }
            }
            MediaEvent::KeyWanted { sender, encoding } => {
                queue.notice(Notice::KeyWanted { sender, encoding });
            }
            MediaEvent::Target { sender, encoding, bitrate } => {
                let Some(shared) = self.senders.get(&sender) else { return };
                if shared.targets.push((encoding, bitrate)) {
                    queue.notice(Notice::Target { sender, targets: shared.targets.clone() });
                }
            }
            MediaEvent::VideoPlan { sender, plan } => {
                let Some(shared) = self.senders.get(&sender) else { return };
                if plan.is_some() || shared.place() == u64::from(index) {
                    shared.set_video_plan(index.into(), plan.clone());
                    queue.notice(Notice::VideoPlan { sender, plan });
                }
            }
            MediaEvent::On { receiver, ssrc } => self.tell_change(queue, receiver, Some(ssrc)),
            MediaEvent::Off { receiver } => self.tell_change(queue, receiver, None),
            MediaEvent::Tone { receiver, tone, seconds } => {
                let Some(shared) = self.receivers.get(&receiver) else { return };
                if shared.tones.push((tone, seconds)) {
                    queue.notice(Notice::Tone { receiver, tones: shared.tones.clone() });
                }
            }
        }
    }

    fn tell_change(&self, queue: &EventQueue, receiver: u64, ssrc: Option<u32>) {
        let Some(shared) = self.receivers.get(&receiver) else { return };
        if shared.changes.push(ssrc) {
            queue.notice(Notice::Media { receiver, changes: shared.changes.clone() });
        }
    }

    /// The transport is closed: nothing is sent any longer.
    pub fn close(&self, index: u32) {
        for sender in self.senders.values().filter(|sender| sender.place() == u64::from(index)) {
            sender.set_plan(index.into(), None);
            sender.set_video_plan(index.into(), None);
        }
    }

    /// Note how many bytes of pictures wait for their turn.
    pub fn set_unsent(&mut self, size: usize) {
        if std::mem::replace(&mut self.unsent, size) != size {
            self.senders.values().for_each(|sender| sender.set_unsent(size));
        }
    }

    /// Figures of the sources, by the handles of their senders.
    pub fn sources(&self) -> Vec<(u64, SourceStats)> {
        let of_sound = self.senders.iter().filter(|(_, sender)| sender.kind == MediaKind::Audio);
        of_sound.map(|(id, sender)| (*id, sender.source_stats())).collect()
    }

    /// Figures of the sound that was played, by the handles of its receivers.
    pub fn playouts(&self) -> Vec<(u64, PlayoutStats)> {
        self.receivers.iter().map(|(id, receiver)| (*id, receiver.playout_stats())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_begins_and_ends_again_and_again_does_not_fill_the_queue() {
        let (mut ends, queue) = (MediaEnds::default(), EventQueue::new(None));
        ends.add(0, Vec::new(), vec![ReceiverShared::new(5, MediaKind::Audio)]);
        for ssrc in 0..10_000 {
            ends.handle(&queue, 0, MediaEvent::On { receiver: 5, ssrc });
            ends.handle(&queue, 0, MediaEvent::Tone { receiver: 5, tone: '1', seconds: 0.1 });
            ends.handle(&queue, 0, MediaEvent::Off { receiver: 5 });
        }
        ends.handle(&queue, 0, MediaEvent::On { receiver: 5, ssrc: 77 });
        assert!(queue.len() <= 128, "{}", queue.len());
        let mut last = None;
        while let Some(event) = queue.pop() {
            let crate::Event::Notice(notice) = event else { panic!("{event:?}") };
            if let Notice::Media { receiver: 5, changes } = *notice {
                last = changes.pop();
            }
        }
        assert_eq!(last, Some(Some(77)), "the newest is what the program has at the end");
    }
}
