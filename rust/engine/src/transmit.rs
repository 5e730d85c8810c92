//! Outgoing datagrams: single ones (STUN, handshakes, alerts), and batches of equal size for the kernel's GSO.

use std::net::SocketAddr;

/// The transport protocol of a candidate (RFC 8839 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Udp,
    /// RFC 6544.
    Tcp,
}

/// A pair of candidates as ICE sees it: an address of this side, and one of the peer. ICE, DTLS and the accounts of a
/// pair know routes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    pub protocol: Protocol,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// The protocol that carries the bytes of a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireTransport {
    Udp,
    Tcp,
    Tls,
}

/// How bytes really leave or come in: by which socket of this side (`local`), to or from which address of the network
/// (`remote`). The hub and its sockets know wires only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wire {
    pub transport: WireTransport,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl Route {
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Route {
        Route { protocol: Protocol::Udp, local, remote }
    }

    /// The wire of a route that needs no relay.
    #[inline]
    pub fn direct(self) -> Wire {
        let transport = match self.protocol {
            Protocol::Udp => WireTransport::Udp,
            Protocol::Tcp => WireTransport::Tcp,
        };
        Wire { transport, local: self.local, remote: self.remote }
    }
}

impl Wire {
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Wire {
        Wire { transport: WireTransport::Udp, local, remote }
    }

    /// The route of a datagram that comes in without a relay.
    #[inline]
    pub fn route(self) -> Route {
        let protocol = match self.transport {
            WireTransport::Udp => Protocol::Udp,
            WireTransport::Tcp | WireTransport::Tls => Protocol::Tcp,
        };
        Route { protocol, local: self.local, remote: self.remote }
    }
}

/// The bytes that a relay wants before each datagram (RFC 8656 sections 11.6 and 12.5).
#[derive(Clone, Debug)]
pub(crate) enum Head {
    None,
    /// ChannelData: the number and the length.
    Channel(u16),
    /// A Send indication up to its data, with both lengths left open. Padding follows the datagram.
    Indication(Vec<u8>),
}

/// How the packets of a route leave.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub route: Route,
    pub wire: Wire,
    pub head: Head,
}

/// The bytes that the length of a STUN message does not count.
const STUN_HEADER: usize = 20;
const CHANNEL_HEADER: usize = 4;

impl Head {
    #[inline]
    fn size(&self) -> usize {
        match self {
            Head::None => 0,
            Head::Channel(_) => CHANNEL_HEADER,
            Head::Indication(head) => head.len(),
        }
    }

    #[inline]
    fn padding(&self, size: usize) -> usize {
        match self {
            Head::None | Head::Channel(_) => 0,
            Head::Indication(_) => size.next_multiple_of(4) - size,
        }
    }

    /// Write the head before, and the padding behind, a datagram of `size` bytes that is there already. `out` begins with
    /// the room for the head.
    fn write(&self, out: &mut [u8], size: usize) {
        let length = (size as u16).to_be_bytes();
        match self {
            Head::None => {}
            Head::Channel(number) => {
                out[..2].copy_from_slice(&number.to_be_bytes());
                out[2..4].copy_from_slice(&length);
            }
            Head::Indication(head) => {
                let padding = self.padding(size);
                let message = (head.len() - STUN_HEADER + size + padding) as u16;
                out[..head.len()].copy_from_slice(head);
                out[2..4].copy_from_slice(&message.to_be_bytes());
                out[head.len() - 2..head.len()].copy_from_slice(&length);
                out[head.len() + size..head.len() + size + padding].fill(0);
            }
        }
    }

    /// A copy of a datagram with all that the relay wants.
    pub fn around(&self, bytes: &[u8]) -> Vec<u8> {
        let size = self.size();
        let mut out = vec![0; size + bytes.len() + self.padding(bytes.len())];
        out[size..size + bytes.len()].copy_from_slice(bytes);
        self.write(&mut out, bytes.len());
        out
    }
}

