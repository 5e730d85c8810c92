//! Congestion control: what is lost, how much may be in flight, and when the next packet may leave.
//!
//! It knows nothing of SCTP. A *piece* is acknowledged as a whole, and may be sent several times. Its number is by one
//! larger than that of the piece before it. Time is an argument, since the beginning of the association.
//!
//! * [`Flight`](flight) finds losses by time (RACK, RFC 8985) and measures the rate of delivery,
//! * [`Window`](window) says how much may be in flight (CUBIC, RFC 9438; PRR, RFC 6937; HyStart, RFC 9406), and holds
//!   the rule of the tolerant controller,
//! * [`Pacer`](pacer) spreads a window over a round trip,
//! * [`Control`] puts them together, with the probe for a lost tail (RFC 8985 section 7).
//!
//! Nothing that a peer claims makes anything here grow without bound: the window ends at [`MAX_PACKETS`], the pacer's
//! debt at one burst, the reordering window at one round trip.
#![forbid(unsafe_code)]

mod flight;
mod known;
mod pacer;
mod window;

use std::fmt;
use std::time::Duration;

use flight::Flight;
pub use flight::Stamp;
pub use known::Known;
use pacer::Pacer;
use window::{News, Window};

/// Nanoseconds since the beginning of the association.
type Nanos = u64;
const MILLISECOND: Nanos = 1_000_000;
const NEVER: Nanos = Nanos::MAX;

fn nanos(time: Duration) -> Nanos {
    time.as_secs() * 1_000_000_000 + Nanos::from(time.subsec_nanos())
}

fn nanos_of(seconds: f64) -> Nanos {
    (seconds * 1e9 + 0.5) as Nanos
}

fn seconds(time: Nanos) -> f64 {
    time as f64 / 1e9
}

/// How a sender answers a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// CUBIC: each loss says that the link is full.
    Cubic,
    /// CUBIC, but a loss without a queue does not slow it down while not significantly more than 2 % is lost.
    Tolerant,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Algorithm::Cubic => "cubic",
            Algorithm::Tolerant => "tolerant",
        })
    }
}

/// The largest window, in packets: an acknowledgement of SCTP cannot name a larger one.
pub const MAX_PACKETS: usize = 65_535;
/// Packets of the first window.
const INITIAL_PACKETS: usize = 10;
/// Probes for a lost tail before the retransmission timer has the word.
const MAX_PROBES: u32 = 3;
/// A probe waits two round trips and this: what a timer and a peer's delay add.
const PROBE_MARGIN: Nanos = 5 * MILLISECOND;
const MIN_PROBE: Nanos = 10 * MILLISECOND;
/// Before anything was measured.
const FIRST_PROBE: Nanos = 300 * MILLISECOND;

/// Tells what a timer of [`Control`] asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Look for losses: [`Control::next_lost`].
    pub losses: bool,
    /// Send the newest piece again that may be sent again.
    pub probe: bool,
    /// Something may be sent.
    pub send: bool,
}

/// Shows the controller to users.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    pub algorithm: Algorithm,
    /// Bytes that may be in flight.
    pub window: usize,
    /// Bytes; None before the first loss or queue.
    pub threshold: Option<usize>,
    /// Bytes a second that were delivered last.
    pub delivery_rate: f64,
    pub shortest_round_trip: Option<Duration>,
    /// How much longer the round trips are than the shortest: the time in queues on the way.
    pub queue: Duration,
    pub lost: u64,
    /// Mistaken losses: the first sending was acknowledged after all.
    pub mistaken: u64,
    /// Losses that did not slow the sender down.
    pub tolerated: u64,
    pub reductions: u64,
    /// Reductions because of a long queue.
    pub caps: u64,
    pub timeouts: u64,
    pub probes: u64,
}

