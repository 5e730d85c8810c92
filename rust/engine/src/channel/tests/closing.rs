//! The closing procedure with loss, refusal and silence.

use std::time::Duration;

use super::world::*;
use crate::channel::*;
use crate::sctp::packet::inspect_packet;

#[test]
fn closing_rules_40_to_44_the_closer_is_fully_heard_and_both_end_closed() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    for number in 0..50u8 {
        assert!(world.send(0, ours, &[number; 20_000]));
    }
    world.close(0, ours);
    assert!(!world.send(0, ours, b"late"), "closing rule 39");
    world.run_for(second() * 10);
    let heard = world.seen(1);
    let messages =
        heard.iter().filter(|seen| matches!(seen, Seen::Message(_, _, payload) if payload.len() == 20_000));
    assert_eq!(messages.count(), 50);
    assert_eq!(heard[50..], [Seen::Closing(theirs), closed(theirs)]);
    assert_eq!(world.seen(0), [closed(ours)], "closing rule 37: no closing event for the closer");
    assert_eq!(world.counts(), [0, 0]);
}

#[test]
fn closing_rule_45_what_the_other_had_in_flight_is_dropped_at_the_closer_but_leaves_its_buffer() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    for _ in 0..30 {
        assert!(world.send(1, theirs, &[1; 20_000]));
    }
    world.turn(1);
    world.close(0, ours);
    world.run_for(second() * 10);
    assert_eq!(world.seen(0), [closed(ours)]);
    assert_eq!(world.seen(1), [Seen::Closing(theirs), closed(theirs)]);
    let channels = &mut world.sides[1].channels;
    let drained: usize = std::iter::from_fn(|| channels.poll_drained()).map(|(_, bytes)| bytes).sum();
    assert_eq!(drained, 600_000);
}

#[test]
fn closing_rule_46_both_close_at_once_and_both_end_closed_without_error() {
    for data in [0, 10] {
        let mut world = World::connected();
        let (ours, theirs) = world.channel(0);
        for _ in 0..data {
            world.send(0, ours, &[0; 5000]);
            world.send(1, theirs, &[1; 5000]);
        }
        world.close(0, ours);
        world.close(1, theirs);
        world.run_for(second() * 5);
        assert_eq!(world.seen(0), [closed(ours)]);
        assert_eq!(world.seen(1), [closed(theirs)]);
    }
}

#[test]
fn closing_rule_47_a_stream_is_used_again_after_both_resets_and_old_and_new_do_not_mix() {
    let mut world = World::connected();
    for round in 0..5u8 {
        let (ours, theirs) = world.channel(4);
        for _ in 0..3 {
            world.send(0, ours, &[round; 3000]);
            world.send(1, theirs, &[round; 3000]);
        }
        world.run_for(second());
        for (at, key) in [(0, ours), (1, theirs)] {
            let seen = world.seen(at);
            let expected = Seen::Message(key, Kind::Binary, vec![round; 3000]);
            assert!(seen.len() == 3 && seen.iter().all(|seen| *seen == expected), "round {round}: {seen:?}");
        }
        world.close(usize::from(round % 2), if round % 2 == 0 { ours } else { theirs });
        world.run_for(second());
        world.seen(0);
        world.seen(1);
        assert_eq!(world.counts(), [0, 0]);
    }
}

#[test]
fn a_stream_that_is_still_closing_can_not_be_opened_again() {
    let mut world = World::connected();
    let (ours, _) = world.channel(4);
    world.close(0, ours);
    let again = world.open(0, 4, plain("again"));
    assert!(matches!(&world.seen(0)[..], [Seen::Failed(key, _)] if *key == again));
    world.run_for(second());
    assert_eq!(world.seen(0), [closed(ours)], "the first one ends as if nothing had been");
    world.seen(1);
    world.channel(4);
}

#[test]
fn closing_rule_52_before_the_association_is_up_a_close_says_nothing_on_the_wire() {
    let mut world = World::new();
    let key = world.open(0, 0, plain("x"));
    world.close(0, key);
    assert_eq!(world.seen(0), [closed(key)]);
    world.wire = Box::new(|_, packet| {
        assert!(!has_chunk(packet, RE_CONFIG) && !inspect_packet(packet).has_data, "nothing of this channel");
        true
    });
    world.run_for(second() * 3);
    assert_eq!(world.seen(1), []);
}

#[test]
fn closing_rule_53_a_channel_closed_before_its_ack_still_resets_its_stream() {
    let mut world = World::connected();
    let ours = world.open(0, 0, plain("x"));
    world.close(0, ours);
    world.run_for(second());
    assert_eq!(world.seen(0), [Seen::Open(ours), closed(ours)]);
    let heard = world.seen(1);
    assert!(
        matches!(heard[..], [Seen::Incoming(..), Seen::Closing(_), Seen::Closed(_, None, None)]),
        "{heard:?}"
    );
}

#[test]
fn closing_rule_54_a_negotiated_channel_closes_the_same_way() {
    let mut world = World::connected();
    let (ours, theirs) = (world.open(0, 7, negotiated()), world.open(1, 7, negotiated()));
    assert_eq!(world.seen(0), [Seen::Open(ours)]);
    assert_eq!(world.seen(1), [Seen::Open(theirs)]);
    world.send(0, ours, b"hello");
    world.close(0, ours);
    world.run_for(second());
    assert_eq!(world.seen(0), [closed(ours)]);
    let hello = Seen::Message(theirs, Kind::Binary, b"hello".to_vec());
    assert_eq!(world.seen(1), [hello, Seen::Closing(theirs), closed(theirs)]);
}

