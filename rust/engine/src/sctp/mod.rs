//! The SCTP association: the crate `dcsctp` and its surroundings (RFC 8831, RFC 9260, RFC 6525, RFC 3758).

mod answers;
pub mod packet;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use adieu_congestion::Algorithm;
pub use adieu_congestion::Report;
use dcsctp::api::{
    DcSctpSocket, ErrorKind, Message, Options, PpId, ResetStreamsError, SendOptions, Socket, SocketEvent,
    SocketTime, StreamId, ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS,
};

use crate::lines;
use answers::Answers;
use packet::{Cause, inspect_packet};

/// The size that fits a path of 1280 bytes through DTLS, UDP, IPv6 and TURN; libwebrtc's figure too.
const MTU: usize = 1191;
/// The caller bounds what is queued (16 MiB a transport) before it comes here; this is only the crate's own bound.
const SEND_QUEUE: usize = 64 << 20;
/// Ready messages that may wait for the application before further DATA is dropped: SCTP's window counts bytes only,
/// and a message of one byte costs seventy.
const MAX_READY: usize = 65_536;
/// How often a timer may have been missed before the rest is left to the next time.
const MAX_LATE: usize = 100;
/// A healed link is to be back within 3 s, so no back-off may be longer than 1 s.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// Packets that may leave at once: the pacer bounds them, this only a fault in it.
const MAX_BURST: i32 = 256;
/// Gaps that our acknowledgements name. A sender is blind above them: with the crate's 20 a loss of 1 % bounds its
/// window to 1000 packets.
const MAX_GAPS: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SctpState {
    Connecting,
    Connected,
    Closed,
}

/// The events of the association.
#[derive(Debug)]
pub enum SctpEvent {
    Connected {
        max_channels: u16,
    },
    /// The association ended: by the peer's ABORT (with its cause), by SHUTDOWN (no cause, no error), or by our own
    /// error.
    Ended {
        error: bool,
        cause: Cause,
    },
    Message {
        stream: u16,
        ppid: u32,
        payload: Vec<u8>,
    },
    /// The peer has reset its direction of these streams; all when empty.
    IncomingReset(Vec<u16>),
    ResetDone(Vec<u16>),
    ResetFailed(Vec<u16>),
}

/// One outgoing message and how it is to be sent.
pub struct Outgoing {
    pub stream: u16,
    pub ppid: u32,
    pub payload: Vec<u8>,
    pub unordered: bool,
    pub lifetime: Option<Duration>,
    pub max_retransmits: Option<u16>,
}

pub struct Association {
    socket: Socket,
    epoch: Instant,
    now: Instant,
    state: SctpState,
    /// Messages were queued and wait for [`Association::flush`].
    has_queued: bool,
    packets: VecDeque<Vec<u8>>,
    /// Events that do not wait for the application to read.
    notices: VecDeque<SctpEvent>,
    /// Messages and the resets that follow them, in order.
    ordered: VecDeque<SctpEvent>,
    /// The application does not read: messages stay in the association, whose window then closes.
    paused: bool,
    /// The application reads again: what it takes opens the window, and the peer is to hear of it.
    window_opens: bool,
    /// Bytes in `ordered` that were taken out although the application does not read: before a stream's reset.
    held: usize,
    window: usize,
    /// Announces a reopened window: see [`packet::window_probe`].
    peer_header: Option<[u8; 8]>,
    acknowledged: Option<u32>,
    answers: Answers,
    /// The ABORT of the packet that is being handled.
    abort: Option<Cause>,
    pub dropped: u64,
}

impl Association {
    pub fn new(
        now: Instant,
        ports: (u16, u16),
        receive_buffer: usize,
        largest: usize,
        congestion: Algorithm,
    ) -> Association {
        // A message above 0.9 of the window would stall it for ever, without a word.
        let window = receive_buffer.max(largest.saturating_mul(10) / 8).clamp(256 << 10, 1 << 30);
        Association::with_options(now, &options(ports, window, congestion))
    }

    /// For tests: an association with other options than [`options`].
    pub fn with_options(now: Instant, options: &Options) -> Association {
        Association {
            socket: Socket::new("", options),
            window: options.max_receiver_window_buffer_size,
            epoch: now,
            now,
            state: SctpState::Connecting,
            has_queued: false,
            packets: VecDeque::new(),
            notices: VecDeque::new(),
            ordered: VecDeque::new(),
            paused: false,
            window_opens: false,
            held: 0,
            peer_header: None,
            acknowledged: None,
            answers: Answers::default(),
            abort: None,
            dropped: 0,
        }
    }

    pub fn state(&self) -> SctpState {
        self.state
    }

