//! One ICE generation: an agent of the crate `is`, its candidates and its gathering.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use is::stun::StunPacket;
use is::{Candidate, IceAgent, IceAgentEvent, IceConnectionState, Protocol};

use super::candidate::{self, LocalCandidate, Outside, RemoteCandidate, TcpType, Unused, UsableCandidate};
use super::credentials::{Credentials, HMAC};
use super::event::IceEvent;
use super::gather::{Gathered, Gatherer, TransactionId};
use super::names::Names;
use super::pairs::Accounts;
use super::role::Role;
use super::state::Pairs;
use crate::lines;
use crate::transmit::{self, Datagram, Route, WireTransport};
use crate::turn::{Relayed, Server};

/// Between two checks of one generation (RFC 8445 section 14.1: at least 5 ms).
const PACING: Duration = Duration::from_millis(5);
/// RFC 8489's Rc. The pair of an unanswered check is given up after about 13 s.
const MAX_RETRANSMITS: usize = 7;
/// How long a generation that was replaced still answers the peer's checks.
const RETIREMENT: Duration = Duration::from_secs(10);
const MAX_REMOTE_CANDIDATES: usize = 256;

pub(super) struct Generation {
    pub number: u32,
    pub local: Credentials,
    pub remote: Option<Credentials>,
    /// The addresses of this machine from which relays are asked.
    pub bases: Vec<IpAddr>,
    agent: IceAgent,
    role: Role,
    gatherer: Gatherer,
    locals: Vec<LocalCandidate>,
    /// Inside addresses that the peer does not learn, and what it learns in their place.
    outsides: Vec<(IpAddr, IpAddr)>,
    remotes: Vec<(SocketAddr, String)>,
    /// Host addresses that are hidden, and the names for them.
    hidden: Vec<(IpAddr, Arc<str>)>,
    pub names: Names,
    pub accounts: Accounts,
    /// A candidate of the peer is known, if only a name.
    has_candidate: bool,
    hosts_done: bool,
    /// Relays are being asked.
    awaits_relays: bool,
    gathering_done: bool,
    remote_done: bool,
    checking_since: Option<Instant>,
    /// When the agent wants to be called again.
    next_check: Option<Instant>,
    /// Replaced by a newer one: it answers until then, and asks nothing.
    retires: Option<Instant>,
    chosen: Option<Route>,
    out: VecDeque<Datagram>,
    events: VecDeque<IceEvent>,
}

/// Where a local candidate comes from.
struct Origin {
    base: SocketAddr,
    /// raddr and rport.
    related: Option<SocketAddr>,
    /// The server that gave it.
    server: Option<IpAddr>,
    url: Option<Arc<str>>,
    relay_protocol: Option<&'static str>,
}

impl Origin {
    fn host(base: SocketAddr) -> Origin {
        Origin { base, related: None, server: None, url: None, relay_protocol: None }
    }
}

/// Return how much less an address of this server is preferred: each datagram of a stream waits for those before it, and TLS
/// costs more. The crate's preferences of relayed candidates end at 16 383.
fn less_preferred(server: &Server) -> u32 {
    match server.transport {
        WireTransport::Udp => 0,
        WireTransport::Tcp => 5_000,
        WireTransport::Tls => 10_000,
    }
}

