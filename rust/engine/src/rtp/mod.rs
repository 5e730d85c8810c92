//! The media of one transport: RTP and RTCP over the keys of the secure path's DTLS association (RFC 3550, RFC 8834).
//!
//! Encoders and decoders are elsewhere: packets of encoded media go in and come out. All state of a stream of the peer is
//! made after its first authentic packet, and is bounded.

pub mod bwe;
mod clock;
pub mod depacketize;
pub mod pacer;
mod packet;
pub mod packetize;
pub mod receive;
mod section;
mod send;
pub mod srtp;
mod stats;
mod table;
mod tones;
pub mod wire;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use clock::Clock;
pub use packet::{AudioPacket, AudioUnit, Frame, FrameUnit, MediaEvent};
use receive::Receive;
pub use section::{AudioCodec, Format, MediaKind, Payload, Plan, Section, SendPlan, VideoCodec, VideoPlan};
use send::{Outgoing, Sending, Waiting, With, plan_event};
use srtp::{Material, Srtp};
pub use stats::{FrameStats, InboundStats, MediaStats, OutboundStats, RemoteStats, VideoStats};
use table::Tables;
use wire::header::Header;
use wire::rtcp;

use crate::random::Random;
use crate::secure::Secure;
use crate::tenant::Tenant;
use crate::transmit::Batch;

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// A stream that has sent nothing for so long is left out of reports.
const SILENT: Duration = Duration::from_secs(10);
/// Until a round trip is measured.
const ROUND_TRIP: Duration = Duration::from_millis(100);

pub struct Media {
    random: Random,
    clock: Clock,
    cname: String,
    /// The SSRC of reports while nothing is sent.
    reporter: u32,
    srtp: Option<Srtp>,
    is_lost: bool,
    tables: Tables,
    receive: Receive,
    sending: Sending,
    events: VecDeque<MediaEvent>,
    next_report: Option<Instant>,
    pub dropped: u64,
}

impl Media {
    /// `unix`: the time since 1970, now.
    pub fn new(now: Instant, unix: Duration, mut random: Random) -> Media {
        let reporter = u32::from_be_bytes(random.bytes());
        Media {
            random,
            clock: Clock::new(now, unix),
            cname: String::new(),
            reporter,
            srtp: None,
            is_lost: false,
            tables: Tables::default(),
            receive: Receive::new(now),
            sending: Sending::new(now),
            events: VecDeque::new(),
            next_report: None,
            dropped: 0,
        }
    }

    // --- what has been negotiated -----------------------------------------------------------------------------------

    /// Replace the sections. A sender without a section says BYE.
    pub fn apply(&mut self, now: Instant, epoch: u32, cname: String, sections: Vec<Section>) {
        self.cname = cname;
        self.tables.apply(now, epoch, sections);
        let sections = self.tables.sections();
        let gone = self.sending.apply(sections, self.reporter, &mut self.random);
        self.receive.apply(sections);
        let silenced: Vec<u32> =
            gone.iter().filter(|one| one.packets > 0).flat_map(Outgoing::ssrcs).collect();
        if !silenced.is_empty() {
            self.say_bye(now, &silenced);
        }
        for stream in gone.into_iter().filter(|stream| stream.plan.is_some()) {
            self.events.push_back(plan_event(&stream, None));
        }
        self.plan(now);
    }

    /// The keys are there: the handshake is done.
    pub fn handle_secured(&mut self, now: Instant, material: &Material) {
        if self.srtp.is_none() && !self.is_lost {
            self.srtp = Srtp::new(material);
            self.plan(now);
        }
    }

    pub fn is_secured(&self) -> bool {
        self.srtp.is_some()
    }

    /// The secure path has ended: nothing is sent any longer.
    pub fn handle_lost(&mut self, now: Instant) {
        self.is_lost = true;
        self.next_report = None;
        self.sending.clear(now);
        self.receive.stop();
        self.plan(now);
    }

    /// Tell how to encode, where that has changed.
    fn plan(&mut self, now: Instant) {
        let is_open = self.srtp.is_some() && !self.is_lost;
        let (sending, _, with) = self.parts();
        sending.plan(now, is_open, with);
    }

    /// Return the sending part, its keys, and the parts that it uses.
    fn parts(&mut self) -> (&mut Sending, Option<&mut Srtp>, With<'_>) {
        let Media { sending, srtp, tables, clock, events, .. } = self;
        (sending, srtp.as_mut(), With { sections: tables.sections(), clock, events })
    }

    // --- what goes out ----------------------------------------------------------------------------------------------

    /// False: it cannot be sent now.
    pub fn send_audio(&mut self, now: Instant, sender: u64, unit: AudioUnit) -> bool {
        if self.is_lost {
            return false;
        }
        let (sending, Some(srtp), with) = self.parts() else { return false };
        let is_sent = sending.audio(now, srtp, &with, (sender, unit));
        if is_sent {
            self.begin_reports(now);
        }
        is_sent
    }

