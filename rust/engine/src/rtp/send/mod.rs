//! Media that goes out: its streams, the order in which their packets leave, and what the peer says of them.
//!
//! Sound leaves at once. Pictures wait in the pacer, and so do packets that are sent again. A packet gets its numbers when
//! its turn comes.

mod budget;
mod history;
mod stream;
mod video;
mod wishes;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use budget::Budget;
use history::{Ready, Slot};
pub use stream::Outgoing;
use video::Draft;

use super::clock::Clock;
use super::pacer::{Class, Pacer};
use super::packet::{AudioUnit, FrameUnit, MediaEvent};
use super::section::{Plan, Section};
use super::srtp::Srtp;
use super::wire::rtcp;
use crate::random::Random;

/// Packets that wait to leave. The caller polls after each turn.
const MAX_WAITING: usize = 512;
/// Bits a second of the pacer before anything is known.
const START: u32 = 1_000_000;
/// The bytes that a packet has more when it is protected.
const TAG: usize = 16;
/// Different packets that one probe sends again.
const MAX_PADDING: usize = 50;

/// A packet that waits to leave: protected. A packet of RTP has its sender, its index and its mark.
pub struct Waiting {
    pub bytes: Vec<u8>,
    pub sent: Option<(u64, u64, u64)>,
}

/// A packet whose turn comes later.
enum Paced {
    Frame {
        sender: u64,
        draft: Draft,
    },
    /// A packet that is sent again, because it was asked for or because a probe needs packets.
    Again {
        sender: u64,
        index: u64,
        is_asked: bool,
    },
}

/// Parts of the transport that sending uses.
pub struct With<'m> {
    pub sections: &'m [Section],
    pub clock: &'m Clock,
    pub events: &'m mut VecDeque<MediaEvent>,
}

pub struct Sending {
    pub streams: Vec<Outgoing>,
    pub waiting: VecDeque<Waiting>,
    pacer: Pacer<Paced>,
    /// None: no pictures have been sent.
    budget: Option<Box<Budget>>,
    /// The transport-wide number of the next packet.
    next: u64,
    /// The number of the next frame, for the pacer.
    frame: u64,
    /// The next index of each stream that is over. It may start again: with the same keys no index is used twice.
    over: HashMap<u32, u64>,
}

impl Sending {
    pub fn new(now: Instant) -> Sending {
        Sending {
            streams: Vec::new(),
            waiting: VecDeque::new(),
            pacer: Pacer::new(now, START),
            budget: None,
            next: 0,
            frame: 0,
            over: HashMap::new(),
        }
    }

    // --- what has been negotiated -----------------------------------------------------------------------------------

