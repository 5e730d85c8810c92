//! Calls over one bottleneck, in virtual time: an encoder that follows late, audio, a pacer, an estimate and a peer that
//! gives feedback. Packets of both directions are lost; what comes back waits for nothing.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use adieu_engine::rtp::bwe::Estimate;
use adieu_engine::rtp::pacer::{Class, Pacer};
use adieu_links::{Fate, Link, Numbers, Path};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);
/// UDP and IP around each datagram.
const AROUND: usize = 28;
const PACKET: usize = 1200;
const PADDING: usize = 255;
const AUDIO: usize = 110;
/// Ready pictures have a key frame each time after so many.
const GOP: usize = 60;

/// One call, as it was set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub starts: Duration,
    /// Bits a second that its encoder would send at most, and whether the estimate knows: it probes for that.
    pub demand: u32,
    pub probes: bool,
    /// Part that its encoder really sends, of the rate that it may.
    pub part: f64,
    /// How long the encoder takes to follow.
    pub lag: Duration,
    pub frames: u32,
    /// How many times larger a key frame is.
    pub key: f64,
    /// Time between two feedbacks; None: reports alone, one a second.
    pub feedback: Option<Duration>,
    /// Part that is lost on the way back.
    pub back_loss: f64,
    /// Bits a second of pictures that are encoded already: nobody follows the target.
    pub ready: Option<u32>,
    /// The peer reads what has come so late at most, and this side looks at its clock so late: by chance, each time. All
    /// that came meanwhile arrives at one time.
    pub late: Duration,
    /// Each so long, either of them does nothing for so long.
    pub stands: Option<(Duration, Duration)>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            starts: Duration::ZERO,
            demand: 20_000_000,
            probes: true,
            part: 1.0,
            lag: 300 * MS,
            frames: 30,
            key: 5.0,
            feedback: Some(100 * MS),
            back_loss: 0.0,
            ready: None,
            late: Duration::ZERO,
            stands: None,
        }
    }
}

impl Setup {
    /// How long a side that has looked does not look again.
    fn lateness(&self, numbers: &mut Numbers) -> Duration {
        let late = self.late.mul_f64(numbers.unit());
        let stands = self.stands.filter(|(each, _)| numbers.happens(late.as_secs_f64() / each.as_secs_f64()));
        late + stands.map_or(Duration::ZERO, |(_, length)| length)
    }
}

/// A link of so many Mbit/s, 50 ms there and back, a queue of a second at 1 Mbit/s.
pub fn link(mbit: f64) -> Link {
    Link { rate: Some(mbit * 1e6 / 8.0), delay: 25 * MS, queue: 125_000, ..Link::default() }
}

/// Figures of 100 ms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tenth {
    /// Bits a second. Packets that are delivered count with the headers around them, as for the link.
    pub target: f64,
    pub delivered: f64,
    /// Highest wait of the packets that left the link.
    pub queue: Duration,
    /// How much longer the last packet of a probe waits than its first one, at most.
    pub probed: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Flying {
    call: usize,
    number: u64,
    size: usize,
    sent: Instant,
    left: Instant,
    at: Instant,
}

pub struct Call {
    pub setup: Setup,
    pub estimate: Estimate,
    /// Packets: their size, and their frame; 0: sound and padding.
    pacer: Pacer<(usize, u64)>,
    /// When this side and its peer look next.
    looks: Instant,
    reads: Instant,
    /// Packets that came and are not read.
    unread: Vec<Flying>,
    /// When each frame was made, and whether it was dropped.
    pub made: Vec<(Duration, bool)>,
    /// The target, as the encoder will see it.
    targets: VecDeque<(Instant, u32)>,
    encoded: f64,
    next_frame: Instant,
    next_audio: Instant,
    next_feedback: Instant,
    frame: u64,
    wants_key: bool,
    number: u64,
    /// Arrivals since the peer's last feedback.
    arrived: Vec<(u64, Duration)>,
    told: u64,
    highest: u64,
    /// How long the newest packet was under way.
    way: Duration,
    counted: (u64, u64),
    /// The last probe, and how long its first packet waited.
    probed: Option<(u32, Duration)>,
    pub audio: u64,
    pub audio_lost: u64,
    pub key_frames: Vec<Duration>,
    pub probes: Vec<(Duration, u32)>,
    pub tenths: Vec<Tenth>,
}

