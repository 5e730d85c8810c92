//! Streams over real sockets of the loopback interface. The far end is a blocking socket in a thread.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use adieu_engine::{Wire, WireTransport};
use mio::{Events, Poll};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    poll: Poll,
    streams: Streams,
    received: Vec<Vec<u8>>,
    events: Vec<Event>,
    unread: Vec<usize>,
    refused: Vec<Event>,
}

impl World {
    fn new() -> World {
        let poll = Poll::new().expect("poll");
        let registry = poll.registry().try_clone().expect("registry");
        let streams = Streams::new(registry, Arc::new(|| ())).expect("streams");
        World {
            poll,
            streams,
            received: Vec::new(),
            events: Vec::new(),
            unread: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn connect(&mut self, remote: SocketAddr, framing: Framing, tls: Option<Tls>) -> usize {
        let transport = if tls.is_some() { WireTransport::Tls } else { WireTransport::Tcp };
        let wire = Wire { transport, local: SocketAddr::new(remote.ip(), 0), remote };
        let order = Connect { index: 3, wire, framing, tls };
        let (token, wire) = self.streams.connect(Instant::now(), order).expect("a socket");
        assert_ne!(wire.local.port(), 0);
        token
    }

    fn read(&mut self, token: usize) {
        let mut buffer = vec![0; 65_536];
        for _ in 0..16 {
            let Got::Bytes(size) = self.streams.read(token, &mut buffer) else { return };
            if let Some((mut deframer, index, _)) = self.streams.take_deframer(token) {
                let received = &mut self.received;
                let result = deframer.push(&buffer[..size], |datagram| received.push(datagram.to_vec()));
                if index == UNCLAIMED && !self.received.is_empty() {
                    let is_known = self.received[0].starts_with(b"check");
                    self.streams.claim(token, is_known.then_some(3));
                }
                self.streams.put_deframer(token, deframer, result);
            }
        }
        self.unread.push(token);
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut World) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut events = Events::with_capacity(16);
        while !is_so(self) {
            let now = Instant::now();
            assert!(now < end, "{what}: {:?}, {} received", self.events, self.received.len());
            let next = self.streams.next_timeout().map_or(end, |at| at.min(end));
            let wait =
                if self.unread.is_empty() { next.saturating_duration_since(now) } else { Duration::ZERO };
            self.poll.poll(&mut events, Some(wait.min(Duration::from_millis(100)))).expect("poll");
            for token in std::mem::take(&mut self.unread) {
                self.read(token);
            }
            for event in &events {
                if event.is_writable() {
                    self.streams.handle_writable(event.token().0);
                }
                if event.is_readable() && event.token().0 < FIRST_TOKEN {
                    self.accept(event.token().0);
                } else if event.is_readable() {
                    self.read(event.token().0);
                }
            }
            self.streams.handle_timeouts(Instant::now());
            while let Some((index, _, event)) = self.streams.poll_event() {
                match index {
                    UNCLAIMED => self.refused.push(event),
                    index => {
                        assert_eq!(index, 3);
                        self.events.push(event);
                    }
                }
            }
        }
    }

    fn accept(&mut self, listener: usize) {
        while self.streams.accept(Instant::now(), listener) {}
    }

    /// Listen on a port of loopback.
    fn listen(&mut self) -> (usize, SocketAddr) {
        self.streams.listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port")
    }

    fn until_open(&mut self) {
        self.until("open", |world| world.events.contains(&Event::Open));
    }

    /// Why it was closed.
    fn until_closed(&mut self) -> String {
        self.until("closed", |world| matches!(world.events.last(), Some(Event::Closed(_))));
        match self.events.pop() {
            Some(Event::Closed(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, token: usize, datagram: &[u8]) -> Taken {
        self.streams.send(Instant::now(), token, std::iter::once(datagram))
    }
}

fn far_end<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let thread = std::thread::spawn(move || serve(listener.accept().expect("a connection").0));
    (address, thread)
}

fn channel_data(size: usize) -> Vec<u8> {
    let mut message = vec![9; 4 + size];
    message[..4].copy_from_slice(&[0x40, 1, (size >> 8) as u8, size as u8]);
    message
}

#[test]
fn datagrams_travel_both_ways_byte_by_byte() {
    let (address, far) = far_end(|mut io| {
        io.set_nodelay(true).expect("no delay");
        let mut bytes = [0; 12];
        io.read_exact(&mut bytes).expect("two frames");
        for byte in bytes {
            io.write_all(&[byte]).expect("echo");
        }
        bytes
    });
    let mut world = World::new();
    let token = world.connect(address, Framing::Turn, None);
    assert_eq!(world.send(token, &channel_data(3)), Taken::Lost(1), "it is not open yet");
    world.until_open();
    assert_eq!(world.send(token, &channel_data(3)), Taken::All);
    assert_eq!(world.send(token, &channel_data(0)), Taken::All);
    world.until("the echo", |world| world.received.len() == 2);
    assert_eq!(world.received, [channel_data(3), channel_data(0)]);
    assert_eq!(far.join().expect("far end")[7], 0, "padded to a multiple of 4");
    assert_eq!(world.until_closed(), "the other side closed the connection");
    assert_eq!(world.streams.count(), 0);
}

#[test]
fn a_port_on_which_nothing_listens_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let mut world = World::new();
    world.connect(address, Framing::Ice, None);
    assert!(world.until_closed().contains("refused"));
    assert_eq!(world.streams.count(), 0);
}

#[test]
fn a_server_that_says_nothing_is_given_up_by_the_clock() {
    let (address, far) = far_end(|io| io);
    let mut world = World::new();
    let trust = Some(Trust::from_pem(authority().0.as_bytes()).expect("a CA"));
    world.connect(address, Framing::Turn, Some(Tls { name: "turn.test".into(), trust }));
    let io = far.join().expect("far end");
    world.until("the handshake to begin", |world| world.streams.next_timeout().is_some());
    let late = Instant::now() + CONNECT_TIMEOUT;
    world.streams.handle_timeouts(late);
    let text = world.until_closed();
    assert!(text.contains("not finished in time") || text.contains("not made in time"), "{text}");
    drop(io);
}

#[test]
fn nonsense_from_the_server_ends_the_stream_and_says_so() {
    let (address, _far) = far_end(|mut io| io.write_all(b"SSH-2.0-OpenSSH_9.2\r\n"));
    let mut world = World::new();
    world.connect(address, Framing::Turn, None);
    let text = world.until_closed();
    assert_eq!(text, "the other side sent neither a STUN message nor ChannelData");
    assert!(world.received.is_empty());
}

#[test]
fn a_peer_that_never_reads_holds_neither_memory_nor_its_transport() {
    let (address, far) = far_end(|io| io);
    let mut world = World::new();
    let token = world.connect(address, Framing::Ice, None);
    world.until_open();
    let mut io = far.join().expect("far end");
    let datagram = vec![5; 1200];
    let mut sent = 0;
    // What the system takes is up to it: some megabytes on loopback.
    world.until("full", |world| {
        for _ in 0..100 {
            match world.send(token, &datagram) {
                Taken::All => sent += 1,
                Taken::Full => return true,
                Taken::Lost(_) => panic!("lost while it was not full"),
            }
        }
        false
    });
    sent += 1;
    let waiting = |world: &mut World| world.streams.get(token).map(|stream| stream.waiting());
    assert!(waiting(&mut world).is_some_and(|bytes| bytes > HIGH_WATER && bytes < HIGH_WATER + 2048));
    assert_eq!(world.send(token, &datagram), Taken::Lost(1));
    // After a second the transport goes on without it, and what it sends here is lost.
    world.until("writable", |world| world.events.contains(&Event::Writable));
    assert_eq!(world.send(token, &datagram), Taken::Lost(1));
    assert!(waiting(&mut world).is_some_and(|bytes| bytes < HIGH_WATER + 2048));
    // The peer reads after all: everything that was taken comes, and the stream is as good as new.
    let reader = std::thread::spawn(move || {
        let mut frame = [0; 1202];
        for _ in 0..sent {
            io.read_exact(&mut frame).expect("a frame");
            assert_eq!(frame[..2], 1200u16.to_be_bytes());
        }
        io
    });
    world.until("room", |world| world.send(token, &datagram) == Taken::All);
    world.until("the last frame", |_| reader.is_finished());
    drop(reader.join().expect("all frames"));
    assert_eq!(world.events.iter().filter(|event| **event == Event::Writable).count(), 1);
}

#[test]
fn last_words_arrive_although_the_peer_was_sending() {
    let (address, far) = far_end(|mut io| {
        // What this side never reads would reset the connection, and take the last words with it.
        io.write_all(&[1; 100_000]).expect("much");
        let mut all = Vec::new();
        io.read_to_end(&mut all).expect("no reset");
        all
    });
    let mut world = World::new();
    let token = world.connect(address, Framing::Ice, None);
    world.until_open();
    world.send(token, b"last words");
    assert_eq!(world.streams.close(Instant::now(), token), 0);
    assert!(world.streams.lingers());
    assert_eq!(world.send(token, b"too late"), Taken::Lost(1));
    world.until("its end", |world| !world.streams.lingers());
    assert_eq!(far.join().expect("far end"), b"\0\x0alast words");
    assert_eq!(world.streams.count(), 0);
    assert_eq!(world.streams.next_timeout(), None);
}

#[test]
fn a_closed_stream_whose_peer_stays_is_dropped_after_two_seconds() {
    let (address, far) = far_end(|io| io);
    let mut world = World::new();
    let token = world.connect(address, Framing::Ice, None);
    world.until_open();
    let _io = far.join().expect("far end");
    let start = Instant::now();
    world.streams.close(start, token);
    world.streams.handle_timeouts(start + LINGER - Duration::from_millis(1));
    assert!(world.streams.lingers());
    world.streams.handle_timeouts(start + LINGER);
    assert!(!world.streams.lingers());
    assert!(world.streams.poll_event().is_none(), "no event follows");
}

// --- coming in ----------------------------------------------------------------------------------------------------------

#[test]
fn a_connection_that_comes_in_says_whose_it_is_and_is_like_any_other() {
    let mut world = World::new();
    let (listener, address) = world.listen();
    let mut io = TcpStream::connect(address).expect("a connection");
    io.write_all(b"\0\x07check 1\0\x02hi").expect("two frames");
    world.until("both", |world| world.received.len() == 2);
    assert_eq!(world.received, [b"check 1".to_vec(), b"hi".to_vec()]);
    assert_eq!((world.streams.count(), world.streams.next_timeout()), (1, None), "it may stay");
    let token = FIRST_TOKEN;
    assert_eq!(world.send(token, b"hello"), Taken::All);
    let mut frame = [0; 7];
    io.read_exact(&mut frame).expect("an answer");
    assert_eq!(&frame, b"\0\x05hello");
    world.streams.stop_listening(listener);
    assert!(TcpStream::connect(address).is_err());
    drop(io);
    assert_eq!(world.until_closed(), "the other side closed the connection");
}

#[test]
fn a_stranger_that_says_nothing_is_dropped_after_five_seconds() {
    let mut world = World::new();
    let (_, address) = world.listen();
    let mut io = TcpStream::connect(address).expect("a connection");
    world.until("it", |world| world.streams.count() == 1);
    let now = Instant::now();
    world.streams.handle_timeouts(now + SILENCE - Duration::from_secs(1));
    assert_eq!(world.streams.count(), 1);
    world.streams.handle_timeouts(now + SILENCE);
    assert_eq!(world.streams.count(), 0);
    world.until("its end", |world| world.refused == [Event::Closed("it said nothing".to_owned())]);
    assert_eq!(io.read(&mut [0; 10]).expect("an end"), 0);
}

#[test]
fn strangers_who_say_something_else_or_too_much_are_dropped() {
    for bytes in [&b"\0\x04oops"[..], &[0xFF; 3000]] {
        let mut world = World::new();
        let (_, address) = world.listen();
        let mut io = TcpStream::connect(address).expect("a connection");
        io.write_all(bytes).expect("some bytes");
        world.until("its end", |world| world.refused.len() == 1);
        assert_eq!(world.streams.count(), 0);
        assert!(world.events.is_empty(), "no transport hears of it");
    }
}

#[test]
fn many_strangers_are_bounded_and_leave_room_when_they_go() {
    let mut world = World::new();
    let (_, address) = world.listen();
    let strangers: Vec<TcpStream> =
        (0..140).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    world.until("those too many", |world| world.refused.len() == 12);
    assert_eq!(world.streams.count(), 128);
    drop(strangers);
    world.until("the rest", |world| world.streams.count() == 0);
    let mut io = TcpStream::connect(address).expect("a connection");
    io.write_all(b"\0\x05check").expect("a frame");
    world.until("a check", |world| world.received.len() == 1);
}

// --- TLS ----------------------------------------------------------------------------------------------------------------

/// A CA: its certificate in PEM, and what signs with it.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    authority_named("the CA of a test")
}

fn authority_named(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("params");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let pem = params.self_signed(&key).expect("a certificate").pem();
    (pem, Issuer::new(params, key))
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).expect("params")
}

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn signed(params: &CertificateParams, issuer: &Issuer<'static, KeyPair>) -> Identity {
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).expect("its key"))
}

