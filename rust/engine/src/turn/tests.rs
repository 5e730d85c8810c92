use stun_types::attribute::{
    AlternateServer, AttributeType, ErrorCode, Nonce, RawAttribute, Realm, XorSocketAddr,
};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageWrite, MessageWriteExt, MessageWriteVec,
};

use super::*;

mod hostile;

const URL: &str = "turn:t.example";
const GENERATION: u32 = 1;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn relayed() -> SocketAddr {
    address("198.51.100.1:50000")
}

fn peer() -> SocketAddr {
    address("203.0.113.9:7000")
}

/// A request as the server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    at: u128,
    method: u16,
    lifetime: Option<u32>,
    signed: bool,
    local: SocketAddr,
}

/// The server's way with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Say {
    Right,
    Nothing,
    /// An error, signed if the request was.
    Error(u16),
    Unsigned(u16),
    /// 438, each time with another nonce.
    Stale,
    /// 300, to there.
    Elsewhere(u16),
    /// A success with the password of another.
    Forged,
    /// A success with an address that no datagram can go to.
    Nowhere,
    /// 401, with a nonce of so many bytes.
    Wordy(usize),
}

/// A TURN server, as far as these tests need one.
struct Fake {
    nonce: u32,
    say: Box<dyn FnMut(&Seen) -> Say>,
    seen: Vec<Seen>,
    live: Vec<Wire>,
    /// The lifetime that it says, whatever was asked for.
    lifetime: Option<u32>,
    /// Attributes that nobody knows, before those of a success.
    padding: usize,
}

impl Fake {
    fn handle(&mut self, at: u128, wire: Wire, bytes: &[u8]) -> Option<Vec<u8>> {
        let request = Message::from_bytes(bytes).ok()?;
        let lifetime = request.raw_attribute(AttributeType::new(0x000D));
        let seen = Seen {
            at,
            method: request.method().value(),
            lifetime: lifetime.map(|raw| u32::from_be_bytes(raw.value.as_ref().try_into().expect("4 bytes"))),
            signed: request.has_attribute(AttributeType::new(8)),
            local: wire.local,
        };
        self.seen.push(seen.clone());
        let key = |password: &str| {
            LongTermKeyCredentials::new("user".into(), password.into(), "realm".into())
                .make_key(IntegrityAlgorithm::Sha1)
        };
        let right = request.validate_integrity_with_key(&key("password")).is_ok();
        let nonce = |fake: &mut Fake| {
            fake.nonce += 1;
            Nonce::new(&format!("nonce-{}", fake.nonce)).expect("a nonce")
        };
        let say = (self.say)(&seen);
        let refuse = |code: u16| {
            let mut out = Message::builder_error(&request, MessageWriteVec::new());
            out.add_attribute(&ErrorCode::new(code, "no").expect("a code")).expect("room");
            out
        };
        let mut out = match say {
            Say::Nothing => return None,
            Say::Stale => {
                let mut out = refuse(438);
                out.add_attribute(&Realm::new("realm").expect("a realm")).expect("room");
                out.add_attribute(&nonce(self)).expect("room");
                return Some(out.finish());
            }
            Say::Wordy(length) => return Some(with_long_nonce(refuse(401), length)),
            Say::Unsigned(code) => return Some(refuse(code).finish()),
            Say::Error(code) if seen.signed => refuse(code),
            Say::Elsewhere(port) => {
                let mut out = refuse(300);
                out.add_attribute(&AlternateServer::new(SocketAddr::new(wire.remote.ip(), port)))
                    .expect("room");
                if !seen.signed {
                    return Some(out.finish());
                }
                out
            }
            _ if !right => {
                let mut out = refuse(401);
                out.add_attribute(&Realm::new("realm").expect("a realm")).expect("room");
                out.add_attribute(&nonce(self)).expect("room");
                return Some(out.finish());
            }
            Say::Error(_) | Say::Right | Say::Forged | Say::Nowhere => {
                self.grant(&request, &seen, say, wire)?
            }
        };
        let password = if say == Say::Forged { "other" } else { "password" };
        out.add_message_integrity_with_key(&key(password), IntegrityAlgorithm::Sha1).expect("signed");
        Some(out.finish())
    }

