//! Our engine, as the hub uses it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adieu_engine::channel::ChannelEvent;
use adieu_engine::ice::{Credentials, IceEvent, Role};
use adieu_engine::{
    Algorithm, Batch, Certificate, ChannelKey, ChannelOptions, Config, Event, Fingerprint, Kind, Random,
    Reliability, RemoteCandidate, Transport,
};

use crate::{Ends, Wire};

struct Side {
    transport: Transport,
    local: SocketAddr,
    remote: SocketAddr,
    out: Wire,
    line: Option<String>,
    open: Option<ChannelKey>,
    received: u64,
    unsent: usize,
}

pub struct Ours {
    sides: [Side; 2],
    batch: Batch,
    packets: u64,
}

pub fn connect(now: &mut Instant) -> Ours {
    let addresses: [SocketAddr; 2] = [([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 2).into()];
    let mut random = Random::new([1; 32]);
    let certificates = [(); 2].map(|()| {
        let life = Duration::from_secs(1000);
        Arc::new(Certificate::generate(1_800_000_000, life, &mut random).expect("made"))
    });
    let credentials = |at: usize| Credentials { ufrag: format!("user{at}"), pwd: format!("{at}").repeat(22) };
    let mut index = 0;
    let sides = addresses.map(|local| {
        let at = index;
        index += 1;
        let config = Config {
            disconnected_after: Duration::from_secs(3),
            failed_after: Duration::from_secs(15),
            receive_buffer: 8 << 20,
            max_message_size: 262_144,
            congestion: Algorithm::Tolerant,
            seed: [at as u8; 32],
        };
        let mut transport = Transport::new(*now, certificates[at].clone(), config);
        let role = if at == 0 { Role::Controlling } else { Role::Controlled };
        transport.start_generation(*now, 1, credentials(at), role);
        transport.add_host(*now, 1, local);
        transport.hosts_done(*now, 1);
        let remote = addresses[1 - at];
        Side { transport, local, remote, out: Wire::default(), line: None, open: None, received: 0, unsent: 0 }
    });
    let mut ours = Ours { sides, batch: Batch::new(64), packets: 0 };
    ours.turn(0, *now);
    ours.turn(1, *now);
    for at in 0..2 {
        let line = ours.sides[1 - at].line.clone().expect("a candidate");
        let transport = &mut ours.sides[at].transport;
        transport.set_remote(*now, 1, credentials(1 - at), false);
        transport.add_candidate(*now, 1, Some(RemoteCandidate::parse(&line).expect("well-formed")));
        transport.add_candidate(*now, 1, None);
        let hash = certificates[1 - at].fingerprint("sha-256").expect("known");
        let all = Fingerprint::parse_all([("sha-256", hash.as_str())]).expect("well-formed");
        transport.start_dtls(*now, at == 1, all);
        transport.start_sctp(*now, 5000, 5000, 262_144);
        let options = ChannelOptions {
            label: String::new(),
            protocol: String::new(),
            negotiated: true,
            ordered: true,
            reliability: Reliability::Full,
            priority: 256,
        };
        transport.open_channel(*now, 0, options);
    }
    while ours.sides.iter().any(|side| side.open.is_none()) {
        ours.exchange(*now);
        *now += Duration::from_millis(5);
        for side in &mut ours.sides {
            side.transport.handle_timeout(*now);
        }
    }
    ours
}

impl Ours {
    fn turn(&mut self, at: usize, now: Instant) {
        let side = &mut self.sides[at];
        while let Some((_, bytes)) = side.transport.poll_drained(now) {
            side.unsent -= bytes;
        }
        while let Some(event) = side.transport.poll_event(now) {
            match event {
                Event::Channel(ChannelEvent::Message { payload, .. }) => {
                    side.received += 1;
                    side.transport.consumed(now, payload.len());
                }
                Event::Channel(ChannelEvent::Open { key }) => side.open = Some(key),
                Event::Ice(event) => {
                    if let IceEvent::Candidate { line, .. } = *event {
                        side.line = Some(line);
                    }
                }
                _ => {}
            }
        }
        while side.transport.poll_transmit(now, &mut self.batch) {
            for datagram in self.batch.datagrams() {
                side.out.put(datagram);
                self.packets += 1;
            }
        }
        // As the hub does at the end of each turn.
        let _ = std::hint::black_box((side.transport.drops(), side.transport.poll_timeout(now)));
    }
}

impl Ends for Ours {
    fn send(&mut self, now: Instant, payload: Vec<u8>) {
        let side = &mut self.sides[0];
        let key = side.open.expect("open");
        side.unsent += payload.len();
        assert!(side.transport.send(now, key, Kind::Binary, payload));
    }

    fn buffered(&mut self) -> usize {
        self.sides[0].unsent
    }

    fn exchange(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for at in 0..2 {
            self.turn(at, now);
            let wire = std::mem::take(&mut self.sides[at].out);
            moved |= !wire.is_empty();
            let to = &mut self.sides[1 - at];
            for datagram in wire.datagrams() {
                to.transport.handle_datagram(now, adieu_engine::Wire::udp(to.local, to.remote), datagram);
            }
            self.sides[at].out = wire;
            self.sides[at].out.clear();
            self.turn(1 - at, now);
        }
        moved
    }

    fn received(&self) -> u64 {
        self.sides[1].received
    }

    fn packets(&self) -> u64 {
        self.packets
    }
}