#[test]
fn with_each_packet_lost_in_turn_everything_arrives_and_both_end_closed() {
    let run = |lost: Option<usize>| {
        let mut world = World::connected();
        let (ours, theirs) = world.channel(0);
        let mut count = 0;
        world.wire = Box::new(move |_, _| {
            count += 1;
            Some(count - 1) != lost
        });
        world.packets = 0;
        for number in 0..8 {
            world.send(0, ours, &[number; 3000]);
            world.send(1, theirs, &[number; 3000]);
        }
        world.run_for(Duration::from_millis(15));
        world.close(0, ours);
        world.run_for(second() * 20);
        let (first, second) = (world.seen(0), world.seen(1));
        assert_eq!(first.last(), Some(&closed(ours)), "packet {lost:?} lost: {first:?}");
        assert_eq!(
            second[second.len() - 2..],
            [Seen::Closing(theirs), closed(theirs)],
            "packet {lost:?} lost"
        );
        assert_eq!(second.len(), 10, "all eight messages of the closer, packet {lost:?} lost");
        world.packets
    };
    let packets = run(None);
    assert!(packets > 15, "{packets}");
    for lost in 0..packets {
        run(Some(lost));
    }
}

/// Change the result of every re-configuration response (RFC 6525 section 4.4) that passes.
fn with_result(packet: &mut [u8], result: u8) {
    const RESPONSE: u16 = 16;
    let mut at = 12;
    while at + 4 <= packet.len() {
        let length = usize::from(u16::from_be_bytes([packet[at + 2], packet[at + 3]]));
        let is_response = packet.len() >= at + 16 && packet[at + 4..at + 6] == RESPONSE.to_be_bytes();
        if packet[at] == RE_CONFIG && is_response {
            packet[at + 15] = result;
        }
        at += length.max(4).next_multiple_of(4);
    }
}

#[test]
fn closing_rule_73_refused_resets_do_not_leave_a_channel_in_closing_for_ever() {
    // Denied, wrong SSN, request already in progress, bad sequence number
    for result in [2, 3, 4, 5] {
        let mut world = World::connected();
        let (ours, theirs) = world.channel(0);
        world.wire = Box::new(move |from_first, packet| {
            if !from_first {
                with_result(packet, result);
            }
            true
        });
        world.close(0, ours);
        world.run_for(second() * 30);
        assert_eq!(world.seen(0), [closed(ours)], "the peer did reset its own direction, result {result}");
        assert_eq!(world.seen(1), [Seen::Closing(theirs), closed(theirs)], "result {result}");
    }
}

#[test]
fn a_refusal_that_passes_is_tried_again() {
    let mut world = World::connected();
    let (ours, _) = world.channel(0);
    let mut refusals = 2;
    world.wire = Box::new(move |from_first, packet| {
        if !from_first && refusals > 0 && has_chunk(packet, RE_CONFIG) {
            refusals -= 1;
            with_result(packet, 3);
        }
        true
    });
    world.close(0, ours);
    world.run_for(second() * 3);
    assert_eq!(world.seen(0), [closed(ours)]);
}

#[test]
fn closing_rule_74_a_peer_that_never_answers_ends_it_with_an_error_and_the_stream_stays_taken() {
    let mut world = World::connected();
    let (ours, _) = world.channel(0);
    world.wire = Box::new(|from_first, packet| from_first || !has_chunk(packet, RE_CONFIG));
    world.close(0, ours);
    world.run_for(second() * 9);
    assert_eq!(world.seen(0), []);
    world.run_for(second() * 2);
    match &world.seen(0)[..] {
        [Seen::Closed(key, Some(error), None)] if *key == ours => {
            assert!(error.contains("in time"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    let again = world.open(0, 0, plain("again"));
    assert!(matches!(&world.seen(0)[..], [Seen::Failed(key, _)] if *key == again), "its stream is not free");
    world.wire = Box::new(|_, _| true);
    world.run_for(second() * 5);
    assert_eq!(world.seen(0), [], "late answers change nothing for the application");
    world.seen(1);
    world.channel(0);
}

#[test]
fn a_peer_that_still_sends_is_waited_for() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    // A link so bad that one packet of data passes each four seconds.
    let tokens = std::rc::Rc::new(std::cell::Cell::new(0));
    let left = tokens.clone();
    world.wire = Box::new(move |from_first, packet| {
        if from_first || !inspect_packet(packet).has_data {
            return true;
        }
        let passes = left.get() > 0;
        left.set(left.get() - i32::from(passes));
        passes
    });
    for _ in 0..8 {
        world.send(1, theirs, &[0; 1100]);
    }
    world.turn(1);
    world.close(0, ours);
    for _ in 0..7 {
        world.run_for(second() * 4);
        tokens.set(1);
    }
    assert_eq!(world.seen(0), [], "28 s later it still waits");
    tokens.set(100);
    world.run_for(second() * 4);
    assert_eq!(world.seen(0), [closed(ours)]);
}

#[test]
fn closing_rules_56_to_58_an_abort_closes_every_channel_with_its_cause() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    let waiting = world.open(1, 1, negotiated());
    world.send(0, ours, &[0; 100_000]);
    world.turn(0);
    let abort = world.sides[0].sctp.abort(world.now, "bye").expect("an association to abort");
    world.under_way.clear();
    world.sides[1].sctp.handle_packet(world.now, &abort);
    world.turn(1);
    let error = Some("User-Initiated Abort, reason=bye".to_owned());
    let seen = world.seen(1);
    let expected = [
        Seen::Open(waiting),
        Seen::Closed(theirs, error.clone(), Some(12)),
        Seen::Closed(waiting, error, Some(12)),
    ];
    assert_eq!(seen, expected);
    assert_eq!(world.counts()[1], 0);
}
