//! ICE with other kinds of peers: lite ones, ones that nominate aggressively, and ones that flood and forge.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adieu_engine::ice::{IceEvent, IceState, Role};
use adieu_engine::{
    Algorithm, Batch, Certificate, Config, Credentials, Event, Random, RemoteCandidate, Transport, Wire,
};
use aws_lc_rs::hmac;
use is::stun::{StunMessage, TransId};

const OURS: &str = "10.0.0.1:1000";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn sha1_hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().try_into().expect("20 bytes")
}

fn bytes(message: StunMessage<'_>, pwd: &str) -> Vec<u8> {
    let mut out = vec![0; 512];
    let size = message.to_bytes(Some(pwd.as_bytes()), &mut out, sha1_hmac).expect("built");
    out.truncate(size);
    out
}

/// adieu on one side; the test plays the other, with its addresses.
struct Scene {
    transport: Transport,
    now: Instant,
    /// Answers checks of adieu at these addresses.
    answers_at: Vec<SocketAddr>,
    states: Vec<IceState>,
    /// The peer's end of each pair that was chosen.
    pairs: Vec<SocketAddr>,
    /// The candidate lines of these ends.
    remote_lines: Vec<String>,
    /// (to, with USE-CANDIDATE, as controlling)
    checks: Vec<(SocketAddr, bool, bool)>,
    answers: Vec<SocketAddr>,
}

fn ours() -> Credentials {
    Credentials { ufrag: "ours".into(), pwd: "o".repeat(22) }
}

fn theirs() -> Credentials {
    Credentials { ufrag: "peer".into(), pwd: "p".repeat(22) }
}

fn host_line(at: usize, peer: SocketAddr) -> String {
    format!("candidate:{at} 1 udp {} {} {} typ host", 2_113_937_151 - at, peer.ip(), peer.port())
}

impl Scene {
    fn new(role: Role, is_lite: bool, peers: &[&str]) -> Scene {
        let now = Instant::now();
        let mut random = Random::new([7; 32]);
        let certificate = Certificate::generate(1_800_000_000, Duration::from_secs(86_400), &mut random);
        let config = Config {
            disconnected_after: Duration::from_millis(2500),
            failed_after: Duration::from_secs(15),
            receive_buffer: 1 << 20,
            max_message_size: 65_536,
            congestion: Algorithm::Tolerant,
            seed: [3; 32],
        };
        let mut transport = Transport::new(now, Arc::new(certificate.expect("made")), config);
        transport.start_generation(now, 1, ours(), role);
        transport.add_host(now, 1, address(OURS));
        transport.hosts_done(now, 1);
        transport.set_remote(now, 1, theirs(), is_lite);
        for (at, peer) in peers.iter().map(|peer| address(peer)).enumerate() {
            let line = host_line(at, peer);
            transport.add_candidate(now, 1, Some(RemoteCandidate::parse(&line).expect("well-formed")));
        }
        transport.add_candidate(now, 1, None);
        let answers_at = peers.iter().map(|peer| address(peer)).collect();
        let (states, pairs, remote_lines, checks, answers) = Default::default();
        Scene { transport, now, answers_at, states, pairs, remote_lines, checks, answers }
    }

    fn state(&self) -> Option<IceState> {
        self.states.last().copied()
    }

    /// Let time pass, and answer what is to be answered.
    fn run_for(&mut self, seconds: f64) {
        let until = self.now + Duration::from_secs_f64(seconds);
        loop {
            self.turn();
            let soon = self.now + Duration::from_micros(100);
            let Some(next) =
                self.transport.poll_timeout(self.now).map(|at| at.max(soon)).filter(|at| *at <= until)
            else {
                break;
            };
            self.now = next;
            self.transport.handle_timeout(next);
        }
        self.now = until;
    }

    fn turn(&mut self) {
        let mut batch = Batch::new(1);
        loop {
            while let Some(event) = self.transport.poll_event(self.now) {
                let Event::Ice(event) = event else { continue };
                match *event {
                    IceEvent::State(state) => self.states.push(state),
                    IceEvent::Pair { remote, .. } => {
                        let words: Vec<&str> = remote.split(' ').collect();
                        self.pairs.push(address(&format!("{}:{}", words[4], words[5])));
                        self.remote_lines.push(remote.clone());
                    }
                    _ => {}
                }
            }
            if !self.transport.poll_transmit(self.now, &mut batch) {
                return;
            }
            let (contents, to) = (batch.contents().to_vec(), batch.wire.remote);
            let Ok(message) = StunMessage::parse(&contents) else { continue };
            if !message.is_binding_request() {
                self.answers.push(to);
                continue;
            }
            assert!(message.verify(theirs().pwd.as_bytes(), sha1_hmac));
            assert_eq!(message.username(), Some("peer:ours"));
            self.checks.push((to, message.use_candidate(), message.ice_controlling().is_some()));
            if self.answers_at.contains(&to) {
                let reply =
                    bytes(StunMessage::binding_reply(message.trans_id(), address(OURS)), &theirs().pwd);
                self.hear(to, &reply);
            }
        }
    }

