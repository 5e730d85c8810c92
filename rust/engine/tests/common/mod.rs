//! Two transports, a virtual clock, and a link between them that can lose, delay and cut.
#![allow(dead_code)] // each test file uses its part

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adieu_engine::channel::ChannelEvent;
use adieu_engine::demux::{Class, classify};
use adieu_engine::dtls::{DtlsFailure, DtlsState};
use adieu_engine::ice::{Credentials, IceEvent, IceState, Role};
use adieu_engine::rtp::{Format, MediaEvent, MediaKind, Section};
use adieu_engine::sctp::SctpState;
use adieu_engine::sctp::packet::Cause;
use adieu_engine::{
    Algorithm, Batch, Certificate, ChannelKey, ChannelOptions, Config, Event, Fingerprint, Kind, Random,
    Reliability, RemoteCandidate, Transport, Wire,
};
use adieu_links::{Fate, Link, Numbers, Path};

/// UDP and IP around a datagram.
const AROUND: usize = 28;

pub fn seconds(count: f64) -> Duration {
    Duration::from_secs_f64(count)
}

pub struct Peer {
    pub transport: Transport,
    pub certificate: Arc<Certificate>,
    pub hosts: Vec<SocketAddr>,
    pub role: Role,
    pub is_client: bool,
    /// Everything else that was seen, in short.
    pub ice: Vec<(Duration, IceState)>,
    pub dtls: Vec<(DtlsState, Option<DtlsFailure>)>,
    pub sctp: Vec<(SctpState, Option<Cause>)>,
    pub pairs: Vec<(u32, String, String)>,
    pub roles: Vec<Role>,
    pub candidates: Vec<(u32, String)>,
    pub opened: Vec<ChannelKey>,
    pub incoming: Vec<(ChannelKey, u16, ChannelOptions)>,
    pub messages: Vec<(ChannelKey, Kind, Vec<u8>)>,
    pub closing: Vec<ChannelKey>,
    pub closed: Vec<(ChannelKey, Option<String>, Option<u16>)>,
    pub failed: Vec<(ChannelKey, String)>,
    pub certificates: usize,
    pub media: Vec<MediaEvent>,
    /// Tell the engine that messages were taken as soon as they come.
    pub reads: bool,
}

pub struct Sent {
    pub at: Duration,
    pub from: usize,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub fn class(&self) -> Class {
        classify(&self.bytes)
    }
}

type Filter = Box<dyn FnMut(usize, &[u8]) -> bool>;

/// When, in which order, to whom: (local, remote, datagram).
type Arrival = (Instant, u64, usize, SocketAddr, SocketAddr, Vec<u8>);

/// A link, and the longest wait for it.
pub struct Bottleneck {
    link: Link,
    path: Path,
    numbers: Numbers,
    pub longest: Duration,
}

impl Bottleneck {
    pub fn new(link: Link) -> Bottleneck {
        Bottleneck { link, path: Path::default(), numbers: Numbers::new(1), longest: Duration::ZERO }
    }

    /// When a datagram arrives; None: lost.
    fn send(&mut self, now: Instant, size: usize) -> Option<Instant> {
        match self.path.send(&self.link, now, size + AROUND, &mut self.numbers) {
            Fate::Arrives { at, waits, .. } => {
                self.longest = self.longest.max(waits);
                Some(at)
            }
            _ => None,
        }
    }
}

pub struct Pair {
    pub peers: [Peer; 2],
    pub start: Instant,
    pub now: Instant,
    pub delay: Duration,
    pub loss: f64,
    /// Both sides look so many seconds late at most, by chance. All that came meanwhile arrives then, at one time.
    pub late: f64,
    pub is_cut: bool,
    /// A link with a rate and a queue from side 0 to side 1, in place of delay and loss.
    pub link: Option<Bottleneck>,
    /// (from, datagram) -> deliver?
    pub filter: Filter,
    pub sent: Vec<Sent>,
    under_way: BinaryHeap<Reverse<Arrival>>,
    order: u64,
    random: Random,
}

pub struct Setup {
    pub hosts: [Vec<&'static str>; 2],
    pub roles: [Role; 2],
    pub receive_buffer: usize,
    pub seed: u8,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            hosts: [vec!["10.0.0.1:1000"], vec!["10.0.0.2:2000"]],
            roles: [Role::Controlling, Role::Controlled],
            receive_buffer: 1 << 20,
            seed: 1,
        }
    }
}

pub fn credentials(peer: usize, generation: u32) -> Credentials {
    let letter = if peer == 0 { "a" } else { "b" };
    Credentials {
        ufrag: format!("{letter}{generation:03}"),
        pwd: format!("{}{generation:02}", letter.repeat(20)),
    }
}

