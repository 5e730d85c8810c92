//! ICE: generations of candidates, the selected pair, its consent, and the state that W3C knows (RFC 8445, RFC 8838,
//! RFC 7675).
//!
//! One agent of the crate `is` per generation. An ICE restart is a new generation beside the old one, whose pair
//! carries the traffic until the new one has chosen (closing rule 69); a rollback forgets the new one.

pub mod candidate;
pub mod consent;
pub mod gather;
pub mod state;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use is::stun::{Class, StunMessage, StunPacket, TransId};
use is::{Candidate, IceAgent, IceAgentEvent, IceConnectionState, IceCreds, Protocol, Sha1HmacProvider};

use crate::lines;
use crate::random::Random;
use crate::stats::{PairStats, Traffic};
use crate::transmit::Datagram;
use candidate::{LocalCandidate, RemoteCandidate, UsableCandidate};
use consent::{Consent, Liveness, Timing};
use gather::{Gathered, Gatherer};
pub use state::IceState;
use state::{Age, Facts, Pairs};

/// Between two checks of one generation (RFC 8445 section 14.1: at least 5 ms).
const PACING: Duration = Duration::from_millis(5);
/// RFC 8489's Rc. The pair of an unanswered check is given up after about 13 s.
const MAX_RETRANSMITS: usize = 7;
/// How long a generation that was replaced still answers the peer's checks.
const RETIREMENT: Duration = Duration::from_secs(10);
/// How long triggered checks are still made after the last pair was checked (RFC 8445 section 8.3.1): until then ICE is
/// connected, thereafter it is completed.
const SETTLING: Duration = Duration::from_secs(3);
/// A description may restart ICE as often as it likes; more than these are not kept beside each other.
const MAX_GENERATIONS: usize = 8;
const MAX_REMOTE_CANDIDATES: usize = 256;
/// PRIORITY of a consent check: that of a peer-reflexive candidate (RFC 8445 section 7.1.1).
const CHECK_PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;
const MAX_STUN: usize = 512;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub ufrag: String,
    pub pwd: String,
}

impl From<Credentials> for IceCreds {
    fn from(credentials: Credentials) -> IceCreds {
        IceCreds { ufrag: credentials.ufrag, pass: credentials.pwd }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Controlling,
    Controlled,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Controlling => "controlling",
            Role::Controlled => "controlled",
        }
    }

    fn of(agent: &IceAgent) -> Role {
        if agent.controlling() { Role::Controlling } else { Role::Controlled }
    }
}

#[derive(Debug)]
pub enum IceEvent {
    Candidate {
        generation: u32,
        line: String,
        url: Option<Arc<str>>,
    },
    CandidateError {
        generation: u32,
        local: Option<SocketAddr>,
        url: Arc<str>,
        code: u16,
        text: String,
    },
    Gathering {
        generation: u32,
        complete: bool,
    },
    State(IceState),
    /// The pair that carries the traffic from now on, as candidate lines.
    Pair {
        generation: u32,
        local: String,
        remote: String,
    },
    /// After a role conflict (RFC 8445 section 7.3.1.1).
    Role(Role),
}

/// What was dropped of what came in, or passed over.
#[derive(Clone, Copy, Debug, Default)]
pub struct IceDrops {
    /// STUN that is malformed, not for us, or fails its integrity check.
    pub stun: u64,
    /// Candidates that are not used here: TCP, names, a second component.
    pub candidate: u64,
}

