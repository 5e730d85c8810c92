//! Two sides with an association each, and a wire between them that sees every packet: the closing procedure with
//! loss, refusal and silence.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::*;
use crate::Event;
use crate::sctp::Step;
use crate::sctp::packet::{chunks, survey};

const INIT: u8 = 1;
const COOKIE_ACK: u8 = 11;
const RE_CONFIG: u8 = 130;
const DELAY: Duration = Duration::from_millis(10);

struct Side {
    sctp: Association,
    channels: Channels,
    events: VecDeque<Event>,
}

/// What the wire does with a packet: (from the first side?, packet) -> deliver?
type Wire = Box<dyn FnMut(bool, &mut Vec<u8>) -> bool>;

struct World {
    sides: [Side; 2],
    start: Instant,
    now: Instant,
    under_way: VecDeque<(Instant, usize, Vec<u8>)>,
    wire: Wire,
    packets: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Open(ChannelKey),
    Incoming(ChannelKey, u16, String),
    Message(ChannelKey, Kind, Vec<u8>),
    Closing(ChannelKey),
    Closed(ChannelKey, Option<String>, Option<u16>),
    Failed(ChannelKey, String),
}

impl World {
    fn new() -> World {
        let now = Instant::now();
        let side = |client| {
            let mut channels = Channels::new(1 << 20);
            channels.set_role(client);
            let mut sctp = Association::new(now, 5000, 5000, 1 << 20, 1 << 18);
            sctp.connect(now);
            Side { sctp, channels, events: VecDeque::new() }
        };
        let sides = [side(true), side(false)];
        let wire = Box::new(|_, _: &mut Vec<u8>| true);
        World { sides, start: now, now, under_way: VecDeque::new(), wire, packets: 0 }
    }

    fn connected() -> World {
        let mut world = World::new();
        world.run_for(Duration::from_secs(1));
        assert!(world.sides.iter().all(|side| side.sctp.state() == SctpState::Connected));
        world
    }

    fn open(&mut self, side: usize, stream: u16, options: ChannelOptions) -> ChannelKey {
        let now = self.now;
        let Side { sctp, channels, events } = &mut self.sides[side];
        channels.open(now, Some(sctp), false, (stream, options), events)
    }

    fn send(&mut self, side: usize, key: ChannelKey, payload: &[u8]) -> bool {
        let now = self.now;
        let Side { sctp, channels, .. } = &mut self.sides[side];
        channels.send(now, sctp, key, Kind::Binary, payload.to_vec())
    }

    fn close(&mut self, side: usize, key: ChannelKey) {
        let now = self.now;
        let Side { sctp, channels, events } = &mut self.sides[side];
        channels.close(now, Some(sctp), key, events);
    }

