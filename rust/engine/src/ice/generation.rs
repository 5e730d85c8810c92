//! One ICE generation: an agent of the crate `is`, its candidates and its gathering.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use is::stun::StunPacket;
use is::{Candidate, IceAgent, IceAgentEvent, IceConnectionState, Protocol};

use super::candidate::{self, LocalCandidate, RemoteCandidate, UsableCandidate};
use super::credentials::{Credentials, HMAC};
use super::event::IceEvent;
use super::gather::{Gathered, Gatherer, TransactionId};
use super::role::Role;
use super::state::Pairs;
use crate::lines;
use crate::transmit::{Datagram, Route};

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
    agent: IceAgent,
    role: Role,
    gatherer: Gatherer,
    locals: Vec<LocalCandidate>,
    remotes: Vec<(SocketAddr, String)>,
    /// A candidate of the peer is known, if only a name.
    has_candidate: bool,
    hosts_done: bool,
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
            agent,
            role,
            gatherer: Gatherer::default(),
            locals: Vec::new(),
            remotes: Vec::new(),
            has_candidate: false,
            hosts_done: false,
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

    pub fn add_host(&mut self, address: SocketAddr) {
        if let Ok(candidate) = Candidate::host(address, Protocol::Udp) {
            self.add_local(candidate, address, None, None);
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
        let bases: Vec<SocketAddr> = self.locals.iter().map(|local| local.base).collect();
        self.gatherer.handle_resolved(now, url, addresses, &bases, transaction);
        self.take_gathered();
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
    pub fn add_candidate(&mut self, candidate: Option<RemoteCandidate>) -> bool {
        match candidate {
            None => {
                self.remote_done = true;
                true
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
        if !for_us || !has_room || !self.agent.handle_packet(now, packet) {
            return false;
        }
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
                let route = Route { local: transmit.source, remote: transmit.destination };
                self.out.push_back(Datagram { route, bytes: transmit.contents.to_vec() });
            }
        }
        self.next_check = if asks { self.agent.poll_timeout() } else { None };
        self.role = Role::of(self.agent.controlling());
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { source, destination, .. } = event {
                self.chosen = Some(Route { local: source, remote: destination });
            }
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.gatherer.poll_timeout(), self.retires, self.next_check].into_iter().flatten().min()
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

    /// Both sides have sent their last candidate.
    pub fn all_known(&self) -> bool {
        self.gathering_done && self.remote_done
    }

    pub fn has_local(&self) -> bool {
        !self.locals.is_empty()
    }

    pub fn accepts(&self, remote: SocketAddr) -> bool {
        self.agent.has_viable_remote_candidate(remote)
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
            ours.map_or_else(|| candidate::reflexive_line(route.local), |known| known.line.clone()),
            theirs.map_or_else(|| candidate::reflexive_line(route.remote), |(_, line)| line.clone()),
        )
    }

    /// Answers to the checks of the agent on the pair that it chose.
    pub fn answers(&self) -> u64 {
        self.agent.nominated_pair_responses_received().unwrap_or(0)
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
        if self.hosts_done && self.gatherer.is_done() {
            self.gathering_done = true;
            self.events.push_back(IceEvent::Gathering { generation: self.number, complete: true });
        }
    }

    fn take_gathered(&mut self) {
        while let Some(gathered) = self.gatherer.poll_event() {
            match gathered {
                Gathered::Reflexive { base, mapped, server, url } => {
                    if let Ok(candidate) = Candidate::server_reflexive(mapped, base, Protocol::Udp) {
                        self.add_local(candidate, base, Some(server), Some(url));
                    }
                }
                Gathered::Error { local, url, code, text } => {
                    let generation = self.number;
                    self.events.push_back(IceEvent::CandidateError { generation, local, url, code, text });
                }
            }
        }
    }

    /// Announce a candidate, unless it is redundant with one that is known (RFC 8445 section 5.1.3).
    fn add_local(
        &mut self,
        candidate: Candidate,
        base: SocketAddr,
        server: Option<IpAddr>,
        url: Option<Arc<str>>,
    ) {
        let Some(added) = self.agent.add_local_candidate(candidate) else { return };
        let line = candidate::line(added, base, server);
        self.locals.push(LocalCandidate { base, line: line.clone() });
        self.events.push_back(IceEvent::Candidate { generation: self.number, line, url });
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
