//! The seeds of the fuzz target `playout` and mutations of them, on any compiler: the same each time, and bounded in time.

#[path = "../../fuzz/src/playout.rs"]
mod target;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use adieu_codec::{Codec, Encoder, Settings};
use target::{AT_ONCE, FAR, OTHER, PCMA, PCMU, playout, record};

/// A slow machine mutates less; what it does is the same.
const BUDGET: Duration = Duration::from_millis(1500);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/playout")
}

fn below(state: &mut u64, bound: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize % bound.max(1)
}

#[test]
fn packets_at_any_time() {
    let mut paths: Vec<_> =
        fs::read_dir(folder()).expect("the seeds").map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    let seeds: Vec<_> = paths.iter().map(|path| fs::read(path).expect("a seed")).collect();
    // Or the seeds do not fit, and nothing of them is played.
    let played: Vec<_> = seeds.iter().map(|seed| playout(seed)).collect();
    assert!(played.len() == 5 && played.iter().all(|frames| *frames > 2000), "{played:?}");
    let (mut dice, started, mut runs) = (42u64, Instant::now(), 0);
    while runs < 5000 && started.elapsed() < BUDGET {
        let mut data = seeds[below(&mut dice, seeds.len())].clone();
        for _ in 0..=below(&mut dice, 8) {
            let at = below(&mut dice, data.len());
            match below(&mut dice, 4) {
                0 if !data.is_empty() => data[at] ^= 1 << below(&mut dice, 8),
                1 => drop(data.drain(at..data.len().min(at + 1 + below(&mut dice, 8)))),
                2 => {
                    let again = data[at..data.len().min(at + 1 + below(&mut dice, 300))].to_vec();
                    data.splice(at..at, again);
                }
                _ => data.truncate(at.max(200)),
            }
        }
        playout(&data);
        runs += 1;
    }
    assert!(runs >= 20, "{runs} mutations: too slow to say anything");
}

/// `cargo test --release -p adieu-codec --test seeds -- --ignored`: make the seeds again.
#[test]
#[ignore = "writes rust/fuzz/seeds/playout"]
fn make_seeds() {
    let voice = |at: usize| {
        let time = at as f32 / 48_000.0;
        if (time * 4.0).fract() < 0.8 { (time * (900.0 + 200.0 * time)).sin() * 0.3 } else { 0.0 }
    };
    let samples: Vec<f32> = (0..48_000).map(voice).collect();
    let payloads = |codec: Codec, dtx: bool| -> Vec<Vec<u8>> {
        let rate = codec.working_rate(48_000);
        let settings = Settings { codec, rate, channels: 1, max_bitrate: Some(16_000), fec: true, dtx };
        let mut encoder = Encoder::new(settings).expect("made");
        encoder.set_loss(0.1);
        let own: Vec<f32> = samples.iter().step_by(48_000 / rate as usize).copied().collect();
        own.chunks_exact(rate as usize / 50)
            .map(|frame| encoder.encode(frame).unwrap_or_default().to_vec())
            .collect()
    };
    let list =
        |payloads: &[Vec<u8>], flags: u8, ticks: i16, odd: &dyn Fn(usize) -> (u8, i8, u8)| -> Vec<u8> {
            let all = payloads.iter().enumerate().filter(|(_, payload)| !payload.is_empty());
            let records = all.map(|(at, payload)| {
                let (more, step, pause) = odd(at);
                record(flags | more, step, pause, ticks * i16::from(step), payload)
            });
            records.collect::<Vec<_>>().concat()
        };
    let opus = payloads(Codec::Opus, false);
    let seeds = [
        list(&opus, 128, 960, &|at| (0, if at % 7 == 6 { 2 } else { 1 }, 10)),
        list(&payloads(Codec::Opus, true), 0, 960, &|at| (0, 1, if at % 10 == 9 { 200 } else { 10 })),
        list(&payloads(Codec::Pcmu, false), PCMU, 160, &|at| (if at % 5 == 4 { AT_ONCE } else { 0 }, 1, 20)),
        list(&payloads(Codec::Pcma, false), PCMA, 160, &|at| (if at == 25 { OTHER } else { 0 }, 1, 10)),
        list(&opus, 0, 960, &|at| (if at == 10 { FAR } else { 0 }, if at % 9 == 8 { -1 } else { 1 }, 10)),
    ];
    fs::create_dir_all(folder()).expect("made");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder().join(number.to_string()), seed).expect("written");
    }
}
