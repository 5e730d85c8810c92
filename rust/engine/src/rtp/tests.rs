use super::section::section;
use super::srtp::Profile;
use super::*;

/// Two sides with the keys of one association.
struct World {
    now: Instant,
    left: Media,
    right: Media,
}

impl World {
    fn new() -> World {
        let now = Instant::now();
        let side = |seed, is_client| {
            let mut media = Media::new(now, Duration::from_secs(1), Random::new([seed; 32]));
            let bytes: Vec<u8> = (0..56).collect();
            media.handle_secured(now, &Material { profile: Profile::Aes128Gcm, bytes, is_client });
            media
        };
        World { now, left: side(1, true), right: side(2, false) }
    }

    fn negotiate(&mut self, epoch: u32, sections: Vec<Section>) {
        let World { now, left, right } = self;
        left.apply(*now, epoch, "left".to_owned(), sections.clone());
        right.apply(*now, epoch, "right".to_owned(), sections);
    }

    fn speak(&mut self, sender: u64, mark: u64) -> bool {
        let unit = AudioUnit {
            codec: AudioCodec::Opus,
            timestamp: 960 * mark,
            marker: false,
            level: Some((20, true)),
            captured: self.now,
            mark,
            payload: vec![mark as u8; 60],
        };
        self.left.send_audio(self.now, sender, unit)
    }

    /// Carry what waits, and return the datagrams of the left side.
    fn carry(&mut self) -> Vec<Vec<u8>> {
        let out: Vec<Vec<u8>> = self.left.sending.waiting.drain(..).map(|waiting| waiting.bytes).collect();
        for datagram in &out {
            self.right.handle_datagram(self.now, datagram);
        }
        for waiting in std::mem::take(&mut self.right.sending.waiting) {
            self.left.handle_datagram(self.now, &waiting.bytes);
        }
        out
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for side in [&mut self.left, &mut self.right] {
            side.handle_timeout(self.now);
        }
        self.carry();
    }
}

fn events(media: &mut Media) -> Vec<MediaEvent> {
    std::iter::from_fn(|| media.poll_event()).collect()
}

/// The marks of the packets that a receiver got.
fn heard(media: &mut Media, wanted: u64) -> Vec<u8> {
    let of = |event| match event {
        MediaEvent::Audio { receiver, packet } if receiver == wanted => Some(packet.payload[0]),
        _ => None,
    };
    events(media).into_iter().filter_map(of).collect()
}

#[test]
fn a_packet_comes_to_the_receiver_of_its_section_with_its_level_and_the_track_is_on() {
    let mut world = World::new();
    world.negotiate(1, vec![section("a", 111)]);
    assert!(world.speak(1110, 1));
    world.carry();
    let all = events(&mut world.right);
    assert!(matches!(all[0], MediaEvent::Plan { sender: 1110, plan: Some(_) }));
    let MediaEvent::On { receiver: 1111, ssrc } = all[1] else { panic!("{all:?}") };
    let MediaEvent::Audio { receiver: 1111, packet } = &all[2] else { panic!("{all:?}") };
    assert_eq!((packet.ssrc, packet.level, packet.payload.len()), (ssrc, Some(20), 60));
    assert_eq!(world.left.sending.streams[0].ssrc, ssrc);
}

#[test]
fn the_first_report_comes_with_the_first_packet_and_then_one_each_second() {
    let mut world = World::new();
    world.negotiate(1, vec![section("a", 111)]);
    assert!(world.speak(1110, 1));
    assert_eq!(world.carry().len(), 2, "the packet, and a report");
    assert!(world.right.receive.streams[0].report.is_some());
    world.pass(REPORT_INTERVAL);
    let stats = world.left.stats(world.now);
    let remote = stats.outbound[0].remote.as_ref().expect("the right side has reported");
    assert_eq!((remote.lost, remote.measurements), (0, 1));
    assert_eq!(world.left.poll_timeout(world.now), Some(world.now + REPORT_INTERVAL));
}

