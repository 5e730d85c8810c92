//! Channel messages that make no sense, and peers that break the rules.

use super::world::*;
use crate::channel::*;

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
