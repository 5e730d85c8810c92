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
        Request { kind, transaction, bytes, start: now, sent: 0, is_reliable, renewals: 0 }
    }

    /// The same request with another nonce. None: it was renewed often enough.
    pub fn renew(self, now: Instant, transaction: Transaction, bytes: Vec<u8>) -> Option<Request> {
        let renewals = self.renewals + 1;
        (renewals <= MAX_RENEWALS).then_some(Request {
            transaction,
            bytes,
            start: now,
            sent: 0,
            renewals,
            ..self
        })
    }

    fn schedule(&self) -> Schedule {
        if self.kind == Kind::Release { RELEASE } else { PATIENT }
    }

    fn due(&self) -> Instant {
        let schedule = self.schedule();
        let again = schedule.again.get(self.sent.wrapping_sub(1)).filter(|_| !self.is_reliable);
        let after = if self.sent == 0 { 0 } else { again.copied().unwrap_or(schedule.end) };
        self.start + Duration::from_millis(after)
    }

    pub fn poll_timeout(&self) -> Instant {
        self.due()
    }

    pub fn handle_timeout(&mut self, now: Instant) -> Due<'_> {
        if now < self.due() {
            return Due::Nothing;
        }
        let tries = if self.is_reliable { 1 } else { 1 + self.schedule().again.len() };
        if self.sent >= tries {
            return Due::GiveUp;
        }
        self.sent += 1;
        Due::Send(&self.bytes)
    }
}
