//! Emulates a link between two tun devices in real time: one is standard input, the other standard output.
//!
//! `emulator MBIT DELAY_MS QUEUE_BYTES LOSS SEED`. Packets from the first to the second wait for the rate, those that
//! come back only for the delay. Both are lost as often, behind the queue. It ends when a device ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use adieu_links::{Fate, Link, Numbers, Path};

/// The largest packet of a tun device.
const PACKET: usize = 65_536;

type Waiting = BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>;

#[derive(Default)]
struct UnderWay {
    packets: Mutex<Waiting>,
    news: Condvar,
}

impl UnderWay {
    fn put(&self, at: Instant, order: u64, packet: Vec<u8>) {
        self.packets.lock().unwrap_or_else(PoisonError::into_inner).push(Reverse((at, order, packet)));
        self.news.notify_one();
    }

    /// Wait until a packet is due, and give it.
    fn next(&self) -> Vec<u8> {
        let mut packets = self.packets.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            let wait = packets.peek().map(|Reverse((at, ..))| at.saturating_duration_since(now));
            if wait.is_some_and(|wait| wait.is_zero())
                && let Some(Reverse((.., packet))) = packets.pop()
            {
                return packet;
            }
            let wait = wait.unwrap_or(Duration::from_secs(1));
            packets = self.news.wait_timeout(packets, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Take packets from a device, and put those that survive under way.
fn read(mut device: &File, link: &Link, under_way: &UnderWay, seed: u64) -> io::Result<()> {
    let (mut path, mut numbers) = (Path::default(), Numbers::new(seed));
    let mut packet = vec![0; PACKET];
    for order in 0.. {
        let size = device.read(&mut packet)?;
        if let Fate::Arrives { at, .. } = path.send(link, Instant::now(), size, &mut numbers) {
            under_way.put(at, order, packet[..size].to_vec());
        }
    }
    Ok(())
}

fn write(mut device: &File, under_way: &UnderWay) {
    loop {
        // A device whose other end is gone refuses packets: they are lost.
        let _ = device.write(&under_way.next());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<f64> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [mbit, delay, queue, loss, seed] = given[..] else {
        return Err("usage: emulator MBIT DELAY_MS QUEUE_BYTES LOSS SEED".into());
    };
    let back = Link {
        late_loss: loss,
        delay: Duration::from_secs_f64(delay / 1e3),
        ordered: true,
        ..Link::default()
    };
    let forth = Link { rate: Some(mbit * 1e6 / 8.0), queue: queue as usize, ..back };
    let near = Arc::new(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    let far = Arc::new(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    let mut readers = Vec::new();
    for (link, from, to, seed) in [(forth, &near, &far, seed as u64), (back, &far, &near, seed as u64 + 1)] {
        let (from, to, under_way) = (from.clone(), to.clone(), Arc::<UnderWay>::default());
        let waiting = under_way.clone();
        thread::spawn(move || write(&to, &waiting));
        readers.push(thread::spawn(move || read(&from, &link, &under_way, seed)));
    }
    for reader in readers {
        reader.join().map_err(|_| "a reader panicked")??;
    }
    Ok(())
}
