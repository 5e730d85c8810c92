//! Pictures through two whole transports with loss, in virtual time: each frame that comes out is one that went in.

mod common;

use std::time::{Duration, Instant};

use adieu_engine::rtp::{FrameUnit, InboundStats, MediaEvent, MediaKind, Section, VideoCodec, VideoStats};
use common::{Pair, seconds, section};

const SENDER: u64 = 10;
const RECEIVER: u64 = 20;
const FRAME: f64 = 1.0 / 30.0;

fn pictures(codec: VideoCodec) -> Section {
    let mode = if codec == VideoCodec::H264 { "packetization-mode=1" } else { "" };
    let rows = [(96, codec.name(), 90_000, 0, mode), (97, "rtx", 90_000, 0, "apt=96")];
    section("0", MediaKind::Video, (SENDER, RECEIVER), &rows, Some(1_000_000))
}

/// An encoder on side 0 that follows its orders, and what side 1 has got of it.
struct Call {
    pair: Pair,
    codec: VideoCodec,
    target: u32,
    wants_key: bool,
    seen: usize,
    sent: Vec<(Instant, Vec<u8>)>,
    keys: u64,
    /// When each frame came, and its number.
    got: Vec<(Instant, usize)>,
    heard: usize,
}

impl Call {
    fn new(codec: VideoCodec, loss: f64, delay: f64) -> Call {
        let mut pair = Pair::connected();
        (pair.loss, pair.delay) = (loss, seconds(delay));
        for at in 0..2 {
            let (now, names) = (pair.now, (1, format!("side {at}")));
            pair.peers[at].transport.apply_media(now, seconds(1.0), names, vec![pictures(codec)]);
            pair.peers[at].transport.read_frames(now, RECEIVER, true);
            pair.turn(at);
        }
        let (sent, got) = (Vec::new(), Vec::new());
        Call { pair, codec, target: 0, wants_key: true, seen: 0, sent, keys: 0, got, heard: 0 }
    }

    /// Send a frame each 33 ms.
    fn run(&mut self, time: f64) {
        for _ in 0..(time / FRAME) as usize {
            self.follow();
            let now = self.pair.now;
            let key = std::mem::take(&mut self.wants_key);
            let data = self.frame(key);
            self.keys += u64::from(key);
            let unit = FrameUnit {
                encoding: 0,
                codec: self.codec,
                key,
                temporal: 0,
                timestamp: 3000 * self.sent.len() as u64,
                age: Duration::ZERO,
                mark: 0,
                data: data.clone(),
            };
            assert!(self.pair.peers[0].transport.send_frame(now, SENDER, unit));
            self.sent.push((now, data));
            self.pair.turn(0);
            // Short steps, so that it is known when a frame has come.
            for _ in 0..11 {
                self.pair.run_for(FRAME / 11.0);
                self.listen();
            }
        }
    }

    /// A frame that says its number; its size is by the target, and differs from one to the next.
    fn frame(&self, key: bool) -> Vec<u8> {
        let number = self.sent.len();
        let usual = f64::from(self.target) / 8.0 * FRAME * (0.7 + 0.06 * (number * 7 % 11) as f64);
        let size = if key { 3.0 * usual } else { usual };
        let mut data = match (self.codec, key) {
            (VideoCodec::Vp8, true) => vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 64, 0],
            (VideoCodec::Vp8, false) => vec![0x11, 0, 0],
            (VideoCodec::H264, true) => {
                vec![0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0, 0, 0, 1, 0x65]
            }
            (VideoCodec::H264, false) => vec![0, 0, 0, 1, 0x41],
        };
        data.extend((0..size.max(200.0) as usize).map(|at| (number * 31 + at * 17) as u8 | 1));
        data
    }

    fn follow(&mut self) {
        for event in &self.pair.peers[0].media[self.seen..] {
            match event {
                MediaEvent::Target { sender: SENDER, bitrate, .. } => self.target = *bitrate,
                MediaEvent::KeyWanted { sender: SENDER, .. } => self.wants_key = true,
                _ => {}
            }
        }
        self.seen = self.pair.peers[0].media.len();
    }

    fn listen(&mut self) {
        for event in &self.pair.peers[1].media[self.heard..] {
            let MediaEvent::Frame { receiver: RECEIVER, frame } = event else { continue };
            let next = self.got.last().map_or(0, |(_, number)| number + 1);
            let found = self.sent[next..].iter().position(|(_, data)| *data == frame.data);
            let number = next + found.expect("it went in, after those that came out before");
            self.got.push((frame.arrived, number));
        }
        self.heard = self.pair.peers[1].media.len();
    }

    /// The longest time without a new picture, beyond that of one picture.
    fn longest_freeze(&self, from: Instant) -> f64 {
        let late = self.got.windows(2).filter(|pair| pair[1].0 > from);
        late.map(|pair| (pair[1].0 - pair[0].0).as_secs_f64() - FRAME).fold(0.0, f64::max)
    }

    fn stats(&self) -> (VideoStats, InboundStats) {
        let of = |at: usize| self.pair.peers[at].transport.stats(self.pair.now).media.expect("media");
        (of(0).outbound.remove(0).video.expect("pictures"), of(1).inbound.remove(0))
    }
}

#[test]
fn without_loss_each_frame_comes_once_in_order_and_at_once() {
    for codec in [VideoCodec::Vp8, VideoCodec::H264] {
        let mut call = Call::new(codec, 0.0, 0.025);
        call.run(20.0);
        let numbers: Vec<usize> = call.got.iter().map(|(_, number)| *number).collect();
        let first = numbers[0];
        assert!(first <= 1, "{codec:?}: {first}");
        assert!(
            numbers.len() >= call.sent.len() - first - 2,
            "{codec:?}: {} of {}",
            numbers.len(),
            call.sent.len()
        );
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
        let delays = call.got.iter().map(|(at, number)| *at - call.sent[*number].0);
        let slow = delays.filter(|delay| *delay > Duration::from_millis(60)).count();
        assert!(slow <= 5, "{codec:?}: {slow} frames took more than 60 ms");
        assert!(call.target > 900_000, "{codec:?}: {}", call.target);
        let (sent, _) = call.stats();
        assert!(call.keys <= 2 && sent.nacks == 0, "{codec:?}: {} keys, {sent:?}", call.keys);
    }
}

#[test]
fn what_is_lost_is_repaired_before_it_is_missed() {
    for (codec, loss) in [(VideoCodec::Vp8, 0.01), (VideoCodec::H264, 0.05), (VideoCodec::Vp8, 0.05)] {
        let mut call = Call::new(codec, loss, 0.025);
        call.run(5.0);
        let (from, keys) = (call.pair.now, call.keys);
        call.run(30.0);
        let (sent, received) = call.stats();
        let freeze = call.longest_freeze(from);
        let about =
            format!("{codec:?} {loss}: freeze {freeze:.3}, target {}, {sent:?}, {received:?}", call.target);
        println!("{about}");
        assert!(freeze <= 0.3, "{about}");
        let share = call.got.len() as f64 / call.sent.len() as f64;
        assert!(share >= 0.98, "{share} {about}");
        assert!(call.keys - keys <= 3, "{about}");
    }
}