    fn grant(&mut self, request: &Message<'_>, seen: &Seen, say: Say, wire: Wire) -> Option<MessageWriteVec> {
        if seen.method == 4 && !self.live.contains(&wire) {
            let mut out = Message::builder_error(request, MessageWriteVec::new());
            out.add_attribute(&ErrorCode::new(437, "no such allocation").expect("a code")).expect("room");
            return Some(out);
        }
        let mut out = Message::builder_success(request, MessageWriteVec::new());
        for _ in 0..self.padding {
            out.add_attribute(&RawAttribute::new(AttributeType::new(0xC0FE), &[])).ok()?;
        }
        if seen.method == 3 {
            self.live.push(wire);
            let id = request.transaction_id();
            let address = if say == Say::Nowhere { address("0.0.0.0:0") } else { relayed() };
            out.add_attribute(&XorSocketAddr::new(address, id).to_raw(AttributeType::new(0x16))).ok()?;
            out.add_attribute(&XorSocketAddr::new(wire.local, id).to_raw(AttributeType::new(0x20))).ok()?;
        }
        if matches!(seen.method, 3 | 4) {
            let asked = seen.lifetime.unwrap_or(600);
            let lifetime = self.lifetime.filter(|_| asked > 0).unwrap_or(asked);
            out.add_attribute(&RawAttribute::new(AttributeType::new(0x0D), &lifetime.to_be_bytes())).ok()?;
        }
        if seen.lifetime == Some(0) {
            self.live.retain(|one| *one != wire);
        }
        Some(out)
    }
}

fn with_long_nonce(mut refusal: MessageWriteVec, length: usize) -> Vec<u8> {
    refusal.add_attribute(&Realm::new("realm").expect("a realm")).expect("room");
    let nonce = vec![b'n'; length];
    refusal.add_attribute(&RawAttribute::new(AttributeType::new(0x15), &nonce)).expect("room");
    refusal.finish()
}

/// Whether a datagram is lost, by its direction and its bytes.
type Loses = dyn FnMut(bool, &[u8]) -> bool;

struct Bench {
    relays: Relays,
    start: Instant,
    now: Instant,
    fake: Fake,
    password: &'static str,
    ports: u16,
    open: Vec<(u32, Wire)>,
    closed: Vec<u32>,
    /// Datagrams to the server that were not requests, with their time.
    data: Vec<Vec<u8>>,
    /// The last request, with its wire, whether or not it got through.
    asked: Vec<(Wire, Vec<u8>)>,
    /// Whether a datagram is lost: to the server, or to this side.
    loses: Box<Loses>,
    events: Vec<RelayEvent>,
}

impl Bench {
    fn new(say: impl FnMut(&Seen) -> Say + 'static) -> Bench {
        let now = Instant::now();
        Bench {
            relays: Relays::new(Random::new([7; 32])),
            start: now,
            now,
            fake: Fake {
                nonce: 0,
                say: Box::new(say),
                seen: Vec::new(),
                live: Vec::new(),
                lifetime: None,
                padding: 0,
            },
            password: "password",
            ports: 4000,
            open: Vec::new(),
            closed: Vec::new(),
            data: Vec::new(),
            asked: Vec::new(),
            loses: Box::new(|_, _| false),
            events: Vec::new(),
        }
    }

    fn begin(&mut self) {
        let server = Arc::new(Server {
            url: URL.into(),
            host: "t.example".into(),
            transport: WireTransport::Udp,
            username: "user".into(),
            credential: Credential(self.password.into()),
        });
        self.relays.expect(self.now, GENERATION, server.clone());
        let (to, from) = (vec![address("192.0.2.1:3478")], ["10.0.0.2".parse().expect("an address")]);
        self.relays.handle_resolved(self.now, GENERATION, &server, Ok(to), &from);
        self.turn();
    }

