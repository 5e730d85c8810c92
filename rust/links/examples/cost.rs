//! Runs one sender for some seconds of virtual time, and prints its packets. `valgrind --tool=callgrind` counts the
//! instructions: of both ends and of the model of the link together. `benchmarks/links.py` does so, and has a bound.
//!
//! `cost (crate|cubic|tolerant) LOSS SECONDS QUEUE`: 100 Mbit/s, 40 ms; the queue in round trips.

#[path = "../tests/world/mod.rs"]
mod world;

use world::*;

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [sender, loss, seconds, queue] = &given[..] else { panic!("usage: cost SENDER LOSS SECONDS QUEUE") };
    let sender = match sender.as_str() {
        "crate" => Sender::Crate,
        "cubic" => Sender::Cubic,
        _ => Sender::Tolerant,
    };
    let [loss, queue] = [loss, queue].map(|text| text.parse().expect("a number"));
    let mut world = World::new(link(100.0, MS * 40, queue, loss), vec![flow(sender)], 1);
    world.run(SECOND * seconds.parse().expect("a number"));
    println!("{}", world.packets);
}
