//! Tests of delivery, order, and readers that do not read.

use super::world::*;
use crate::channel::*;
use crate::sctp::packet::{chunks, inspect_packet};

#[test]
fn empty_messages_and_both_kinds_arrive_as_what_they_are() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    let now = world.now;
    let kinds = [(Kind::Text, ""), (Kind::Binary, ""), (Kind::Text, "text"), (Kind::Binary, "bytes")];
    for (kind, payload) in kinds {
        let Side { sctp, channels } = &mut world.sides[0];
        assert!(channels.send(now, sctp, ours, kind, payload.into()));
    }
    world.run_for(second());
    let expected: Vec<Seen> =
        kinds.into_iter().map(|(kind, payload)| Seen::Message(theirs, kind, payload.into())).collect();
    assert_eq!(world.seen(1), expected);
}

#[test]
fn an_unordered_channel_sends_in_order_until_the_peer_has_shown_that_it_knows_it() {
    const DATA_UNORDERED: u8 = 4;
    let mut world = World::connected();
    let ours = world.open(0, 0, ChannelOptions { ordered: false, ..plain("u") });
    let flags = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = flags.clone();
    world.wire = Box::new(move |from_first, packet| {
        if from_first {
            seen.borrow_mut().extend(chunks(packet).filter(|chunk| chunk.kind == 0).map(|chunk| chunk.flags));
        }
        true
    });
    world.send(0, ours, b"before the ACK");
    world.run_for(second());
    assert!(flags.borrow().iter().all(|flags| flags & DATA_UNORDERED == 0), "{flags:?}");
    flags.borrow_mut().clear();
    world.send(0, ours, b"after it");
    world.run_for(second());
    assert!(flags.borrow().iter().any(|flags| flags & DATA_UNORDERED != 0), "{flags:?}");
}

#[test]
fn partial_reliability_gives_up_and_the_channel_lives_on() {
    for reliability in [Reliability::Retransmits(0), Reliability::Lifetime(50)] {
        let mut world = World::connected();
        let ours = world.open(0, 0, ChannelOptions { reliability, ..plain("p") });
        world.run_for(second());
        world.seen(1);
        world.wire = Box::new(|from_first, packet| !(from_first && inspect_packet(packet).has_data));
        for number in 0..5 {
            world.send(0, ours, &[number; 2000]);
        }
        world.run_for(second() * 3);
        world.wire = Box::new(|_, _| true);
        world.run_for(second() * 3);
        assert_eq!(world.seen(1), [], "all were given up: {reliability:?}");
        world.send(0, ours, b"alive");
        world.run_for(second() * 2);
        assert!(matches!(&world.seen(1)[..], [Seen::Message(_, _, payload)] if payload == b"alive"));
        world.close(0, ours);
        world.run_for(second() * 2);
        assert!(world.seen(0).contains(&closed(ours)));
    }
}

/// The counts of the original's tests, which take losses and timers for something else.
#[test]
fn a_lost_piece_is_sent_again_as_often_as_it_may_be() {
    for limit in 0..=3 {
        let mut world = World::connected();
        let reliability = Reliability::Retransmits(limit);
        let ours = world.open(0, 0, ChannelOptions { reliability, ..plain("p") });
        world.run_for(second());
        let sent = std::rc::Rc::new(std::cell::RefCell::new(std::collections::BTreeMap::new()));
        let seen = sent.clone();
        world.wire = Box::new(move |from_first, packet| {
            for chunk in chunks(packet).filter(|chunk| from_first && chunk.kind == 0) {
                let tsn = u32::from_be_bytes(*chunk.value.first_chunk().expect("a TSN"));
                *seen.borrow_mut().entry(tsn).or_insert(0) += 1;
            }
            !(from_first && inspect_packet(packet).has_data)
        });
        for number in 0..3 {
            world.send(0, ours, &[number; 100]);
            world.run_for(second() * 4);
        }
        let counts: Vec<u16> = sent.borrow().values().copied().collect();
        assert_eq!(counts, [limit + 1; 3], "{limit}");
    }
}

#[test]
fn a_half_sent_message_that_expires_does_not_kill_its_ordered_channel() {
    let mut world = World::connected();
    let ours = world.open(0, 0, ChannelOptions { reliability: Reliability::Lifetime(50), ..plain("p") });
    world.run_for(second());
    world.seen(1);
    // Far above the congestion window: a part of it arrives, the rest is still queued when its time is over.
    world.send(0, ours, &[0; 200_000]);
    world.run_for(second() * 3);
    world.send(0, ours, b"alive");
    world.run_for(second() * 3);
    let seen = world.seen(1);
    assert!(
        matches!(&seen[..], [Seen::Message(_, _, payload)] if payload == b"alive"),
        "{} events",
        seen.len()
    );
}

