//! One allocation on a TURN server (RFC 8656): made, kept, used and given back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::message::{self, Answer, Auth, Granted, Incoming, Part, Refusal, Signature, Transaction};
use super::peers::{Peers, Way, Wish};
use super::request::{Due, Kind, Request};
use super::{Out, RelayEvent, Relayed, Server, UNREACHABLE};
use crate::lines;
use crate::transmit::{Wire, WireTransport};
use crate::wire::{WireEvent, WireKey, WireOrder};

/// The time from the first word to the relayed address, whatever the server asks for on the way: the clock of gathering.
const GATHERING: Duration = Duration::from_millis(9500);
/// RFC 8656 section 7.2. A server may say less or more; what is absurd is cut.
const LIFETIME: u32 = 600;
const LIFETIMES: std::ops::RangeInclusive<u32> = 20..=3600;
/// A refresh comes this long before the end, or in the middle of a short life.
const BEFORE_THE_END: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(5);
/// RFC 8489 section 10: a client must not follow 300 in circles.
const MAX_REDIRECTS: u32 = 3;
/// After 437 on Allocate, from another port (RFC 8656 section 7.4).
const MAX_REWIRES: u32 = 2;
/// How long an Allocate that was not answered at the close may still be on its way.
const LATE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The hub opens its wire.
    Opening,
    Allocating,
    /// The relayed address is there.
    Live,
    Releasing,
    Ended(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server never gave it.
    Failed,
    /// The server has said that it is gone, or that it knows of nothing.
    Released,
    /// The server did not confirm its release: it goes when its lifetime is over.
    GivenUp,
    /// The server, or its stream, has lost it.
    Lost,
}

/// A datagram that came in on the wire of an allocation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received<'a> {
    /// A datagram of a peer.
    Data(SocketAddr, &'a [u8]),
    Handled,
    /// Malformed, forged, repeated, or not asked for.
    Dropped,
}

pub(super) struct Allocation {
    /// The number of its wire; another wire has another.
    pub key: u32,
    pub generation: u32,
    pub server: Arc<Server>,
    pub phase: Phase,
    from: IpAddr,
    to: SocketAddr,
    wire: Option<Wire>,
    auth: Option<Auth>,
    relayed: Option<SocketAddr>,
    requests: Vec<Request>,
    peers: Peers,
    deadline: Instant,
    refresh_at: Instant,
    expires_at: Instant,
    asks_ipv6: bool,
    redirects: u32,
    rewires: u32,
    /// An unsigned no: anybody on the way can say it. It is the reason, if nothing better comes.
    doubtful: Option<(u16, String)>,
    /// The Allocate that was not answered at the close, and until when its answer may come.
    late: Option<(Transaction, Instant)>,
    is_released: bool,
}

impl Allocation {
    pub fn new(
        now: Instant,
        generation: u32,
        server: Arc<Server>,
        (from, to): (IpAddr, SocketAddr),
        out: &mut Out,
    ) -> Allocation {
        let mut allocation = Allocation {
            key: 0,
            generation,
            server,
            phase: Phase::Opening,
            from,
            to,
            wire: None,
            auth: None,
            relayed: None,
            requests: Vec::new(),
            peers: Peers::default(),
            deadline: now + GATHERING,
            refresh_at: now,
            expires_at: now,
            asks_ipv6: from.is_ipv6(),
            redirects: 0,
            rewires: 0,
            doubtful: None,
            late: None,
            is_released: false,
        };
        allocation.open(out);
        allocation
    }

    // --- questions --------------------------------------------------------------------------------------------------

    pub fn wire(&self) -> Option<Wire> {
        self.wire
    }

    pub fn relayed(&self) -> Option<SocketAddr> {
        self.relayed.filter(|_| self.phase == Phase::Live)
    }

    pub fn is_gathering(&self) -> bool {
        matches!(self.phase, Phase::Opening | Phase::Allocating)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let requests = self.requests.iter().map(Request::poll_timeout);
        let own = match self.phase {
            Phase::Opening | Phase::Allocating => Some(self.deadline),
            Phase::Live => [self.peers.poll_timeout(), self.next_refresh(), Some(self.expires_at)]
                .into_iter()
                .flatten()
                .min(),
            Phase::Releasing => self.late.map(|(_, until)| until).filter(|_| self.is_released),
            Phase::Ended(_) => return None,
        };
        requests.chain(own).min()
    }

    fn next_refresh(&self) -> Option<Instant> {
        let is_asked = self.requests.iter().any(|request| request.kind == Kind::Refresh);
        (!is_asked).then_some(self.refresh_at)
    }

