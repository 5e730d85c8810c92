//! The seeds of `rust/fuzz` and mutations of them, on any compiler: the same each time, and bounded in time.

#[path = "../../fuzz/src/lib.rs"]
#[allow(dead_code)]
mod targets;

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use adieu_engine::demux::Class;
use adieu_engine::{ChannelOptions, Random, Reliability};
use common::Pair;
use targets::{LATER, STRANGER, frame};

/// A slow machine mutates less; what it does is the same.
const BUDGET: Duration = Duration::from_millis(1500);

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target)
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = folder(target);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder).expect("the seeds").map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    let seeds: Vec<_> = paths.iter().map(|path| fs::read(path).expect("a seed")).collect();
    assert!(seeds.len() >= 3, "{} has seeds", folder.display());
    seeds
}

struct Dice(Random);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        u32::from_be_bytes(self.0.bytes()) as usize % bound.max(1)
    }

    /// One change as a fuzzer makes them.
    fn change(&mut self, data: &mut Vec<u8>, other: &[u8]) {
        if data.is_empty() {
            return data.push(self.below(256) as u8);
        }
        let at = self.below(data.len());
        match self.below(6) {
            0 => data[at] ^= 1 << self.below(8),
            1 => data[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            2 => data.truncate(at),
            3 => drop(data.drain(at..(at + 1 + self.below(8)).min(data.len()))),
            4 => {
                let from = self.below(other.len());
                let some = other[from..(from + 1 + self.below(64)).min(other.len())].to_vec();
                data.splice(at..at, some);
            }
            _ => {
                let again = data[at..(at + 1 + self.below(200)).min(data.len())].to_vec();
                data.extend(again);
            }
        }
    }
}

fn replay(target: &str, run: fn(&[u8])) {
    let seeds = seeds(target);
    for seed in &seeds {
        run(seed);
    }
    let mut dice = Dice(Random::new([42; 32]));
    let started = Instant::now();
    let mut runs = 0;
    while runs < 20_000 && started.elapsed() < BUDGET {
        let mut data = seeds[dice.below(seeds.len())].clone();
        let other = &seeds[dice.below(seeds.len())];
        for _ in 0..=dice.below(8) {
            dice.change(&mut data, other);
        }
        run(&data);
        runs += 1;
    }
    assert!(runs >= 20, "{runs} mutations of {target}: too slow to say anything");
}

#[test]
fn datagrams_to_a_transport() {
    replay("transport", targets::transport);
}

#[test]
fn datagrams_to_a_dtls_handshake() {
    replay("dtls", targets::dtls);
}

#[test]
fn packets_to_an_association_with_channels() {
    replay("sctp", |data| _ = targets::sctp(data));
    // Or the numbers in the seeds do not fit, and everything is dropped at the door.
    let received = targets::sctp(&seeds("sctp")[0]);
    assert!(received > 10, "{received}");
}

#[test]
fn channel_openings() {
    replay("dcep", targets::dcep);
}

#[test]
fn candidates_and_fingerprints() {
    replay("candidate", targets::candidate);
}

/// `cargo test --release -p adieu-engine --test seeds -- --ignored`: make the seeds again.
#[test]
#[ignore = "writes rust/fuzz/seeds"]
#[expect(clippy::too_many_lines, reason = "one list of the cases")]
fn record() {
    let mut pair = Pair::connected();
    pair.channel(0);
    pair.run_for(3.0);
    pair.close(1, "bye");
    let of = |from: usize, class: Option<Class>| {
        pair.sent
            .iter()
            .filter(|sent| sent.from == from && class.is_none_or(|class| sent.class() == class))
            .map(|sent| sent.bytes.clone())
            .collect::<Vec<_>>()
    };
    let list = |flags: u8, datagrams: &[Vec<u8>]| -> Vec<u8> {
        datagrams.iter().flat_map(|datagram| frame(flags, datagram)).collect()
    };
    let from_peer = of(1, None);
    write(
        "transport",
        [
            list(0, &from_peer),
            list(LATER, &of(1, Some(Class::Stun))),
            list(STRANGER, &from_peer[..from_peer.len().min(8)]),
            list(0, &of(1, Some(Class::Dtls))),
        ],
    );
    write(
        "dtls",
        [
            list(0, &of(0, Some(Class::Dtls))),
            list(STRANGER, &of(1, Some(Class::Dtls))),
            list(STRANGER | LATER, &of(1, Some(Class::Dtls))[..1]),
        ],
    );
    let packets = targets::record_sctp();
    write(
        "sctp",
        [
            list(0, &packets),
            list(LATER, &packets[packets.len() / 2..]),
            list(0, &packets[packets.len() - 1..]),
            list(STRANGER, &packets[..3]),
        ],
    );
    let options = |label: &str, ordered, reliability| ChannelOptions {
        label: label.into(),
        protocol: "p".into(),
        negotiated: false,
        ordered,
        reliability,
        priority: 256,
    };
    let open = adieu_engine::channel::dcep::open;
    write(
        "dcep",
        [
            open(&options("chat", true, Reliability::Full)),
            open(&options("läbel", false, Reliability::Retransmits(3))),
            open(&options("", true, Reliability::Lifetime(100))),
            adieu_engine::channel::dcep::ack(),
        ],
    );
    write("candidate", [
        &b"candidate:1 1 udp 2122260223 192.0.2.1 5000 typ host"[..],
        b"candidate:842163049 1 UDP 1677729535 203.0.113.5 6000 typ srflx raddr 10.0.0.1 rport 5000 generation 0 ufrag x",
        b"candidate:2 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active",
        b"candidate:3 1 udp 2113937151 0f0a6a0c-0000-4000-8000-1b2c3d4e5f60.local 5001 typ host",
        b"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
    ].map(<[u8]>::to_vec));
}

fn write<const N: usize>(target: &str, seeds: [Vec<u8>; N]) {
    let folder = folder(target);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("made");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(number.to_string()), seed).expect("written");
    }
}