    /// False: it cannot be sent now. It leaves at the pace of the pacer.
    pub fn send_frame(&mut self, now: Instant, sender: u64, unit: FrameUnit) -> bool {
        if self.is_lost || self.srtp.is_none() {
            return false;
        }
        let (sending, _, with) = self.parts();
        sending.frame(now, with, (sender, unit))
    }

    /// Bytes of pictures that wait for their turn.
    pub fn unsent(&self) -> usize {
        self.sending.unsent()
    }

    /// Play a telephone tone, behind those that wait.
    pub fn send_tone(&mut self, now: Instant, sender: u64, tone: char, length: Duration) {
        if let Some(stream) = self.sending.streams.iter_mut().find(|stream| stream.sender == sender) {
            stream.tones.add(tone, length);
            self.play_tones(now);
        }
    }

    fn play_tones(&mut self, now: Instant) {
        let (sending, srtp, with) = self.parts();
        if sending.play_tones(now, srtp.as_deref(), &with) {
            self.begin_reports(now);
        }
    }

    /// The first report comes with the first packet: the peer can play audio and video together from then on.
    fn begin_reports(&mut self, now: Instant) {
        if self.next_report.is_none() {
            self.report(now);
        }
    }

    // --- what comes in ----------------------------------------------------------------------------------------------

