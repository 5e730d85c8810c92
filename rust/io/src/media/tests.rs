//! Sources and sinks over a wire of our own, in virtual time.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use adieu_codec::{Encoder, Settings, to_f32};
use adieu_engine::rtp::{AudioCodec, AudioPacket, AudioUnit, MediaKind, SendPlan};

use super::{AudioFrame, AudioSink, AudioSource, Codec, Media, Packet, SinkOptions, TICK};
use crate::command::{Command, CommandQueue};
use crate::ends::{ReceiverShared, SenderShared, Spoken};
use crate::event::{Event, EventQueue, Notice};
use crate::frames::axis;

const MAX: Duration = Duration::from_secs(10);

fn plan(codec: AudioCodec) -> SendPlan {
    SendPlan {
        codec,
        channels: 1,
        max_bitrate: None,
        fec: true,
        dtx: false,
        frame: Duration::from_millis(20),
    }
}

/// One sender and one receiver, without a hub between.
struct Line {
    media: Arc<Media>,
    queue: Arc<EventQueue>,
    commands: Arc<CommandQueue>,
    sender: Arc<SenderShared>,
    receiver: Arc<ReceiverShared>,
    now: Instant,
    /// How long ago the peer took what arrives, if it says so.
    age: Option<Duration>,
    units: Vec<AudioUnit>,
}

impl Line {
    fn new(codec: AudioCodec) -> Line {
        let commands = Arc::new(CommandQueue::new(None));
        let sender = SenderShared::new(1, MediaKind::Audio, commands.clone());
        sender.set_plan(0, Some(plan(codec)));
        Line {
            media: Media::virtual_(),
            queue: Arc::new(EventQueue::new(None)),
            commands,
            sender,
            receiver: ReceiverShared::new(2, MediaKind::Audio),
            now: Instant::now(),
            age: None,
            units: Vec::new(),
        }
    }

    fn source(&self, rate: u32) -> AudioSource {
        let source = self.media.audio_source(self.queue.clone(), (rate, 1, None), MAX);
        self.media.attach(&self.sender, Some(&source), true);
        source
    }

    /// A source of packets of Opus.
    fn packets(&self) -> AudioSource {
        let form = (48_000, 1, Some(AudioCodec::Opus));
        let source = self.media.audio_source(self.queue.clone(), form, MAX);
        self.media.attach(&self.sender, Some(&source), true);
        source
    }

    fn sink(&self, rate: u32, max_frames: usize) -> AudioSink {
        let options = SinkOptions { rate, channels: 1, frame: Duration::from_millis(20), max_frames };
        let sink = self.media.audio_sink(self.queue.clone(), &self.receiver, options);
        assert_eq!(sink.read(), None);
        sink
    }

    /// Let time pass, and all packets arrive at once.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            if let Some(at) = self.media.next_tick() {
                assert!(at <= self.now, "a tick each 10 ms is enough");
                self.media.tick(self.now);
            }
            while let Some(command) = self.commands.pop() {
                let Command::Sound(spoken) = command else { continue };
                for Spoken { unit, .. } in spoken {
                    self.sender.sent.store(unit.mark, Ordering::Release);
                    self.receiver.push(AudioPacket {
                        codec: unit.codec,
                        channels: 2,
                        ssrc: 7,
                        sequence: unit.mark,
                        timestamp: unit.timestamp,
                        marker: unit.marker,
                        level: None,
                        arrived: self.now,
                        captured: self.age.map(|age| self.now - age),
                        payload: unit.payload.clone(),
                    });
                    self.units.push(unit);
                }
            }
            self.now += TICK;
        }
    }

    fn events(&self) -> Vec<String> {
        let told = std::iter::from_fn(|| self.queue.pop()).map(|event| match event {
            Event::AudioReady { .. } => "ready".into(),
            Event::Notice(notice) => match *notice {
                Notice::AudioRoom { .. } => "room".into(),
                Notice::Drained { position, arrived, .. } => format!("drained {position} {arrived}"),
                other => format!("{other:?}"),
            },
            other => format!("{other:?}"),
        });
        told.collect()
    }
}

fn tone(rate: u32, hertz: f64, seconds: f64) -> Vec<i16> {
    let sample = |at| ((f64::from(at) / f64::from(rate) * hertz * TAU).sin() * 12_000.0) as i16;
    (0..(f64::from(rate) * seconds) as u32).map(sample).collect()
}

