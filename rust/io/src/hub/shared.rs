//! Sockets that many transports share, and which of them a datagram is for.
//!
//! A check of a peer names the transport by its ufrag. An answer to a check belongs to the transport that has asked. All
//! else goes to the transport that owns the address which it comes from. A transport comes to own an address by an
//! authentic check from there, and by nothing else. Nobody takes an address from another transport whose peer is still
//! heard there: two connections between the same two sockets look the same.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adieu_engine::Batch;
use adieu_engine::lines as layers;

use super::network::{Network, Place, Port};
use crate::event::{Counters, EventQueue};

/// Addresses of one transport; the one that was silent for longest makes room.
const MAX_REMOTES: usize = 16;
/// Generations of one transport (as many as ICE keeps).
const MAX_UFRAGS: usize = 8;
/// An owner that was not heard for so long loses an address to a transport that is heard there. A peer that is there
/// answers our checks, which come at least each 2.5 s.
const SILENT: Duration = Duration::from_secs(5);
/// For so long the answer to a request is expected; requests are sent again for 13 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// Requests that wait for their answer, of all transports together: 2 000 of them ask once a second at most.
const MAX_ASKED: usize = 131_072;

const HEADER: usize = 20;
const MAGIC: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
const USERNAME: u16 = 0x0006;

type TransactionId = [u8; 12];

/// In the index of a socket: the rest is the number of a shared one, and not of a transport.
const SHARED: u32 = 1 << 31;

/// A socket and its users.
pub struct SharedSocket<S> {
    socket: S,
    local: SocketAddr,
    /// Counts it for the event loop that has opened it.
    pub queue: Arc<EventQueue>,
    pub demux: Demux,
    /// Transports that wait until the socket takes more.
    blocked: Vec<u32>,
}

/// All sockets that are shared, by number.
pub struct SharedSockets<S> {
    sockets: Vec<Option<SharedSocket<S>>>,
    /// The port is the one that was asked for: 0 for any.
    numbers: HashMap<(IpAddr, u16), u32>,
}

/// A transport that wants to share a socket.
pub struct Guest<'a> {
    pub index: u32,
    pub ufrag: &'a str,
    pub queue: &'a Arc<EventQueue>,
}

impl<S: Copy> SharedSockets<S> {
    pub fn new() -> SharedSockets<S> {
        SharedSockets { sockets: Vec::new(), numbers: HashMap::new() }
    }

    /// The number of a shared socket, if this index of a socket is one.
    #[inline]
    pub fn number(index: u32) -> Option<u32> {
        (index & SHARED != 0).then_some(index & !SHARED)
    }

    pub fn get(&mut self, number: u32) -> Option<&mut SharedSocket<S>> {
        self.sockets.get_mut(number as usize)?.as_mut()
    }

    /// Share the socket of this address and port; the first opens it. None: another transport has the ufrag there.
    pub fn enter<N: Network<Socket = S>>(
        &mut self,
        net: &mut N,
        (owner, ip, port): (u64, IpAddr, u16),
        guest: Guest<'_>,
    ) -> io::Result<Option<(u32, S, SocketAddr)>> {
        let number = match self.numbers.get(&(ip, port)) {
            Some(&number) => number,
            None => self.open(net, (owner, ip, port), guest.queue)?,
        };
        let Some(shared) = self.get(number) else { return Ok(None) };
        Ok(shared.demux.enter(guest.index, guest.ufrag).then_some((number, shared.socket, shared.local)))
    }

