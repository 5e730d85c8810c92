//! How much may be sent: the estimate, which follows the peer's reports, and its parts for the encoders.

use std::time::{Duration, Instant};

use super::super::bwe::{Estimate, Probe};
use super::super::packet::MediaEvent;
use super::super::section::Plan;
use super::super::wire::feedback::{Feedback, TICK_MICROS};
use super::stream::Outgoing;

/// Bits a second before anything is known.
const START: u32 = 300_000;
/// Bits a second that an encoder would use if nothing limits it.
const WISH: u32 = 2_500_000;
/// An encoder gets at least this.
const LEAST: u32 = 15_000;
/// Sound is measured over this.
const WINDOW: Duration = Duration::from_millis(500);

pub struct Budget {
    estimate: Estimate,
    /// The last arrival on the peer's clock, in ticks, without the wrap.
    arrival: Option<i64>,
    /// A packet of a picture has left. Before that a probe has nothing to send.
    is_showing: bool,
    sound: Sound,
}

/// The bit rate of all sound that is sent.
struct Sound {
    since: Instant,
    bytes: u64,
    rate: u32,
}

impl Budget {
    pub fn new(now: Instant) -> Budget {
        Budget {
            estimate: Estimate::new(now, START),
            arrival: None,
            is_showing: false,
            sound: Sound { since: now, bytes: 0, rate: 0 },
        }
    }

    /// A packet of a picture leaves.
    pub fn show(&mut self) {
        self.is_showing = true;
    }

    pub fn sent(&mut self, now: Instant, number: u64, size: usize, probe: Option<u32>) {
        self.estimate.sent(now, number, size, probe);
    }

    /// Take feedback about all packets. `next`: the number of the next packet.
    pub fn handle_feedback(&mut self, now: Instant, next: u64, feedback: &Feedback) {
        let Some(highest) = next.checked_sub(1) else { return };
        let mut packets = Vec::with_capacity(feedback.arrived.len());
        for (number, arrival) in feedback.all() {
            let behind = (highest as u16).wrapping_sub(number);
            let arrival = arrival.map(|ticks| self.unwrapped(ticks));
            // What was never sent, or so long ago, is nothing that a peer can tell of.
            if let Some(number) = highest.checked_sub(behind.into()).filter(|_| behind < 1 << 15) {
                packets.push((number, arrival));
            }
        }
        self.estimate.feedback(now, &packets);
    }

    /// An arrival without the wrap of the peer's clock, which comes each 12 days.
    fn unwrapped(&mut self, ticks: i64) -> Duration {
        let before = self.arrival.unwrap_or((1 << 32) + (ticks & 0xffff_ffff));
        let distance = (ticks as u32).wrapping_sub(before as u32) as i32;
        let now = (before + i64::from(distance)).max(0);
        self.arrival = Some(now);
        Duration::from_micros((now * TICK_MICROS) as u64)
    }

    /// Take a report about one stream.
    pub fn handle_report(&mut self, now: Instant, round_trip: Option<Duration>, fraction_lost: u8) {
        if let Some(round_trip) = round_trip {
            self.estimate.set_round_trip(round_trip);
        }
        self.estimate.report(now, fraction_lost);
    }

    /// The peer can take this at most.
    pub fn handle_limit(&mut self, bitrate: u32) {
        self.estimate.set_remb(bitrate.into());
    }

    pub fn target(&self) -> u32 {
        self.estimate.target()
    }

    /// Bits a second for the pacer: sound does not wait for it, and takes its part.
    pub fn pace(&self) -> u32 {
        self.estimate.pace().saturating_sub(self.sound.rate).max(LEAST)
    }

    pub fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        if self.is_showing { self.estimate.poll_probe(now) } else { None }
    }

    pub fn timeout(&self) -> Option<Instant> {
        self.estimate.timeout().filter(|_| self.is_showing)
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.timeout().is_some_and(|at| at <= now) {
            self.estimate.handle_timeout(now);
        }
    }

    /// Divide the estimate, and tell each encoder whose part has changed by a tenth.
    pub fn divide(&mut self, now: Instant, streams: &mut [Outgoing], mut tell: impl FnMut(MediaEvent)) {
        self.sound.measure(now, streams);
        let mut open: Vec<(&mut Outgoing, u32)> = streams
            .iter_mut()
            .filter_map(|stream| match &stream.plan {
                Some(Plan::Video(plan)) => {
                    let limit = plan.max_bitrate.unwrap_or(WISH);
                    Some((stream, limit))
                }
                _ => None,
            })
            .collect();
        let limits: Vec<u32> = open.iter().map(|(_, limit)| *limit).collect();
        let wish = limits.iter().fold(self.sound.rate, |sum, limit| sum.saturating_add(*limit));
        self.estimate.set_demand(wish);
        // Headers, and what an encoder uses more than it was told.
        let rest = (u64::from(self.estimate.target()) * 19 / 20) as u32;
        let parts = parts(rest.saturating_sub(self.sound.rate), &limits);
        for ((stream, _), part) in open.iter_mut().zip(parts) {
            let sender = stream.sender;
            let Some(video) = &mut stream.video else { continue };
            let part = part.max(LEAST);
            if video.target.is_none_or(|told| part.abs_diff(told) > told / 10) {
                video.target = Some(part);
                tell(MediaEvent::Target { sender, encoding: 0, bitrate: part });
            }
        }
    }
}

impl Sound {
    fn measure(&mut self, now: Instant, streams: &[Outgoing]) {
        let passed = now.saturating_duration_since(self.since);
        if passed < WINDOW {
            return;
        }
        let of_sound = streams.iter().filter(|stream| stream.video.is_none());
        let bytes = of_sound.map(|stream| stream.bytes + stream.header_bytes).sum();
        // A stream that has gone takes its bytes along.
        let sent = u64::saturating_sub(bytes, self.bytes);
        self.rate = (sent as f64 * 8.0 / passed.as_secs_f64()) as u32;
        (self.since, self.bytes) = (now, bytes);
    }
}

/// Equal parts of a whole; the rest of those that may have less goes to the others.
fn parts(whole: u32, limits: &[u32]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..limits.len()).collect();
    order.sort_by_key(|at| limits[*at]);
    let mut parts = vec![0; limits.len()];
    let mut rest = whole;
    for (done, at) in order.iter().enumerate() {
        let part = (rest / (limits.len() - done) as u32).min(limits[*at]);
        parts[*at] = part;
        rest -= part;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_equal_up_to_their_limits() {
        assert_eq!(parts(900, &[1000, 1000, 1000]), [300, 300, 300]);
        assert_eq!(parts(900, &[1000, 100, 1000]), [400, 100, 400]);
        assert_eq!(parts(9000, &[1000, 100]), [1000, 100]);
        assert_eq!(parts(0, &[1000]), [0]);
        assert_eq!(parts(5, &[]), [] as [u32; 0]);
    }

    #[test]
    fn arrivals_go_on_over_the_wrap_of_the_peers_clock() {
        let mut budget = Budget::new(Instant::now());
        let last = (1i64 << 32) - 4;
        let first = budget.unwrapped(last);
        assert_eq!(budget.unwrapped(8) - first, Duration::from_millis(3));
        assert_eq!(first - budget.unwrapped(last - 4), Duration::from_millis(1));
    }
}