/// A tone as packets of 20 ms.
fn encoded(hertz: f64, seconds: f64) -> Vec<Packet> {
    let (codec, rate) = (Codec::Opus, 48_000);
    let settings = Settings { codec, rate, channels: 1, max_bitrate: None, fec: false, dtx: false };
    let mut encoder = Encoder::new(settings).expect("an encoder");
    let samples: Vec<f32> = tone(rate, hertz, seconds).into_iter().map(to_f32).collect();
    let mut packet = |samples: &[f32]| {
        let payload = encoder.encode(samples).expect("a packet").to_vec();
        Packet { frames: codec.ticks(&payload).expect("Opus"), payload }
    };
    samples.chunks_exact(960).map(&mut packet).collect()
}

fn heard(sink: &AudioSink) -> Vec<AudioFrame> {
    std::iter::from_fn(|| sink.read()).collect()
}

fn samples(frames: &[AudioFrame]) -> Vec<i16> {
    frames.iter().flat_map(|frame| frame.samples.clone()).collect()
}

/// The pitch of the loud part, by the times that it goes through zero.
fn pitch(samples: &[i16], rate: u32) -> f64 {
    let loud: Vec<i16> = samples.iter().copied().filter(|sample| sample.abs() > 1000).collect();
    let crossings = loud.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    let seconds = samples.iter().rposition(|sample| sample.abs() > 1000).unwrap_or(0)
        - samples.iter().position(|sample| sample.abs() > 1000).unwrap_or(0);
    crossings as f64 / 2.0 / (seconds as f64 / f64::from(rate))
}

/// The W3C's lip sync: pictures have the same axis.
#[test]
fn the_time_of_a_frame_is_when_the_peer_took_it() {
    let age = |told: Duration| {
        let mut line = Line::new(AudioCodec::Opus);
        let (source, sink) = (line.source(16_000), line.sink(16_000, 1000));
        source.write(&tone(16_000, 440.0, 10.0));
        line.run(Duration::from_secs(1)); // before the first report of the peer
        line.age = Some(told);
        line.run(Duration::from_secs(4));
        let frames = heard(&sink);
        let steps = frames.windows(2).map(|pair| pair[1].time - pair[0].time);
        assert!(steps.clone().all(|step| (0.0179..0.0221).contains(&step)), "a tenth at most");
        axis(line.now) - frames.last().expect("sound").time
    };
    let ms = Duration::from_millis;
    let (none, short, long) = (age(ms(0)), age(ms(20)), age(ms(60)));
    assert!(
        (short - none - 0.02).abs() < 0.002 && (long - none - 0.06).abs() < 0.002,
        "{none} {short} {long}"
    );
}

#[test]
fn what_is_written_is_heard_at_any_rate() {
    for (codec, from, to) in [
        (AudioCodec::Opus, 24_000, 16_000),
        (AudioCodec::Opus, 48_000, 48_000),
        (AudioCodec::Opus, 44_100, 11_025),
        (AudioCodec::Opus, 22_050, 44_100),
        (AudioCodec::Opus, 8000, 192_000),
        (AudioCodec::Pcmu, 48_000, 24_000),
        (AudioCodec::Pcma, 11_025, 8000),
    ] {
        let mut line = Line::new(codec);
        let (source, sink) = (line.source(from), line.sink(to, 1000));
        assert_eq!(source.write(&tone(from, 440.0, 2.0)), 2 * from as usize);
        line.run(Duration::from_secs(3));
        let frames = heard(&sink);
        let found = pitch(&samples(&frames), to);
        assert!((found - 440.0).abs() < 4.0, "{codec:?} {from} {to}: {found} Hz");
        let loud =
            samples(&frames).iter().filter(|sample| sample.abs() > 3000).count() as f64 / f64::from(to);
        assert!(
            (1.5..1.75).contains(&loud),
            "{codec:?} {from} {to}: {loud} s are loud, of 2 s of a sine 1.68"
        );
        assert!(frames.iter().all(|frame| frame.concealed == 0));
        assert!(frames.windows(2).all(|pair| (pair[1].time - pair[0].time - 0.02).abs() < 1e-3));
        assert_eq!(source.position(), 2 * u64::from(from), "{codec:?} {from}");
    }
}

