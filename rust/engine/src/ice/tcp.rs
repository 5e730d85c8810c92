//! The streams of TCP candidates (RFC 6544): which pair each of them carries.
//!
//! An active candidate has no address of its own before it connects: its line says port 9 (section 4.5). Towards the
//! agent its port is a number for the generation, so that a restart to the same peer gets a stream of its own. A
//! connection that came in is a pair by itself: its address is that of the passive candidate, and the peer's is new.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use crate::lines;
use crate::transmit::{Datagram, Protocol, Route, Wire, WireTransport};
use crate::wire::{WireEvent, WireKey, WireOrder};

/// Streams of one transport, those that came in with them; with more, the pairs of the rest do not work.
const MAX_STREAMS: usize = 64;
/// Connections among them that came in and of which no generation has heard: strangers, perhaps.
const MAX_UNCLAIMED: usize = 16;
/// Checks that wait until the stream of their pair is open; the oldest give way.
const MAX_HELD: usize = 4;
/// The ports that active candidates have towards their agents.
const ACTIVE_PORTS: u32 = 1000;

enum State {
    Opening {
        held: VecDeque<Datagram>,
    },
    Open(Wire),
    /// Not made, or ended. It is not tried again: an ICE restart does that.
    Over,
}

struct Link {
    key: WireKey,
    route: Route,
    /// None: a connection that came in, and of which no generation has heard.
    generation: Option<u32>,
    state: State,
}

/// All streams of one transport's candidates.
#[derive(Default)]
pub(super) struct Links {
    links: Vec<Link>,
    next_key: u32,
    orders: VecDeque<WireOrder>,
    ready: VecDeque<Datagram>,
}

/// The address of an active candidate, as its agent has it.
pub(super) fn active_address(ip: IpAddr, generation: u32) -> SocketAddr {
    SocketAddr::new(ip, (generation % ACTIVE_PORTS) as u16 + 1)
}

impl Links {
    /// Whether the local address of a route is that of an active candidate of this generation.
    fn is_active(route: Route, generation: u32) -> bool {
        route.local == active_address(route.local.ip(), generation)
    }

    /// A datagram of this generation leaves. None: it waits for its stream, which is ordered now, or it is lost.
    pub fn send(&mut self, generation: u32, datagram: Datagram) -> Option<Datagram> {
        if datagram.route.protocol == Protocol::Udp {
            return Some(datagram);
        }
        let route = datagram.route;
        match self.links.iter_mut().find(|link| link.route == route) {
            Some(Link { state: State::Open(_), .. }) => Some(datagram),
            Some(Link { state: State::Opening { held }, .. }) => {
                if held.len() == MAX_HELD {
                    held.pop_front();
                }
                held.push_back(datagram);
                None
            }
            Some(Link { state: State::Over, .. }) => None,
            None => {
                if Links::is_active(route, generation) && self.links.len() < MAX_STREAMS {
                    self.open(generation, datagram);
                }
                None
            }
        }
    }

    fn open(&mut self, generation: u32, datagram: Datagram) {
        let route = datagram.route;
        self.next_key += 1;
        let key = WireKey::Ice(self.next_key);
        log::debug!(target: lines::ICE, "> connect from {} to {} (TCP)", route.local.ip(), route.remote);
        let (transport, local) = (WireTransport::Tcp, route.local.ip());
        let order = WireOrder::Open { key, transport, local, remote: route.remote, name: None };
        self.orders.push_back(order);
        let state = State::Opening { held: VecDeque::from([datagram]) };
        self.links.push(Link { key, route, generation: Some(generation), state });
    }

    pub fn handle_wire(&mut self, key: WireKey, event: WireEvent) {
        let known = self.links.iter().position(|link| link.key == key);
        match (known, event) {
            (Some(at), WireEvent::Open { wire }) => {
                let before = std::mem::replace(&mut self.links[at].state, State::Open(wire));
                if let State::Opening { held } = before {
                    self.ready.extend(held);
                }
            }
            (Some(at), WireEvent::Closed { text }) => {
                let link = &mut self.links[at];
                log::debug!(target: lines::ICE, "! TCP to {}: {text}", link.route.remote);
                link.state = State::Over;
                if let WireKey::Accepted(_) = key {
                    self.links.remove(at); // its address will not come again
                }
            }
            (None, WireEvent::Open { wire }) if matches!(key, WireKey::Accepted(_)) => {
                self.accept(key, wire);
            }
            (None, _) => {}
        }
    }

    /// The oldest stranger gives way to a new one.
    fn accept(&mut self, key: WireKey, wire: Wire) {
        let mut strangers = (0..self.links.len()).filter(|at| self.links[*at].generation.is_none());
        let oldest = strangers.next();
        if strangers.count() + 1 >= MAX_UNCLAIMED
            && let Some(oldest) = oldest
        {
            let link = self.links.remove(oldest);
            self.orders.push_back(WireOrder::Close { key: link.key });
        }
        if self.links.len() >= MAX_STREAMS {
            self.orders.push_back(WireOrder::Close { key });
            return;
        }
        let (route, state) = (wire.route(), State::Open(wire));
        self.links.push(Link { key, route, generation: None, state });
    }

    /// A generation has taken a check that came on this route: the stream is over when the generation is.
    pub fn claim(&mut self, route: Route, generation: u32) {
        if route.protocol == Protocol::Tcp
            && let Some(link) = self.links.iter_mut().find(|link| link.route == route)
        {
            link.generation.get_or_insert(generation);
        }
    }

    /// Close the streams of generations that are there no longer.
    pub fn retain(&mut self, is_there: impl Fn(u32) -> bool) {
        if self.links.is_empty() {
            return;
        }
        let orders = &mut self.orders;
        self.links.retain(|link| {
            let stays = link.generation.is_none_or(&is_there);
            if !stays && !matches!(link.state, State::Over) {
                orders.push_back(WireOrder::Close { key: link.key });
            }
            stays
        });
    }

