//! Senders and receivers of media, as the hub, the media thread and the application share them.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use adieu_engine::rtp::{
    AudioPacket, AudioUnit, Frame, FrameUnit, MediaKind, SendPlan, VideoCodec, VideoPlan,
};

use crate::figures::{PlayoutStats, SourceStats};
use crate::frames::Frames;
use crate::heard::{self, Heard, Source};
use crate::packets::Packets;
use crate::shared::NOWHERE;
use crate::waiting::Waiting;

/// Packets that wait for the media thread, which looks each 10 ms.
const MAX_WAITING: usize = 512;
const MAX_WAITING_BYTES: usize = 1 << 20;
/// Bytes of frames that wait for the I/O thread, which takes them at once if it can.
const MAX_FRAMES_BYTES: usize = 16 << 20;
/// In place of a target: the receiver chooses.
pub const NO_TARGET: u32 = u32::MAX;

/// A sender. The hub says how to encode, and the media thread sends.
pub struct SenderShared {
    pub id: u64,
    pub kind: MediaKind,
    /// The highest mark that has left this host.
    pub sent: AtomicU64,
    /// The highest mark that a report of the peer covers.
    pub arrived: AtomicU64,
    /// Lost packets of a thousand, by the last report of the peer.
    pub loss: AtomicU32,
    /// Figures of its source, for getStats.
    pub source: Mutex<SourceStats>,
    /// Bytes of frames that wait for the I/O thread, and of all that waits there for its turn.
    handed_over: AtomicUsize,
    unsent: AtomicUsize,
    /// Frames that were sent.
    frames: AtomicU64,
    video: Mutex<Option<VideoPlan>>,
    plan: Mutex<Option<SendPlan>>,
    revision: AtomicU64,
    /// The index of its transport in the hub; NOWHERE: it may not send.
    place: AtomicU64,
    outlet: Arc<dyn Outlet>,
    /// Targets that the program has not heard of: encoding, bits a second.
    pub(crate) targets: Arc<Waiting<(u8, u32)>>,
}

/// A packet of sound, and whose it is.
pub struct Spoken {
    pub sender: Arc<SenderShared>,
    pub unit: AudioUnit,
}

/// The way of packets to the hub, which is woken.
pub trait Outlet: Send + Sync {
    fn send(&self, spoken: Vec<Spoken>);

    fn send_frame(&self, sender: &Arc<SenderShared>, unit: FrameUnit);
}

/// Hand the packets of a tick to the hub, which all of them have.
///
/// The largest come first: what leaves together and has one size, and one shorter packet behind, is one call of the
/// system. The packets of a sender stay in their order.
pub fn send_together(mut spoken: Vec<Spoken>) {
    let Some(outlet) = spoken.first().map(|first| first.sender.outlet.clone()) else { return };
    let has_one_each = spoken.windows(2).all(|pair| pair[0].sender.id != pair[1].sender.id);
    if has_one_each {
        spoken.sort_by_key(|one| Reverse(one.unit.payload.len()));
    }
    outlet.send(spoken);
}

impl SenderShared {
    pub fn new(id: u64, kind: MediaKind, outlet: Arc<dyn Outlet>) -> Arc<SenderShared> {
        Arc::new(SenderShared {
            id,
            kind,
            sent: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            loss: AtomicU32::new(0),
            source: Mutex::default(),
            handed_over: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
            frames: AtomicU64::new(0),
            video: Mutex::default(),
            plan: Mutex::default(),
            revision: AtomicU64::new(0),
            place: AtomicU64::new(NOWHERE),
            outlet,
            targets: Arc::default(),
        })
    }

    /// Whether it may send now.
    pub fn is_open(&self) -> bool {
        self.place.load(Ordering::Relaxed) != NOWHERE
    }

    /// A number that changes with each change of the plan.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// How to encode now; None: it may not send.
    pub fn plan(&self) -> Option<SendPlan> {
        locked(&self.plan).clone()
    }