#[test]
fn a_voice_leaves_without_gaps_whatever_its_program_does() {
    let mut line = Line::new(AudioCodec::Opus);
    let source = line.source(24_000);
    source.write(&tone(24_000, 440.0, 1.0));
    line.run(Duration::from_millis(1500));
    let spoken: Vec<_> = line.units.iter().filter(|unit| unit.level.is_some_and(|level| level.1)).collect();
    assert_eq!(spoken.len(), 50);
    assert!(line.units.windows(2).all(|pair| pair[1].timestamp == pair[0].timestamp + 960));
    assert_eq!(line.units.len(), 75, "silence is sent too");
    let marked: Vec<_> = line.units.iter().filter(|unit| unit.marker).map(|unit| unit.mark).collect();
    assert_eq!(marked, [1], "the voice begins with the first packet");
    source.write(&tone(24_000, 440.0, 0.1));
    line.run(Duration::from_millis(500));
    let marked: Vec<_> = line.units.iter().filter(|unit| unit.marker).map(|unit| unit.mark).collect();
    assert_eq!(marked.len(), 2, "and again after silence: {marked:?}");
}

#[test]
fn clear_leaves_two_packets_at_most_and_no_click() {
    let mut line = Line::new(AudioCodec::Pcmu);
    let (source, sink) = (line.source(8000), line.sink(8000, 1000));
    source.write(&tone(8000, 300.0, 5.0));
    line.run(Duration::from_secs(1));
    let before = line.units.len();
    let (position, queued) = (source.position(), source.queued());
    assert_eq!(source.clear(), queued - 40);
    assert_eq!(source.queued(), 40);
    line.run(Duration::from_secs(1));
    let spoken = line.units[before..].iter().filter(|unit| unit.level.is_some_and(|level| level.1)).count();
    assert!(spoken <= 2, "{spoken} packets of 20 ms");
    assert!(source.position() - position <= 320, "{} frames", source.position() - position);
    let heard = samples(&heard(&sink));
    let step = |samples: &[i16]| {
        samples.windows(2).map(|pair| i32::from(pair[1]).abs_diff(i32::from(pair[0]))).max()
    };
    let while_loud = step(&heard[1600..4800]);
    assert!(
        step(&heard[4800..]) <= while_loud.map(|most| most * 11 / 10),
        "{:?} {while_loud:?}",
        step(&heard[4800..])
    );
    // The next voice loses nothing.
    let position = source.position();
    source.write(&tone(8000, 300.0, 1.0));
    line.run(Duration::from_millis(1200));
    assert_eq!(source.position() - position, 8000);
    assert_eq!(source.clear(), 0);
}

#[test]
fn a_queue_takes_what_fits_and_says_when_it_has_room() {
    let mut line = Line::new(AudioCodec::Opus);
    let source = line.source(16_000);
    let hour = vec![100i16; 16_000 * 60];
    assert_eq!(source.write(&hour), 160_000, "ten seconds");
    assert_eq!(source.write(&hour), 0);
    line.run(Duration::from_millis(4900));
    assert_eq!(line.events(), Vec::<String>::new());
    line.run(Duration::from_millis(200));
    assert_eq!(line.events(), ["room"]);
    source.write(&hour);
    source.clear();
    assert_eq!(line.events(), ["room"]);
    source.end();
    assert_eq!(source.write(&hour), 0, "nothing after the end");
}

#[test]
fn packets_that_are_ready_leave_as_they_are_when_they_are_due() {
    let mut line = Line::new(AudioCodec::Opus);
    let (source, sink) = (line.packets(), line.sink(48_000, 1000));
    let given = encoded(440.0, 1.0);
    assert_eq!(source.write_packets(given.clone()), 50);
    source.watch(false);
    line.run(Duration::from_millis(500));
    assert_eq!(
        (line.units.len(), source.queued()),
        (25, 24_000),
        "in real time, however early they were given"
    );
    line.run(Duration::from_millis(700));
    let sent: Vec<&[u8]> = line.units.iter().map(|unit| unit.payload.as_slice()).collect();
    assert_eq!(sent, given.iter().map(|packet| packet.payload.as_slice()).collect::<Vec<_>>());
    let times: Vec<u64> = line.units.iter().map(|unit| unit.timestamp - line.units[0].timestamp).collect();
    assert_eq!(times, (0..50).map(|at| 960 * at).collect::<Vec<u64>>());
    let marked: Vec<bool> = line.units.iter().map(|unit| unit.marker).collect();
    assert!(marked[0] && !marked[1..].contains(&true), "one beginning");
    assert_eq!((source.position(), source.queued()), (48_000, 0));
    assert!(line.events().contains(&"drained 48000 false".into()));
    assert!((pitch(&samples(&heard(&sink)), 48_000) - 440.0).abs() < 5.0);
    // After a pause: the time that has passed is on the axis, and the next packet begins something.
    source.write_packets(encoded(440.0, 0.02));
    line.run(Duration::from_millis(100));
    let last = &line.units[50];
    let pause = last.timestamp - line.units[49].timestamp;
    assert!(last.marker && (10_000..13_000).contains(&pause), "{pause}");
}

