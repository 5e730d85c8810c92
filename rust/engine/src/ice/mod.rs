//! ICE: generations of candidates, the selected pair, its consent, and the state that W3C knows (RFC 8445, RFC 8838,
//! RFC 7675).
//!
//! An ICE restart is a new [`Generation`] beside the old one, whose pair carries the traffic until the new one has
//! chosen (closing rule 69). A rollback forgets the new one.

pub mod candidate;
pub mod consent;
mod credentials;
mod event;
pub mod gather;
mod generation;
mod names;
mod pairs;
mod role;
pub mod state;
mod tcp;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use is::stun::{StunMessage, StunPacket};

use crate::lines;
use crate::random::Random;
use crate::traffic::Traffic;
use crate::transmit::{Datagram, Protocol, Route, Wire};
use crate::turn::Relayed;
use crate::wire::{WireEvent, WireKey, WireOrder};
use candidate::{Outside, RemoteCandidate, TcpType};
use consent::{Asker, Consent, ConsentCounts, Liveness, Timing};
pub use credentials::Credentials;
pub use event::IceEvent;
use generation::Generation;
pub use pairs::PairCounts;
pub use role::Role;
pub use state::IceState;
use state::{Age, Facts, Pairs};

/// How long triggered checks are still made after the last pair was checked (RFC 8445 section 8.3.1): until then ICE is
/// connected, thereafter it is completed.
const COMPLETED_AFTER: Duration = Duration::from_secs(3);
/// A description may restart ICE as often as it likes; more than these are not kept beside each other.
const MAX_GENERATIONS: usize = 8;

/// The ufrag of the agent that a check is for. None: it is no check.
pub fn wanted_ufrag(datagram: &[u8]) -> Option<String> {
    let message = StunMessage::parse(datagram).ok()?;
    let (ufrag, _) = message.is_binding_request().then(|| message.split_username()).flatten()?;
    Some(ufrag.to_owned())
}

/// Counters of dropped and skipped input.
#[derive(Clone, Copy, Debug, Default)]
pub struct IceDrops {
    /// STUN that is malformed, not for us, or fails its integrity check.
    pub stun: u64,
    /// Candidates that are not used here: TCP, names that were not found, a second component.
    pub candidate: u64,
}

/// A candidate pair on which something has passed.
#[derive(Clone, Debug)]
pub struct PairStats {
    pub generation: u32,
    /// Candidate lines.
    pub local: String,
    pub remote: String,
    pub state: &'static str,
    /// The checks of the ICE agents.
    pub counts: PairCounts,
    /// More of the pair that carries the traffic.
    pub selected: Option<Selected>,
}

#[derive(Clone, Debug)]
pub struct Selected {
    pub traffic: Traffic,
    /// Our own checks of it: see [`consent`].
    pub checks: ConsentCounts,
    pub last_response: Instant,
}

/// The selected pair.
struct Path {
    generation: u32,
    consent: Consent,
}

pub struct Ice {
    generations: Vec<Generation>,
    path: Option<Path>,
    timing: Timing,
    tie_breaker: u64,
    random: Random,
    state: IceState,
    /// The time since which no candidate is missing and no pair is left to check.
    checked_since: Option<Instant>,
    links: tcp::Links,
    out: VecDeque<Datagram>,
    events: VecDeque<IceEvent>,
    /// How many generations have gone: with them their sockets may be of no use.
    pub generations_gone: u64,
    /// How often the selected pair has changed.
    pub pair_changes: u64,
    pub drops: IceDrops,
    /// Checks of the peer, and its answers to our own, whose integrity was right.
    pub authentic_checks: u64,
}

impl Ice {
    pub fn new(timing: Timing, mut random: Random) -> Ice {
        Ice {
            generations: Vec::new(),
            path: None,
            timing,
            tie_breaker: u64::from_be_bytes(random.bytes()),
            random,
            state: IceState::New,
            checked_since: None,
            links: tcp::Links::default(),
            out: VecDeque::new(),
            events: VecDeque::new(),
            generations_gone: 0,
            pair_changes: 0,
            drops: IceDrops::default(),
            authentic_checks: 0,
        }
    }

