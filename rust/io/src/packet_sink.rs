//! The packets of sound that a program takes as they come, decoded by nobody.

use std::sync::Arc;

use adieu_engine::rtp::AudioPacket;

use crate::ends::ReceiverShared;
use crate::event::EventQueue;
use crate::packets::Packets;
use crate::shared::next_id;

/// A program's ear for packets. Cheap to clone; usable from any thread; closed with the last clone.
#[derive(Clone)]
pub struct PacketSink(Arc<Handle>);

struct Handle {
    packets: Arc<Packets>,
    receiver: Arc<ReceiverShared>,
}

impl PacketSink {
    pub fn new(queue: Arc<EventQueue>, receiver: Arc<ReceiverShared>, max_packets: usize) -> PacketSink {
        let packets = Arc::new(Packets::new(next_id(), queue, max_packets));
        receiver.add_packets(packets.clone());
        PacketSink(Arc::new(Handle { packets, receiver }))
    }

    pub fn id(&self) -> u64 {
        self.0.packets.id()
    }

    /// Take the oldest packet. `None`: no packet waits, and [`crate::Event::FrameReady`] comes with the next.
    pub fn read(&self) -> Option<AudioPacket> {
        self.0.packets.take()
    }

    /// Packets that nobody has taken in time.
    pub fn dropped(&self) -> u64 {
        self.0.packets.dropped()
    }

    pub fn close(&self) {
        self.0.close();
    }
}

impl Handle {
    fn close(&self) {
        self.receiver.remove_packets(self.packets.id());
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use adieu_engine::rtp::MediaKind;

    use super::*;
    use crate::ends::opus_packet;
    use crate::event::Event;

    fn sink(receiver: &Arc<ReceiverShared>, max_packets: usize) -> (PacketSink, Arc<EventQueue>) {
        let queue = Arc::new(EventQueue::new(None));
        (PacketSink::new(queue.clone(), receiver.clone(), max_packets), queue)
    }

    #[test]
    fn each_reader_has_all_packets_and_learns_once_that_there_are_some() {
        let receiver = ReceiverShared::new(1, MediaKind::Audio);
        receiver.push(opus_packet(0, 10));
        let ((one, queue), (other, _)) = (sink(&receiver, 10), sink(&receiver, 10));
        (1..4).for_each(|sequence| receiver.push(opus_packet(sequence, 10)));
        assert!(matches!(queue.pop(), Some(Event::FrameReady { sink }) if sink == one.id()));
        assert_eq!(queue.len(), 0, "once");
        for reader in [&one, &other] {
            let taken: Vec<u64> =
                std::iter::from_fn(|| reader.read()).map(|packet| packet.sequence).collect();
            assert_eq!(taken, [1, 2, 3]);
        }
        drop(other);
        one.close();
        receiver.push(opus_packet(4, 10));
        assert!(one.read().is_none(), "it is closed");
        assert!(!receiver.is_wanted(), "nobody decodes");
    }

    #[test]
    fn when_nobody_takes_them_the_oldest_go() {
        let receiver = ReceiverShared::new(1, MediaKind::Audio);
        let (few, _queue) = sink(&receiver, 3);
        (0..10).for_each(|sequence| receiver.push(opus_packet(sequence, 10)));
        assert_eq!((few.dropped(), few.read().map(|packet| packet.sequence)), (7, Some(7)));
        let (many, _queue) = sink(&receiver, usize::MAX);
        (0..2000).for_each(|sequence| receiver.push(opus_packet(sequence, 1000)));
        assert_eq!(many.dropped(), 2000 - (1 << 20) / 1000);
    }
}