#[test]
fn packets_of_any_length_keep_the_time_and_are_dropped_without_a_rest() {
    let mut line = Line::new(AudioCodec::Opus);
    let source = line.packets();
    // 2.5, 60 and 120 ms: CELT of 2.5 ms, SILK of 60 ms, and two of these in one packet.
    for (payload, frames, count) in
        [(vec![0xe0, 1], 120, 80), (vec![0x18, 1], 2880, 4), (vec![0x19, 1, 1], 5760, 2)]
    {
        assert_eq!(Codec::Opus.ticks(&payload), Some(frames));
        let before = line.units.len();
        source.write_packets(vec![Packet { payload, frames }; count]);
        line.run(Duration::from_millis(400));
        let times: Vec<u64> = line.units[before..].iter().map(|unit| unit.timestamp).collect();
        assert_eq!(times.len(), count);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == u64::from(frames)), "{times:?}");
    }
    source.write_packets(encoded(440.0, 1.0));
    line.run(Duration::from_millis(100));
    let before = line.units.len();
    assert!(source.clear() > 40_000);
    line.run(Duration::from_millis(200));
    assert_eq!((line.units.len(), source.queued()), (before, 0));
}

#[test]
fn packets_wait_while_another_codec_is_sent_and_the_program_learns_of_it() {
    let mut line = Line::new(AudioCodec::Pcmu);
    let source = line.packets();
    assert_eq!((source.write_packets(encoded(440.0, 11.0)), source.wrong()), (500, None));
    line.run(Duration::from_millis(100));
    assert_eq!((line.events(), source.wrong()), (vec!["room".to_owned()], Some(AudioCodec::Pcmu)));
    line.sender.set_plan(0, Some(plan(AudioCodec::Opus)));
    line.run(Duration::from_millis(100));
    assert_eq!((line.units.is_empty(), source.wrong()), (false, None));
    line.media.attach(&line.sender, Some(&source), false);
    let before = line.units.len();
    line.run(Duration::from_millis(200));
    assert_eq!(line.units.len(), before, "of a track that is not enabled nothing is heard");
    assert!(source.position() > 9600, "but it goes on");
}

#[test]
fn drained_comes_when_the_last_packet_has_left_and_when_it_has_arrived() {
    let mut line = Line::new(AudioCodec::Opus);
    let source = line.source(16_000);
    source.watch(false);
    assert_eq!(line.events(), ["drained 0 false"], "there is nothing to wait for");
    source.write(&tone(16_000, 440.0, 0.5));
    source.watch(false);
    source.watch(true);
    line.run(Duration::from_millis(400));
    assert_eq!(line.events(), Vec::<String>::new());
    line.run(Duration::from_millis(200));
    assert_eq!(line.events(), ["drained 8000 false"]);
    line.sender.arrived.store(line.sender.sent.load(Ordering::Acquire), Ordering::Release);
    line.run(TICK);
    assert_eq!(line.events(), ["drained 8000 true"]);
    source.write(&tone(16_000, 440.0, 5.0));
    source.watch(false);
    line.run(Duration::from_millis(100));
    source.clear();
    line.run(Duration::from_millis(100));
    let events = line.events();
    assert!(
        events.len() == 1 && events[0].starts_with("drained"),
        "what is dropped is not waited for: {events:?}"
    );
}

