//! The figures of benchmarks/links.md, one JSON object a line. `make bench-links` runs it.

#[path = "../tests/world/mod.rs"]
mod world;

use std::time::Duration;

use adieu_links::Link;
use world::*;

const RTT: Duration = Duration::from_millis(40);
const SENDERS: [(Sender, &str); 3] =
    [(Sender::Crate, "before"), (Sender::Cubic, "cubic"), (Sender::Tolerant, "tolerant")];
const SEEDS: u32 = 3;
/// Late comers, each a little later than the one before.
const LATE: u32 = 9;

fn name(sender: Sender) -> &'static str {
    SENDERS.iter().find(|(which, _)| *which == sender).map_or("", |(_, name)| name)
}

/// Means over three runs of one bulk flow: Mbit/s after the first quarter, in the first two seconds, mean wait in ms,
/// per cent sent again.
fn alone(link: Link, flow: &Flow, seconds: u32) -> [f64; 4] {
    let mut sums = [0.0; 4];
    for seed in 1..=SEEDS {
        let end = SECOND * seconds;
        let mut world = World::new(link, vec![flow.clone()], seed.into());
        world.run(end);
        let again = 100.0 * world.retransmitted(0) as f64 / world.packets as f64;
        let late = world.goodput(0, end / 4, end);
        let run = [late, world.goodput(0, Duration::ZERO, SECOND * 2), world.mean_wait(end / 4, end), again];
        sums.iter_mut().zip(run).for_each(|(sum, value)| *sum += value / f64::from(SEEDS));
    }
    sums
}

fn loss() {
    for (sender, name) in SENDERS {
        for loss in [0.0, 0.001, 0.003, 0.01, 0.02, 0.03, 0.05] {
            let [rate, early, wait, again] = alone(link(100.0, RTT, 1.0, loss), &flow(sender), 12);
            print!(r#"{{"of": "loss", "sender": "{name}", "loss": {loss}, "rate": {rate:.2}, "#);
            println!(r#""early": {early:.2}, "wait": {wait:.2}, "again": {again:.3}}}"#);
        }
    }
}

fn grid() {
    for mbit in [10.0, 100.0] {
        for rtt in [10, 40, 150] {
            for loss in [0.0, 0.001, 0.01, 0.03] {
                let path = link(mbit, MS * rtt, 1.0, loss);
                print!(r#"{{"of": "grid", "mbit": {mbit}, "rtt": {rtt}, "loss": {loss}, "#);
                for (sender, name) in SENDERS {
                    print!(r#""{name}": {:.2}, "#, alone(path, &flow(sender), 15)[0]);
                }
                let browser = Flow { gaps: 20, window: 5 << 20, ..Flow::default() };
                println!(r#""browser": {:.2}}}"#, alone(path, &browser, 15)[0]);
            }
        }
    }
}

fn jitter() {
    for milliseconds in [0, 2, 5, 10, 20] {
        let path = Link { jitter: MS * milliseconds, ordered: true, ..link(100.0, RTT, 1.0, 0.01) };
        let [before, cubic, tolerant] = SENDERS.map(|(sender, _)| alone(path, &flow(sender), 12)[0]);
        print!(r#"{{"of": "jitter", "jitter": {milliseconds}, "before": {before:.2}, "#);
        println!(r#""cubic": {cubic:.2}, "tolerant": {tolerant:.2}}}"#);
    }
}

fn fairness() {
    let paths = [
        ("0.3", link(100.0, RTT, 0.3, 0.0)),
        ("1", link(100.0, RTT, 1.0, 0.0)),
        ("3", link(100.0, RTT, 3.0, 0.0)),
        ("CoDel", Link { codel: true, ..link(100.0, RTT, 0.3, 0.0) }),
        ("0.3, 0.1 % loss", link(100.0, RTT, 0.3, 0.001)),
        ("1, 1 % loss", link(100.0, RTT, 1.0, 0.01)),
    ];
    for (queue, path) in paths {
        for first in [Sender::Cubic, Sender::Tolerant] {
            for second in [Sender::Crate, Sender::Cubic, Sender::Tolerant] {
                let [one, two] = beside(path, first, second);
                print!(r#"{{"of": "fairness", "queue": "{queue}", "first": "{}", "#, name(first));
                println!(r#""second": "{}", "rates": [{one:.2}, {two:.2}]}}"#, name(second));
            }
        }
    }
}

/// Mbit/s of two flows after 20 s, on average.
fn beside(path: Link, first: Sender, second: Sender) -> [f64; 2] {
    let mut rates = [0.0; 2];
    for seed in 1..=SEEDS {
        let later = Flow { starts: MS * 37 * seed, ..flow(second) };
        let mut world = World::new(path, vec![flow(first), later], seed.into());
        world.run(SECOND * 40);
        for (index, rate) in rates.iter_mut().enumerate() {
            *rate += world.goodput(index, SECOND * 20, SECOND * 40) / f64::from(SEEDS);
        }
    }
    rates
}

/// Seconds until a flow that begins 10 s after another first holds 80 % of its share over 2 s; 40: never.
fn late() {
    let paths = [
        ("0.3", link(100.0, RTT, 0.3, 0.0)),
        ("1", link(100.0, RTT, 1.0, 0.0)),
        ("CoDel", Link { codel: true, ..link(100.0, RTT, 0.3, 0.0) }),
    ];
    for (queue, path) in paths {
        for sender in [Sender::Cubic, Sender::Tolerant] {
            let wait = |seed: u32| {
                let starts = SECOND * 10 + MS * 130 * seed;
                let flows = vec![flow(sender), Flow { starts, ..flow(sender) }];
                let mut world = World::new(path, flows, seed.into());
                world.run(SECOND * 54);
                let has_share = |quarter: u32| {
                    let from = starts + SECOND / 4 * quarter;
                    world.goodput(1, from, from + SECOND * 2) > 0.8 * 92.6 / 2.0
                };
                f64::from((0..160).find(|&quarter| has_share(quarter)).unwrap_or(160)) / 4.0
            };
            let mut waits: Vec<f64> = (1..=LATE).map(wait).collect();
            waits.sort_by(f64::total_cmp);
            let name = name(sender);
            println!(r#"{{"of": "late", "queue": "{queue}", "sender": "{name}", "waits": {waits:?}}}"#);
        }
    }
}

fn queue() {
    for (sender, name) in SENDERS {
        let fast = Link { queue: 500_000, ..link(100.0, RTT, 1.0, 0.0) };
        let mut world = World::new(fast, vec![flow(sender)], 3);
        world.change(SECOND * 10, Link { rate: Some(5e6 / 8.0), ..fast });
        world.change(SECOND * 25, fast);
        world.run(SECOND * 35);
        for half in 0..70 {
            let at = SECOND / 2 * half;
            let wait = world.mean_wait(at, at + SECOND / 2);
            let seconds = at.as_secs_f64();
            println!(r#"{{"of": "queue", "sender": "{name}", "at": {seconds:.1}, "wait": {wait:.2}}}"#);
        }
    }
}

fn main() {
    loss();
    grid();
    jitter();
    fairness();
    late();
    queue();
}