    fn turn(&mut self, at: usize) {
        let now = self.now;
        let Side { sctp, channels, events } = &mut self.sides[at];
        loop {
            sctp.flush(now);
            channels.settle(now, sctp, events);
            let Some(step) = sctp.poll_step() else { break };
            match step {
                Step::Connected { max_channels } => {
                    channels.handle_connected(now, sctp, max_channels, events)
                }
                Step::Message { stream, ppid, payload } => {
                    channels.handle_message(now, sctp, (stream, ppid, payload), events);
                }
                Step::IncomingReset(streams) => channels.handle_incoming_reset(now, sctp, &streams, events),
                Step::ResetDone(streams) => channels.handle_reset_answer(now, sctp, &streams, true, events),
                Step::ResetFailed(streams) => {
                    channels.handle_reset_answer(now, sctp, &streams, false, events)
                }
                Step::Ended { error, cause } => {
                    channels.handle_ended(error.then_some(&cause.text), cause.code, events);
                }
            }
        }
        while let Some(mut packet) = sctp.poll_packet() {
            self.packets += 1;
            if (self.wire)(at == 0, &mut packet) {
                self.under_way.push_back((now + DELAY, 1 - at, packet));
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        let arrival = self.under_way.front().map(|(at, _, _)| *at);
        let timers = self.sides.iter().flat_map(|side| [side.sctp.timeout(), side.channels.timeout()]);
        timers.chain([arrival]).flatten().min()
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.turn(0);
        self.turn(1);
        while let Some(next) = self.next().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            while self.under_way.front().is_some_and(|(at, _, _)| *at <= self.now) {
                let Some((_, to, packet)) = self.under_way.pop_front() else { break };
                self.sides[to].sctp.handle_packet(self.now, &packet);
                self.turn(to);
            }
            for at in 0..2 {
                let Side { sctp, channels, events } = &mut self.sides[at];
                sctp.handle_timeout(self.now);
                if channels.timeout().is_some_and(|due| due <= self.now) {
                    channels.handle_timeout(self.now, sctp, false, events);
                }
                self.turn(at);
            }
        }
        self.now = until;
    }

    /// What side `at` saw since the last call.
    fn seen(&mut self, at: usize) -> Vec<Seen> {
        let events = std::mem::take(&mut self.sides[at].events);
        events
            .into_iter()
            .filter_map(|event| match event {
                Event::Channel(event) => Some(match event {
                    ChannelEvent::Open { key } => Seen::Open(key),
                    ChannelEvent::Incoming { key, stream, options } => {
                        Seen::Incoming(key, stream, options.label.clone())
                    }
                    ChannelEvent::Message { key, kind, payload } => Seen::Message(key, kind, payload),
                    ChannelEvent::Closing { key } => Seen::Closing(key),
                    ChannelEvent::Closed { key, error, cause } => {
                        Seen::Closed(key, error.map(String::from), cause)
                    }
                    ChannelEvent::Failed { key, message } => Seen::Failed(key, message),
                }),
                _ => None,
            })
            .collect()
    }

    /// An open channel on both sides: (key on side 0, key on side 1).
    fn channel(&mut self, stream: u16) -> (ChannelKey, ChannelKey) {
        let ours = self.open(0, stream, plain("x"));
        self.run_for(Duration::from_secs(1));
        assert_eq!(self.seen(0), [Seen::Open(ours)]);
        match &self.seen(1)[..] {
            [Seen::Incoming(theirs, id, _)] if *id == stream => (ours, *theirs),
            other => panic!("{other:?}"),
        }
    }

    fn counts(&self) -> [usize; 2] {
        [self.sides[0].channels.count(), self.sides[1].channels.count()]
    }
}

fn plain(label: &str) -> ChannelOptions {
    ChannelOptions {
        label: label.into(),
        protocol: String::new(),
        negotiated: false,
        ordered: true,
        reliability: Reliability::Full,
        priority: 256,
    }
}

fn negotiated() -> ChannelOptions {
    ChannelOptions { negotiated: true, ..plain("n") }
}

fn has_chunk(packet: &[u8], kind: u8) -> bool {
    chunks(packet).any(|chunk| chunk.kind == kind)
}

fn closed(key: ChannelKey) -> Seen {
    Seen::Closed(key, None, None)
}

fn second() -> Duration {
    Duration::from_secs(1)
}

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
    let drained: usize = world.sides[1].channels.take_drained().map(|(_, bytes)| bytes).sum();
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
        assert!(!has_chunk(packet, RE_CONFIG) && !survey(packet).has_data, "nothing of this channel");
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
        if from_first || !survey(packet).has_data {
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
fn empty_messages_and_both_kinds_arrive_as_what_they_are() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    let now = world.now;
    let kinds = [(Kind::Text, ""), (Kind::Binary, ""), (Kind::Text, "text"), (Kind::Binary, "bytes")];
    for (kind, payload) in kinds {
        let Side { sctp, channels, .. } = &mut world.sides[0];
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
        world.wire = Box::new(|from_first, packet| !(from_first && survey(packet).has_data));
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

/// A message as a peer could send it, whatever it likes.
fn raw(world: &mut World, from: usize, stream: u16, ppid: u32, payload: Vec<u8>) {
    let now = world.now;
    world.sides[from].sctp.send(
        now,
        Outgoing { stream, ppid, payload, unordered: false, lifetime: None, max_retransmits: None },
    );
    world.run_for(second());
}

#[test]
fn an_open_of_the_wrong_parity_is_counted_and_refused_by_a_reset() {
    let mut world = World::connected();
    // Side 1 is the DTLS server: its streams are odd.
    raw(&mut world, 1, 6, PPID_DCEP, dcep::open(&plain("wrong")));
    assert_eq!(world.seen(0), []);
    assert_eq!(world.sides[0].channels.drops.dcep, 1);
    assert_eq!(world.counts(), [0, 0]);
    let Side { sctp, channels, events } = &mut world.sides[1];
    assert!(channels.find(6).is_none());
    sctp.reset(world.now, 6);
    let _ = events;
    world.run_for(second());
    assert!(world.sides[0].channels.find(6).is_none(), "the peer's reset frees the stream");
    world.channel(6);
}

#[test]
fn an_open_for_a_stream_in_use_closes_that_channel() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    raw(&mut world, 1, 0, PPID_DCEP, dcep::open(&plain("again")));
    assert_eq!(world.sides[0].channels.drops.dcep, 1);
    assert_eq!(world.seen(0), [Seen::Closing(ours), closed(ours)]);
    assert_eq!(world.seen(1), [Seen::Closing(theirs), closed(theirs)]);
}

#[test]
fn a_peer_can_not_make_us_hold_names_without_bound_and_a_closed_channel_gives_its_own_back() {
    let mut world = World::connected();
    let name = "x".repeat(60_000);
    let open = |world: &mut World, number: u16| {
        let options = ChannelOptions { protocol: name.clone(), ..plain(&name) };
        raw(world, 1, 2 * number + 1, PPID_DCEP, dcep::open(&options));
    };
    for number in 0..100 {
        open(&mut world, number);
    }
    let taken = MAX_NAMES / 120_000;
    assert_eq!(world.counts()[0], taken);
    assert_eq!(world.sides[0].channels.drops.dcep as usize, 100 - taken);
    let seen = world.seen(0);
    let names: usize = seen
        .iter()
        .map(|seen| match seen {
            Seen::Incoming(_, _, label) => label.len() * 2,
            other => panic!("{other:?}"),
        })
        .sum();
    assert!(names <= MAX_NAMES && names > MAX_NAMES - 120_000);
    world.close(0, ChannelKey(0));
    world.run_for(second());
    let now = world.now;
    world.sides[1].sctp.reset(now, 1);
    world.run_for(second());
    assert_eq!(world.counts()[0], taken - 1);
    open(&mut world, 200);
    assert_eq!(world.counts()[0], taken);
}

#[test]
fn nonsense_on_the_control_ppid_and_messages_without_a_channel_are_counted() {
    let mut world = World::connected();
    for payload in [vec![], vec![3], vec![9; 40], vec![3; 13]] {
        if !payload.is_empty() {
            raw(&mut world, 1, 5, PPID_DCEP, payload);
        }
    }
    raw(&mut world, 1, 5, PPID_DCEP, dcep::ack());
    assert_eq!(world.sides[0].channels.drops.dcep, 4);
    raw(&mut world, 1, 5, PPID_BINARY, vec![1]);
    let (ours, _) = world.channel(0);
    raw(&mut world, 1, 0, 99, vec![1]);
    assert_eq!(world.sides[0].channels.drops.message, 2);
    assert_eq!(world.seen(0), []);
    assert!(world.send(0, ours, b"still open"));
}

#[test]
fn a_message_larger_than_announced_closes_its_channel_with_the_reason() {
    let mut world = World::connected();
    let (ours, _) = world.channel(0);
    world.sides[0].channels.max_receive = 1000;
    raw(&mut world, 1, 0, PPID_BINARY, vec![0; 1001]);
    let seen = world.seen(0);
    assert!(
        matches!(&seen[..], [Seen::Failed(key, why)] if *key == ours && why.contains("1001")),
        "{seen:?}"
    );
    assert_eq!(world.counts(), [0, 0]);
    world.seen(1);
    world.channel(0);
}

#[test]
fn streams_that_the_association_does_not_have_fail() {
    let mut world = World::connected();
    world.sides[0].channels.max_channels = Some(10);
    let key = world.open(0, 10, plain("x"));
    let seen = world.seen(0);
    assert!(matches!(&seen[..], [Seen::Failed(failed, _)] if *failed == key), "{seen:?}");
    assert_eq!(world.counts(), [0, 0]);
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
    assert!(sctp.timeout().is_some_and(|at| at > now && at <= now + second()));
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
