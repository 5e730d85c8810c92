use super::super::section::{Format, MID, MediaKind, TRANSPORT_CC, VideoCodec, section};
use super::super::srtp::{Material, Profile};
use super::super::wire::extensions::elements;
use super::super::wire::feedback::Feedback;
use super::super::wire::header::Header;
use super::super::{AudioCodec, Media};
use super::*;

const MS: Duration = Duration::from_millis(1);
const SENDER: u64 = 960;

/// A side that sends pictures, and the keys of a peer that reads what it likes.
struct World {
    now: Instant,
    media: Media,
    peer: Srtp,
}

/// A packet as the peer reads it.
#[derive(Clone, Debug, PartialEq)]
struct Packet {
    header: Header,
    number: Option<u16>,
    payload: Vec<u8>,
    size: usize,
}

fn video() -> Section {
    let format = |payload_type, name: &str, fmtp: &str| Format {
        payload_type,
        name: name.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        fmtp: fmtp.to_owned(),
    };
    let send = vec![
        format(96, "VP8", ""),
        format(97, "rtx", "apt=96"),
        format(102, "H264", "packetization-mode=1;profile-level-id=42e01f"),
        format(103, "rtx", "apt=102"),
    ];
    Section {
        kind: MediaKind::Video,
        send: send.clone(),
        receive: send,
        extensions: vec![(4, MID.to_owned()), (3, TRANSPORT_CC.to_owned())],
        ..section("v", 96)
    }
}

impl World {
    fn new(sections: Vec<Section>) -> World {
        let now = Instant::now();
        let bytes: Vec<u8> = (0..56).collect();
        let material = |is_client| Material { profile: Profile::Aes128Gcm, bytes: bytes.clone(), is_client };
        let mut media = Media::new(now, Duration::from_secs(1), Random::new([1; 32]));
        media.handle_secured(now, &material(true));
        media.apply(now, 1, "left".to_owned(), sections);
        World { now, media, peer: Srtp::new(&material(false)).expect("material") }
    }

    fn send(&mut self, timestamp: u64, key: bool, size: usize) -> bool {
        let unit = FrameUnit {
            encoding: 0,
            codec: VideoCodec::Vp8,
            key,
            temporal: 0,
            timestamp,
            age: 10 * MS,
            mark: 0,
            data: vec![7; size],
        };
        self.media.send_frame(self.now, SENDER, unit)
    }

    /// The packets that leave until so much time has passed, and their moments. RTCP is left out.
    fn pass(&mut self, time: Duration) -> Vec<(Instant, Packet)> {
        let (until, mut out) = (self.now + time, Vec::new());
        loop {
            while self.media.fill(self.now) {
                let Waiting { bytes, sent } = self.media.sending.waiting.pop_front().expect("one waits");
                let left = sent.and_then(|sent| self.media.sending.has_left(sent));
                self.media.events.extend(left);
                if !super::super::wire::is_rtcp(&bytes) {
                    out.push((self.now, self.read(bytes)));
                }
            }
            let next = self.media.poll_timeout(self.now).filter(|at| *at <= until);
            let Some(next) = next else { break };
            self.now = next.max(self.now);
            self.media.handle_timeout(self.now);
        }
        self.now = until;
        out
    }

    fn read(&mut self, mut bytes: Vec<u8>) -> Packet {
        let size = bytes.len();
        let header = Header::parse(&bytes).expect("a header");
        self.peer.open(&header, &mut bytes);
        let number = header.extension.as_ref().and_then(|(profile, range)| {
            let mut found = elements(*profile, &bytes[range.clone()]);
            found.find(|(id, _)| *id == 3).map(|(_, value)| u16::from_be_bytes([value[0], value[1]]))
        });
        let payload = header.payload(&bytes).expect("a payload").to_vec();
        Packet { header, number, payload, size }
    }

    fn rtcp(&mut self, write: impl FnOnce(&mut Vec<u8>, u32)) {
        let mut compound = Vec::new();
        write(&mut compound, self.media.sending.streams[0].ssrc);
        self.peer.seal_rtcp(&mut compound).expect("sealed");
        assert!(self.media.handle_datagram(self.now, &compound));
    }

    fn events(&mut self) -> Vec<MediaEvent> {
        let all = std::iter::from_fn(|| self.media.poll_event());
        all.filter(|event| !matches!(event, MediaEvent::Progress { .. })).collect()
    }

    fn targets(&mut self) -> Vec<u32> {
        let of = |event| match event {
            MediaEvent::Target { sender: SENDER, encoding: 0, bitrate } => Some(bitrate),
            _ => None,
        };
        self.events().into_iter().filter_map(of).collect()
    }
}

