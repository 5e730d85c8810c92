//! Thresholds for a sender on a path that loses, waits, jitters and changes. Whole runs and grids: `make bench-links`.

mod world;

use std::time::Duration;

use adieu_links::Link;
use world::*;

const RTT: Duration = Duration::from_millis(40);

/// Seconds of a run, and its seeds: a lean one, or a whole one.
fn runs(seconds: u32, seeds: u64) -> (u32, std::ops::RangeInclusive<u64>) {
    if is_whole() { (30, 1..=3) } else { (seconds, 1..=seeds) }
}

struct Outcome {
    /// Mbit/s in the first two seconds, and after the start: at most 5 s.
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
    let start = (end / 4).min(SECOND * 5);
    let mut world = World::new(link, vec![flow], seed);
    world.run(end);
    assert_eq!(world.flows[0].faults, [] as [String; 0]);
    let per_cent = |count: usize| 100.0 * count as f64 / world.packets as f64;
    let outcome = Outcome {
        early: world.goodput(0, Duration::ZERO, SECOND * 2),
        late: world.goodput(0, start, end),
        again: per_cent(world.retransmitted(0)),
        lost: per_cent((world.lost + world.dropped) as usize),
        wait: world.mean_wait(start, end),
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
    let (seconds, seeds) = runs(12, 3);
    for seed in seeds {
        for (receiver, flow) in [("adieu", Flow::default()), ("a browser", to_a_browser())] {
            let outcome = alone(link(100.0, RTT, 1.0, 0.01), flow, seconds, seed);
            at_least(&format!("1 % loss, to {receiver}: Mbit/s"), outcome.late, 65.0);
            at_least(&format!("1 % loss, to {receiver}: Mbit/s in the first 2 s"), outcome.early, 40.0);
            let needless = outcome.again - outcome.lost;
            at_most(&format!("1 % loss, to {receiver}: sent again, more than was lost, %"), needless, 0.5);
        }
    }
}

#[test]
fn three_per_cent_and_bursts_do_not_stop_it() {
    let (seconds, seeds) = runs(12, 3);
    for seed in seeds {
        let three = alone(link(100.0, RTT, 1.0, 0.03), Flow::default(), seconds, seed);
        at_least("3 % loss: Mbit/s", three.late, 55.0);
        let bursts = Link { burst: 5.0, ..link(100.0, RTT, 1.0, 0.01) };
        let bursts = alone(bursts, Flow::default(), seconds, seed);
        at_least("1 % loss in bursts of 5: Mbit/s", bursts.late, 60.0);
    }
}

#[test]
fn without_loss_the_link_is_full() {
    let (seconds, seeds) = runs(12, 1);
    for seed in seeds {
        for rtt in [10, 40] {
            let deep = alone(link(100.0, MS * rtt, 1.0, 0.0), Flow::default(), seconds, seed);
            at_least(&format!("no loss, {rtt} ms, a queue of 1 round trip: Mbit/s"), deep.late, 90.0);
            let shallow = alone(link(100.0, MS * rtt, 0.3, 0.0), Flow::default(), seconds, seed);
            at_least(&format!("no loss, {rtt} ms, a queue of 0.3 round trips: Mbit/s"), shallow.late, 88.0);
        }
        let long = alone(link(100.0, MS * 150, 1.0, 0.0), Flow::default(), seconds, seed);
        at_least("no loss, 150 ms: Mbit/s", long.late, 85.0);
    }
}

#[test]
fn what_is_overtaken_is_not_lost() {
    let (seconds, seeds) = runs(10, 1);
    for seed in seeds {
        let reorder = Link { reorder: 0.01, reorder_delay: MS * 5, ..link(100.0, RTT, 1.0, 0.0) };
        let outcome = alone(reorder, Flow::default(), seconds, seed);
        at_least("1 % comes 5 ms late: Mbit/s", outcome.late, 85.0);
        at_most("1 % comes 5 ms late: sent again, %", outcome.again, 1.0);
    }
}

#[test]
fn jitter_costs_but_never_below_the_crate_alone() {
    let (seconds, seeds) = runs(12, 1);
    for seed in seeds {
        for jitter in [5, 10, 20] {
            let jittery = Link { jitter: MS * jitter, ordered: true, ..link(100.0, RTT, 1.0, 0.01) };
            let ours = alone(jittery, Flow::default(), seconds, seed);
            let theirs = alone(jittery, flow(Sender::Crate), seconds, seed);
            if jitter == 5 {
                at_least("1 % loss, jitter of 5 ms: Mbit/s", ours.late, 60.0);
            }
            let more = ours.late - theirs.late;
            at_least(&format!("1 % loss, jitter of {jitter} ms: Mbit/s more than before"), more, 0.0);
        }
    }
}

#[test]
fn a_link_that_becomes_slow_is_not_filled_and_one_that_is_fast_again_is_used() {
    let seeds = if is_whole() { 1..=5 } else { 3..=3 };
    for (seed, loss) in seeds.flat_map(|seed| [(seed, 0.0), (seed, 0.01)]) {
        let fast = Link { queue: 500_000, ..link(100.0, RTT, 1.0, loss) };
        let slow = Link { rate: Some(5e6 / 8.0), ..fast };
        let mut world = World::new(fast, vec![Flow::default()], seed);
        world.change(SECOND * 10, slow);
        world.change(SECOND * 25, fast);
        world.run(SECOND * 35);
        let wait = world.mean_wait(SECOND * 13, SECOND * 25);
        let back = world.goodput(0, SECOND * 30, SECOND * 35);
        println!("loss {loss}: {wait:.0} ms, {back:.1} Mbit/s; {:?}", world.report(0));
        let what = format!("{} % loss, 100 to 5 Mbit/s and back", 100.0 * loss);
        at_most(&format!("{what}: queue from the third second on, ms"), wait, 200.0);
        at_least(&format!("{what}: Mbit/s after 5 s"), back, 74.0);
    }
}

#[test]
fn behind_codel_the_queue_stays_short() {
    let (seconds, seeds) = runs(12, 1);
    for (seed, loss) in seeds.flat_map(|seed| [(seed, 0.0), (seed, 0.01)]) {
        let path = Link { codel: true, ..link(100.0, RTT, 1.0, loss) };
        let outcome = alone(path, Flow::default(), seconds, seed);
        at_most(&format!("CoDel, {} % loss: queue, ms", 100.0 * loss), outcome.wait, 6.0);
    }
}

#[test]
fn a_small_channel_is_not_behind_bulk() {
    let (seconds, seeds) = runs(20, 1);
    for seed in seeds {
        let both = Flow { small: Some(MS * 20), ..Flow::default() };
        let mut world = World::new(link(100.0, RTT, 1.0, 0.01), vec![both], seed);
        world.run(SECOND * seconds);
        let delays = [0.5, 0.99].map(|part| world.flows[0].delay(part, SECOND * 5));
        at_most("1 % loss, small messages beside bulk: median delay, ms", delays[0], 25.0);
        at_most("1 % loss, small messages beside bulk: 99 of 100 within, ms", delays[1], 100.0);
    }
}

#[test]
fn a_lost_message_that_nothing_follows_comes_soon() {
    let (mut packets, mut messages) = (0, 0);
    for seed in 1..=4 {
        let small = Flow { bulk: None, small: Some(MS * 500), ..Flow::default() };
        let mut world = World::new(link(100.0, RTT, 1.0, 0.05), vec![small], seed);
        world.run(SECOND * 1200);
        let delay = world.flows[0].delay(0.99, Duration::ZERO);
        at_most("5 % loss, a message each 500 ms: 99 of 100 within, ms", delay, 130.0);
        packets += world.flows[0].sent_packets;
        messages += world.flows[0].sent_small;
    }
    let more = 100.0 * (packets as f64 / messages as f64 - 1.0);
    at_most("5 % loss, a message each 500 ms: more packets than messages, %", more, 12.0);
}

/// Each message is sent once only: what a probe sent again would be given up.
#[test]
fn a_probe_gives_up_nothing_that_is_only_late() {
    let small = Flow { bulk: None, small: Some(MS * 500), max_retransmits: Some(0), ..Flow::default() };
    let late = Link { reorder: 0.05, reorder_delay: MS * 130, ..link(100.0, RTT, 1.0, 0.0) };
    let mut world = World::new(late, vec![small], 1);
    world.run(SECOND * 600 + MS * 450);
    let slow = world.flows[0].delay(0.97, Duration::ZERO);
    assert!(slow > 145.0, "a probe was due: {slow}");
    assert_eq!(world.flows[0].delays.len() as u64, world.flows[0].sent_small);
}