    fn open<N: Network<Socket = S>>(
        &mut self,
        net: &mut N,
        (owner, ip, port): (u64, IpAddr, u16),
        queue: &Arc<EventQueue>,
    ) -> io::Result<u32> {
        let free = self.sockets.iter().position(Option::is_none).unwrap_or(self.sockets.len());
        let wanted = if port == 0 { Port::Any } else { Port::One(port) };
        let place = Place { owner, ip, port: wanted };
        let (socket, local) = net.bind(free as u32 | SHARED, place).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => io::Error::new(
                error.kind(),
                format!(
                    "the UDP port {port} is in use by another program: end that, or set another sharedPort"
                ),
            ),
            _ => error,
        })?;
        log::debug!(target: layers::ICE, "= socket {local}, to be shared");
        Counters::add(&queue.counters.sockets, 1);
        if free == self.sockets.len() {
            self.sockets.push(None);
        }
        let (queue, demux) = (queue.clone(), Demux::default());
        self.sockets[free] = Some(SharedSocket { socket, local, queue, demux, blocked: Vec::new() });
        self.numbers.insert((ip, port), free as u32);
        Ok(free as u32)
    }

    /// A transport has ended; the last one closes the socket. Returns how many accepted datagrams cannot leave now.
    pub fn leave<N: Network<Socket = S>>(&mut self, net: &mut N, number: u32, index: u32) -> usize {
        let Some(shared) = self.get(number) else { return 0 };
        shared.demux.leave(index);
        shared.blocked.retain(|blocked| *blocked != index);
        if !shared.demux.is_empty() {
            return 0;
        }
        Counters::subtract(&shared.queue.counters.sockets, 1);
        let unsent = net.close(shared.socket);
        self.sockets[number as usize] = None;
        self.numbers.retain(|_, known| *known != number);
        unsent
    }

    /// A batch of this transport leaves.
    pub fn sent(&mut self, now: Instant, number: u32, index: u32, batch: &Batch) {
        if batch.count() == 1
            && let Some(shared) = self.get(number)
        {
            shared.demux.sent(now, index, batch.contents());
        }
    }

    /// This transport has to wait for the socket.
    pub fn block(&mut self, number: u32, index: u32) {
        if let Some(shared) = self.get(number) {
            shared.blocked.push(index);
        }
    }

    /// The transports that may go on: the socket takes more.
    pub fn unblock(&mut self, number: u32) -> Vec<u32> {
        self.get(number).map(|shared| std::mem::take(&mut shared.blocked)).unwrap_or_default()
    }
}

/// Tells the transports of one socket apart.
#[derive(Default)]
pub struct Demux {
    users: HashMap<u32, User>,
    ufrags: HashMap<Box<[u8]>, u32>,
    remotes: HashMap<SocketAddr, Owner>,
    asked: HashMap<TransactionId, u32>,
    asked_at: VecDeque<(Instant, TransactionId)>,
}

#[derive(Default)]
struct User {
    ufrags: VecDeque<Box<[u8]>>,
    remotes: Vec<SocketAddr>,
}

#[derive(Clone, Copy)]
struct Owner {
    index: u32,
    heard: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The owner of the address.
    Owner(u32),
    /// If this turns out to be authentic, the transport owns the address: [`Demux::heard`] follows then.
    Claimant(u32),
    /// Refused: another transport owns the address, and its peer is there.
    Taken,
    Nobody,
}

impl Demux {
    /// Have this transport use the socket too, with this local ufrag. False: another one has the ufrag.
    pub fn enter(&mut self, index: u32, ufrag: &str) -> bool {
        let ufrag: Box<[u8]> = ufrag.as_bytes().into();
        match self.ufrags.get(&ufrag) {
            Some(known) => return *known == index,
            None => self.ufrags.insert(ufrag.clone(), index),
        };
        let user = self.users.entry(index).or_default();
        user.ufrags.push_back(ufrag);
        if user.ufrags.len() > MAX_UFRAGS
            && let Some(oldest) = user.ufrags.pop_front()
        {
            self.ufrags.remove(&oldest);
        }
        true
    }