#[test]
fn a_frame_leaves_in_small_packets_of_which_the_last_has_the_marker() {
    let mut world = World::new(vec![video()]);
    let events = world.events();
    assert!(
        matches!(&events[0], MediaEvent::VideoPlan { sender: SENDER, plan: Some(plan) } if plan.codec == VideoCodec::Vp8)
    );
    assert!(matches!(
        events[1],
        MediaEvent::Target { sender: SENDER, encoding: 0, bitrate: 200_000..300_000 }
    ));
    assert!(world.send(9000, true, 10_000) && world.send(12_000, false, 900));
    let out = world.pass(1000 * MS);
    assert!(out.iter().all(|(_, packet)| packet.size <= 1200 && packet.header.payload_type == 96));
    let markers: Vec<bool> = out.iter().map(|(_, packet)| packet.header.marker).collect();
    assert_eq!(markers.iter().filter(|marker| **marker).count(), 2);
    assert!(markers[8] && markers[9], "{markers:?}");
    let sequences: Vec<u16> = out.iter().map(|(_, packet)| packet.header.sequence).collect();
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
    assert_eq!(
        out.iter().map(|(_, packet)| packet.number).collect::<Vec<_>>(),
        (0..10).map(Some).collect::<Vec<_>>()
    );
    assert_eq!(out[9].1.header.timestamp, out[0].1.header.timestamp.wrapping_add(3000));
    let took = out[9].0 - out[0].0;
    assert!((50 * MS..200 * MS).contains(&took), "{took:?} at the pace of 750 kbit/s");
}

#[test]
fn sound_leaves_before_pictures_that_wait_and_shares_their_numbers() {
    let mut sound = section("a", 111);
    sound.extensions.push((3, TRANSPORT_CC.to_owned()));
    let mut world = World::new(vec![video(), sound]);
    assert!(world.send(9000, true, 20_000));
    world.pass(10 * MS);
    let unit = AudioUnit {
        codec: AudioCodec::Opus,
        timestamp: 960,
        marker: false,
        level: None,
        captured: world.now,
        mark: 1,
        payload: vec![1; 60],
    };
    assert!(world.media.send_audio(world.now, 1110, unit));
    let out = world.pass(1000 * MS);
    assert_eq!(out[0].1.header.payload_type, 111);
    assert!(out.windows(2).all(|pair| pair[1].1.number == pair[0].1.number.map(|number| number + 1)));
}

#[test]
fn a_packet_that_is_asked_for_comes_in_a_stream_of_its_own_once_in_a_round_trip() {
    let mut world = World::new(vec![video()]);
    assert!(world.send(9000, true, 5000));
    let sent = world.pass(200 * MS);
    let lost = &sent[2].1;
    for _ in 0..5 {
        let sequence = lost.header.sequence.into();
        world.rtcp(|out, ssrc| rtcp::write_nack(out, 9, ssrc, &[sequence]));
    }
    let again = world.pass(50 * MS);
    let [(_, packet)] = &again[..] else { panic!("{again:?}") };
    let header = &packet.header;
    assert_eq!((header.payload_type, header.timestamp), (97, lost.header.timestamp));
    assert_ne!(header.ssrc, lost.header.ssrc);
    assert_eq!(packet.payload[..2], lost.header.sequence.to_be_bytes());
    assert_eq!(packet.payload[2..], lost.payload);
    assert_eq!(packet.number, Some(sent.len() as u16));
    let stats = world.media.stats(world.now).outbound.remove(0);
    let video = stats.video.expect("pictures");
    assert_eq!((video.nacks, video.asked, video.repairs.0, stats.packets), (5, 1, 1, sent.len() as u64));
    let sequence = lost.header.sequence.into();
    world.rtcp(|out, ssrc| rtcp::write_nack(out, 9, ssrc, &[sequence]));
    assert!(world.pass(10 * MS).is_empty(), "not twice within 100 ms");
    world.pass(100 * MS);
    world.rtcp(|out, ssrc| rtcp::write_nack(out, 9, ssrc, &[sequence]));
    assert_eq!(world.pass(50 * MS).len(), 1);
}

#[test]
fn without_a_format_for_it_the_same_bytes_are_sent_again() {
    let mut section = video();
    section.send.retain(|format| format.name != "rtx");
    let mut world = World::new(vec![section]);
    assert!(world.send(9000, true, 100));
    world.media.fill(world.now);
    let first = world.media.sending.waiting[0].bytes.clone();
    let sequence = world.pass(10 * MS)[0].1.header.sequence.into();
    world.rtcp(|out, ssrc| rtcp::write_nack(out, 9, ssrc, &[sequence]));
    assert!(world.media.fill(world.now));
    assert_eq!(world.media.sending.waiting[0].bytes, first, "the cipher is used for the same content");
}