    /// Follow the sections. Returns the streams that are over.
    pub fn apply(&mut self, sections: &[Section], reporter: u32, random: &mut Random) -> Vec<Outgoing> {
        let is_kept =
            |stream: &Outgoing| sections.iter().any(|section| section.sender == Some(stream.sender));
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.streams).into_iter().partition(is_kept);
        self.streams = kept;
        for stream in &gone {
            self.pacer.remove(stream.sender);
            self.over.extend(stream.indexes());
        }
        for section in sections {
            let Some(sender) = section.sender else { continue };
            match self.streams.iter_mut().find(|stream| stream.sender == sender) {
                Some(stream) => stream.follow(section),
                None => {
                    let own = section.own_ssrcs.unwrap_or_else(|| {
                        let ssrc = self.free_ssrc(random, reporter);
                        (ssrc, self.free_ssrc(random, ssrc))
                    });
                    let mut stream = Outgoing::new(sender, section, own, random.bytes());
                    stream.go_on(&mut self.over);
                    self.streams.push(stream);
                }
            }
        }
        gone
    }

    fn free_ssrc(&self, random: &mut Random, reporter: u32) -> u32 {
        loop {
            let ssrc = u32::from_be_bytes(random.bytes());
            let is_used = self.streams.iter().any(|stream| stream.ssrcs().any(|used| used == ssrc));
            if ssrc != 0 && ssrc != reporter && !is_used && !self.over.contains_key(&ssrc) {
                return ssrc;
            }
        }
    }

    /// Tell how to encode, where that has changed.
    pub fn plan(&mut self, now: Instant, is_open: bool, with: With<'_>) {
        for stream in &mut self.streams {
            let section = with.sections.iter().find(|one| one.sender == Some(stream.sender));
            let plan = section.filter(|_| is_open).and_then(Section::plan);
            if plan == stream.plan {
                continue;
            }
            with.events.push_back(plan_event(stream, plan.clone()));
            if let (Some(_), None) = (&stream.video, &plan) {
                self.pacer.remove(stream.sender);
            }
            if let (Some(video), None) = (&mut stream.video, &stream.plan) {
                video.target = None;
                self.budget.get_or_insert_with(|| Box::new(Budget::new(now)));
            }
            stream.plan = plan;
        }
        self.divide(now, with.events);
    }

    // --- what goes out ----------------------------------------------------------------------------------------------

    /// False: it cannot be sent now.
    pub fn audio(
        &mut self,
        now: Instant,
        srtp: &Srtp,
        with: &With<'_>,
        (sender, unit): (u64, AudioUnit),
    ) -> bool {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.sender == sender) else {
            return false;
        };
        let Some(ready) = stream.audio(now, unit) else { return false };
        self.put(now, srtp, with.clock, (ready, None))
    }

    /// Let a frame wait for its turn. False: it cannot be sent now.
    pub fn frame(&mut self, now: Instant, with: With<'_>, (sender, unit): (u64, FrameUnit)) -> bool {
        let Some(section) = section_of(with.sections, sender) else { return false };
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.sender == sender) else {
            return false;
        };
        let key = unit.key;
        let drafts = stream.frame(now, section, unit);
        self.frame += u64::from(!drafts.is_empty());
        let class = Class::Video { stream: sender, frame: self.frame, key };
        let is_taken = !drafts.is_empty();
        for draft in drafts {
            self.pacer.push(now, class, draft.bytes.len() + TAG, Paced::Frame { sender, draft });
        }
        self.drop_late(now);
        self.tell_wishes(now, with.events);
        is_taken
    }

    /// Forget what the pacer has dropped. A stream whose pictures were dropped needs a key frame.
    fn drop_late(&mut self, now: Instant) {
        while let Some(dropped) = self.pacer.pop_dropped() {
            if let Paced::Again { sender, index, .. } = dropped
                && let Some(video) = video_of(&mut self.streams, sender)
            {
                video.history.forget(index);
            }
        }
        while let Some(sender) = self.pacer.overflowed(now) {
            if let Some(video) = video_of(&mut self.streams, sender) {
                video.wishes.add(now, Duration::ZERO);
            }
        }
    }

    /// The packets of tones that are due. True: one is to leave.
    pub fn play_tones(&mut self, now: Instant, srtp: Option<&Srtp>, with: &With<'_>) -> bool {
        let mut has_played = false;
        for at in 0..self.streams.len() {
            let stream = &mut self.streams[at];
            if stream.tones.poll_timeout(now).is_none_or(|due| due > now) {
                continue;
            }
            match (section_of(with.sections, stream.sender), srtp) {
                (Some(section), Some(srtp)) => {
                    if let Some(ready) = stream.tone(now, section) {
                        has_played |= self.put(now, srtp, with.clock, (ready, None));
                    }
                }
                _ => stream.tones.clear(),
            }
        }
        has_played
    }

    /// Have the packet leave whose turn it is. False: there is no such packet.
    pub fn release(&mut self, now: Instant, srtp: &Srtp, with: &With<'_>) -> bool {
        while let Some((_, paced, probe)) = self.pop(now, with.sections) {
            let ready = match paced {
                Paced::Frame { sender, draft } => {
                    let stream = self.streams.iter_mut().find(|stream| stream.sender == sender);
                    if let Some(budget) = &mut self.budget {
                        budget.show();
                    }
                    stream.map(|stream| stream.leave(now, draft))
                }
                Paced::Again { sender, index, is_asked } => {
                    section_of(with.sections, sender).and_then(|section| {
                        let mut open = self.streams.iter_mut().filter(|stream| stream.plan.is_some());
                        open.find(|stream| stream.sender == sender)?.repair(now, section, index, is_asked)
                    })
                }
            };
            if ready.is_some_and(|ready| self.put(now, srtp, with.clock, (ready, probe))) {
                return true;
            }
        }
        false
    }

    fn pop(&mut self, now: Instant, sections: &[Section]) -> Option<(Class, Paced, Option<u32>)> {
        if let Some(bytes) = self.pacer.padding(now) {
            self.pad(now, sections, bytes);
        }
        self.pacer.pop(now)
    }

    /// Give a probe packets that have left already: they may even help.
    fn pad(&mut self, now: Instant, sections: &[Section], bytes: usize) {
        let mut left = bytes;
        for stream in self.streams.iter().filter(|stream| stream.plan.is_some()) {
            let (Some(section), Some(video)) = (section_of(sections, stream.sender), &stream.video) else {
                continue;
            };
            if section.repair_type(stream.payload_type).is_none() {
                continue;
            }
            for (index, size) in video.history.newest().take(MAX_PADDING) {
                if left == 0 {
                    return;
                }
                left = left.saturating_sub(size + TAG);
                let again = Paced::Again { sender: stream.sender, index, is_asked: false };
                self.pacer.push(now, Class::Padding, size + TAG, again);
            }
        }
    }

    /// Stamp a packet, keep it if it may be asked for, and protect it.
    fn put(
        &mut self,
        now: Instant,
        srtp: &Srtp,
        clock: &Clock,
        (mut ready, probe): (Ready, Option<u32>),
    ) -> bool {
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        match ready.slot {
            Some(Slot::Number(at)) => {
                ready.bytes[at..at + 2].copy_from_slice(&(self.next as u16).to_be_bytes());
            }
            Some(Slot::Time(at)) => {
                // Seconds, with 6 bits before the point and 18 behind it.
                let time = (clock.ntp(now) >> 14) as u32;
                ready.bytes[at..at + 3].copy_from_slice(&time.to_be_bytes()[1..]);
            }
            None => {}
        }
        if let Some((sender, _)) = ready.sent
            && let Some(video) = video_of(&mut self.streams, sender)
        {
            video.history.add(now, ready.clone());
        }
        let Ready { mut bytes, header, ssrc, index, sent, slot } = ready;
        if srtp.seal(&mut bytes, header, ssrc, index).is_none() {
            return false;
        }
        if let Some(Slot::Number(_)) = slot {
            if let Some(budget) = &mut self.budget {
                budget.sent(now, self.next, bytes.len(), probe);
            }
            self.next += 1;
        }
        self.waiting.push_back(Waiting { bytes, sent: sent.map(|(sender, mark)| (sender, index, mark)) });
        true
    }

    /// A compound of RTCP leaves at once.
    pub fn put_rtcp(&mut self, srtp: &mut Srtp, mut compound: Vec<u8>) {
        if self.waiting.len() < MAX_WAITING && srtp.seal_rtcp(&mut compound).is_some() {
            self.waiting.push_back(Waiting { bytes: compound, sent: None });
        }
    }

    /// Throw away what waits: it must not leave now, nor later.
    pub fn clear(&mut self, now: Instant) {
        self.waiting.clear();
        if self.pacer.queued_bytes() > 0 {
            self.pacer = Pacer::new(now, START);
            if let Some(budget) = &self.budget {
                self.pacer.set_rate(now, budget.pace());
            }
            for video in self.streams.iter_mut().filter_map(|stream| stream.video.as_mut()) {
                video.history.clear();
            }
        }
    }

    /// Note that a packet has left.
    pub fn has_left(&mut self, (sender, index, mark): (u64, u64, u64)) -> Option<MediaEvent> {
        let stream = self.streams.iter_mut().find(|stream| stream.sender == sender)?;
        stream.has_left(index, mark);
        Some(stream.progress())
    }

    // --- what the peer says -----------------------------------------------------------------------------------------

    pub fn handle_blocks(&mut self, now: Instant, blocks: &[rtcp::Block], with: With<'_>) {
        for block in blocks {
            let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == block.ssrc) else {
                continue;
            };
            stream.handle_block(now, with.clock, *block);
            with.events.push_back(stream.progress());
            if let (Some(_), Some(budget)) = (&stream.video, &mut self.budget) {
                let round_trip = stream.remote.and_then(|remote| remote.round_trip);
                budget.handle_report(now, round_trip, block.fraction_lost);
            }
        }
        self.divide(now, with.events);
    }

    /// Take feedback about packets or pictures. Feedback about streams of others is ignored.
    pub fn handle_feedback(&mut self, now: Instant, packet: rtcp::Packet, events: &mut VecDeque<MediaEvent>) {
        match packet {
            rtcp::Packet::KeyWanted { ssrc } => {
                if let Some((round_trip, video)) = self.video_by_ssrc(ssrc) {
                    video.plis += 1;
                    video.wishes.add(now, round_trip);
                }
                self.tell_wishes(now, events);
            }
            rtcp::Packet::Fir { wanted } => {
                for (ssrc, number) in wanted {
                    if let Some((round_trip, video)) = self.video_by_ssrc(ssrc) {
                        video.handle_fir(now, number, round_trip);
                    }
                }
                self.tell_wishes(now, events);
            }
            rtcp::Packet::Nack { ssrc, lost } => self.handle_nack(now, ssrc, &lost),
            rtcp::Packet::Remb { bitrate, .. } => {
                if let Some(budget) = &mut self.budget {
                    budget.handle_limit(bitrate);
                }
                self.divide(now, events);
            }
            rtcp::Packet::Transport(feedback) => {
                if let Some(budget) = &mut self.budget {
                    budget.handle_feedback(now, self.next, &feedback);
                }
                self.divide(now, events);
            }
            _ => {}
        }
    }

    fn handle_nack(&mut self, now: Instant, ssrc: u32, lost: &[(u16, u16)]) {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) else { return };
        let (round_trip, sender) = (stream.round_trip(), stream.sender);
        let Some(video) = &mut stream.video else { return };
        video.nacks += 1;
        for (first, mask) in lost {
            let after = (0..16).filter(|bit| mask >> bit & 1 == 1).map(|bit| bit + 1);
            for distance in std::iter::once(0).chain(after) {
                let sequence = first.wrapping_add(distance);
                if let Some((index, size)) = video.history.ask(now, sequence, round_trip) {
                    let again = Paced::Again { sender, index, is_asked: true };
                    self.pacer.push(now, Class::Repair, size + TAG, again);
                }
            }
        }
    }

    fn video_by_ssrc(&mut self, ssrc: u32) -> Option<(Duration, &mut video::Video)> {
        let stream = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc)?;
        Some((stream.round_trip(), stream.video.as_mut()?))
    }

    /// Tell the encoders of wishes for key frames.
    fn tell_wishes(&mut self, now: Instant, events: &mut VecDeque<MediaEvent>) {
        for stream in self.streams.iter_mut().filter(|stream| stream.plan.is_some()) {
            if stream.video.as_mut().is_some_and(|video| video.wishes.poll(now)) {
                events.push_back(MediaEvent::KeyWanted { sender: stream.sender, encoding: 0 });
            }
        }
    }

    /// Follow the estimate.
    fn divide(&mut self, now: Instant, events: &mut VecDeque<MediaEvent>) {
        let Some(budget) = &mut self.budget else { return };
        budget.divide(now, &mut self.streams, |event| events.push_back(event));
        self.pacer.set_rate(now, budget.pace());
        while let Some(probe) = budget.poll_probe(now) {
            self.pacer.probe(now, probe);
        }
    }

    // --- time -------------------------------------------------------------------------------------------------------

    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let of_streams = self.streams.iter().flat_map(|stream| {
            let wishes = stream.video.as_ref().filter(|_| stream.plan.is_some());
            [stream.tones.poll_timeout(now), wishes.and_then(|video| video.wishes.poll_timeout(now))]
        });
        // While the network takes nothing, what is due already stays so: that is no reason to look all the time.
        let turn = self.pacer.timeout().map(|at| at.max(now + Duration::from_millis(1)));
        let estimate = self.budget.as_ref().and_then(|budget| budget.timeout());
        of_streams.chain([turn, estimate]).flatten().min()
    }

    pub fn handle_timeout(&mut self, now: Instant, events: &mut VecDeque<MediaEvent>) {
        self.drop_late(now);
        self.tell_wishes(now, events);
        if let Some(budget) = &mut self.budget {
            budget.handle_timeout(now);
        }
        self.divide(now, events);
    }

    /// Bytes that wait for their turn.
    pub fn unsent(&self) -> usize {
        self.pacer.queued_bytes()
    }

    /// Bits a second that all that is sent may have; None: nothing depends on it.
    pub fn available(&self) -> Option<u32> {
        self.budget.as_ref().map(|budget| budget.target())
    }
}

/// The event that tells of a plan, for the kind of its stream.
pub fn plan_event(stream: &Outgoing, plan: Option<Plan>) -> MediaEvent {
    let sender = stream.sender;
    match plan {
        Some(Plan::Audio(plan)) => MediaEvent::Plan { sender, plan: Some(plan) },
        Some(Plan::Video(plan)) => MediaEvent::VideoPlan { sender, plan: Some(plan) },
        None if stream.video.is_some() => MediaEvent::VideoPlan { sender, plan: None },
        None => MediaEvent::Plan { sender, plan: None },
    }
}

fn section_of(sections: &[Section], sender: u64) -> Option<&Section> {
    sections.iter().find(|section| section.sender == Some(sender))
}

fn video_of(streams: &mut [Outgoing], sender: u64) -> Option<&mut video::Video> {
    streams.iter_mut().find(|stream| stream.sender == sender)?.video.as_deref_mut()
}

#[cfg(test)]
mod tests;