/// A server that echoes one frame of 8 bytes. Returns what it had read when the client closed.
fn tls_server((certificate, key): Identity) -> (SocketAddr, JoinHandle<Option<Vec<u8>>>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("an identity");
    far_end(move |mut io| {
        let mut session = ServerConnection::new(Arc::new(config)).expect("a session");
        let mut tls = rustls::Stream::new(&mut session, &mut io);
        let mut frame = [0; 8];
        tls.read_exact(&mut frame).ok()?;
        for byte in frame {
            tls.write_all(&[byte]).expect("echo");
        }
        let mut rest = Vec::new();
        tls.read_to_end(&mut rest).ok()?; // an error without close_notify
        Some(rest)
    })
}

fn tls(name: &str, ca: &str) -> Option<Tls> {
    Some(Tls { name: name.to_owned(), trust: Some(Trust::from_pem(ca.as_bytes()).expect("a CA")) })
}

fn refusal(identity: Identity, name: &str, ca: &str) -> String {
    let (address, far) = tls_server(identity);
    let mut world = World::new();
    world.connect(address, Framing::Turn, tls(name, ca));
    let text = world.until_closed();
    assert!(!world.events.contains(&Event::Open));
    assert_eq!(far.join().expect("far end"), None, "the server learns of it");
    text
}

