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
use targets::{LATER, SIGNED, STRANGER, frame};

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

#[test]
fn headers_of_packets() {
    replay("header", targets::header);
}

#[test]
fn compounds_of_reports() {
    replay("rtcp", targets::rtcp);
}

#[test]
fn the_payloads_of_pictures() {
    replay("depacketize", |data| _ = targets::pictures::depacketize(data));
    let whole: Vec<usize> =
        seeds("depacketize").iter().map(|seed| targets::pictures::depacketize(seed)).collect();
    assert_eq!(whole, [5, 4, 2], "or the seeds say nothing"); // some are frames of both codecs
}

#[test]
fn packets_of_pictures_in_any_order() {
    replay("assemble", |data| _ = targets::pictures::assemble(data));
    let frames: Vec<usize> = seeds("assemble").iter().map(|seed| targets::pictures::assemble(seed)).collect();
    assert_eq!(frames, [4, 2, 4, 1], "or the seeds say nothing");
}

#[test]
fn feedback_about_arrivals() {
    replay("feedback", |data| _ = targets::pictures::feedback(data));
    let told: Vec<usize> = seeds("feedback").iter().map(|seed| targets::pictures::feedback(seed)).collect();
    assert_eq!(told, [9, 40, 500], "or the seeds say nothing");
}

#[test]
#[ignore = "writes rust/fuzz/seeds"]
fn record_pictures() {
    use adieu_engine::rtp::wire::feedback::Feedback;
    let list = |parts: &[(u8, &[u8])]| -> Vec<u8> {
        parts.iter().flat_map(|(flags, payload)| frame(*flags, payload)).collect()
    };
    let vp8 = list(&[
        (LATER, &[0x90, 0x80, 1, 0, 1, 2]),
        (0, &[0x80, 0x80, 1, 3]),
        (LATER, &[0x90, 0xe0, 0x80, 2, 1, 0x60, 1, 9]),
        (LATER, &[0x10, 1, 2]),
    ]);
    let h264 = list(&[
        (LATER, &[0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x68, 3]),
        (0, &[0x7c, 0x85, 4]),
        (0, &[0x7c, 0x45, 6]),
        (LATER, &[0x41, 9]),
        (LATER, &[0x65, 9]),
    ]);
    let odd = list(&[
        (LATER, &[0x18, 0, 0, 0x7c]),
        (LATER, &[0x7c, 0x85, 1]),
        (0, &[0x5c, 0x45, 2]),
        (LATER, &[0x61, 1]),
    ]);
    write("depacketize", [vp8, h264, odd]);
    let key: &[u8] = &[1, 1, 33, 0x90, 0x80, 1, 0, 1];
    let next: &[u8] = &[1, 1, 33, 0x90, 0x80, 2, 1, 1];
    let after: &[u8] = &[1, 1, 33, 0x90, 0x80, 3, 1, 1];
    let last: &[u8] = &[1, 1, 33, 0x90, 0x80, 4, 1, 1];
    let steady = list(&[(LATER, key), (LATER, next), (LATER, after), (LATER, last)]);
    let gap: &[u8] = &[2, 2, 33, 0x90, 0x80, 4, 1, 1];
    let much: &[u8] = &[1, 1, 200, 0x90, 0x80, 5, 1, 1];
    let lost = list(&[(LATER, key), (LATER, next), (LATER, gap), (LATER, much), (LATER, much)]);
    let early: &[u8] = &[2, 2, 33, 0x90, 0x80, 4, 1, 1];
    let late: &[u8] = &[0xff, 0xff, 5, 0x90, 0x80, 3, 1, 1];
    let swapped = list(&[(LATER, key), (LATER, next), (LATER, early), (LATER, late)]);
    let open: &[u8] = &[60, 1, 33, 0x90, 0x80, 1, 0, 1];
    let before: &[u8] = &[0xf0, 0xff, 33, 0x90, 0x80, 1, 0, 1];
    let earlier = list(&[(0, open), (LATER, before)]);
    write("assemble", [steady, lost, swapped, earlier]);
    let body = |packets: u16, arrived| {
        let mut out = Vec::new();
        Feedback { base: 65_530, count: 3, packets, arrived }.write(&mut out, 1, 2);
        out.split_off(12)
    };
    let many = (0..500).filter(|at| at % 7 != 3).map(|at| (at, i64::from(at) * 300)).collect();
    write(
        "feedback",
        [
            vec![0, 1, 0, 9, 0, 0, 2, 7, 0xa0, 0x80, 1, 2, 3, 0],
            body(40, vec![(0, 700), (3, 690), (39, 9000)]),
            body(500, many),
        ],
    );
}

#[test]
fn protected_packets() {
    replay("srtp", targets::srtp);
}

#[test]
fn packets_of_a_peer_with_the_keys_and_negotiations_between_them() {
    replay("media", |data| _ = targets::media(data));
    let taken = targets::media(&seeds("media")[0]);
    assert!(taken >= 4, "{taken}");
}