impl Pair {
    pub fn new(setup: Setup) -> Pair {
        let now = Instant::now();
        let mut random = Random::new([setup.seed; 32]);
        let Setup { hosts, roles, receive_buffer, seed } = setup;
        let mut index = 0;
        let peers = hosts.map(|hosts| {
            let certificate =
                Certificate::generate(1_800_000_000, seconds(86_400.0), &mut random).expect("made");
            let certificate = Arc::new(certificate);
            let config = Config {
                disconnected_after: seconds(2.5),
                failed_after: seconds(15.0),
                receive_buffer,
                max_message_size: 262_144,
                congestion: Algorithm::Tolerant,
                seed: [seed.wrapping_mul(2).wrapping_add(index); 32],
            };
            let role = roles[usize::from(index)];
            index += 1;
            Peer {
                transport: Transport::new(now, certificate.clone(), config),
                certificate,
                hosts: hosts.iter().map(|host| host.parse().expect("an address")).collect(),
                role,
                is_client: index == 2,
                ice: Vec::new(),
                dtls: Vec::new(),
                sctp: Vec::new(),
                pairs: Vec::new(),
                roles: Vec::new(),
                candidates: Vec::new(),
                opened: Vec::new(),
                incoming: Vec::new(),
                messages: Vec::new(),
                closing: Vec::new(),
                closed: Vec::new(),
                failed: Vec::new(),
                certificates: 0,
                media: Vec::new(),
                reads: true,
            }
        });
        Pair {
            peers,
            start: now,
            now,
            delay: seconds(0.01),
            loss: 0.0,
            late: 0.0,
            is_cut: false,
            link: None,
            filter: Box::new(|_, _| true),
            sent: Vec::new(),
            under_way: BinaryHeap::new(),
            order: 0,
            random,
        }
    }

    /// Everything is said to both; nothing has run yet.
    pub fn started(setup: Setup) -> Pair {
        let mut pair = Pair::new(setup);
        pair.gather(1);
        pair.negotiate(1);
        pair.start_dtls(None);
        pair
    }

    pub fn connected() -> Pair {
        let mut pair = Pair::started(Setup::default());
        pair.run_for(1.0);
        for peer in &pair.peers {
            assert_eq!(peer.sctp.last().map(|(state, _)| *state), Some(SctpState::Connected));
        }
        pair
    }

    pub fn gather(&mut self, generation: u32) {
        for at in 0..2 {
            let now = self.now;
            let peer = &mut self.peers[at];
            peer.transport.start_generation(now, generation, credentials(at, generation), peer.role);
            for host in peer.hosts.clone() {
                peer.transport.add_host(now, generation, host);
            }
            peer.transport.hosts_done(now, generation);
            self.turn(at);
        }
    }

    /// Credentials and candidates both ways, with the last one.
    pub fn negotiate(&mut self, generation: u32) {
        for at in 0..2 {
            self.set_remote(at, generation);
            for line in self.lines(1 - at, generation) {
                self.add_candidate(at, generation, Some(&line));
            }
            self.add_candidate(at, generation, None);
        }
    }

    pub fn set_remote(&mut self, at: usize, generation: u32) {
        let now = self.now;
        let remote = credentials(1 - at, generation);
        self.peers[at].transport.set_remote(now, generation, remote, false);
        self.turn(at);
    }

    pub fn lines(&self, at: usize, generation: u32) -> Vec<String> {
        let of = |(number, line): &(u32, String)| (*number == generation).then(|| line.clone());
        self.peers[at].candidates.iter().filter_map(of).collect()
    }

    pub fn add_candidate(&mut self, at: usize, generation: u32, line: Option<&str>) {
        let candidate = line.map(|line| RemoteCandidate::parse(line).expect("well-formed"));
        let now = self.now;
        self.peers[at].transport.add_candidate(now, generation, candidate);
        self.turn(at);
    }

    /// Use these fingerprints in place of the right ones, if given.
    pub fn start_dtls(&mut self, fingerprints: Option<Vec<Fingerprint>>) {
        let now = self.now;
        for at in 0..2 {
            let right = self.peers[1 - at].certificate.fingerprint("sha-256").expect("known");
            let right = Fingerprint::parse_all([("sha-256", right.as_str())]).expect("well-formed");
            let is_client = self.peers[at].is_client;
            let transport = &mut self.peers[at].transport;
            transport.start_dtls(now, is_client, fingerprints.clone().unwrap_or(right));
            transport.start_sctp(now, 5000, 5000, 262_144);
            self.turn(at);
        }
    }

