//! Associations over one bottleneck, in virtual time: seconds of it take milliseconds.
//!
//! Data goes from the near sides to the far sides through one queue that all flows share; what comes back waits for
//! nothing, but is lost as often. A timer fires on a whole millisecond after it was set, as epoll's do.
#![allow(dead_code, reason = "each test uses a part")]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use adieu_congestion::{Algorithm, Report};
use adieu_engine::sctp::packet::inspect_packet;
use adieu_engine::sctp::{Association, Outgoing, SctpEvent, SctpState, options};
use adieu_links::{Fate, Link, Numbers, Path};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);
/// DTLS, UDP and IP around a packet of SCTP.
const AROUND: usize = 65;
const SMALL: usize = 100;
const BULK: u16 = 1;
const SIGNAL: u16 = 3;
/// Bytes that a bulk sender keeps queued.
const QUEUED: usize = 1 << 20;
/// Goodput is counted in quarters of a second.
const BIN: Duration = Duration::from_millis(250);

/// The controller of a near side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    Tolerant,
    Cubic,
    /// As the crate does it by itself: Reno with one fast retransmission a round trip.
    Crate,
}

/// One association, and what goes over it.
#[derive(Clone, Debug)]
pub struct Flow {
    pub sender: Sender,
    pub starts: Duration,
    pub stops: Duration,
    /// Bytes of each bulk message; None: no bulk.
    pub bulk: Option<usize>,
    /// A message of 100 bytes in this time, on a stream of its own.
    pub small: Option<Duration>,
    /// Gaps that the far side names, and its window.
    pub gaps: usize,
    pub window: usize,
    pub max_retransmits: Option<u16>,
    pub priority: Option<u16>,
    /// When the far side does not read: from, to.
    pub pause: Option<(Duration, Duration)>,
}

impl Default for Flow {
    fn default() -> Flow {
        Flow {
            sender: Sender::Tolerant,
            starts: Duration::ZERO,
            stops: Duration::MAX,
            bulk: Some(16_384),
            small: None,
            gaps: 128,
            window: 8 << 20,
            max_retransmits: None,
            priority: None,
            pause: None,
        }
    }
}

pub fn flow(sender: Sender) -> Flow {
    Flow { sender, ..Flow::default() }
}

/// `mbit` Mbit/s, a round trip of `rtt`, a queue of `buffer` times what fills the path, and loss both ways.
pub fn link(mbit: f64, rtt: Duration, buffer: f64, loss: f64) -> Link {
    let rate = mbit * 1e6 / 8.0;
    let queue = (buffer * rate * rtt.as_secs_f64()).max(5_000.0) as usize;
    Link { rate: Some(rate), queue, late_loss: loss, delay: rtt / 2, ..Link::default() }
}

struct Side {
    sctp: Association,
    wakes: Option<Instant>,
}

/// A flow that runs, and what was counted of it.
pub struct Running {
    pub flow: Flow,
    sides: [Side; 2],
    bins: Vec<u64>,
    pub received: u64,
    /// (sent, delay) of each small message that arrived.
    pub delays: Vec<(Duration, Duration)>,
    /// Packets with data in them: no heartbeats.
    pub sent_packets: u64,
    pub sent_small: u64,
    next_bulk: u64,
    expected_bulk: u64,
    pub last_arrival: Duration,
    pub faults: Vec<String>,
}

enum Event {
    Start(usize),
    /// A packet to a side, and when it leaves the queue.
    Packet(usize, usize, Vec<u8>, Instant),
    Wake(usize, usize),
    Small(usize),
    Pause(usize, bool),
    Change(Box<Link>, f64),
    Cut(bool),
}

pub struct World {
    begun: Instant,
    now: Instant,
    link: Link,
    /// Packets that come back are lost with this probability.
    back_loss: f64,
    is_cut: bool,
    forward: Path,
    numbers: Numbers,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    events: HashMap<u64, Event>,
    serial: u64,
    pub flows: Vec<Running>,
    pub packets: u64,
    pub dropped: u64,
    pub lost: u64,
    /// (when, how long) each packet waited in the queue.
    waits: Vec<(Duration, Duration)>,
}