    fn hear(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.transport.handle_datagram(self.now, Wire::udp(address(OURS), from), datagram);
    }

    /// A check of the peer.
    fn check(&mut self, from: SocketAddr, use_candidate: bool, priority: u32) {
        let request = request(true, use_candidate, priority, &ours().pwd);
        self.hear(from, &request);
        self.turn();
    }
}

fn request(controlling: bool, use_candidate: bool, priority: u32, pwd: &str) -> Vec<u8> {
    bytes(
        StunMessage::binding_request("ours:peer", TransId::new(), controlling, 9, priority, use_candidate),
        pwd,
    )
}

const HIGH: &str = "10.0.0.2:2000";
const LOW: &str = "10.0.0.3:3000";

#[test]
fn a_lite_peer_is_controlled_in_either_role_checked_and_nominated_though_it_never_checks() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut scene = Scene::new(role, true, &[HIGH, LOW]);
        scene.run_for(2.0);
        assert_eq!(scene.state(), Some(IceState::Connected), "{role:?}");
        assert_eq!(scene.pairs.last(), Some(&address(HIGH)));
        assert!(scene.checks.iter().all(|(_, _, controlling)| *controlling), "RFC 8445 section 6.1.1");
        assert!(scene.checks.iter().any(|(to, nominates, _)| *to == address(HIGH) && *nominates));
        let before = scene.checks.len();
        scene.run_for(600.0);
        assert!(!scene.states.contains(&IceState::Disconnected), "consent by answers alone");
        assert!(scene.checks.len() > before + 300);
        scene.answers_at.clear();
        scene.run_for(4.1);
        assert_eq!(scene.state(), Some(IceState::Disconnected));
        scene.run_for(40.0);
        let last = scene.checks.len();
        scene.run_for(60.0);
        assert_eq!(scene.checks.len(), last, "after 30 s nothing leaves");
    }
}

#[test]
fn a_peer_that_nominates_once_decides_and_until_then_nothing_is_connected() {
    let mut scene = Scene::new(Role::Controlled, false, &[HIGH, LOW]);
    for _ in 0..20 {
        scene.check(address(HIGH), false, 1_845_501_695);
        scene.check(address(LOW), false, 1_845_501_694);
        scene.run_for(0.1);
    }
    assert_eq!(scene.state(), Some(IceState::Checking), "both pairs work, and neither is chosen");
    scene.check(address(LOW), true, 1_845_501_694);
    scene.run_for(0.1);
    assert_eq!(scene.state(), Some(IceState::Connected));
    assert_eq!(scene.pairs, [address(LOW)], "the peer has its reasons");
}

#[test]
fn of_all_the_pairs_that_an_aggressive_peer_nominates_the_best_is_taken() {
    let mut scene = Scene::new(Role::Controlled, false, &[HIGH, LOW]);
    scene.check(address(LOW), true, 1_845_501_694);
    scene.run_for(0.5);
    assert_eq!(scene.pairs, [address(LOW)], "the first that works carries the traffic");
    scene.check(address(HIGH), true, 1_845_501_695);
    scene.run_for(0.5);
    assert_eq!(scene.pairs, [address(LOW), address(HIGH)]);
    for _ in 0..50 {
        scene.check(address(LOW), true, 1_845_501_694);
        scene.check(address(HIGH), true, 1_845_501_695);
        scene.run_for(0.1);
    }
    assert_eq!(scene.pairs.len(), 2, "and that is that: {:?}", scene.pairs);
    assert!(!scene.states.contains(&IceState::Disconnected));
}

#[test]
fn a_peer_behind_a_nat_is_found_by_its_check_as_a_peer_reflexive_candidate() {
    let mut scene = Scene::new(Role::Controlled, false, &[]);
    let outside = address("203.0.113.7:7777");
    scene.answers_at.push(outside);
    scene.run_for(1.0);
    scene.check(outside, true, 1_845_501_695);
    scene.run_for(0.5);
    assert_eq!((scene.state(), scene.pairs.last()), (Some(IceState::Connected), Some(&outside)));
}