#[test]
fn a_sink_that_nobody_reads_decodes_nothing_and_keeps_the_newest() {
    let mut line = Line::new(AudioCodec::Opus);
    let source = line.source(16_000);
    let options = SinkOptions { rate: 16_000, channels: 1, frame: Duration::from_millis(20), max_frames: 10 };
    let sink = line.media.audio_sink(line.queue.clone(), &line.receiver, options);
    source.write(&tone(16_000, 440.0, 10.0));
    line.run(Duration::from_secs(1));
    let began = axis(line.now);
    assert!(!line.receiver.is_wanted());
    assert_eq!((sink.read(), line.receiver.playout_stats().total_samples), (None, 0));
    line.run(Duration::from_secs(1));
    assert_eq!(line.events(), ["ready"], "once, until it was empty again");
    let frames = heard(&sink);
    assert_eq!(frames.len(), 10);
    let first = frames[0].time - began;
    assert!((0.6..0.9).contains(&first) && sink.dropped() > 30, "{first} {}", sink.dropped());
    line.run(Duration::from_secs(7));
    assert!(!line.receiver.is_wanted(), "after 5 s without a reader");
    assert_eq!(sink.read(), None);
    line.run(Duration::from_millis(300));
    assert!(!heard(&sink).is_empty(), "a reader who comes back hears");
    sink.close();
    line.run(Duration::from_millis(20));
    assert!(!line.receiver.is_wanted());
    // A reader that waits for the first packet has not gone.
    let mut silent = Line::new(AudioCodec::Opus);
    let sink = silent.sink(16_000, 10);
    silent.run(Duration::from_secs(20));
    let source = silent.source(16_000);
    source.write(&tone(16_000, 440.0, 1.0));
    silent.run(Duration::from_secs(1));
    assert_eq!(silent.events(), ["ready"]);
    drop(sink);
    silent.run(Duration::from_millis(20));
    assert!(!silent.receiver.is_wanted(), "gone with its last handle");
}

#[test]
fn a_pause_is_not_sent_if_the_peer_wants_that() {
    let mut line = Line::new(AudioCodec::Opus);
    line.sender.set_plan(0, Some(SendPlan { dtx: true, ..plan(AudioCodec::Opus) }));
    let (source, sink) = (line.source(48_000), line.sink(48_000, 1000));
    source.write(&tone(48_000, 440.0, 1.0));
    line.run(Duration::from_secs(6));
    assert!(line.units.len() < 50 + 45, "{} packets", line.units.len());
    source.write(&tone(48_000, 440.0, 1.0));
    line.run(Duration::from_secs(2));
    let voice = line.units.iter().filter(|unit| unit.timestamp >= 48_000 * 6).find(|unit| unit.marker);
    assert!(voice.is_some_and(|unit| unit.timestamp < 48_000 * 6 + 4800), "marked, and the time has gone on");
    assert_eq!(heard(&sink).iter().map(|frame| frame.concealed).sum::<u32>(), 0);
    assert_eq!(source.position(), 96_000);
}

#[test]
fn time_that_was_lost_is_silence_and_no_burst() {
    let mut line = Line::new(AudioCodec::Opus);
    let source = line.source(16_000);
    source.write(&tone(16_000, 440.0, 5.0));
    line.run(Duration::from_secs(1));
    let (count, last) = (line.units.len(), line.units[line.units.len() - 1].timestamp);
    line.now += Duration::from_secs(2);
    line.run(Duration::from_millis(100));
    assert!(line.units.len() - count <= 6);
    assert!(line.units[count].timestamp - last >= 48_000 * 2);
}

#[test]
fn a_source_waits_while_its_sender_may_not_send_and_changes_with_its_plan() {
    let mut line = Line::new(AudioCodec::Opus);
    line.sender.set_plan(0, None);
    let (source, sink) = (line.source(16_000), line.sink(16_000, 1000));
    source.write(&tone(16_000, 440.0, 3.0));
    line.run(Duration::from_secs(5));
    assert_eq!((source.queued(), line.units.len()), (48_000, 0));
    line.sender.set_plan(0, Some(plan(AudioCodec::Opus)));
    line.run(Duration::from_secs(1));
    // A bit rate changes without a gap, a codec with a new encoder.
    line.sender.set_plan(0, Some(SendPlan { max_bitrate: Some(12_000), ..plan(AudioCodec::Opus) }));
    line.run(Duration::from_secs(1));
    let size =
        |from: usize, to: usize| line.units[from..to].iter().map(|unit| unit.payload.len()).sum::<usize>();
    assert!(size(75, 95) * 2 < size(25, 45), "{} {}", size(75, 95), size(25, 45));
    assert!(line.units.windows(2).all(|pair| pair[1].timestamp == pair[0].timestamp + 960));
    line.sender.set_plan(0, Some(plan(AudioCodec::Pcma)));
    line.run(Duration::from_secs(2));
    assert_eq!(source.position(), 48_000);
    assert!(
        line.units.iter().skip(101).all(|unit| unit.codec == AudioCodec::Pcma && unit.payload.len() == 160)
    );
    let frames = heard(&sink);
    assert!(frames.iter().map(|frame| frame.concealed).sum::<u32>() < 1600);
    let found = pitch(&samples(&frames), 16_000);
    assert!((found - 440.0).abs() < 10.0, "{found}");
}