#[test]
fn a_peer_that_asks_for_five_thousand_packets_gets_a_quarter_of_the_rate() {
    let mut world = World::new(vec![video()]);
    for frame in 0..30 {
        world.send(3000 * frame, frame == 0, 1000);
        world.pass(33 * MS);
    }
    let highest =
        world.media.sending.streams[0].info(world.now, &world.media.clock).expect("it sends").packets;
    assert_eq!(highest, 30);
    let (mut bytes, start) = (0, world.now);
    for _ in 0..100 {
        let all: Vec<u64> = (0..5000).map(|number| number * 13).collect();
        world.rtcp(|out, ssrc| rtcp::write_nack(out, 9, ssrc, &all));
        let every: Vec<u64> = (0..0x1_0000).collect();
        for some in every.chunks(5000) {
            world.rtcp(|out, ssrc| rtcp::write_nack(out, 9, ssrc, some));
        }
        bytes += world.pass(10 * MS).iter().map(|(_, packet)| packet.size).sum::<usize>();
    }
    let rate = bytes as f64 * 8.0 / (world.now - start).as_secs_f64();
    assert!((10_000.0..250_000.0).contains(&rate), "{rate} bits a second of 750 000");
}

#[test]
fn a_thousand_wishes_for_key_frames_are_four_a_second() {
    let mut world = World::new(vec![video()]);
    world.events();
    let mut told = 0;
    for round in 0..1000u32 {
        world.rtcp(|out, ssrc| rtcp::write_pli(out, 9, ssrc));
        if round % 10 == 0 {
            world.rtcp(|out, _| rtcp::write_pli(out, 9, 12_345));
        }
        world.pass(MS);
        let wished = world.events().into_iter();
        told += wished
            .filter(|event| matches!(event, MediaEvent::KeyWanted { sender: SENDER, encoding: 0 }))
            .count();
    }
    assert_eq!(told, 4);
    assert_eq!(world.media.stats(world.now).outbound[0].video.as_ref().map(|video| video.plis), Some(1000));
}

#[test]
fn a_wish_by_number_counts_once() {
    let mut world = World::new(vec![video()]);
    world.events();
    for number in [1, 1, 1, 2] {
        let fir = |out: &mut Vec<u8>, ssrc: u32| {
            out.extend_from_slice(&[0x84, 206, 0, 4, 0, 0, 0, 9, 0, 0, 0, 0]);
            out.extend_from_slice(&ssrc.to_be_bytes());
            out.extend_from_slice(&[number, 0, 0, 0]);
        };
        world.rtcp(fir);
    }
    assert_eq!(world.events(), [MediaEvent::KeyWanted { sender: SENDER, encoding: 0 }]);
    assert_eq!(world.media.stats(world.now).outbound[0].video.as_ref().map(|video| video.firs), Some(2));
}

#[test]
fn a_sender_that_is_not_active_stops_at_once_and_goes_on_with_its_numbers() {
    let mut world = World::new(vec![video()]);
    assert!(world.send(9000, true, 30_000));
    let before = world.pass(50 * MS);
    world.events();
    world.media.apply(world.now, 2, "left".to_owned(), vec![Section { active: false, ..video() }]);
    assert_eq!(world.events(), [MediaEvent::VideoPlan { sender: SENDER, plan: None }]);
    let asked = before.last().expect("some had left").1.header.sequence.into();
    world.rtcp(|out, ssrc| rtcp::write_nack(out, 9, ssrc, &[asked]));
    assert!(world.pass(1000 * MS).is_empty() && !world.send(12_000, true, 100));
    world.media.apply(world.now, 3, "left".to_owned(), vec![video()]);
    let events = world.events();
    assert!(matches!(events[..], [MediaEvent::VideoPlan { plan: Some(_), .. }, MediaEvent::Target { .. }]));
    assert!(world.send(9000, true, 100), "a timestamp of before");
    let (_, after) = &world.pass(50 * MS)[0];
    let last = &before.last().expect("some had left").1;
    assert_eq!(after.header.ssrc, last.header.ssrc);
    assert_eq!(after.header.sequence, last.header.sequence.wrapping_add(1), "what was dropped leaves no gap");
    assert_eq!(after.header.timestamp, last.header.timestamp.wrapping_add(1), "it grows");
}