    // --- the wire ---------------------------------------------------------------------------------------------------

    fn open(&mut self, out: &mut Out) {
        self.key = out.next_key();
        self.wire = None;
        self.phase = Phase::Opening;
        self.requests.clear();
        let server = &self.server;
        let name = (server.transport == WireTransport::Tls).then(|| server.host.clone());
        out.orders.push_back(WireOrder::Open {
            key: WireKey::Turn(self.key),
            transport: server.transport,
            local: self.from,
            remote: self.to,
            name,
        });
    }

    fn open_again(&mut self, out: &mut Out) {
        out.orders.push_back(WireOrder::Close { key: WireKey::Turn(self.key) });
        self.auth = None;
        self.open(out);
    }

    pub fn handle_wire(&mut self, now: Instant, event: WireEvent, out: &mut Out) {
        match (event, self.phase) {
            (WireEvent::Open { wire }, Phase::Opening) => {
                self.wire = Some(wire);
                self.phase = Phase::Allocating;
                self.ask(now, Kind::Allocate, out);
            }
            (WireEvent::Closed { text }, Phase::Opening | Phase::Allocating) => {
                self.fail(UNREACHABLE, text, out)
            }
            (WireEvent::Closed { text }, Phase::Live) => self.lose(&text),
            // RFC 8656 section 3.1: an allocation over a stream ends with it.
            (WireEvent::Closed { .. }, Phase::Releasing) => self.phase = Phase::Ended(End::Released),
            (_, Phase::Ended(_)) | (WireEvent::Open { .. }, _) => {}
        }
    }

    // --- datagrams --------------------------------------------------------------------------------------------------

    pub fn way(&mut self, now: Instant, peer: SocketAddr, out: &mut Out) -> Way {
        let way = self.peers.way(peer);
        if way == Way::Later {
            self.ask_wishes(now, out);
        }
        way
    }

    pub fn hold(&mut self, peer: SocketAddr, bytes: Vec<u8>) {
        self.peers.hold(peer, bytes);
    }

    pub fn bind(&mut self, now: Instant, peer: SocketAddr, out: &mut Out) {
        self.peers.bind(peer);
        self.ask_wishes(now, out);
    }