#[test]
fn a_track_that_is_not_enabled_is_silence_and_another_source_follows_on_the_same_axis() {
    let mut line = Line::new(AudioCodec::Pcmu);
    let first = line.source(8000);
    first.write(&tone(8000, 440.0, 4.0));
    line.run(Duration::from_secs(1));
    line.media.attach(&line.sender, Some(&first), false);
    line.run(Duration::from_secs(1));
    assert_eq!(first.queued(), 16_000, "it goes on");
    assert!(line.units[55..].iter().all(|unit| unit.payload.iter().all(|byte| *byte == 0xff)));
    assert!(first.position() + first.queued() < 32_000, "the hub has not reported the last packet yet");
    let second = line.source(16_000);
    line.run(TICK);
    assert_eq!(first.position() + first.queued(), 32_000, "it is not asked for after this");
    second.write(&tone(16_000, 440.0, 1.0));
    line.run(Duration::from_secs(1));
    assert_eq!(first.queued(), 16_000, "nobody has it now");
    assert!(line.units.windows(2).all(|pair| pair[1].timestamp > pair[0].timestamp));
    line.media.attach(&line.sender, None, true);
    let count = line.units.len();
    line.run(Duration::from_secs(1));
    assert_eq!(line.units.len(), count);
    assert_eq!(line.media.next_tick(), None, "nothing is left to do");
    second.close();
    line.media.forget_sender(1);
    line.run(TICK);
    assert_eq!(line.media.next_tick(), None);
}

#[test]
fn one_voice_goes_to_several_senders_each_in_its_own_codec() {
    let mut line = Line::new(AudioCodec::Opus);
    let source = line.source(48_000);
    let other = SenderShared::new(9, MediaKind::Audio, line.commands.clone());
    other.set_plan(0, Some(SendPlan { frame: Duration::from_millis(60), ..plan(AudioCodec::Pcmu) }));
    line.media.attach(&other, Some(&source), true);
    source.write(&tone(48_000, 440.0, 1.2));
    line.run(Duration::from_millis(1300));
    let of = |codec| line.units.iter().filter(move |unit| unit.codec == codec);
    assert_eq!(of(AudioCodec::Opus).count(), 65);
    let slow: Vec<_> = of(AudioCodec::Pcmu).collect();
    assert!(slow.len() == 21 && slow.iter().all(|unit| unit.payload.len() == 480));
    assert!(slow.windows(2).all(|pair| pair[1].timestamp == pair[0].timestamp + 480));
}

#[test]
fn the_thread_begins_with_the_first_stream_and_ends_with_the_last() {
    let wait = Duration::from_secs(20);
    let commands = Arc::new(CommandQueue::new(None));
    let sender = SenderShared::new(1, MediaKind::Audio, commands.clone());
    sender.set_plan(0, Some(plan(AudioCodec::Opus)));
    let media = Media::threaded();
    let control = media.thread.as_ref().expect("a thread");
    let queue = Arc::new(EventQueue::new(None));
    for _ in 0..3 {
        let source = media.audio_source(queue.clone(), (48_000, 1, None), MAX);
        assert!(!control.is_running());
        media.attach(&sender, Some(&source), true);
        assert!(control.is_running());
        media.forget_sender(1);
        assert!(control.wait_for_end(wait), "nothing is left to do");
    }
    let source = media.audio_source(queue.clone(), (48_000, 1, None), MAX);
    media.attach(&sender, Some(&source), true);
    media.shutdown(wait);
    assert!(!control.is_running());
    media.attach(&sender, Some(&source), true);
    assert!(!control.is_running(), "the process ends");
}