/// Feedback to a call: packets, or the losses and the round trip of a report.
type Feedback = (Instant, usize, Vec<(u64, Option<Duration>)>, Option<(u8, Duration)>);

pub struct World {
    begun: Instant,
    now: Instant,
    link: Link,
    path: Path,
    numbers: Numbers,
    flying: Vec<Flying>,
    back: Vec<Feedback>,
    changes: VecDeque<(Duration, Link)>,
    pub calls: Vec<Call>,
}

impl World {
    pub fn new(link: Link, setups: &[Setup], seed: u64) -> World {
        let begun = Instant::now();
        let calls = setups.iter().map(|setup| Call::new(begun, *setup)).collect();
        World {
            begun,
            now: begun,
            link,
            path: Path::default(),
            numbers: Numbers::new(seed),
            flying: Vec::new(),
            back: Vec::new(),
            changes: VecDeque::new(),
            calls,
        }
    }

    /// Another link from then on. In the order of time.
    pub fn change(&mut self, when: Duration, link: Link) {
        self.changes.push_back((when, link));
    }

    pub fn run(&mut self, until: Duration) {
        while self.now < self.begun + until {
            self.now += MS;
            self.change_link();
            self.deliver();
            self.hear();
            for index in 0..self.calls.len() {
                self.calls[index].tell(self.now, index, &self.link, &mut self.numbers, &mut self.back);
                self.send(index);
            }
        }
    }

    fn change_link(&mut self) {
        let since = self.now - self.begun;
        if self.changes.front().is_none_or(|(at, _)| *at > since) {
            return;
        }
        let Some((_, link)) = self.changes.pop_front() else { return };
        self.flying.sort_by_key(|packet| packet.at);
        let under_way = self.flying.iter_mut().map(|packet| (&mut packet.left, &mut packet.at));
        self.path.change(self.now, &self.link, &link, under_way);
        self.link = link;
    }

    fn deliver(&mut self) {
        let (mut arrived, flying): (Vec<_>, Vec<_>) =
            self.flying.drain(..).partition(|packet| packet.at <= self.now);
        self.flying = flying;
        arrived.sort_by_key(|packet| packet.at);
        for packet in arrived {
            self.calls[packet.call].unread.push(packet);
        }
        let (now, numbers) = (self.now, &mut self.numbers);
        let read: Vec<Flying> = self.calls.iter_mut().flat_map(|call| call.read(now, numbers)).collect();
        for packet in read {
            let waited = packet.left - packet.sent;
            let tenth = tenth(packet.left - self.begun);
            let call = &mut self.calls[packet.call];
            call.arrived.push((packet.number, peers_clock(packet.at - self.begun)));
            call.way = packet.at - packet.sent;
            call.highest = call.highest.max(packet.number);
            call.counted.1 += 1;
            let seen = call.seen(tenth);
            seen.delivered += ((packet.size + AROUND) * 80) as f64;
            seen.queue = seen.queue.max(waited);
        }
    }

    fn hear(&mut self) {
        let now = self.now;
        let (due, later): (Vec<_>, Vec<_>) = self.back.drain(..).partition(|(at, ..)| *at <= now);
        self.back = later;
        for (_, index, packets, lost) in due {
            let call = &mut self.calls[index];
            if let Some((lost, round_trip)) = lost {
                call.estimate.set_round_trip(round_trip);
                call.estimate.report(now, lost);
            } else {
                call.estimate.feedback(now, &packets);
            }
            call.follow(now, now - self.begun);
        }
    }