/// A number that comes twice, in one stream and with the same keys, would open the cipher.
#[test]
fn a_stream_that_is_named_again_goes_on_with_its_numbers() {
    let section = Section { own_ssrcs: Some((7, 8)), ..video() };
    let mut world = World::new(vec![section.clone()]);
    let mut numbers = Vec::new();
    for epoch in 2..10 {
        assert!(world.send(9000, true, 100));
        let sent = world.pass(5 * MS).remove(0).1.header;
        world.now += 200 * MS;
        world.rtcp(|out, ssrc| rtcp::write_nack(out, 9, ssrc, &[sent.sequence.into()]));
        let again = world.pass(5 * MS).remove(0).1.header;
        assert_eq!((sent.ssrc, again.ssrc), (7, 8));
        numbers.push((sent.sequence, again.sequence));
        world.media.apply(world.now, epoch, "left".to_owned(), Vec::new());
        world.media.apply(world.now, epoch, "left".to_owned(), vec![section.clone()]);
    }
    let (first, again) = numbers[0];
    let expected: Vec<_> = (0..8).map(|at| (first + at, again + at)).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn reports_speak_of_the_time_of_capture() {
    let mut world = World::new(vec![video()]);
    assert!(world.send(9000, true, 100));
    let (at, packet) = world.pass(5 * MS).remove(0);
    let info = world.media.sending.streams[0].info(world.now, &world.media.clock).expect("it sends");
    assert_eq!(info.ntp, world.media.clock.ntp(world.now));
    let since = (world.now - at + 10 * MS).as_secs_f64();
    let ticks = info.timestamp.wrapping_sub(packet.header.timestamp);
    assert!((f64::from(ticks) - since * 90_000.0).abs() <= 1.0, "{ticks} ticks in {since} s");
}

#[test]
fn feedback_raises_the_target_and_a_limit_of_the_peer_holds_it() {
    let mut world = World::new(vec![video()]);
    let mut told = world.targets();
    for frame in 0..150u64 {
        let size = (told.last().copied().unwrap_or(0) / 240) as usize;
        world.send(3000 * frame, frame == 0, size);
        let out = world.pass(33 * MS);
        let Some((first, last)) = out.first().zip(out.last()) else { continue };
        let base = first.1.number.expect("a number");
        let arrived = out.iter().map(|(at, packet)| {
            let ticks = (*at + 50 * MS - (world.now - 10_000 * MS)).as_micros() as i64 / 250;
            (packet.number.expect("a number").wrapping_sub(base), ticks + 133 * frame as i64)
        });
        let arrived: Vec<(u16, i64)> = arrived.collect();
        let packets = last.1.number.expect("a number").wrapping_sub(base) + 1;
        let feedback = Feedback { base, count: frame as u8, packets, arrived };
        world.rtcp(|out, ssrc| feedback.write(out, 9, ssrc));
        told.extend(world.targets());
    }
    let highest = *told.last().expect("a target");
    assert!(highest > 1_500_000, "{told:?}");
    assert_eq!(world.media.stats(world.now).available.map(|bits| bits > highest), Some(true));
    let remb = |out: &mut Vec<u8>, ssrc: u32| {
        out.extend_from_slice(&[0x8f, 206, 0, 5, 0, 0, 0, 9, 0, 0, 0, 0]);
        out.extend_from_slice(b"REMB");
        out.extend_from_slice(&(1u32 << 24 | 3 << 18 | 62_500).to_be_bytes());
        out.extend_from_slice(&ssrc.to_be_bytes());
    };
    world.rtcp(remb);
    assert_eq!(world.targets(), [475_000], "500 kbit/s, of which some are headers");
    let strange = Feedback { base: 40_000, count: 0, packets: 100, arrived: vec![(0, 9), (99, 7)] };
    world.rtcp(|out, ssrc| strange.write(out, 9, ssrc));
    assert_eq!(world.targets(), [] as [u32; 0], "about packets that were never sent");
}

#[test]
fn a_bye_names_both_streams() {
    let mut world = World::new(vec![video()]);
    assert!(world.send(9000, true, 100));
    world.pass(5 * MS);
    let ssrcs: Vec<u32> = world.media.sending.streams[0].ssrcs().collect();
    let mut bye = world.media.last_word(world.now).expect("it has sent");
    assert!(world.peer.open_rtcp(&mut bye));
    assert!(rtcp::packets(&bye).any(|packet| packet == Some(rtcp::Packet::Bye { ssrcs: ssrcs.clone() })));
}

#[test]
fn frames_of_another_codec_or_without_units_are_not_sent() {
    let mut world = World::new(vec![video()]);
    let unit = |codec, data: &[u8]| FrameUnit {
        encoding: 0,
        codec,
        key: true,
        temporal: 0,
        timestamp: 1,
        age: Duration::ZERO,
        mark: 0,
        data: data.to_vec(),
    };
    assert!(!world.media.send_frame(world.now, SENDER, unit(VideoCodec::H264, &[0, 0, 1, 0x65, 1])));
    let mut section = video();
    section.send.rotate_left(2);
    world.media.apply(world.now, 2, "left".to_owned(), vec![section]);
    assert!(!world.media.send_frame(world.now, SENDER, unit(VideoCodec::H264, &[1, 2, 3])));
    assert!(world.media.send_frame(world.now, SENDER, unit(VideoCodec::H264, &[0, 0, 1, 0x65, 1])));
    assert_eq!(world.pass(5 * MS)[0].1.header.payload_type, 102);
}