pub struct Control {
    packet: usize,
    flight: Flight,
    window: Window,
    pacer: Pacer,
    /// Smoothed round trip in seconds; 0 before anything was measured.
    round_trip: f64,
    /// Bytes that may be in flight, and bytes a second at which packets leave (None: at once). Both follow from the window
    /// and the round trip, and are asked for more often than these change.
    size: usize,
    rate: Option<f64>,
    /// Lost bytes that may leave whatever the window says.
    credit: usize,
    /// NEVER: nothing waits.
    send_at: Nanos,
    probe_at: Nanos,
    probes_in_row: u32,
    probes: u64,
    in_flight_before: usize,
}

impl Control {
    /// `packet`: bytes of the largest packet.
    pub fn new(algorithm: Algorithm, packet: usize) -> Control {
        let window = Window::new(algorithm, packet);
        Control {
            packet,
            flight: Flight::default(),
            size: window.size(),
            rate: None,
            window,
            pacer: Pacer::new(packet),
            round_trip: 0.0,
            credit: 0,
            send_at: NEVER,
            probe_at: NEVER,
            probes_in_row: 0,
            probes: 0,
            in_flight_before: 0,
        }
    }

    /// Bytes that may be in flight.
    pub fn window(&self) -> usize {
        self.size
    }

    /// Bytes that may leave now: nothing, or at least a packet.
    ///
    /// `lost_waits`: something that was lost waits to be sent again.
    pub fn allowance(&mut self, now: Duration, in_flight: usize, lost_waits: bool) -> usize {
        self.send_at = NEVER;
        // A window that is not quite full has room for a whole packet (RFC 9260 section 6.1, rule B): a small message does
        // not wait for another one.
        let left = self.size.saturating_sub(in_flight);
        if in_flight > 0 && left == 0 {
            return if lost_waits && self.credit > 0 { self.packet } else { 0 };
        }
        // With nothing in flight there is nothing to keep a distance to, and no acknowledgement would come.
        if in_flight > 0
            && let Some(wait) = self.pacer.wait(nanos(now), self.rate)
        {
            self.send_at = nanos(now) + wait;
            return 0;
        }
        left.max(self.packet)
    }

    /// A piece leaves. `in_flight`: bytes before it. The stamp is given back when the piece is acknowledged or lost.
    pub fn on_sent(
        &mut self,
        now: Duration,
        number: u64,
        size: usize,
        again: bool,
        in_flight: usize,
    ) -> Stamp {
        let now = nanos(now);
        self.pacer.on_sent(now, self.rate, size);
        self.credit = self.credit.saturating_sub(size);
        self.window.on_sent(size);
        if self.probe_at == NEVER {
            self.arm_probe(now);
        }
        self.flight.on_sent(now, number, size, again, in_flight)
    }

    /// An acknowledgement, or the timer for losses, is dealt with: `on_acked` and `next_lost` follow, then `finish`.
    pub fn begin(&mut self, now: Duration, in_flight: usize) {
        self.in_flight_before = in_flight;
        self.flight.begin(nanos(now));
    }

    /// `again`: it was sent more than once. `was_lost`: it waits to be sent again.
    pub fn on_acked(&mut self, number: u64, stamp: &Stamp, size: usize, again: bool, was_lost: bool) {
        self.flight.on_acked(number, stamp, size, again, was_lost);
    }

    /// The peer reports that pieces came twice.
    pub fn on_duplicates(&mut self, count: usize) {
        if count > 0 {
            self.flight.on_duplicates(self.in_flight_before);
        }
    }

    /// A piece that is lost, one for each call. `piece` gives stamp and size of a piece that is in flight. Pieces up to `gone`
    /// are not.
    pub fn next_lost(&mut self, gone: u64, piece: impl Fn(u64) -> Option<(Stamp, usize)>) -> Option<u64> {
        self.flight.next_lost(gone, piece)
    }

