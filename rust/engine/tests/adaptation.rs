//! Pictures and sound through two whole transports, over a link that becomes slow and fast again.

mod common;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use adieu_engine::rtp::{
    AudioCodec, AudioUnit, FrameUnit, MediaEvent, MediaKind, OutboundStats, Section, VideoCodec,
};
use adieu_links::Link;
use common::{Bottleneck, Pair, seconds, section};

const PICTURES: u64 = 10;
const SOUND: u64 = 11;
const SEEN: u64 = 20;
const HEARD: u64 = 21;
const FRAME: f64 = 1.0 / 30.0;
/// The encoder takes so long to follow.
const LAG: Duration = Duration::from_millis(300);
/// A key frame is so many times larger.
const KEY: f64 = 5.0;
const SOUND_BYTES: usize = 80;

fn sound_and_pictures() -> Vec<Section> {
    let rows = [(96, "VP8", 90_000, 0, ""), (97, "rtx", 90_000, 0, "apt=96")];
    vec![
        section("0", MediaKind::Audio, (SOUND, HEARD), &[(111, "opus", 48_000, 2, "")], None),
        section("1", MediaKind::Video, (PICTURES, SEEN), &rows, Some(4_000_000)),
    ]
}

fn link(mbit: f64) -> Link {
    Link { rate: Some(mbit * 125_000.0), queue: 100_000, delay: seconds(0.025), ..Link::default() }
}

struct Call {
    pair: Pair,
    begun: Instant,
    /// The encoder's orders, as it will see them.
    orders: VecDeque<(Instant, u32)>,
    bitrate: f64,
    wants_key: bool,
    seen: usize,
    heard: usize,
    frames: u64,
    sounds: u64,
    pub keys: Vec<f64>,
    /// When each frame came.
    pub pictures: Vec<f64>,
    pub sounds_heard: u64,
    /// Pictures are encoded already, at 4 Mbit/s: nobody follows the orders.
    is_ready: bool,
}

/// A link that carries all, at once.
fn open() -> Link {
    Link { rate: None, delay: seconds(0.0001), ..Link::default() }
}

impl Call {
    fn new(link: Link) -> Call {
        let mut pair = Pair::connected();
        pair.delay = link.delay;
        pair.link = Some(Bottleneck::new(link));
        for at in 0..2 {
            let sections = sound_and_pictures();
            let (now, names) = (pair.now, (1, format!("side {at}")));
            pair.peers[at].transport.apply_media(now, seconds(1.0), names, sections);
            pair.peers[at].transport.read_frames(now, SEEN, true);
            pair.turn(at);
        }
        Call {
            begun: pair.now,
            pair,
            orders: VecDeque::new(),
            bitrate: 200_000.0,
            wants_key: true,
            seen: 0,
            heard: 0,
            frames: 0,
            sounds: 0,
            keys: Vec::new(),
            pictures: Vec::new(),
            sounds_heard: 0,
            is_ready: false,
        }
    }

    fn elapsed(&self) -> f64 {
        (self.pair.now - self.begun).as_secs_f64()
    }

    /// Sound each 20 ms, a picture each 33.
    fn run_to(&mut self, time: f64) {
        while self.elapsed() < time {
            self.follow();
            let now = self.pair.now;
            if self.elapsed() >= self.sounds as f64 * 0.02 {
                self.sounds += 1;
                let unit = AudioUnit {
                    codec: AudioCodec::Opus,
                    timestamp: 960 * self.sounds,
                    marker: false,
                    level: None,
                    captured: now,
                    mark: self.sounds,
                    payload: vec![1; SOUND_BYTES],
                };
                assert!(self.pair.peers[0].transport.send_audio(now, SOUND, unit));
            }
            if self.elapsed() >= self.frames as f64 * FRAME {
                self.picture(now);
            }
            self.pair.turn(0);
            self.pair.run_for(0.001);
            self.listen();
        }
    }