    fn allocated() -> Bench {
        let mut bench = Bench::new(|_| Say::Right);
        bench.begin();
        assert!(bench.relayed().is_some(), "{:?}", bench.events);
        bench
    }

    fn turn(&mut self) {
        loop {
            while let Some(event) = self.relays.poll_event() {
                self.events.push(event);
            }
            if let Some(order) = self.relays.poll_order() {
                match order {
                    WireOrder::Open { key: WireKey::Turn(key), local, remote, .. } => {
                        self.ports += 1;
                        let wire = Wire::udp(SocketAddr::new(local, self.ports), remote);
                        self.open.push((key, wire));
                        self.relays.handle_wire(self.now, key, WireEvent::Open { wire });
                    }
                    WireOrder::Close { key: WireKey::Turn(key) } => self.closed.push(key),
                    other => panic!("{other:?}"),
                }
                continue;
            }
            let Some((wire, bytes)) = self.relays.poll_transmit() else { return };
            self.asked = vec![(wire, bytes.clone())];
            if (self.loses)(true, &bytes) {
                continue;
            }
            let is_request = Message::from_bytes(&bytes).is_ok_and(|message| message.method().value() != 6);
            if !is_request {
                self.data.push(bytes);
                continue;
            }
            let at = (self.now - self.start).as_millis();
            if let Some(answer) =
                self.fake.handle(at, wire, &bytes).filter(|answer| !(self.loses)(false, answer))
            {
                assert_ne!(self.relays.handle_datagram(self.now, wire, &answer), Arrival::Direct);
            }
        }
    }

    fn run_for(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while let Some(at) = self.relays.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.relays.handle_timeout(self.now);
            self.turn();
        }
        self.now = end;
    }

    /// Have the server answer the last request with another nonce.
    fn answer_last_with_438(&mut self) {
        let (wire, bytes) = self.asked.pop().expect("a request");
        let at = (self.now - self.start).as_millis();
        let answer = self.fake.handle(at, wire, &bytes).expect("an answer");
        self.relays.handle_datagram(self.now, wire, &answer);
        self.turn();
    }

    fn close(&mut self) {
        self.relays.keep(self.now, |_| false);
        self.turn();
    }

    fn relayed(&self) -> Option<&Relayed> {
        self.events.iter().find_map(|event| match event {
            RelayEvent::Relayed(relayed) => Some(&**relayed),
            _ => None,
        })
    }

    fn error(&self) -> Option<u16> {
        self.events.iter().find_map(|event| match event {
            RelayEvent::Error { code, .. } => Some(*code),
            _ => None,
        })
    }

    fn is_settled(&self) -> bool {
        self.events.iter().any(|event| matches!(event, RelayEvent::Settled { .. }))
    }

    /// The times of the releases that the server has seen, from `after` on.
    fn releases(&self, after: u128) -> Vec<u128> {
        let releases = self.fake.seen.iter().filter(|seen| seen.lifetime == Some(0) && seen.at >= after);
        releases.map(|seen| seen.at - after).collect()
    }

    fn wire(&self) -> Wire {
        self.open.last().expect("a wire").1
    }

    /// Send a datagram as the secure path does.
    fn send(&mut self, bytes: &[u8]) {
        let route = Route::udp(relayed(), peer());
        match self.relays.leave(self.now, route) {
            Some(Leave::Now(path)) => self.relays.put(&path, bytes),
            Some(Leave::Later) => self.relays.hold(route, bytes.to_vec()),
            Some(Leave::Never) | None => panic!("it cannot leave"),
        }
        self.turn();
    }
}

