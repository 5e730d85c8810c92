//! The pictures of one stream of the peer: packets in, frames out, and what to ask the peer for.

use std::time::{Duration, Instant};

use super::assemble::{Assembly, Inserted, Piece, Whole};
use super::repair::{Arrival, Repair};

/// The shortest time between two wishes for a key frame.
const KEY_INTERVAL: Duration = Duration::from_millis(300);
/// How long a wish waits while a key frame is on its way already.
const KEY_COMING: Duration = Duration::from_millis(50);

/// A peer that has sent nothing for so long is asked for nothing.
const SILENT: Duration = Duration::from_secs(2);

/// Requests to the peer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asks {
    pub lost: Vec<u64>,
    pub key: bool,
}

pub struct Video {
    repair: Repair,
    pub assembly: Assembly,
    /// When a key frame is asked for, unless one comes before.
    key_due: Option<Instant>,
    key_asked: Option<Instant>,
    has_begun: bool,
    /// The arrival of the last packet.
    heard: Instant,
    /// The time from the first to the last packet of frames with several, all together.
    pub several: (u64, Duration),
    began: Option<(u64, Instant)>,
    pub id: u64,
    pub discarded: u64,
}

impl Video {
    /// `id`: of the frame that was handed up last.
    pub fn new(now: Instant, id: u64) -> Video {
        Video {
            repair: Repair::default(),
            assembly: Assembly::default(),
            key_due: None,
            key_asked: None,
            has_begun: false,
            heard: now,
            several: (0, Duration::ZERO),
            began: None,
            id,
            discarded: 0,
        }
    }

    /// Take a packet. `again`: in the stream of repairs. Returns a round trip, if one was measured by it.
    pub fn insert(&mut self, now: Instant, (index, again): (u64, bool), piece: Piece) -> Option<Duration> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        self.heard = now;
        if self.began.is_none_or(|(timestamp, _)| timestamp < piece.timestamp) {
            self.began = Some((piece.timestamp, now));
        }
        let mut measured = None;
        match self.repair.arrived(now, index, again) {
            Arrival::Taken(round_trip) => measured = round_trip,
            Arrival::Jump => self.assembly.restart(index),
        }
        match self.assembly.insert(index, piece) {
            Inserted::Taken { earlier } => {
                earlier.into_iter().for_each(|range| self.repair.expect(now, range))
            }
            Inserted::Late => self.discarded += 1,
            Inserted::Full => self.repair = Repair::default(),
        }
        if is_first && self.key_due.is_none() {
            // A stream begins with a key frame; its first packets may be overtaken.
            let wait = if self.assembly.has_key() { KEY_INTERVAL } else { KEY_COMING };
            self.key_due = Some(now + wait);
        }
        measured
    }

    /// The next frame that is whole.
    pub fn poll(&mut self, now: Instant) -> Option<Whole> {
        let whole = self.assembly.poll();
        self.repair.forget(self.assembly.next());
        match &whole {
            Some(whole) => {
                self.id += 1;
                if whole.is_key {
                    self.key_due = None;
                }
                if let Some((_, began)) =
                    self.began.filter(|(timestamp, _)| whole.packets > 1 && *timestamp == whole.timestamp)
                {
                    self.several.0 += 1;
                    self.several.1 += now.saturating_duration_since(began);
                }
            }
            None => self.watch(now),
        }
        whole
    }

    fn watch(&mut self, now: Instant) {
        if self.assembly.is_broken() && self.key_due.is_none() {
            self.key_due = Some(now);
        }
    }

    /// Somebody needs a key frame.
    pub fn want_key(&mut self, now: Instant) {
        let due = self.key_asked.map_or(now, |asked| now.max(asked + KEY_INTERVAL));
        self.key_due = Some(self.key_due.map_or(due, |before| before.min(due)));
    }

    /// Give up what was waited for long enough. If it returns true, [`Video::poll`] follows.
    pub fn handle_timeout(&mut self, now: Instant, round_trip: Duration) -> bool {
        let mut has_changed = false;
        while let Some(index) = self.repair.give_up(now, round_trip) {
            self.assembly.give_up(index);
            self.repair.forget(self.assembly.next());
            has_changed = true;
        }
        has_changed
    }

    /// Return the requests that are due.
    pub fn ask(&mut self, now: Instant, round_trip: Duration) -> Asks {
        let mut asks = Asks { lost: self.repair.ask(now, round_trip), key: false };
        if self.key_due.is_some_and(|due| due <= now) {
            let silent = now.saturating_duration_since(self.heard);
            if silent > SILENT {
                self.key_due = None; // the next packet begins to ask again
                return asks;
            }
            let is_coming = self.assembly.has_key() && silent < KEY_INTERVAL;
            let again = if is_coming {
                KEY_COMING
            } else {
                asks.key = true;
                self.key_asked = Some(now);
                KEY_INTERVAL.max(round_trip * 2)
            };
            self.key_due = Some(now + again);
        }
        asks
    }

    pub fn calm(&mut self) {
        self.repair.calm();
    }

    pub fn is_missing(&self, index: u64) -> bool {
        self.repair.missing(index)
    }

    pub fn timeout(&self, round_trip: Duration) -> Option<Instant> {
        [self.repair.timeout(round_trip), self.key_due].into_iter().flatten().min()
    }
}