#[test]
fn a_message_larger_than_the_window_ends_the_association_in_place_of_stalling_it() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    assert!(world.send(0, ours, &vec![0; 3 << 20]));
    world.run_for(second() * 20);
    let seen = world.seen(1);
    assert!(
        matches!(&seen[..], [Seen::Closed(key, Some(why), None)] if *key == theirs && why.contains("window")),
        "{seen:?}"
    );
    let seen = world.seen(0);
    assert!(
        matches!(&seen[..], [Seen::Closed(key, Some(why), Some(12))] if *key == ours && why.contains("window")),
        "{seen:?}"
    );
}

#[test]
fn messages_that_were_complete_before_an_abort_are_delivered() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    world.sides[1].sctp.pause(world.now, true);
    world.send(0, ours, b"first");
    world.run_for(second());
    assert_eq!(world.seen(1), []);
    let abort = world.sides[0].sctp.abort(world.now, "bye").expect("an association to abort");
    world.sides[1].sctp.handle_packet(world.now, &abort);
    world.turn(1);
    let seen = world.seen(1);
    assert_eq!(seen[0], Seen::Message(theirs, Kind::Binary, b"first".to_vec()));
    assert!(matches!(seen[1], Seen::Closed(key, Some(_), Some(12)) if key == theirs), "{seen:?}");
}

#[test]
fn a_reader_that_stops_closes_the_window_and_one_that_goes_on_opens_it_at_once() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    world.sides[1].sctp.pause(world.now, true);
    for number in 0..60u8 {
        world.send(0, ours, &[number; 50_000]);
    }
    world.run_for(second() * 5);
    assert_eq!(world.seen(1), []);
    assert!(world.sides[0].sctp.buffered(0) > 1_000_000, "the sender is stopped by the window");
    let resumed = world.now;
    world.sides[1].sctp.pause(resumed, false);
    world.turn(1);
    let packets: Vec<_> = world.under_way.iter().filter(|(_, to, _)| *to == 0).collect();
    assert!(packets.iter().any(|(_, _, packet)| has_chunk(packet, 3)), "the window is announced at once");
    world.run_for(second() * 3);
    let seen = world.seen(1);
    assert_eq!(seen.len(), 60);
    assert!(seen.iter().enumerate().all(|(number, seen)| matches!(
        seen,
        Seen::Message(key, _, payload) if *key == theirs && payload[0] == number as u8
    )));
}

#[test]
fn after_a_stall_no_timer_is_left_in_the_past() {
    let mut world = World::connected();
    let (ours, _) = world.channel(0);
    world.send(0, ours, b"lost");
    world.wire = Box::new(|_, _| false);
    world.turn(0);
    let now = world.now + second() * 60;
    let sctp = &mut world.sides[0].sctp;
    sctp.handle_timeout(now);
    assert!(sctp.poll_timeout().is_some_and(|at| at > now && at <= now + second()));
}

#[test]
fn a_reset_of_a_paused_reader_waits_behind_what_was_sent_before_it() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    world.sides[1].sctp.pause(world.now, true);
    world.send(0, ours, b"last words");
    world.close(0, ours);
    world.run_for(second() * 2);
    assert_eq!(world.seen(1), [], "the reset does not overtake");
    let now = world.now;
    world.sides[1].sctp.pause(now, false);
    world.run_for(second());
    let words = Seen::Message(theirs, Kind::Binary, b"last words".to_vec());
    assert_eq!(world.seen(1), [words, Seen::Closing(theirs), closed(theirs)]);
}

#[test]
fn many_small_messages_to_a_paused_reader_are_bounded_in_count() {
    let mut world = World::connected();
    let (ours, _) = world.channel(0);
    world.sides[1].sctp.pause(world.now, true);
    for _ in 0..200_000 {
        world.send(0, ours, &[1]);
    }
    world.run_for(second() * 10);
    assert!(world.sides[1].sctp.dropped > 0, "further DATA was dropped");
    let now = world.now;
    world.sides[1].sctp.pause(now, false);
    world.run_for(second() * 60);
    assert_eq!(world.seen(1).len(), 200_000, "and came again, each once");
    assert!(world.now > world.start);
}

#[test]
fn a_message_that_overtakes_the_end_of_the_handshake_waits_for_it() {
    let mut world = World::new();
    let keys = [world.open(0, 7, negotiated()), world.open(1, 7, negotiated())];
    let mut lost = 0;
    world.wire = Box::new(move |from_first, packet| {
        let ends = has_chunk(packet, COOKIE_ACK) && lost == 0;
        lost += usize::from(ends);
        from_first || !(ends || has_chunk(packet, INIT)) // so that only one side begins
    });
    world.run_for(DELAY * 4);
    assert_eq!(world.sides[0].sctp.state(), SctpState::Connecting);
    assert_eq!(world.seen(1), [Seen::Open(keys[1])]);
    assert!(world.send(1, keys[1], b"overtakes"));
    world.run_for(DELAY * 3);
    assert_eq!(world.seen(0), [], "its channel is not open");
    world.run_for(second() * 3);
    let heard = Seen::Message(keys[0], Kind::Binary, b"overtakes".to_vec());
    assert_eq!(world.seen(0), [Seen::Open(keys[0]), heard]);
}
