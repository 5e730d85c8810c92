//! The users of the secure path, and whose turn it is to send: the data channels, and media.

use std::time::Instant;

use crate::secure::Secure;
use crate::transmit::{Batch, MAX_BYTES};

/// Bytes that a tenant may send before the others have their turn: one full batch.
const BUDGET: usize = MAX_BYTES;

/// A user of the secure path that has packets to send.
pub trait Tenant {
    /// Fill `batch` with the packets that are to leave next. False: nothing waits.
    ///
    /// While the peer does not consent nothing may leave and nothing may pile up (RFC 7675): it is thrown away.
    fn poll_transmit(&mut self, now: Instant, secure: &mut Secure, batch: &mut Batch) -> bool;
}

/// The turns of tenants: each sends its budget, or all it has, and then the next one.
#[derive(Debug, Default)]
pub struct Turns {
    at: usize,
    /// Bytes that the tenant `at` has sent in its turn.
    sent: usize,
}

impl Turns {
    /// Fill `batch` with packets of the tenant in turn. False: no tenant has packets.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        tenants: &mut [&mut dyn Tenant],
        secure: &mut Secure,
        batch: &mut Batch,
    ) -> bool {
        for _ in 0..tenants.len() {
            if self.sent >= BUDGET {
                self.pass_on(tenants.len());
            }
            if tenants[self.at].poll_transmit(now, secure, batch) {
                self.sent += batch.contents().len();
                return true;
            }
            self.pass_on(tenants.len());
        }
        false
    }

    fn pass_on(&mut self, tenants: usize) {
        self.at = (self.at + 1) % tenants;
        self.sent = 0;
    }
}