    // --- commands ---------------------------------------------------------------------------------------------------

    /// Begin a generation; its candidates follow by [`Ice::add_host`].
    pub fn start_generation(&mut self, now: Instant, number: u32, local: Credentials, role: Role) {
        self.keep_generations(|generation| generation.number != number);
        self.links.retain(|other| other != number);
        if self.generations.len() == MAX_GENERATIONS {
            let carrying = self.path.as_ref().map(|path| path.generation);
            let oldest = self.generations.iter().position(|generation| Some(generation.number) != carrying);
            self.generations.remove(oldest.unwrap_or(0));
            self.generations_gone += 1;
        }
        let mut generation = Generation::new(now, number, local, role, self.tie_breaker);
        while let Some(event) = generation.poll_event() {
            self.events.push_back(event);
        }
        self.generations.push(generation);
        self.generations.sort_by_key(|generation| generation.number);
        log::debug!(target: lines::ICE, "= generation {number} begins, {}", role.name());
    }

    /// Set the role of a generation that started before the offerer was known. Its peer is not known yet.
    pub fn set_role(&mut self, number: u32, role: Role) {
        if let Some(generation) = self.find(number) {
            generation.set_role(role);
        }
    }

    /// Show this name in place of the host address, in all candidates of the generation. It comes before
    /// [`Ice::add_host`].
    pub fn hide_address(&mut self, number: u32, ip: IpAddr, name: Arc<str>) {
        if let Some(generation) = self.find(number) {
            generation.hide(ip, name);
        }
    }

    /// A socket was bound to this address.
    pub fn add_host(&mut self, now: Instant, number: u32, address: SocketAddr) {
        let Some(generation) = self.find(number) else { return };
        generation.add_host(address);
        self.pump(now);
    }

    pub fn add_tcp(&mut self, now: Instant, number: u32, ip: IpAddr) {
        let Some(generation) = self.find(number) else { return };
        generation.add_tcp(tcp::active_address(ip, number), TcpType::Active);
        self.pump(now);
    }

    pub fn add_tcp_passive(&mut self, now: Instant, number: u32, address: SocketAddr) {
        let Some(generation) = self.find(number) else { return };
        generation.add_tcp(address, TcpType::Passive);
        self.pump(now);
    }

    /// The same, behind a 1:1 NAT.
    pub fn add_host_behind(&mut self, now: Instant, number: u32, address: SocketAddr, outside: Outside) {
        let Some(generation) = self.find(number) else { return };
        generation.add_host_behind(address, outside);
        self.pump(now);
    }

    /// All sockets are bound, and all servers named by [`Ice::expect_server`].
    pub fn hosts_done(&mut self, now: Instant, number: u32) {
        if let Some(generation) = self.find(number) {
            generation.hosts_done();
        }
        self.pump(now);
    }

    /// The address of this server is being looked up.
    pub fn expect_server(&mut self, now: Instant, number: u32, url: Arc<str>) {
        if let Some(generation) = self.find(number) {
            generation.expect_server(now, url);
        }
    }

    pub fn server_resolved(
        &mut self,
        now: Instant,
        number: u32,
        url: &str,
        addresses: Result<Vec<SocketAddr>, String>,
    ) {
        let Ice { generations, random, .. } = self;
        let Some(generation) = generations.iter_mut().find(|one| one.number == number) else { return };
        generation.handle_resolved(now, url, addresses, || random.bytes());
        self.pump(now);
    }

    /// The addresses of this machine from which relays are asked.
    pub fn set_bases(&mut self, number: u32, bases: Vec<IpAddr>) {
        if let Some(generation) = self.find(number) {
            generation.bases = bases;
        }
    }

    pub fn bases(&self, number: u32) -> Vec<IpAddr> {
        let generation = self.generations.iter().find(|generation| generation.number == number);
        generation.map_or_else(Vec::new, |generation| generation.bases.clone())
    }