impl World {
    pub fn new(link: Link, flows: Vec<Flow>, seed: u64) -> World {
        let begun = Instant::now();
        let mut world = World {
            begun,
            now: begun,
            back_loss: link.loss + link.late_loss,
            link,
            is_cut: false,
            forward: Path::default(),
            numbers: Numbers::new(seed),
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            serial: 0,
            flows: Vec::new(),
            packets: 0,
            dropped: 0,
            lost: 0,
            waits: Vec::new(),
        };
        for (index, flow) in flows.into_iter().enumerate() {
            world.at(flow.starts, Event::Start(index));
            if let Some((from, to)) = flow.pause {
                world.at(from, Event::Pause(index, true));
                world.at(to, Event::Pause(index, false));
            }
            world.flows.push(Running::new(begun, flow));
        }
        world
    }

    pub fn now(&self) -> Duration {
        self.now - self.begun
    }

    /// Other properties of the path from then on.
    pub fn change(&mut self, when: Duration, link: Link) {
        self.at(when, Event::Change(Box::new(link), link.loss + link.late_loss));
    }

    /// Nothing passes from then on, or everything again.
    pub fn cut(&mut self, when: Duration, is_cut: bool) {
        self.at(when, Event::Cut(is_cut));
    }

    pub fn run(&mut self, until: Duration) {
        let end = self.begun + until;
        while let Some(&Reverse((at, serial))) = self.queue.peek() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = at;
            if let Some(event) = self.events.remove(&serial) {
                self.handle(event);
            }
        }
        self.now = end;
    }

    /// Mbit/s of a flow's bulk.
    pub fn goodput(&self, flow: usize, from: Duration, to: Duration) -> f64 {
        let bin = |at: Duration| (at.as_nanos() / BIN.as_nanos()) as usize;
        let bins = &self.flows[flow].bins;
        let bytes: u64 = (bin(from)..bin(to).min(bins.len())).map(|index| bins[index]).sum();
        bytes as f64 * 8e-6 / (to - from).as_secs_f64()
    }

    /// Mean wait in the queue, in milliseconds.
    pub fn mean_wait(&self, from: Duration, to: Duration) -> f64 {
        let waits = self.waits.iter().filter(|(at, _)| from <= *at && *at < to);
        let (sum, count) =
            waits.fold((0.0, 0u32), |(sum, count), (_, wait)| (sum + wait.as_secs_f64(), count + 1));
        1e3 * sum / f64::from(count.max(1))
    }

    pub fn report(&self, flow: usize) -> Option<Report> {
        self.flows[flow].sides[0].sctp.congestion()
    }

    pub fn retransmitted(&self, flow: usize) -> usize {
        self.flows[flow].sides[0].sctp.metrics().map_or(0, |metrics| metrics.rtx_packets_count)
    }

    fn at(&mut self, when: Duration, event: Event) {
        self.at_instant(self.begun + when.min(Duration::from_secs(1 << 20)), event);
    }

    fn at_instant(&mut self, when: Instant, event: Event) {
        self.serial += 1;
        self.queue.push(Reverse((when, self.serial)));
        self.events.insert(self.serial, event);
    }

    fn handle(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Start(index) => {
                self.flows[index].sides[0].sctp.connect(now);
                self.pump(index, 0);
                if let Some(every) = self.flows[index].flow.small {
                    self.at_instant(now + every, Event::Small(index));
                }
            }
            Event::Packet(index, side, packet, _) => {
                self.flows[index].sides[side].sctp.handle_packet(now, &packet);
                self.pump(index, side);
            }
            Event::Wake(index, side) => {
                let woken = &mut self.flows[index].sides[side];
                if woken.wakes == Some(now) {
                    woken.wakes = None;
                    woken.sctp.handle_timeout(now);
                    self.pump(index, side);
                }
            }
            Event::Small(index) => self.send_small(index),
            Event::Pause(index, is_paused) => {
                self.flows[index].sides[1].sctp.pause(now, is_paused);
                self.pump(index, 1);
            }
            Event::Change(link, back_loss) => {
                self.change_path(&link);
                (self.link, self.back_loss) = (*link, back_loss);
            }
            Event::Cut(is_cut) => self.is_cut = is_cut,
        }
    }

    /// Give the queue the rate of `link` from now on.
    fn change_path(&mut self, link: &Link) {
        let mut order: Vec<_> =
            std::mem::take(&mut self.queue).into_iter().map(|Reverse(entry)| entry).collect();
        order.sort_unstable();
        let events = &mut self.events;
        // Each packet's own time of leaving is moved beside its time in the order of events.
        let mut forward: Vec<(Instant, usize)> = Vec::new();
        for (position, (_, serial)) in order.iter().enumerate() {
            if let Some(Event::Packet(_, 1, _, left)) = events.get(serial) {
                forward.push((*left, position));
            }
        }
        let mut times: Vec<(Instant, Instant)> =
            forward.iter().map(|&(left, position)| (left, order[position].0)).collect();
        self.forward.change(self.now, &self.link, link, times.iter_mut().map(|(left, at)| (left, at)));
        for ((moved, at), (_, position)) in times.into_iter().zip(forward) {
            order[position].0 = at;
            if let Some(Event::Packet(.., left)) = events.get_mut(&order[position].1) {
                *left = moved;
            }
        }
        self.queue = order.into_iter().map(Reverse).collect();
    }

    fn send_small(&mut self, index: usize) {
        let now = self.now;
        let sent = self.now().as_nanos() as u64;
        let running = &mut self.flows[index];
        let Some(every) = running.flow.small else { return };
        if running.sides[0].sctp.state() == SctpState::Connected {
            let mut payload = vec![0; SMALL];
            payload[..8].copy_from_slice(&sent.to_le_bytes());
            running.sent_small += 1;
            running.send(now, SIGNAL, payload);
            running.sides[0].sctp.flush(now);
            self.pump(index, 0);
        }
        if self.now() < self.flows[index].flow.stops {
            self.at_instant(now + every, Event::Small(index));
        }
    }

    /// Take out what a side has to say, and wake it when it wants to be woken.
    fn pump(&mut self, index: usize, side: usize) {
        let (now, age) = (self.now, self.now());
        let running = &mut self.flows[index];
        running.take(side, age);
        if side == 0 {
            running.refill(now, age);
        }
        let mut packets = Vec::new();
        while let Some(packet) = running.sides[side].sctp.poll_transmit() {
            packets.push(packet);
        }
        if let Some(at) = running.sides[side].sctp.poll_timeout() {
            let wait = at.saturating_duration_since(now).as_nanos().div_ceil(MS.as_nanos());
            let wakes = now + MS * u32::try_from(wait.max(1)).unwrap_or(u32::MAX);
            let woken = &mut running.sides[side];
            if woken.wakes.is_none_or(|before| wakes < before || before <= now) {
                woken.wakes = Some(wakes);
                self.at_instant(wakes, Event::Wake(index, side));
            }
        }
        for packet in packets {
            self.transmit(index, side, packet);
        }
    }

    fn transmit(&mut self, index: usize, side: usize, packet: Vec<u8>) {
        if side == 1 {
            if !self.is_cut && !self.numbers.happens(self.back_loss) {
                let at = self.now + self.link.delay;
                self.at_instant(at, Event::Packet(index, 0, packet, self.now));
            }
            return;
        }
        self.packets += 1;
        self.flows[index].sent_packets += u64::from(inspect_packet(&packet).has_data);
        if self.is_cut {
            return;
        }
        match self.forward.send(&self.link, self.now, packet.len() + AROUND, &mut self.numbers) {
            Fate::Arrives { at, left, waits } => {
                self.waits.push((self.now(), waits));
                self.at_instant(at, Event::Packet(index, 1, packet, left));
            }
            Fate::Lost => self.lost += 1,
            Fate::Dropped => self.dropped += 1,
        }
    }
}

