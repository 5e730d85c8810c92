//! Channel messages that make no sense, and peers that break the rules.

use std::cell::RefCell;
use std::rc::Rc;

use super::world::*;
use crate::channel::*;
use crate::sctp::packet::inspect_packet;

const FORWARD_TSN: u8 = 192;

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
    let Side { sctp, channels } = &mut world.sides[1];
    assert!(channels.find(6).is_none());
    sctp.reset(world.now, 6);
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

/// Packets to side 0 as side 1 could make them, chunk by chunk.
struct Forger {
    header: [u8; 12],
    /// The last TSN of side 1.
    tsn: u32,
    request: u32,
}

impl Forger {
    fn new(world: &mut World) -> Forger {
        let seen = Rc::new(RefCell::new(None));
        let found = Rc::clone(&seen);
        world.wire = Box::new(move |from_first, packet| {
            if !from_first && inspect_packet(packet).has_data {
                found.replace(Some(packet.clone()));
            }
            true
        });
        raw(world, 1, 5, PPID_BINARY, vec![1]);
        let packet = seen.take().expect("a packet with DATA");
        let mut header = [0; 12]; // DTLS protects it: no checksum
        header[..8].copy_from_slice(&packet[..8]);
        let tsn = u32::from_be_bytes([packet[16], packet[17], packet[18], packet[19]]);
        Forger { header, tsn, request: tsn.wrapping_sub(1) }
    }

    fn reset(&mut self, last: u32) -> Vec<u8> {
        self.request = self.request.wrapping_add(1);
        let mut chunk = vec![RE_CONFIG, 0, 0, 20, 0, 13, 0, 16];
        for number in [self.request, 0, last] {
            chunk.extend(number.to_be_bytes());
        }
        chunk
    }

    fn forward(&mut self, streams: std::ops::Range<u16>) -> Vec<u8> {
        self.tsn = self.tsn.wrapping_add(1);
        let mut chunk = vec![FORWARD_TSN, 0];
        chunk.extend((8 + 4 * streams.len() as u16).to_be_bytes());
        chunk.extend(self.tsn.to_be_bytes());
        for stream in streams {
            chunk.extend(stream.to_be_bytes());
            chunk.extend([0, 0]);
        }
        chunk
    }

    fn send(&self, world: &mut World, chunks: &[Vec<u8>]) {
        let packet = [&self.header[..], &chunks.concat()].concat();
        world.sides[0].sctp.handle_packet(world.now, &packet);
        world.turn(0);
    }
}

#[test]
fn forward_tsns_that_wait_for_a_reset_are_bounded() {
    let mut world = World::connected();
    let mut peer = Forger::new(&mut world);
    let ahead = peer.tsn + 1;
    let reset = peer.reset(ahead);
    peer.send(&mut world, &[reset]);
    peer.tsn += 1;
    for _ in 0..200 {
        let chunks: Vec<_> = (0..140).map(|_| peer.forward(0..0)).collect();
        peer.send(&mut world, &chunks);
    }
    assert_eq!(
        world.sides[0].sctp.state(),
        SctpState::Closed,
        "28 000 of them take more than the window of 1 MiB"
    );
}

#[test]
fn resets_and_skips_cost_no_walk_over_all_streams_that_ever_were() {
    let took = |streams: u16| {
        let mut world = World::connected();
        let mut peer = Forger::new(&mut world);
        for first in (0..streams).step_by(280) {
            let chunk = peer.forward(first..first.saturating_add(280).min(streams));
            peer.send(&mut world, &[chunk]);
        }
        let began = Instant::now();
        for _ in 0..40 {
            let last = peer.tsn;
            let resets: Vec<_> = (0..55).map(|_| peer.reset(last)).collect();
            peer.send(&mut world, &resets);
        }
        assert_eq!(world.sides[0].sctp.state(), SctpState::Connected);
        began.elapsed()
    };
    let least = |streams| took(streams).min(took(streams)).min(took(streams));
    let (few, many) = (least(2), least(65_000));
    assert!(many < few * 10, "{many:?} with 65 000 streams, {few:?} with 2");
}

#[test]
fn a_stream_that_was_reset_begins_again() {
    let mut world = World::connected();
    let (ours, theirs) = world.channel(0);
    for number in 0..3 {
        assert!(world.send(1, theirs, &[number]));
    }
    world.run_for(second());
    assert_eq!(world.seen(0).len(), 3);
    world.close(0, ours);
    world.run_for(second());
    world.seen(0);
    world.seen(1);
    let (_, theirs) = world.channel(0);
    assert!(world.send(1, theirs, b"first of a new one"));
    world.run_for(second());
    assert!(matches!(&world.seen(0)[..], [Seen::Message(_, _, text)] if text == b"first of a new one"));
}