#[test]
fn tls_carries_datagrams_and_ends_with_close_notify() {
    let (ca, issuer) = authority();
    let (address, far) = tls_server(signed(&params("turn.test"), &issuer));
    let mut world = World::new();
    let token = world.connect(address, Framing::Turn, tls("turn.test", &ca));
    world.until_open();
    world.send(token, &channel_data(4));
    world.until("the echo", |world| world.received.len() == 1);
    assert_eq!(world.received, [channel_data(4)]);
    let many: Vec<Vec<u8>> = (0..50).map(|_| channel_data(1000)).collect();
    let batch = many.iter().map(Vec::as_slice);
    assert_eq!(world.streams.send(Instant::now(), token, batch), Taken::All);
    world.streams.close(Instant::now(), token);
    world.until("its end", |world| !world.streams.lingers());
    let rest = far.join().expect("far end").expect("a clean end");
    assert_eq!(rest.len(), 50 * 1004);
}

#[test]
fn an_address_can_be_the_name_of_a_certificate() {
    let (ca, issuer) = authority();
    let (address, _far) = tls_server(signed(&params("127.0.0.1"), &issuer));
    let mut world = World::new();
    world.connect(address, Framing::Turn, tls("127.0.0.1", &ca));
    world.until_open();
}

#[test]
fn a_certificate_for_another_name_is_named() {
    let (ca, issuer) = authority();
    let text = refusal(signed(&params("other.test"), &issuer), "turn.test", &ca);
    assert!(text.contains("turn.test is for another name"), "{text}");
}

