//! Playout in virtual time: what is sent, what a network makes of it, what is heard.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use adieu_codec::{Codec, Config, Decoder, Encoder, Figures, Packet, Playout, Settings, g711};

const MS: Duration = Duration::from_millis(1);
/// The timestamp of the first packet.
const FIRST: u64 = 1_000_000;

/// Numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// The sound of a call, as it was heard.
#[derive(Default)]
struct Heard {
    samples: Vec<f32>,
    /// Milliseconds since the call began, for each 10 ms: when they were played, and the playout's own delay then.
    at: Vec<(u64, u64)>,
    figures: Figures,
}

impl Heard {
    /// Return the delay that 95 of 100 parts had at most, of those from `from` seconds on.
    fn delay_p95(&self, from: u64) -> u64 {
        let mut delays: Vec<u64> =
            self.at.iter().filter(|(at, _)| *at >= from * 1000).map(|(_, delay)| *delay).collect();
        delays.sort_unstable();
        delays[delays.len() * 95 / 100]
    }
}

/// Play packets at the times at which they arrive (in ms), for `seconds`.
fn play(mut playout: Playout, start: Instant, mut packets: Vec<(u64, Packet)>, seconds: u64) -> Heard {
    packets.sort_by_key(|(at, _)| *at);
    let mut packets = packets.into_iter().peekable();
    let mut heard = Heard::default();
    for tick in 0..seconds * 100 {
        let now = start + MS * (tick * 10) as u32;
        while let Some((at, mut packet)) = packets.next_if(|(at, _)| *at <= tick * 10) {
            packet.arrived = start + MS * at as u32;
            playout.insert(packet);
        }
        let pulled = playout.pull(now, &mut heard.samples);
        if pulled.frames > 0 {
            let delay = playout.delay(now).unwrap_or_default().as_millis() as u64;
            heard.at.push((tick * 10, delay + 10));
        }
        let (bytes, samples) = playout.waiting();
        assert!(bytes <= 64 << 10 && samples <= 48_000, "{bytes} bytes, {samples} samples");
    }
    heard.figures = *playout.figures();
    heard
}

/// A voice: 140 Hz that rise and fall, with their harmonics, in syllables. An encoder takes a steady sound for noise.
fn voice(frames: usize, rate: u32) -> Vec<f32> {
    let mut phase = 0.0f32;
    let sound = (0..frames).map(|at| {
        let time = at as f32 / rate as f32;
        phase = (phase + (140.0 + 40.0 * (time * 5.3).sin()) / rate as f32).fract();
        let is_break = (time * 4.0).fract() >= 0.9;
        let tones = (1..12).map(|tone| (phase * tone as f32 * std::f32::consts::TAU).sin() / tone as f32);
        if is_break { 0.0 } else { tones.sum::<f32>() * 0.2 }
    });
    sound.collect()
}

fn opus(fec: bool, dtx: bool) -> Encoder {
    let settings = Settings { codec: Codec::Opus, rate: 48_000, channels: 1, max_bitrate: None, fec, dtx };
    Encoder::new(settings).expect("made")
}

fn packet(codec: Codec, number: u64, payload: Vec<u8>) -> Packet {
    let ticks = u64::from(codec.clock_rate() / 50);
    Packet {
        codec,
        ssrc: 1,
        sequence: 1000 + number,
        timestamp: FIRST + number * ticks,
        arrived: Instant::now(),
        payload,
    }
}

fn opus_packets(encoder: &mut Encoder, sound: &[f32]) -> Vec<Packet> {
    let frames = sound.chunks_exact(960).enumerate();
    let payloads = frames.filter_map(|(number, frame)| Some((number, encoder.encode(frame)?.to_vec())));
    let numbered = payloads.enumerate().map(|(sequence, (number, payload))| {
        let mut packet = packet(Codec::Opus, number as u64, payload);
        packet.sequence = sequence as u64;
        packet
    });
    numbered.collect()
}

