//! Tries links at random, cut and healed, with readers that pause. Every byte comes once and in order, and within 3 s
//! of a good link something arrives.
//!
//! `STALL_LINKS=10000 STALL_SEED=7` tries more, and others. A link that fails is named by its seed; `STALL_LINKS=1`
//! with that seed plays it alone.

mod world;

use std::time::Duration;

use adieu_links::{Link, Numbers};
use world::*;

/// The time after which something has to arrive over a healed link.
const SOON: Duration = Duration::from_secs(3);

struct Trial {
    world: World,
    /// When everything is well again.
    healed: Duration,
}

fn between(numbers: &mut Numbers, from: f64, to: f64) -> f64 {
    from + (to - from) * numbers.unit()
}

/// Give a number from `from` to `to`, small ones as often as large ones.
fn spread(numbers: &mut Numbers, from: f64, to: f64) -> f64 {
    from * (to / from).powf(numbers.unit())
}

fn time(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A link, a flow and a course of troubles that end.
fn trial(seed: u64) -> Trial {
    let numbers = &mut Numbers::new(seed);
    let rate = spread(numbers, 0.3, 200.0);
    let rtt = time(spread(numbers, 0.002, 0.4));
    let buffer = spread(numbers, 0.1, 4.0);
    let good = Link {
        late_loss: if numbers.happens(0.3) { 0.0 } else { between(numbers, 0.0, 0.02) },
        jitter: if numbers.happens(0.5) { Duration::ZERO } else { rtt.mul_f64(numbers.unit()) },
        ordered: numbers.happens(0.7),
        codel: numbers.happens(0.2),
        ..link(rate, rtt, buffer, 0.0)
    };
    let bad = Link {
        late_loss: between(numbers, 0.05, 0.4),
        burst: between(numbers, 1.0, 10.0),
        rate: good.rate.map(|rate| rate * spread(numbers, 0.05, 1.0)),
        reorder: between(numbers, 0.0, 0.1),
        reorder_delay: rtt,
        ..good
    };
    let sender = if numbers.happens(0.5) { Sender::Tolerant } else { Sender::Cubic };
    let begins = time(between(numbers, 0.5, 3.0));
    let pause = numbers.happens(0.3).then(|| (begins, begins + time(between(numbers, 0.1, 3.0))));
    let is_partial = numbers.happens(0.25);
    // A message is whole within a second, or nothing could arrive soon: what the rate carries then, and what slow start
    // sends after a timeout in a few long round trips. Of many packets that are not sent again one is always lost.
    let carried = if rtt > MS * 100 { 10_000.0 } else { 100_000.0_f64.min(rate * 20_000.0) };
    // Nor can a message arrive that is larger than the window.
    let window = spread(numbers, 65_536.0, 8e6);
    let carried = carried.min(window * 0.8);
    let largest = if is_partial { 2000.0_f64.min(carried) } else { carried };
    let flow = Flow {
        bulk: Some(spread(numbers, 20.0, largest) as usize),
        small: numbers.happens(0.5).then(|| time(between(numbers, 0.01, 0.5))),
        gaps: if numbers.happens(0.5) { 20 } else { 128 },
        window: window as usize,
        max_retransmits: is_partial.then(|| (numbers.word() % 3) as u16),
        pause,
        ..flow(sender)
    };
    let mut world = World::new(good, vec![flow], seed);
    let mut healed = pause.map_or(begins, |(_, to)| to);
    if numbers.happens(0.7) {
        let ends = begins + time(between(numbers, 0.1, 4.0));
        world.change(begins, bad);
        world.change(ends, good);
        healed = healed.max(ends);
    }
    let mut at = begins;
    for _ in 0..numbers.word() % 4 {
        let cut = at + time(between(numbers, 0.0, 1.0));
        at = cut + time(between(numbers, 0.01, 5.0));
        world.cut(cut, true);
        world.cut(at, false);
        healed = healed.max(at);
    }
    Trial { world, healed }
}

/// Say what is wrong with this link; None: nothing.
fn fault(seed: u64) -> Option<String> {
    let Trial { mut world, healed } = trial(seed);
    world.run(healed);
    let mut before = world.flows[0].received + world.flows[0].delays.len() as u64;
    for step in 1..=2 {
        world.run(healed + SOON * step);
        let now = world.flows[0].received + world.flows[0].delays.len() as u64;
        if now == before {
            let (at, flow) = (world.now(), &world.flows[0].flow);
            return Some(format!("nothing came in {SOON:?} before {at:?}: {flow:?} {:?}", world.report(0)));
        }
        before = now;
    }
    world.flows[0].faults.first().cloned()
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn a_sender_never_stands() {
    let (count, first) = (setting("STALL_LINKS", 500), setting("STALL_SEED", 1));
    let faults: Vec<String> = (first..first + count)
        .filter_map(|seed| fault(seed).map(|fault| format!("seed {seed}: {fault}")))
        .collect();
    assert!(faults.is_empty(), "{} of {count} links:\n{}", faults.len(), faults.join("\n"));
}
