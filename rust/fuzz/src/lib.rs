//! Fuzz targets: input from the network for each layer. A target must not panic, run without end or grow without bound.
//!
//! `cargo test` replays `seeds/` and mutations of them on a stable compiler (`rust/engine/tests/seeds.rs` includes this
//! file); libFuzzer goes on from there: `cargo +nightly fuzz run sctp corpus/sctp seeds/sctp`.
//!
//! An input of several datagrams is a list of `[flags] [length, 2 bytes] [datagram]`; [`frame`] writes one.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use adieu_engine::channel::{ChannelEvent, Channels, dcep};
use adieu_engine::dtls::{Dtls, Output};
use adieu_engine::ice::{Credentials, Role};
use adieu_engine::rtp::srtp::{Material, Profile, Srtp};
use adieu_engine::rtp::wire::header::Header;
use adieu_engine::rtp::wire::{self, extensions, red, rtcp as reports, tone};
use adieu_engine::rtp::{AudioCodec, AudioUnit, Format, Media, MediaKind, Section};
use adieu_engine::sctp::packet;
use adieu_engine::sctp::{Association, SctpEvent, SctpState};
use adieu_engine::turn::{Credential, Server};
use adieu_engine::{
    Algorithm, Batch, Certificate, ChannelOptions, Config, Event, Fingerprint, Random, Reliability,
    RemoteCandidate, Transport, Wire, WireEvent, WireKey, WireOrder, WireTransport,
};
use framing::{Deframer, Framing, MAX_DATAGRAM};
use stun_types::attribute::Attribute;
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageWrite, MessageWriteExt, MessageWriteVec,
};

pub mod estimate;
#[path = "../../io/src/stream/framing.rs"]
pub mod framing;
#[path = "pictures.rs"]
pub mod pictures;

/// More than this and an engine talks without being asked.
const BOUND: usize = 100_000;

/// The time moves by a second before the datagram.
pub const LATER: u8 = 1;
/// A flag: the datagram is not from the peer. For the first one: it goes to a DTLS server, not a client.
pub const STRANGER: u8 = 2;
/// A flag for a TURN server's message: it is signed, as one that knows the password does.
pub const SIGNED: u8 = 4;

pub fn frame(flags: u8, datagram: &[u8]) -> Vec<u8> {
    let mut out = vec![flags];
    out.extend_from_slice(&(datagram.len() as u16).to_be_bytes());
    out.extend_from_slice(datagram);
    out
}

fn frames(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = data.split_at_checked(3)?;
        let length = usize::from(u16::from_be_bytes([head[1], head[2]])).min(rest.len());
        data = &rest[length..];
        Some((head[0], &rest[..length]))
    })
}

fn certificate() -> Arc<Certificate> {
    static CERTIFICATE: OnceLock<Arc<Certificate>> = OnceLock::new();
    let make = || {
        let life = Duration::from_secs(86_400 * 365);
        Arc::new(Certificate::generate(1_800_000_000, life, &mut Random::new([7; 32])).expect("made"))
    };
    CERTIFICATE.get_or_init(make).clone()
}

fn fingerprints() -> Vec<Fingerprint> {
    let value = certificate().fingerprint("sha-256").expect("known");
    Fingerprint::parse_all([("sha-256", value.as_str())]).expect("well-formed")
}

/// The credentials of the virtual connection that the seeds were recorded from: the checks in them are authentic.
pub fn credentials(peer: usize) -> Credentials {
    let letter = if peer == 0 { "a" } else { "b" };
    Credentials { ufrag: format!("{letter}001"), pwd: format!("{}01", letter.repeat(20)) }
}

fn config() -> Config {
    Config {
        disconnected_after: Duration::from_secs(3),
        failed_after: Duration::from_secs(15),
        receive_buffer: 1 << 20,
        max_message_size: 262_144,
        congestion: Algorithm::Tolerant,
        seed: [1; 32],
    }
}