impl Running {
    fn new(now: Instant, flow: Flow) -> Running {
        let side = |is_near: bool| {
            let mut options = options((5000, 5000), flow.window, Algorithm::Tolerant);
            match flow.sender {
                Sender::Tolerant => {}
                Sender::Cubic => options.congestion = Some(Algorithm::Cubic),
                Sender::Crate => (options.congestion, options.max_burst) = (None, 4),
            }
            options.max_gap_ack_blocks = flow.gaps;
            let mut sctp = Association::with_options(now, &options);
            if let (true, Some(priority)) = (is_near, flow.priority) {
                sctp.set_priority(SIGNAL, priority);
            }
            Side { sctp, wakes: None }
        };
        Running {
            sides: [side(true), side(false)],
            flow,
            bins: Vec::new(),
            received: 0,
            delays: Vec::new(),
            sent_packets: 0,
            sent_small: 0,
            next_bulk: 0,
            expected_bulk: 0,
            last_arrival: Duration::ZERO,
            faults: Vec::new(),
        }
    }

    fn send(&mut self, now: Instant, stream: u16, payload: Vec<u8>) {
        let max_retransmits = self.flow.max_retransmits;
        let unordered = stream == SIGNAL;
        let ppid = 53;
        self.sides[0]
            .sctp
            .send(now, Outgoing { stream, ppid, payload, unordered, lifetime: None, max_retransmits });
    }

