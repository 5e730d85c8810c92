//! The log of the engines on its way up.
//!
//! While lines are wanted, the logger of this library keeps them on the thread of the hub. The hub passes them to the
//! event queue of the connection that it was working on. Nothing is written here, and nothing waits: lines beyond a
//! bound are counted and left out.

use std::cell::RefCell;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use adieu_engine::lines::LAYERS;
use log::{LevelFilter, Log, Metadata, Record};

/// Lines that may wait in one event queue.
pub const MAX_WAITING: u64 = 4096;
/// Lines of one turn of a connection.
const MAX_KEPT: usize = 256;
/// Bytes of one line.
const MAX_TEXT: usize = 400;

/// One line of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub layer: &'static str,
    pub text: String,
}

thread_local! {
    static KEPT: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

struct Collector;

impl Log for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        layer(metadata.target()).is_some()
    }

    fn log(&self, record: &Record<'_>) {
        let Some(layer) = layer(record.target()) else { return };
        let mut text = record.args().to_string();
        if text.len() > MAX_TEXT {
            let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at));
            text.truncate(end.unwrap_or(0));
            text.push_str("...");
        }
        KEPT.with_borrow_mut(|kept| {
            if kept.len() < MAX_KEPT {
                kept.push(Line { layer, text });
            }
        });
    }

    fn flush(&self) {}
}

/// The static name of a layer; None for the lines of other crates, which may hold secrets.
fn layer(target: &str) -> Option<&'static str> {
    LAYERS.into_iter().find(|layer| *layer == target)
}

/// Whether the engines log from now on: of all connections of the process.
pub fn set_wanted(wanted: bool) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // A program in Rust that has a logger of its own keeps it.
        let _ = log::set_logger(&Collector);
    });
    log::set_max_level(if wanted { LevelFilter::Debug } else { LevelFilter::Off });
}

#[inline]
pub fn are_wanted() -> bool {
    log::max_level() != LevelFilter::Off
}

/// Take the lines of this thread, oldest first.
pub fn take() -> Vec<Line> {
    KEPT.with_borrow_mut(std::mem::take)
}

/// Bound of the lines that wait in one event queue.
#[derive(Debug, Default)]
pub struct Waiting {
    count: AtomicU64,
    left_out: AtomicU64,
}

impl Waiting {
    /// Ask for the place of one line. The number of those that were left out before it; None: it is left out too.
    pub fn enter(&self) -> Option<u64> {
        if self.count.load(Ordering::Relaxed) >= MAX_WAITING {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        Some(self.left_out.swap(0, Ordering::Relaxed))
    }

    /// Free the place of one line: it was taken from the queue.
    pub fn leave(&self) {
        // One too many would close the log for ever.
        let _ = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_crates_are_not_kept() {
        for target in ["is::agent", "dcsctp", "dimpl::dtls13", "adieu_io::hub", "adieu"] {
            assert_eq!(layer(target), None, "{target}");
        }
        assert_eq!(layer("adieu.ice"), Some("adieu.ice"));
    }

    #[test]
    fn a_full_queue_counts_what_it_leaves_out_and_says_so_with_the_next_line() {
        let waiting = Waiting::default();
        assert!((0..MAX_WAITING).all(|_| waiting.enter() == Some(0)));
        assert_eq!((waiting.enter(), waiting.enter()), (None, None));
        waiting.leave();
        assert_eq!(waiting.enter(), Some(2));
        waiting.leave();
        assert_eq!(waiting.enter(), Some(0));
    }

    #[test]
    fn a_long_line_is_cut_between_two_characters() {
        set_wanted(true);
        log::debug!(target: "adieu.ice", "{}", "é".repeat(1000));
        log::info!(target: "dcsctp", "a packet in hexadecimal");
        set_wanted(false);
        log::debug!(target: "adieu.ice", "nobody wants this");
        let lines = take();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text, format!("{}...", "é".repeat(200)));
        assert!(take().is_empty());
    }
}
