//! CPU of each step for 20 ms of one voice, and memory of one stream: `cargo run --release -p adieu-codec --example figures`.
//! Linux only: the CPU time of this thread and the pages of this process are read from /proc.

use std::fs;
use std::time::{Duration, Instant};

use adieu_codec::{Codec, Config, Decoder, Encoder, Packet, Playout, Resampler, Settings};

const FRAMES: usize = 960;
const COUNT: usize = 3000;

fn cpu() -> u64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0)
}

fn pages() -> usize {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

fn measure(name: &str, count: usize, mut step: impl FnMut(usize)) {
    let before = cpu();
    (0..count).for_each(&mut step);
    println!("{name:34} {:7.1} µs", (cpu() - before) as f64 / 1000.0 / count as f64);
}

fn voice() -> Vec<f32> {
    let mut phase = 0.0f32;
    let sound = (0..COUNT * FRAMES).map(|at| {
        let time = at as f32 / 48_000.0;
        phase = (phase + (140.0 + 40.0 * (time * 5.3).sin()) / 48_000.0).fract();
        let tones = (1..12).map(|tone| (phase * tone as f32 * std::f32::consts::TAU).sin() / tone as f32);
        if (time * 4.0).fract() < 0.9 { tones.sum::<f32>() * 0.2 } else { 0.0 }
    });
    sound.collect()
}

fn encoder(channels: usize) -> Encoder {
    let settings =
        Settings { codec: Codec::Opus, rate: 48_000, channels, max_bitrate: None, fec: true, dtx: false };
    Encoder::new(settings).expect("memory")
}

fn packet(number: u64, arrived: Instant, payload: &[u8]) -> Packet {
    Packet {
        codec: Codec::Opus,
        ssrc: 1,
        sequence: number,
        timestamp: number * 960,
        arrived,
        payload: payload.to_vec(),
    }
}

fn main() {
    let sound = voice();
    let payloads = encode(&sound);
    decode(&payloads);
    play(&payloads);
    resample(&sound);
    remember(&sound, &payloads);
}

fn encode(sound: &[f32]) -> Vec<Vec<u8>> {
    let mut mono = encoder(1);
    let mut payloads = Vec::new();
    measure("encode, mono", COUNT, |at| payloads.push(mono.encode(part(sound, at)).expect("sent").to_vec()));
    let silence = [0.0; FRAMES];
    measure("encode, silence", COUNT, |_| _ = mono.encode(&silence));
    let mut stereo = encoder(2);
    measure("encode, stereo", COUNT / 2, |at| {
        _ = stereo.encode(&sound[at * 2 * FRAMES..(at + 1) * 2 * FRAMES])
    });
    payloads
}

fn decode(payloads: &[Vec<u8>]) {
    let mut out = Vec::new();
    for rate in [48_000, 16_000] {
        let mut decoder = Decoder::new(Codec::Opus, rate, 1).expect("memory");
        measure(&format!("decode, {rate} Hz"), COUNT, |at| {
            out.clear();
            decoder.decode(&payloads[at], &mut out);
        });
    }
    // One of ten only: what is concealed for long is cheap silence.
    for (name, repairs) in
        [("decode 9 of 10, conceal 1 of 10", false), ("decode 9 of 10, repair 1 of 10", true)]
    {
        let mut decoder = Decoder::new(Codec::Opus, 48_000, 1).expect("memory");
        measure(name, COUNT - 1, |at| {
            out.clear();
            match at % 10 {
                9 if repairs => _ = decoder.repair(&payloads[at + 1], FRAMES, &mut out),
                9 => decoder.conceal(FRAMES, &mut out),
                _ => _ = decoder.decode(&payloads[at], &mut out),
            }
        });
    }
}

fn play(payloads: &[Vec<u8>]) {
    let (start, mut out) = (Instant::now(), Vec::new());
    for (name, lost) in [("playout", usize::MAX), ("playout, 1 of 20 lost", 20)] {
        let mut playout = Playout::new(Config { rate: 48_000, channels: 1 });
        measure(name, COUNT, |at| {
            let now = start + Duration::from_millis(20) * at as u32;
            if at % lost != lost - 1 {
                playout.insert(packet(at as u64, now, &payloads[at]));
            }
            out.clear();
            playout.pull(now, &mut out);
            playout.pull(now + Duration::from_millis(10), &mut out);
        });
    }
}

fn resample(sound: &[f32]) {
    let mut out = Vec::new();
    for (from, to) in [(24_000, 48_000), (48_000, 16_000), (44_100, 48_000)] {
        let mut resampler = Resampler::new(from, to, 1).expect("made");
        measure(&format!("resample {from} to {to}"), COUNT, |at| {
            out.clear();
            resampler.push(&sound[at * FRAMES..at * FRAMES + from as usize / 50], &mut out);
        });
    }
}

/// Memory of the two directions of a voice, both of them resampled.
fn remember(sound: &[f32], payloads: &[Vec<u8>]) {
    let (before, start, mut out) = (pages(), Instant::now(), Vec::new());
    let mut streams = Vec::new();
    for _ in 0..100 {
        let (mut encoder, mut playout) = (encoder(1), Playout::new(Config { rate: 44_100, channels: 1 }));
        let resampler = |(from, to)| Resampler::new(from, to, 1).expect("made");
        let mut resamplers = [(24_000, 48_000), (48_000, 44_100)].map(resampler);
        for (at, payload) in payloads.iter().enumerate().take(50) {
            let now = start + Duration::from_millis(20) * at as u32;
            out.clear();
            resamplers.iter_mut().for_each(|resampler| resampler.push(part(sound, at), &mut out));
            encoder.encode(part(sound, at));
            playout.insert(packet(at as u64, now, payload));
            out.clear();
            playout.pull(now, &mut out);
            playout.pull(now, &mut out);
        }
        streams.push((encoder, playout, resamplers));
    }
    let bytes = (pages() - before) as f64 * 4096.0 / streams.len() as f64;
    println!("{:34} {:7.1} kB", "memory of both directions", bytes / 1000.0);
}

fn part(sound: &[f32], at: usize) -> &[f32] {
    &sound[at * FRAMES..(at + 1) * FRAMES]
}