    /// Set how to encode, and the index of the transport in the hub.
    pub fn set_plan(&self, place: u64, plan: Option<SendPlan>) {
        let place = if plan.is_some() { place } else { NOWHERE };
        *locked(&self.plan) = plan;
        self.place.store(place, Ordering::Relaxed);
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// The codec in which pictures are sent now; None: it may not send.
    pub fn video_codec(&self) -> Option<VideoCodec> {
        locked(&self.video).as_ref().map(|plan| plan.codec)
    }

    /// Set how to encode pictures, and the index of the transport in the hub.
    pub fn set_video_plan(&self, place: u64, plan: Option<VideoPlan>) {
        let place = if plan.is_some() { place } else { NOWHERE };
        *locked(&self.video) = plan;
        self.place.store(place, Ordering::Relaxed);
    }

    /// Send a picture. Returns the bytes that wait; 0: it may not send, and the picture was dropped. One too many while
    /// nothing is taken is dropped too.
    pub fn send_frame(self: &Arc<Self>, mut unit: FrameUnit) -> usize {
        if !self.is_open() {
            return 0;
        }
        let unsent = self.unsent.load(Ordering::Relaxed);
        let waiting = self.handed_over.fetch_add(unit.data.len(), Ordering::Relaxed) + unit.data.len();
        if waiting > MAX_FRAMES_BYTES {
            self.handed_over.fetch_sub(unit.data.len(), Ordering::Relaxed);
            return waiting + unsent;
        }
        unit.mark = self.frames.fetch_add(1, Ordering::Relaxed) + 1;
        self.outlet.send_frame(self, unit);
        waiting + unsent
    }

    /// The hub has taken a frame of so many bytes.
    pub(crate) fn is_taken(&self, size: usize) {
        self.handed_over.fetch_sub(size, Ordering::Relaxed);
    }

    /// Note how many bytes wait for their turn in the hub.
    pub(crate) fn set_unsent(&self, size: usize) {
        self.unsent.store(size, Ordering::Relaxed);
    }

    pub fn source_stats(&self) -> SourceStats {
        *locked(&self.source)
    }

    /// The index of its transport.
    pub(crate) fn place(&self) -> u64 {
        self.place.load(Ordering::Relaxed)
    }
}

/// A receiver. The hub gives it packets while somebody reads.
pub struct ReceiverShared {
    pub id: u64,
    pub kind: MediaKind,
    /// Figures of the sound that was played, for getStats.
    pub playout: Mutex<PlayoutStats>,
    /// How long media is held back, in milliseconds; [`NO_TARGET`]: as the receiver chooses.
    pub target: AtomicU32,
    is_wanted: AtomicBool,
    inlet: Mutex<Inlet>,
    /// Where its pictures go, and its packets of sound.
    frames: Mutex<Vec<Arc<Frames>>>,
    packets: Mutex<Vec<Arc<Packets>>>,
    /// The index of its transport in the hub.
    place: AtomicU64,
    heard: Mutex<Heard>,
    /// News that the program has not heard: media that began (its SSRC) or ended, and tones.
    pub(crate) changes: Arc<Waiting<Option<u32>>>,
    pub(crate) tones: Arc<Waiting<(char, f64)>>,
}

#[derive(Default)]
struct Inlet {
    packets: VecDeque<AudioPacket>,
    bytes: usize,
    dropped: u64,
}

impl ReceiverShared {
    pub fn new(id: u64, kind: MediaKind) -> Arc<ReceiverShared> {
        Arc::new(ReceiverShared {
            id,
            kind,
            playout: Mutex::default(),
            target: AtomicU32::new(NO_TARGET),
            is_wanted: AtomicBool::new(false),
            inlet: Mutex::default(),
            frames: Mutex::default(),
            packets: Mutex::default(),
            place: AtomicU64::new(NOWHERE),
            heard: Mutex::default(),
            changes: Arc::default(),
            tones: Arc::default(),
        })
    }

    /// The sources of its media in the last ten seconds.
    pub fn sources(&self, now: Instant) -> Vec<Source> {
        locked(&self.heard).sources(now)
    }

    pub fn playout_stats(&self) -> PlayoutStats {
        *locked(&self.playout)
    }

    /// Whether somebody reads. Packets for nobody are thrown away.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    pub fn set_wanted(&self, wanted: bool) {
        self.is_wanted.store(wanted, Ordering::Relaxed);
        if !wanted {
            *locked(&self.inlet) = Inlet::default();
        }
    }

