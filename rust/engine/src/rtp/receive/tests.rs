//! A camera and a receiver with a link between them that loses, delays and reorders, in virtual time.

use std::collections::BTreeMap;

use super::super::Media;
use super::super::section::{TRANSPORT_CC, section};
use super::super::srtp::{Material, Profile, Srtp};
use super::super::wire::extensions::Writer;
use super::super::wire::feedback::Feedback;
use super::super::wire::header::NewHeader;
use super::*;
use crate::random::Random;

const RECEIVER: u64 = 7;
const CAMERA: u32 = 100;
const REPAIRS: u32 = 101;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn format(payload_type: u8, name: &str, fmtp: &str) -> Format {
    Format { payload_type, name: name.to_owned(), clock_rate: 90_000, channels: 0, fmtp: fmtp.to_owned() }
}

fn pictures() -> Section {
    let receive = vec![
        format(96, "VP8", ""),
        format(97, "rtx", "apt=96"),
        format(102, "H264", "packetization-mode=1"),
        format(103, "rtx", "apt=102"),
        format(118, "red", ""),
        format(119, "rtx", "apt=118"),
    ];
    Section {
        kind: MediaKind::Video,
        sender: None,
        receiver: Some(RECEIVER),
        receive,
        extensions: vec![(3, TRANSPORT_CC.to_owned())],
        reduced_size: true,
        ..section("v", 96)
    }
}

/// How the camera sends.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Vp8,
    /// In RED, as browsers send when it is negotiated.
    Red,
    /// VP8 with temporal layers 0, 2, 1, 2.
    Layers,
    H264,
}

#[derive(Clone, Copy)]
struct Link {
    /// Packets of a thousand.
    loss: u64,
    delay: u64,
    jitter: u64,
}

struct World {
    now: Instant,
    start: Instant,
    seed: u64,
    link: Link,
    way: Way,
    camera: Srtp,
    receiver: Media,
    /// Datagrams on their way: to the receiver, and back.
    there: BTreeMap<(Instant, u64), Vec<u8>>,
    back: BTreeMap<(Instant, u64), Vec<u8>>,
    count: u64,
    sequence: u64,
    repairs: u64,
    number: u16,
    history: BTreeMap<u16, (bool, u32, Vec<u8>)>,
    answers_nacks: bool,
    wants_key: bool,
    frames: u64,
    base: u8,
    keys: u64,
    plis: Vec<Instant>,
    nacks: Vec<(Instant, usize)>,
    feedback: Vec<Feedback>,
    /// Frames of the receiver: when, and the frame.
    seen: Vec<(Instant, Frame)>,
    /// When each frame left.
    left: Vec<Instant>,
}

