//! Input from strangers and broken peers: dropped and counted, never a panic, never a change.

mod common;

use adieu_engine::demux::Class;
use adieu_engine::{Random, RemoteCandidate, Wire};
use common::{Pair, Setup};

fn noise(random: &mut Random, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 32);
    while out.len() < length {
        out.extend_from_slice(&random.bytes::<32>());
    }
    out.truncate(length);
    out
}

#[test]
fn noise_on_the_port_is_counted_and_changes_nothing() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.channel(0);
    let mut random = Random::new([9; 32]);
    let (local, peer) = (pair.peers[0].hosts[0], pair.peers[1].hosts[0]);
    let stranger = "10.0.0.66:6666".parse().expect("an address");
    for round in 0..5000usize {
        let mut datagram = noise(&mut random, round % 1500);
        if let Some(first) = datagram.first_mut() {
            *first = (round % 256) as u8;
        }
        let source = if round % 2 == 0 { stranger } else { peer };
        let now = pair.now;
        pair.peers[0].transport.handle_datagram(now, Wire::udp(local, source), &datagram);
    }
    pair.run_for(1.0);
    assert!(pair.send(0, ours, b"still here".to_vec()));
    pair.run_to(1.0, "data flows", |pair| pair.peers[1].messages.len() == 1);
    assert_eq!(pair.peers[1].messages[0].0, theirs);
    let drops = pair.peers[0].transport.drops();
    assert!(drops.unknown > 1000 && drops.stun > 10 && drops.dtls > 50, "{drops:?}");
}

#[test]
fn every_datagram_of_a_session_truncated_flipped_and_repeated_does_no_harm() {
    let mut record = Pair::connected();
    record.channel(0);
    record.run_for(5.0);
    let mut pair = Pair::connected();
    let (ours, _) = pair.channel(0);
    let mut random = Random::new([5; 32]);
    let (local, peer) = (pair.peers[0].hosts[0], pair.peers[1].hosts[0]);
    let own: Vec<Vec<u8>> =
        pair.sent.iter().filter(|sent| sent.from == 1).map(|sent| sent.bytes.clone()).collect();
    let other: Vec<Vec<u8>> = record.sent.iter().map(|sent| sent.bytes.clone()).collect();
    for datagram in own.iter().chain(&other) {
        let mut variants = vec![datagram.clone(), datagram.clone()];
        for _ in 0..20 {
            let mut flipped = datagram.clone();
            let at = u16::from_be_bytes(random.bytes()) as usize % flipped.len();
            flipped[at] ^= 1 << (random.bytes::<1>()[0] % 8);
            variants.push(flipped);
            let cut = u16::from_be_bytes(random.bytes()) as usize % datagram.len();
            variants.push(datagram[..cut].to_vec());
        }
        for variant in variants {
            let now = pair.now;
            pair.peers[0].transport.handle_datagram(now, Wire::udp(local, peer), &variant);
        }
    }
    pair.run_for(3.0);
    assert!(pair.send(0, ours, b"still here".to_vec()));
    pair.run_to(3.0, "data flows", |pair| pair.peers[1].messages.len() == 1);
}

#[test]
fn garbage_in_every_phase_of_the_connection_does_not_stop_it() {
    for seed in 1..15u8 {
        let mut pair = Pair::started(Setup { seed, ..Setup::default() });
        let mut random = Random::new([seed; 32]);
        let (local, peer) = (pair.peers[0].hosts[0], pair.peers[1].hosts[0]);
        for _ in 0..40 {
            for first in [0u8, 1, 64, 128, 200] {
                let mut datagram = noise(&mut random, 60);
                datagram[0] = first;
                let now = pair.now;
                pair.peers[0].transport.handle_datagram(now, Wire::udp(local, peer), &datagram);
            }
            pair.run_for(0.005);
        }
        pair.run_to(5.0, "connected", Pair::is_connected);
    }
}

#[test]
fn random_candidate_lines_are_refused_or_read_but_never_panic() {
    let mut random = Random::new([1; 32]);
    let words = [
        "candidate:1",
        "1",
        "udp",
        "tcp",
        "2122260223",
        "10.0.0.1",
        "::1",
        "x.local",
        "9",
        "typ",
        "host",
        "srflx",
        "raddr",
        "rport",
        "ufrag",
        "0",
        "-1",
        "65536",
        "é",
        "",
        "candidate:",
        "a=candidate:1",
    ];
    for _ in 0..50_000 {
        let count = usize::from(random.bytes::<1>()[0] % 14);
        let line: Vec<&str> =
            (0..count).map(|_| words[usize::from(random.bytes::<1>()[0]) % words.len()]).collect();
        let _ = RemoteCandidate::parse(&line.join(" "));
        let bytes = random.bytes::<32>();
        let _ = RemoteCandidate::parse(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn the_record_of_a_session_is_mostly_dtls() {
    // Guards the harness: a test that injects records has some to inject.
    let pair = Pair::connected();
    assert!(pair.sent.iter().filter(|sent| sent.class() == Class::Dtls).count() > 6);
}
