//! Packets at any time to a playout: `rust/codec/tests/seeds.rs` includes this file, as the fuzz target does.
//!
//! An input is a list of `[flags] [sequence, relative] [time until the next, ms] [timestamp, relative, 2 bytes]
//! [length, 2 bytes] [payload]`.

use std::time::{Duration, Instant};

use adieu_codec::{Codec, Config, Packet, Playout};

/// Bits of the flags: the codec (two of them), another SSRC, numbers far away, no pull before the next packet.
pub const PCMU: u8 = 1;
pub const PCMA: u8 = 2;
pub const OTHER: u8 = 4;
pub const FAR: u8 = 8;
pub const AT_ONCE: u8 = 16;

const HEAD: usize = 7;
/// More than may wait in any playout: 64 KiB of payload, and the samples of some packets.
const BOUND: (usize, usize) = (64 << 10, 2 * 48_000);

/// One record of an input.
pub fn record(flags: u8, sequence: i8, pause: u8, timestamp: i16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![flags, sequence as u8, pause];
    out.extend(timestamp.to_be_bytes());
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend(payload);
    out
}

/// Nothing panics, what waits is bounded, and each pull gives 10 ms of finite samples. How many were not made up.
pub fn playout(mut data: &[u8]) -> u64 {
    let mut now = Instant::now();
    let config = match data.first() {
        Some(first) if first & 128 != 0 => Config { rate: 16_000, channels: 2 },
        _ => Config { rate: 48_000, channels: 1 },
    };
    let mut playout = Playout::new(config);
    let (mut sequence, mut timestamp) = (1u64 << 20, 1u64 << 32);
    let mut out = Vec::new();
    while let Some((head, rest)) = data.split_at_checked(HEAD) {
        let length = usize::from(u16::from_be_bytes([head[5], head[6]])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        data = rest;
        let flags = head[0];
        let codec = match flags & 3 {
            PCMU => Codec::Pcmu,
            PCMA => Codec::Pcma,
            _ => Codec::Opus,
        };
        sequence = sequence.wrapping_add_signed(i64::from(head[1] as i8));
        timestamp = timestamp.wrapping_add_signed(i64::from(i16::from_be_bytes([head[3], head[4]])));
        if flags & FAR != 0 {
            sequence = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            timestamp = timestamp.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        playout.insert(Packet {
            codec,
            ssrc: u32::from(flags & OTHER != 0),
            sequence,
            timestamp,
            arrived: now,
            payload: payload.to_vec(),
        });
        if flags & AT_ONCE != 0 {
            continue;
        }
        for _ in 0..=head[2] / 10 {
            out.clear();
            let pulled = playout.pull(now, &mut out);
            assert_eq!(out.len(), pulled.frames * config.channels);
            assert!(pulled.frames == 0 || pulled.frames == pulled.rate as usize / 100);
            assert!(out.iter().all(|sample| sample.is_finite()));
            let (bytes, samples) = playout.waiting();
            assert!(bytes <= BOUND.0 && samples <= BOUND.1, "{bytes} bytes, {samples} samples");
            now += Duration::from_millis(10);
        }
    }
    playout.figures().emitted
}