impl World {
    fn new(way: Way, link: Link) -> World {
        let now = Instant::now();
        let material =
            |is_client| Material { profile: Profile::Aes128Gcm, bytes: (0..56).collect(), is_client };
        let mut receiver = Media::new(now, Duration::from_secs(1), Random::new([2; 32]));
        receiver.handle_secured(now, &material(false));
        receiver.apply(now, 1, "receiver".to_owned(), vec![pictures()]);
        receiver.read(now, RECEIVER, true);
        World {
            now,
            start: now,
            seed: 1,
            link,
            way,
            camera: Srtp::new(&material(true)).expect("keys"),
            receiver,
            there: BTreeMap::new(),
            back: BTreeMap::new(),
            count: 0,
            sequence: 65_000,
            repairs: 0,
            number: 65_000,
            history: BTreeMap::new(),
            answers_nacks: true,
            wants_key: true,
            frames: 0,
            base: 0,
            keys: 0,
            plis: Vec::new(),
            nacks: Vec::new(),
            feedback: Vec::new(),
            seen: Vec::new(),
            left: Vec::new(),
        }
    }

    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.seed >> 33
    }

    /// The content of a frame: its number, and bytes that depend on it.
    fn content(number: u64, is_key: bool) -> Vec<u8> {
        let size = if is_key { 30_000 } else { 3000 + number * 37 % 4000 };
        let mut data = vec![u8::from(!is_key)];
        data.extend_from_slice(&number.to_be_bytes());
        data.extend((0..size).map(|at| (number * 31 + at * 7) as u8 | 1));
        data
    }

    /// The payloads of a frame, and what the receiver must make of it.
    fn payloads(&mut self, number: u64, is_key: bool) -> (Vec<Vec<u8>>, Vec<u8>) {
        let data = World::content(number, is_key);
        if self.way == Way::H264 {
            let head = if is_key { 0x65 } else { 0x41 };
            let mut whole = Vec::new();
            let mut payloads = Vec::new();
            if is_key {
                payloads.push(vec![0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 2]);
                whole.extend_from_slice(&[0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2]);
            }
            whole.extend_from_slice(&[0, 0, 0, 1, head]);
            whole.extend_from_slice(&data);
            let last = data.chunks(1100).count() - 1;
            payloads.extend(data.chunks(1100).enumerate().map(|(at, part)| {
                let marks = u8::from(at == 0) << 7 | u8::from(at == last) << 6;
                [&[head & 0xe0 | 28, marks | head & 0x1f], part].concat()
            }));
            return (payloads, whole);
        }
        let layer = [0, 2, 1, 2][(number % 4) as usize];
        if self.way != Way::Layers || layer == 0 || is_key {
            self.base = self.base.wrapping_add(1);
        }
        let (base, id) = (self.base, number as u16 & 0x7fff | 0x8000);
        let is_layered = self.way == Way::Layers;
        let payloads = data.chunks(1100).enumerate().map(|(at, part)| {
            let mut payload = vec![0x80 | u8::from(at == 0) << 4, if is_layered { 0xe0 } else { 0x80 }];
            payload.extend_from_slice(&id.to_be_bytes());
            if is_layered {
                let layer = if is_key { 0 } else { layer };
                payload.extend_from_slice(&[base, layer << 6 | u8::from(layer > 0) << 5]);
            }
            if self.way == Way::Red {
                payload.insert(0, 96);
            }
            [payload.as_slice(), part].concat()
        });
        (payloads.collect(), data)
    }

    fn picture(&mut self) {
        let (number, is_key) = (self.frames, std::mem::take(&mut self.wants_key));
        self.frames += 1;
        self.keys += u64::from(is_key);
        self.left.push(self.now);
        let (payloads, _) = self.payloads(number, is_key);
        let last = payloads.len() - 1;
        let timestamp = (u64::from(u32::MAX) - 90_000 + number * 3000) as u32;
        for (at, payload) in payloads.into_iter().enumerate() {
            let index = self.sequence;
            self.sequence += 1;
            let payload_type = match self.way {
                Way::H264 => 102,
                Way::Red => 118,
                Way::Vp8 | Way::Layers => 96,
            };
            self.history.insert(index as u16, (at == last, timestamp, payload.clone()));
            self.send((CAMERA, payload_type, index), (at == last, timestamp), &payload);
        }
        while self.history.len() > 1000 {
            self.history.pop_first();
        }
    }

    fn send(
        &mut self,
        (ssrc, payload_type, index): (u32, u8, u64),
        (marker, timestamp): (bool, u32),
        payload: &[u8],
    ) {
        let mut packet = Vec::new();
        let sequence = index as u16;
        NewHeader { payload_type, marker, sequence, timestamp, ssrc, has_extension: true }.write(&mut packet);
        let number = self.number.to_be_bytes();
        let mut extensions = Writer::default();
        extensions.add(3, &number);
        self.number = self.number.wrapping_add(1);
        extensions.write(&mut packet);
        let header = packet.len();
        packet.extend_from_slice(payload);
        self.camera.seal(&mut packet, header, ssrc, index).expect("sealed");
        self.count += 1;
        if self.random() % 1000 >= self.link.loss {
            let delay =
                ms(self.link.delay) + Duration::from_micros(self.random() % (self.link.jitter * 1000 + 1));
            self.there.insert((self.now + delay, self.count), packet);
        }
    }

    fn take_rtcp(&mut self, mut compound: Vec<u8>) {
        assert!(self.camera.open_rtcp(&mut compound));
        for packet in rtcp::packets(&compound) {
            match packet.expect("well-formed") {
                rtcp::Packet::KeyWanted { ssrc: CAMERA } => {
                    self.plis.push(self.now);
                    self.wants_key = true;
                }
                rtcp::Packet::Nack { ssrc: CAMERA, lost } => {
                    let pairs = lost.iter().flat_map(|(first, mask)| {
                        let others = (0..16).filter(move |bit| mask >> bit & 1 == 1);
                        std::iter::once(*first).chain(others.map(|bit| first.wrapping_add(bit + 1)))
                    });
                    let numbers: Vec<u16> = pairs.collect();
                    self.nacks.push((self.now, numbers.len()));
                    numbers.into_iter().for_each(|number| self.repeat(number));
                }
                rtcp::Packet::Transport(feedback) => self.feedback.push(feedback),
                _ => {}
            }
        }
    }

    fn repeat(&mut self, sequence: u16) {
        let Some((marker, timestamp, payload)) = self.history.get(&sequence).cloned() else { return };
        if !self.answers_nacks {
            return;
        }
        let payload = [&sequence.to_be_bytes(), payload.as_slice()].concat();
        let payload_type = match self.way {
            Way::H264 => 103,
            Way::Red => 119,
            Way::Vp8 | Way::Layers => 97,
        };
        let index = self.repairs;
        self.repairs += 1;
        self.send((REPAIRS, payload_type, index), (marker, timestamp), &payload);
    }

    /// Carry all that waits at the receiver, and take its frames.
    fn pump(&mut self) {
        for waiting in std::mem::take(&mut self.receiver.sending.waiting) {
            self.count += 1;
            if self.random() % 1000 >= self.link.loss {
                self.back.insert((self.now + ms(self.link.delay), self.count), waiting.bytes);
            }
        }
        while let Some(event) = self.receiver.poll_event() {
            if let MediaEvent::Frame { receiver: RECEIVER, frame } = event {
                self.seen.push((self.now, frame));
            }
        }
    }

    /// Let the time pass, with 30 pictures a second.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let picture = self.start + Duration::from_micros(self.frames * 33_333);
            let there = self.there.first_key_value().map(|((at, _), _)| *at);
            let back = self.back.first_key_value().map(|((at, _), _)| *at);
            let timeout = self.receiver.poll_timeout(self.now);
            let next = [Some(picture), there, back, timeout].into_iter().flatten().min().expect("a picture");
            if next >= end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if there == Some(next) {
                let (_, packet) = self.there.pop_first().expect("a packet");
                assert!(self.receiver.handle_datagram(self.now, &packet));
            } else if back == Some(next) {
                let (_, packet) = self.back.pop_first().expect("a packet");
                self.take_rtcp(packet);
            } else if timeout == Some(next) {
                self.receiver.handle_timeout(self.now);
            } else {
                self.picture();
            }
            self.pump();
        }
    }

    /// Each frame that was seen is one that was sent, once, in order, and what it refers to was seen before.
    fn check(&mut self) {
        let mut before: Option<u64> = None;
        let seen = std::mem::take(&mut self.seen);
        for (_, frame) in &seen {
            let number = number_of(frame);
            let (_, expected) = self.payloads(number, frame.key);
            assert_eq!(frame.data, expected, "frame {number}");
            assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
            if !frame.key && self.way != Way::Layers {
                assert_eq!(before, Some(number - 1), "what {number} refers to was not seen");
            }
            before = Some(number);
        }
        self.seen = seen;
    }

    /// The longest time between two frames, and the longest from the camera to the receiver.
    fn gaps(&self) -> (Duration, Duration) {
        let pairs = self.seen.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let ages = self.seen.iter().map(|(at, frame)| *at - self.left[number_of(frame) as usize]);
        (pairs.max().unwrap_or_default(), ages.max().unwrap_or_default())
    }
}

