//! A stream that comes in: what has arrived of it, and the block about it in reports (RFC 3550 section 6.4, appendix A).

use std::time::{Duration, Instant};

use super::super::clock::{middle, short};
use super::super::wire::rtcp::{Block, SenderInfo};
use super::tones::Tones;
use super::video::Video;

/// A stream of the peer that has a receiver.
pub struct Incoming {
    pub ssrc: u32,
    pub mid: String,
    pub receiver: u64,
    /// Whether its receiver knows that it is there.
    pub is_on: bool,
    pub clock_rate: u32,
    pub payload_type: u8,
    pub packets: u64,
    pub bytes: u64,
    pub header_bytes: u64,
    pub last: Instant,
    /// The indexes of the first packet and of the highest one.
    first: u64,
    highest: u64,
    timestamp: u64,
    /// The difference between arrival and timestamp of the packet before, and their jitter, both in ticks.
    transit: Option<f64>,
    jitter: f64,
    /// The packets expected and received at the last report of this side.
    reported: (u64, u64),
    /// The last report of the peer, and when it came.
    pub report: Option<(SenderInfo, Instant)>,
    pub reports: u64,
    pub tones: Tones,
    /// Whether it carries packets of another stream again, and no media of its own.
    pub is_repair: bool,
    pub is_video: bool,
    /// The state of its pictures, while somebody reads them.
    pub video: Option<Box<Video>>,
    pub asked: Asked,
    /// Figures of pictures that were put together before.
    past: FrameStats,
    handed: u64,
}

/// Frames of a stream, while somebody reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrameStats {
    /// Whole frames; and those that were dropped, because a part of them or of a frame that they refer to is lost.
    pub received: u64,
    pub dropped: u64,
    /// Frames of several packets, and the seconds from the first to the last packet of all of them.
    pub several: u64,
    pub assembly: f64,
    /// Packets that came too late.
    pub discarded: u64,
}

/// How often the peer was asked for something of a stream, and what came again because of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub nacks: u64,
    pub keys: u64,
    pub repaired: u64,
    pub repaired_bytes: u64,
    /// The stream that carries repairs.
    pub repair_ssrc: Option<u32>,
}

impl Incoming {
    pub fn new(
        now: Instant,
        ssrc: u32,
        (mid, receiver): (String, u64),
        index: u64,
        timestamp: u32,
    ) -> Incoming {
        Incoming {
            ssrc,
            mid,
            receiver,
            is_on: false,
            clock_rate: 0,
            payload_type: 0,
            packets: 0,
            bytes: 0,
            header_bytes: 0,
            last: now,
            first: index,
            highest: index,
            timestamp: timestamp.into(),
            transit: None,
            jitter: 0.0,
            reported: (0, 0),
            report: None,
            reports: 0,
            tones: Tones::default(),
            is_repair: false,
            is_video: false,
            video: None,
            asked: Asked::default(),
            past: FrameStats::default(),
            handed: 0,
        }
    }

    /// Count a packet. `start`: a moment of this transport, to measure arrivals from. Returns the extended timestamp.
    pub fn count(
        &mut self,
        now: Instant,
        start: Instant,
        (index, timestamp): (u64, u32),
        clock_rate: u32,
        (header, payload): (usize, usize),
    ) -> u64 {
        self.packets += 1;
        self.header_bytes += header as u64;
        self.bytes += payload as u64;
        self.last = now;
        self.first = self.first.min(index);
        let extended = self.extend(timestamp);
        if clock_rate != self.clock_rate {
            self.clock_rate = clock_rate;
            (self.transit, self.jitter) = (None, 0.0);
        }
        let arrival = (now - start).as_secs_f64() * f64::from(clock_rate);
        let transit = arrival - extended as f64;
        if let Some(before) = self.transit {
            // A jump of the timestamp is not jitter.
            let change = (transit - before).abs().min(f64::from(clock_rate));
            self.jitter += (change - self.jitter) / 16.0;
        }
        self.transit = Some(transit);
        if index >= self.highest {
            self.highest = index;
            self.timestamp = extended;
        }
        extended
    }