#[test]
fn feedback_of_packets() {
    replay("estimate", |data| _ = targets::estimate::estimate(data));
    let targets: Vec<u32> = seeds("estimate").iter().map(|seed| targets::estimate::estimate(seed)).collect();
    // Steady arrivals raise, a path of 400 kbit/s and silence lower: or the numbers in the seeds do not fit.
    let is_followed = (300_000..400_000).contains(&targets[1]);
    assert!(targets[0] > 400_000 && is_followed && targets[2] < 100_000, "{targets:?}");
}

#[test]
#[ignore = "writes rust/fuzz/seeds"]
fn record_estimate() {
    use targets::estimate::{ARRIVED, DEMAND, FRAME, MISSING, PAUSE, REMB, REPORT, SEND, record};
    let rounds = |count: usize, round: &[Vec<u8>]| round.concat().repeat(count);
    let steady = [record(SEND, 100, 1000, 10), record(ARRIVED, -9, 40, 10)];
    let slow = [record(SEND, 100, 1000, 10), record(ARRIVED, -9, 80, 10)];
    let lossy = [record(SEND, 100, 1000, 10), record(ARRIVED, -9, 40, 7), record(MISSING, -2, 0, 3)];
    let silent = [record(SEND, 0, 1000, 1), record(PAUSE, 0, 1500, 0)];
    let others = [
        record(FRAME, 2, 1000, 5),
        record(FRAME, 3, 900, 10),
        record(FRAME, 0, 1000, 3),
        record(FRAME, 1, 100, 3),
        record(PAUSE, 0, 40, 0),
        record(REPORT, 0, 50, 5),
        record(REMB, 0, 50_000, 3),
        record(DEMAND, 3, 40_000, 5),
    ];
    write(
        "estimate",
        [
            rounds(60, &steady),
            [rounds(20, &steady), rounds(60, &slow)].concat(),
            [rounds(5, &steady), rounds(6, &silent)].concat(),
            [rounds(60, &lossy), rounds(5, &others), rounds(5, &steady)].concat(),
        ],
    );
}

/// Packets and reports of a peer: plain.
fn media_packets() -> Vec<Vec<u8>> {
    use adieu_engine::rtp::wire::header::NewHeader;
    use adieu_engine::rtp::wire::{extensions, rtcp, tone};
    let packet = |payload_type, sequence, payload: &[u8]| {
        let mut out = Vec::new();
        let header = NewHeader {
            payload_type,
            marker: sequence == 1,
            sequence,
            timestamp: 960 * u32::from(sequence),
            ssrc: 7,
            has_extension: true,
        };
        header.write(&mut out);
        let mut writer = extensions::Writer::default();
        writer.add(4, b"0");
        writer.write(&mut out);
        out.extend_from_slice(payload);
        out
    };
    let mut report = Vec::new();
    let info = rtcp::SenderInfo { ntp: 1 << 32, timestamp: 960, packets: 1, bytes: 5 };
    rtcp::write_report(&mut report, 7, Some(&info), &[rtcp::Block { ssrc: 9, ..rtcp::Block::default() }]);
    rtcp::write_cname(&mut report, 7, "name");
    let mut bye = Vec::new();
    rtcp::write_report(&mut bye, 7, None, &[]);
    rtcp::write_bye(&mut bye, &[7]);
    let over = tone::Report { tone: '5', is_over: true, duration: 4800 };
    vec![
        packet(111, 1, b"sound"),
        packet(111, 2, b"more sound"),
        packet(63, 3, &[0x80 | 111, 0x0f, 0x00, 2, 111, 1, 2, 3, 4]),
        packet(110, 4, &over.write()),
        report,
        bye,
    ]
}

fn record_media() {
    use adieu_engine::rtp::srtp::{Material, Profile, Srtp};
    let packets = media_packets();
    let [first, second, third, ..] = &packets[..] else { panic!("six packets") };
    write("header", [first.clone(), second.clone(), third.clone(), packets[3].clone()]);
    write("rtcp", [packets[4].clone(), packets[5].clone(), packets[4..].concat()]);
    let all: Vec<u8> = packets.iter().flat_map(|packet| frame(0, packet)).collect();
    let late: Vec<u8> = packets.iter().flat_map(|packet| frame(LATER, packet)).collect();
    let between: Vec<u8> =
        packets.iter().flat_map(|packet| [frame(0, packet), frame(STRANGER, &[15])].concat()).collect();
    write("media", [all, late, between]);
    let keys = Material { profile: Profile::Aes128Gcm, bytes: (0..56).collect(), is_client: false };
    let mut peer = Srtp::new(&keys).expect("material");
    let sealed: Vec<Vec<u8>> = packets
        .into_iter()
        .enumerate()
        .map(|(at, mut packet)| {
            match at {
                0..=3 => peer.seal(&mut packet, 20, 7, at as u64 + 1).expect("sealed"),
                _ => peer.seal_rtcp(&mut packet).expect("sealed"),
            }
            packet
        })
        .collect();
    let list = |some: &[Vec<u8>]| some.iter().flat_map(|packet| frame(0, packet)).collect::<Vec<u8>>();
    write("srtp", [list(&sealed), list(&sealed[..2]), list(&sealed[4..])]);
}