/// The number of a packet as sound: each byte of µ-law is another value, and two neighbours are far from silence.
fn numbered(count: u64) -> Vec<Packet> {
    (0..count).map(|number| packet(Codec::Pcmu, number, vec![(number % 100) as u8 + 0x80; 160])).collect()
}

fn playout(codec: Codec) -> Playout {
    Playout::new(Config { rate: codec.working_rate(48_000), channels: 1 })
}

/// Let each packet arrive when `late` says; `None`: it is lost.
fn network(packets: Vec<Packet>, mut late: impl FnMut(u64) -> Option<u64>) -> Vec<(u64, Packet)> {
    let timed = packets.into_iter().filter_map(|packet| {
        let sent = (packet.timestamp - FIRST) * 1000 / u64::from(packet.codec.clock_rate());
        Some((sent + late(sent / 20)?, packet))
    });
    timed.collect()
}

#[test]
fn without_loss_what_is_played_is_what_was_sent_sample_for_sample() {
    let packets = numbered(500);
    let sent: Vec<i16> =
        packets.iter().flat_map(|packet| &packet.payload).map(|byte| g711::decode_mu(*byte)).collect();
    let heard = play(playout(Codec::Pcmu), Instant::now(), network(packets, |_| Some(30)), 10);
    let played: Vec<i16> = heard.samples.iter().map(|sample| adieu_codec::to_i16(*sample)).collect();
    assert!(played.len() > 79_000);
    assert!(played[..] == sent[..played.len()]);
    assert!(heard.delay_p95(0) <= 30, "{} ms", heard.delay_p95(0));

    let packets = opus_packets(&mut opus(true, false), &voice(480_000, 48_000));
    let mut decoder = Decoder::new(Codec::Opus, 48_000, 1).expect("made");
    let mut sent = Vec::new();
    packets.iter().for_each(|packet| _ = decoder.decode(&packet.payload, &mut sent));
    let heard = play(playout(Codec::Opus), Instant::now(), network(packets, |_| Some(30)), 10);
    assert!(heard.samples.len() > 470_000);
    assert!(heard.samples[..] == sent[..heard.samples.len()]);
}

#[test]
fn packets_out_of_order_and_twice_change_nothing() {
    let packets = numbered(1500);
    let sent: Vec<u8> = packets.iter().flat_map(|packet| packet.payload.clone()).collect();
    let mut arrivals = network(packets, |number| Some(if number % 2 == 0 { 35 } else { 0 }));
    arrivals.extend(arrivals.clone());
    let heard = play(playout(Codec::Pcmu), Instant::now(), arrivals, 30);
    let played: Vec<u8> =
        heard.samples.iter().map(|sample| g711::encode_mu(adieu_codec::to_i16(*sample))).collect();
    // The first seconds are for learning the delay. After that nothing is missing and nothing is changed.
    let (tail, all) = (&played[played.len() - 160_000..], &sent[..]);
    assert!(all.windows(tail.len()).any(|window| window == tail));
    // But the last one but one, which comes after the end.
    assert_eq!(heard.figures.discarded, 1499);
}

#[test]
fn with_one_of_twenty_lost_at_most_one_of_a_hundred_is_made_up() {
    let mut encoder = opus(true, false);
    encoder.set_loss(0.05);
    let packets = opus_packets(&mut encoder, &voice(60 * 48_000, 48_000));
    let mut dice = Dice(7);
    eprintln!(
        "repairs {}",
        packets.iter().filter(|p| adieu_codec::opus_packet::has_repair(&p.payload)).count()
    );
    let mut lost = 0;
    let arrivals = network(packets, |_| {
        let is_lost = dice.below(20) == 0;
        lost += u64::from(is_lost);
        (!is_lost).then(|| 40 + dice.below(10))
    });
    let heard = play(playout(Codec::Opus), Instant::now(), arrivals, 60);
    let figures = heard.figures;
    assert!(lost > 120, "{lost}");
    let audible = figures.concealed - figures.silent;
    assert!(audible * 100 <= figures.samples, "{audible}: {figures:?}");
    // Not those of the breaks, of which the encoder repeats nothing, nor one whose successor is lost too.
    assert!(figures.repaired >= lost * 8 / 10, "{} of {lost} repaired", figures.repaired);
    assert!(heard.delay_p95(0) <= 70, "{} ms", heard.delay_p95(0));
    assert_eq!(figures.discarded, 0);
}