#[test]
fn a_bye_turns_the_track_off_and_the_next_packet_on_again() {
    let mut world = World::new();
    world.negotiate(1, vec![section("a", 111)]);
    assert!(world.speak(1110, 1));
    world.carry();
    events(&mut world.right);
    let bye = world.left.last_word(world.now).expect("it has sent");
    assert!(world.right.handle_datagram(world.now, &bye));
    assert_eq!(events(&mut world.right), [MediaEvent::Off { receiver: 1111 }]);
    assert!(world.speak(1110, 2));
    world.carry();
    assert!(matches!(events(&mut world.right)[0], MediaEvent::On { receiver: 1111, .. }));
}

#[test]
fn a_sender_that_has_left_the_sections_says_bye_and_has_no_plan() {
    let mut world = World::new();
    world.negotiate(1, vec![section("a", 111)]);
    assert!(world.speak(1110, 1));
    world.carry();
    events(&mut world.left);
    world.left.apply(world.now, 2, "left".to_owned(), Vec::new());
    world.carry();
    assert!(events(&mut world.right).contains(&MediaEvent::Off { receiver: 1111 }));
    assert_eq!(events(&mut world.left), [MediaEvent::Plan { sender: 1110, plan: None }]);
    assert!(!world.speak(1110, 2));
}

#[test]
fn a_section_that_receives_again_turns_its_track_on_again_and_its_counts_go_on() {
    let mut world = World::new();
    world.negotiate(1, vec![section("a", 111)]);
    assert!(world.speak(1110, 1));
    world.carry();
    let silent = Section { receives: false, ..section("a", 111) };
    world.right.apply(world.now, 2, "right".to_owned(), vec![silent]);
    world.now += Duration::from_secs(3);
    assert!(world.speak(1110, 2));
    world.carry();
    events(&mut world.right);
    world.right.apply(world.now, 3, "right".to_owned(), vec![section("a", 111)]);
    assert!(world.speak(1110, 3));
    world.carry();
    assert!(matches!(events(&mut world.right)[0], MediaEvent::On { receiver: 1111, .. }));
    let stats = world.right.stats(world.now);
    assert_eq!((stats.inbound.len(), stats.inbound[0].packets), (1, 2));
}

/// A peer that adds video with numbers of its own, and a rollback of that.
#[test]
fn packets_on_the_way_are_heard_through_a_change_of_numbers_and_its_rollback() {
    let mut world = World::new();
    world.negotiate(1, vec![section("a", 111)]);
    for mark in 1..=3 {
        assert!(world.speak(1110, mark));
    }
    let renumbered = |receiver| Section { receiver: Some(1111), ..section("a", receiver) };
    world.right.apply(world.now, 2, "right".to_owned(), vec![renumbered(96)]);
    world.carry();
    assert_eq!(heard(&mut world.right, 1111), [1, 2, 3]);
    world.right.apply(world.now, 3, "right".to_owned(), vec![section("a", 111)]);
    assert!(world.speak(1110, 4));
    world.carry();
    assert_eq!(heard(&mut world.right, 1111), [4]);
    let ssrcs: Vec<u32> = world.right.receive.streams.iter().map(|stream| stream.ssrc).collect();
    assert_eq!(ssrcs, [world.left.sending.streams[0].ssrc], "the stream was one all the time");
}

#[test]
fn what_was_heard_is_told_by_marks() {
    let mut world = World::new();
    world.negotiate(1, vec![section("a", 111)]);
    for mark in 1..=5 {
        assert!(world.speak(1110, mark));
        for Waiting { bytes, sent } in std::mem::take(&mut world.left.sending.waiting) {
            if let Some((_, index, mark)) = sent {
                world.left.sending.streams[0].has_left(index, mark);
            }
            if mark != 5 {
                world.right.handle_datagram(world.now, &bytes);
            }
        }
    }
    events(&mut world.left);
    world.pass(REPORT_INTERVAL);
    let last = events(&mut world.left).pop();
    assert_eq!(last, Some(MediaEvent::Progress { sender: 1110, sent: 5, arrived: 4, loss: 0 }));
}

#[test]
fn a_tone_is_told_once_when_it_is_over() {
    let mut world = World::new();
    world.negotiate(1, vec![section("a", 111)]);
    assert!(world.speak(1110, 1));
    world.left.send_tone(world.now, 1110, '7', Duration::from_millis(100));
    for _ in 0..30 {
        world.pass(Duration::from_millis(10));
    }
    let tones: Vec<_> = events(&mut world.right)
        .into_iter()
        .filter(|event| matches!(event, MediaEvent::Tone { .. }))
        .collect();
    let [MediaEvent::Tone { receiver: 1111, tone: '7', seconds }] = tones[..] else { panic!("{tones:?}") };
    assert!((seconds - 0.1).abs() < 0.001);
}