#[test]
fn an_expired_certificate_and_one_of_the_future_are_named() {
    let (ca, issuer) = authority();
    let day = time::Duration::days(1);
    let now = time::OffsetDateTime::now_utc();
    let mut old = params("turn.test");
    (old.not_before, old.not_after) = (now - day * 9, now - day);
    let text = refusal(signed(&old, &issuer), "turn.test", &ca);
    assert!(text.contains("has expired"), "{text}");
    let mut young = params("turn.test");
    (young.not_before, young.not_after) = (now + day, now + day * 9);
    let text = refusal(signed(&young, &issuer), "turn.test", &ca);
    assert!(text.contains("not valid yet"), "{text}");
}

#[test]
fn an_unknown_issuer_is_named() {
    let (ca, _) = authority();
    for name in ["another CA", "the CA of a test"] {
        let (_, other) = authority_named(name);
        let text = refusal(signed(&params("turn.test"), &other), "turn.test", &ca);
        assert!(text.contains("unknown issuer"), "{text}");
    }
}

/// As `openssl req -x509` makes them: a CA's certificate and a server's in one.
fn self_signed(name: &str, is_ca: bool, not_after: Option<time::OffsetDateTime>) -> (String, Identity) {
    let key = KeyPair::generate().expect("a key");
    let mut params = params(name);
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params.not_after = not_after.unwrap_or(params.not_after);
    let certificate = params.self_signed(&key).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("its key");
    (certificate.pem(), (certificate.der().clone(), key))
}

