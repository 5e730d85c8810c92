//! Thresholds for the share that a tolerant sender leaves to others on one link.

mod world;

use adieu_links::Link;
use world::*;

const RTT: std::time::Duration = std::time::Duration::from_millis(40);
const END: u32 = 40;

const SEEDS: u32 = 3;

/// Mbit/s of each in the second half, for each of three runs that start a little differently.
fn runs(link: Link, senders: &[Sender]) -> Vec<Vec<f64>> {
    let run = |seed: u32| {
        let starts = |index: usize| MS * 37 * seed * index as u32;
        let flows = senders.iter().enumerate();
        let flows = flows.map(|(index, sender)| Flow { starts: starts(index), ..flow(*sender) }).collect();
        let mut world = World::new(link, flows, seed.into());
        world.run(SECOND * END);
        let rate = |index| world.goodput(index, SECOND * END / 2, SECOND * END);
        (0..senders.len()).map(rate).collect()
    };
    let rates = (1..=SEEDS).map(run).collect();
    println!("{senders:?}: {rates:.1?}");
    rates
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    values.sum::<f64>() / f64::from(SEEDS)
}

/// Mbit/s of one of them, on average.
fn share(link: Link, senders: &[Sender], index: usize) -> f64 {
    mean(runs(link, senders).iter().map(|rates| rates[index]))
}

fn evenness(link: Link, senders: &[Sender]) -> f64 {
    mean(runs(link, senders).iter().map(|rates| jain(rates)))
}

fn paths() -> [(&'static str, Link); 3] {
    [
        ("a queue of 0.3", link(100.0, RTT, 0.3, 0.0)),
        ("a queue of 1", link(100.0, RTT, 1.0, 0.0)),
        ("CoDel", Link { codel: true, ..link(100.0, RTT, 0.3, 0.0) }),
    ]
}

#[test]
fn others_keep_three_quarters_of_what_they_have_beside_cubic() {
    for (queue, path) in paths() {
        for (name, other) in [("before", Sender::Crate), ("cubic", Sender::Cubic)] {
            let beside_cubic = share(path, &[Sender::Cubic, other], 1);
            let beside_us = share(path, &[Sender::Tolerant, other], 1);
            let what = format!("{queue}: what {name} keeps of its share beside cubic, %");
            at_least(&what, 100.0 * beside_us / beside_cubic, 75.0);
        }
    }
}

#[test]
fn where_the_link_loses_cubic_keeps_half() {
    let path = link(100.0, RTT, 0.3, 0.001);
    let beside_cubic = share(path, &[Sender::Cubic; 2], 1);
    let beside_us = share(path, &[Sender::Tolerant, Sender::Cubic], 1);
    let what = "a queue of 0.3, 0.1 % loss: what cubic keeps of its share beside cubic, %";
    at_least(what, 100.0 * beside_us / beside_cubic, 50.0);
}

#[test]
fn two_and_four_have_the_same() {
    for (queue, path) in paths() {
        at_least(&format!("{queue}: Jain's index of two"), evenness(path, &[Sender::Tolerant; 2]), 0.95);
        at_least(&format!("{queue}: Jain's index of four"), evenness(path, &[Sender::Tolerant; 4]), 0.9);
    }
}

/// Mbit/s of a flow that begins ten seconds later, from 15 to 30 s after its beginning, on average.
///
/// When it reaches its share is chance with CUBIC too: 3 to 40 s in runs that begin a tenth of a second apart.
fn late_share(link: Link, first: Sender, late: Sender) -> f64 {
    let run = |seed: u32| {
        let starts = SECOND * 10 + MS * 130 * seed;
        let mut world = World::new(link, vec![flow(first), Flow { starts, ..flow(late) }], seed.into());
        world.run(SECOND * 42);
        world.goodput(1, starts + SECOND * 15, starts + SECOND * 30)
    };
    let rates: Vec<f64> = (1..=SEEDS).map(run).collect();
    println!("{late:?} beside {first:?}: {rates:.1?}");
    mean(rates.into_iter())
}

#[test]
fn a_late_comer_gets_what_it_gets_from_cubic() {
    for (queue, path) in paths() {
        let beside_cubic = late_share(path, Sender::Cubic, Sender::Cubic);
        for (name, late) in [("cubic", Sender::Cubic), ("tolerant", Sender::Tolerant)] {
            let beside_us = late_share(path, Sender::Tolerant, late);
            let what = format!("{queue}: what a {name} late comer has of its share beside cubic, %");
            at_least(&what, 100.0 * beside_us / beside_cubic, 75.0);
        }
    }
}

#[test]
fn in_a_deep_queue_cubic_does_not_starve_us() {
    let ours = share(link(100.0, RTT, 3.0, 0.0), &[Sender::Tolerant, Sender::Cubic], 0);
    at_least("a queue of 3: what we have beside cubic, %", 100.0 * ours / 92.0, 20.0);
}
