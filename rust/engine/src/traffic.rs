//! Counting what passes.

use std::time::Instant;

/// Datagrams and bytes, both ways, and when the last one passed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    pub packets_sent: u64,
    pub bytes_sent: u64,
    pub packets_received: u64,
    pub bytes_received: u64,
    pub last_sent: Option<Instant>,
    pub last_received: Option<Instant>,
}

impl Traffic {
    #[inline]
    pub(crate) fn sent(&mut self, now: Instant, packets: usize, bytes: usize) {
        self.packets_sent += packets as u64;
        self.bytes_sent += bytes as u64;
        self.last_sent = Some(now);
    }

    #[inline]
    pub(crate) fn received(&mut self, now: Instant, bytes: usize) {
        self.packets_received += 1;
        self.bytes_received += bytes as u64;
        self.last_received = Some(now);
    }
}