#[test]
fn a_self_signed_certificate_is_trusted_when_it_was_given_and_for_its_own_name_and_time() {
    for is_ca in [false, true] {
        let (pem, (certificate, key)) = self_signed("turn.test", is_ca, None);
        let identity = || (certificate.clone(), key.clone_key());
        let (address, _far) = tls_server(identity());
        let mut world = World::new();
        world.connect(address, Framing::Turn, tls("turn.test", &pem));
        world.until_open();
        let text = refusal(identity(), "other.test", &pem);
        assert!(text.contains("for another name"), "{text}");
        let text = refusal(identity(), "turn.test", &authority().0);
        assert!(text.contains("unknown issuer") || text.contains("is self-signed"), "{text}");
    }
    let yesterday = time::OffsetDateTime::now_utc() - time::Duration::days(1);
    let (pem, identity) = self_signed("turn.test", true, Some(yesterday));
    let text = refusal(identity, "turn.test", &pem);
    assert!(text.contains("has expired"), "{text}");
}

#[test]
fn a_server_without_tls_is_named() {
    let (address, _far) = far_end(|mut io| {
        let mut hello = [0; 100];
        let _ = io.read(&mut hello);
        io.write_all(b"\x01\x11\0\x08 a STUN error, say, or HTTP").expect("an answer");
        io
    });
    let mut world = World::new();
    world.connect(address, Framing::Turn, tls("turn.test", &authority().0));
    let text = world.until_closed();
    assert!(text.contains("does not use TLS on this port"), "{text}");
}

#[test]
fn a_server_that_hangs_up_in_the_handshake_is_named() {
    let (address, _far) = far_end(|mut io| {
        let mut hello = [0; 4096];
        let _ = io.read(&mut hello);
    });
    let mut world = World::new();
    world.connect(address, Framing::Turn, tls("turn.test", &authority().0));
    let text = world.until_closed();
    assert!(text.contains("during the TLS handshake"), "{text}");
}

#[test]
fn the_platforms_roots_are_read_in_a_thread_and_do_not_know_our_ca() {
    let (_, issuer) = authority();
    let (address, _far) = tls_server(signed(&params("turn.test"), &issuer));
    let mut world = World::new();
    world.connect(address, Framing::Turn, Some(Tls { name: "turn.test".into(), trust: None }));
    let text = world.until_closed();
    assert!(text.contains("unknown issuer") || text.contains("no root certificates"), "{text}");
}

#[test]
fn trusted_certificates_that_cannot_be_read_are_refused() {
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = Trust::from_pem(text.as_bytes()).expect_err(text);
        assert!(error.contains("certificate"), "{error}");
    }
}
