//! TURN (RFC 8656): the relayed addresses of one transport, and the translation between a route, which ICE knows, and
//! the wire that carries its bytes.
//!
//! Each allocation has a wire of its own, so that a restart can have a new one beside the old one on the same server.
//! The hub opens wires and closes them ([`WireOrder`]). An allocation is given back by Refresh with a lifetime of 0,
//! until the server confirms it, for at most 1.9 s.
//!
//! Everything that a server says is bounded: its words, its detours, the time until it has given an address.

mod allocation;
mod message;
mod peers;
mod request;

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::random::Random;
use crate::transmit::{Head, Path, Protocol, Route, Wire, WireTransport};
use crate::wire::{WireEvent, WireKey, WireOrder};
use allocation::{Allocation, End, Phase, Received};
use peers::Way;

/// W3C RTCPeerConnectionIceErrorEvent: the server was not reached.
const UNREACHABLE: u16 = 701;
/// The most of one transport, those that are being given back among them.
const MAX_ALLOCATIONS: usize = 32;
/// As in the gathering of STUN.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A TURN server, as one URL names it, with the credentials of its user.
#[derive(Debug, PartialEq, Eq)]
pub struct Server {
    pub url: Arc<str>,
    /// The name or address in the URL; its certificate must be for it.
    pub host: String,
    pub transport: WireTransport,
    pub username: String,
    pub credential: Credential,
}

/// A password. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(pub String);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

impl Server {
    /// W3C RTCIceServerTransportProtocol: the protocol between this side and the server.
    pub fn protocol(&self) -> &'static str {
        match self.transport {
            WireTransport::Udp => "udp",
            WireTransport::Tcp => "tcp",
            WireTransport::Tls => "tls",
        }
    }
}

/// An address of a server that is relayed to this side.
#[derive(Debug)]
pub struct Relayed {
    pub generation: u32,
    pub address: SocketAddr,
    /// The socket of this side.
    pub base: SocketAddr,
    /// The address of that socket as the server sees it.
    pub mapped: Option<SocketAddr>,
    pub server: Arc<Server>,
    pub server_ip: IpAddr,
}

#[derive(Debug)]
pub enum RelayEvent {
    Relayed(Box<Relayed>),
    Error {
        generation: u32,
        local: Option<SocketAddr>,
        url: Arc<str>,
        code: u16,
        text: String,
    },
    /// Nothing more comes for this generation.
    Settled {
        generation: u32,
    },
}

/// The output of allocations.
struct Out {
    datagrams: VecDeque<(Wire, Vec<u8>)>,
    events: VecDeque<RelayEvent>,
    orders: VecDeque<WireOrder>,
    random: Random,
    last_key: u32,
}

impl Out {
    fn next_key(&mut self) -> u32 {
        self.last_key += 1;
        self.last_key
    }

    fn error(&mut self, allocation: &Allocation, code: u16, text: String) {
        let local = allocation.wire().map(|wire| wire.local);
        let (generation, url) = (allocation.generation, allocation.server.url.clone());
        self.events.push_back(RelayEvent::Error { generation, local, url, code, text });
    }
}

struct Resolving {
    generation: u32,
    server: Arc<Server>,
    deadline: Instant,
}

/// A datagram that came in, as ICE and DTLS see it.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival<'a> {
    /// The datagram is not from a TURN server.
    Direct,
    Relayed(Route, &'a [u8]),
    /// A message for the relays themselves.
    Handled,
    Dropped,
}

/// How a datagram of a route leaves.
pub(crate) enum Leave {
    Now(Path),
    /// The server is asked for a permission first: [`Relays::hold`] it.
    Later,
    /// The relay is gone, or does not want it.
    Never,
}

/// All allocations of one transport.
pub struct Relays {
    allocations: Vec<Allocation>,
    resolving: Vec<Resolving>,
    gathering: Vec<u32>,
    out: Out,
    /// Messages of servers that were malformed, forged, repeated or not asked for.
    pub dropped: u64,
    /// Allocations that no server has confirmed to be gone.
    given_up: usize,
}