    /// The transport has ended: its ufrags and addresses are free.
    pub fn leave(&mut self, index: u32) {
        let Some(user) = self.users.remove(&index) else { return };
        for ufrag in user.ufrags {
            self.ufrags.remove(&ufrag);
        }
        for remote in user.remotes {
            self.remotes.remove(&remote);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Find the transport that a datagram is for.
    pub fn find(&self, now: Instant, remote: SocketAddr, datagram: &[u8]) -> Destination {
        let owner = self.remotes.get(&remote);
        let claimant = match Stun::parse(datagram) {
            Some(Stun::Request { ufrag }) => self.ufrags.get(ufrag),
            Some(Stun::Answer { transaction }) => self.asked.get(transaction),
            None => return owner.map_or(Destination::Nobody, |owner| Destination::Owner(owner.index)),
        };
        let Some(&claimant) = claimant else { return Destination::Nobody };
        match owner {
            Some(owner) if owner.index != claimant && now < owner.heard + SILENT => Destination::Taken,
            _ => Destination::Claimant(claimant),
        }
    }

    /// An authentic check of this transport's peer, or an answer to its own, has come from `remote`.
    pub fn heard(&mut self, now: Instant, index: u32, remote: SocketAddr) {
        let Some(user) = self.users.get_mut(&index) else { return };
        let before = self.remotes.insert(remote, Owner { index, heard: now });
        if before.is_some_and(|before| before.index == index) {
            return;
        }
        user.remotes.push(remote);
        if user.remotes.len() > MAX_REMOTES {
            let heard = |at: &usize| self.remotes.get(&user.remotes[*at]).map(|owner| owner.heard);
            if let Some(oldest) = (0..user.remotes.len()).min_by_key(heard) {
                self.remotes.remove(&user.remotes.swap_remove(oldest));
            }
        }
        if let Some(before) = before.and_then(|before| self.users.get_mut(&before.index)) {
            before.remotes.retain(|known| *known != remote);
        }
    }

    /// A datagram of this transport leaves: the answer to a request is for it.
    pub fn sent(&mut self, now: Instant, index: u32, datagram: &[u8]) {
        let Some(transaction) = Stun::request(datagram) else { return };
        while let Some((at, oldest)) = self.asked_at.front()
            && (now >= *at + ANSWERED_WITHIN || self.asked_at.len() >= MAX_ASKED)
        {
            self.asked.remove(oldest);
            self.asked_at.pop_front();
        }
        if self.asked.insert(*transaction, index).is_none() {
            self.asked_at.push_back((now, *transaction));
        }
    }
}

enum Stun<'a> {
    Request { ufrag: &'a [u8] },
    Answer { transaction: &'a TransactionId },
}

impl<'a> Stun<'a> {
    /// None: it is something else, or has no name to go by.
    fn parse(datagram: &'a [u8]) -> Option<Stun<'a>> {
        match Stun::class(datagram)? {
            0x0000 => Some(Stun::Request { ufrag: local_ufrag(datagram)? }),
            0x0100 | 0x0110 => Some(Stun::Answer { transaction: datagram[8..HEADER].try_into().ok()? }),
            _ => None,
        }
    }

    /// The transaction of a request.
    fn request(datagram: &'a [u8]) -> Option<&'a TransactionId> {
        (Stun::class(datagram)? == 0).then(|| datagram[8..HEADER].try_into().ok()).flatten()
    }

    /// The class bits (RFC 8489 section 5).
    fn class(datagram: &[u8]) -> Option<u16> {
        if datagram.len() < HEADER || datagram[0] & 0xC0 != 0 || datagram[4..8] != MAGIC {
            return None;
        }
        Some(be16(datagram, 0)? & 0x0110)
    }
}

/// The part of USERNAME before the colon, which is the ufrag of the side that is asked (RFC 8445 section 7.2.2).
fn local_ufrag(datagram: &[u8]) -> Option<&[u8]> {
    let mut rest = &datagram[HEADER..];
    while let (Some(name), Some(length)) = (be16(rest, 0), be16(rest, 2)) {
        let length = usize::from(length);
        if name == USERNAME {
            return rest.get(4..4 + length)?.split(|byte| *byte == b':').next();
        }
        rest = rest.get((4 + length).next_multiple_of(4)..)?;
    }
    None
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn stun(kind: u16, transaction: u8, username: Option<&str>) -> Vec<u8> {
        let mut out = kind.to_be_bytes().to_vec();
        out.extend([0, 0]);
        out.extend(MAGIC);
        out.extend([transaction; 12]);
        if let Some(name) = username {
            out.extend([0x80, 0x22, 0, 3, 1, 2, 3, 0]); // SOFTWARE, padded
            out.extend(USERNAME.to_be_bytes());
            out.extend((name.len() as u16).to_be_bytes());
            out.extend(name.as_bytes());
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    const DTLS: [u8; 40] = [22; 40];

    fn two(now: Instant) -> Demux {
        let mut demux = Demux::default();
        assert!(demux.enter(1, "one") && demux.enter(2, "two"));
        demux.heard(now, 1, remote(1));
        demux
    }

    #[test]
    fn a_check_goes_by_its_ufrag_and_all_else_by_its_address() {
        let now = Instant::now();
        let mut demux = two(now);
        let check = stun(0x0001, 7, Some("two:peer"));
        assert_eq!(demux.find(now, remote(2), &check), Destination::Claimant(2));
        assert_eq!(demux.find(now, remote(2), &DTLS), Destination::Nobody, "a check alone proves nothing");
        demux.heard(now, 2, remote(2));
        assert_eq!(demux.find(now, remote(2), &DTLS), Destination::Owner(2));
        assert_eq!(demux.find(now, remote(1), &DTLS), Destination::Owner(1));
        assert_eq!(demux.find(now, remote(3), &stun(0x0001, 7, Some("three:peer"))), Destination::Nobody);
        assert_eq!(
            demux.find(now, remote(1), &stun(0x0011, 7, None)),
            Destination::Owner(1),
            "an indication"
        );
    }

    #[test]
    fn an_answer_goes_to_the_transport_that_has_asked_for_a_time() {
        let now = Instant::now();
        let mut demux = two(now);
        demux.sent(now, 2, &stun(0x0001, 9, Some("peer:two")));
        for kind in [0x0101, 0x0111] {
            assert_eq!(demux.find(now, remote(8), &stun(kind, 9, None)), Destination::Claimant(2));
            assert_eq!(demux.find(now, remote(8), &stun(kind, 8, None)), Destination::Nobody, "nobody asked");
        }
        demux.sent(now + ANSWERED_WITHIN, 1, &stun(0x0001, 10, None));
        assert_eq!(demux.find(now, remote(8), &stun(0x0101, 9, None)), Destination::Nobody, "too late");
        for number in 0..5 {
            demux.sent(now + ANSWERED_WITHIN, 1, &stun(0x0001, 10, None));
            demux.sent(now, number, &DTLS);
        }
        assert_eq!((demux.asked.len(), demux.asked_at.len()), (1, 1), "one entry, however often it is sent");
    }

    #[test]
    fn an_address_is_not_taken_from_a_transport_that_is_heard_there() {
        let now = Instant::now();
        let mut demux = two(now);
        let check = stun(0x0001, 7, Some("two:peer"));
        assert_eq!(demux.find(now + SILENT / 2, remote(1), &check), Destination::Taken);
        demux.heard(now + SILENT / 2, 1, remote(1));
        assert_eq!(demux.find(now + SILENT, remote(1), &check), Destination::Taken);
        assert_eq!(demux.find(now + 2 * SILENT, remote(1), &check), Destination::Claimant(2), "silent");
        demux.heard(now + 2 * SILENT, 2, remote(1));
        assert_eq!(demux.find(now + 2 * SILENT, remote(1), &DTLS), Destination::Owner(2));
        demux.leave(1);
        assert_eq!(
            demux.find(now + 2 * SILENT, remote(1), &DTLS),
            Destination::Owner(2),
            "it is no longer of 1"
        );
    }

    #[test]
    fn what_a_transport_had_is_free_when_it_has_ended() {
        let now = Instant::now();
        let mut demux = two(now);
        assert!(!demux.enter(2, "one"), "of another");
        assert!(demux.enter(1, "one"), "its own");
        demux.leave(1);
        assert_eq!(demux.find(now, remote(1), &DTLS), Destination::Nobody);
        assert!(demux.enter(2, "one"));
        assert_eq!(demux.find(now, remote(1), &stun(0x0001, 7, Some("two:peer"))), Destination::Claimant(2));
        demux.leave(2);
        assert!(demux.is_empty() && demux.ufrags.is_empty() && demux.remotes.is_empty());
    }

    #[test]
    fn the_tables_are_bounded() {
        let now = Instant::now();
        let mut demux = two(now);
        for number in 0..100 {
            let later = now + Duration::from_millis(number);
            demux.heard(later, 1, remote(1)); // this one is in use all the time
            demux.heard(later, 1, remote(1000 + number as u16));
            demux.enter(1, &format!("more{number}"));
        }
        assert_eq!(demux.remotes.len(), MAX_REMOTES);
        assert_eq!(demux.users[&1].remotes.len(), MAX_REMOTES);
        assert_eq!(demux.find(now, remote(1), &DTLS), Destination::Owner(1));
        assert_eq!(demux.ufrags.len(), MAX_UFRAGS + 1);
        for number in 0..MAX_ASKED as u32 + 10 {
            let mut request = stun(0x0001, 0, None);
            request[8..12].copy_from_slice(&number.to_be_bytes());
            demux.sent(now, 1, &request);
        }
        assert_eq!((demux.asked.len(), demux.asked_at.len()), (MAX_ASKED, MAX_ASKED));
    }

    #[test]
    fn no_bytes_are_too_odd() {
        let demux = two(Instant::now());
        let good = stun(0x0001, 7, Some("two:peer"));
        for length in 0..good.len() {
            demux.find(Instant::now(), remote(5), &good[..length]);
        }
        let mut bad = good.clone();
        for at in 0..bad.len() {
            for value in [0, 0x7f, 0xff] {
                bad[at] = value;
                demux.find(Instant::now(), remote(5), &bad);
            }
            bad[at] = good[at];
        }
    }
}
