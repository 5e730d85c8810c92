//! Finds losses by time (RACK, RFC 8985), and measures how fast pieces are delivered.

use std::collections::VecDeque;

use crate::{MILLISECOND, NEVER, Nanos, seconds};

/// The reordering window grows by a quarter of the shortest round trip with each round that brings duplicates.
const MAX_QUARTERS: u64 = 8;
/// Losses in a row, without a mistaken one, until it is small again (RFC 8985 section 6.2, step 4).
const FORGET_AFTER: u64 = 256;
const SHORTEST_WINDOW: Nanos = MILLISECOND;

/// Remembers one sending.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp {
    /// The order of all sendings, from 1.
    serial: u64,
    sent_at: Nanos,
    /// Bytes delivered and lost, and when the last delivery was, at the time of sending.
    delivered: u64,
    lost: u64,
    delivered_at: Nanos,
    first_sent: Nanos,
    /// Bytes in flight, this one included.
    in_flight: u64,
    /// The application had nothing more to send.
    is_limited: bool,
}

/// A piece that was lost.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    pub sent_at: f64,
    /// Bytes in flight when it was sent, and lost since then.
    pub in_flight: f64,
    pub lost_since: f64,
}

/// Tells of its round trip what the newest acknowledged piece can tell.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Bytes delivered in all when it was sent.
    pub delivered_before: u64,
    /// Bytes a second; None: too short to say.
    pub rate: Option<f64>,
    pub is_limited: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    number: u64,
    serial: u64,
}

#[derive(Debug)]
pub struct Flight {
    /// First sendings and sendings again, each in its order. A piece that is no longer in flight is dropped when it comes first.
    sendings: [VecDeque<Sending>; 2],
    serial: u64,
    now: Nanos,
    /// The newest sending that is known to have arrived, and how long its acknowledgement took; 0: no such sending.
    newest: u64,
    newest_rtt: Nanos,
    /// NEVER: not measured yet.
    shortest: Nanos,
    /// The highest number that was acknowledged.
    highest: u64,
    quarters: u64,
    widen_after: u64,
    losses_since_mistake: u64,
    timer: Nanos,

    delivered: u64,
    delivered_at: Nanos,
    first_sent: Nanos,
    newest_sent: Nanos,
    lost: u64,
    lost_pieces: u64,
    mistaken: u64,
    /// Until so much is delivered the rate is that of the application.
    limited_until: u64,

    acked_now: usize,
    lost_now: Vec<Loss>,
    rtt_now: Nanos,
    newest_now: Option<Stamp>,
}

impl Default for Flight {
    fn default() -> Flight {
        Flight {
            sendings: Default::default(),
            serial: 0,
            now: 0,
            newest: 0,
            newest_rtt: 0,
            shortest: NEVER,
            highest: 0,
            quarters: 0,
            widen_after: 0,
            losses_since_mistake: 0,
            timer: NEVER,
            delivered: 0,
            delivered_at: 0,
            first_sent: 0,
            newest_sent: 0,
            lost: 0,
            lost_pieces: 0,
            mistaken: 0,
            limited_until: 0,
            acked_now: 0,
            lost_now: Vec::new(),
            rtt_now: NEVER,
            newest_now: None,
        }
    }
}

impl Flight {
    pub fn acked_now(&self) -> usize {
        self.acked_now
    }

    pub fn lost_now(&self) -> &[Loss] {
        &self.lost_now
    }

    /// Give the round trip of this acknowledgement, of a piece that was sent once (Karn).
    pub fn round_trip(&self) -> Option<Nanos> {
        (self.rtt_now != NEVER).then_some(self.rtt_now)
    }

    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    pub fn lost_bytes(&self) -> u64 {
        self.lost
    }

    pub fn lost_pieces(&self) -> u64 {
        self.lost_pieces
    }

    pub fn mistaken(&self) -> u64 {
        self.mistaken
    }

    /// NEVER: nothing waits.
    pub fn next_timeout(&self) -> Nanos {
        self.timer
    }

    /// When the newest piece that has arrived was sent; in seconds.
    pub fn newest_sent(&self) -> f64 {
        seconds(self.newest_sent)
    }

    pub fn limit(&mut self, in_flight: usize) {
        self.limited_until = self.delivered + in_flight as u64 + 1;
    }

    #[inline]
    pub fn on_sent(&mut self, now: Nanos, number: u64, size: usize, again: bool, in_flight: usize) -> Stamp {
        if in_flight == 0 {
            (self.first_sent, self.delivered_at) = (now, now);
        }
        self.serial += 1;
        self.sendings[usize::from(again)].push_back(Sending { number, serial: self.serial });
        Stamp {
            serial: self.serial,
            sent_at: now,
            delivered: self.delivered,
            lost: self.lost,
            delivered_at: self.delivered_at,
            first_sent: self.first_sent,
            in_flight: (in_flight + size) as u64,
            is_limited: self.delivered < self.limited_until,
        }
    }