    pub fn handle_datagram<'a>(&mut self, now: Instant, datagram: &'a [u8], out: &mut Out) -> Received<'a> {
        let is_live = self.phase == Phase::Live;
        if matches!(datagram.first(), Some(64..=79)) {
            let known = message::read_channel(datagram)
                .and_then(|(number, data)| Some((self.peers.of_channel(number)?, data)));
            return match known {
                Some((peer, data)) if is_live => Received::Data(peer, data),
                Some(_) => Received::Handled,
                None => Received::Dropped,
            };
        }
        match message::read(datagram, self.auth.as_ref()) {
            Some(Incoming::Data { peer, data }) if self.peers.knows(peer.ip()) => {
                if is_live {
                    Received::Data(peer, data)
                } else {
                    Received::Handled
                }
            }
            Some(Incoming::Answer { method, transaction, signature, answer }) => {
                if self.handle_answer(now, (method.value(), transaction), signature, answer, out) {
                    Received::Handled
                } else {
                    Received::Dropped
                }
            }
            _ => Received::Dropped,
        }
    }

    fn handle_answer(
        &mut self,
        now: Instant,
        (method, transaction): (u16, Transaction),
        signature: Signature,
        answer: Answer,
        out: &mut Out,
    ) -> bool {
        let is_signed = self.auth.is_none() || signature == Signature::Right;
        if let Some((late, _)) = self.late.filter(|(late, _)| *late == transaction) {
            return self.handle_late(now, late, is_signed, &answer, out);
        }
        let is_it = |one: &Request| one.transaction == transaction && method_of(one.kind) == method;
        let Some(at) = self.requests.iter().position(is_it) else { return false };
        let kind = self.requests[at].kind;
        match answer {
            Answer::Granted(granted) if is_signed => {
                self.requests.swap_remove(at);
                self.granted(now, kind, granted, out);
            }
            Answer::Granted(_) => return false,
            Answer::Refused(refusal) if self.asks_to_sign(kind, &refusal) => {
                self.doubtful = None;
                return self.sign_again(now, at, &refusal, out);
            }
            // After 401 and 438, a no that is not signed is as if it had not come (RFC 8489 section 9.2.5).
            Answer::Refused(refusal) if !is_signed && !is_final(kind, self.auth.is_some(), &refusal) => {
                self.doubtful = Some((refusal.code, refusal.reason));
                return false;
            }
            Answer::Refused(refusal) => {
                self.requests.swap_remove(at);
                self.refused(now, kind, refusal, out);
            }
        }
        self.check_released(now);
        true
    }

    /// The answer to an Allocate came after the close.
    fn handle_late(
        &mut self,
        now: Instant,
        late: Transaction,
        is_signed: bool,
        answer: &Answer,
        out: &mut Out,
    ) -> bool {
        match answer {
            Answer::Granted(_) if is_signed => {
                log::debug!(target: lines::ICE, "< the allocation of {} comes after its close", self.server.url);
                self.late = None;
                self.is_released = false;
                self.requests.clear();
                self.ask(now, Kind::Release, out);
            }
            Answer::Refused(_) => {
                debug_assert_eq!(self.late.map(|(one, _)| one), Some(late));
                self.late = None;
                self.check_released(now);
            }
            Answer::Granted(_) => return false,
        }
        true
    }

    /// 401 to a request without a signature, or a nonce that has grown old (RFC 8489 section 9.2.5).
    fn asks_to_sign(&self, kind: Kind, refusal: &Refusal) -> bool {
        let has_nonce = refusal.nonce.is_some();
        match (refusal.code, &self.auth) {
            (401, None) => has_nonce && refusal.realm.is_some() && kind != Kind::Release,
            (401, Some(auth)) => {
                has_nonce && kind != Kind::Allocate && refusal.nonce.as_deref() != Some(auth.nonce())
            }
            (438, _) => has_nonce,
            _ => false,
        }
    }

    fn sign_again(&mut self, now: Instant, at: usize, refusal: &Refusal, out: &mut Out) -> bool {
        let before = self.auth.as_ref().map(|auth| auth.realm().to_owned());
        let realm = refusal.realm.clone().or(before).unwrap_or_default();
        let nonce = refusal.nonce.as_deref().unwrap_or_default();
        let Some(auth) = Auth::new(&self.server, &realm, nonce) else { return false };
        self.auth = Some(auth);
        let old = self.requests.swap_remove(at);
        let (kind, transaction) = (old.kind, out.random.bytes());
        let renewed = self.build(kind, transaction).and_then(|bytes| old.renew(now, transaction, bytes));
        match renewed {
            Some(request) => self.requests.push(request),
            None => {
                let reason = format!("{} asked for another nonce again and again", self.to);
                self.refused(now, kind, Refusal { code: 438, reason, ..refusal.clone() }, out);
            }
        }
        self.send_due(now, out);
        true
    }

    // --- answers ----------------------------------------------------------------------------------------------------

    fn granted(&mut self, now: Instant, kind: Kind, granted: Granted, out: &mut Out) {
        match kind {
            Kind::Allocate => self.allocated(now, granted, out),
            Kind::Refresh => self.set_lifetime(now, granted),
            Kind::Release => self.is_released = true,
            Kind::Permission(ip) => {
                self.peers.granted(now, Wish::Permission(ip));
                self.send_held(now, out);
            }
            Kind::Channel { peer, number } => self.peers.granted(now, Wish::Channel { peer, number }),
        }
    }

    fn allocated(&mut self, now: Instant, granted: Granted, out: &mut Out) {
        let usable = granted.relayed.filter(|address| is_usable(*address));
        let (Some(relayed), Some(wire)) = (usable, self.wire) else {
            let text = format!("TURN server {} gave no address that could be used", self.to);
            // It may hold one all the same.
            out.error(self, UNREACHABLE, text);
            self.phase = Phase::Live;
            return self.release(now, out);
        };
        self.phase = Phase::Live;
        self.relayed = Some(relayed);
        self.set_lifetime(now, granted);
        log::debug!(target: lines::ICE, "= {} relays {relayed}", self.server.url);
        out.events.push_back(RelayEvent::Relayed(Box::new(Relayed {
            generation: self.generation,
            address: relayed,
            base: wire.local,
            mapped: granted.mapped.filter(|address| is_usable(*address)),
            server: self.server.clone(),
            server_ip: self.to.ip(),
        })));
    }

    fn set_lifetime(&mut self, now: Instant, granted: Granted) {
        let seconds = granted.lifetime.unwrap_or(LIFETIME).clamp(*LIFETIMES.start(), *LIFETIMES.end());
        let lifetime = Duration::from_secs(seconds.into());
        self.refresh_at = now + lifetime.saturating_sub(BEFORE_THE_END).max(lifetime / 2);
        self.expires_at = now + lifetime;
    }

    fn refused(&mut self, now: Instant, kind: Kind, refusal: Refusal, out: &mut Out) {
        let Refusal { code, reason, alternate, .. } = refusal;
        match kind {
            Kind::Allocate => self.allocate_refused(now, (code, reason), alternate, out),
            Kind::Refresh if code == 437 => self.lose("the server does not know it (437)"),
            Kind::Refresh => self.refresh_at = now + RETRY,
            // 437: the server has no such allocation. 401: without credentials it could not be made.
            Kind::Release if matches!(code, 401 | 437) => self.is_released = true,
            Kind::Release => self.give_up(&format!("{code} {reason}")),
            Kind::Permission(ip) => {
                log::debug!(target: lines::ICE, "! {} relays nothing to {ip}: {code} {reason}", self.server.url);
                self.peers.refused(Wish::Permission(ip));
            }
            Kind::Channel { peer, number } => self.peers.refused(Wish::Channel { peer, number }),
        }
    }

    fn allocate_refused(
        &mut self,
        now: Instant,
        (code, reason): (u16, String),
        alternate: Option<SocketAddr>,
        out: &mut Out,
    ) {
        match (code, alternate) {
            // RFC 8656 section 7.4: the family is not there; the default may be.
            (440, _) if self.asks_ipv6 => {
                self.asks_ipv6 = false;
                self.ask(now, Kind::Allocate, out);
            }
            (300, Some(other))
                if self.redirects < MAX_REDIRECTS
                    && other != self.to
                    && other.is_ipv4() == self.to.is_ipv4()
                    && is_usable(other) =>
            {
                log::debug!(target: lines::ICE, "= {} sends us on to {other}", self.to);
                self.redirects += 1;
                self.to = other;
                self.open_again(out);
            }
            (437, _) if self.rewires < MAX_REWIRES => {
                self.rewires += 1;
                self.open_again(out);
            }
            _ => self.fail(code, reason, out),
        }
    }

    fn fail(&mut self, code: u16, text: String, out: &mut Out) {
        out.error(self, code, text);
        self.phase = Phase::Ended(End::Failed);
        self.requests.clear();
    }

    fn lose(&mut self, why: &str) {
        log::debug!(target: lines::ICE, "! the allocation on {} is lost: {why}", self.to);
        self.phase = Phase::Ended(End::Lost);
        self.requests.clear();
    }

    /// A server that never said a word was not shown the credentials: it has nothing to give back.
    fn give_up(&mut self, why: &str) {
        log::debug!(target: lines::ICE, "! the release on {} is not confirmed: {why}", self.to);
        let may_hold = self.auth.is_some() || self.relayed.is_some();
        self.phase = Phase::Ended(if may_hold { End::GivenUp } else { End::Failed });
        self.requests.clear();
    }

    // --- the end ----------------------------------------------------------------------------------------------------

    /// Give it back. Datagrams that were held for a peer are forgotten.
    pub fn release(&mut self, now: Instant, out: &mut Out) {
        match self.phase {
            Phase::Opening => self.phase = Phase::Ended(End::Failed),
            Phase::Allocating | Phase::Live => {
                let asked = self.requests.iter().find(|one| one.kind == Kind::Allocate);
                self.late = asked.map(|one| (one.transaction, now + LATE));
                self.requests.clear();
                self.phase = Phase::Releasing;
                self.ask(now, Kind::Release, out);
            }
            Phase::Releasing | Phase::Ended(_) => {}
        }
    }

    fn check_released(&mut self, now: Instant) {
        let may_come = self.late.is_some_and(|(_, until)| now < until);
        if self.phase == Phase::Releasing && self.is_released && !may_come {
            self.phase = Phase::Ended(End::Released);
        }
    }

    // --- time -------------------------------------------------------------------------------------------------------

    pub fn handle_timeout(&mut self, now: Instant, out: &mut Out) {
        match self.phase {
            Phase::Opening | Phase::Allocating if now >= self.deadline => self.fail_late(now, out),
            Phase::Live if now >= self.expires_at => self.lose("it was not refreshed in time"),
            Phase::Live => {
                if self.next_refresh().is_some_and(|at| at <= now) {
                    self.ask(now, Kind::Refresh, out);
                }
                self.peers.handle_timeout(now);
                self.ask_wishes(now, out);
            }
            Phase::Releasing => self.check_released(now),
            _ => {}
        }
        self.send_due(now, out);
    }

    /// The clock of gathering is over. A server that was asked may have given an address, or may still do so: it
    /// gets a release, though nobody waits for that.
    fn fail_late(&mut self, now: Instant, out: &mut Out) {
        let silent = (UNREACHABLE, format!("TURN server {} did not answer in time", self.to));
        let (code, text) = self.doubtful.take().unwrap_or(silent);
        out.error(self, code, text);
        self.release(now, out);
    }

    fn unanswered(&mut self, now: Instant, kind: Kind, out: &mut Out) {
        match kind {
            Kind::Allocate => self.fail_late(now, out),
            Kind::Refresh => self.refresh_at = now + RETRY,
            Kind::Release => self.give_up("no answer"),
            Kind::Permission(ip) => self.peers.unanswered(now, Wish::Permission(ip)),
            Kind::Channel { peer, number } => self.peers.unanswered(now, Wish::Channel { peer, number }),
        }
    }

    // --- requests ---------------------------------------------------------------------------------------------------

    fn ask_wishes(&mut self, now: Instant, out: &mut Out) {
        while let Some(wish) = self.peers.poll_wish() {
            let kind = match wish {
                Wish::Permission(ip) => Kind::Permission(ip),
                Wish::Channel { peer, number } => Kind::Channel { peer, number },
            };
            self.ask(now, kind, out);
        }
    }

    fn ask(&mut self, now: Instant, kind: Kind, out: &mut Out) {
        let transaction = out.random.bytes();
        let Some(bytes) = self.build(kind, transaction) else {
            return self.fail(UNREACHABLE, "the user name is longer than TURN can carry".to_owned(), out);
        };
        let is_reliable = self.server.transport != WireTransport::Udp;
        self.requests.push(Request::new(now, kind, transaction, bytes, is_reliable));
        self.send_due(now, out);
    }

    fn build(&self, kind: Kind, transaction: Transaction) -> Option<Vec<u8>> {
        let signer = self.auth.as_ref().map(|auth| (&*self.server, auth));
        let build = |method, parts: &[Part]| message::request(method, transaction, parts, signer);
        match kind {
            Kind::Allocate if self.asks_ipv6 => build(message::ALLOCATE, &[Part::Transport, Part::Ipv6]),
            Kind::Allocate => build(message::ALLOCATE, &[Part::Transport]),
            Kind::Refresh => build(message::REFRESH, &[Part::Lifetime(LIFETIME)]),
            Kind::Release => build(message::REFRESH, &[Part::Lifetime(0)]),
            Kind::Permission(ip) => build(message::CREATE_PERMISSION, &[Part::Peer(SocketAddr::new(ip, 0))]),
            Kind::Channel { peer, number } => {
                build(message::CHANNEL_BIND, &[Part::Channel(number), Part::Peer(peer)])
            }
        }
    }

    fn send_due(&mut self, now: Instant, out: &mut Out) {
        let Some(wire) = self.wire else { return };
        let mut over = Vec::new();
        self.requests.retain_mut(|request| match request.handle_timeout(now) {
            Due::Nothing => true,
            Due::Send(bytes) => {
                out.datagrams.push_back((wire, bytes.to_vec()));
                true
            }
            Due::GiveUp => {
                over.push(request.kind);
                false
            }
        });
        for kind in over {
            self.unanswered(now, kind, out);
        }
    }

    fn send_held(&mut self, now: Instant, out: &mut Out) {
        let Some(wire) = self.wire else { return };
        for (peer, bytes) in self.peers.take_held() {
            if let Some(framed) = super::framed(self.way(now, peer, out), peer, &bytes, out) {
                out.datagrams.push_back((wire, framed));
            }
        }
    }
}

fn method_of(kind: Kind) -> u16 {
    match kind {
        Kind::Allocate => message::ALLOCATE,
        Kind::Refresh | Kind::Release => message::REFRESH,
        Kind::Permission(_) => message::CREATE_PERMISSION,
        Kind::Channel { .. } => message::CHANNEL_BIND,
    }
    .value()
}

/// A wrong password: the server does not share it, and cannot sign with it.
fn is_final(kind: Kind, was_signed: bool, refusal: &Refusal) -> bool {
    kind == Kind::Allocate && was_signed && refusal.code == 401
}

/// Whether a datagram can go there.
fn is_usable(address: SocketAddr) -> bool {
    let is_strange = match address.ip() {
        IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
    };
    address.port() != 0 && !is_strange
}