    /// False: it was dropped.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> bool {
        let taken = if wire::is_rtcp(datagram) {
            self.handle_rtcp(now, datagram)
        } else {
            self.handle_rtp(now, datagram).is_some()
        };
        if !taken {
            self.dropped += 1;
        }
        taken
    }

    fn handle_rtp(&mut self, now: Instant, datagram: &[u8]) -> Option<()> {
        let header = Header::parse(datagram)?;
        let mut packet = datagram.to_vec();
        let index = self.srtp.as_mut()?.open(&header, &mut packet)?;
        let packet = (&header, packet.as_slice(), index);
        self.receive.handle_rtp(now, &self.tables, packet, &mut self.events)?;
        self.next_report.get_or_insert(now + REPORT_INTERVAL);
        self.ask(now);
        Some(())
    }

    fn handle_rtcp(&mut self, now: Instant, datagram: &[u8]) -> bool {
        let mut compound = datagram.to_vec();
        if !self.srtp.as_mut().is_some_and(|srtp| srtp.open_rtcp(&mut compound)) {
            return false;
        }
        for packet in rtcp::packets(&compound) {
            match packet {
                None => return false,
                Some(rtcp::Packet::Sender { ssrc, info, blocks }) => {
                    self.receive.handle_report(now, ssrc, info);
                    self.handle_blocks(now, &blocks);
                }
                Some(rtcp::Packet::Receiver { blocks, .. }) => self.handle_blocks(now, &blocks),
                Some(rtcp::Packet::Bye { ssrcs }) => {
                    self.receive.handle_bye(&ssrcs, &mut self.events);
                }
                Some(rtcp::Packet::Other) => {}
                Some(feedback) => self.sending.handle_feedback(now, feedback, &mut self.events),
            }
        }
        true
    }

    fn handle_blocks(&mut self, now: Instant, blocks: &[rtcp::Block]) {
        let (sending, _, with) = self.parts();
        sending.handle_blocks(now, blocks, with);
    }

    // --- what is asked for ------------------------------------------------------------------------------------------

    /// Begin or end to put the frames of a receiver together. At the beginning the peer is asked for a key frame.
    pub fn read(&mut self, now: Instant, receiver: u64, is_read: bool) {
        self.receive.read(now, receiver, is_read);
        self.ask(now);
    }

    /// Ask the peer for a key frame, as soon as it may be asked again.
    pub fn request_key(&mut self, now: Instant, receiver: u64) {
        self.receive.request_key(now, receiver);
        self.ask(now);
    }

    fn round_trip(&self) -> Duration {
        let told = || self.sending.streams.iter().find_map(|stream| stream.remote?.round_trip);
        self.receive.round_trip.or_else(told).unwrap_or(ROUND_TRIP)
    }

    fn own_ssrc(&self) -> u32 {
        self.sending.streams.iter().find(|one| one.packets > 0).map_or(self.reporter, |one| one.ssrc)
    }

    /// Send what a receiver asks for, and the feedback about arrivals.
    fn ask(&mut self, now: Instant) {
        if self.is_lost || self.srtp.is_none() {
            return;
        }
        let own = self.own_ssrc();
        let is_reduced = self.tables.sections().iter().all(|section| section.reduced_size);
        for mut feedback in self.receive.asks(now, self.round_trip(), own) {
            if !is_reduced {
                let mut compound = Vec::new();
                rtcp::write_report(&mut compound, own, None, &[]);
                rtcp::write_cname(&mut compound, own, &self.cname);
                compound.append(&mut feedback);
                feedback = compound;
            }
            self.put_rtcp(feedback);
        }
    }

    // --- time -------------------------------------------------------------------------------------------------------

    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let asks = self.receive.timeout(self.round_trip());
        [self.next_report, self.sending.poll_timeout(now), asks].into_iter().flatten().min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.play_tones(now);
        self.sending.handle_timeout(now, &mut self.events);
        self.receive.handle_timeout(now, self.round_trip(), &mut self.events);
        self.ask(now);
        if self.next_report.is_some_and(|at| at <= now) {
            self.report(now);
        }
    }

    /// Send reports about all streams.
    fn report(&mut self, now: Instant) {
        self.next_report = Some(now + REPORT_INTERVAL);
        let mut blocks = self.receive.blocks(now, SILENT);
        let streams = &self.sending.streams;
        let sending: Vec<_> = streams
            .iter()
            .filter(|stream| stream.last_sent.is_some_and(|at| now - at < SILENT))
            .filter_map(|stream| Some((stream.ssrc, stream.info(now, &self.clock)?)))
            .collect();
        let mut compound = Vec::new();
        if sending.is_empty() {
            let ssrc = self.own_ssrc();
            let rest = blocks.split_off(blocks.len().min(rtcp::MAX_BLOCKS));
            rtcp::write_report(&mut compound, ssrc, None, &blocks);
            if !rest.is_empty() {
                rtcp::write_report(&mut compound, ssrc, None, &rest);
            }
            rtcp::write_cname(&mut compound, ssrc, &self.cname);
            return self.put_rtcp(compound);
        }
        for (ssrc, info) in sending {
            let rest = blocks.split_off(blocks.len().min(rtcp::MAX_BLOCKS));
            rtcp::write_report(&mut compound, ssrc, Some(&info), &blocks);
            blocks = rest;
            rtcp::write_cname(&mut compound, ssrc, &self.cname);
            if compound.len() > 800 {
                self.put_rtcp(std::mem::take(&mut compound));
            }
        }
        if !compound.is_empty() {
            self.put_rtcp(compound);
        }
    }

    fn put_rtcp(&mut self, compound: Vec<u8>) {
        if let (sending, Some(srtp), _) = self.parts() {
            sending.put_rtcp(srtp, compound);
        }
    }

    /// Say that these streams are over.
    fn say_bye(&mut self, now: Instant, ssrcs: &[u32]) {
        if let Some(compound) = self.bye(now, ssrcs) {
            self.put_rtcp(compound);
        }
    }

    /// A compound packet begins with a report and has the name of its sender (RFC 3550 section 6.1).
    fn bye(&mut self, now: Instant, ssrcs: &[u32]) -> Option<Vec<u8>> {
        let first = *ssrcs.first()?;
        let mut compound = Vec::new();
        let mut blocks = self.receive.blocks(now, Duration::MAX);
        blocks.truncate(rtcp::MAX_BLOCKS);
        rtcp::write_report(&mut compound, first, None, &blocks);
        rtcp::write_cname(&mut compound, first, &self.cname);
        for some in ssrcs.chunks(rtcp::MAX_BLOCKS) {
            rtcp::write_bye(&mut compound, some);
        }
        Some(compound)
    }

    /// The last packet, with a BYE of all streams that have sent. Nothing is sent after it (closing rule 72).
    pub fn last_word(&mut self, now: Instant) -> Option<Vec<u8>> {
        let streams = self.sending.streams.iter().filter(|stream| stream.packets > 0);
        let ssrcs: Vec<u32> = streams.flat_map(Outgoing::ssrcs).collect();
        let mut compound = self.bye(now, &ssrcs)?;
        self.srtp.as_mut()?.seal_rtcp(&mut compound)?;
        Some(compound)
    }

    /// Whether a packet is to leave now.
    fn fill(&mut self, now: Instant) -> bool {
        if !self.sending.waiting.is_empty() {
            return true;
        }
        let (sending, Some(srtp), with) = self.parts() else { return false };
        let is_released = sending.release(now, srtp, &with);
        if is_released {
            self.begin_reports(now);
        }
        is_released
    }

    // --- what comes of it -------------------------------------------------------------------------------------------

    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    pub fn stats(&self, now: Instant) -> MediaStats {
        stats::collect(now, &self.receive.streams, &self.sending)
    }
}

impl Tenant for Media {
    fn poll_transmit(&mut self, now: Instant, secure: &mut Secure, batch: &mut Batch) -> bool {
        if !self.fill(now) {
            return false;
        }
        if !secure.start_batch(now, batch) {
            self.sending.clear(now);
            return false;
        }
        while self.fill(now) {
            let Some(next) = self.sending.waiting.front() else { break };
            let size = next.bytes.len();
            if size > batch.segment_limit() {
                break;
            }
            let Some(room) = batch.room(size) else { break };
            room[..size].copy_from_slice(&next.bytes);
            batch.push(size);
            let Some(Waiting { sent, .. }) = self.sending.waiting.pop_front() else { break };
            self.events.extend(sent.and_then(|sent| self.sending.has_left(sent)));
        }
        !batch.is_empty()
    }
}

#[cfg(test)]
mod tests;