#[test]
fn jitter_is_waited_for_and_forgotten() {
    let mut dice = Dice(3);
    let packets = opus_packets(&mut opus(true, false), &voice(60 * 48_000, 48_000));
    // 20 s without, 20 s with up to 60 ms, 20 s without.
    let arrivals =
        network(packets, |number| Some(if (1000..2000).contains(&number) { dice.below(60) } else { 0 }));
    let heard = play(playout(Codec::Opus), Instant::now(), arrivals, 60);
    let figures = heard.figures;
    assert!(figures.concealed * 100 <= figures.samples, "{figures:?}");
    let delay = |second: usize| heard.at[second * 100].1;
    assert!(
        delay(19) <= 30 && (50..=90).contains(&delay(39)) && delay(55) <= 40,
        "{} {} {}",
        delay(19),
        delay(39),
        delay(55)
    );
}

#[test]
fn after_a_time_of_delay_all_is_heard_and_the_delay_comes_back_in_ten_seconds() {
    let packets = opus_packets(&mut opus(true, false), &voice(30 * 48_000, 48_000));
    // All that is sent in 400 ms arrives at their end.
    let arrivals =
        network(packets, |number| Some(if (500..520).contains(&number) { (520 - number) * 20 } else { 0 }));
    let heard = play(playout(Codec::Opus), Instant::now(), arrivals, 30);
    let figures = heard.figures;
    assert_eq!(figures.discarded, 0);
    assert_eq!(figures.emitted / 960, 1499);
    assert!((16_800..=19_200).contains(&figures.concealed), "{figures:?}");
    let (begin, end) = (heard.at[1045].1, heard.at[2040].1);
    assert!(begin >= 300 && end <= 40, "{begin} ms, then {end} ms");
    let while_long = figures.removed as f64 / 480_000.0;
    assert!(while_long <= 0.1, "{while_long} of ten seconds");
}

#[test]
fn a_delay_of_seconds_is_cut() {
    let arrivals = network(numbered(1000), |number| {
        Some(if (300..450).contains(&number) { (450 - number) * 20 } else { 0 })
    });
    let heard = play(playout(Codec::Pcmu), Instant::now(), arrivals, 20);
    let end = heard.at[920].1;
    assert!(end <= 60, "{end} ms");
    assert!((100..=150).contains(&heard.figures.discarded), "{:?}", heard.figures);
}

#[test]
fn a_target_that_is_asked_for_is_kept_within_the_bounds() {
    for (asked, kept) in [(200, 200), (0, 20), (4000, 500)] {
        let mut playout = playout(Codec::Opus);
        playout.set_target(Some(MS * asked));
        let packets = opus_packets(&mut opus(false, false), &voice(20 * 48_000, 48_000));
        let heard = play(playout, Instant::now(), network(packets, |_| Some(0)), 20);
        let delay = heard.at.last().expect("some").1;
        assert!((kept..=kept + 20).contains(&delay), "{asked}: {delay} ms");
    }
}

