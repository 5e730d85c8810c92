//! Instructions and allocations per packet: our engine beside the leanest direct use of the same crates.
//!
//! `engine-bench ours|baseline BYTES MESSAGES` runs two ends in memory: one sends, the other receives. Everything
//! between the calls of `steady_state` is set-up; callgrind counts only what is inside it, and so does the allocator.

mod baseline;
mod ours;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

struct Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTING.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if IS_COUNTING.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Datagrams under way in one direction, without an allocation for each.
#[derive(Default)]
pub struct Wire {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Wire {
    pub fn put(&mut self, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push(self.bytes.len());
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Two connected ends, the first of which sends on one channel.
pub trait Ends {
    /// Queue a message at the sender.
    fn send(&mut self, now: Instant, payload: Vec<u8>);
    /// Payload bytes that wait at the sender.
    fn buffered(&mut self) -> usize;
    /// One exchange: what the sender has to say goes to the receiver, its answer back. False: nothing moved.
    fn exchange(&mut self, now: Instant) -> bool;
    /// Messages that have arrived.
    fn received(&self) -> u64;
    /// Datagrams both ways so far.
    fn packets(&self) -> u64;
}

/// Messages of this size wait at the sender at most.
const QUEUE: usize = 1 << 20;

#[inline(never)]
#[unsafe(no_mangle)]
pub fn steady_state(ends: &mut dyn Ends, now: &mut Instant, size: usize, messages: u64) {
    let target = ends.received() + messages;
    let mut queued = 0;
    while ends.received() < target {
        while queued < messages && ends.buffered() < QUEUE {
            ends.send(*now, vec![0; size]);
            queued += 1;
        }
        while ends.exchange(*now) {
            *now += Duration::from_micros(50);
        }
        *now += Duration::from_millis(1);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (Some(kind), Some(Ok(size)), Some(Ok(messages))) =
        (arguments.get(1), arguments.get(2).map(|text| text.parse()), arguments.get(3).map(|text| text.parse()))
    else {
        eprintln!("usage: engine-bench ours|baseline BYTES MESSAGES");
        std::process::exit(2);
    };
    let mut now = Instant::now();
    let mut ends: Box<dyn Ends> = match kind.as_str() {
        "ours" => Box::new(ours::connect(&mut now)),
        "baseline" => Box::new(baseline::connect(&mut now)),
        _ => std::process::exit(2),
    };
    // The congestion window opens before anything is counted.
    warm_up(&mut *ends, &mut now, size);
    let packets = ends.packets();
    IS_COUNTING.store(true, Ordering::Relaxed);
    let started = Instant::now();
    steady_state(&mut *ends, &mut now, size, messages);
    let time = started.elapsed();
    IS_COUNTING.store(false, Ordering::Relaxed);
    let packets = ends.packets() - packets;
    println!(
        "{{\"kind\": \"{kind}\", \"bytes\": {size}, \"messages\": {messages}, \"packets\": {packets}, \"allocations\": {}, \"seconds\": {}}}",
        ALLOCATIONS.load(Ordering::Relaxed),
        time.as_secs_f64(),
    );
}

/// The same work under another name, so that callgrind does not count it.
#[inline(never)]
fn warm_up(ends: &mut dyn Ends, now: &mut Instant, size: usize) {
    let target = ends.received() + (4 << 20) / size as u64;
    while ends.received() < target {
        while ends.buffered() < QUEUE {
            ends.send(*now, vec![0; size]);
        }
        while ends.exchange(*now) {
            *now += Duration::from_micros(50);
        }
        *now += Duration::from_millis(1);
    }
    // What is still queued arrives before the count begins.
    while ends.exchange(*now) || ends.buffered() > 0 {
        *now += Duration::from_micros(50);
    }
}
