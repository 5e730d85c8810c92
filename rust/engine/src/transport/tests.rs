use std::collections::VecDeque;

use super::*;
use crate::channel::Reliability;
use crate::tenant::Tenant;

#[test]
fn events_are_small() {
    assert!(size_of::<Event>() <= 48, "{}", size_of::<Event>());
}

/// Two connected transports, and the key of a channel between them.
struct Pair {
    now: Instant,
    sides: [Transport; 2],
    addresses: [SocketAddr; 2],
    key: ChannelKey,
    /// How often side 1 was given a message.
    received: usize,
}

impl Pair {
    fn connected() -> Pair {
        let now = Instant::now();
        let addresses: [SocketAddr; 2] = [([10, 0, 0, 1], 1000).into(), ([10, 0, 0, 2], 2000).into()];
        let life = Duration::from_secs(1000);
        let certificate = Certificate::generate(1_800_000_000, life, &mut Random::new([7; 32]));
        let certificate = Arc::new(certificate.expect("made"));
        let hash = certificate.fingerprint("sha-256").expect("known");
        let fingerprints = Fingerprint::parse_all([("sha-256", hash.as_str())]).expect("well-formed");
        let credentials =
            |at: usize| Credentials { ufrag: format!("user{at}"), pwd: format!("{at}").repeat(22) };
        let sides = [0, 1].map(|at| {
            let config = Config {
                disconnected_after: Duration::from_secs(3),
                failed_after: Duration::from_secs(15),
                receive_buffer: 1 << 24,
                max_message_size: 1 << 18,
                congestion: Algorithm::Tolerant,
                seed: [at as u8; 32],
            };
            let mut side = Transport::new(now, certificate.clone(), config);
            let role = if at == 0 { Role::Controlling } else { Role::Controlled };
            side.start_generation(now, 1, credentials(at), role);
            side.add_host(now, 1, addresses[at]);
            side.hosts_done(now, 1);
            side.set_remote(now, 1, credentials(1 - at), false);
            let other = addresses[1 - at];
            let line = format!("candidate:1 1 udp 2122260223 {} {} typ host", other.ip(), other.port());
            side.add_candidate(now, 1, Some(RemoteCandidate::parse(&line).expect("well-formed")));
            side.add_candidate(now, 1, None);
            side.start_dtls(now, at == 1, fingerprints.clone());
            side.start_sctp(now, 5000, 5000, 0);
            side
        });
        let mut pair = Pair { now, sides, addresses, key: ChannelKey(0), received: 0 };
        for side in &mut pair.sides {
            pair.key = side.open_channel(now, 0, options(true)).expect("not closed");
        }
        pair.run(200);
        assert!(pair.sides.iter().all(|side| side.stats(pair.now).sctp.is_some()), "connected");
        pair
    }

    /// Let both talk for this many rounds of 5 ms.
    fn run(&mut self, rounds: usize) {
        let mut batch = Batch::new(64);
        for _ in 0..rounds {
            for at in 0..2 {
                while self.sides[at].poll_transmit(self.now, &mut batch) {
                    self.deliver(1 - at, &batch);
                }
                while let Some(event) = self.sides[at].poll_event(self.now) {
                    let is_message = matches!(event, Event::Channel(ChannelEvent::Message { .. }));
                    self.received += usize::from(is_message && at == 1);
                }
            }
            self.now += Duration::from_millis(5);
            self.sides.iter_mut().for_each(|side| side.handle_timeout(self.now));
        }
    }

    fn deliver(&mut self, to: usize, batch: &Batch) {
        for datagram in batch.datagrams() {
            let wire = Wire::udp(self.addresses[to], self.addresses[1 - to]);
            self.sides[to].handle_datagram(self.now, wire, datagram);
        }
    }
}

fn options(negotiated: bool) -> ChannelOptions {
    ChannelOptions {
        label: String::new(),
        protocol: String::new(),
        negotiated,
        ordered: true,
        reliability: Reliability::Full,
        priority: 256,
    }
}

/// A tenant as media will be one: small packets, at their time. Its packets are marked and not encrypted.
struct Virtual {
    packets: VecDeque<Vec<u8>>,
}

const MARK: u8 = 128;

impl Tenant for Virtual {
    fn poll_transmit(&mut self, now: Instant, secure: &mut Secure, batch: &mut Batch) -> bool {
        let Some(packet) = self.packets.pop_front() else { return false };
        if !secure.start_batch(now, batch) {
            return false;
        }
        let room = batch.room(packet.len()).expect("an empty batch");
        room[..packet.len()].copy_from_slice(&packet);
        batch.push(packet.len());
        true
    }
}

#[test]
fn bulk_data_does_not_keep_another_tenant_from_its_turn() {
    let mut pair = Pair::connected();
    let (now, key) = (pair.now, pair.key);
    for _ in 0..128 {
        assert!(pair.sides[0].send(now, key, Kind::Binary, vec![0; 64_000]));
    }
    pair.run(8); // it starts slowly; the last acknowledgements let many packets go at once
    let mut other = Virtual { packets: (0..3).map(|_| vec![MARK; 160]).collect() };
    let mut batch = Batch::new(64);
    let mut order = Vec::new();
    {
        let Transport { secure, phase: Phase::Open(data), turns, .. } = &mut pair.sides[0] else {
            panic!("open")
        };
        data.flush(pair.now);
        while turns.poll_transmit(pair.now, &mut [&mut **data, &mut other], secure, &mut batch) {
            let is_other = batch.contents()[0] == MARK;
            order.push((is_other, batch.contents().len()));
        }
    }
    assert!(other.packets.is_empty());
    let bulk: usize = order.iter().filter(|(is_other, _)| !is_other).map(|(_, size)| size).sum();
    assert!(bulk > 3 * 64_000, "enough to starve somebody: {order:?}");
    // Before each of its turns at most the budget and the batch that overdraws it.
    for turn in order.split(|(is_other, _)| *is_other).take(3) {
        let before: usize = turn.iter().map(|(_, size)| size).sum();
        assert!(before <= 2 * 64_000, "{before} bytes before its turn: {order:?}");
    }
    // And the other one does not keep the data waiting either.
    assert!(order.windows(2).filter(|pair| pair[0].0 && pair[1].0).count() <= 2);
}

#[test]
fn what_was_dropped_is_still_counted_after_the_close() {
    let mut pair = Pair::connected();
    // Side 1 is the DTLS client: its streams are even.
    pair.sides[1].open_channel(pair.now, 1, options(false));
    pair.run(10);
    let now = pair.now;
    let side = &mut pair.sides[0];
    side.handle_datagram(now, Wire::udp(pair.addresses[0], pair.addresses[1]), &[255; 40]);
    let before = side.drops();
    assert_eq!((before.unknown, before.dcep), (1, 1));
    side.close(now, "bye");
    assert_eq!(side.drops(), before, "counters only grow");
    assert!(side.poll_event(now).is_none() && side.poll_timeout(now).is_none());
    assert!(!side.send(now, pair.key, Kind::Binary, vec![1]));
    assert_eq!(side.open_channel(now, 2, options(true)), None);
}