    pub fn begin(&mut self, now: Nanos) {
        self.now = now;
        self.acked_now = 0;
        self.lost_now.clear();
        self.rtt_now = NEVER;
        self.newest_now = None;
    }

    #[inline]
    pub fn on_acked(&mut self, number: u64, stamp: &Stamp, size: usize, again: bool, was_lost: bool) {
        self.acked_now += size;
        self.delivered += size as u64;
        self.delivered_at = self.now;
        let rtt = self.now.saturating_sub(stamp.sent_at);
        // Sent again, and answered sooner than anything ever was: the answer is to the first sending.
        if was_lost || (again && self.shortest != NEVER && rtt < self.shortest) {
            self.mistaken += 1;
            self.losses_since_mistake = 0;
            return;
        }
        if !again {
            self.shortest = self.shortest.min(rtt);
            self.highest = self.highest.max(number);
        }
        if stamp.serial > self.newest {
            (self.newest, self.newest_rtt) = (stamp.serial, rtt);
        }
        if self.newest_now.is_none_or(|newest| stamp.serial > newest.serial) {
            self.newest_now = Some(*stamp);
            self.rtt_now = if again { self.rtt_now } else { rtt };
        }
    }

    /// The peer got something twice, so a loss was mistaken: wait longer, but not more for each acknowledgement of a round.
    pub fn on_duplicates(&mut self, in_flight: usize) {
        self.losses_since_mistake = 0;
        if self.delivered >= self.widen_after {
            self.quarters = (self.quarters + 1).min(MAX_QUARTERS);
            self.widen_after = self.delivered + in_flight as u64;
        }
    }

    /// A piece that was sent long enough before one that has arrived; one for each call.
    ///
    /// `gone`: pieces up to this number are no longer in flight.
    #[inline]
    pub fn next_lost(&mut self, gone: u64, piece: impl Fn(u64) -> Option<(Stamp, usize)>) -> Option<u64> {
        self.timer = NEVER;
        for again in 0..2 {
            while let Some(&Sending { number, serial }) = self.sendings[again].front() {
                if number <= gone {
                    self.sendings[again].pop_front();
                    continue;
                }
                // An acknowledgement may be silent of what lies above its last range: there is room for few only.
                let is_nameable = again == 1 || number < self.highest;
                if serial > self.newest || !is_nameable {
                    break;
                }
                let Some((stamp, size)) = piece(number).filter(|(stamp, _)| stamp.serial == serial) else {
                    self.sendings[again].pop_front();
                    continue;
                };
                let due = stamp.sent_at + self.window(self.newest_rtt);
                if due > self.now {
                    self.timer = self.timer.min(due);
                    break;
                }
                self.sendings[again].pop_front();
                self.on_lost(&stamp, size);
                return Some(number);
            }
        }
        None
    }

    fn on_lost(&mut self, stamp: &Stamp, size: usize) {
        self.lost += size as u64;
        self.lost_pieces += 1;
        self.losses_since_mistake += 1;
        if self.losses_since_mistake > FORGET_AFTER {
            (self.losses_since_mistake, self.quarters) = (0, 0);
        }
        self.lost_now.push(Loss {
            sent_at: seconds(stamp.sent_at),
            in_flight: stamp.in_flight as f64,
            lost_since: (self.lost - stamp.lost) as f64,
        });
    }

    /// How much later than a piece that has arrived one may be that was sent before it.
    fn window(&self, rtt: Nanos) -> Nanos {
        let shortest = if self.shortest == NEVER { rtt } else { self.shortest };
        rtt + (shortest / 4 * (self.quarters + 1)).min(rtt).max(SHORTEST_WINDOW)
    }

