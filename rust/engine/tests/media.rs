//! Sound through two whole transports: the keys come from their handshake.

mod common;

use adieu_engine::demux::Class;
use adieu_engine::rtp::{AudioCodec, AudioUnit, Format, MediaEvent, MediaKind, Section};
use common::{Pair, seconds};

const SENDER: u64 = 10;
const RECEIVER: u64 = 20;

fn section() -> Section {
    let opus = Format {
        payload_type: 111,
        name: "opus".to_owned(),
        clock_rate: 48_000,
        channels: 2,
        fmtp: "useinbandfec=1".to_owned(),
    };
    Section {
        mid: "0".to_owned(),
        kind: MediaKind::Audio,
        sender: Some(SENDER),
        receiver: Some(RECEIVER),
        sends: true,
        receives: true,
        send: vec![opus.clone()],
        receive: vec![opus],
        extensions: vec![(4, "urn:ietf:params:rtp-hdrext:sdes:mid".to_owned())],
        ssrcs: Vec::new(),
        rids: Vec::new(),
        own_ssrcs: None,
        active: true,
        max_bitrate: None,
        reduced_size: false,
    }
}

fn negotiate(pair: &mut Pair, epoch: u32, sections: &[Section]) {
    let now = pair.now;
    for at in 0..2 {
        let names = (epoch, format!("side {at}"));
        pair.peers[at].transport.apply_media(now, seconds(1.0), names, sections.to_vec());
        pair.turn(at);
    }
}

/// Both sides send so many packets, 20 ms apart.
fn speak(pair: &mut Pair, marks: std::ops::RangeInclusive<u64>) {
    for mark in marks {
        let now = pair.now;
        for at in 0..2 {
            let unit = AudioUnit {
                codec: AudioCodec::Opus,
                timestamp: 960 * mark,
                marker: mark == 1,
                level: None,
                captured: now,
                mark,
                payload: mark.to_be_bytes().repeat(8),
            };
            pair.peers[at].transport.send_audio(now, SENDER, unit);
            pair.turn(at);
        }
        pair.run_for(0.02);
    }
}

/// The marks of the packets that a side has heard.
fn heard(pair: &Pair, at: usize) -> Vec<u64> {
    let of = |event: &MediaEvent| match event {
        MediaEvent::Audio { receiver: RECEIVER, packet } => {
            Some(u64::from_be_bytes(packet.payload[..8].try_into().expect("eight bytes")))
        }
        _ => None,
    };
    pair.peers[at].media.iter().filter_map(of).collect()
}

fn progress(pair: &Pair, at: usize) -> (u64, u64, u32) {
    let of = |event: &MediaEvent| match event {
        MediaEvent::Progress { sender: SENDER, sent, arrived, loss } => Some((*sent, *arrived, *loss)),
        _ => None,
    };
    pair.peers[at].media.iter().rev().find_map(of).unwrap_or_default()
}

#[test]
fn sound_passes_both_ways_beside_the_data_and_reports_say_so() {
    let mut pair = Pair::connected();
    negotiate(&mut pair, 1, &[section()]);
    speak(&mut pair, 1..=120);
    for at in 0..2 {
        assert!(matches!(&pair.peers[at].media[0], MediaEvent::Plan { plan: Some(plan), .. } if plan.fec));
        assert_eq!(heard(&pair, at), (1..=120).collect::<Vec<_>>());
        let (sent, arrived, loss) = progress(&pair, at);
        assert_eq!((sent, loss), (120, 0));
        assert!((90..=120).contains(&arrived), "{arrived} by a report each second");
        let stats = pair.peers[at].transport.stats(pair.now).media.expect("media");
        let remote = stats.outbound[0].remote.as_ref().expect("reports");
        let round_trip = remote.round_trip.expect("measured");
        assert!((round_trip - 0.02).abs() < 0.001, "{round_trip}");
        assert_eq!((stats.inbound[0].packets, stats.inbound[0].lost), (120, 0));
        let remote = stats.inbound[0].remote.expect("the peer's reports");
        assert!(remote.1 >= 60 && remote.3 >= 2);
    }
    assert!(pair.is_connected());
}

#[test]
fn sound_that_is_negotiated_before_the_handshake_waits_for_its_keys() {
    let mut pair = Pair::started(common::Setup::default());
    negotiate(&mut pair, 1, &[section()]);
    assert!(pair.peers[0].media.is_empty(), "no plan without keys");
    pair.run_for(1.0);
    assert!(matches!(&pair.peers[0].media[..], [MediaEvent::Plan { plan: Some(_), .. }]));
    speak(&mut pair, 1..=5);
    assert_eq!(heard(&pair, 1), [1, 2, 3, 4, 5]);
}

#[test]
fn what_is_lost_is_told_to_the_sender() {
    let mut pair = Pair::connected();
    negotiate(&mut pair, 1, &[section()]);
    let mut count = 0;
    pair.filter = Box::new(move |from, bytes| {
        let is_sound = from == 0 && bytes[0] >= 128 && !(192..=223).contains(&bytes[1]);
        count += usize::from(is_sound);
        !is_sound || count % 10 != 0
    });
    speak(&mut pair, 1..=110);
    assert_eq!(heard(&pair, 1).len(), 99);
    let (_, _, loss) = progress(&pair, 0);
    assert!((80..=120).contains(&loss), "{loss} of a thousand");
    assert_eq!(pair.peers[1].transport.stats(pair.now).media.expect("media").inbound[0].lost, 11 - 1);
}

/// Closing rule 6: BYE before the ABORT, in the last packets of a connection that is cut.
#[test]
fn a_close_says_bye_first() {
    let mut pair = Pair::connected();
    pair.channel(0);
    negotiate(&mut pair, 1, &[section()]);
    speak(&mut pair, 1..=3);
    let before = pair.sent.len();
    pair.close(0, "bye");
    let classes: Vec<Class> = pair.sent[before..].iter().map(|sent| sent.class()).collect();
    assert_eq!(classes, [Class::Rtp, Class::Dtls, Class::Dtls], "BYE, ABORT, close_notify");
    pair.run_for(0.1);
    assert!(pair.peers[1].media.contains(&MediaEvent::Off { receiver: RECEIVER }));
    let last = pair.peers[1].media.last();
    assert_eq!(last, Some(&MediaEvent::Plan { sender: SENDER, plan: None }), "the path is over");
}

#[test]
fn nothing_piles_up_while_the_peer_is_away() {
    let mut pair = Pair::connected();
    negotiate(&mut pair, 1, &[section()]);
    speak(&mut pair, 1..=10);
    pair.is_cut = true;
    speak(&mut pair, 11..=2000);
    let before = pair.sent_by(0, Class::Rtp).len();
    speak(&mut pair, 2001..=2100);
    assert_eq!(pair.sent_by(0, Class::Rtp).len(), before, "without consent nothing leaves");
    pair.is_cut = false;
    pair.run_for(10.0);
    assert_eq!(heard(&pair, 1).len(), 10, "and nothing of it comes later");
}

#[test]
fn packets_for_nobody_are_counted() {
    let mut pair = Pair::connected();
    negotiate(&mut pair, 1, &[section()]);
    let now = pair.now;
    pair.peers[1].transport.apply_media(now, seconds(1.0), (2, "x".to_owned()), Vec::new());
    pair.run_for(3.0);
    let before = pair.peers[1].transport.drops().media;
    speak(&mut pair, 1..=10);
    assert!(pair.peers[1].transport.drops().media >= before + 10);
    assert_eq!(heard(&pair, 1), []);
}