struct Generation {
    number: u32,
    agent: IceAgent,
    local: Credentials,
    remote: Option<Credentials>,
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
}

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
    /// Since when no candidate is missing and no pair is left to check.
    checked_since: Option<Instant>,
    out: VecDeque<Datagram>,
    events: VecDeque<IceEvent>,
    /// How often the selected pair has changed.
    pub pair_changes: u64,
    pub drops: IceDrops,
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
            out: VecDeque::new(),
            events: VecDeque::new(),
            pair_changes: 0,
            drops: IceDrops::default(),
        }
    }

    // --- commands ---------------------------------------------------------------------------------------------------

    /// Begin a generation; its candidates follow by [`Ice::add_host`].
    pub fn start_generation(&mut self, now: Instant, number: u32, local: Credentials, role: Role) {
        self.generations.retain(|generation| generation.number != number);
        if self.generations.len() == MAX_GENERATIONS {
            let carrying = self.path.as_ref().map(|path| path.generation);
            let oldest = self.generations.iter().position(|generation| Some(generation.number) != carrying);
            self.generations.remove(oldest.unwrap_or(0));
        }
        let mut agent = IceAgent::with_hmac(local.clone().into(), &HMAC);
        agent.set_timing_advance(PACING);
        agent.set_max_stun_retransmits(MAX_RETRANSMITS);
        agent.set_control_tie_breaker(self.tie_breaker);
        agent.set_controlling(role == Role::Controlling);
        agent.handle_timeout(now); // the crate gives no timeout before the first
        self.generations.push(Generation {
            number,
            agent,
            local,
            remote: None,
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
        });
        self.generations.sort_by_key(|generation| generation.number);
        log::debug!(target: lines::ICE, "= generation {number} begins, {}", role.name());
        self.events.push_back(IceEvent::Gathering { generation: number, complete: false });
    }

    /// A generation was begun before it was known who offers. Its peer is not known yet.
    pub fn set_role(&mut self, number: u32, role: Role) {
        if let Some(generation) = self.find(number) {
            generation.role = role;
            generation.agent.set_controlling(role == Role::Controlling);
        }
    }

    /// A socket was bound to this address.
    pub fn add_host(&mut self, now: Instant, number: u32, address: SocketAddr) {
        let Some(generation) = self.find(number) else { return };
        if let Ok(candidate) = Candidate::host(address, Protocol::Udp) {
            let line = generation.add_local(candidate, address, None);
            self.announce(number, line, None);
        }
        self.pump(now);
    }

    /// All sockets are bound, and all servers named by [`Ice::expect_server`].
    pub fn hosts_done(&mut self, now: Instant, number: u32) {
        if let Some(generation) = self.find(number) {
            generation.hosts_done = true;
        }
        self.pump(now);
    }

    /// The address of this server is being looked up.
    pub fn expect_server(&mut self, now: Instant, number: u32, url: Arc<str>) {
        if let Some(generation) = self.find(number) {
            generation.gatherer.expect(now, url);
        }
    }

    pub fn server_resolved(
        &mut self,
        now: Instant,
        number: u32,
        url: &str,
        addresses: Result<Vec<SocketAddr>, String>,
    ) {
        let Some(at) = self.generations.iter().position(|generation| generation.number == number) else {
            return;
        };
        let (generation, random) = (&mut self.generations[at], &mut self.random);
        let bases: Vec<SocketAddr> = generation.locals.iter().map(|local| local.base).collect();
        let mut out = Vec::new();
        generation.gatherer.resolved(now, url, addresses, &bases, || random.bytes(), &mut out);
        self.gathered(number, out);
        self.pump(now);
    }

    pub fn set_remote(&mut self, now: Instant, number: u32, remote: Credentials, lite: bool) {
        let Some(generation) = self.find(number) else { return };
        generation.agent.set_remote_credentials(remote.clone().into());
        generation.remote = Some(remote);
        if lite {
            // RFC 8445 section 6.1.1: a full agent controls a lite one.
            generation.agent.set_controlling(true);
        }
        generation.checking_since.get_or_insert(now);
        log::debug!(target: lines::ICE, "= generation {number} checks its pairs");
        self.pump(now);
    }

    /// None: end-of-candidates (RFC 8838 section 13).
    pub fn add_candidate(&mut self, now: Instant, number: u32, candidate: Option<RemoteCandidate>) {
        let Some(generation) = self.find(number) else { return };
        let mut dropped = false;
        match candidate {
            None => generation.remote_done = true,
            Some(RemoteCandidate::Ignored(why)) => {
                log::debug!(target: lines::ICE, "! a candidate is not used: {}", why.name());
                generation.has_candidate = true;
                dropped = true;
            }
            Some(RemoteCandidate::Usable(usable)) => {
                generation.has_candidate = true;
                dropped = !generation.add_remote(*usable);
            }
        }
        self.drops.candidate += u64::from(dropped);
        self.pump(now);
    }

    /// Roll a restart back.
    pub fn drop_generation(&mut self, now: Instant, number: u32) {
        log::debug!(target: lines::ICE, "x generation {number} is rolled back");
        self.generations.retain(|generation| generation.number != number);
        if self.path.as_ref().is_some_and(|path| path.generation == number) {
            self.path = None;
        }
        self.pump(now);
    }

    // --- datagrams and time -----------------------------------------------------------------------------------------

    pub fn handle_datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        if !self.try_datagram(now, local, remote, datagram) {
            self.drops.stun += 1;
            return;
        }
        self.pump(now);
    }

    fn try_datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> bool {
        for at in 0..self.generations.len() {
            let generation = &mut self.generations[at];
            let mut out = Vec::new();
            if generation.gatherer.handle_datagram(local, remote, datagram, &mut out) {
                let number = generation.number;
                self.gathered(number, out);
                return true;
            }
        }
        let Ok(message) = StunMessage::parse(datagram) else { return false };
        if self.is_consent_answer(now, local, remote, &message) {
            return true;
        }
        let packet =
            |message| StunPacket { proto: Protocol::Udp, source: remote, destination: local, message };
        let wanted = message.is_binding_request().then(|| message.split_username()).flatten();
        self.generations.iter_mut().rev().any(|generation| {
            let for_us = wanted.is_none_or(|(ufrag, _)| ufrag == generation.local.ufrag);
            // A recorded check can be sent again from as many addresses as one likes.
            let is_room = wanted.is_none() || generation.knows_or_has_room(remote);
            if !for_us || !is_room || !generation.agent.handle_packet(now, packet(message)) {
                return false;
            }
            generation.has_candidate = true; // peer-reflexive, if nothing else
            true
        })
    }

    /// One of our own checks of the selected pair was answered, with the right key, from the right address.
    fn is_consent_answer(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        message: &StunMessage<'_>,
    ) -> bool {
        let Some(path) = &mut self.path else { return false };
        if !path.consent.is_ours(message.trans_id())
            || path.consent.remote != remote
            || path.consent.local != local
        {
            return false;
        }
        let generation = self.generations.iter().find(|generation| generation.number == path.generation);
        let Some(pwd) =
            generation.and_then(|generation| generation.remote.as_ref()).map(|remote| &remote.pwd)
        else {
            return false;
        };
        if !message.verify(pwd.as_bytes(), |key, parts| HMAC.sha1_hmac(key, parts)) {
            return false;
        }
        match message.class() {
            Class::Success => path.consent.answered(now, message.trans_id(), self.random.unit()),
            Class::Failure if message.error_code().is_some_and(|(code, _)| code == 403) => {
                log::debug!(target: lines::ICE, "x {remote} has revoked its consent (403)");
                path.consent.revoke()
            }
            // A role conflict is for the agent's own checks to settle; the peer is there all the same.
            Class::Failure => path.consent.heard(),
            _ => return false,
        }
        true
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.pump(now);
    }

    pub fn timeout(&self, now: Instant) -> Option<Instant> {
        let mut next = self.path.as_ref().and_then(|path| path.consent.timeout(now));
        let mut at_latest = |at: Option<Instant>| {
            next = match (next, at) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        };
        let settles = self.state == IceState::Connected && self.path_answers();
        at_latest(self.checked_since.filter(|_| settles).map(|since| since + SETTLING));
        for generation in &self.generations {
            at_latest(generation.gatherer.timeout());
            at_latest(generation.retires);
            at_latest(generation.next_check);
            if self.path.is_none() || self.is_restarting() {
                let deadline = generation.checking_since.map(|since| since + self.timing.failed_after);
                at_latest(deadline.filter(|at| *at > now));
            }
        }
        next
    }

    // --- what comes of it -------------------------------------------------------------------------------------------

    pub fn poll_datagram(&mut self) -> Option<Datagram> {
        self.out.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<IceEvent> {
        self.events.pop_front()
    }

    pub fn state(&self) -> IceState {
        self.state
    }

    /// Where data goes, while the peer consents.
    #[inline]
    pub fn path(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.path.as_ref().map(|path| (path.consent.local, path.consent.remote))
    }

    pub fn may_send(&self, now: Instant) -> bool {
        self.path.as_ref().is_some_and(|path| path.consent.may_send(now))
    }

    /// Whether the peer answers at present.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.path.as_ref().is_some_and(|path| path.consent.liveness(now) == Liveness::Alive)
    }

    /// Whether a packet that is not STUN may come from there: ICE has checked it.
    #[inline]
    pub fn accepts(&self, remote: SocketAddr) -> bool {
        if self.path.as_ref().is_some_and(|path| path.consent.remote == remote) {
            return true;
        }
        self.generations.iter().any(|generation| generation.agent.has_viable_remote_candidate(remote))
    }

    /// Data that DTLS vouches for came in.
    #[inline]
    pub fn heard(&mut self) {
        if let Some(path) = &mut self.path {
            path.consent.heard();
        }
    }

    pub fn role(&self) -> Option<Role> {
        self.generations.last().map(|generation| generation.role)
    }

    /// The selected pair without its traffic, which is not counted here.
    pub fn pair_stats(&self) -> Option<PairStats> {
        let path = self.path.as_ref()?;
        let generation = self.generations.iter().find(|generation| generation.number == path.generation)?;
        let (local, remote) = generation.lines(path.consent.local, path.consent.remote);
        Some(PairStats {
            generation: path.generation,
            local,
            remote,
            traffic: Traffic::default(),
            checks: path.consent.counts,
            agent_responses: generation.agent.nominated_pair_responses_received().unwrap_or(0),
            last_response: path.consent.last_answer(),
        })
    }

    /// (requests sent, answers received, requests received) of the agents' checks.
    pub fn check_counts(&self) -> (u64, u64, u64) {
        self.generations.iter().map(|generation| generation.agent.stats()).fold((0, 0, 0), |sum, stats| {
            (
                sum.0 + stats.bind_request_sent,
                sum.1 + stats.bind_success_recv,
                sum.2 + stats.bind_request_recv,
            )
        })
    }

    // --- turning the wheels -----------------------------------------------------------------------------------------

    /// Let every generation do what is due, then look at what has changed.
    fn pump(&mut self, now: Instant) {
        self.generations.retain(|generation| generation.retires.is_none_or(|at| now < at));
        for at in 0..self.generations.len() {
            self.pump_gatherer(now, at);
            self.pump_agent(now, at);
        }
        self.pump_consent(now);
        self.update_state(now);
    }

    fn pump_gatherer(&mut self, now: Instant, at: usize) {
        let generation = &mut self.generations[at];
        if generation.gathering_done {
            return;
        }
        let (number, sink) = (generation.number, &mut self.out);
        let mut out = Vec::new();
        let send = |local, remote, bytes| sink.push_back(Datagram { local, remote, bytes });
        generation.gatherer.handle_timeout(now, send, &mut out);
        self.gathered(number, out);
        let generation = &mut self.generations[at];
        if generation.hosts_done && generation.gatherer.is_done() {
            generation.gathering_done = true;
            self.events.push_back(IceEvent::Gathering { generation: number, complete: true });
        }
    }

    fn pump_agent(&mut self, now: Instant, at: usize) {
        let expired = !self.consents(now, self.generations[at].number);
        let generation = &mut self.generations[at];
        // Without the peer's password there is nothing to check or to answer with; after consent was lost the pair
        // may not be used at all (RFC 7675 section 5.1).
        let asks = generation.remote.is_some() && generation.retires.is_none() && !expired;
        if asks {
            generation.agent.handle_timeout(now);
        }
        while let Some(transmit) = generation.agent.poll_transmit() {
            if !expired {
                let bytes = transmit.contents.to_vec();
                self.out.push_back(Datagram { local: transmit.source, remote: transmit.destination, bytes });
            }
        }
        generation.next_check = if asks { generation.agent.poll_timeout() } else { None };
        let role = Role::of(&generation.agent);
        let changed = std::mem::replace(&mut generation.role, role) != role;
        let mut chosen = None;
        while let Some(event) = generation.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { source, destination, .. } = event {
                chosen = Some((source, destination));
            }
        }
        let number = generation.number;
        if changed && at + 1 == self.generations.len() {
            log::debug!(target: lines::ICE, "= {} after a conflict of roles", role.name());
            self.events.push_back(IceEvent::Role(role));
        }
        if let Some((local, remote)) = chosen {
            self.choose(now, number, local, remote);
        }
    }

    /// A generation has chosen a pair. It carries the traffic, unless a newer generation does already.
    fn choose(&mut self, now: Instant, number: u32, local: SocketAddr, remote: SocketAddr) {
        if let Some(path) = &self.path {
            let same = path.consent.local == local && path.consent.remote == remote;
            if path.generation > number || (path.generation == number && same) {
                return;
            }
        }
        for generation in self.generations.iter_mut().filter(|generation| generation.number < number) {
            generation.retires.get_or_insert(now + RETIREMENT);
        }
        log::debug!(target: lines::ICE, "= pair {local} -> {remote} is nominated, generation {number}");
        let consent = Consent::new(now, self.timing, local, remote, self.random.unit());
        self.path = Some(Path { generation: number, consent });
        self.checked_since = None;
        self.pair_changes += 1;
        if let Some(generation) = self.generations.iter().find(|generation| generation.number == number) {
            let (local, remote) = generation.lines(local, remote);
            self.events.push_back(IceEvent::Pair { generation: number, local, remote });
        }
    }

    fn pump_consent(&mut self, now: Instant) {
        let Some(path) = &mut self.path else { return };
        if !path.consent.check_due(now) {
            return;
        }
        let generation = self.generations.iter().find(|generation| generation.number == path.generation);
        let Some((generation, remote)) = generation.and_then(|one| Some((one, one.remote.as_ref()?))) else {
            return;
        };
        let transaction = TransId::new();
        let username = format!("{}:{}", remote.ufrag, generation.local.ufrag);
        let controlling = generation.agent.controlling();
        let check = StunMessage::binding_request(
            &username,
            transaction,
            controlling,
            self.tie_breaker,
            CHECK_PRIORITY,
            false,
        );
        let mut bytes = vec![0; MAX_STUN + username.len()];
        let sized =
            check.to_bytes(Some(remote.pwd.as_bytes()), &mut bytes, |key, parts| HMAC.sha1_hmac(key, parts));
        let Ok(size) = sized else { return };
        bytes.truncate(size);
        path.consent.sent(now, transaction);
        let (local, remote) = (path.consent.local, path.consent.remote);
        self.out.push_back(Datagram { local, remote, bytes });
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
        facts.is_settled =
            self.checked_since.is_some_and(|since| now >= since + SETTLING) && self.path_answers();
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
        let checking_since = negotiated.and_then(|generation| generation.checking_since);
        Facts {
            path,
            has_remote: negotiated
                .is_some_and(|generation| generation.has_candidate || generation.remote_done),
            all_known: negotiated
                .is_some_and(|generation| generation.gathering_done && generation.remote_done),
            has_local: negotiated.is_some_and(|generation| !generation.locals.is_empty()),
            pairs: negotiated.map_or(Pairs::None, Generation::pairs),
            is_settled: false, // known when the rest is
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

    fn gathered(&mut self, number: u32, out: Vec<Gathered>) {
        for gathered in out {
            match gathered {
                Gathered::Reflexive { base, mapped, server, url } => {
                    let Ok(candidate) = Candidate::server_reflexive(mapped, base, Protocol::Udp) else {
                        continue;
                    };
                    let Some(generation) = self.find(number) else { return };
                    let line = generation.add_local(candidate, base, Some(server));
                    self.announce(number, line, Some(url));
                }
                Gathered::Error { local, url, code, text } => {
                    self.events.push_back(IceEvent::CandidateError {
                        generation: number,
                        local,
                        url,
                        code,
                        text,
                    });
                }
            }
        }
    }

    fn announce(&mut self, generation: u32, line: Option<String>, url: Option<Arc<str>>) {
        if let Some(line) = line {
            self.events.push_back(IceEvent::Candidate { generation, line, url });
        }
    }

    fn find(&mut self, number: u32) -> Option<&mut Generation> {
        self.generations.iter_mut().find(|generation| generation.number == number)
    }
}

impl Generation {
    /// None: redundant with one that is known (RFC 8445 section 5.1.3).
    fn add_local(
        &mut self,
        candidate: Candidate,
        base: SocketAddr,
        server: Option<std::net::IpAddr>,
    ) -> Option<String> {
        let added = self.agent.add_local_candidate(candidate)?.clone();
        let line = candidate::line(&added, base, server);
        self.locals.push(LocalCandidate { base, line: line.clone() });
        Some(line)
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

    fn pairs(&self) -> Pairs {
        let no_locals = self.locals.is_empty();
        if no_locals || self.agent.remote_candidates().next().is_none() {
            return Pairs::None;
        }
        match self.agent.state() {
            IceConnectionState::Completed => Pairs::Checked,
            IceConnectionState::Disconnected => Pairs::Exhausted,
            _ => Pairs::Open,
        }
    }

    fn lines(&self, local: SocketAddr, remote: SocketAddr) -> (String, String) {
        let ours = self.locals.iter().find(|known| known.base == local).map(|known| known.line.clone());
        let theirs =
            self.remotes.iter().find(|(address, _)| *address == remote).map(|(_, line)| line.clone());
        (
            ours.unwrap_or_else(|| candidate::reflexive_line(local)),
            theirs.unwrap_or_else(|| candidate::reflexive_line(remote)),
        )
    }
}

#[derive(Debug)]
struct Hmac;

static HMAC: Hmac = Hmac;

impl Sha1HmacProvider for Hmac {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = hmac::Context::with_key(&key);
        for payload in payloads {
            context.update(payload);
        }
        let mut out = [0; 20];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}