    fn send(&mut self, index: usize) {
        let (now, call) = (self.now, &mut self.calls[index]);
        let since = now - self.begun;
        if since < call.setup.starts {
            return;
        }
        call.encode(now, since, &mut self.numbers);
        if now < call.looks {
            return;
        }
        if !call.setup.late.is_zero() {
            call.looks = now + call.setup.lateness(&mut self.numbers);
        }
        if call.estimate.timeout().is_some_and(|at| at <= now) {
            call.estimate.handle_timeout(now);
            call.follow(now, since);
        }
        loop {
            if let Some(bytes) = call.pacer.padding(now) {
                let bytes = bytes.clamp(40, PADDING);
                call.pacer.push(now, Class::Padding, bytes, (bytes, 0));
            }
            let Some((class, (size, _), probe)) = call.pacer.pop(now) else { break };
            call.number += 1;
            call.counted.0 += 1;
            call.estimate.sent(now, call.number, size, probe);
            call.audio += u64::from(class == Class::Audio);
            match self.path.send(&self.link, now, size + AROUND, &mut self.numbers) {
                Fate::Arrives { at, left, waits } => {
                    if probe.is_some() {
                        let before = match call.probed {
                            Some((id, before)) if Some(id) == probe => before,
                            _ => waits,
                        };
                        call.probed = probe.map(|id| (id, before));
                        let seen = call.seen(tenth(since));
                        seen.probed = seen.probed.max(waits.saturating_sub(before));
                    }
                    let packet = Flying { call: index, number: call.number, size, sent: now, left, at };
                    self.flying.push(packet);
                }
                _ => call.audio_lost += u64::from(class == Class::Audio),
            }
        }
        while let Some((_, frame)) = call.pacer.pop_dropped() {
            if let Some((_, dropped)) = call.made.get_mut((frame as usize).wrapping_sub(1)) {
                *dropped = true;
            }
        }
        while call.pacer.overflowed(now).is_some() {
            call.wants_key = true;
        }
        let target = f64::from(call.estimate.target());
        call.seen(tenth(since)).target = target;
    }

    /// The part of the frames made in a time that was not dropped.
    pub fn kept(&self, call: usize, from: Duration, to: Duration) -> f64 {
        let made = self.calls[call].made.iter().filter(|(at, _)| (from..to).contains(at));
        let (all, kept) =
            made.fold((0, 0), |(all, kept), (_, dropped)| (all + 1, kept + u32::from(!dropped)));
        f64::from(kept) / f64::from(all)
    }

    /// Means and highest values of a call in a time.
    pub fn figures(&self, call: usize, from: Duration, to: Duration) -> Figures {
        let tenths = &self.calls[call].tenths;
        let tenths = &tenths[tenth(from)..tenth(to).min(tenths.len())];
        let mean = |value: fn(&Tenth) -> f64| tenths.iter().map(value).sum::<f64>() / tenths.len() as f64;
        Figures {
            target: mean(|one| one.target),
            delivered: mean(|one| one.delivered),
            queue: tenths.iter().map(|one| one.queue).max().unwrap_or_default(),
            probed: tenths.iter().map(|one| one.probed).max().unwrap_or_default(),
        }
    }
}

/// Bits a second and waits.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub target: f64,
    pub delivered: f64,
    pub queue: Duration,
    pub probed: Duration,
}

/// A clock that began long ago and counts quarters of a millisecond, as feedback does.
fn peers_clock(at: Duration) -> Duration {
    1000 * SECOND + Duration::from_micros(at.as_micros() as u64 / 250 * 250)
}

fn tenth(at: Duration) -> usize {
    (at.as_millis() / 100) as usize
}

impl Call {
    fn new(begun: Instant, setup: Setup) -> Call {
        let now = begun + setup.starts;
        let mut estimate = Estimate::new(now, 300_000);
        estimate.set_demand(if setup.probes { setup.demand } else { 0 });
        estimate.set_round_trip(50 * MS);
        let pacer = Pacer::new(now, estimate.pace());
        Call {
            setup,
            pacer,
            looks: now,
            reads: now,
            unread: Vec::new(),
            made: Vec::new(),
            targets: VecDeque::from([(now, estimate.target())]),
            encoded: f64::from(estimate.target()),
            estimate,
            next_frame: now,
            next_audio: now,
            next_feedback: now,
            frame: 0,
            wants_key: true,
            number: 0,
            arrived: Vec::new(),
            told: 0,
            highest: 0,
            way: Duration::ZERO,
            counted: (0, 0),
            probed: None,
            audio: 0,
            audio_lost: 0,
            key_frames: Vec::new(),
            probes: Vec::new(),
            tenths: Vec::new(),
        }
    }