    /// Keep the queue of the bulk stream full. Each message begins with its number.
    fn refill(&mut self, now: Instant, age: Duration) {
        let Some(size) = self.flow.bulk else { return };
        if self.sides[0].sctp.state() != SctpState::Connected || age >= self.flow.stops {
            return;
        }
        while self.sides[0].sctp.buffered(BULK) < QUEUED {
            for _ in 0..(QUEUED / size).max(1) {
                let mut payload = vec![7; size];
                payload[..8].copy_from_slice(&self.next_bulk.to_le_bytes());
                self.next_bulk += 1;
                self.send(now, BULK, payload);
            }
            self.sides[0].sctp.flush(now);
        }
    }

    fn take(&mut self, side: usize, age: Duration) {
        while let Some(event) = self.sides[side].sctp.poll_event() {
            match event {
                SctpEvent::Message { stream, payload, .. } => self.on_message(stream, &payload, age),
                SctpEvent::Ended { cause, .. } => self.faults.push(format!("ended: {}", cause.text)),
                _ => {}
            }
        }
    }

    fn on_message(&mut self, stream: u16, payload: &[u8], age: Duration) {
        let Some(number) = payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)) else { return };
        self.last_arrival = age;
        if stream == SIGNAL {
            let sent = Duration::from_nanos(number);
            self.delays.push((sent, age - sent));
            return;
        }
        let may_skip = self.flow.max_retransmits.is_some();
        if number < self.expected_bulk || (number > self.expected_bulk && !may_skip) {
            self.faults.push(format!("message {number} came in place of {}", self.expected_bulk));
        }
        self.expected_bulk = number + 1;
        self.received += payload.len() as u64;
        let bin = (age.as_nanos() / BIN.as_nanos()) as usize;
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] += payload.len() as u64;
    }

    /// The delay below which this part of the small messages after `from` stayed, in milliseconds.
    pub fn delay(&self, part: f64, from: Duration) -> f64 {
        let mut delays: Vec<f64> = self
            .delays
            .iter()
            .filter(|(sent, _)| *sent >= from)
            .map(|(_, delay)| delay.as_secs_f64())
            .collect();
        delays.sort_by(f64::total_cmp);
        delays.get(((delays.len().max(1) - 1) as f64 * part) as usize).map_or(0.0, |delay| delay * 1e3)
    }
}

/// `LINKS_WHOLE=1`: longer runs and more of them, for `make bench-links`.
pub fn is_whole() -> bool {
    std::env::var_os("LINKS_WHOLE").is_some()
}

/// A threshold. It prints what was measured, for `benchmarks/links.py`.
pub fn at_least(what: &str, value: f64, bound: f64) {
    println!(r#"{{"of": "threshold", "what": "{what}", "value": {value:.2}, "least": {bound:.2}}}"#);
    assert!(value >= bound, "{what}: {value:.2}, at least {bound:.2}");
}

pub fn at_most(what: &str, value: f64, bound: f64) {
    println!(r#"{{"of": "threshold", "what": "{what}", "value": {value:.2}, "most": {bound:.2}}}"#);
    assert!(value <= bound, "{what}: {value:.2}, at most {bound:.2}");
}

/// Jain's index: 1 when all have the same.
pub fn jain(rates: &[f64]) -> f64 {
    let (sum, squares): (f64, f64) =
        rates.iter().fold((0.0, 0.0), |(sum, squares), rate| (sum + rate, squares + rate * rate));
    sum * sum / (rates.len() as f64 * squares)
}