/// Datagrams to a whole transport that waits for its peer.
pub fn transport(data: &[u8]) {
    let mut now = Instant::now();
    let config = config();
    let (local, peer): (SocketAddr, SocketAddr) =
        (([10, 0, 0, 1], 1000).into(), ([10, 0, 0, 2], 2000).into());
    let mut transport = Transport::new(now, certificate(), config);
    transport.start_generation(now, 1, credentials(0), Role::Controlling);
    transport.add_host(now, 1, local);
    transport.hosts_done(now, 1);
    transport.set_remote(now, 1, credentials(1), false);
    transport.start_dtls(now, false, fingerprints());
    transport.start_sctp(now, 5000, 5000, 262_144);
    let mut batch = Batch::new(16);
    for (flags, datagram) in frames(data) {
        if flags & LATER != 0 {
            now += Duration::from_secs(1);
            transport.handle_timeout(now);
        }
        let source = if flags & STRANGER != 0 { ([10, 0, 0, 3], 3000).into() } else { peer };
        transport.handle_datagram(now, Wire::udp(local, source), datagram);
        let mut said = 0;
        while transport.poll_event(now).is_some() || transport.poll_transmit(now, &mut batch) {
            said += 1;
            assert!(said < BOUND);
        }
        now += Duration::from_millis(1);
    }
    transport.close(now, "end");
    while transport.poll_transmit(now, &mut batch) {}
}

/// A transport with one TURN server, and what it has said.
struct Client {
    transport: Transport,
    batch: Batch,
    wire: Option<Wire>,
    /// The one of the last request to the server.
    transaction: [u8; 12],
    relayed: usize,
}

impl Client {
    fn new(now: Instant) -> Client {
        let transport = Transport::new(now, certificate(), config());
        let batch = Batch::new(16);
        let mut client = Client { transport, batch, wire: None, transaction: [0; 12], relayed: 0 };
        let server = Arc::new(Server {
            url: "turn:t.example".into(),
            host: "t.example".into(),
            transport: WireTransport::Udp,
            username: "user".into(),
            credential: Credential("password".into()),
        });
        client.transport.start_generation(now, 1, credentials(0), Role::Controlling);
        client.transport.set_bases(1, vec![[10, 0, 0, 1].into()]);
        client.transport.expect_relay(now, 1, server.clone());
        client.transport.relay_resolved(now, 1, &server, Ok(vec![([192, 0, 2, 1], 3478).into()]));
        client.transport.hosts_done(now, 1);
        client.transport.set_remote(now, 1, credentials(1), false);
        let peer = RemoteCandidate::parse("candidate:1 1 udp 2122260223 10.0.0.2 2000 typ host");
        client.transport.add_candidate(now, 1, Some(peer.expect("a candidate")));
        client.turn(now);
        client
    }

    fn turn(&mut self, now: Instant) {
        for said in 0.. {
            assert!(said < BOUND);
            if let Some(event) = self.transport.poll_event(now) {
                let is_candidate = |event: &adieu_engine::ice::IceEvent| {
                    matches!(event, adieu_engine::ice::IceEvent::Candidate { .. })
                };
                self.relayed += usize::from(matches!(event, Event::Ice(event) if is_candidate(&event)));
            } else if let Some(order) = self.transport.poll_order() {
                if let WireOrder::Open { key: WireKey::Turn(key), local, remote, .. } = order {
                    let wire = Wire::udp(SocketAddr::new(local, 4000), remote);
                    self.wire = Some(wire);
                    self.transport.handle_wire(now, WireKey::Turn(key), WireEvent::Open { wire });
                }
            } else if self.transport.poll_transmit(now, &mut self.batch) {
                for datagram in self.batch.datagrams() {
                    // A request of TURN's methods: Allocate, Refresh, CreatePermission, ChannelBind.
                    if let [0, 3 | 4 | 8 | 9, ..] = datagram {
                        self.transaction.copy_from_slice(&datagram[8..20]);
                    }
                }
            } else {
                return;
            }
        }
    }
}

/// Messages of a TURN server to a transport that has asked it for an address. How many addresses it got.
pub fn turn(data: &[u8]) -> usize {
    let mut now = Instant::now();
    let mut client = Client::new(now);
    for (flags, bytes) in frames(data) {
        if flags & LATER != 0 {
            now += Duration::from_secs(1);
            client.transport.handle_timeout(now);
            client.turn(now);
        }
        let mut bytes = bytes.to_vec();
        if let (0, Some(field)) = (flags & STRANGER, bytes.get_mut(8..20)) {
            field.copy_from_slice(&client.transaction);
        }
        if flags & SIGNED != 0 {
            bytes = signed(&bytes).unwrap_or(bytes);
        }
        let Some(wire) = client.wire else { break };
        client.transport.handle_datagram(now, wire, &bytes);
        client.turn(now);
        now += Duration::from_millis(1);
    }
    client.transport.close(now, "end");
    for _ in 0..40 {
        client.turn(now);
        now += Duration::from_millis(100);
        client.transport.handle_timeout(now);
    }
    assert!(!client.transport.is_releasing(), "what is not given back in two seconds is given up");
    client.relayed
}