impl Relays {
    pub fn new(random: Random) -> Relays {
        let (datagrams, events, orders) = Default::default();
        Relays {
            allocations: Vec::new(),
            resolving: Vec::new(),
            gathering: Vec::new(),
            out: Out { datagrams, events, orders, random, last_key: 0 },
            dropped: 0,
            given_up: 0,
        }
    }

    // --- commands ---------------------------------------------------------------------------------------------------

    /// The address of this server is being looked up.
    pub fn expect(&mut self, now: Instant, generation: u32, server: Arc<Server>) {
        self.resolving.push(Resolving { generation, server, deadline: now + RESOLVE_TIMEOUT });
        if !self.gathering.contains(&generation) {
            self.gathering.push(generation);
        }
    }

    /// Set the addresses of a server, or the error of its lookup. From each address of this side, one address of the
    /// same family is asked.
    pub fn handle_resolved(
        &mut self,
        now: Instant,
        generation: u32,
        server: &Arc<Server>,
        addresses: Result<Vec<SocketAddr>, String>,
        bases: &[IpAddr],
    ) {
        let is_it = |one: &Resolving| one.generation == generation && Arc::ptr_eq(&one.server, server);
        let Some(at) = self.resolving.iter().position(is_it) else { return };
        let server = self.resolving.swap_remove(at).server;
        let addresses = addresses.unwrap_or_else(|text| {
            self.error(generation, &server, text);
            Vec::new()
        });
        let mut asked = addresses.is_empty();
        for &base in bases {
            let Some(&to) = addresses.iter().find(|to| to.is_ipv4() == base.is_ipv4()) else { continue };
            asked = true;
            if self.allocations.len() == MAX_ALLOCATIONS {
                let text =
                    format!("{MAX_ALLOCATIONS} allocations are there already, and no further one is made");
                self.error(generation, &server, text);
                break;
            }
            let made = Allocation::new(now, generation, server.clone(), (base, to), &mut self.out);
            self.allocations.push(made);
        }
        if !asked {
            let text = "no address of this machine is of the same family as those of the server".to_owned();
            self.error(generation, &server, text);
        }
        self.settle();
    }

    fn error(&mut self, generation: u32, server: &Server, text: String) {
        let url = server.url.clone();
        self.out.events.push_back(RelayEvent::Error {
            generation,
            local: None,
            url,
            code: UNREACHABLE,
            text,
        });
    }

    /// The hub has opened a wire, or could not, or it is over.
    pub fn handle_wire(&mut self, now: Instant, key: u32, event: WireEvent) {
        if let Some(allocation) = self.allocations.iter_mut().find(|one| one.key == key) {
            allocation.handle_wire(now, event, &mut self.out);
        }
        self.settle();
    }

    /// This route carries the traffic: its peer gets a channel.
    pub fn bind(&mut self, now: Instant, route: Route) {
        let Relays { allocations, out, .. } = self;
        if let Some(allocation) = find(allocations, route) {
            allocation.bind(now, route.remote, out);
        }
    }

    /// Give back what belongs to generations that are not there any longer.
    pub fn keep(&mut self, now: Instant, is_there: impl Fn(u32) -> bool) {
        self.resolving.retain(|one| is_there(one.generation));
        for allocation in self.allocations.iter_mut().filter(|one| !is_there(one.generation)) {
            allocation.release(now, &mut self.out);
        }
        self.settle();
    }