#[test]
fn messages_of_a_turn_server() {
    replay("turn", |data| _ = targets::turn(data));
    assert_eq!(targets::turn(&seeds("turn")[0]), 1, "the answers fit the requests");
}

#[test]
fn pieces_of_a_stream() {
    replay("stream", |data| _ = targets::stream(data));
    let read: Vec<_> = seeds("stream").iter().map(|seed| targets::stream(seed)).collect();
    assert_eq!(read, [2, 3, 2], "a datagram of no bytes is not counted");
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
    record_media();
    write("candidate", [
        &b"candidate:1 1 udp 2122260223 192.0.2.1 5000 typ host"[..],
        b"candidate:842163049 1 UDP 1677729535 203.0.113.5 6000 typ srflx raddr 10.0.0.1 rport 5000 generation 0 ufrag x",
        b"candidate:2 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active",
        b"candidate:3 1 udp 2113937151 0f0a6a0c-0000-4000-8000-1b2c3d4e5f60.local 5001 typ host",
        b"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
    ].map(<[u8]>::to_vec));
}

#[test]
#[ignore = "writes rust/fuzz/seeds"]
fn record_turn() {
    let (realm, nonce) = ((0x14, &b"realm"[..]), (0x15, &b"nonce"[..]));
    let mapped = (0x20, &xored(0x0a00_0001, 4000)[..]);
    let allocated = [(0x16, &xored(0xc633_6401, 50_000)[..]), mapped, (0x0d, &[0, 0, 2, 88][..])];
    let refused = |code: [u8; 2]| [(9, vec![0, 0, code[0], code[1]]), (0x15, b"other".to_vec())];
    let error = |method: u16, code: [u8; 2]| {
        let parts = refused(code);
        message(0x0110 | method, &[(parts[0].0, &parts[0].1), realm, (parts[1].0, &parts[1].1)])
    };
    let challenge = frame(0, &message(0x0113, &[(9, &[0, 0, 4, 1]), realm, nonce]));
    let success = frame(SIGNED, &message(0x0103, &allocated));
    let permitted = frame(SIGNED, &message(0x0108, &[]));
    let bound = frame(SIGNED, &message(0x0109, &[]));
    let peer = xored(0x0a00_0002, 2000);
    let data = frame(STRANGER, &message(0x0017, &[(0x12, &peer), (0x13, b"what a peer says")]));
    let channel_data = frame(STRANGER, &[0x40, 0, 0, 5, b'h', b'e', b'l', b'l', b'o', 0, 0, 0]);
    let begun = [challenge.clone(), success.clone()].concat();
    let elsewhere = message(0x0113, &[(9, &[0, 0, 3, 0]), (0x8023, &[0, 1, 0x0d, 0x97, 192, 0, 2, 2])]);
    write(
        "turn",
        [
            [&begun[..], &permitted, &bound, &data, &channel_data].concat(),
            [&begun[..], &frame(SIGNED | LATER, &error(8, [4, 38])), &permitted, &data].concat(),
            [&frame(0, &elsewhere)[..], &begun, &frame(SIGNED, &error(4, [4, 37]))].concat(),
            [&frame(0, &error(3, [4, 86]))[..], &frame(LATER, &error(3, [5, 8])), &success].concat(),
        ],
    );
    let ice = [&[0, 5][..], b"hello", &[0, 0, 0, 3], b"bye"].concat();
    let turn =
        [&message(0x0017, &[(0x12, &peer)])[..], &[0x40, 0, 0, 5], b"hello\0\0\0", &[0x40, 1, 0, 0]].concat();
    let pieces = |flags, stream: &[u8], size| -> Vec<u8> {
        stream.chunks(size).flat_map(|piece| frame(flags, piece)).collect()
    };
    write("stream", [pieces(STRANGER, &ice, 3), pieces(0, &turn, 7), pieces(0, &turn[..44], 44)]);
}

/// A STUN message with these attributes; its transaction is filled in later.
fn message(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut out = kind.to_be_bytes().to_vec();
    out.extend((body.len() as u16).to_be_bytes());
    out.extend(0x2112_a442_u32.to_be_bytes());
    out.extend([0; 12]);
    out.extend(body);
    out
}

/// An IPv4 address as XOR-MAPPED-ADDRESS has it.
fn xored(ip: u32, port: u16) -> Vec<u8> {
    let mut out = vec![0, 1];
    out.extend((port ^ 0x2112).to_be_bytes());
    out.extend((ip ^ 0x2112_a442).to_be_bytes());
    out
}

fn write<const N: usize>(target: &str, seeds: [Vec<u8>; N]) {
    let folder = folder(target);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("made");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(number.to_string()), seed).expect("written");
    }
}