#[test]
fn an_address_is_relayed_by_long_term_credentials_and_given_back() {
    let mut bench = Bench::allocated();
    let found = bench.relayed().expect("an address");
    assert_eq!(
        (found.address, found.base, found.mapped),
        (relayed(), bench.wire().local, Some(bench.wire().local))
    );
    assert!(bench.is_settled() && bench.error().is_none());
    assert_eq!(bench.relays.counts(), (1, 0));
    bench.close();
    assert!(bench.relays.is_empty() && bench.fake.live.is_empty());
    assert_eq!((bench.relays.counts(), bench.closed.len()), ((0, 0), 1));
    let methods: Vec<_> = bench.fake.seen.iter().map(|seen| (seen.method, seen.signed)).collect();
    assert_eq!(methods, [(3, false), (3, true), (4, true)]);
}

#[test]
fn data_waits_for_its_permission_then_goes_by_indication_then_by_channel() {
    let mut bench = Bench::allocated();
    bench.loses = Box::new(|up, bytes| up && bytes[..2] == [0, 8]); // CreatePermission
    bench.send(b"first");
    assert!(bench.data.is_empty());
    bench.loses = Box::new(|_, _| false);
    bench.run_for(0.6);
    assert_eq!(bench.data.len(), 1, "the permission was asked for again");
    assert!(bench.data[0].windows(5).any(|window| window == b"first"));
    Message::from_bytes(&bench.data[0]).expect("a well-formed indication");
    bench.relays.bind(bench.now, Route::udp(relayed(), peer()));
    bench.turn();
    bench.send(b"second");
    assert_eq!(bench.data[1], [&[0x40, 0, 0, 6][..], b"second"].concat());
    let wire = bench.wire();
    let arrival = bench.relays.handle_datagram(bench.now, wire, &[0x40, 0, 0, 2, 1, 2]);
    assert_eq!(arrival, Arrival::Relayed(Route::udp(relayed(), peer()), &[1, 2]));
}

#[test]
fn nothing_runs_out_in_an_hour_and_a_nonce_may_grow_old_at_any_time() {
    let mut count = 0;
    let mut bench = Bench::new(move |seen| {
        count += 1;
        if seen.signed && count % 3 == 0 { Say::Stale } else { Say::Right }
    });
    bench.begin();
    bench.send(b"x");
    bench.relays.bind(bench.now, Route::udp(relayed(), peer()));
    bench.turn();
    bench.run_for(3600.0);
    assert_eq!(bench.relays.counts(), (1, 0));
    bench.send(b"still by channel");
    assert_eq!(bench.data.last().expect("sent")[..2], [0x40, 0]);
    let gaps = |method| {
        let mut granted: Vec<u128> = Vec::new();
        granted.extend(bench.fake.seen.iter().filter(|seen| seen.method == method).map(|seen| seen.at));
        granted.windows(2).map(|pair| pair[1] - pair[0]).max().expect("several")
    };
    assert!(gaps(4) < 600_000 && gaps(8) < 300_000 && gaps(9) < 600_000);
    assert!(bench.fake.seen.len() < 120, "{}", bench.fake.seen.len());
    bench.close();
    assert!(bench.fake.live.is_empty() && bench.relays.is_empty());
}

#[test]
fn a_release_is_sent_again_after_100_200_400_and_800_ms_and_given_up_within_2_s() {
    let mut bench = Bench::allocated();
    let at = (bench.now - bench.start).as_millis();
    bench.loses = Box::new(|up, _| !up);
    bench.close();
    assert_eq!(bench.relays.counts(), (1, 0), "not confirmed yet");
    bench.run_for(1.899);
    assert!(!bench.relays.is_empty());
    bench.run_for(0.002);
    assert_eq!(bench.releases(at), [0, 100, 200, 400, 800]);
    assert_eq!((bench.relays.is_empty(), bench.relays.counts()), (true, (0, 1)));
    assert_eq!(bench.relays.poll_timeout(), None);
}