    /// Both sides start: a simultaneous INIT is what WebRTC does (RFC 8841 section 9.2).
    pub fn connect(&mut self, now: Instant) {
        log::debug!(target: lines::SCTP, "> INIT");
        self.advance(now);
        self.socket.connect();
        self.collect();
    }

    pub fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        let found = inspect_packet(packet);
        if found.may_be_kept && self.is_overloaded() {
            self.dropped += 1;
            return;
        }
        self.advance(now);
        if found.has_data && self.peer_header.is_none() {
            self.peer_header = packet.get(..8).and_then(|header| header.try_into().ok());
        }
        if found.may_end {
            self.take_all();
            self.abort = found.abort;
        }
        self.socket.handle_input(packet);
        self.collect();
        self.abort = None;
        if found.may_be_kept && self.socket.is_stuck() {
            self.give_up("the peer sends a message larger than the receive window");
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let timeouts = self.timeouts();
        self.advance(now);
        // Each call fires a timer once, and sets it anew from when it was due: after a stall that is past as well.
        for _ in 0..MAX_LATE {
            if self.poll_timeout().is_none_or(|at| at > now) {
                break;
            }
            self.socket.advance_time(SocketTime::zero() + (self.now - self.epoch));
        }
        if self.timeouts() > timeouts {
            log::debug!(target: lines::SCTP, "! nothing was acknowledged in time: all is sent again");
        }
        self.collect();
    }

    /// Timeouts of the controller so far, while somebody wants their lines.
    fn timeouts(&self) -> u64 {
        let is_wanted = log::log_enabled!(target: lines::SCTP, log::Level::Debug);
        if is_wanted { self.congestion().map_or(0, |report| report.timeouts) } else { 0 }
    }

    /// Say how the sender fared, at the end of an association that lost something.
    fn tell_congestion(&self) {
        if !log::log_enabled!(target: lines::SCTP, log::Level::Debug) {
            return;
        }
        let Some(report) = self.congestion().filter(|report| report.lost + report.timeouts > 0) else {
            return;
        };
        let Report { algorithm, window, lost, tolerated, reductions, timeouts, .. } = report;
        let (rate, queue) = (report.delivery_rate * 8e-6, report.queue.as_millis());
        log::debug!(
            target: lines::SCTP,
            "= {algorithm} controller: {lost} chunks lost, {tolerated} tolerated, {reductions} reductions, \
             {timeouts} timeouts; at last a window of {window} bytes, {rate:.1} Mbit/s, a queue of {queue} ms",
        );
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let at = self.socket.poll_timeout();
        (at != SocketTime::infinite_future()).then(|| self.epoch + (at - SocketTime::zero()))
    }

    /// Queue a message. It leaves with [`Association::flush`], so that small ones share packets.
    #[inline]
    pub fn send(&mut self, now: Instant, message: Outgoing) {
        let options = SendOptions {
            unordered: message.unordered,
            lifetime: message.lifetime,
            max_retransmissions: message.max_retransmits,
            lifecycle_id: None,
        };
        self.advance(now);
        self.has_queued = true;
        let message = Message::new(StreamId(message.stream), PpId(message.ppid), message.payload);
        // Too large and too full are excluded by the caller; an association that ended has told so.
        let _ = self.socket.queue(message, &options);
    }

    pub fn flush(&mut self, now: Instant) {
        if std::mem::take(&mut self.has_queued) {
            self.advance(now);
            self.socket.send_queued();
            self.collect();
        }
    }

    pub fn set_priority(&mut self, stream: u16, priority: u16) {
        self.socket.set_stream_priority(StreamId(stream), priority);
    }

    /// Bytes of this stream that did not go into a packet yet.
    pub fn buffered(&self, stream: u16) -> usize {
        self.socket.buffered_amount(StreamId(stream))
    }

    /// Ask for the reset of our direction. Only with nothing buffered: the crate drops what is queued.
    ///
    /// False: the peer does not know resets at all (RFC 6525), so there is nothing to wait for.
    pub fn reset(&mut self, now: Instant, stream: u16) -> bool {
        self.flush(now);
        self.advance(now);
        log::debug!(target: lines::SCTP, "> reset of stream {stream}");
        let result = self.socket.reset_streams(&[StreamId(stream)]);
        self.collect();
        result != Err(ResetStreamsError::NotSupported)
    }

    /// Stop or go on taking messages. To go on announces the window as soon as [`Association::poll_event`] has given
    /// them: no timer of the peer would ask before its probe, seconds later.
    pub fn pause(&mut self, now: Instant, paused: bool) {
        self.advance(now);
        self.window_opens |= self.paused && !paused;
        self.paused = paused;
    }

