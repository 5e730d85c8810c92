//! Captures of connections in a file that Wireshark reads (pcapng), for debugging.
//!
//! The I/O thread copies each datagram into a bounded queue; a thread of the capture writes them. When the disk is too
//! slow or the file is full, datagrams are missing in the file and counted; the connection does not wait.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use adieu_engine::{Batch, Wire};

/// Records and bytes that wait for the disk.
const MAX_WAITING: usize = 16_384;
const MAX_WAITING_BYTES: usize = 16 << 20;

/// LINKTYPE_RAW: packets begin with their IPv4 or IPv6 header.
const LINK_RAW: u16 = 101;
/// LINKTYPE_SCTP: packets begin with their SCTP header.
const LINK_SCTP: u16 = 248;
const UDP: u8 = 17;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    In = 1,
    Out = 2,
}

/// A file that is written; closed with its last owner, or by [`Capture::close`].
pub struct Capture {
    sender: Mutex<Option<SyncSender<Record>>>,
    thread: Mutex<Option<JoinHandle<io::Result<()>>>>,
    counts: Arc<Counts>,
    /// The same moment on both clocks.
    start: (Instant, Duration),
    /// Whether the decrypted packets are written, too.
    pub has_contents: bool,
}

#[derive(Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    written: AtomicU64,
    dropped: AtomicU64,
}

struct Record {
    at: Duration,
    direction: Direction,
    /// None: a decrypted packet of SCTP.
    path: Option<(SocketAddr, SocketAddr)>,
    bytes: Vec<u8>,
}

impl Capture {
    /// Make the file, which only its owner can read, and start the thread that writes it.
    pub fn start(path: &Path, max_bytes: u64, has_contents: bool) -> io::Result<Capture> {
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.write(true).create(true).truncate(true).open(path)?;
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let counts = Arc::new(Counts::default());
        let thread_counts = counts.clone();
        let write = move || write_all(file, &receiver, &thread_counts, max_bytes);
        let thread = std::thread::Builder::new().name("adieu-capture".into()).spawn(write)?;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Capture {
            sender: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            counts,
            start: (Instant::now(), wall),
            has_contents,
        })
    }

    pub fn received(&self, now: Instant, wire: Wire, datagram: &[u8]) {
        self.put(now, Direction::In, Some((wire.remote, wire.local)), datagram);
    }

    pub fn sent(&self, now: Instant, batch: &Batch) {
        for datagram in batch.datagrams() {
            self.put(now, Direction::Out, Some((batch.wire.local, batch.wire.remote)), datagram);
        }
    }

    /// A packet of SCTP, before it was encrypted or after it was decrypted.
    pub fn plain(&self, now: Instant, direction: Direction, packet: &[u8]) {
        self.put(now, direction, None, packet);
    }

    fn put(&self, now: Instant, direction: Direction, path: Option<(SocketAddr, SocketAddr)>, bytes: &[u8]) {
        let at = self.start.1 + now.saturating_duration_since(self.start.0);
        let sender = lock(&self.sender);
        let Some(sender) = sender.as_ref() else { return };
        let has_room = self.counts.waiting_bytes.load(Ordering::Relaxed) + bytes.len() <= MAX_WAITING_BYTES;
        let record = Record { at, direction, path, bytes: bytes.to_vec() };
        if has_room && sender.try_send(record).is_ok() {
            self.counts.waiting_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        } else {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Packets in the file, and packets that are missing in it.
    pub fn counts(&self) -> (u64, u64) {
        (self.counts.written.load(Ordering::Relaxed), self.counts.dropped.load(Ordering::Relaxed))
    }

    /// Write what waits, and close the file. The error is the first one of the disk.
    pub fn close(&self) -> io::Result<()> {
        lock(&self.sender).take();
        let Some(thread) = lock(&self.thread).take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread of the capture has panicked")))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_all(file: File, records: &Receiver<Record>, counts: &Counts, max_bytes: u64) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    let header = header();
    out.write_all(&header)?;
    let mut size = header.len() as u64;
    loop {
        let record = match records.try_recv() {
            Ok(record) => record,
            Err(TryRecvError::Empty) => {
                out.flush()?; // whoever looks at the file while it grows sees whole packets
                let Ok(record) = records.recv() else { break };
                record
            }
            Err(TryRecvError::Disconnected) => break,
        };
        // The counter may lag behind the queue for a moment: it must not wrap.
        let waiting = &counts.waiting_bytes;
        let length = record.bytes.len();
        let _ = waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| Some(all.saturating_sub(length)));
        let block = packet(&record);
        if size + block.len() as u64 > max_bytes {
            counts.dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        out.write_all(&block)?;
        size += block.len() as u64;
        counts.written.fetch_add(1, Ordering::Relaxed);
    }
    out.flush()
}

// --- the format: draft-ietf-opsawg-pcapng ---------------------------------------------------------------------------

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let size = (12 + body.len().next_multiple_of(4)) as u32;
    let mut out = Vec::with_capacity(size as usize);
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(body);
    out.resize(size as usize - 4, 0);
    out.extend_from_slice(&size.to_le_bytes());
    out
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The section, and two interfaces: datagrams, and decrypted packets.
fn header() -> Vec<u8> {
    let mut section = Vec::from(0x1A2B_3C4D_u32.to_le_bytes());
    section.extend_from_slice(&[1, 0, 0, 0]);
    section.extend_from_slice(&(-1_i64).to_le_bytes());
    let mut out = block(0x0A0D_0D0A, &section);
    for (link, name) in [(LINK_RAW, "datagrams"), (LINK_SCTP, "decrypted")] {
        let mut interface = Vec::from(link.to_le_bytes());
        interface.extend_from_slice(&[0; 6]);
        option(&mut interface, 2, name.as_bytes());
        option(&mut interface, 9, &[9]); // if_tsresol: nanoseconds
        option(&mut interface, 0, &[]);
        out.extend(block(1, &interface));
    }
    out
}

fn packet(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(record.bytes.len() + 48);
    if let Some((from, to)) = record.path {
        write_headers(&mut bytes, from, to, &record.bytes);
    }
    bytes.extend_from_slice(&record.bytes);
    let at = record.at.as_nanos() as u64;
    let mut body = Vec::with_capacity(bytes.len() + 40);
    body.extend_from_slice(&u32::from(record.path.is_none()).to_le_bytes());
    body.extend_from_slice(&((at >> 32) as u32).to_le_bytes());
    body.extend_from_slice(&(at as u32).to_le_bytes());
    body.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    body.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    body.extend_from_slice(&bytes);
    body.resize(body.len().next_multiple_of(4), 0);
    option(&mut body, 2, &(record.direction as u32).to_le_bytes());
    option(&mut body, 0, &[]);
    block(6, &body)
}

/// The headers that the system has put before the datagram, or taken away: IP (RFC 791, RFC 8200) and UDP (RFC 768).
fn write_headers(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
    let length = (8 + payload.len()) as u16;
    let mut udp = [from.port(), to.port(), length, 0].map(u16::to_be_bytes).concat();
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0];
            header.extend_from_slice(&(20 + length).to_be_bytes());
            header.extend_from_slice(&[0, 0, 0x40, 0, 64, UDP, 0, 0]);
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            out.extend_from_slice(&header); // a UDP checksum of 0: none was computed
        }
        (from, to) => {
            let octets = |ip| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let (from, to) = (octets(from), octets(to));
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&[UDP, 64]);
            out.extend_from_slice(&from);
            out.extend_from_slice(&to);
            let pseudo = [&[0, 0][..], &length.to_be_bytes(), &[0, 0, 0, UDP]].concat();
            let sum = match checksum(&[&from, &to, &pseudo, &udp, payload]) {
                0 => 0xffff,
                sum => sum,
            };
            udp[6..8].copy_from_slice(&sum.to_be_bytes());
        }
    }
    out.extend_from_slice(&udp);
}