#[test]
fn a_server_that_never_answered_holds_nothing_and_is_told_so_all_the_same() {
    let mut bench = Bench::new(|_| Say::Nothing);
    bench.begin();
    bench.close();
    bench.run_for(2.0);
    assert_eq!(bench.releases(0), [0, 100, 200, 400, 800]);
    assert_eq!((bench.relays.is_empty(), bench.relays.counts()), (true, (0, 0)));

    // One that asked for credentials has had them: it may hold an allocation.
    let mut bench = Bench::new(|seen| if seen.signed { Say::Nothing } else { Say::Right });
    bench.begin();
    bench.close();
    bench.run_for(2.0);
    assert_eq!((bench.relays.is_empty(), bench.relays.counts()), (true, (0, 1)));
}

#[test]
fn a_release_gets_through_losses_and_old_nonces() {
    for lost in 0..5 {
        let mut bench = Bench::allocated();
        let mut left = lost;
        let mut stale = 2;
        bench.fake.say = Box::new(move |_| {
            stale -= 1;
            if stale >= 0 { Say::Stale } else { Say::Right }
        });
        bench.loses = Box::new(move |_, _| {
            left -= 1;
            left >= 0
        });
        bench.close();
        bench.run_for(2.0);
        assert!(bench.fake.live.is_empty() && bench.relays.is_empty(), "{lost} lost");
        assert_eq!(bench.relays.counts(), (0, 0), "{lost} lost");
    }
}

#[test]
fn what_is_closed_while_it_is_being_made_is_given_back_also_when_its_success_comes_later() {
    // The answer to the Allocate is under way while the program closes.
    let mut bench = Bench::new(|_| Say::Right);
    let late = std::rc::Rc::new(std::cell::RefCell::new(None));
    let kept = late.clone();
    bench.loses = Box::new(move |up, bytes| {
        let is_success = !up && bytes[..2] == [1, 3];
        if is_success {
            *kept.borrow_mut() = Some(bytes.to_vec());
        }
        is_success
    });
    bench.begin();
    let (wire, late) = (bench.wire(), late.borrow().clone().expect("a success"));
    assert_eq!(bench.fake.live, [wire]);
    // The Refresh overtakes it, and the server knows nothing yet.
    bench.fake.live.clear();
    bench.close();
    assert_eq!(bench.releases(0).len(), 1);
    assert!(!bench.relays.is_empty(), "the success may still come");
    bench.fake.live.push(wire);
    bench.relays.handle_datagram(bench.now, wire, &late);
    bench.turn();
    assert!(bench.fake.live.is_empty() && bench.relays.is_empty());
    assert_eq!((bench.releases(0).len(), bench.relays.counts()), (2, (0, 0)));
    assert!(bench.relayed().is_none() && bench.error().is_none());
}

#[test]
fn what_is_closed_before_the_server_knows_it_ends_soon() {
    for answers in [false, true] {
        let mut bench = Bench::new(move |_| if answers { Say::Right } else { Say::Nothing });
        bench.loses = Box::new(|up, bytes| up && bytes[..2] == [0, 3]);
        bench.begin();
        bench.close();
        bench.run_for(if answers { 0.6 } else { 2.0 });
        assert!(bench.relays.is_empty());
        assert_eq!(bench.relays.counts(), (0, 0));
    }
}

#[test]
fn a_server_that_is_silent_or_lies_ends_with_the_clock_of_gathering() {
    let cases: Vec<(&str, Say, u16)> = vec![
        ("it says nothing", Say::Nothing, UNREACHABLE),
        ("it signs with another password", Say::Forged, UNREACHABLE),
        ("a stranger says no", Say::Unsigned(486), 486),
        ("another nonce each time", Say::Stale, 438),
    ];
    for (name, say, code) in cases {
        let mut bench = Bench::new(move |seen| if seen.signed { say } else { Say::Right });
        bench.begin();
        bench.run_for(9.6);
        assert_eq!(bench.error(), Some(code), "{name}");
        assert!(bench.is_settled(), "{name}");
        bench.run_for(2.0);
        assert!(bench.relays.is_empty(), "{name}: it may hold one, and was asked to give it back");
        assert!(bench.fake.seen.len() < 20, "{name}: {}", bench.fake.seen.len());
    }
}