    /// Abrupt end (closing rules 12 and 70): what is queued is gone. The ABORT, if there is an association to abort.
    pub fn abort(&mut self, now: Instant, reason: &str) -> Option<Vec<u8>> {
        self.advance(now);
        self.tell_congestion();
        self.has_queued = false;
        self.packets.clear();
        self.notices.clear();
        self.ordered.clear();
        while self.socket.poll_event().is_some() {}
        self.socket.close();
        let mut abort = None;
        while let Some(event) = self.socket.poll_event() {
            if let SocketEvent::SendPacket(packet) = event {
                log::debug!(target: lines::SCTP, "> ABORT: {reason}");
                abort = packet::with_abort_reason(&packet, reason);
            }
        }
        self.state = SctpState::Closed;
        abort
    }

    /// End the association because the layer below is gone: no packet can leave.
    pub fn drop_silently(&mut self) {
        self.tell_congestion();
        self.take_all();
        self.socket.close();
        while self.socket.poll_event().is_some() {}
        self.packets.clear();
        self.state = SctpState::Closed;
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.packets.pop_front()
    }

    /// The size of the next packet.
    pub fn next_packet_size(&self) -> Option<usize> {
        self.packets.front().map(Vec::len)
    }

    /// The way of almost every message: from the association straight to the channel. None: ask
    /// [`Association::poll_event`].
    #[inline]
    pub fn poll_message(&mut self) -> Option<(u16, u32, Vec<u8>)> {
        let is_plain = self.notices.is_empty() && self.ordered.is_empty() && !self.window_opens;
        if !is_plain || self.waits() {
            return None;
        }
        let message = self.socket.get_next_message()?;
        Some((message.stream_id.0, message.ppid.0, message.payload))
    }

    pub fn poll_event(&mut self) -> Option<SctpEvent> {
        if let Some(notice) = self.notices.pop_front() {
            return Some(notice);
        }
        if !self.has_events() {
            if self.window_opens {
                self.announce_window();
            }
            return None;
        }
        let Some(event) = self.ordered.pop_front() else {
            return self.socket.get_next_message().map(message_event);
        };
        if let SctpEvent::Message { payload, .. } = &event {
            self.held = self.held.saturating_sub(payload.len());
        }
        Some(event)
    }

    /// Whether [`Association::poll_event`] has something to give: messages wait while the application does not read.
    pub fn has_events(&self) -> bool {
        let waits = self.waits();
        !self.notices.is_empty()
            || match self.ordered.front() {
                Some(event) => !(waits && matches!(event, SctpEvent::Message { .. })),
                None => !waits && self.socket.messages_ready_count() > 0,
            }
    }

    /// Give state and counts of the congestion controller.
    pub fn congestion(&self) -> Option<Report> {
        self.socket.congestion_report()
    }

    pub fn metrics(&self) -> Option<dcsctp::api::Metrics> {
        self.socket.get_metrics()
    }

    fn advance(&mut self, now: Instant) {
        if now > self.now {
            self.now = now;
            self.socket.advance_time(SocketTime::zero() + (now - self.epoch));
        }
    }

    /// Whether messages wait: the application does not read, or no channel is open yet, because the packet that ends
    /// the handshake was overtaken. At the end everything is delivered: it is bounded, and nothing can follow.
    fn waits(&self) -> bool {
        match self.state {
            SctpState::Connecting => true,
            SctpState::Connected => self.paused,
            SctpState::Closed => false,
        }
    }

    /// Before the messages were taken the window was the old one, and above its watermark a probe is not answered.
    fn announce_window(&mut self) {
        self.window_opens = false;
        if let (Some(header), Some(tsn), SctpState::Connected) =
            (self.peer_header, self.acknowledged, self.state)
        {
            self.socket.handle_input(&packet::window_probe(header, tsn));
            self.collect();
        }
    }

    fn is_overloaded(&self) -> bool {
        let ready = self.socket.messages_ready_count() + self.ordered.len();
        self.waits() && (ready > MAX_READY || self.held > self.window)
    }

