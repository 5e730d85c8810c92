//! Streams of a network in memory: as reliable and ordered as TCP, and as simple as possible. Bytes that are
//! lost on the way come later, and so does everything behind them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use adieu_engine::Wire;

use super::{Connect, Event, SILENCE, UNCLAIMED};

/// TCP's shortest time until it sends again.
pub const RETRY: Duration = Duration::from_millis(200);
/// The first port of each host.
const FIRST_PORT: u16 = 20_000;

/// An arrival at one end of a stream.
#[derive(Debug)]
pub enum Arrival {
    Datagram(Vec<u8>),
    Event(Event),
}

struct End {
    index: u32,
    wire: Wire,
    /// The other end; None: it is closed, or was never there.
    peer: Option<u64>,
    arrivals: VecDeque<(Instant, Arrival)>,
    /// A connection that came in is dropped then, unless it is taken.
    deadline: Option<Instant>,
}

#[derive(Default)]
pub struct MemoryStreams {
    ends: HashMap<u64, End>,
    listening: HashSet<SocketAddr>,
    next: u64,
    next_port: HashMap<IpAddr, u16>,
}

impl MemoryStreams {
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<()> {
        match self.listening.insert(address) {
            true => Ok(()),
            false => Err(io::ErrorKind::AddrInUse.into()),
        }
    }

    pub fn stop_listening(&mut self, address: SocketAddr) {
        self.listening.remove(&address);
    }

    /// `delay`: from one host to the other; None: nothing comes through.
    pub fn connect(&mut self, now: Instant, order: &Connect, delay: Option<Duration>) -> (u64, Wire) {
        let port = self.next_port.entry(order.wire.local.ip()).or_insert(FIRST_PORT);
        let local = SocketAddr::new(order.wire.local.ip(), *port);
        *port = port.checked_add(1).unwrap_or(FIRST_PORT);
        let wire = Wire { local, ..order.wire };
        let is_there = self.listening.contains(&wire.remote);
        let (here, there) = (self.next, self.next + 1);
        self.next += 2;
        let mut end = End { index: order.index, wire, peer: None, arrivals: VecDeque::new(), deadline: None };
        let event = match delay {
            Some(_) if is_there => Event::Open,
            Some(_) => Event::Closed("connection refused: nothing listens there".to_owned()),
            None => Event::Closed("no answer: the connection was not made in time".to_owned()),
        };
        let after = delay.map_or(super::CONNECT_TIMEOUT, |delay| delay * 2);
        if event == Event::Open {
            end.peer = Some(there);
            let wire = Wire { local: wire.remote, remote: wire.local, ..wire };
            let deadline = Some(now + after + SILENCE);
            let arrivals = VecDeque::new();
            self.ends.insert(there, End { index: UNCLAIMED, wire, peer: Some(here), arrivals, deadline });
        }
        end.arrivals.push_back((now + after, Arrival::Event(event)));
        self.ends.insert(here, end);
        (here, wire)
    }

    pub fn addresses(&self, end: u64) -> Option<Wire> {
        self.ends.get(&end).map(|end| end.wire)
    }

    /// Send to the other end; `at`: when it is there, unless something before it is later.
    pub fn send(&mut self, end: u64, at: Instant, datagram: &[u8]) {
        self.put(end, at, Arrival::Datagram(datagram.to_vec()));
    }

    fn put(&mut self, end: u64, at: Instant, arrival: Arrival) {
        let Some(peer) = self.ends.get(&end).and_then(|end| end.peer) else { return };
        let Some(peer) = self.ends.get_mut(&peer) else { return };
        let at = peer.arrivals.back().map_or(at, |(last, _)| at.max(*last));
        peer.arrivals.push_back((at, arrival));
    }

    pub fn close(&mut self, end: u64, at: Instant) {
        self.put(end, at, Arrival::Event(Event::Closed("the other side closed the connection".to_owned())));
        self.ends.remove(&end);
    }

    /// A transport has taken a connection that came in.
    pub fn claim(&mut self, end: u64, index: u32) {
        if let Some(end) = self.ends.get_mut(&end) {
            (end.index, end.deadline) = (index, None);
        }
    }

    /// Nothing passes between these addresses now. Bytes that were sent arrive later.
    pub fn hold(&mut self, now: Instant, is_cut: impl Fn(Wire) -> bool) {
        for end in self.ends.values_mut().filter(|end| is_cut(end.wire)) {
            for (at, _) in &mut end.arrivals {
                *at = (*at).max(now + RETRY);
            }
        }
    }

    pub fn next(&self) -> Option<Instant> {
        let due = |end: &End| {
            let arrival = end.arrivals.front().map(|(at, _)| *at);
            [arrival, end.deadline].into_iter().flatten().min()
        };
        self.ends.values().filter_map(due).min()
    }

    /// Take the next arrival: the end, its transport and wire, and what it is.
    pub fn pop(&mut self, now: Instant) -> Option<(u64, u32, Wire, Arrival)> {
        let silent = |end: &End| end.deadline.is_some_and(|at| at <= now) && end.arrivals.is_empty();
        let late: Vec<u64> = self.ends.iter().filter(|(_, end)| silent(end)).map(|(id, _)| *id).collect();
        for id in late {
            if let Some(end) = self.ends.get_mut(&id) {
                let text = "it said nothing".to_owned();
                end.arrivals.push_back((now, Arrival::Event(Event::Closed(text))));
            }
        }
        // The lowest number first: the same in each run.
        let due = |end: &End| end.arrivals.front().is_some_and(|(at, _)| *at <= now);
        let id = *self.ends.iter().filter(|(_, end)| due(end)).map(|(id, _)| id).min()?;
        let end = self.ends.get_mut(&id)?;
        let (_, arrival) = end.arrivals.pop_front()?;
        let (index, wire) = (end.index, end.wire);
        if let Arrival::Event(Event::Closed(_)) = arrival {
            self.ends.remove(&id);
        }
        Some((id, index, wire, arrival))
    }
}