#[test]
fn a_check_faster_than_the_signaling_is_of_the_candidate_that_the_signaling_brings() {
    let mut scene = Scene::new(Role::Controlled, false, &[]);
    scene.answers_at.push(address(LOW));
    scene.check(address(LOW), true, 1_845_501_695);
    scene.run_for(0.5);
    assert!(scene.remote_lines.iter().all(|line| line.contains("typ prflx")), "{:?}", scene.remote_lines);
    let of_signaling = host_line(1, address(LOW));
    let candidate = RemoteCandidate::parse(&of_signaling).expect("well-formed");
    scene.transport.add_candidate(scene.now, 1, Some(candidate.clone()));
    scene.transport.add_candidate(scene.now, 1, Some(candidate));
    scene.run_for(0.5);
    assert_eq!(scene.remote_lines.len(), 2, "said once more, and only once: {:?}", scene.remote_lines);
    assert_eq!(scene.remote_lines[1], of_signaling);
    assert_eq!(scene.pairs, [address(LOW), address(LOW)]);
    assert_eq!(scene.state(), Some(IceState::Connected));
}

#[test]
fn a_flood_of_forged_checks_is_counted_gets_no_answer_and_moves_nothing() {
    let mut scene = Scene::new(Role::Controlled, true, &[HIGH]);
    scene.run_for(2.0);
    let stranger = address("198.51.100.66:6666");
    let answers = scene.answers.len();
    let forged = request(true, true, 1_845_501_695, &"x".repeat(22));
    let start = Instant::now();
    for number in 0..100_000u32 {
        // From a stranger, and as if it came from the peer.
        let from = if number % 2 == 0 { stranger } else { address(HIGH) };
        scene.hear(from, &forged);
    }
    let took = start.elapsed();
    scene.turn();
    assert_eq!(scene.answers.len(), answers, "0 answers to 100 000 checks");
    assert_eq!(scene.transport.drops().stun, 100_000);
    println!("100 000 forged checks: {took:?}");
    scene.run_for(30.0);
    assert_eq!(scene.pairs, [address(HIGH)]);
    assert!(!scene.states.contains(&IceState::Disconnected));
}

/// A recorded check of the peer stays authentic. It is answered where it comes from, as the RFC asks, once each, and no
/// data goes there.
#[test]
fn replays_of_a_true_check_are_answered_one_for_one_and_draw_no_traffic() {
    let mut scene = Scene::new(Role::Controlled, false, &[HIGH]);
    scene.check(address(HIGH), true, 1_845_501_695);
    scene.run_for(2.0);
    assert_eq!(scene.pairs, [address(HIGH)]);
    let recorded = request(true, true, 1_845_501_695, &ours().pwd);
    let victim = address("198.51.100.77:7777");
    for _ in 0..10_000 {
        scene.hear(victim, &recorded);
        scene.turn();
    }
    let to_victim = scene.answers.iter().filter(|to| **to == victim).count();
    assert!(to_victim <= 10_000);
    let before = scene.checks.iter().filter(|(to, ..)| *to == victim).count();
    scene.run_for(30.0);
    let checks = scene.checks.iter().filter(|(to, ..)| *to == victim).count();
    assert!(checks <= before + 10, "{checks} checks to an address that never answers");
    assert_eq!(scene.pairs, [address(HIGH)], "an address that answers no check is never chosen");
    assert!(!scene.states.contains(&IceState::Disconnected));
}

#[test]
fn a_flood_of_true_checks_from_many_addresses_is_bounded() {
    let mut scene = Scene::new(Role::Controlled, false, &[HIGH]);
    scene.check(address(HIGH), true, 1_845_501_695);
    scene.run_for(2.0);
    let recorded = request(true, false, 1_845_501_695, &ours().pwd);
    for port in 1..20_000 {
        scene.hear(SocketAddr::from(([198, 51, 100, 77], port)), &recorded);
        scene.turn();
    }
    assert!(scene.transport.drops().stun >= 19_999 - 256, "{:?}", scene.transport.drops());
    let checks = scene.checks.len();
    scene.run_for(60.0);
    let sent = scene.checks.len() - checks;
    assert!(sent < 256 * 10 + 100, "{sent} checks in a minute");
    assert!(!scene.states.contains(&IceState::Disconnected));
    assert_eq!(scene.pairs, [address(HIGH)]);
}