#[test]
fn a_tone_is_told_when_all_packets_of_its_end_are_lost() {
    let mut world = World::new();
    world.negotiate(1, vec![section("a", 111)]);
    assert!(world.speak(1110, 1));
    world.left.send_tone(world.now, 1110, '7', Duration::from_millis(100));
    for _ in 0..6 {
        world.pass(Duration::from_millis(10));
    }
    let mut told = Vec::new();
    for at in 6..60 {
        world.now += Duration::from_millis(10);
        world.left.handle_timeout(world.now);
        world.left.sending.waiting.clear();
        if world.right.poll_timeout(world.now).is_some_and(|due| due <= world.now) {
            world.right.handle_timeout(world.now);
        }
        told.extend(events(&mut world.right).into_iter().map(|event| (at, event)));
    }
    told.retain(|(_, event)| matches!(event, MediaEvent::Tone { .. }));
    let [(at, MediaEvent::Tone { receiver: 1111, tone: '7', seconds })] = told[..] else {
        panic!("{told:?}")
    };
    assert!((25..40).contains(&at) && (0.02..0.1).contains(&seconds), "{at} {seconds}");
}

#[test]
fn redundant_blocks_come_as_the_packets_that_they_were() {
    let mut world = World::new();
    let mut with_red = section("a", 111);
    let red = Format { payload_type: 63, name: "red".to_owned(), ..with_red.receive[0].clone() };
    with_red.receive.push(red);
    world.negotiate(1, vec![with_red]);
    assert!(world.speak(1110, 1));
    world.carry();
    events(&mut world.right);
    let stream = &mut world.left.sending.streams[0];
    let mut payload = vec![0x80 | 111, 0x0f, 0x00, 2, 111];
    payload.extend_from_slice(&[1, 1, 2, 2]);
    let mut packet = Vec::new();
    let (ssrc, index) = (stream.ssrc, world.right.receive.streams[0].block(world.now).highest as u64 + 1);
    let header = wire::header::NewHeader {
        payload_type: 63,
        marker: false,
        sequence: index as u16,
        timestamp: 5000,
        ssrc,
        has_extension: false,
    };
    header.write(&mut packet);
    packet.extend_from_slice(&payload);
    world.left.srtp.as_ref().expect("keys").seal(&mut packet, 12, ssrc, index).expect("sealed");
    assert!(world.right.handle_datagram(world.now, &packet));
    let found: Vec<_> = events(&mut world.right)
        .into_iter()
        .filter_map(|event| match event {
            MediaEvent::Audio { packet, .. } => Some((packet.sequence, packet.payload)),
            _ => None,
        })
        .collect();
    assert_eq!(found, [(index - 1, vec![1, 1]), (index, vec![2, 2])]);
}

#[test]
fn nothing_of_a_forged_datagram_is_kept() {
    let mut world = World::new();
    world.negotiate(1, vec![section("a", 111)]);
    events(&mut world.right);
    for ssrc in 0..100_000u32 {
        let mut forged = vec![0x80, 111, 0, 1, 0, 0, 0, 1];
        forged.extend_from_slice(&ssrc.to_be_bytes());
        forged.extend_from_slice(&[0; 40]);
        assert!(!world.right.handle_datagram(world.now, &forged));
        forged[1] = 200;
        assert!(!world.right.handle_datagram(world.now, &forged));
    }
    assert_eq!(world.right.dropped, 200_000);
    assert!(world.right.receive.streams.is_empty() && world.right.events.is_empty());
}

#[test]
fn a_lost_path_takes_the_plans_and_the_packets() {
    let mut world = World::new();
    world.negotiate(1, vec![section("a", 111)]);
    assert!(world.speak(1110, 1));
    events(&mut world.left);
    world.left.handle_lost(world.now);
    assert_eq!(events(&mut world.left), [MediaEvent::Plan { sender: 1110, plan: None }]);
    assert!(world.left.sending.waiting.is_empty() && !world.speak(1110, 2));
    assert_eq!(world.left.poll_timeout(world.now), None);
}