impl From<Route> for Path {
    /// A route without a relay.
    #[inline]
    fn from(route: Route) -> Path {
        Path { route, wire: route.direct(), head: Head::None }
    }
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

/// Datagrams for one wire, one after the other; all of `segment` bytes except the last, which may be shorter.
///
/// The caller owns it and uses it again, so that steady sending allocates nothing.
pub struct Batch {
    pub wire: Wire,
    /// The pair whose packets these are.
    pub(crate) route: Route,
    head: Head,
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
        let route = Route::udp(nowhere, nowhere);
        Batch {
            wire: route.direct(),
            route,
            head: Head::None,
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

    pub(crate) fn start(&mut self, path: Path) {
        self.wire = path.wire;
        self.route = path.route;
        self.head = path.head;
        self.used = 0;
        self.segment = 0;
        self.count = 0;
    }

    /// Room for one more datagram of at most `size` bytes, or None when it has to wait for the next batch.
    #[inline]
    pub(crate) fn room(&mut self, size: usize) -> Option<&mut [u8]> {
        let head = self.head.size();
        let whole = head + size + self.head.padding(size);
        let full = self.count >= self.max_segments
            || self.used + whole > MAX_BYTES
            || self.used != self.segment * self.count;
        if self.count > 0 && full {
            return None;
        }
        let needed = self.used + head + whole.max(MIN_ROOM);
        if self.bytes.len() < needed {
            self.bytes.resize(needed, 0);
        }
        Some(&mut self.bytes[self.used + head..])
    }

    /// The largest datagram that may follow.
    #[inline]
    pub(crate) fn segment_limit(&self) -> usize {
        if self.count == 0 { usize::MAX } else { self.segment - self.head.size() }
    }

    /// `size` bytes, at most [`Batch::segment_limit`], were written where [`Batch::room`] pointed.
    #[inline]
    pub(crate) fn push(&mut self, size: usize) {
        debug_assert!(size <= self.segment_limit());
        let whole = self.head.size() + size + self.head.padding(size);
        if !matches!(self.head, Head::None) {
            self.head.write(&mut self.bytes[self.used..], size);
        }
        if self.count == 0 {
            self.segment = whole;
        }
        self.used += whole;
        self.count += 1;
    }

    /// The bytes of the datagrams, without those that a relay wants.
    #[inline]
    pub(crate) fn payload(&self) -> usize {
        self.used - self.count * self.head.size()
    }

    pub(crate) fn put(&mut self, path: Path, bytes: &[u8]) {
        self.start(path);
        let size = bytes.len();
        if let Some(room) = self.room(size) {
            room[..size].copy_from_slice(bytes);
            self.push(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        Route::udp(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into())
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
        batch.start(route().into());
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
        batch.start(route().into());
        assert!((0..10).filter(|_| add(&mut batch, 10)).count() == 3);
        let mut batch = Batch::new(64);
        batch.start(route().into());
        let taken = (0..64).filter(|_| add(&mut batch, 1200)).count();
        assert_eq!(taken, MAX_BYTES / 1200);
    }
    #[test]
    fn packets_of_a_channel_lie_behind_their_heads_and_nothing_is_copied() {
        let mut batch = Batch::new(8);
        let path = |head| Path { route: route(), wire: route().direct(), head };
        batch.start(path(Head::Channel(0x4001)));
        for (size, byte) in [(5, 1), (5, 2), (3, 3)] {
            assert!(size <= batch.segment_limit());
            batch.room(size).expect("room")[..size].fill(byte);
            batch.push(size);
        }
        assert!(batch.room(1).is_none(), "nothing may follow a shorter one");
        let datagrams: Vec<&[u8]> = batch.datagrams().collect();
        assert_eq!(datagrams[0], [0x40, 1, 0, 5, 1, 1, 1, 1, 1]);
        assert_eq!(datagrams[2], [0x40, 1, 0, 3, 3, 3, 3]);
        assert_eq!((batch.segment(), batch.payload()), (Some(9), 13));
    }

    #[test]
    fn an_indication_has_both_lengths_and_its_padding() {
        let head = vec![7; STUN_HEADER + 16];
        let framed = Head::Indication(head.clone()).around(&[1; 6]);
        assert_eq!(framed.len(), head.len() + 8);
        assert_eq!(framed[2..4], [0, 24]);
        assert_eq!(framed[34..36], [0, 6]);
        assert_eq!(framed[36..], [1, 1, 1, 1, 1, 1, 0, 0]);
        let mut batch = Batch::new(8);
        batch.put(Path { head: Head::Indication(head), ..route().into() }, &[1; 6]);
        assert_eq!(batch.contents(), framed);
    }
}
