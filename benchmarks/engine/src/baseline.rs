//! The leanest direct use of the same crates: DTLS and SCTP on a wire, no ICE, one channel that always exists, nothing
//! checked, nothing counted, nothing closed. It is what a proof of concept would do, and the measure for ours.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adieu_congestion::Algorithm;
use dcsctp::api::{
    DcSctpSocket, Message, Options, PpId, SendOptions, Socket, SocketEvent, SocketTime, StreamId,
    ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS,
};
use dimpl::{Dtls, Output};

use crate::{Ends, Wire};

struct Side {
    dtls: Dtls,
    sctp: Socket,
    epoch: Instant,
    scratch: Vec<u8>,
    out: Wire,
    batch: Vec<Message>,
    messages: VecDeque<Message>,
    is_up: bool,
    is_sctp_up: bool,
    handed: usize,
}

pub struct Baseline {
    sides: [Side; 2],
    received: u64,
    packets: u64,
}

pub fn connect(now: &mut Instant) -> Baseline {
    let config = Arc::new(dimpl::Config::builder().mtu(1400).build().expect("valid"));
    let sides = [true, false].map(|is_client| {
        let certificate = dimpl::certificate::generate_self_signed_certificate().expect("made");
        let mut dtls = Dtls::new_auto(config.clone(), certificate, *now);
        dtls.set_active(is_client);
        let options = Options {
            mtu: 1191,
            max_message_size: 64 << 20,
            max_send_buffer_size: 256 << 20,
            per_stream_send_queue_limit: 256 << 20,
            // The same window and the same controller as ours, so that both do the same work.
            max_receiver_window_buffer_size: 8 << 20,
            congestion: Some(Algorithm::Tolerant),
            max_burst: 256,
            max_gap_ack_blocks: 128,
            max_retransmissions: None,
            max_init_retransmits: None,
            max_timer_backoff_duration: Some(Duration::from_secs(1)),
            zero_checksum_alternate_error_detection_method:
                ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS,
            ..Options::default()
        };
        Side {
            dtls,
            sctp: Socket::new("", &options),
            epoch: *now,
            scratch: vec![0; 2048],
            out: Wire::default(),
            batch: Vec::new(),
            messages: VecDeque::new(),
            is_up: false,
            is_sctp_up: false,
            handed: 0,
        }
    });
    let mut ends = Baseline { sides, received: 0, packets: 0 };
    for side in &mut ends.sides {
        side.dtls.handle_timeout(*now).expect("alive");
        side.drain_dtls();
    }
    while ends.sides.iter().any(|side| !side.is_sctp_up) {
        ends.exchange(*now);
        *now += Duration::from_millis(5);
        for side in &mut ends.sides {
            side.dtls.handle_timeout(*now).expect("alive");
            side.drain_dtls();
        }
    }
    ends
}

impl Side {
    fn datagram(&mut self, datagram: &[u8]) {
        if (20..=63).contains(&datagram[0]) {
            self.dtls.handle_packet(datagram).expect("alive");
            self.drain_dtls();
        }
    }

    fn drain_dtls(&mut self) {
        loop {
            match self.dtls.poll_output(&mut self.scratch) {
                Output::Packet(packet) => self.out.put(packet),
                Output::ApplicationData(data) => {
                    self.sctp.handle_input(data);
                    while let Some(message) = self.sctp.get_next_message() {
                        self.messages.push_back(message);
                    }
                }
                Output::Connected => {
                    self.is_up = true;
                    self.sctp.connect();
                }
                Output::BufferTooSmall { needed } => self.scratch.resize(needed, 0),
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn drain_sctp(&mut self) {
        while let Some(event) = self.sctp.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) if self.is_up => {
                    self.dtls.send_application_data(&packet).expect("alive");
                    self.drain_dtls();
                }
                SocketEvent::OnConnected() => self.is_sctp_up = true,
                _ => {}
            }
        }
    }

    fn turn(&mut self, now: Instant) {
        self.sctp.advance_time(SocketTime::zero() + (now - self.epoch));
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.sctp.send_many(batch, &SendOptions::default()).expect("taken");
        }
        self.drain_sctp();
    }
}

impl Ends for Baseline {
    fn send(&mut self, _now: Instant, payload: Vec<u8>) {
        let side = &mut self.sides[0];
        side.handed += payload.len();
        side.batch.push(Message::new(StreamId(0), PpId(53), payload));
    }

    fn buffered(&mut self) -> usize {
        self.sides[0].handed
    }

    fn exchange(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for at in 0..2 {
            self.sides[at].turn(now);
            let wire = std::mem::take(&mut self.sides[at].out);
            moved |= !wire.is_empty();
            let to = &mut self.sides[1 - at];
            to.dtls.handle_timeout(now).expect("alive");
            for datagram in wire.datagrams() {
                to.datagram(datagram);
                self.packets += 1;
            }
            self.sides[at].out = wire;
            self.sides[at].out.clear();
            self.sides[1 - at].turn(now);
        }
        self.sides[0].handed = self.sides[0].sctp.buffered_amount(StreamId(0));
        while self.sides[1].messages.pop_front().is_some() {
            self.received += 1;
        }
        moved
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn packets(&self) -> u64 {
        self.packets
    }
}