/// The same message with the signature of a server that knows the password. None: it is no message.
fn signed(bytes: &[u8]) -> Option<Vec<u8>> {
    let message = Message::from_bytes(bytes).ok()?;
    let mut out = Message::builder(message.get_type(), message.transaction_id(), MessageWriteVec::new());
    /// MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT, which the builder writes by itself.
    const ITS_OWN: [u16; 3] = [0x0008, 0x001C, 0x8028];
    let attributes = message.iter_attributes().map(|(_, attribute)| attribute);
    for attribute in attributes.filter(|attribute| !ITS_OWN.contains(&attribute.get_type().value())) {
        out.add_attribute(&attribute).ok()?;
    }
    let credentials = LongTermKeyCredentials::new("user".into(), "password".into(), "realm".into());
    let key = credentials.make_key(IntegrityAlgorithm::Sha1);
    out.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1).ok()?;
    Some(out.finish())
}

/// Pieces of a stream of TURN; with [`STRANGER`] on the first one, of ICE. They give the same datagrams as all of it at
/// once, and each of these can be written and read again. Returns how many there are.
pub fn stream(data: &[u8]) -> usize {
    let is_ice = frames(data).next().is_some_and(|(flags, _)| flags & STRANGER != 0);
    let framing = if is_ice { Framing::Ice } else { Framing::Turn };
    let (mut deframer, mut datagrams) = (Deframer::new(framing), Vec::new());
    let mut whole = Vec::new();
    let mut result = Ok(());
    for (_, piece) in frames(data) {
        whole.extend_from_slice(piece);
        result = deframer.push(piece, |datagram| datagrams.push(datagram.to_vec()));
        if result.is_err() {
            break;
        }
        assert!(deframer.held() <= MAX_DATAGRAM + 4, "{}", deframer.held());
    }
    let mut at_once = Vec::new();
    let again = Deframer::new(framing).push(&whole, |datagram| at_once.push(datagram.to_vec()));
    assert_eq!((result, &datagrams), (again, &at_once));
    let mut written = Vec::new();
    for datagram in &datagrams {
        assert!(framing.write(datagram, &mut written), "what was read may be written");
    }
    let mut read = Vec::new();
    assert_eq!(Deframer::new(framing).push(&written, |datagram| read.push(datagram.to_vec())), Ok(()));
    assert_eq!(read, datagrams);
    datagrams.len()
}

/// Datagrams to a DTLS client or server in its handshake.
pub fn dtls(data: &[u8]) {
    let mut now = Instant::now();
    let is_client = frames(data).next().is_none_or(|(flags, _)| flags & STRANGER == 0);
    let mut dtls = Dtls::new(now, certificate());
    dtls.want(is_client, fingerprints());
    dtls.start(now);
    let mut buffer = vec![0; 2048];
    for (flags, datagram) in frames(data) {
        now += if flags & LATER != 0 { Duration::from_secs(1) } else { Duration::from_millis(1) };
        dtls.handle_timeout(now);
        dtls.handle_datagram(now, datagram);
        let mut said = 0;
        while !matches!(dtls.poll_output(&mut buffer), Output::Idle) {
            said += 1;
            assert!(said < BOUND);
        }
    }
    dtls.close();
    while !matches!(dtls.poll_output(&mut buffer), Output::Idle) {}
}

struct Side {
    sctp: Association,
    channels: Channels,
    received: usize,
}

impl Side {
    fn new(now: Instant, is_client: bool) -> Side {
        let mut channels = Channels::new(262_144);
        channels.set_role(is_client);
        let mut sctp = Association::new(now, (5000, 5000), 1 << 20, 262_144, Algorithm::Tolerant);
        sctp.connect(now);
        Side { sctp, channels, received: 0 }
    }