    /// Everything is known of this acknowledgement.
    pub fn finish(&mut self, now: Duration, in_flight: usize) {
        let now = nanos(now);
        let sample = self.flight.sample();
        let acked = self.flight.acked_now();
        let rtt = self.flight.round_trip().map(seconds);
        if let Some(rtt) = rtt {
            let smoothed = self.round_trip * 0.875 + rtt * 0.125;
            self.round_trip = if self.round_trip == 0.0 { rtt } else { smoothed };
        }
        // As RFC 9260 section 7.2.4, but for each acknowledgement: what is lost may fill the window with things that
        // the peer can not name, so one packet of it leaves in any case.
        let is_news = acked > 0 || !self.flight.lost_now().is_empty();
        self.credit = if is_news { acked.clamp(self.packet, 4 * self.packet) } else { 0 };
        if acked > 0 {
            self.probes_in_row = 0;
            self.arm_probe(now);
        }
        if in_flight == 0 {
            self.probe_at = NEVER;
        }
        self.window.on_news(&News {
            now: seconds(now),
            acked: acked as f64,
            delivered: self.flight.delivered(),
            lost: self.flight.lost_bytes(),
            losses: self.flight.lost_now(),
            newest_sent: self.flight.newest_sent(),
            rtt,
            smoothed: self.round_trip,
            sample,
            before: self.in_flight_before as f64,
            in_flight: in_flight as f64,
        });
        self.follow_window();
    }

    /// The round trip that the last acknowledgement measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.flight.round_trip().map(Duration::from_nanos)
    }

    /// The retransmission timer expired: nothing is known of the pieces in flight.
    pub fn on_timeout(&mut self, now: Duration) {
        let now = nanos(now);
        self.pacer.clear(now);
        self.send_at = NEVER;
        self.probe_at = NEVER;
        self.credit = self.packet;
        self.window.on_timeout(seconds(now));
        self.follow_window();
    }

    /// The application has nothing more to send: what is measured now is its rate, not that of the path.
    pub fn on_nothing_to_send(&mut self, in_flight: usize) {
        if in_flight + self.packet < self.size {
            self.flight.limit(in_flight);
        }
    }

    pub fn next_timeout(&self) -> Option<Duration> {
        let next = self.next();
        (next != NEVER).then(|| Duration::from_nanos(next))
    }

    /// Tell what is due of losses, pacing and probe.
    pub fn handle_timeout(&mut self, now: Duration) -> Due {
        let (mut due, now) = (Due::default(), nanos(now));
        if self.next() > now {
            return due;
        }
        if self.send_at <= now {
            self.send_at = NEVER;
            due.send = true;
        }
        if self.flight.next_timeout() <= now {
            due.losses = true;
        }
        if self.probe_at <= now {
            self.probe_at = NEVER;
            due.probe = true;
        }
        due
    }

    fn next(&self) -> Nanos {
        self.flight.next_timeout().min(self.send_at).min(self.probe_at)
    }

    /// A probe was found: it leaves whatever window and pacer say.
    pub fn on_probe(&mut self, now: Duration) {
        self.probes += 1;
        self.probes_in_row += 1;
        self.credit = self.credit.max(self.packet);
        self.pacer.clear(nanos(now));
    }

    pub fn report(&self) -> Report {
        Report {
            lost: self.flight.lost_pieces(),
            mistaken: self.flight.mistaken(),
            probes: self.probes,
            ..self.window.report(self.round_trip)
        }
    }

    fn arm_probe(&mut self, now: Nanos) {
        if self.probes_in_row >= MAX_PROBES {
            self.probe_at = NEVER;
            return;
        }
        let measured = nanos_of(2.0 * self.round_trip).max(MIN_PROBE) + PROBE_MARGIN;
        let wait = if self.round_trip == 0.0 { FIRST_PROBE } else { measured };
        self.probe_at = now + (wait << self.probes_in_row);
    }

    fn follow_window(&mut self) {
        self.size = self.window.size();
        self.rate = (self.round_trip > 0.0).then(|| self.window.pace() / self.round_trip);
    }
}

#[cfg(test)]
mod tests;