#[test]
fn what_is_lost_for_long_fades_and_is_silent() {
    for codec in [Codec::Opus, Codec::Pcmu] {
        let packets = match codec {
            Codec::Opus => opus_packets(&mut opus(false, false), &voice(86_400, 48_000)),
            _ => {
                let sound = voice(14_400, 8000);
                let bytes = sound
                    .chunks(160)
                    .map(|part| part.iter().map(|s| g711::encode_mu(adieu_codec::to_i16(*s))).collect());
                bytes.enumerate().map(|(number, payload)| packet(codec, number as u64, payload)).collect()
            }
        };
        let heard = play(playout(codec), Instant::now(), network(packets, |_| Some(0)), 4);
        let rate = codec.clock_rate() as usize;
        let loudest = |from: usize, to: usize| {
            // Playing begins after 20 ms.
            let part = &heard.samples[rate * (from - 20) / 1000..rate * (to - 20) / 1000];
            part.iter().fold(0.0f32, |most, sample| most.max(sample.abs()))
        };
        assert!(loudest(1830, 1900) > 0.05, "{codec:?}: {}", loudest(1830, 1900));
        assert!(loudest(1980, 2020) < 0.5 * loudest(1830, 1900), "{codec:?}");
        assert_eq!(loudest(2040, 3900), 0.0, "{codec:?}");
        // A second without a packet is a pause, not a loss that is counted for ever.
        assert!(heard.figures.concealed <= rate as u64 * 102 / 100, "{:?}", heard.figures);
    }
}

#[test]
fn a_pause_of_the_sender_is_nothing_that_is_missing() {
    let mut sound = voice(10 * 48_000, 48_000);
    sound[96_000..336_000].fill(0.0);
    let packets = opus_packets(&mut opus(true, true), &sound);
    assert!(packets.len() < 300, "5 s of silence are not sent: {}", packets.len());
    let heard = play(playout(Codec::Opus), Instant::now(), network(packets, |_| Some(5)), 10);
    assert_eq!(heard.figures.concealed, 0, "{:?}", heard.figures);
    assert!(heard.delay_p95(8) <= 40, "{} ms", heard.delay_p95(8));
}

#[test]
fn a_sender_that_begins_anew_is_heard_at_once() {
    type Change = fn(&mut Packet);
    let changes: [(&str, Change); 6] = [
        ("another SSRC", |packet| packet.ssrc = 2),
        ("another SSRC and clock", |packet| {
            (packet.ssrc, packet.timestamp) = (2, packet.timestamp + (1 << 33))
        }),
        ("a sequence far ahead", |packet| packet.sequence += 30_000),
        ("a sequence far back", |packet| packet.sequence -= 900),
        ("a time far ahead", |packet| packet.timestamp += 1 << 31),
        ("a time far back", |packet| packet.timestamp -= 80_000),
    ];
    for (name, change) in changes {
        let mut arrivals = network(numbered(800), |_| Some(0));
        arrivals.iter_mut().filter(|(at, _)| *at >= 8000).for_each(|(_, packet)| change(packet));
        let heard = play(playout(Codec::Pcmu), Instant::now(), arrivals, 16);
        let numbers: Vec<u64> = heard.samples[8000 * 9..8000 * 15]
            .iter()
            .map(|sample| u64::from(g711::encode_mu(adieu_codec::to_i16(*sample)) & 0x7f))
            .collect();
        // From a second on each number is heard for 20 ms, in order.
        let whole = numbers.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect::<Vec<_>>();
        let steady = whole[1..whole.len() - 1].iter().filter(|(_, length)| *length == 160).count();
        assert!(steady >= 280, "{name}: {steady} of 300: {whole:?}");
        assert!(whole.windows(2).all(|pair| pair[1].0 == (pair[0].0 + 1) % 100), "{name}");
    }
}

#[test]
fn packets_of_the_ssrc_before_do_not_bring_it_back() {
    let mut arrivals = network(numbered(400), |_| Some(0));
    arrivals.iter_mut().filter(|(at, _)| *at >= 4000).for_each(|(_, packet)| packet.ssrc = 2);
    let late: Vec<_> = arrivals.iter().filter(|(at, _)| (3800..4000).contains(at)).cloned().collect();
    arrivals.extend(late.into_iter().map(|(at, packet)| (at + 250, packet)));
    let heard = play(playout(Codec::Pcmu), Instant::now(), arrivals, 8);
    // Ten, and the one that waited when the new SSRC came.
    assert_eq!(heard.figures.discarded, 11);
}