    /// Feed the incoming packets, and return the outgoing ones.
    fn turn(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let Side { sctp, channels, received } = self;
        loop {
            sctp.flush(now);
            channels.handle_progress(now, sctp);
            let Some(event) = sctp.poll_event() else { break };
            match event {
                SctpEvent::Connected { max_channels } => channels.handle_connected(now, sctp, max_channels),
                SctpEvent::Message { stream, ppid, payload } => {
                    channels.handle_message(now, sctp, (stream, ppid, payload));
                }
                SctpEvent::IncomingReset(streams) => channels.handle_incoming_reset(now, sctp, &streams),
                SctpEvent::ResetDone(streams) => channels.handle_reset_answer(now, sctp, &streams, true),
                SctpEvent::ResetFailed(streams) => channels.handle_reset_answer(now, sctp, &streams, false),
                SctpEvent::Ended { error, cause } => {
                    channels.handle_ended(error.then_some(&cause.text), cause.code);
                }
            }
            assert!(channels.waiting_events() < BOUND);
        }
        while let Some(event) = channels.poll_event() {
            *received += usize::from(matches!(event, ChannelEvent::Message { .. }));
        }
        let packets: Vec<_> = std::iter::from_fn(|| sctp.poll_transmit()).collect();
        assert!(packets.len() < BOUND);
        packets
    }
}

/// Where the numbers of an association start: inputs hold what is to be added.
#[derive(Clone, Copy, Default)]
struct Start {
    tag: [u8; 4],
    tsn: u32,
    acknowledged: u32,
}

/// RFC 9260 section 3.3 and RFC 6525 section 4: offsets of numbers that an association checks, by chunk type.
fn numbers(kind: u8) -> &'static [(usize, bool)] {
    match kind {
        0 => &[(4, true)],                             // DATA: TSN
        3 | 7 => &[(4, false)],                        // SACK, SHUTDOWN: the TSN that is acknowledged
        192 => &[(4, true)],                           // FORWARD-TSN
        130 => &[(8, true), (12, false), (16, false)], // RE-CONFIG: its sequence number, the answered one, a TSN
        _ => &[],
    }
}

/// Let a packet's tag and numbers be those of an association, or, with `sign` -1, be relative to it.
fn relate(packet: &mut [u8], start: Start, sign: i32) {
    let Some(tag) = packet.get_mut(4..8) else { return };
    tag.copy_from_slice(if sign > 0 { &start.tag } else { &[0; 4] });
    if let Some(checksum) = packet.get_mut(8..12) {
        checksum.fill(0); // agreed on
    }
    let mut at = 12;
    while let Some(&[kind, _, high, low]) = packet.get(at..at + 4).and_then(|head| head.first_chunk()) {
        for &(offset, is_tsn) in numbers(kind) {
            if let Some(field) = packet.get_mut(at + offset..at + offset + 4) {
                let base = if is_tsn { start.tsn } else { start.acknowledged };
                let value = u32::from_be_bytes(field.try_into().expect("four bytes"));
                let value = if sign > 0 { value.wrapping_add(base) } else { value.wrapping_sub(base) };
                field.copy_from_slice(&value.to_be_bytes());
            }
        }
        at += usize::from(u16::from_be_bytes([high, low])).max(4).next_multiple_of(4);
    }
}

/// Two connected associations, and what the packets of the second to the first begin with.
fn associations(now: &mut Instant) -> (Side, Side, Start) {
    let (mut ours, mut theirs) = (Side::new(*now, true), Side::new(*now, false));
    let mut start = Start::default();
    while [&ours, &theirs].iter().any(|side| side.sctp.state() != SctpState::Connected) {
        for packet in theirs.turn(*now) {
            note_start(&packet, &mut start.tag, &mut start.tsn);
            ours.sctp.handle_packet(*now, &packet);
        }
        for packet in ours.turn(*now) {
            note_start(&packet, &mut [0; 4], &mut start.acknowledged);
            theirs.sctp.handle_packet(*now, &packet);
        }
        *now += Duration::from_millis(10);
        ours.sctp.handle_timeout(*now);
        theirs.sctp.handle_timeout(*now);
    }
    (ours, theirs, start)
}

/// INIT and INIT ACK name the first TSN; every packet but the INIT has the tag.
fn note_start(packet: &[u8], tag: &mut [u8; 4], tsn: &mut u32) {
    if packet[4..8] != [0; 4] {
        tag.copy_from_slice(&packet[4..8]);
    }
    if let (Some(1 | 2), Some(first)) = (packet.get(12), packet.get(28..32)) {
        *tsn = u32::from_be_bytes(first.try_into().expect("four bytes"));
    }
}