    /// Give its pictures to one more queue.
    pub fn add_frames(&self, frames: Arc<Frames>) {
        locked(&self.frames).push(frames);
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Take a queue off. True: it was the last one.
    pub fn remove_frames(&self, id: u64) -> bool {
        let mut frames = locked(&self.frames);
        let before = frames.len();
        frames.retain(|one| one.id() != id);
        let is_last = frames.is_empty() && before > 0;
        if is_last {
            self.is_wanted.store(false, Ordering::Relaxed);
        }
        is_last
    }

    /// Give a picture to all that read.
    pub fn push_frame(&self, frame: Frame) {
        let Frame { ssrc, timestamp, arrived, .. } = frame;
        self.note(ssrc, timestamp, arrived, None);
        let frame = Arc::new(frame);
        locked(&self.frames).iter().for_each(|queue| queue.push(frame.clone()));
    }

    /// Give its packets of sound to one more queue, whether they are decoded or not.
    pub fn add_packets(&self, packets: Arc<Packets>) {
        locked(&self.packets).push(packets);
    }

    pub fn remove_packets(&self, id: u64) {
        locked(&self.packets).retain(|one| one.id() != id);
    }

    fn note(&self, ssrc: u32, timestamp: u64, arrived: Instant, level: Option<f64>) {
        locked(&self.heard).note(Source { ssrc, timestamp: timestamp as u32, arrived, level });
    }

    pub(crate) fn place(&self) -> u64 {
        self.place.load(Ordering::Relaxed)
    }

    pub(crate) fn set_place(&self, place: u64) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// Keep a packet for the media thread. When too many wait, the oldest go.
    pub fn push(&self, packet: AudioPacket) {
        self.note(packet.ssrc, packet.timestamp, packet.arrived, packet.level.map(heard::level));
        locked(&self.packets).iter().for_each(|queue| queue.push(packet.clone()));
        if !self.is_wanted() {
            return;
        }
        let mut inlet = locked(&self.inlet);
        inlet.bytes += packet.payload.len();
        inlet.packets.push_back(packet);
        while inlet.packets.len() > MAX_WAITING || inlet.bytes > MAX_WAITING_BYTES {
            let Some(oldest) = inlet.packets.pop_front() else { break };
            inlet.bytes -= oldest.payload.len();
            inlet.dropped += 1;
        }
    }

    /// Take all packets that wait, in the order in which they came.
    pub fn take(&self, into: &mut Vec<AudioPacket>) {
        let mut inlet = locked(&self.inlet);
        inlet.bytes = 0;
        into.extend(inlet.packets.drain(..));
    }

    /// How many packets were dropped because nobody took them in time.
    pub fn dropped(&self) -> u64 {
        locked(&self.inlet).dropped
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A packet of Opus for tests.
#[cfg(test)]
pub fn opus_packet(sequence: u64, size: usize) -> AudioPacket {
    AudioPacket {
        codec: adieu_engine::rtp::AudioCodec::Opus,
        channels: 2,
        ssrc: 7,
        sequence,
        timestamp: 960 * sequence,
        marker: false,
        level: None,
        arrived: Instant::now(),
        captured: None,
        payload: vec![0; size],
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use adieu_engine::rtp::AudioCodec;

    use super::*;

    /// The marks of the packets that were sent.
    #[derive(Default)]
    struct Marks(Mutex<Vec<u64>>);

    impl Outlet for Marks {
        fn send(&self, spoken: Vec<Spoken>) {
            locked(&self.0).extend(spoken.iter().map(|one| one.unit.mark));
        }

        fn send_frame(&self, _: &Arc<SenderShared>, unit: FrameUnit) {
            locked(&self.0).push(unit.mark);
        }
    }

    #[test]
    fn a_receiver_that_nobody_reads_keeps_nothing_and_one_that_is_slow_keeps_the_newest() {
        let receiver = ReceiverShared::new(1, MediaKind::Audio);
        let mut taken = Vec::new();
        receiver.push(opus_packet(0, 100));
        receiver.take(&mut taken);
        assert!(taken.is_empty());
        receiver.set_wanted(true);
        for sequence in 0..MAX_WAITING as u64 + 10 {
            receiver.push(opus_packet(sequence, 100));
        }
        receiver.take(&mut taken);
        assert_eq!((taken.len(), taken[0].sequence, receiver.dropped()), (MAX_WAITING, 10, 10));
        for sequence in 0..MAX_WAITING as u64 {
            receiver.push(opus_packet(sequence, 5000));
        }
        taken.clear();
        receiver.take(&mut taken);
        assert_eq!(taken.len(), MAX_WAITING_BYTES / 5000);
        receiver.push(opus_packet(1, 1));
        receiver.set_wanted(false);
        receiver.set_wanted(true);
        taken.clear();
        receiver.take(&mut taken);
        assert!(taken.is_empty());
    }

    fn unit(mark: u64, size: usize) -> AudioUnit {
        AudioUnit {
            codec: AudioCodec::Opus,
            timestamp: 0,
            marker: false,
            level: None,
            captured: Instant::now(),
            mark,
            payload: vec![0; size],
        }
    }

    #[test]
    fn the_largest_packets_of_a_tick_come_first_unless_a_sender_has_several() {
        let marks = Arc::new(Marks::default());
        let sender = |id| SenderShared::new(id, MediaKind::Audio, marks.clone());
        let (one, two, three) = (sender(1), sender(2), sender(3));
        let spoken = |sender: &Arc<SenderShared>, mark, size| Spoken {
            sender: sender.clone(),
            unit: unit(mark, size),
        };
        send_together(Vec::new());
        send_together(vec![spoken(&one, 1, 60), spoken(&two, 2, 90), spoken(&three, 3, 60)]);
        assert_eq!(*locked(&marks.0), [2, 1, 3]);
        send_together(vec![spoken(&one, 4, 60), spoken(&one, 5, 61), spoken(&two, 6, 90)]);
        assert_eq!(locked(&marks.0)[3..], [4, 5, 6]);
    }

    #[test]
    fn a_sender_is_open_while_it_has_a_plan() {
        let sender = SenderShared::new(1, MediaKind::Audio, Arc::new(Marks::default()));
        let plan = SendPlan {
            codec: AudioCodec::Opus,
            channels: 1,
            max_bitrate: None,
            fec: true,
            dtx: false,
            frame: Duration::from_millis(20),
        };
        assert!(!sender.is_open());
        let before = sender.revision();
        sender.set_plan(3, Some(plan.clone()));
        assert_ne!(sender.revision(), before);
        assert_eq!(sender.plan(), Some(plan));
        assert!(sender.is_open());
        sender.set_plan(3, None);
        assert!(!sender.is_open());
    }
}
