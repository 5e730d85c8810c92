//! Thresholds for a sender on a path that loses, waits, jitters and changes. Whole grids: `make bench-links`.

mod world;

use std::time::Duration;

use adieu_links::Link;
use world::*;

const RTT: Duration = Duration::from_millis(40);

struct Outcome {
    /// Mbit/s in the first two seconds, and after the first quarter.
    early: f64,
    late: f64,
    /// Parts of all packets, in per cent.
    again: f64,
    lost: f64,
    /// Milliseconds.
    wait: f64,
}

/// One bulk flow alone for `seconds`.
fn alone(link: Link, flow: Flow, seconds: u32, seed: u64) -> Outcome {
    let end = SECOND * seconds;
    let mut world = World::new(link, vec![flow], seed);
    world.run(end);
    assert_eq!(world.flows[0].faults, [] as [String; 0]);
    let per_cent = |count: usize| 100.0 * count as f64 / world.packets as f64;
    let outcome = Outcome {
        early: world.goodput(0, Duration::ZERO, SECOND * 2),
        late: world.goodput(0, end / 4, end),
        again: per_cent(world.retransmitted(0)),
        lost: per_cent((world.lost + world.dropped) as usize),
        wait: world.mean_wait(end / 4, end),
    };
    println!(
        "{:.1} Mbit/s (first 2 s: {:.1}), sent again {:.2} %, lost {:.2} %, queue {:.1} ms; {:?}",
        outcome.late,
        outcome.early,
        outcome.again,
        outcome.lost,
        outcome.wait,
        world.report(0)
    );
    outcome
}

/// A receiver as a browser is: 20 gaps, 5 MB.
fn to_a_browser() -> Flow {
    Flow { gaps: 20, window: 5 << 20, ..Flow::default() }
}

#[test]
fn at_one_per_cent_loss_two_thirds_of_the_link_are_used() {
    for seed in 1..=3 {
        for flow in [Flow::default(), to_a_browser()] {
            let outcome = alone(link(100.0, RTT, 1.0, 0.01), flow, 12, seed);
            assert!(outcome.late >= 65.0, "{}", outcome.late);
            assert!(outcome.early >= 40.0, "{}", outcome.early);
            assert!(outcome.again <= outcome.lost + 0.5, "{} {}", outcome.again, outcome.lost);
        }
    }
}

#[test]
fn three_per_cent_and_bursts_do_not_stop_it() {
    for seed in 1..=3 {
        let three = alone(link(100.0, RTT, 1.0, 0.03), Flow::default(), 12, seed);
        assert!(three.late >= 55.0, "{}", three.late);
        let bursts = Link { burst: 5.0, ..link(100.0, RTT, 1.0, 0.01) };
        let bursts = alone(bursts, Flow::default(), 12, seed);
        assert!(bursts.late >= 60.0, "{}", bursts.late);
    }
}

#[test]
fn without_loss_the_link_is_full() {
    for rtt in [10, 40] {
        let deep = alone(link(100.0, MS * rtt, 1.0, 0.0), Flow::default(), 10, 1);
        assert!(deep.late >= 90.0, "{}", deep.late);
        let shallow = alone(link(100.0, MS * rtt, 0.3, 0.0), Flow::default(), 10, 1);
        assert!(shallow.late >= 88.0, "{}", shallow.late);
    }
    let long = alone(link(100.0, MS * 150, 1.0, 0.0), Flow::default(), 12, 1);
    assert!(long.late >= 85.0, "{}", long.late);
}

#[test]
fn what_is_overtaken_is_not_lost() {
    let reorder = Link { reorder: 0.01, reorder_delay: MS * 5, ..link(100.0, RTT, 1.0, 0.0) };
    let outcome = alone(reorder, Flow::default(), 10, 1);
    assert!(outcome.late >= 85.0, "{}", outcome.late);
    assert!(outcome.again <= 1.0, "{}", outcome.again);
}

#[test]
fn jitter_costs_but_never_below_the_crate_alone() {
    for (jitter, least) in [(5, 60.0), (10, 0.0), (20, 0.0)] {
        let jittery = Link { jitter: MS * jitter, ordered: true, ..link(100.0, RTT, 1.0, 0.01) };
        let ours = alone(jittery, Flow::default(), 12, 1);
        let theirs = alone(jittery, flow(Sender::Crate), 12, 1);
        assert!(ours.late >= least && ours.late >= theirs.late, "{jitter} ms: {} {}", ours.late, theirs.late);
    }
}

#[test]
fn a_link_that_becomes_slow_is_not_filled_and_one_that_is_fast_again_is_used() {
    for loss in [0.0, 0.01] {
        let fast = Link { queue: 500_000, ..link(100.0, RTT, 1.0, loss) };
        let slow = Link { rate: Some(5e6 / 8.0), ..fast };
        let mut world = World::new(fast, vec![Flow::default()], 3);
        world.change(SECOND * 10, slow);
        world.change(SECOND * 25, fast);
        world.run(SECOND * 31);
        let wait = world.mean_wait(SECOND * 13, SECOND * 25);
        let back = world.goodput(0, SECOND * 30, SECOND * 31);
        println!("loss {loss}: {wait:.0} ms, {back:.1} Mbit/s; {:?}", world.report(0));
        assert!(wait < 200.0, "{wait}");
        assert!(back >= 74.0, "{back}");
    }
}

#[test]
fn behind_codel_the_queue_stays_short() {
    for loss in [0.0, 0.01] {
        let outcome = alone(Link { codel: true, ..link(100.0, RTT, 1.0, loss) }, Flow::default(), 12, 1);
        assert!(outcome.wait <= 6.0, "{}", outcome.wait);
    }
}

#[test]
fn a_small_channel_is_not_behind_bulk() {
    let both = Flow { small: Some(MS * 20), ..Flow::default() };
    let mut world = World::new(link(100.0, RTT, 1.0, 0.01), vec![both], 1);
    world.run(SECOND * 20);
    let delays = [0.5, 0.99].map(|part| world.flows[0].delay(part, SECOND * 5));
    println!("{delays:?}");
    assert!(delays[0] <= 25.0 && delays[1] <= 100.0, "{delays:?}");
}

#[test]
fn a_lost_message_that_nothing_follows_comes_soon() {
    let (mut packets, mut messages) = (0, 0);
    for seed in 1..=4 {
        let small = Flow { bulk: None, small: Some(MS * 500), ..Flow::default() };
        let mut world = World::new(link(100.0, RTT, 1.0, 0.05), vec![small], seed);
        world.run(SECOND * 1200);
        let delay = world.flows[0].delay(0.99, Duration::ZERO);
        println!("{delay} ms");
        assert!(delay <= 130.0, "{delay}");
        packets += world.flows[0].sent_packets;
        messages += world.flows[0].sent_small;
    }
    println!("{packets} packets for {messages} messages");
    assert!(packets as f64 <= 1.12 * messages as f64, "{packets} {messages}");
}