    /// The timestamp that is nearest to the newest one, extended.
    pub fn extend(&self, timestamp: u32) -> u64 {
        let distance = timestamp.wrapping_sub(self.timestamp as u32) as i32;
        self.timestamp.checked_add_signed(distance.into()).unwrap_or(timestamp.into())
    }

    /// The index that is nearest to the highest one.
    pub fn index_of(&self, sequence: u16) -> Option<u64> {
        self.highest.checked_add_signed((sequence.wrapping_sub(self.highest as u16) as i16).into())
    }

    /// Begin to put its frames together.
    pub fn begin_frames(&mut self, now: Instant) {
        self.end_frames();
        self.video = Some(Box::new(Video::new(now, self.handed)));
    }

    /// Drop what waits.
    pub fn end_frames(&mut self) {
        self.past = self.frames();
        if let Some(video) = self.video.take() {
            self.handed = video.id;
        }
    }

    pub fn frames(&self) -> FrameStats {
        let Some(video) = &self.video else { return self.past };
        FrameStats {
            received: self.past.received + video.assembly.received,
            dropped: self.past.dropped + video.assembly.dropped,
            several: self.past.several + video.several.0,
            assembly: self.past.assembly + video.several.1.as_secs_f64(),
            discarded: self.past.discarded + video.discarded,
        }
    }

    fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }

    /// Packets that did not come; less than 0 if some came twice.
    pub fn lost(&self) -> i64 {
        self.expected() as i64 - self.packets as i64
    }

    /// Seconds.
    pub fn jitter(&self) -> f64 {
        self.jitter / f64::from(self.clock_rate.max(1))
    }

    /// The block about it in the next report.
    pub fn block(&mut self, now: Instant) -> Block {
        let (expected, received) = (self.expected() - self.reported.0, self.packets - self.reported.1);
        self.reported = (self.expected(), self.packets);
        let lost = expected.saturating_sub(received);
        let fraction = (lost * 256).checked_div(expected).map_or(0, |fraction| fraction.min(255));
        let (last_report, delay) = match &self.report {
            Some((info, came)) => (middle(info.ntp), short(now.saturating_duration_since(*came))),
            None => (0, 0),
        };
        Block {
            ssrc: self.ssrc,
            fraction_lost: fraction as u8,
            lost: self.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest: self.highest as u32,
            jitter: self.jitter as u32,
            last_report,
            delay,
        }
    }

    /// Whether nothing has come for so long that the peer has left it.
    pub fn is_silent(&self, now: Instant, bound: Duration) -> bool {
        now.saturating_duration_since(self.last) >= bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_what_was_lost_since_the_last_one() {
        let now = Instant::now();
        let mut stream = Incoming::new(now, 7, (String::new(), 1), 100, 0);
        for index in 100..110u64 {
            if index != 103 && index != 104 {
                let at = now + Duration::from_millis(20 * (index - 100));
                stream.count(at, now, (index, 960 * (index - 100) as u32), 48_000, (12, 50));
            }
        }
        let block = stream.block(now + Duration::from_secs(1));
        assert_eq!((block.lost, block.fraction_lost, block.highest), (2, 51, 109));
        assert_eq!(block.jitter, 0, "each came 20 ms after the one before");
        let next = stream.block(now + Duration::from_secs(2));
        assert_eq!((next.lost, next.fraction_lost), (2, 0));
    }

    #[test]
    fn timestamps_go_on_over_the_wrap_and_backwards() {
        let now = Instant::now();
        let mut stream = Incoming::new(now, 7, (String::new(), 1), 0, u32::MAX - 10);
        let mut count = |index, timestamp| stream.count(now, now, (index, timestamp), 48_000, (12, 1));
        assert_eq!(count(0, u32::MAX - 10), u64::from(u32::MAX) - 10);
        assert_eq!(count(2, 949), u64::from(u32::MAX) + 950);
        assert_eq!(count(1, u32::MAX), u64::from(u32::MAX), "one that comes late");
    }
}
