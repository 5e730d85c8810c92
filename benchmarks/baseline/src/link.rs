//! One connection with one channel: ICE, DTLS and SCTP on one socket. It has no states, no checks of input from
//! strangers, and no closing, so its cost is the cost of the crates.

use std::io::{ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dcsctp::api::{
    DcSctpSocket, Message, Options, PpId, SendOptions, SocketEvent, SocketTime, StreamId,
    ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS as ZERO_CHECKSUM,
};
use dimpl::{Dtls, Output, certificate};
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol, Sha1HmacProvider};
use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use serde_json::{Value, json};

const TEXT: PpId = PpId(51);
const BINARY: PpId = PpId(53);
const CHANNEL: StreamId = StreamId(0);
const SOCKET_BUFFER: usize = 4 << 20;
const READS: usize = 8; // buffers for one recvmmsg
const SEGMENTS: usize = 44; // datagrams in one GSO send

pub struct Link {
    pub socket: UdpSocket,
    /// Messages that have arrived: text or not, and the bytes.
    pub arrived: Vec<(bool, Vec<u8>)>,
    pub open: bool,
    udp: UdpSocketState,
    local: SocketAddr,
    peer: Option<SocketAddr>,
    ice: IceAgent,
    dtls: Dtls,
    dtls_due: Option<Instant>,
    dtls_up: bool,
    fingerprint: String,
    sctp: Box<dyn DcSctpSocket>,
    start: Instant,
    messages: Vec<Message>,
    waiting: usize,
    early: Vec<Vec<u8>>, // DTLS packets made before there was a pair
    batch: Batch,
    scratch: Vec<u8>,
}

/// Datagrams of equal size for one system call.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    size: usize,
    count: usize,
}

#[derive(Debug)]
struct Sha1;

impl Sha1HmacProvider for Sha1 {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        use aws_lc_rs::hmac::{Context, HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key};
        let mut context = Context::with_key(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key));
        payloads.iter().for_each(|payload| context.update(payload));
        context.sign().as_ref().try_into().expect("SHA-1 has 20 bytes")
    }
}

impl Link {
    pub fn new(now: Instant) -> Self {
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        socket.set_nonblocking(true).expect("a socket that does not block");
        let options = socket2::SockRef::from(&socket);
        let _ = options.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = options.set_send_buffer_size(SOCKET_BUFFER);
        let local = socket.local_addr().expect("bound");
        let mut ice = IceAgent::with_hmac(IceCreds::new(), &Sha1);
        ice.add_local_candidate(Candidate::host(local, Protocol::Udp).expect("a candidate"));
        let certificate = certificate::generate_self_signed_certificate().expect("a certificate");
        let fingerprint = certificate.fingerprint_str();
        let config = dimpl::Config::builder().mtu(1400).build().expect("a configuration");
        let sctp = dcsctp::new_socket(
            "",
            &Options {
                mtu: 1191,
                max_message_size: 1 << 20,
                max_send_buffer_size: 64 << 20,
                per_stream_send_queue_limit: 64 << 20,
                max_receiver_window_buffer_size: 8 << 20,
                max_retransmissions: None,
                max_init_retransmits: None,
                zero_checksum_alternate_error_detection_method: ZERO_CHECKSUM,
                ..Options::default()
            },
        );
        Self {
            udp: UdpSocketState::new((&socket).into()).expect("socket options"),
            socket: UdpSocket::from_std(socket),
            arrived: Vec::new(),
            open: false,
            local,
            peer: None,
            ice,
            dtls: Dtls::new_auto(Arc::new(config), certificate, now),
            dtls_due: None,
            dtls_up: false,
            fingerprint,
            sctp,
            start: now,
            messages: Vec::new(),
            waiting: 0,
            early: Vec::new(),
            batch: Batch::default(),
            scratch: vec![0; 2048],
        }
    }

    /// All that the other side must know.
    pub fn describe(&self) -> String {
        let creds = self.ice.local_credentials();
        json!({"ufrag": creds.ufrag, "pass": creds.pass, "fingerprint": self.fingerprint, "address": self.local})
            .to_string()
    }

    /// Start with the peer's description.
    pub fn connect(&mut self, now: Instant, description: &str, offerer: bool) {
        let said: Value = serde_json::from_str(description).expect("a description");
        let text = |key: &str| said[key].as_str().expect("text").to_owned();
        self.ice.set_controlling(offerer);
        self.ice.set_remote_credentials(IceCreds { ufrag: text("ufrag"), pass: text("pass") });
        let address = text("address").parse().expect("an address");
        self.ice.add_remote_candidate(Candidate::host(address, Protocol::Udp).expect("a candidate"));
        self.ice.handle_timeout(now);
        self.dtls.set_active(!offerer);
    }

    /// Queue a message; the next turn sends all of them at once, so that small ones share a packet.
    pub fn send(&mut self, text: bool, data: Vec<u8>) {
        self.waiting += data.len();
        self.messages.push(Message::new(CHANNEL, if text { TEXT } else { BINARY }, data));
    }

    pub fn buffered(&self) -> usize {
        self.waiting + self.sctp.buffered_amount(CHANNEL)
    }

    /// When it must be turned at the latest.
    pub fn due(&mut self) -> Option<Instant> {
        let sctp = self.sctp.poll_timeout();
        let sctp = (sctp != SocketTime::infinite_future()).then(|| self.start + (sctp - SocketTime::zero()));
        let dtls = self.dtls_due.filter(|_| self.peer.is_some());
        [self.ice.poll_timeout(), dtls, sctp].into_iter().flatten().min()
    }