    /// Sort what the crate has to say: packets to one side, messages and events, in their order, to the other.
    fn collect(&mut self) {
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => self.queue(packet),
                SocketEvent::OnConnected() => {
                    self.state = SctpState::Connected;
                    let streams = self.socket.get_metrics().map_or(u16::MAX, |metrics| {
                        metrics
                            .negotiated_maximum_incoming_streams
                            .min(metrics.negotiated_maximum_outgoing_streams)
                    });
                    self.notices.push_back(SctpEvent::Connected { max_channels: streams });
                }
                SocketEvent::OnIncomingStreamReset(streams) => {
                    // What was sent before the reset is to be seen before it (closing rule 41).
                    self.take_all();
                    let streams = ids(streams);
                    log::debug!(target: lines::SCTP, "< reset of streams {streams:?}");
                    self.ordered.push_back(SctpEvent::IncomingReset(streams));
                }
                SocketEvent::OnStreamsResetPerformed(streams) => {
                    let streams = ids(streams);
                    log::debug!(target: lines::SCTP, "< reset of streams {streams:?} is done");
                    self.notices.push_back(SctpEvent::ResetDone(streams))
                }
                SocketEvent::OnStreamsResetFailed(streams) => {
                    let streams = ids(streams);
                    log::debug!(target: lines::SCTP, "! reset of streams {streams:?} was refused");
                    self.notices.push_back(SctpEvent::ResetFailed(streams))
                }
                SocketEvent::OnAborted(kind, text) => {
                    let cause = match (kind, self.abort.take()) {
                        (ErrorKind::PeerReported, Some(cause)) => cause,
                        _ => Cause { code: None, text: format!("{kind:?}: {text}") },
                    };
                    self.end(true, cause);
                }
                SocketEvent::OnClosed() => {
                    let text = "the peer shut the association down".to_owned();
                    self.end(false, Cause { code: None, text });
                }
                // An association that the peer began anew keeps its channels; what was in flight may be lost.
                SocketEvent::OnConnectionRestarted() => {
                    log::debug!(target: lines::SCTP, "! the peer has started the association again");
                }
                SocketEvent::OnError(kind, text) => {
                    log::debug!(target: lines::SCTP, "! {kind:?}: {text}");
                }
                SocketEvent::OnBufferedAmountLow(_) | SocketEvent::OnTotalBufferedAmountLow() => {}
                SocketEvent::OnLifecycleMessageFullySent(_)
                | SocketEvent::OnLifecycleMessageExpired(_)
                | SocketEvent::OnLifecycleMessageMaybeExpired(_)
                | SocketEvent::OnLifecycleMessageDelivered(_)
                | SocketEvent::OnLifecycleEnd(_) => {}
            }
        }
    }

    fn queue(&mut self, packet: Vec<u8>) {
        if let Some(tsn) = packet::cumulative_ack(&packet) {
            self.acknowledged = Some(tsn);
            let last = self.packets.back().map(Vec::as_slice);
            if self.answers.supersedes(last, &packet) {
                self.packets.pop_back();
            }
        }
        self.packets.push_back(packet);
    }

    /// Abort the association, because nothing can ever be delivered on it.
    fn give_up(&mut self, why: &str) {
        log::debug!(target: lines::SCTP, "> ABORT: {why}");
        self.tell_congestion();
        self.socket.close();
        while let Some(event) = self.socket.poll_event() {
            if let SocketEvent::SendPacket(packet) = event {
                self.packets.push_back(packet::with_abort_reason(&packet, why).unwrap_or(packet));
            }
        }
        self.end(true, Cause { code: None, text: why.to_owned() });
    }

    fn end(&mut self, error: bool, cause: Cause) {
        self.state = SctpState::Closed;
        self.ordered.push_back(SctpEvent::Ended { error, cause });
    }

    /// Move complete messages out of the association: before what would overtake or forget them.
    fn take_all(&mut self) {
        while self.socket.messages_ready_count() > 0 {
            let Some(message) = self.socket.get_next_message() else { return };
            self.held += message.payload.len();
            self.ordered.push_back(message_event(message));
        }
    }
}

/// The options of an association: (local, remote) ports, the window in bytes, and who decides what is sent.
pub fn options(ports: (u16, u16), window: usize, congestion: Algorithm) -> Options {
    Options {
        local_port: ports.0,
        remote_port: ports.1,
        mtu: MTU,
        max_message_size: usize::MAX,
        max_send_buffer_size: SEND_QUEUE,
        per_stream_send_queue_limit: SEND_QUEUE,
        max_receiver_window_buffer_size: window,
        // ICE decides whether the peer lives; SCTP never gives up by itself (closing rule 55).
        max_retransmissions: None,
        max_init_retransmits: None,
        max_timer_backoff_duration: Some(MAX_BACKOFF),
        t1_init_timeout: Duration::from_millis(500),
        t1_cookie_timeout: Duration::from_millis(500),
        zero_checksum_alternate_error_detection_method:
            ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS,
        congestion: Some(congestion),
        max_burst: MAX_BURST,
        max_gap_ack_blocks: MAX_GAPS,
        ..Options::default()
    }
}

#[inline]
fn message_event(message: Message) -> SctpEvent {
    SctpEvent::Message { stream: message.stream_id.0, ppid: message.ppid.0, payload: message.payload }
}

fn ids(streams: Vec<StreamId>) -> Vec<u16> {
    streams.into_iter().map(|stream| stream.0).collect()
}