    /// Relays are asked: gathering waits for [`Ice::relays_settled`]. False: there is no such generation.
    pub fn expect_relays(&mut self, number: u32) -> bool {
        self.find(number).is_some_and(Generation::expect_relays)
    }

    pub fn add_relayed(&mut self, now: Instant, relayed: Relayed) {
        if let Some(generation) = self.find(relayed.generation) {
            generation.add_relayed(relayed);
        }
        self.pump(now);
    }

    pub fn relay_failed(
        &mut self,
        generation: u32,
        local: Option<SocketAddr>,
        url: Arc<str>,
        code: u16,
        text: String,
    ) {
        self.events.push_back(IceEvent::CandidateError { generation, local, url, code, text });
    }

    pub fn relays_settled(&mut self, now: Instant, number: u32) {
        if let Some(generation) = self.find(number) {
            generation.relays_settled();
        }
        self.pump(now);
    }

    pub fn has_generation(&self, number: u32) -> bool {
        self.generations.iter().any(|generation| generation.number == number)
    }

    pub fn set_remote(&mut self, now: Instant, number: u32, remote: Credentials, lite: bool) {
        let Some(generation) = self.find(number) else { return };
        generation.set_remote(now, remote, lite);
        log::debug!(target: lines::ICE, "= generation {number} checks its pairs");
        self.pump(now);
    }

    /// None: end-of-candidates (RFC 8838 section 13).
    pub fn add_candidate(&mut self, now: Instant, number: u32, candidate: Option<RemoteCandidate>) {
        let before = self.path_lines();
        let Some(generation) = self.find(number) else { return };
        let is_used = generation.add_candidate(now, candidate);
        self.drops.candidate += u64::from(!is_used);
        self.tell_name_of_path(before);
        self.pump(now);
    }

    /// The next name to look up; [`Ice::name_found`] may follow.
    pub fn poll_name(&mut self) -> Option<Arc<str>> {
        self.generations.iter_mut().find_map(|generation| generation.names.poll_wanted())
    }

    pub fn name_found(&mut self, now: Instant, name: &str, addresses: &[IpAddr]) {
        let before = self.path_lines();
        for generation in &mut self.generations {
            generation.handle_name(name, addresses);
        }
        self.tell_name_of_path(before);
        self.pump(now);
    }

    /// Roll a restart back.
    pub fn drop_generation(&mut self, now: Instant, number: u32) {
        log::debug!(target: lines::ICE, "x generation {number} is rolled back");
        self.keep_generations(|generation| generation.number != number);
        if self.path.as_ref().is_some_and(|path| path.generation == number) {
            self.path = None;
        }
        self.pump(now);
    }

    /// Check the pair that carries the traffic at once: the network has changed, or this machine has slept. `gone` are
    /// addresses that the machine has no longer.
    pub fn network_changed(&mut self, now: Instant, gone: &[IpAddr]) {
        if let Some(Path { consent, .. }) = &mut self.path {
            consent.check_soon(now);
            let local = consent.route.local.ip();
            if gone.contains(&local) {
                log::debug!(target: lines::ICE, "! {local} has gone, the address of the pair that carries the traffic");
                consent.cut_off();
            }
        }
        self.pump(now);
    }

    // --- datagrams and time -----------------------------------------------------------------------------------------

    pub fn handle_datagram(&mut self, now: Instant, route: Route, datagram: &[u8]) {
        if !self.try_datagram(now, route, datagram) {
            self.drops.stun += 1;
            return;
        }
        self.pump(now);
    }

    fn try_datagram(&mut self, now: Instant, route: Route, datagram: &[u8]) -> bool {
        if self.generations.iter_mut().any(|generation| generation.handle_server(route, datagram)) {
            return true;
        }
        let Ok(message) = StunMessage::parse(datagram) else { return false };
        if self.is_consent_answer(now, route, &message) {
            self.authentic_checks += 1;
            return true;
        }
        let packet = |message| StunPacket {
            proto: candidate::protocol(route.protocol),
            source: route.remote,
            destination: route.local,
            message,
        };
        let mut generations = self.generations.iter_mut().rev();
        let Some(taken) =
            generations.find_map(|one| one.handle_check(now, packet(message)).then_some(one.number))
        else {
            return false;
        };
        self.authentic_checks += 1;
        self.links.claim(route, taken);
        true
    }