fn unspecified(like: SocketAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

impl Generation {
    pub fn new(now: Instant, number: u32, local: Credentials, role: Role, tie_breaker: u64) -> Generation {
        let mut agent = IceAgent::with_hmac(local.clone().into(), &HMAC);
        agent.set_timing_advance(PACING);
        agent.set_max_stun_retransmits(MAX_RETRANSMITS);
        agent.set_control_tie_breaker(tie_breaker);
        agent.set_controlling(role == Role::Controlling);
        agent.handle_timeout(now); // the crate gives no timeout before the first
        Generation {
            number,
            local,
            remote: None,
            bases: Vec::new(),
            agent,
            role,
            gatherer: Gatherer::default(),
            locals: Vec::new(),
            outsides: Vec::new(),
            remotes: Vec::new(),
            hidden: Vec::new(),
            names: Names::default(),
            accounts: Accounts::default(),
            has_candidate: false,
            hosts_done: false,
            awaits_relays: false,
            gathering_done: false,
            remote_done: false,
            checking_since: None,
            next_check: None,
            retires: None,
            chosen: None,
            out: VecDeque::new(),
            events: VecDeque::from([IceEvent::Gathering { generation: number, complete: false }]),
        }
    }

    // --- our side ---------------------------------------------------------------------------------------------------

    pub fn role(&self) -> Role {
        self.role
    }

    pub fn is_controlling(&self) -> bool {
        self.agent.controlling()
    }

    pub fn set_role(&mut self, role: Role) {
        self.role = role;
        self.agent.set_controlling(role == Role::Controlling);
    }

    /// Show this name in place of the address, in the candidates that follow.
    pub fn hide(&mut self, ip: IpAddr, name: Arc<str>) {
        self.hidden.push((ip, name));
    }

    pub fn add_host(&mut self, address: SocketAddr) {
        if let Ok(candidate) = Candidate::host(address, Protocol::Udp) {
            self.add_local(candidate, Origin::host(address));
        }
    }

    /// `address`: for an active one, as the agent has it.
    pub fn add_tcp(&mut self, address: SocketAddr, tcp_type: TcpType) {
        let Ok(candidate) = Candidate::host(address, Protocol::Tcp) else { return };
        let Some(added) = self.agent.add_local_candidate(candidate) else { return };
        let shown =
            self.outsides.iter().find(|(inside, _)| *inside == address.ip()).map(|(_, outside)| *outside);
        let mut line = candidate::tcp_line(added, tcp_type, shown);
        if let Some((_, name)) = self.hidden.iter().find(|(ip, _)| *ip == address.ip()) {
            line = candidate::hidden(added.kind(), address.ip(), &line, name);
        }
        self.publish(LocalCandidate { base: address, line, is_relayed: false }, None, None);
    }

    /// The same for a socket behind a 1:1 NAT.
    pub fn add_host_behind(&mut self, address: SocketAddr, outside: Outside) {
        let Ok(candidate) = Candidate::host(address, Protocol::Udp) else { return };
        let mapped = SocketAddr::new(outside.ip, address.port());
        if !outside.replaces {
            self.add_local(candidate, Origin::host(address));
            if let Ok(candidate) = Candidate::server_reflexive(mapped, address, Protocol::Udp) {
                self.add_local(candidate, Origin { related: Some(address), ..Origin::host(address) });
            }
        } else if let Some(added) = self.agent.add_local_candidate(candidate) {
            // The agent sends from the inside address, and the peer sees the outside one.
            let line = candidate::outside_line(added, mapped);
            self.outsides.push((address.ip(), outside.ip));
            self.publish(LocalCandidate { base: address, line, is_relayed: false }, None, None);
        }
    }

    pub fn expect_server(&mut self, now: Instant, url: Arc<str>) {
        self.gatherer.expect(now, url);
    }

    pub fn handle_resolved(
        &mut self,
        now: Instant,
        url: &str,
        addresses: Result<Vec<SocketAddr>, String>,
        transaction: impl FnMut() -> TransactionId,
    ) {
        let datagrams = self.locals.iter().filter(|local| !local.is_tcp());
        let mut bases: Vec<SocketAddr> = datagrams.map(|local| local.base).collect();
        bases.sort_unstable();
        bases.dedup(); // several candidates may have one base
        self.gatherer.handle_resolved(now, url, addresses, &bases, transaction);
        self.take_gathered();
    }

    pub fn expect_relays(&mut self) -> bool {
        self.awaits_relays = true;
        true
    }

    pub fn relays_settled(&mut self) {
        self.awaits_relays = false;
    }

    pub fn add_relayed(&mut self, relayed: Relayed) {
        let Relayed { address, base, mapped, server, server_ip, .. } = relayed;
        if let Ok(candidate) = Candidate::relayed(address, base, Protocol::Udp) {
            let related = self.related_of_relayed(address, mapped);
            let relay_protocol = Some(server.protocol());
            let below = less_preferred(&server);
            let (server, url) = (Some(server_ip), Some(server.url.clone()));
            self.agent.set_local_preference(move |candidate: &Candidate, same: usize| {
                is::default_local_preference(candidate, same).saturating_sub(below)
            });
            self.add_local(candidate, Origin { base: address, related, server, url, relay_protocol });
            self.agent.set_local_preference(is::default_local_preference);
        }
    }

    /// The mapped address (RFC 8839 section 5.1). A side that shows relayed candidates alone shows no other address, as
    /// browsers do.
    fn related_of_relayed(&self, address: SocketAddr, mapped: Option<SocketAddr>) -> Option<SocketAddr> {
        let shows_others = self.locals.iter().any(|local| !local.is_relayed);
        let nowhere = SocketAddr::new(unspecified(address), 0);
        Some(mapped.filter(|_| shows_others).unwrap_or(nowhere))
    }

    /// All sockets are bound, and all servers named by [`Generation::expect_server`].
    pub fn hosts_done(&mut self) {
        self.hosts_done = true;
    }

    // --- the peer's side --------------------------------------------------------------------------------------------

    pub fn set_remote(&mut self, now: Instant, remote: Credentials, lite: bool) {
        self.agent.set_remote_credentials(remote.clone().into());
        self.remote = Some(remote);
        if lite {
            // RFC 8445 section 6.1.1: a full agent controls a lite one.
            self.agent.set_controlling(true);
        }
        self.checking_since.get_or_insert(now);
    }

    /// None: end-of-candidates (RFC 8838 section 13). False: it is not used here.
    pub fn add_candidate(&mut self, now: Instant, candidate: Option<RemoteCandidate>) -> bool {
        match candidate {
            None => {
                self.remote_done = true;
                true
            }
            // Nothing is missed: it connects to our passive ones.
            Some(RemoteCandidate::Ignored(Unused::Active)) => {
                self.has_candidate = true;
                true
            }
            Some(RemoteCandidate::Named(named)) => {
                self.has_candidate = true;
                self.names.add(now, named)
            }
            Some(RemoteCandidate::Ignored(why)) => {
                log::debug!(target: lines::ICE, "! a candidate is not used: {}", why.name());
                self.has_candidate = true;
                false
            }
            Some(RemoteCandidate::Usable(usable)) => {
                self.has_candidate = true;
                self.add_remote(*usable)
            }
        }
    }

    /// A name was looked up.
    pub fn handle_name(&mut self, name: &str, addresses: &[IpAddr]) {
        for usable in self.names.take_found(name, addresses) {
            self.add_remote(usable);
        }
    }

    /// A newer generation carries the traffic.
    pub fn retire(&mut self, now: Instant) {
        self.retires.get_or_insert(now + RETIREMENT);
    }

    pub fn has_retired(&self, now: Instant) -> bool {
        self.retires.is_some_and(|at| now >= at)
    }

    // --- datagrams and time -----------------------------------------------------------------------------------------

    /// Handle an answer of a server. False: it is something else.
    pub fn handle_server(&mut self, route: Route, datagram: &[u8]) -> bool {
        let is_answer = self.gatherer.handle_datagram(route.local, route.remote, datagram);
        if is_answer {
            self.take_gathered();
        }
        is_answer
    }

    /// A check of the peer, or the answer to one. False: it is not for this generation, or it is forged.
    pub fn handle_check(&mut self, now: Instant, packet: StunPacket<'_>) -> bool {
        // A recorded check can be sent again from as many addresses as one likes.
        let wanted = packet.message.is_binding_request().then(|| packet.message.split_username()).flatten();
        let for_us = wanted.is_none_or(|(ufrag, _)| ufrag == self.local.ufrag);
        let has_room = wanted.is_none() || self.knows_or_has_room(packet.source);
        let route = candidate::route(packet.proto, packet.destination, packet.source);
        let is_request = packet.message.is_binding_request();
        if !for_us || !has_room || !self.agent.handle_packet(now, packet) {
            return false;
        }
        self.accounts.received(now, route, is_request);
        self.has_candidate = true; // peer-reflexive, if nothing else
        true
    }

    /// Do what is due. Without `consent` the pair may not be used at all (RFC 7675 section 5.1).
    pub fn handle_timeout(&mut self, now: Instant, consent: bool) {
        self.gather(now);
        // Without the peer's password there is nothing to check or to answer with.
        let asks = self.remote.is_some() && self.retires.is_none() && consent;
        if asks {
            self.agent.handle_timeout(now);
        }
        while let Some(transmit) = self.agent.poll_transmit() {
            if consent {
                let route = candidate::route(transmit.proto, transmit.source, transmit.destination);
                self.accounts.sent(now, route, &transmit.contents);
                self.out.push_back(Datagram { route, bytes: transmit.contents.to_vec() });
            }
        }
        self.next_check = if asks { self.agent.poll_timeout() } else { None };
        self.role = Role::of(self.agent.controlling());
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { proto, source, destination } = event {
                self.chosen = Some(candidate::route(proto, source, destination));
            }
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let timers = [self.gatherer.poll_timeout(), self.retires, self.next_check, self.names.poll_timeout()];
        timers.into_iter().flatten().min()
    }

    pub fn poll_transmit(&mut self) -> Option<Datagram> {
        self.out.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<IceEvent> {
        self.events.pop_front()
    }

    /// The pair that the agents have agreed on, once.
    pub fn take_chosen(&mut self) -> Option<Route> {
        self.chosen.take()
    }

    // --- questions --------------------------------------------------------------------------------------------------

    pub fn checking_since(&self) -> Option<Instant> {
        self.checking_since
    }

    /// Whether the peer's credentials and a candidate of any type are known.
    pub fn has_remote(&self) -> bool {
        self.has_candidate || self.remote_done
    }

    /// Both sides have sent their last candidate, and no name is being looked up.
    pub fn all_known(&self) -> bool {
        self.gathering_done && self.remote_done && self.names.is_empty()
    }

    pub fn has_local(&self) -> bool {
        !self.locals.is_empty()
    }

    /// Whether a candidate is of this socket.
    pub fn uses(&self, protocol: transmit::Protocol, local: SocketAddr) -> bool {
        let is_tcp = protocol == transmit::Protocol::Tcp;
        self.locals.iter().any(|known| known.base == local && known.is_tcp() == is_tcp)
    }

    /// Whether what is not STUN may come from `remote`: one of the two sides has checked it, and had an answer. The peer
    /// may use such a pair as soon as it has our answer, however long its own takes (RFC 8445 section 12.2).
    pub fn accepts(&self, remote: SocketAddr) -> bool {
        self.agent.has_viable_remote_candidate(remote) || self.accounts.has_answered(remote)
    }

    pub fn pairs(&self) -> Pairs {
        if self.locals.is_empty() || self.agent.remote_candidates().next().is_none() {
            return Pairs::None;
        }
        match self.agent.state() {
            IceConnectionState::Completed => Pairs::Checked,
            IceConnectionState::Disconnected => Pairs::Exhausted,
            _ => Pairs::Open,
        }
    }

    /// The candidate lines of a pair.
    pub fn lines(&self, route: Route) -> (String, String) {
        let ours = self.locals.iter().find(|known| known.base == route.local);
        let theirs = self.remotes.iter().find(|(address, _)| *address == route.remote);
        (
            ours.map_or_else(
                || candidate::reflexive_line(route.protocol, route.local),
                |known| known.line.clone(),
            ),
            theirs.map_or_else(
                || candidate::reflexive_line(route.protocol, route.remote),
                |(_, line)| line.clone(),
            ),
        )
    }

    /// (requests sent, answers received, requests received)
    pub fn check_counts(&self) -> (u64, u64, u64) {
        let stats = self.agent.stats();
        (stats.bind_request_sent, stats.bind_success_recv, stats.bind_request_recv)
    }

    // --- helpers ----------------------------------------------------------------------------------------------------

    fn gather(&mut self, now: Instant) {
        if self.gathering_done {
            return;
        }
        self.gatherer.handle_timeout(now);
        while let Some(datagram) = self.gatherer.poll_transmit() {
            self.out.push_back(datagram);
        }
        self.take_gathered();
        if self.hosts_done && self.gatherer.is_done() && !self.awaits_relays {
            self.gathering_done = true;
            self.events.push_back(IceEvent::Gathering { generation: self.number, complete: true });
        }
    }

    fn take_gathered(&mut self) {
        while let Some(gathered) = self.gatherer.poll_event() {
            match gathered {
                Gathered::Reflexive { base, mapped, server, url } => {
                    if let Ok(candidate) = Candidate::server_reflexive(mapped, base, Protocol::Udp) {
                        let related = Some(base);
                        let (server, url, relay_protocol) = (Some(server), Some(url), None);
                        self.add_local(candidate, Origin { base, related, server, url, relay_protocol });
                    }
                }
                Gathered::Error { local, url, code, text } => {
                    let generation = self.number;
                    let local = local.filter(|local| self.hidden.iter().all(|(ip, _)| *ip != local.ip()));
                    self.events.push_back(IceEvent::CandidateError { generation, local, url, code, text });
                }
            }
        }
    }

    /// Announce a candidate, unless it is redundant with one that is known (RFC 8445 section 5.1.3).
    fn add_local(&mut self, candidate: Candidate, origin: Origin) {
        let Origin { base, related, server, url, relay_protocol } = origin;
        let is_relayed = relay_protocol.is_some();
        let Some(added) = self.agent.add_local_candidate(candidate) else { return };
        let mut line = candidate::line(added, base, related, server);
        let shows = |ip: &IpAddr| *ip == base.ip() || related.is_some_and(|related| related.ip() == *ip);
        if let Some((_, name)) = self.hidden.iter().find(|(ip, _)| shows(ip)) {
            line = candidate::hidden(added.kind(), base.ip(), &line, name);
        }
        self.publish(LocalCandidate { base, line, is_relayed }, url, relay_protocol);
    }

    /// Keep a candidate, and report it.
    fn publish(
        &mut self,
        local: LocalCandidate,
        url: Option<Arc<str>>,
        relay_protocol: Option<&'static str>,
    ) {
        let line = local.line.clone();
        self.locals.push(local);
        self.events.push_back(IceEvent::Candidate { generation: self.number, line, url, relay_protocol });
    }

    fn add_remote(&mut self, usable: UsableCandidate) -> bool {
        if self.remotes.len() >= MAX_REMOTE_CANDIDATES {
            return false;
        }
        self.remotes.push((usable.candidate.addr(), usable.line));
        self.agent.add_remote_candidate(usable.candidate);
        true
    }

    fn knows_or_has_room(&self, remote: SocketAddr) -> bool {
        let mut count = 0;
        let known =
            self.agent.remote_candidates().inspect(|_| count += 1).any(|known| known.addr() == remote);
        known || count < MAX_REMOTE_CANDIDATES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::Credential;

    fn relayed(transport: WireTransport, port: u16) -> Relayed {
        let server = Server {
            url: "turn:t.example".into(),
            host: "t.example".into(),
            transport,
            username: "user".into(),
            credential: Credential("password".into()),
        };
        Relayed {
            generation: 1,
            address: ([198, 51, 100, 1], port).into(),
            base: ([10, 0, 0, 1], port).into(),
            mapped: None,
            server: Arc::new(server),
            server_ip: [192, 0, 2, 1].into(),
        }
    }

    fn priorities(generation: &mut Generation) -> Vec<u32> {
        let of = |event| match event {
            IceEvent::Candidate { line, .. } => line.split(' ').nth(3).and_then(|word| word.parse().ok()),
            _ => None,
        };
        std::iter::from_fn(|| generation.poll_event()).filter_map(of).collect()
    }

    #[test]
    fn an_address_relayed_over_udp_is_preferred_to_one_over_tcp_and_that_to_one_over_tls() {
        let credentials = Credentials { ufrag: "ufrag".into(), pwd: "a password of 22 letters".into() };
        let mut generation = Generation::new(Instant::now(), 1, credentials, Role::Controlling, 7);
        generation.add_host(([10, 0, 0, 1], 1000).into());
        let before = priorities(&mut generation);
        generation.add_relayed(relayed(WireTransport::Tls, 1));
        generation.add_relayed(relayed(WireTransport::Tcp, 2));
        generation.add_relayed(relayed(WireTransport::Udp, 3));
        generation.add_relayed(relayed(WireTransport::Udp, 4));
        let relays = priorities(&mut generation);
        assert!(relays[0] < relays[1] && relays[1] < relays[3] && relays[3] < relays[2], "{relays:?}");
        generation.add_host(([10, 0, 0, 2], 1000).into());
        let after = priorities(&mut generation);
        assert!(relays.iter().all(|relay| *relay < after[0]) && after[0] > before[0] - 1000, "{after:?}");
    }
}