/// RFC 1071. Every part but the last has an even size.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 =
        words.map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire() -> Wire {
        Wire::udp("192.0.2.7:5000".parse().expect("address"), "192.0.2.9:6000".parse().expect("address"))
    }

    fn captured(max_bytes: u64, fill: impl FnOnce(&Capture)) -> (Vec<u8>, (u64, u64)) {
        let name = format!("adieu-capture-{}-{max_bytes}.pcapng", std::process::id());
        let path = std::env::temp_dir().join(name);
        let capture = Capture::start(&path, max_bytes, true).expect("a file");
        fill(&capture);
        capture.close().expect("written");
        let bytes = std::fs::read(&path).expect("read");
        std::fs::remove_file(&path).expect("removed");
        (bytes, capture.counts())
    }

    #[test]
    fn every_block_says_its_size_at_both_ends() {
        let now = Instant::now();
        let (bytes, counts) = captured(1 << 20, |capture| {
            for size in 0..9 {
                capture.received(now, wire(), &vec![7; size]);
                capture.plain(now, Direction::Out, &vec![7; size]);
            }
        });
        let (mut rest, mut blocks) = (&bytes[..], 0);
        while !rest.is_empty() {
            let size = u32::from_le_bytes(rest[4..8].try_into().expect("four")) as usize;
            assert_eq!(rest[size - 4..size], rest[4..8]);
            rest = &rest[size..];
            blocks += 1;
        }
        assert_eq!((blocks, counts), (3 + 18, (18, 0)));
    }

    #[test]
    fn a_full_file_takes_no_more_and_says_how_many_are_missing() {
        let now = Instant::now();
        let (bytes, (written, dropped)) = captured(10_000, |capture| {
            (0..100).for_each(|_| capture.received(now, wire(), &[7; 1000]));
        });
        assert!(bytes.len() <= 10_000 && written == 9 && dropped == 91, "{written} {dropped}");
    }

    #[test]
    fn a_path_that_cannot_be_written_is_an_error() {
        assert!(Capture::start(Path::new("/nowhere/at/all.pcapng"), 1, false).is_err());
    }

    #[test]
    fn the_checksums_are_right() {
        let mut out = Vec::new();
        write_headers(&mut out, wire().local, wire().remote, b"odd");
        assert_eq!(checksum(&[&out[..20]]), 0, "a header with its checksum sums up to nothing");
    }
}