#[test]
fn what_a_server_gave_later_than_the_clock_of_gathering_is_given_back() {
    for answers in [true, false] {
        let mut bench = Bench::new(|_| Say::Right);
        let hears = std::rc::Rc::new(std::cell::Cell::new(false));
        let heard = hears.clone();
        bench.loses = Box::new(move |up, bytes| !up && bytes[1] != 0x13 && !heard.get());
        bench.begin();
        assert_eq!((bench.fake.live.len(), bench.relays.counts()), (1, (1, 0)), "it has given one");
        bench.run_for(9.4);
        assert_eq!((bench.error(), bench.is_settled()), (None, false));
        hears.set(answers);
        bench.run_for(0.2);
        assert_eq!((bench.error(), bench.is_settled()), (Some(UNREACHABLE), true), "gathering does not wait");
        bench.run_for(2.0);
        assert!(bench.fake.live.is_empty() && bench.relays.is_empty(), "{answers}");
        assert_eq!(bench.relays.counts(), (0, usize::from(!answers)), "what is not confirmed is counted");
        assert_eq!(bench.events.len(), 2, "{:?}", bench.events);
    }
}

#[test]
fn an_address_that_cannot_be_used_is_an_error_and_given_back() {
    let mut bench = Bench::new(|seen| if seen.method == 3 { Say::Nowhere } else { Say::Right });
    bench.begin();
    assert_eq!(bench.error(), Some(UNREACHABLE));
    assert!(bench.relayed().is_none() && bench.fake.live.is_empty() && bench.relays.is_empty());
}

#[test]
fn a_no_of_the_server_is_reported_by_its_code() {
    for code in [400, 403, 441, 442, 486, 508] {
        let mut bench = Bench::new(move |seen| if seen.signed { Say::Error(code) } else { Say::Right });
        bench.begin();
        assert_eq!(bench.error(), Some(code));
        assert!(bench.is_settled() && bench.relays.is_empty());
    }
    let mut bench = Bench::new(|_| Say::Right);
    bench.password = "wrong";
    bench.begin();
    assert_eq!(bench.error(), Some(401), "at once: the server does not share the password, and cannot sign");
}

#[test]
fn after_437_another_port_is_used_and_after_300_another_server_but_not_for_ever() {
    let mut bench = Bench::new(|seen| {
        let is_first = seen.signed && seen.local.port() == 4001;
        if is_first { Say::Error(437) } else { Say::Right }
    });
    bench.begin();
    assert_eq!(bench.relayed().map(|found| found.base.port()), Some(4002));
    assert_eq!(bench.closed.len(), 1);
    let mut bench =
        Bench::new(|seen| if seen.local.port() == 4001 { Say::Elsewhere(3479) } else { Say::Right });
    bench.begin();
    assert_eq!((bench.relayed().is_some(), bench.wire().remote.port()), (true, 3479));
    for (say, code) in [(Say::Error(437), 437), (Say::Elsewhere(1), 300)] {
        let mut port = 1;
        let mut bench = Bench::new(move |seen| match say {
            Say::Elsewhere(_) => {
                port += 1;
                Say::Elsewhere(port)
            }
            _ if seen.signed => say,
            _ => Say::Right,
        });
        bench.begin();
        assert_eq!(bench.error(), Some(code));
        assert!(bench.open.len() <= 4 && bench.relays.is_empty());
        assert_eq!(bench.closed.len(), bench.open.len());
    }
}