    // --- the clock --------------------------------------------------------------------------------------------------

    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    pub fn run_for(&mut self, time: f64) {
        let until = self.now + seconds(time);
        self.run_until(until, |_| false);
        self.now = self.now.max(until);
    }

    /// Until something holds; panics when it does not within `limit` seconds.
    pub fn run_to(&mut self, limit: f64, what: &str, holds: impl FnMut(&Pair) -> bool) -> Duration {
        let (from, until) = (self.now, self.now + seconds(limit));
        assert!(self.run_until(until, holds), "not within {limit} s: {what}");
        self.now - from
    }

    /// Whether it held before `until`.
    pub fn run_until(&mut self, until: Instant, mut holds: impl FnMut(&Pair) -> bool) -> bool {
        self.turn(0);
        self.turn(1);
        loop {
            if holds(self) {
                return true;
            }
            let Some(next) = self.next().filter(|next| *next <= until) else { return false };
            self.now = self.now.max(next);
            if self.late > 0.0 {
                self.now += seconds(self.late * self.random.unit());
            }
            while let Some(Reverse((at, ..))) = self.under_way.peek() {
                if *at > self.now {
                    break;
                }
                let Some(Reverse((_, _, to, local, remote, bytes))) = self.under_way.pop() else { break };
                self.peers[to].transport.handle_datagram(self.now, Wire::udp(local, remote), &bytes);
                self.turn(to);
            }
            for at in 0..2 {
                self.peers[at].transport.handle_timeout(self.now);
                self.turn(at);
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        let arrival = self.under_way.peek().map(|Reverse((at, ..))| *at);
        // A millisecond at least, as a real clock has it: an engine that asks for "now" would stop the world.
        let tick = |at: Instant| at.max(self.now + Duration::from_micros(100));
        let timers = self.peers.iter().map(|peer| peer.transport.poll_timeout(self.now).map(tick));
        timers.chain([arrival]).flatten().min()
    }

    /// Have the link from side 0 to side 1 carry so many bytes a second from now on.
    pub fn set_rate(&mut self, rate: f64) {
        let Some(link) = &mut self.link else { return };
        let to = Link { rate: Some(rate), ..link.link };
        let mut arrivals: Vec<Arrival> = self.under_way.drain().map(|Reverse(arrival)| arrival).collect();
        arrivals.sort();
        let delay = link.link.delay;
        let mut left: Vec<Instant> = arrivals.iter().map(|arrival| arrival.0 - delay).collect();
        let under_way = left.iter_mut().zip(&mut arrivals).filter(|(_, arrival)| arrival.2 == 1);
        link.path.change(self.now, &link.link, &to, under_way.map(|(left, arrival)| (left, &mut arrival.0)));
        link.link = to;
        self.under_way.extend(arrivals.into_iter().map(Reverse));
    }

    pub fn turn(&mut self, at: usize) {
        let mut batch = Batch::new(16);
        loop {
            self.take_events(at);
            let now = self.now;
            if !self.peers[at].transport.poll_transmit(now, &mut batch) {
                break;
            }
            let Wire { local, remote, .. } = batch.wire;
            for bytes in batch.datagrams() {
                self.sent.push(Sent { at: now - self.start, from: at, local, remote, bytes: bytes.to_vec() });
                let lost = self.is_cut || (self.loss > 0.0 && self.random.unit() < self.loss);
                if lost || !(self.filter)(at, bytes) {
                    continue;
                }
                let to = 1 - at;
                let arrival = match &mut self.link {
                    Some(link) if at == 0 => link.send(now, bytes.len()),
                    _ => Some(now + self.delay),
                };
                let Some(arrival) = arrival else { continue };
                if self.peers[to].hosts.contains(&remote) {
                    self.order += 1;
                    self.under_way.push(Reverse((arrival, self.order, to, remote, local, bytes.to_vec())));
                }
            }
        }
        self.take_events(at);
    }

    fn take_events(&mut self, at: usize) {
        let now = self.now;
        let elapsed = self.elapsed();
        let peer = &mut self.peers[at];
        while peer.transport.poll_drained(now).is_some() {}
        let mut read = 0;
        while let Some(event) = peer.transport.poll_event(now) {
            match event {
                Event::Ice(event) => match *event {
                    IceEvent::State(state) => peer.ice.push((elapsed, state)),
                    IceEvent::Candidate { generation, line, .. } => peer.candidates.push((generation, line)),
                    IceEvent::Pair { generation, local, remote } => {
                        peer.pairs.push((generation, local, remote))
                    }
                    IceEvent::Role(role) => peer.roles.push(role),
                    IceEvent::CandidateError { .. } | IceEvent::Gathering { .. } => {}
                },
                Event::Certificates(_) => peer.certificates += 1,
                Event::Dtls { state, failure } => peer.dtls.push((state, failure.map(|failure| *failure))),
                Event::Sctp { state, cause, .. } => peer.sctp.push((state, cause.map(|cause| *cause))),
                Event::Channel(event) => match event {
                    ChannelEvent::Open { key } => peer.opened.push(key),
                    ChannelEvent::Incoming { key, stream, options } => {
                        peer.incoming.push((key, stream, *options))
                    }
                    ChannelEvent::Message { key, kind, payload } => {
                        read += payload.len();
                        peer.messages.push((key, kind, payload));
                    }
                    ChannelEvent::Closing { key } => peer.closing.push(key),
                    ChannelEvent::Closed { key, error, cause } => {
                        peer.closed.push((key, error.map(String::from), cause))
                    }
                    ChannelEvent::Failed { key, message } => peer.failed.push((key, message)),
                },
            }
        }
        peer.media.extend(std::iter::from_fn(|| peer.transport.poll_media()));
        if peer.reads && read > 0 {
            peer.transport.consumed(now, read);
        }
    }

    // --- channels ---------------------------------------------------------------------------------------------------

    pub fn open(&mut self, at: usize, stream: u16) -> ChannelKey {
        let now = self.now;
        let key = self.peers[at].transport.open_channel(now, stream, options()).expect("not closed");
        self.turn(at);
        key
    }

    /// An open channel on both sides, opened by side 1, the DTLS client: (key on side 0, key on side 1).
    pub fn channel(&mut self, stream: u16) -> (ChannelKey, ChannelKey) {
        let ours = self.open(1, stream);
        let before = self.peers[0].incoming.len();
        self.run_to(5.0, "the channel comes in", |pair| pair.peers[0].incoming.len() > before);
        (self.peers[0].incoming[before].0, ours)
    }

    pub fn send(&mut self, at: usize, key: ChannelKey, payload: Vec<u8>) -> bool {
        let now = self.now;
        self.peers[at].transport.send(now, key, Kind::Binary, payload)
    }

    pub fn close_channel(&mut self, at: usize, key: ChannelKey) {
        let now = self.now;
        self.peers[at].transport.close_channel(now, key);
        self.turn(at);
    }

    pub fn close(&mut self, at: usize, reason: &str) {
        let now = self.now;
        self.peers[at].transport.close(now, reason);
        self.turn(at);
    }

    // --- questions --------------------------------------------------------------------------------------------------

    pub fn ice_state(&self, at: usize) -> Option<IceState> {
        self.peers[at].ice.last().map(|(_, state)| *state)
    }

    pub fn states(&self, at: usize) -> Vec<IceState> {
        self.peers[at].ice.iter().map(|(_, state)| *state).collect()
    }

    pub fn is_connected(&self) -> bool {
        self.peers
            .iter()
            .all(|peer| peer.sctp.last().is_some_and(|(state, _)| *state == SctpState::Connected))
    }

    pub fn sent_by(&self, at: usize, class: Class) -> Vec<&Sent> {
        self.sent.iter().filter(|sent| sent.from == at && sent.class() == class).collect()
    }
}

pub fn options() -> ChannelOptions {
    ChannelOptions {
        label: "chat".into(),
        protocol: String::new(),
        negotiated: false,
        ordered: true,
        reliability: Reliability::Full,
        priority: 256,
    }
}

/// A payload type: its number, name, clock rate, channels (0 for video) and parameters.
pub type Row<'a> = (u8, &'a str, u32, u8, &'a str);

/// A section that sends and receives these formats, with the extensions that the repair of pictures needs.
pub fn section(
    mid: &str,
    kind: MediaKind,
    (sender, receiver): (u64, u64),
    rows: &[Row],
    max_bitrate: Option<u32>,
) -> Section {
    let format = |&(payload_type, name, clock_rate, channels, fmtp): &Row| Format {
        payload_type,
        name: name.to_owned(),
        clock_rate,
        channels,
        fmtp: fmtp.to_owned(),
    };
    let formats: Vec<Format> = rows.iter().map(format).collect();
    let number = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    Section {
        mid: mid.to_owned(),
        kind,
        sender: Some(sender),
        receiver: Some(receiver),
        sends: true,
        receives: true,
        send: formats.clone(),
        receive: formats,
        extensions: vec![(4, "urn:ietf:params:rtp-hdrext:sdes:mid".to_owned()), (3, number.to_owned())],
        ssrcs: Vec::new(),
        rids: Vec::new(),
        own_ssrcs: None,
        active: true,
        max_bitrate,
        reduced_size: true,
    }
}
