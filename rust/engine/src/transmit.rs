//! Outgoing datagrams: single ones (STUN, handshakes, alerts), and batches of equal size for the kernel's GSO.

use std::net::SocketAddr;

/// The way of a datagram: from or to a socket of this side (`local`), to or from an address of the network (`remote`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// One datagram to send.
#[derive(Debug)]
pub struct Datagram {
    pub route: Route,
    pub bytes: Vec<u8>,
}

/// The most that the kernel takes as one GSO send: 64 segments, and less than 64 KiB with all headers.
const MAX_SEGMENTS: usize = 64;
pub(crate) const MAX_BYTES: usize = 64_000;
/// Every outgoing datagram fits.
const MIN_ROOM: usize = 1500;

/// Datagrams for one destination, one after the other; all of `segment` bytes except the last, which may be shorter.
///
/// The caller owns it and uses it again, so that steady sending allocates nothing.
pub struct Batch {
    pub route: Route,
    bytes: Vec<u8>,
    used: usize,
    segment: usize,
    count: usize,
    max_segments: usize,
}

impl Batch {
    /// `max_segments`: what the network takes at once (1: no segmentation offload).
    pub fn new(max_segments: usize) -> Batch {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Batch {
            route: Route { local: nowhere, remote: nowhere },
            bytes: Vec::new(),
            used: 0,
            segment: 0,
            count: 0,
            max_segments: max_segments.clamp(1, MAX_SEGMENTS),
        }
    }

    /// All datagrams, one after the other.
    pub fn contents(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// The size of each but the last; None when there is only one.
    pub fn segment(&self) -> Option<usize> {
        (self.count > 1).then_some(self.segment)
    }

    /// The datagrams, one by one.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.contents().chunks(self.segment.max(1))
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn start(&mut self, route: Route) {
        self.route = route;
        self.used = 0;
        self.segment = 0;
        self.count = 0;
    }

    /// Room for one more datagram of at most `size` bytes, or None when it has to wait for the next batch.
    pub(crate) fn room(&mut self, size: usize) -> Option<&mut [u8]> {
        let full = self.count >= self.max_segments
            || self.used + size > MAX_BYTES
            || self.used != self.segment * self.count;
        if self.count > 0 && full {
            return None;
        }
        let needed = self.used + size.max(MIN_ROOM);
        if self.bytes.len() < needed {
            self.bytes.resize(needed, 0);
        }
        Some(&mut self.bytes[self.used..])
    }

    /// The largest datagram that may follow.
    pub(crate) fn segment_limit(&self) -> usize {
        if self.count == 0 { usize::MAX } else { self.segment }
    }

    /// `size` bytes, at most [`Batch::segment_limit`], were written where [`Batch::room`] pointed.
    pub(crate) fn push(&mut self, size: usize) {
        debug_assert!(size <= self.segment_limit());
        if self.count == 0 {
            self.segment = size;
        }
        self.used += size;
        self.count += 1;
    }

    pub(crate) fn put(&mut self, datagram: &Datagram) {
        self.start(datagram.route);
        let size = datagram.bytes.len();
        if let Some(room) = self.room(size) {
            room[..size].copy_from_slice(&datagram.bytes);
            self.push(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        Route { local: ([127, 0, 0, 1], 1).into(), remote: ([127, 0, 0, 1], 2).into() }
    }

    fn add(batch: &mut Batch, size: usize) -> bool {
        let fits = size <= batch.segment_limit() && batch.room(size).is_some();
        if fits {
            batch.push(size);
        }
        fits
    }

    #[test]
    fn a_batch_takes_equal_sizes_and_one_shorter_at_the_end() {
        let mut batch = Batch::new(8);
        batch.start(route());
        assert!(add(&mut batch, 100));
        assert_eq!(batch.segment(), None);
        assert!(add(&mut batch, 100));
        assert!(!add(&mut batch, 101), "a longer datagram waits for the next batch");
        assert!(add(&mut batch, 40));
        assert!(!add(&mut batch, 40), "nothing may follow a shorter one");
        assert_eq!(batch.segment(), Some(100));
        assert_eq!(batch.datagrams().map(<[u8]>::len).collect::<Vec<_>>(), [100, 100, 40]);
    }

    #[test]
    fn a_batch_is_bounded_in_count_and_bytes() {
        let mut batch = Batch::new(3);
        batch.start(route());
        assert!((0..10).filter(|_| add(&mut batch, 10)).count() == 3);
        let mut batch = Batch::new(64);
        batch.start(route());
        let taken = (0..64).filter(|_| add(&mut batch, 1200)).count();
        assert_eq!(taken, MAX_BYTES / 1200);
    }
}