#[test]
fn a_clock_that_is_not_exact_is_followed() {
    for drift in [-300i64, 300] {
        let packets = numbered(15_000);
        let arrivals =
            network(packets, |number| Some((1000 + number as i64 * 20 * drift / 1_000_000) as u64));
        let heard = play(playout(Codec::Pcmu), Instant::now(), arrivals, 300);
        let delay = heard.at.last().expect("some").1;
        assert!(delay <= 40, "{drift}: {delay} ms");
        assert!(heard.figures.concealed <= heard.figures.samples / 200, "{:?}", heard.figures);
    }
}

#[test]
fn codecs_change_in_a_call() {
    let mut packets = numbered(200);
    packets.iter_mut().skip(100).for_each(|packet| packet.codec = Codec::Pcma);
    let mut opus = opus_packets(&mut opus(false, false), &voice(4 * 48_000, 48_000));
    for (number, packet) in opus.iter_mut().enumerate() {
        packet.sequence = 1200 + number as u64;
    }
    let mut arrivals = network(packets, |_| Some(0));
    arrivals.extend(network(opus, |_| Some(4000)));
    let playout = Playout::new(Config { rate: 16_000, channels: 2 });
    let heard = play(playout, Instant::now(), arrivals, 8);
    assert!(heard.figures.concealed < 16_000 / 50, "{:?}", heard.figures);
    assert!(heard.figures.damaged == 0 && heard.figures.discarded <= 1, "{:?}", heard.figures);
    assert!((7.8..8.0).contains(&heard.figures.duration));
}

/// RFC 6716 section 3.2.5: a packet of code 3 with 48 frames of 2.5 ms.
#[test]
fn the_longest_packet_of_opus_is_played_whole() {
    let toc = 16 << 3 | 3; // CELT, narrow band, 2.5 ms
    let payload = [vec![toc, 48], vec![0; 48]].concat();
    assert_eq!(Codec::Opus.ticks(&payload), Some(5760));
    let packets = (0..50).map(|number| {
        let mut packet = packet(Codec::Opus, number, payload.clone());
        packet.timestamp = FIRST + number * 5760;
        packet
    });
    let heard = play(playout(Codec::Opus), Instant::now(), network(packets.collect(), |_| Some(0)), 6);
    assert_eq!(heard.figures.concealed + heard.figures.damaged, 0, "{:?}", heard.figures);
    let mut broken = payload;
    broken[1] = 49;
    assert_eq!(Codec::Opus.ticks(&broken), None);
}

#[test]
fn any_packets_at_any_time_leave_it_bounded() {
    let mut dice = Dice(99);
    let start = Instant::now() + Duration::from_secs(1000);
    let mut playout = playout(Codec::Opus);
    let mut known = BTreeMap::new();
    for turn in 0..20_000u64 {
        let codec = [Codec::Opus, Codec::Opus, Codec::Pcmu, Codec::Pcma][dice.below(4) as usize];
        let payload: Vec<u8> = (0..dice.below(300)).map(|_| dice.below(256) as u8).collect();
        let far = |dice: &mut Dice| if dice.below(20) == 0 { dice.below(u64::MAX) } else { turn };
        let packet = Packet {
            codec,
            ssrc: u32::from(dice.below(200) == 0),
            sequence: far(&mut dice).wrapping_add(dice.below(8)),
            timestamp: far(&mut dice).wrapping_mul(960).wrapping_sub(dice.below(5000)),
            arrived: start + MS * dice.below(1_000_000) as u32,
            payload,
        };
        playout.insert(packet);
        let mut out = Vec::new();
        let pulled = playout.pull(start + MS * (turn * 10) as u32, &mut out);
        assert_eq!(out.len(), pulled.frames);
        assert!(out.iter().all(|sample| sample.is_finite()));
        let (bytes, samples) = playout.waiting();
        assert!(bytes <= 64 << 10 && samples <= 48_000);
        *known.entry(pulled.rate).or_insert(0) += 1;
    }
    assert!(known.len() >= 2, "{known:?}");
}