/// Packets to a connected association with channels on it, as an authentic peer could send them. How many messages
/// came through to a channel.
pub fn sctp(data: &[u8]) -> usize {
    let mut now = Instant::now();
    let (mut ours, _, start) = associations(&mut now);
    let options = ChannelOptions {
        label: "c".into(),
        protocol: String::new(),
        negotiated: true,
        ordered: true,
        reliability: Reliability::Full,
        priority: 256,
    };
    ours.channels.open(now, Some(&mut ours.sctp), false, (0, options));
    for (flags, bytes) in frames(data) {
        if flags & LATER != 0 {
            now += Duration::from_secs(1);
            ours.sctp.handle_timeout(now);
            ours.channels.handle_timeout(now, &mut ours.sctp, false);
        }
        let mut bytes = bytes.to_vec();
        if flags & STRANGER == 0 {
            relate(&mut bytes, start, 1);
        }
        let _ = packet::inspect_packet(&bytes);
        let _ = packet::cumulative_ack(&bytes);
        let _ = packet::with_abort_reason(&bytes, "why");
        ours.sctp.handle_packet(now, &bytes);
        ours.turn(now);
    }
    ours.sctp.abort(now, "end");
    ours.received
}

/// One DCEP message: read, and what was read is written as it was.
pub fn dcep(data: &[u8]) {
    if let Some(dcep::Dcep::Open(options)) = dcep::parse(data) {
        let again = dcep::parse(&dcep::open(&options));
        // Text that is not UTF-8 was replaced, and so may have grown out of its length.
        if options.label.len().max(options.protocol.len()) <= usize::from(u16::MAX) {
            assert!(matches!(again, Some(dcep::Dcep::Open(same)) if same == options));
        }
    }
}

/// A line of text: a candidate, a fingerprint.
pub fn candidate(data: &[u8]) {
    let line = String::from_utf8_lossy(data);
    if let Err(error) = RemoteCandidate::parse(&line) {
        assert!(!error.is_empty());
    }
    let _ = Fingerprint::parse_all([("sha-256", line.as_ref())]);
}

/// Return the packets of a well-behaved peer on a connected association, relative to its numbers: for the seeds.
pub fn record_sctp() -> Vec<Vec<u8>> {
    let mut now = Instant::now();
    let (mut ours, mut theirs, start) = associations(&mut now);
    let mut record = Vec::new();
    let open = |label: &str, ordered, reliability| ChannelOptions {
        label: label.into(),
        protocol: "p".into(),
        negotiated: false,
        ordered,
        reliability,
        priority: 256,
    };
    let all = [
        open("all", true, Reliability::Full),
        open("some", false, Reliability::Retransmits(0)),
        open("soon", true, Reliability::Lifetime(5)),
    ];
    let keys: Vec<_> = (1u16..)
        .step_by(2)
        .zip(all)
        .map(|one| theirs.channels.open(now, Some(&mut theirs.sctp), false, one))
        .collect();
    for round in 0..18 {
        for (number, key) in keys.iter().enumerate() {
            let kind = if round % 2 == 0 { adieu_engine::Kind::Text } else { adieu_engine::Kind::Binary };
            let size = [0, 5, 1500][(round + number) % 3];
            theirs.channels.send(now, &mut theirs.sctp, *key, kind, vec![b'x'; size]);
            if round == 12 && number > 0 {
                theirs.channels.close(now, Some(&mut theirs.sctp), *key);
            }
        }
        for (number, packet) in theirs.turn(now).into_iter().enumerate() {
            let mut relative = packet.clone();
            relate(&mut relative, start, -1);
            record.push(relative);
            if (round + number) % 7 != 6 {
                ours.sctp.handle_packet(now, &packet); // and some are lost
            }
        }
        for packet in ours.turn(now) {
            theirs.sctp.handle_packet(now, &packet);
        }
        now += Duration::from_millis(30);
        for side in [&mut ours, &mut theirs] {
            side.sctp.handle_timeout(now);
            side.channels.handle_timeout(now, &mut side.sctp, false);
        }
    }
    if let Some(mut abort) = theirs.sctp.abort(now, "bye") {
        relate(&mut abort, start, -1);
        record.push(abort);
    }
    record
}

// --- media -------------------------------------------------------------------------------------------------------