fn number_of(frame: &Frame) -> u64 {
    let from = match frame.codec {
        VideoCodec::Vp8 => 1,
        VideoCodec::H264 if frame.key => 18,
        VideoCodec::H264 => 6,
    };
    u64::from_be_bytes(frame.data[from..from + 8].try_into().expect("eight bytes"))
}

const CLEAN: Link = Link { loss: 0, delay: 25, jitter: 0 };

#[test]
fn without_loss_each_frame_is_handed_up_with_its_last_packet() {
    for way in [Way::Vp8, Way::Red, Way::Layers, Way::H264] {
        let mut world = World::new(way, CLEAN);
        world.run(ms(10_000));
        world.check();
        assert!(world.seen.len() >= 299);
        assert_eq!(world.gaps().1, ms(25), "no frame waits for the next");
        assert_eq!((world.plis.len(), world.nacks.len(), world.keys), (0, 0, 1), "nothing is asked for");
        let ids: Vec<u64> = world.seen.iter().map(|(_, frame)| frame.id).collect();
        assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_lost_is_repaired_in_a_round_trip() {
    for (loss, longest) in [(10, 200), (50, 300)] {
        for way in [Way::Vp8, Way::Red, Way::Layers, Way::H264] {
            let mut world = World::new(way, Link { loss, ..CLEAN });
            world.run(ms(30_000));
            world.check();
            let share = world.seen.len() as f64 / world.frames as f64;
            let (freeze, age) = world.gaps();
            assert!(share > 0.99, "{share} with {loss} of a thousand lost");
            assert!(freeze <= ms(longest) && age <= ms(longest + 50), "{freeze:?}, {age:?}");
            assert!(world.plis.len() <= 1, "{} wishes for a key frame", world.plis.len());
        }
    }
}

#[test]
fn packets_that_overtake_one_another_are_not_asked_for() {
    for way in [Way::Vp8, Way::H264] {
        let mut world = World::new(way, Link { jitter: 12, ..CLEAN });
        world.run(ms(2000));
        let learned = world.nacks.len();
        world.run(ms(18_000));
        world.check();
        assert!(world.seen.len() >= 598);
        let asked: usize = world.nacks[learned..].iter().map(|(_, count)| count).sum();
        assert!(asked <= world.sequence as usize / 500, "{asked} were asked for");
        assert!(world.plis.is_empty());
    }
}

#[test]
fn a_peer_that_repairs_nothing_is_asked_for_a_key_frame_after_four_round_trips() {
    for way in [Way::Vp8, Way::H264] {
        let mut world = World::new(way, CLEAN);
        world.answers_nacks = false;
        world.run(ms(2000));
        world.link.loss = 1000;
        world.run(ms(34));
        let (lost, before) = (world.now, world.seen.len());
        world.link.loss = 0;
        world.run(ms(1500));
        world.check();
        let asked = world.plis[0] - lost;
        assert_eq!(world.plis.len(), 1);
        // Without a measured round trip it counts as 100 ms; the next picture tells of the loss.
        assert!((ms(440)..ms(540)).contains(&asked), "{asked:?}");
        let freeze = world.gaps().0;
        assert!(freeze < ms(650), "{freeze:?}");
        assert!(world.seen.len() > before + 25);
    }
}

#[test]
fn a_frame_of_an_upper_layer_that_is_lost_costs_no_key_frame() {
    let mut world = World::new(Way::Layers, CLEAN);
    world.answers_nacks = false;
    world.run(ms(2000));
    while world.frames % 4 != 1 {
        world.run(ms(5));
    }
    world.link.loss = 1000;
    while world.frames % 4 == 1 {
        world.run(ms(1));
    }
    world.link.loss = 0;
    world.run(ms(2000));
    world.check();
    assert_eq!((world.plis.len(), world.keys), (0, 1));
    assert_eq!(world.seen.len() as u64, world.frames - 2, "all but that one, and one that is on its way");
}

#[test]
fn a_key_frame_behind_a_gap_ends_the_wait() {
    let mut world = World::new(Way::Vp8, CLEAN);
    world.answers_nacks = false;
    world.run(ms(2000));
    world.link.loss = 1000;
    world.run(ms(34));
    world.link.loss = 0;
    world.run(ms(500));
    let before = world.seen.len();
    world.wants_key = true;
    world.run(ms(100));
    world.check();
    assert!(world.seen.len() > before && world.seen[before].1.key);
    let asked = world.plis.len();
    world.run(ms(2000));
    assert_eq!(world.plis.len(), asked, "it is not asked for any longer");
}

#[test]
fn a_wish_for_a_key_frame_is_repeated_until_it_is_here_and_not_to_a_silent_peer() {
    let mut world = World::new(Way::H264, CLEAN);
    world.wants_key = false;
    world.link.loss = 0;
    // All that the camera hears is lost.
    let mut asked = Vec::new();
    let end = world.now + ms(2000);
    while world.now < end {
        world.run(ms(10));
        let lost: Vec<_> = world.back.keys().map(|(at, _)| *at).collect();
        asked.extend(lost);
        world.back.clear();
        world.plis.clear();
    }
    assert!(world.seen.is_empty());
    let asked_keys = world.receiver.receive.streams[0].asked.keys;
    assert!((5..=7).contains(&asked_keys), "{asked_keys} in two seconds");
    let silent = world.now + ms(10_000);
    while world.now < silent {
        let Some(due) = world.receiver.poll_timeout(world.now).filter(|due| *due < silent) else { break };
        world.now = world.now.max(due);
        world.receiver.handle_timeout(world.now);
        world.receiver.sending.waiting.clear();
    }
    assert!(world.receiver.receive.streams[0].asked.keys - asked_keys <= 7, "it is silent");
}

#[test]
fn who_begins_to_read_gets_a_key_frame_and_who_does_not_read_costs_nothing() {
    let mut world = World::new(Way::Vp8, CLEAN);
    world.receiver.read(world.now, RECEIVER, false);
    world.run(ms(5000));
    assert!(world.seen.is_empty() && world.plis.is_empty());
    assert!(world.receiver.receive.streams.iter().all(|stream| stream.video.is_none()));
    assert!(world.feedback.len() >= 45, "but feedback goes on");
    world.receiver.read(world.now, RECEIVER, true);
    world.pump();
    let began = world.now;
    world.run(ms(1000));
    world.check();
    assert_eq!(world.plis.len(), 1);
    assert!(world.seen[0].1.key && world.seen[0].0 - began <= ms(100));
}

#[test]
fn feedback_names_each_packet_once_with_its_arrival() {
    let mut world = World::new(Way::Vp8, Link { loss: 20, ..CLEAN });
    world.link.jitter = 3;
    world.run(ms(10_000));
    let mut told = BTreeMap::new();
    for feedback in &world.feedback {
        for (number, arrival) in feedback.all() {
            if let Some(arrival) = arrival {
                told.insert(number, arrival);
            }
        }
    }
    // 2 % are lost there, and 2 % of the feedback on the way back.
    let sent = world.number.wrapping_sub(65_000) as f64;
    let share = told.len() as f64 / sent;
    assert!((0.92..0.99).contains(&share), "{share}");
    let longest = world.feedback.iter().map(|feedback| feedback.packets).max();
    assert!(longest < Some(120), "{longest:?}");
}

#[test]
fn a_picture_has_its_time_by_the_report_of_the_peer() {
    let mut world = World::new(Way::Vp8, CLEAN);
    world.run(ms(500));
    assert!(world.seen.iter().all(|(_, frame)| frame.captured.is_none()));
    let info = SenderInfo {
        ntp: 4_000_000_000 << 32,
        timestamp: (u64::from(u32::MAX) - 90_000 + world.frames * 3000) as u32,
        packets: 1,
        bytes: 1,
    };
    let mut compound = Vec::new();
    rtcp::write_report(&mut compound, CAMERA, Some(&info), &[]);
    world.camera.seal_rtcp(&mut compound).expect("sealed");
    let taken = world.start + Duration::from_micros(world.frames * 33_333);
    world.now = world.now.max(taken + ms(25));
    assert!(world.receiver.handle_datagram(world.now, &compound));
    let before = world.seen.len();
    world.run(ms(2000));
    for (_, frame) in &world.seen[before + 2..] {
        let captured = frame.captured.expect("a report was there");
        let left = world.left[number_of(frame) as usize];
        let delay = captured.duration_since(left);
        assert!(delay.abs_diff(ms(25)) < ms(2), "{delay:?}");
    }
}

#[test]
fn a_bye_mutes_and_the_next_packet_begins_anew() {
    let mut world = World::new(Way::Vp8, CLEAN);
    world.run(ms(500));
    let mut compound = Vec::new();
    rtcp::write_report(&mut compound, CAMERA, None, &[]);
    rtcp::write_bye(&mut compound, &[CAMERA, REPAIRS]);
    world.camera.seal_rtcp(&mut compound).expect("sealed");
    world.receiver.handle_datagram(world.now, &compound);
    assert_eq!(world.receiver.poll_event(), Some(MediaEvent::Off { receiver: RECEIVER }));
    assert_eq!(world.receiver.poll_event(), None, "once");
    world.run(ms(500));
    world.check();
    assert_eq!(world.plis.len(), 1, "a key frame to begin with");
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let mut world = World::new(Way::Vp8, CLEAN);
    // Frames that never end, from many streams.
    for index in 0..20_000u64 {
        let ssrc = 200 + (index % 100) as u32;
        world.send((ssrc, 96, index / 100), (false, 1), &[0; 1100]);
        let (_, packet) = world.there.pop_first().expect("a packet");
        world.receiver.handle_datagram(world.now, &packet);
        world.receiver.sending.waiting.clear();
    }
    assert_eq!(world.receiver.receive.streams.len(), MAX_STREAMS);
    let videos = world.receiver.receive.streams.iter().filter(|stream| stream.video.is_some());
    assert_eq!(videos.count(), MAX_VIDEOS);
    for index in 1000..10_000u64 {
        world.send((200, 96, index), (false, 1), &[0; 1100]);
        let (_, packet) = world.there.pop_first().expect("a packet");
        world.receiver.handle_datagram(world.now, &packet);
        let stream = world.receiver.receive.streams.iter().find(|stream| stream.ssrc == 200);
        let video = stream.and_then(|stream| stream.video.as_ref()).expect("it is read");
        assert!(video.assembly.bytes() <= 4 << 20);
    }
}