    /// Take what has arrived on the socket.
    pub fn read(&mut self, now: Instant, memory: &mut [Vec<u8>; READS]) {
        self.sctp.advance_time(SocketTime::zero() + (now - self.start));
        loop {
            let mut meta = [RecvMeta::default(); READS];
            let mut slices = memory.each_mut().map(|buffer| IoSliceMut::new(buffer));
            let count = match self.udp.recv((&self.socket).into(), &mut slices, &mut meta) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            for (buffer, meta) in memory.iter().zip(&meta[..count]) {
                for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                    self.datagram(now, meta.addr, datagram);
                }
            }
            self.drain_sctp();
            self.flush();
        }
    }

    /// Do what is due, and send.
    pub fn turn(&mut self, now: Instant) {
        if self.ice.poll_timeout().is_none_or(|due| due <= now) {
            self.ice.handle_timeout(now);
        }
        self.drain_ice(now);
        if self.peer.is_some() && self.dtls_due.is_some_and(|due| due <= now) {
            self.dtls.handle_timeout(now).expect("DTLS");
            self.drain_dtls();
        }
        self.sctp.advance_time(SocketTime::zero() + (now - self.start));
        if !self.messages.is_empty() {
            let messages = std::mem::take(&mut self.messages);
            self.sctp.send_many(messages, &SendOptions::default()).expect("room in the buffer");
            self.waiting = 0;
        }
        self.drain_sctp();
        self.flush();
    }

    fn datagram(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        match datagram.first() {
            Some(0..=3) => {
                let message = StunMessage::parse(datagram).expect("STUN");
                let packet = StunPacket { proto: Protocol::Udp, source, destination: self.local, message };
                self.ice.handle_packet(now, packet);
                self.ice.handle_timeout(now);
                self.drain_ice(now);
            }
            Some(20..=63) => {
                self.dtls.handle_timeout(now).expect("DTLS");
                // The first datagram may be one that an automatic client does not understand yet.
                let _ = self.dtls.handle_packet(datagram);
                self.drain_dtls();
            }
            _ => {}
        }
    }

    fn drain_ice(&mut self, now: Instant) {
        while let Some(transmit) = self.ice.poll_transmit() {
            self.send_one(transmit.destination, &transmit.contents);
        }
        while let Some(event) = self.ice.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, .. } = event {
                self.peer = Some(destination);
                for packet in std::mem::take(&mut self.early) {
                    self.send_one(destination, &packet);
                }
                self.dtls.handle_timeout(now).expect("DTLS");
                self.drain_dtls();
            }
        }
    }

    fn drain_dtls(&mut self) {
        let mut scratch = std::mem::take(&mut self.scratch);
        loop {
            match self.dtls.poll_output(&mut scratch) {
                Output::Packet(packet) if self.peer.is_some() => self.batch(packet),
                Output::Packet(packet) => self.early.push(packet.to_vec()),
                Output::BufferTooSmall { needed } => scratch.resize(needed, 0),
                Output::Timeout(due) => {
                    self.dtls_due = Some(due);
                    break;
                }
                Output::Connected => {
                    self.dtls_up = true;
                    self.sctp.connect();
                }
                Output::ApplicationData(packet) => {
                    self.sctp.handle_input(packet);
                    while let Some(message) = self.sctp.get_next_message() {
                        self.arrived.push((message.ppid == TEXT, message.payload));
                    }
                }
                _ => {}
            }
        }
        self.scratch = scratch;
    }

    fn drain_sctp(&mut self) {
        while let Some(event) = self.sctp.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) if self.dtls_up => {
                    self.dtls.send_application_data(&packet).expect("DTLS");
                    self.drain_dtls();
                }
                SocketEvent::OnConnected() => self.open = true,
                _ => {}
            }
        }
    }

    fn batch(&mut self, packet: &[u8]) {
        let batch = &self.batch;
        let ends = batch.bytes.len() != batch.size * batch.count; // a shorter one must be the last
        if batch.count > 0 && (ends || packet.len() > batch.size || batch.count == SEGMENTS) {
            self.flush();
        }
        if self.batch.count == 0 {
            self.batch.size = packet.len();
        }
        self.batch.bytes.extend_from_slice(packet);
        self.batch.count += 1;
    }

    fn flush(&mut self) {
        if self.batch.count == 0 {
            return;
        }
        let transmit = Transmit {
            destination: self.peer.expect("a pair"),
            ecn: None,
            contents: &self.batch.bytes,
            segment_size: (self.batch.count > 1).then_some(self.batch.size),
            src_ip: None,
        };
        let _ = self.udp.try_send((&self.socket).into(), &transmit);
        self.batch.bytes.clear();
        self.batch.count = 0;
    }

    fn send_one(&self, destination: SocketAddr, contents: &[u8]) {
        let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None };
        let _ = self.udp.try_send((&self.socket).into(), &transmit);
    }
}

/// Room for one call of recvmmsg.
pub fn memory() -> [Vec<u8>; READS] {
    std::array::from_fn(|_| vec![0; 65536])
}

/// How long to wait until `due`.
pub fn wait(now: Instant, due: Option<Instant>) -> Duration {
    due.map_or(Duration::from_secs(1), |due| due.saturating_duration_since(now))
}