    /// The route of datagrams that come in on this wire.
    pub fn route_of(&self, wire: Wire) -> Route {
        if wire.transport == WireTransport::Udp {
            return wire.route();
        }
        let is_it = |link: &&Link| matches!(link.state, State::Open(known) if known == wire);
        self.links.iter().find(is_it).map_or_else(|| wire.route(), |link| link.route)
    }

    /// The wire of a route. None: its stream is over.
    pub fn wire_of(&self, route: Route) -> Option<Wire> {
        if route.protocol == Protocol::Udp {
            return Some(route.direct());
        }
        self.links.iter().find(|link| link.route == route).and_then(|link| match link.state {
            State::Open(wire) => Some(wire),
            _ => None,
        })
    }

    pub fn poll_order(&mut self) -> Option<WireOrder> {
        self.orders.pop_front()
    }

    /// A datagram whose stream has come to be.
    pub fn poll_transmit(&mut self) -> Option<Datagram> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn check(generation: u32, number: u8) -> Datagram {
        let local = active_address(address("192.0.2.7:0").ip(), generation);
        let route = Route { protocol: Protocol::Tcp, local, remote: address("198.51.100.1:443") };
        Datagram { route, bytes: vec![number] }
    }

    fn wire(port: u16) -> Wire {
        let local = SocketAddr::new(address("192.0.2.7:0").ip(), port);
        Wire { transport: WireTransport::Tcp, local, remote: address("198.51.100.1:443") }
    }

    fn ordered(links: &mut Links) -> WireKey {
        match links.poll_order() {
            Some(WireOrder::Open { key, transport: WireTransport::Tcp, local, remote, name: None }) => {
                assert_eq!((local, remote), (wire(0).local.ip(), wire(0).remote));
                key
            }
            other => panic!("{other:?}"),
        }
    }

    fn ready(links: &mut Links) -> Vec<u8> {
        std::iter::from_fn(|| links.poll_transmit()).map(|datagram| datagram.bytes[0]).collect()
    }

    #[test]
    fn a_check_of_an_active_candidate_waits_for_its_stream() {
        let mut links = Links::default();
        for number in 1..=6 {
            assert!(links.send(1, check(1, number)).is_none());
        }
        let key = ordered(&mut links);
        assert_eq!(links.poll_order(), None, "one stream for all of them");
        assert_eq!(links.wire_of(check(1, 0).route), None);
        links.handle_wire(key, WireEvent::Open { wire: wire(40_000) });
        assert_eq!(ready(&mut links), [3, 4, 5, 6], "the oldest gave way");
        assert!(links.send(1, check(1, 7)).is_some());
        assert_eq!(links.wire_of(check(1, 0).route), Some(wire(40_000)));
        assert_eq!(links.route_of(wire(40_000)), check(1, 0).route);
    }

    #[test]
    fn a_stream_that_is_over_is_not_tried_again() {
        let mut links = Links::default();
        links.send(1, check(1, 1));
        let key = ordered(&mut links);
        links.handle_wire(key, WireEvent::Closed { text: "refused".into() });
        assert!(links.send(1, check(1, 2)).is_none());
        assert_eq!(links.poll_order(), None);
        assert_eq!(ready(&mut links), []);
    }

    #[test]
    fn generations_have_streams_of_their_own_and_take_them_with_them() {
        let mut links = Links::default();
        links.send(1, check(1, 1));
        let first = ordered(&mut links);
        links.handle_wire(first, WireEvent::Open { wire: wire(40_000) });
        links.send(2, check(2, 2));
        let second = ordered(&mut links);
        links.handle_wire(second, WireEvent::Open { wire: wire(40_001) });
        let accepted = Wire { remote: address("203.0.113.9:5555"), ..wire(443) };
        links.handle_wire(WireKey::Accepted(9), WireEvent::Open { wire: accepted });
        links.claim(accepted.route(), 1);
        links.retain(|generation| generation == 2);
        let closed = [WireOrder::Close { key: first }, WireOrder::Close { key: WireKey::Accepted(9) }];
        assert_eq!(std::iter::from_fn(|| links.poll_order()).collect::<Vec<_>>(), closed);
        assert_eq!(links.route_of(wire(40_001)), check(2, 0).route);
        assert_eq!(links.wire_of(check(1, 0).route), None);
    }

    #[test]
    fn a_passive_candidate_opens_nothing_and_many_connections_are_bounded() {
        let mut links = Links::default();
        let passive = Route { local: address("192.0.2.7:4430"), ..check(1, 0).route };
        assert!(links.send(1, Datagram { route: passive, bytes: vec![0] }).is_none());
        assert_eq!(links.poll_order(), None);
        let come = |links: &mut Links, number: u16| {
            let remote = SocketAddr::new(address("203.0.113.9:0").ip(), 2000 + number);
            let wire = Wire { remote, ..wire(4430) };
            links.handle_wire(WireKey::Accepted(number.into()), WireEvent::Open { wire });
            wire.route()
        };
        for number in 0..1000 {
            come(&mut links, number);
        }
        assert_eq!(links.links.len(), MAX_UNCLAIMED);
        let closed: Vec<WireOrder> = std::iter::from_fn(|| links.poll_order()).collect();
        assert_eq!(closed[0], WireOrder::Close { key: WireKey::Accepted(0) }, "the oldest gives way");
        for number in 1000..2000 {
            let route = come(&mut links, number);
            links.claim(route, 1);
        }
        assert_eq!(links.links.len(), MAX_STREAMS);
    }
}