#[test]
fn forged_and_repeated_messages_are_dropped_and_counted() {
    let mut bench = Bench::allocated();
    let wire = bench.wire();
    bench.send(b"x");
    let mut indication = message::send_head(address("203.0.113.66:1"), [9; 12]);
    indication[1] = 0x17;
    let length = (indication.len() - 20) as u16;
    indication[2..4].copy_from_slice(&length.to_be_bytes());
    let success = {
        let request = message::request(message::REFRESH, [1; 12], &[], None).expect("built");
        let request = Message::from_bytes(&request).expect("read");
        Message::builder_success(&request, MessageWriteVec::new()).finish()
    };
    let cases: Vec<Vec<u8>> = vec![
        vec![],
        vec![0x40, 0, 0, 1, 9],     // a channel that was not asked for
        vec![0x40, 0, 255, 255, 1], // longer than it is
        vec![1, 1, 0, 0, 1, 2, 3],  // malformed
        vec![200; 40],              // of no protocol
        indication,                 // of a peer without a permission
        success,                    // to a request that was never made
    ];
    for (count, bytes) in cases.iter().enumerate() {
        assert_eq!(bench.relays.handle_datagram(bench.now, wire, bytes), Arrival::Dropped, "{count}");
        assert_eq!(bench.relays.dropped, count as u64 + 1);
    }
    let elsewhere = Wire::udp(wire.local, address("192.0.2.66:3478"));
    assert_eq!(bench.relays.handle_datagram(bench.now, elsewhere, &cases[5]), Arrival::Direct);
    assert_eq!(bench.relays.counts(), (1, 0));
}

#[test]
fn every_message_of_a_server_truncated_and_flipped_does_no_harm() {
    let kept = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let mut bench = Bench::new(|seen| if seen.at == 0 { Say::Right } else { Say::Stale });
    let answers = kept.clone();
    bench.loses = Box::new(move |up, bytes| {
        answers.borrow_mut().extend((!up).then(|| bytes.to_vec()));
        false
    });
    bench.begin();
    bench.send(b"x");
    bench.run_for(700.0);
    let mut messages = kept.borrow().clone();
    let mut indication = message::send_head(peer(), [9; 12]);
    indication[1] = 0x17;
    indication.extend_from_slice(&[0; 8]);
    messages.push(indication);
    messages.push(vec![0x40, 0, 0, 4, 1, 2, 3, 4]);
    let mut bench = Bench::allocated();
    bench.send(b"x");
    bench.relays.bind(bench.now, Route::udp(relayed(), peer()));
    bench.turn();
    let (wire, mut random) = (bench.wire(), Random::new([3; 32]));
    for message in &messages {
        for round in 0..400usize {
            let mut bytes = message.clone();
            if round < bytes.len() {
                bytes.truncate(round);
            } else {
                for _ in 0..=(round % 3) {
                    let at = u16::from_be_bytes(random.bytes()) as usize % bytes.len();
                    bytes[at] ^= 1 << (random.bytes::<1>()[0] % 8);
                }
            }
            bench.relays.handle_datagram(bench.now, wire, &bytes);
            bench.turn();
        }
    }
    assert!(bench.relays.dropped > 1000, "{}", bench.relays.dropped);
    assert_eq!(bench.relays.counts(), (1, 0));
    bench.close();
    assert!(bench.fake.live.is_empty());
}

#[test]
fn permissions_and_held_datagrams_are_bounded() {
    let mut bench = Bench::allocated();
    bench.loses = Box::new(|_, _| true);
    for number in 0..2000u32 {
        let peer = SocketAddr::new(std::net::Ipv4Addr::from(0x0A00_0000 + number).into(), 1);
        let route = Route::udp(relayed(), peer);
        if let Some(Leave::Later) = bench.relays.leave(bench.now, route) {
            (0..10).for_each(|_| bench.relays.hold(route, vec![0; 1200]));
        }
        bench.relays.bind(bench.now, route);
    }
    let waiting = std::iter::from_fn(|| bench.relays.poll_transmit()).count();
    assert!(waiting <= 64 + 16, "{waiting}");
    bench.run_for(60.0);
    assert_eq!(bench.relays.counts(), (1, 0));
}

#[test]
fn an_allocation_that_the_server_has_forgotten_is_let_go() {
    let mut bench = Bench::allocated();
    bench.fake.live.clear();
    bench.run_for(600.0);
    assert!(bench.relays.is_empty());
    assert_eq!(bench.relays.counts(), (0, 0));
    let route = Route::udp(relayed(), peer());
    assert!(bench.relays.leave(bench.now, route).is_none());
}