    fn picture(&mut self, now: Instant) {
        let key = std::mem::take(&mut self.wants_key);
        let size = self.bitrate / 8.0 * FRAME * (0.7 + 0.06 * (self.frames * 7 % 11) as f64);
        let size = if key { KEY * size } else { size };
        let mut data = if key { vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 64, 0] } else { vec![0x11, 0, 0] };
        data.resize(size.max(200.0) as usize, 1);
        if key {
            self.keys.push(self.elapsed());
        }
        let unit = FrameUnit {
            encoding: 0,
            codec: VideoCodec::Vp8,
            key,
            temporal: 0,
            timestamp: 3000 * self.frames,
            age: Duration::ZERO,
            mark: 0,
            data,
        };
        self.frames += 1;
        assert!(self.pair.peers[0].transport.send_frame(now, PICTURES, unit));
    }

    fn follow(&mut self) {
        let now = self.pair.now;
        for event in &self.pair.peers[0].media[self.seen..] {
            match event {
                MediaEvent::Target { bitrate, .. } => self.orders.push_back((now + LAG, *bitrate)),
                MediaEvent::KeyWanted { .. } => self.wants_key = true,
                _ => {}
            }
        }
        self.seen = self.pair.peers[0].media.len();
        while let Some((_, bitrate)) = self.orders.front().filter(|(at, _)| *at <= now) {
            self.bitrate = if self.is_ready { 4e6 } else { f64::from(*bitrate) };
            self.orders.pop_front();
        }
    }

    fn listen(&mut self) {
        let elapsed = self.elapsed();
        for event in &self.pair.peers[1].media[self.heard..] {
            match event {
                MediaEvent::Frame { receiver: SEEN, .. } => self.pictures.push(elapsed),
                MediaEvent::Audio { receiver: HEARD, .. } => self.sounds_heard += 1,
                _ => {}
            }
        }
        self.heard = self.pair.peers[1].media.len();
    }

    /// Run and give the mean of the rate that may be sent, and the longest wait for the link.
    fn watch(&mut self, to: f64) -> (f64, Duration) {
        let (mut sum, mut count) = (0.0, 0.0);
        if let Some(link) = &mut self.pair.link {
            link.longest = Duration::ZERO;
        }
        while self.elapsed() < to {
            self.run_to((self.elapsed() + 0.1).min(to));
            let stats = self.pair.peers[0].transport.stats(self.pair.now).media.expect("media");
            sum += f64::from(stats.available.expect("an estimate"));
            count += 1.0;
        }
        (sum / count, self.pair.link.as_ref().expect("a link").longest)
    }

    /// The figures of the pictures that went out.
    fn sent(&self) -> OutboundStats {
        let stats = self.pair.peers[0].transport.stats(self.pair.now).media.expect("media");
        stats.outbound.into_iter().find(|one| one.video.is_some()).expect("pictures")
    }

    /// The longest time without a new picture.
    fn longest_freeze(&self, from: f64, to: f64) -> f64 {
        let pairs = self.pictures.windows(2).filter(|pair| pair[1] > from && pair[0] < to);
        pairs.map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
    }
}

#[test]
fn a_slow_link_is_followed_within_seconds_and_sound_is_kept() {
    let mut call = Call::new(link(2.0));
    call.run_to(20.0);
    call.pair.set_rate(50_000.0);
    call.run_to(23.0);
    let (_, first) = call.watch(25.0);
    let (slow, then) = call.watch(40.0);
    call.pair.set_rate(250_000.0);
    call.run_to(55.0);
    let (fast, _) = call.watch(65.0);
    let sent = call.sent();
    let about = format!(
        "{slow:.0} {first:?} {then:?} {fast:.0}, key frames {:?}, freezes {:.2} {:.2} {:.2}, heard {} of {}, {sent:?}",
        call.keys,
        call.longest_freeze(2.0, 20.0),
        call.longest_freeze(20.0, 40.0),
        call.longest_freeze(40.0, 65.0),
        call.sounds_heard,
        call.sounds,
    );
    println!("{about}");
    assert!((0.34e6..0.46e6).contains(&slow), "{about}");
    assert!((1.7e6..2.3e6).contains(&fast), "{about}");
    assert!(first.max(then) <= Duration::from_millis(200), "{about}");
    assert!(call.keys.len() <= 2, "{about}");
    assert!(call.sounds_heard * 100 >= call.sounds * 99, "{about}");
    assert!(call.longest_freeze(2.0, 65.0) <= 0.6, "{about}");
}

#[test]
fn ready_pictures_all_come_on_an_open_link_from_the_first_on() {
    for late in [0.0, 0.003, 0.01, 0.03] {
        let mut call = Call::new(open());
        (call.is_ready, call.bitrate, call.pair.late) = (true, 4e6, late);
        call.run_to(60.0);
        call.pair.late = 0.0;
        call.run_to(60.2);
        let sent = call.sent();
        let (came, freeze) = (call.pictures.len() as u64, call.longest_freeze(0.0, 60.0));
        let about = format!("{late}: {came} of {}, {freeze:.2}, {sent:?}", call.frames);
        println!("{about}");
        assert!(came == call.frames && freeze <= 0.3, "{about}");
    }
}

#[test]
fn an_encoder_whose_first_picture_comes_late_has_all_it_wants_within_a_second() {
    let mut call = Call::new(open());
    call.pair.run_for(1.0);
    call.begun = call.pair.now;
    call.run_to(1.0);
    let (soon, _) = call.watch(2.0);
    assert!(soon >= 4e6, "{soon}");
}
