//! One request to a server, with its clock: sent again until it is answered or given up.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::message::Transaction;

/// The purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Allocate,
    Refresh,
    /// Refresh with a lifetime of 0.
    Release,
    Permission(IpAddr),
    Channel {
        peer: SocketAddr,
        number: u16,
    },
}

/// The times, after the first, at which a request is sent again, and the time at which it is given up.
struct Schedule {
    again: &'static [u64],
    end: u64,
}

/// RFC 8489 section 6.2.1, cut to five tries, as the gathering of STUN is.
const PATIENT: Schedule = Schedule { again: &[500, 1500, 3500, 7500], end: 9500 };
/// A program that closes does not wait long, and the server is near: a lost one is sent again soon. The end is before
/// the hub's own, which is at 2 s.
const RELEASE: Schedule = Schedule { again: &[100, 200, 400, 800], end: 1900 };

/// How often a server may ask for another nonce for the same request.
const MAX_RENEWALS: u32 = 4;

pub(super) struct Request {
    pub kind: Kind,
    pub transaction: Transaction,
    bytes: Vec<u8>,
    start: Instant,
    /// When it is given up.
    end: Instant,
    sent: usize,
    /// The wire delivers by itself (RFC 8489 section 6.2.2).
    is_reliable: bool,
    renewals: u32,
}

/// The next thing that a request wants.
pub(super) enum Due<'a> {
    Nothing,
    Send(&'a [u8]),
    GiveUp,
}

impl Request {
    pub fn new(
        now: Instant,
        kind: Kind,
        transaction: Transaction,
        bytes: Vec<u8>,
        is_reliable: bool,
    ) -> Request {
        let end = now + Duration::from_millis(schedule(kind).end);
        Request { kind, transaction, bytes, start: now, end, sent: 0, is_reliable, renewals: 0 }
    }

    /// The same request with another nonce. None: it was renewed often enough. A release is given up when it would have
    /// been without: its program waits for the end.
    pub fn renew(self, now: Instant, transaction: Transaction, bytes: Vec<u8>) -> Option<Request> {
        let renewals = self.renewals + 1;
        let anew = now + Duration::from_millis(schedule(self.kind).end);
        let end = if self.kind == Kind::Release { self.end } else { anew };
        (renewals <= MAX_RENEWALS).then_some(Request {
            transaction,
            bytes,
            start: now,
            end,
            sent: 0,
            renewals,
            ..self
        })
    }

    fn due(&self) -> Instant {
        if self.sent == 0 {
            return self.start;
        }
        let again = schedule(self.kind).again.get(self.sent - 1).filter(|_| !self.is_reliable);
        again.map_or(self.end, |after| self.end.min(self.start + Duration::from_millis(*after)))
    }

    pub fn poll_timeout(&self) -> Instant {
        self.due()
    }

    pub fn handle_timeout(&mut self, now: Instant) -> Due<'_> {
        if now < self.due() {
            return Due::Nothing;
        }
        let tries = if self.is_reliable { 1 } else { 1 + schedule(self.kind).again.len() };
        if self.sent >= tries || (self.sent > 0 && now >= self.end) {
            return Due::GiveUp;
        }
        self.sent += 1;
        Due::Send(&self.bytes)
    }
}

fn schedule(kind: Kind) -> Schedule {
    if kind == Kind::Release { RELEASE } else { PATIENT }
}