    fn seen(&mut self, tenth: usize) -> &mut Tenth {
        if self.tenths.len() <= tenth {
            self.tenths.resize(tenth + 1, Tenth::default());
        }
        &mut self.tenths[tenth]
    }

    /// Give the packets that have come, when the peer looks.
    fn read(&mut self, now: Instant, numbers: &mut Numbers) -> Vec<Flying> {
        if now < self.reads {
            return Vec::new();
        }
        let mut read = std::mem::take(&mut self.unread);
        if !self.setup.late.is_zero() {
            self.reads = now + self.setup.lateness(numbers);
            read.iter_mut().for_each(|packet| packet.at = now);
        }
        read
    }

    /// Do what the estimate says now.
    fn follow(&mut self, now: Instant, since: Duration) {
        self.pacer.set_rate(now, self.estimate.pace());
        self.targets.push_back((now + self.setup.lag, self.estimate.target()));
        if let Some(probe) = self.estimate.poll_probe(now) {
            self.probes.push((since, probe.rate));
            self.pacer.probe(now, probe);
        }
    }

    fn encode(&mut self, now: Instant, since: Duration, numbers: &mut Numbers) {
        while let Some((_, target)) = self.targets.front().filter(|(at, _)| *at <= now) {
            self.encoded = f64::from(*target);
            self.targets.pop_front();
        }
        if self.next_audio <= now {
            self.next_audio += 20 * MS;
            self.pacer.push(now, Class::Audio, AUDIO, (AUDIO, 0));
        }
        if self.next_frame > now {
            return;
        }
        self.next_frame += SECOND / self.setup.frames;
        let audio = (AUDIO * 8 * 50) as f64;
        let rate = (self.encoded - audio).clamp(20_000.0, self.setup.demand.into()) * self.setup.part;
        let rate = self.setup.ready.map_or(rate, f64::from);
        let is_begin = self.setup.ready.is_some() && self.made.len().is_multiple_of(GOP);
        let key = std::mem::take(&mut self.wants_key) || is_begin;
        let mut size = rate / 8.0 / f64::from(self.setup.frames) * (0.7 + 0.6 * numbers.unit());
        if key {
            size *= self.setup.key;
            self.key_frames.push(since);
        }
        self.frame += 1;
        self.made.push((since, false));
        let packets = (size as usize / PACKET) + 1;
        for _ in 0..packets {
            let class = Class::Video { stream: 1, frame: self.frame, key };
            let bytes = size as usize / packets + 30;
            self.pacer.push(now, class, bytes, (bytes, self.frame));
        }
    }

    /// The peer's feedback, or its report, is due.
    fn tell(
        &mut self,
        now: Instant,
        index: usize,
        link: &Link,
        numbers: &mut Numbers,
        back: &mut Vec<Feedback>,
    ) {
        if self.next_feedback > now || self.highest == 0 {
            return;
        }
        self.next_feedback = now + self.setup.feedback.unwrap_or(SECOND);
        let lost = self.setup.feedback.is_none().then(|| {
            let (sent, arrived) = std::mem::take(&mut self.counted);
            let lost = (256 - (arrived * 256 / sent.max(1)).min(256)).min(255) as u8;
            (lost, self.way + link.delay)
        });
        let mut packets: Vec<(u64, Option<Duration>)> =
            (self.told + 1..=self.highest).map(|number| (number, None)).collect();
        for (number, at) in self.arrived.drain(..) {
            match packets.get_mut((number as usize).wrapping_sub(self.told as usize + 1)) {
                Some(packet) => packet.1 = Some(at),
                None => packets.push((number, Some(at))),
            }
        }
        self.told = self.highest;
        if !numbers.happens(self.setup.back_loss) {
            back.push((now + link.delay, index, packets, lost));
        }
    }
}