    // --- datagrams --------------------------------------------------------------------------------------------------

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.allocations.is_empty() && self.resolving.is_empty()
    }

    pub fn handle_datagram<'a>(&mut self, now: Instant, wire: Wire, datagram: &'a [u8]) -> Arrival<'a> {
        let Relays { allocations, out, dropped, .. } = self;
        let Some(allocation) = allocations.iter_mut().find(|one| one.wire() == Some(wire)) else {
            return Arrival::Direct;
        };
        let relayed = allocation.relayed();
        match (allocation.handle_datagram(now, datagram, out), relayed) {
            (Received::Data(peer, data), Some(relayed)) => {
                return Arrival::Relayed(Route::udp(relayed, peer), data);
            }
            (Received::Dropped, _) => {
                *dropped += 1;
                return Arrival::Dropped;
            }
            _ => {}
        }
        self.settle();
        Arrival::Handled
    }

    /// How a datagram of this route leaves; None: it needs no relay.
    pub(crate) fn leave(&mut self, now: Instant, route: Route) -> Option<Leave> {
        let Relays { allocations, out, .. } = self;
        let allocation = find(allocations, route)?;
        let Some(wire) = allocation.wire() else { return Some(Leave::Never) };
        let head = match allocation.way(now, route.remote, out) {
            Way::Later => return Some(Leave::Later),
            Way::Never => return Some(Leave::Never),
            Way::Channel(number) => Head::Channel(number),
            Way::Indication => Head::Indication(message::send_head(route.remote, out.random.bytes())),
        };
        Some(Leave::Now(Path { route, wire, head }))
    }

    pub fn hold(&mut self, route: Route, bytes: Vec<u8>) {
        if let Some(allocation) = find(&mut self.allocations, route) {
            allocation.hold(route.remote, bytes);
        }
    }

    /// Send a datagram before all that follows.
    pub(crate) fn put(&mut self, path: &Path, bytes: &[u8]) {
        self.out.datagrams.push_back((path.wire, path.head.around(bytes)));
    }

    // --- time and output --------------------------------------------------------------------------------------------

    pub fn poll_timeout(&self) -> Option<Instant> {
        let resolving = self.resolving.iter().map(|one| one.deadline);
        self.allocations.iter().filter_map(Allocation::poll_timeout).chain(resolving).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let late = self.resolving.extract_if(.., |one| now >= one.deadline).collect::<Vec<_>>();
        for Resolving { generation, server, .. } in late {
            self.error(generation, &server, "the name could not be looked up in time".to_owned());
        }
        for allocation in &mut self.allocations {
            if allocation.poll_timeout().is_some_and(|at| at <= now) {
                allocation.handle_timeout(now, &mut self.out);
            }
        }
        self.settle();
    }

    /// A message of the relays themselves.
    pub fn poll_transmit(&mut self) -> Option<(Wire, Vec<u8>)> {
        self.out.datagrams.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<RelayEvent> {
        self.out.events.pop_front()
    }

    pub fn poll_order(&mut self) -> Option<WireOrder> {
        self.out.orders.pop_front()
    }

    // --- questions --------------------------------------------------------------------------------------------------

    /// Whether the packets of this route go over a server.
    pub fn carries(&self, route: Route) -> bool {
        self.allocations.iter().any(|one| one.relayed() == Some(route.local))
    }

    /// (allocations that a server may hold, those that were given up)
    pub fn counts(&self) -> (usize, usize) {
        let held = self.allocations.iter().filter(|one| one.phase != Phase::Opening).count();
        (held, self.given_up)
    }

    // --- helpers ----------------------------------------------------------------------------------------------------

    /// Let go of the allocations that have ended, and see which generations have all they can have.
    fn settle(&mut self) {
        let Relays { allocations, resolving, gathering, out, given_up, .. } = self;
        allocations.retain(|one| {
            let Phase::Ended(end) = one.phase else { return true };
            *given_up += usize::from(end == End::GivenUp);
            out.orders.push_back(WireOrder::Close { key: WireKey::Turn(one.key) });
            false
        });
        gathering.retain(|&generation| {
            let gathers = allocations.iter().any(|one| one.generation == generation && one.is_gathering())
                || resolving.iter().any(|one| one.generation == generation);
            if !gathers {
                out.events.push_back(RelayEvent::Settled { generation });
            }
            gathers
        });
    }
}

fn find(allocations: &mut [Allocation], route: Route) -> Option<&mut Allocation> {
    let is_it = |one: &&mut Allocation| one.relayed() == Some(route.local);
    allocations.iter_mut().find(is_it).filter(|_| route.protocol == Protocol::Udp)
}

/// A datagram with its head, for one that leaves alone. None: it cannot leave.
fn framed(way: Way, peer: SocketAddr, bytes: &[u8], out: &mut Out) -> Option<Vec<u8>> {
    let head = match way {
        Way::Channel(number) => Head::Channel(number),
        Way::Indication => Head::Indication(message::send_head(peer, out.random.bytes())),
        Way::Later | Way::Never => return None,
    };
    Some(head.around(bytes))
}

#[cfg(test)]
mod tests;