    /// One of our own checks of the selected pair was answered.
    fn is_consent_answer(&mut self, now: Instant, route: Route, message: &StunMessage<'_>) -> bool {
        let Some(path) = &mut self.path else { return false };
        let generation = self.generations.iter().find(|generation| generation.number == path.generation);
        let Some(remote) = generation.and_then(|generation| generation.remote.as_ref()) else { return false };
        path.consent.handle_answer(now, route, message, &remote.pwd, &mut self.random)
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.pump(now);
    }

    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let mut next = self.path.as_ref().and_then(|path| path.consent.poll_timeout(now));
        let mut at_latest = |at: Option<Instant>| {
            next = match (next, at) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        };
        let completes = self.state == IceState::Connected && self.path_answers();
        at_latest(self.checked_since.filter(|_| completes).map(|since| since + COMPLETED_AFTER));
        for generation in &self.generations {
            at_latest(generation.poll_timeout());
            if self.path.is_none() || self.is_restarting() {
                let deadline = generation.checking_since().map(|since| since + self.timing.failed_after);
                at_latest(deadline.filter(|at| *at > now));
            }
        }
        next
    }

    pub fn poll_transmit(&mut self) -> Option<Datagram> {
        self.out.pop_front().or_else(|| self.links.poll_transmit())
    }

    // --- streams ----------------------------------------------------------------------------------------------------

    pub fn handle_wire(&mut self, now: Instant, key: WireKey, event: WireEvent) {
        self.links.handle_wire(key, event);
        self.pump(now);
    }

    pub fn poll_order(&mut self) -> Option<WireOrder> {
        self.links.poll_order()
    }

    /// The route of datagrams that come in on this wire, which belongs to no relay.
    #[inline]
    pub fn route_of(&self, wire: Wire) -> Route {
        self.links.route_of(wire)
    }

    /// The wire of a route that needs no relay. None: its stream is over.
    #[inline]
    pub fn wire_of(&self, route: Route) -> Option<Wire> {
        self.links.wire_of(route)
    }

    #[inline]
    pub fn poll_event(&mut self) -> Option<IceEvent> {
        self.events.pop_front()
    }

    // --- questions --------------------------------------------------------------------------------------------------

    pub fn state(&self) -> IceState {
        self.state
    }

    /// Where data goes, while the peer consents.
    #[inline]
    pub fn route(&self) -> Option<Route> {
        self.path.as_ref().map(|path| path.consent.route)
    }

    pub fn may_send(&self, now: Instant) -> bool {
        self.path.as_ref().is_some_and(|path| path.consent.may_send(now))
    }

    /// Whether a generation sends from this socket, or connections for it come in there.
    pub fn uses(&self, protocol: Protocol, local: SocketAddr) -> bool {
        let is_of_path = self.route().is_some_and(|route| (route.protocol, route.local) == (protocol, local));
        is_of_path || self.generations.iter().any(|generation| generation.uses(protocol, local))
    }

    /// Whether the peer answers at present.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.path.as_ref().is_some_and(|path| path.consent.liveness(now) == Liveness::Alive)
    }

    /// True if a packet that is not STUN may come from `remote`: one of the two sides has checked this address.
    #[inline]
    pub fn accepts(&self, remote: SocketAddr) -> bool {
        if self.path.as_ref().is_some_and(|path| path.consent.route.remote == remote) {
            return true;
        }
        self.generations.iter().any(|generation| generation.accepts(remote))
    }

    /// Data that DTLS vouches for came in.
    #[inline]
    pub fn heard(&mut self) {
        if let Some(path) = &mut self.path {
            path.consent.heard();
        }
    }

    pub fn role(&self) -> Option<Role> {
        self.generations.last().map(Generation::role)
    }

    /// All pairs, oldest generation first. `traffic` is that of the selected one, which is counted elsewhere.
    pub fn pair_stats(&self, now: Instant, traffic: Traffic) -> Vec<PairStats> {
        let of = |generation: &Generation| {
            let number = generation.number;
            let path = self.path.as_ref().filter(|path| path.generation == number);
            let stats = generation.accounts.iter().map(|counts| {
                let (local, remote) = generation.lines(counts.route);
                let path = path.filter(|path| path.consent.route == counts.route);
                let selected = path.map(|path| Selected {
                    traffic,
                    checks: path.consent.counts,
                    last_response: path.consent.last_answer(),
                });
                let state = if path.is_some() { "succeeded" } else { counts.state(now) };
                PairStats { generation: number, local, remote, state, counts: *counts, selected }
            });
            stats.collect::<Vec<_>>()
        };
        self.generations.iter().flat_map(of).collect()
    }

    /// (requests sent, answers received, requests received) of the agents' checks.
    pub fn check_counts(&self) -> (u64, u64, u64) {
        let counts = self.generations.iter().map(Generation::check_counts);
        counts.fold((0, 0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2))
    }

    // --- turning the wheels -----------------------------------------------------------------------------------------

    /// Let every generation handle its timeouts, then look for changes.
    fn pump(&mut self, now: Instant) {
        self.keep_generations(|generation| !generation.has_retired(now));
        let generations = &self.generations;
        self.links.retain(|number| generations.iter().any(|generation| generation.number == number));
        for at in 0..self.generations.len() {
            self.pump_generation(now, at);
        }
        self.pump_consent(now);
        self.update_state(now);
    }

    fn keep_generations(&mut self, is_kept: impl Fn(&Generation) -> bool) {
        let before = self.generations.len();
        self.generations.retain(is_kept);
        self.generations_gone += (before - self.generations.len()) as u64;
    }

    fn pump_generation(&mut self, now: Instant, at: usize) {
        let is_newest = at + 1 == self.generations.len();
        let consents = self.consents(now, self.generations[at].number);
        let generation = &mut self.generations[at];
        let unfound = generation.names.expire(now);
        if unfound > 0 {
            log::debug!(target: lines::ICE, "! {unfound} candidates are not used: their names were not found");
            self.drops.candidate += unfound as u64;
        }
        let role = generation.role();
        generation.handle_timeout(now, consents);
        while let Some(datagram) = generation.poll_transmit() {
            self.out.extend(self.links.send(generation.number, datagram));
        }
        while let Some(event) = generation.poll_event() {
            self.events.push_back(event);
        }
        if is_newest && generation.role() != role {
            log::debug!(target: lines::ICE, "= {} after a conflict of roles", generation.role().name());
            self.events.push_back(IceEvent::Role(generation.role()));
        }
        let number = generation.number;
        if let Some(route) = generation.take_chosen() {
            self.choose(now, number, route);
        }
    }

    /// A generation has chosen a pair. It carries the traffic, unless a newer generation does already.
    fn choose(&mut self, now: Instant, number: u32, route: Route) {
        if let Some(path) = &self.path {
            let same = path.consent.route == route;
            if path.generation > number || (path.generation == number && same) {
                return;
            }
        }
        for generation in self.generations.iter_mut().filter(|generation| generation.number < number) {
            generation.retire(now);
        }
        let Route { local, remote, .. } = route;
        log::debug!(target: lines::ICE, "= pair {local} -> {remote} is nominated, generation {number}");
        let (answered, open) = self.find(number).map_or((None, None), |one| one.accounts.answers(route));
        let consent = Consent::new(now, self.timing, route, self.random.unit()).since(answered, open);
        self.path = Some(Path { generation: number, consent });
        self.checked_since = None;
        self.pair_changes += 1;
        self.tell_path();
    }

    fn tell_path(&mut self) {
        let (Some(path), Some((local, remote))) = (&self.path, self.path_lines()) else { return };
        self.events.push_back(IceEvent::Pair { generation: path.generation, local, remote });
    }

    /// The candidate lines of the pair that carries traffic.
    fn path_lines(&self) -> Option<(String, String)> {
        let path = self.path.as_ref()?;
        let generation = self.generations.iter().find(|generation| generation.number == path.generation)?;
        Some(generation.lines(path.consent.route))
    }

    /// A check can be faster than the signaling: then the peer's candidate was peer-reflexive until its own line came,
    /// whose type and priority it takes (RFC 8838).
    fn tell_name_of_path(&mut self, before: Option<(String, String)>) {
        if before.is_some() && before != self.path_lines() {
            self.tell_path();
        }
    }

    fn pump_consent(&mut self, now: Instant) {
        let Some(path) = self.path.as_mut().filter(|path| path.consent.check_due(now)) else { return };
        let generation = self.generations.iter().find(|generation| generation.number == path.generation);
        let Some((generation, remote)) = generation.and_then(|one| Some((one, one.remote.as_ref()?))) else {
            return;
        };
        let asker = Asker {
            local: &generation.local,
            remote,
            is_controlling: generation.is_controlling(),
            tie_breaker: self.tie_breaker,
        };
        let check = path.consent.poll_transmit(now, &asker);
        self.out.extend(check.and_then(|check| self.links.send(path.generation, check)));
    }

    /// The pair that carries traffic owes no answer.
    fn path_answers(&self) -> bool {
        self.path.as_ref().is_some_and(|path| !path.consent.is_waiting())
    }

    fn update_state(&mut self, now: Instant) {
        let mut facts = self.facts(now);
        let is_checked = facts.all_known
            && facts.pairs == Pairs::Checked
            && facts.path.is_some_and(|(_, age)| age == Age::Current);
        self.checked_since = is_checked.then(|| self.checked_since.unwrap_or(now));
        facts.is_complete =
            self.checked_since.is_some_and(|since| now >= since + COMPLETED_AFTER) && self.path_answers();
        let state = state::derive(&facts, self.state);
        if state != self.state {
            self.log_silence(now, state);
            self.state = state;
            self.events.push_back(IceEvent::State(state));
        }
    }

    /// The evidence of a state that follows from silence.
    fn log_silence(&self, now: Instant, state: IceState) {
        let silence = self.path.as_ref().and_then(|path| path.consent.silence(now));
        match (state, silence) {
            (IceState::Disconnected | IceState::Failed, Some(silence)) => {
                let seconds = silence.as_secs_f64();
                log::debug!(target: lines::ICE, "! {}: no answer for {seconds:.1} s", state.name());
            }
            (IceState::Failed, None) => log::debug!(target: lines::ICE, "! failed: no pair works"),
            _ => {}
        }
    }

    fn facts(&self, now: Instant) -> Facts {
        let negotiated = self.negotiated();
        let path = self.path.as_ref().map(|path| {
            let newer = negotiated.is_some_and(|generation| generation.number > path.generation);
            (path.consent.liveness(now), if newer { Age::Older } else { Age::Current })
        });
        let checking_since = negotiated.and_then(Generation::checking_since);
        Facts {
            path,
            has_remote: negotiated.is_some_and(Generation::has_remote),
            all_known: negotiated.is_some_and(Generation::all_known),
            has_local: negotiated.is_some_and(Generation::has_local),
            pairs: negotiated.map_or(Pairs::None, Generation::pairs),
            is_complete: false, // known when the rest is
            checking_for: checking_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
            failed_after: self.timing.failed_after,
        }
    }

    /// The newest generation whose peer is known.
    fn negotiated(&self) -> Option<&Generation> {
        self.generations.iter().rev().find(|generation| generation.remote.is_some())
    }

    fn is_restarting(&self) -> bool {
        let path = self.path.as_ref().map(|path| path.generation);
        path.is_some() && self.negotiated().map(|generation| generation.number) > path
    }

    /// Whether the peer's consent holds for the pair of this generation, if it has the pair.
    fn consents(&self, now: Instant, number: u32) -> bool {
        self.path.as_ref().is_none_or(|path| path.generation != number || path.consent.may_send(now))
    }

    fn find(&mut self, number: u32) -> Option<&mut Generation> {
        self.generations.iter_mut().find(|generation| generation.number == number)
    }
}