    /// Give the sample of the newest piece of this acknowledgement.
    #[inline]
    pub fn sample(&mut self) -> Option<Sample> {
        let stamp = self.newest_now.as_ref()?;
        self.newest_sent = self.newest_sent.max(stamp.sent_at);
        self.first_sent = stamp.sent_at;
        let sending = stamp.sent_at.saturating_sub(stamp.first_sent);
        let interval = sending.max(self.now.saturating_sub(stamp.delivered_at));
        // Shorter than a round trip can be: acknowledgements that came together.
        let is_long = interval > 0 && (self.shortest == NEVER || interval >= self.shortest);
        Some(Sample {
            delivered_before: stamp.delivered,
            rate: is_long.then(|| (self.delivered - stamp.delivered) as f64 / seconds(interval)),
            is_limited: stamp.is_limited,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const MS: Nanos = MILLISECOND;

    /// Pieces of 1000 bytes by number. Each piece in flight has a stamp.
    #[derive(Default)]
    struct Pieces {
        flight: Flight,
        stamps: RefCell<std::collections::HashMap<u64, Stamp>>,
    }

    impl Pieces {
        fn send(&mut self, at: Nanos, number: u64, again: bool) {
            let stamp = self.flight.on_sent(at, number, 1000, again, 1000 * self.stamps.borrow().len());
            self.stamps.borrow_mut().insert(number, stamp);
        }

        /// An acknowledgement; gives what is lost.
        fn ack(&mut self, at: Nanos, numbers: &[u64], again: bool) -> Vec<u64> {
            self.flight.begin(at);
            for number in numbers {
                let stamp = self.stamps.borrow_mut().remove(number).expect("in flight");
                self.flight.on_acked(*number, &stamp, 1000, again, false);
            }
            self.lost()
        }

        fn lost(&mut self) -> Vec<u64> {
            let mut lost = Vec::new();
            while let Some(number) =
                self.flight.next_lost(0, |number| Some((*self.stamps.borrow().get(&number)?, 1000)))
            {
                self.stamps.borrow_mut().remove(&number);
                lost.push(number);
            }
            lost
        }
    }

    #[test]
    fn a_piece_is_lost_a_quarter_of_a_round_trip_after_it_should_have_come() {
        let mut pieces = Pieces::default();
        for number in 1..=3 {
            pieces.send(MS * number, number, false);
        }
        assert_eq!(pieces.ack(42 * MS, &[2], false), []);
        // The piece before it: 40 ms, a quarter more, and then it is lost.
        assert_eq!(pieces.flight.next_timeout(), 51 * MS);
        pieces.flight.begin(51 * MS);
        assert_eq!(pieces.lost(), [1]);
        // What was sent later than what has arrived is not.
        assert_eq!(pieces.flight.next_timeout(), NEVER);
    }

    #[test]
    fn a_piece_that_was_sent_again_is_lost_again_only_by_its_last_sending() {
        let mut pieces = Pieces::default();
        pieces.send(MS, 1, false);
        pieces.send(2 * MS, 2, false);
        pieces.ack(42 * MS, &[2], false);
        pieces.flight.begin(51 * MS);
        assert_eq!(pieces.lost(), [1]);
        pieces.send(52 * MS, 1, true);
        pieces.send(53 * MS, 3, false);
        assert_eq!(pieces.ack(93 * MS, &[3], false), []);
        pieces.flight.begin(101 * MS);
        assert_eq!(pieces.lost(), []);
        pieces.flight.begin(102 * MS);
        assert_eq!(pieces.lost(), [1]);
        assert_eq!(pieces.flight.lost_pieces(), 2);
    }

    #[test]
    fn what_the_peer_can_not_name_is_not_lost() {
        let mut pieces = Pieces::default();
        for number in 1..=5 {
            pieces.send(MS, number, false);
        }
        pieces.send(2 * MS, 1, true);
        // The newest sending arrives, but it is the lowest number: 2 to 5 lie above all that was acknowledged.
        assert_eq!(pieces.ack(60 * MS, &[1], true), []);
        pieces.flight.begin(500 * MS);
        assert_eq!(pieces.lost(), []);
    }

    #[test]
    fn duplicates_widen_the_window_once_a_round_and_up_to_a_round_trip() {
        let mut pieces = Pieces::default();
        pieces.send(0, 1, false);
        pieces.ack(40 * MS, &[1], false);
        assert_eq!(pieces.flight.window(40 * MS), 50 * MS);
        pieces.flight.on_duplicates(5000);
        pieces.flight.on_duplicates(5000);
        assert_eq!(pieces.flight.window(40 * MS), 60 * MS);
        for round in 2..=100 {
            pieces.send(0, round, false);
            pieces.ack(40 * MS, &[round], false);
            pieces.flight.on_duplicates(1000);
        }
        assert_eq!(pieces.flight.window(40 * MS), 80 * MS);
    }

    #[test]
    fn no_round_trip_is_measured_from_what_was_sent_twice() {
        let mut pieces = Pieces::default();
        pieces.send(MS, 1, false);
        pieces.send(60 * MS, 1, true);
        pieces.ack(110 * MS, &[1], true);
        assert_eq!(pieces.flight.round_trip(), None);
    }

    #[test]
    fn the_rate_is_what_was_delivered_in_a_round_trip() {
        let mut pieces = Pieces::default();
        for number in 0..100 {
            pieces.send(MS * number, number, false);
        }
        for number in 0..100 {
            let at = MS * (40 + number);
            pieces.ack(at, &[number], false);
            pieces.flight.sample();
            pieces.send(at, 100 + number, false);
        }
        pieces.ack(140 * MS, &[100], false);
        let rate = pieces.flight.sample().expect("a sample").rate.expect("long enough");
        assert!((0.9e6..1.1e6).contains(&rate), "{rate}");
    }
}
