//! Two sides with an association each, and a wire between them that sees every packet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Algorithm;
use crate::channel::*;
use crate::sctp::SctpEvent;
use crate::sctp::packet::chunks;

pub const INIT: u8 = 1;
pub const COOKIE_ACK: u8 = 11;
pub const RE_CONFIG: u8 = 130;
pub const DELAY: Duration = Duration::from_millis(10);

pub struct Side {
    pub sctp: Association,
    pub channels: Channels,
}

/// Decides the fate of a packet: (from the first side?, packet) -> deliver?
pub type Wire = Box<dyn FnMut(bool, &mut Vec<u8>) -> bool>;

pub struct World {
    pub sides: [Side; 2],
    pub start: Instant,
    pub now: Instant,
    pub under_way: VecDeque<(Instant, usize, Vec<u8>)>,
    pub wire: Wire,
    pub packets: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Open(ChannelKey),
    Incoming(ChannelKey, u16, String),
    Message(ChannelKey, Kind, Vec<u8>),
    Closing(ChannelKey),
    Closed(ChannelKey, Option<String>, Option<u16>),
    Failed(ChannelKey, String),
}

impl World {
    pub fn new() -> World {
        let now = Instant::now();
        let side = |client| {
            let mut channels = Channels::new(1 << 20);
            channels.set_role(client);
            let mut sctp = Association::new(now, (5000, 5000), 1 << 20, 1 << 18, Algorithm::Tolerant);
            sctp.connect(now);
            Side { sctp, channels }
        };
        let sides = [side(true), side(false)];
        let wire = Box::new(|_, _: &mut Vec<u8>| true);
        World { sides, start: now, now, under_way: VecDeque::new(), wire, packets: 0 }
    }

    pub fn connected() -> World {
        let mut world = World::new();
        world.run_for(Duration::from_secs(1));
        assert!(world.sides.iter().all(|side| side.sctp.state() == SctpState::Connected));
        world
    }

    pub fn open(&mut self, side: usize, stream: u16, options: ChannelOptions) -> ChannelKey {
        let now = self.now;
        let Side { sctp, channels } = &mut self.sides[side];
        channels.open(now, Some(sctp), false, (stream, options))
    }

    pub fn send(&mut self, side: usize, key: ChannelKey, payload: &[u8]) -> bool {
        let now = self.now;
        let Side { sctp, channels } = &mut self.sides[side];
        channels.send(now, sctp, key, Kind::Binary, payload.to_vec())
    }

    pub fn close(&mut self, side: usize, key: ChannelKey) {
        let now = self.now;
        let Side { sctp, channels } = &mut self.sides[side];
        channels.close(now, Some(sctp), key);
    }

    pub fn turn(&mut self, at: usize) {
        let now = self.now;
        let Side { sctp, channels } = &mut self.sides[at];
        loop {
            sctp.flush(now);
            channels.handle_progress(now, sctp);
            let Some(event) = sctp.poll_event() else { break };
            match event {
                SctpEvent::Connected { max_channels } => channels.handle_connected(now, sctp, max_channels),
                SctpEvent::Message { stream, ppid, payload } => {
                    channels.handle_message(now, sctp, (stream, ppid, payload));
                }
                SctpEvent::IncomingReset(streams) => channels.handle_incoming_reset(now, sctp, &streams),
                SctpEvent::ResetDone(streams) => channels.handle_reset_answer(now, sctp, &streams, true),
                SctpEvent::ResetFailed(streams) => channels.handle_reset_answer(now, sctp, &streams, false),
                SctpEvent::Ended { error, cause } => {
                    channels.handle_ended(error.then_some(&cause.text), cause.code);
                }
            }
        }
        while let Some(mut packet) = sctp.poll_transmit() {
            self.packets += 1;
            if (self.wire)(at == 0, &mut packet) {
                self.under_way.push_back((now + DELAY, 1 - at, packet));
            }
        }
    }

    pub fn next(&self) -> Option<Instant> {
        let arrival = self.under_way.front().map(|(at, _, _)| *at);
        let timers =
            self.sides.iter().flat_map(|side| [side.sctp.poll_timeout(), side.channels.poll_timeout()]);
        timers.chain([arrival]).flatten().min()
    }

    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.turn(0);
        self.turn(1);
        while let Some(next) = self.next().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            while self.under_way.front().is_some_and(|(at, _, _)| *at <= self.now) {
                let Some((_, to, packet)) = self.under_way.pop_front() else { break };
                self.sides[to].sctp.handle_packet(self.now, &packet);
                self.turn(to);
            }
            for at in 0..2 {
                let Side { sctp, channels } = &mut self.sides[at];
                sctp.handle_timeout(self.now);
                if channels.poll_timeout().is_some_and(|due| due <= self.now) {
                    channels.handle_timeout(self.now, sctp, false);
                }
                self.turn(at);
            }
        }
        self.now = until;
    }

    /// Return the events of side `at` since the last call.
    pub fn seen(&mut self, at: usize) -> Vec<Seen> {
        let channels = &mut self.sides[at].channels;
        std::iter::from_fn(|| channels.poll_event())
            .map(|event| match event {
                ChannelEvent::Open { key } => Seen::Open(key),
                ChannelEvent::Incoming { key, stream, options } => {
                    Seen::Incoming(key, stream, options.label.clone())
                }
                ChannelEvent::Message { key, kind, payload } => Seen::Message(key, kind, payload),
                ChannelEvent::Closing { key } => Seen::Closing(key),
                ChannelEvent::Closed { key, error, cause } => {
                    Seen::Closed(key, error.map(String::from), cause)
                }
                ChannelEvent::Failed { key, message } => Seen::Failed(key, message),
            })
            .collect()
    }

    /// An open channel on both sides: (key on side 0, key on side 1).
    pub fn channel(&mut self, stream: u16) -> (ChannelKey, ChannelKey) {
        let ours = self.open(0, stream, plain("x"));
        self.run_for(Duration::from_secs(1));
        assert_eq!(self.seen(0), [Seen::Open(ours)]);
        match &self.seen(1)[..] {
            [Seen::Incoming(theirs, id, _)] if *id == stream => (ours, *theirs),
            other => panic!("{other:?}"),
        }
    }

    pub fn counts(&self) -> [usize; 2] {
        [self.sides[0].channels.count(), self.sides[1].channels.count()]
    }
}

pub fn plain(label: &str) -> ChannelOptions {
    ChannelOptions {
        label: label.into(),
        protocol: String::new(),
        negotiated: false,
        ordered: true,
        reliability: Reliability::Full,
        priority: 256,
    }
}

pub fn negotiated() -> ChannelOptions {
    ChannelOptions { negotiated: true, ..plain("n") }
}

pub fn has_chunk(packet: &[u8], kind: u8) -> bool {
    chunks(packet).any(|chunk| chunk.kind == kind)
}

pub fn closed(key: ChannelKey) -> Seen {
    Seen::Closed(key, None, None)
}

pub fn second() -> Duration {
    Duration::from_secs(1)
}