/// The header of a packet, its extensions, and its payload as redundancy and as a tone.
pub fn header(data: &[u8]) {
    let Some(header) = Header::parse(data) else { return };
    if let Some((profile, range)) = &header.extension {
        let sizes = extensions::elements(*profile, &data[range.clone()]).map(|(_, value)| value.len());
        assert!(sizes.sum::<usize>() <= range.len());
    }
    if let Some(payload) = header.payload(data) {
        assert!(payload.len() + header.size <= data.len());
        let blocks = red::blocks(payload);
        assert!(blocks.iter().map(|block| block.bytes.len()).sum::<usize>() <= payload.len());
        if let Some(report) = tone::Report::read(payload) {
            assert_eq!(tone::Report::read(&report.write()), Some(report));
        }
    }
}

/// A compound of reports.
pub fn rtcp(data: &[u8]) {
    let packets: Vec<_> = reports::packets(data).collect();
    assert!(packets.len() <= data.len() / 4 + 1);
    assert!(packets.iter().rev().skip(1).all(Option::is_some), "what is malformed is the last");
}

fn material(is_client: bool) -> Material {
    Material { profile: Profile::Aes128Gcm, bytes: (0..56).collect(), is_client }
}

fn section(payload_type: u8) -> Section {
    let format = |payload_type, name: &str, clock_rate, channels| Format {
        payload_type,
        name: name.to_owned(),
        clock_rate,
        channels,
        fmtp: String::new(),
    };
    let formats = vec![
        format(payload_type, "opus", 48_000, 2),
        format(0, "PCMU", 8000, 1),
        format(63, "red", 48_000, 2),
        format(110, "telephone-event", 48_000, 1),
    ];
    Section {
        mid: "0".to_owned(),
        kind: MediaKind::Audio,
        sender: Some(1),
        receiver: Some(2),
        sends: true,
        receives: true,
        send: formats.clone(),
        receive: formats,
        extensions: vec![(4, "urn:ietf:params:rtp-hdrext:sdes:mid".to_owned())],
        ssrcs: Vec::new(),
        rids: Vec::new(),
        own_ssrcs: None,
        active: true,
        max_bitrate: None,
        reduced_size: false,
    }
}

/// Protected packets, as they come; nothing of those that are not authentic may be kept.
pub fn srtp(data: &[u8]) {
    let Some(mut srtp) = Srtp::new(&material(true)) else { return };
    for (_, datagram) in frames(data) {
        let mut packet = datagram.to_vec();
        if wire::is_rtcp(datagram) {
            srtp.open_rtcp(&mut packet);
        } else if let Some(header) = Header::parse(datagram) {
            srtp.open(&header, &mut packet);
        }
        assert!(packet.len() <= datagram.len());
    }
}

/// Packets of a peer that has the keys and sends what it likes, and negotiations between them. Returns how many were
/// taken.
pub fn media(data: &[u8]) -> usize {
    let mut now = Instant::now();
    let (mut media, mut peer) = (
        Media::new(now, Duration::from_secs(1), Random::new([3; 32])),
        Srtp::new(&material(false)).expect("material"),
    );
    media.handle_secured(now, &material(true));
    media.apply(now, 1, "name".to_owned(), vec![section(111)]);
    let (mut epoch, mut mark, mut taken) = (1, 0, 0);
    for (flags, plain) in frames(data) {
        now += if flags & LATER != 0 { Duration::from_secs(1) } else { Duration::from_millis(1) };
        if media.poll_timeout(now).is_some_and(|at| at <= now) {
            media.handle_timeout(now);
        }
        if flags & STRANGER != 0 {
            epoch += 1;
            let sections = plain.first().map_or_else(Vec::new, |byte| vec![section(96 + byte % 32)]);
            media.apply(now, epoch, "name".to_owned(), sections);
            continue;
        }
        mark += 1;
        let unit = AudioUnit {
            codec: AudioCodec::Opus,
            timestamp: 960 * mark,
            marker: false,
            level: None,
            captured: now,
            mark,
            payload: vec![0; 20],
        };
        media.send_audio(now, 1, unit);
        let mut packet = plain.to_vec();
        let sealed = if wire::is_rtcp(plain) {
            peer.seal_rtcp(&mut packet)
        } else {
            let header = Header::parse(plain);
            header.and_then(|one| peer.seal(&mut packet, one.size, one.ssrc, one.sequence.into()))
        };
        if sealed.is_some() && media.handle_datagram(now, &packet) {
            taken += 1;
        }
        let mut said = 0;
        while media.poll_event().is_some() {
            said += 1;
            assert!(said < 1000);
        }
    }
    let stats = media.stats(now);
    assert!(stats.inbound.len() <= 64 && stats.outbound.len() <= 1);
    taken
}
