//! ICE over a virtual link: both roles, trickle, restarts, consent, silence and its healing.

mod common;

use IceState::{Checking, Completed, Connected, Disconnected, Failed};
use adieu_engine::Wire;
use adieu_engine::demux::Class;
use adieu_engine::ice::{IceState, Role};
use common::{Pair, Setup, seconds};

#[test]
fn two_hosts_connect_and_complete_with_all_candidates_known() {
    let mut pair = Pair::connected();
    pair.run_for(2.0);
    assert_eq!(pair.states(0), [Checking, Connected], "triggered checks may still come");
    pair.run_for(2.0);
    for at in 0..2 {
        assert_eq!(pair.states(at), [Checking, Connected, Completed]);
        assert_eq!(pair.peers[at].pairs.len(), 1);
        assert_eq!(pair.peers[at].roles, []);
    }
}

#[test]
fn without_end_of_candidates_it_stays_connected_and_completes_with_it() {
    let mut pair = Pair::new(Setup::default());
    pair.gather(1);
    for at in 0..2 {
        pair.set_remote(at, 1);
        let line = pair.lines(1 - at, 1)[0].clone();
        pair.add_candidate(at, 1, Some(&line));
    }
    pair.run_for(5.0);
    assert_eq!(pair.states(0), [Checking, Connected]);
    pair.add_candidate(0, 1, None);
    pair.run_for(4.0);
    assert_eq!(pair.states(0), [Checking, Connected, Completed]);
    assert_eq!(pair.states(1), [Checking, Connected]);
}

#[test]
fn candidates_that_trickle_in_late_and_on_one_side_only_are_enough() {
    let mut pair = Pair::new(Setup::default());
    pair.gather(1);
    pair.set_remote(0, 1);
    pair.set_remote(1, 1);
    pair.run_for(3.0);
    assert_eq!(pair.states(0), [], "nothing is known of the peer: new");
    let line = pair.lines(1, 1)[0].clone();
    pair.add_candidate(0, 1, Some(&line));
    pair.run_to(1.0, "both connect, one by a peer-reflexive candidate", |pair| {
        (0..2).all(|at| pair.ice_state(at) == Some(Connected))
    });
    assert!(pair.peers[1].pairs[0].2.ends_with("typ prflx"), "{:?}", pair.peers[1].pairs);
}

#[test]
fn a_peer_that_hides_behind_names_is_found_by_its_checks() {
    let mut pair = Pair::new(Setup::default());
    pair.gather(1);
    for at in 0..2 {
        pair.set_remote(at, 1);
    }
    pair.add_candidate(0, 1, Some("candidate:1 1 udp 2113937151 d9ed6ab9-0b2f-4c5d.local 5000 typ host"));
    pair.add_candidate(0, 1, None);
    assert_eq!(pair.states(0), [Checking], "a name is a candidate too");
    assert_eq!(pair.peers[0].transport.drops().candidate, 1);
    let line = pair.lines(0, 1)[0].clone();
    pair.add_candidate(1, 1, Some(&line));
    pair.run_to(1.0, "connected", |pair| (0..2).all(|at| pair.ice_state(at).rank() == 2));
}

const NAME: &str = "d9ed6ab9-0b2f-4c5d-8a52-6f0f8a1f3b11.local";

#[test]
fn a_name_of_mdns_becomes_a_candidate_when_it_is_found_and_stays_a_name_in_what_is_shown() {
    let mut pair = Pair::new(Setup::default());
    pair.gather(1);
    for at in 0..2 {
        pair.set_remote(at, 1);
    }
    pair.add_candidate(0, 1, Some(&format!("candidate:1 1 udp 2113937151 {NAME} 2000 typ host")));
    pair.add_candidate(0, 1, None);
    assert_eq!(pair.peers[0].transport.poll_name().as_deref(), Some(NAME));
    assert_eq!(pair.peers[0].transport.poll_name(), None);
    pair.run_for(5.0);
    assert_eq!(pair.states(0), [Checking]);
    let now = pair.now;
    pair.peers[0].transport.name_found(now, NAME, &[pair.peers[1].hosts[0].ip()]);
    pair.run_to(1.0, "connected", |pair| (0..2).all(|at| pair.ice_state(at).rank() == 2));
    assert!(pair.peers[0].pairs[0].2.contains(NAME), "{:?}", pair.peers[0].pairs);
    assert_eq!(pair.peers[0].transport.drops().candidate, 0);
}

#[test]
fn names_are_bounded_and_one_that_is_not_found_is_counted_and_holds_nothing_up() {
    let mut pair = Pair::new(Setup::default());
    pair.gather(1);
    pair.set_remote(0, 1);
    for number in 0..1000 {
        let line = format!("candidate:1 1 udp 1 d9ed6ab9-0b2f-4c5d-8a52-{number:012}.local 2000 typ host");
        pair.add_candidate(0, 1, Some(&line));
    }
    pair.add_candidate(0, 1, None);
    let asked = std::iter::from_fn(|| pair.peers[0].transport.poll_name()).count();
    assert_eq!((asked, pair.peers[0].transport.drops().candidate), (16, 984));
    let failed = pair.run_to(20.0, "failed", |pair| pair.ice_state(0) == Some(Failed));
    assert!(failed >= seconds(15.0) && failed < seconds(16.0), "as without any candidate: {failed:?}");
    assert_eq!(pair.peers[0].transport.drops().candidate, 1000);
    let now = pair.now;
    pair.peers[0].transport.name_found(now, NAME, &["10.0.0.2".parse().expect("address")]); // too late
    pair.run_for(5.0);
    assert_eq!(pair.ice_state(0), Some(Failed));
}

#[test]
fn a_hidden_address_is_in_no_candidate_and_its_name_in_all_that_is_shown() {
    let mut pair = Pair::new(Setup::default());
    let now = pair.now;
    let peer = &mut pair.peers[0].transport;
    peer.start_generation(now, 1, common::credentials(0, 1), Role::Controlling);
    peer.hide_address(1, "10.0.0.1".parse().expect("address"), NAME.into());
    peer.add_host(now, 1, "10.0.0.1:1000".parse().expect("address"));
    peer.expect_server(now, 1, "stun:x".into());
    let server = "10.0.0.9:3478".parse().expect("address");
    peer.server_resolved(now, 1, "stun:x", Ok(vec![server]));
    peer.hosts_done(now, 1);
    pair.turn(0);
    // XOR-MAPPED-ADDRESS 203.0.113.5:6000
    let mut answer = vec![1, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42];
    answer.extend_from_slice(&pair.sent[0].bytes[8..20]);
    answer.extend_from_slice(&[0, 0x20, 0, 8, 0, 1, 0x36, 0x62, 203 ^ 0x21, 0x12, 113 ^ 0xA4, 5 ^ 0x42]);
    let local = pair.sent[0].local;
    pair.peers[0].transport.handle_datagram(now, Wire::udp(local, server), &answer);
    pair.turn(0);
    let lines = pair.lines(0, 1);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains(&format!(" {NAME} 1000 typ host")), "{lines:?}");
    assert!(lines[1].ends_with("203.0.113.5 6000 typ srflx raddr 0.0.0.0 rport 0"), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("10.0.0.1")));
}

trait Rank {
    fn rank(self) -> u8;
}

impl Rank for Option<IceState> {
    fn rank(self) -> u8 {
        match self {
            Some(Connected | Completed) => 2,
            Some(Checking) => 1,
            _ => 0,
        }
    }
}

#[test]
fn a_role_conflict_is_settled_and_told_to_one_side() {
    for role in [Role::Controlling, Role::Controlled] {
        let setup = Setup { roles: [role, role], ..Setup::default() };
        let mut pair = Pair::started(setup);
        pair.run_to(3.0, "connected", Pair::is_connected);
        let changes: Vec<_> = pair.peers.iter().flat_map(|peer| peer.roles.clone()).collect();
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_ne!(changes[0], role);
    }
}

#[test]
fn of_many_addresses_the_best_pair_that_works_is_taken() {
    let setup = Setup {
        hosts: [vec!["10.0.0.1:1000", "[2001:db8::1]:1001"], vec!["10.0.0.2:2000", "[2001:db8::2]:2001"]],
        ..Setup::default()
    };
    let mut pair = Pair::started(setup);
    pair.run_to(3.0, "connected", Pair::is_connected);
    pair.run_for(4.0);
    for peer in &pair.peers {
        let last = peer.pairs.last().expect("a pair");
        assert!(last.1.contains("2001:db8::") && last.2.contains("2001:db8::"), "{last:?}");
    }
    assert_eq!(pair.ice_state(0), Some(Completed));
}

#[test]
fn nobody_answers_is_failed_after_the_pairs_are_exhausted_and_not_before_failed_after() {
    let mut pair = Pair::started(Setup::default());
    pair.is_cut = true;
    let time = pair.run_to(40.0, "failed", |pair| pair.ice_state(0) == Some(Failed));
    assert!(time > seconds(10.0) && time < seconds(20.0), "all candidates are known: {time:?}");

    let mut pair = Pair::new(Setup::default());
    pair.gather(1);
    for at in 0..2 {
        pair.set_remote(at, 1);
    }
    let line = pair.lines(1, 1)[0].clone();
    pair.add_candidate(0, 1, Some(&line));
    pair.is_cut = true;
    let time = pair.run_to(40.0, "failed", |pair| pair.ice_state(0) == Some(Failed));
    assert!(time >= seconds(15.0) && time < seconds(20.0), "without end-of-candidates: {time:?}");
}

#[test]
fn a_peer_without_any_usable_candidate_fails_after_failed_after() {
    let mut pair = Pair::new(Setup::default());
    pair.gather(1);
    pair.set_remote(0, 1);
    pair.add_candidate(0, 1, None);
    let time = pair.run_to(40.0, "failed", |pair| pair.ice_state(0) == Some(Failed));
    assert!(time >= seconds(15.0) && time < seconds(16.0), "{time:?}");
}

#[test]
fn a_peer_that_dies_is_disconnected_after_two_and_a_half_to_four_seconds_and_failed_after_about_fifteen() {
    for moment in 0..30 {
        let mut pair = Pair::connected();
        pair.run_for(10.0 + f64::from(moment) * 0.05);
        pair.is_cut = true;
        let disconnected = pair.run_to(10.0, "disconnected", |pair| pair.ice_state(0) == Some(Disconnected));
        assert!(disconnected >= seconds(2.48) && disconnected <= seconds(4.0), "{disconnected:?}");
        let failed = pair.run_to(20.0, "failed", |pair| pair.ice_state(0) == Some(Failed));
        assert!(failed > seconds(12.4) && failed < seconds(12.6), "{failed:?}");
    }
}

/// Ten minutes with nothing to say but checks: nothing but the checks shows that the peer lives.
#[test]
fn an_idle_link_never_looks_disconnected_without_loss_or_with_five_in_a_hundred() {
    for (loss, seed) in [(0.0, 1), (0.05, 1), (0.05, 2), (0.05, 3), (0.05, 4), (0.05, 5), (0.05, 6)] {
        let mut pair = Pair::started(Setup { seed, ..Setup::default() });
        pair.run_to(3.0, "connected", Pair::is_connected);
        pair.delay = seconds(0.05);
        pair.loss = loss;
        pair.run_for(600.0);
        for at in 0..2 {
            assert_eq!(pair.states(at), [Checking, Connected, Completed], "loss {loss}, seed {seed}");
        }
    }
}

#[test]
fn a_slow_and_lossy_link_is_not_disconnected() {
    let mut pair = Pair::connected();
    pair.delay = seconds(0.3);
    pair.loss = 0.1;
    pair.run_for(300.0);
    assert_eq!(pair.states(0), [Checking, Connected, Completed], "an RTT of 600 ms and 10 % loss");
}

#[test]
fn a_healed_link_is_noticed_within_a_second_and_a_half_after_any_outage_shorter_than_consent() {
    for outage in [1.0, 3.0, 8.0, 14.0, 20.0, 26.0] {
        let mut pair = Pair::connected();
        pair.run_for(7.3);
        pair.is_cut = true;
        pair.run_for(outage);
        pair.is_cut = false;
        let healed = pair.run_to(3.0, "both are connected again", |pair| {
            (0..2).all(|at| matches!(pair.ice_state(at), Some(Connected | Completed)))
        });
        assert!(healed < seconds(1.5), "after {outage} s: {healed:?}");
        let (ours, theirs) = pair.channel(0);
        assert!(pair.send(0, ours, b"hello".to_vec()));
        pair.run_to(3.0, "data flows", |pair| pair.peers[1].messages.len() == 1);
        assert_eq!(pair.peers[1].messages[0].0, theirs);
    }
}

#[test]
fn data_in_flight_over_an_outage_is_delivered_within_three_seconds_of_the_heal() {
    let mut pair = Pair::connected();
    let (_, ours) = pair.channel(0);
    pair.is_cut = true;
    assert!(pair.send(1, ours, b"through".to_vec()));
    pair.run_for(12.0);
    pair.is_cut = false;
    let time = pair.run_to(3.0, "delivered", |pair| pair.peers[0].messages.len() == 1);
    assert!(time < seconds(1.5), "{time:?}");
}

#[test]
fn closing_rule_67_after_thirty_seconds_without_an_answer_nothing_is_sent_any_more() {
    let mut pair = Pair::connected();
    let (_, ours) = pair.channel(0);
    pair.is_cut = true;
    pair.run_for(31.0);
    pair.sent.clear();
    pair.send(1, ours, vec![0; 10_000]);
    pair.run_for(60.0);
    assert_eq!(pair.sent.len(), 0, "neither data nor checks");
    pair.is_cut = false;
    pair.run_for(60.0);
    assert_eq!(pair.sent.len(), 0, "the same credentials are never used again");
    assert_eq!(pair.ice_state(0), Some(Failed));
}

#[test]
fn closing_rules_65_and_69_a_restart_after_failed_brings_everything_back() {
    let mut pair = Pair::connected();
    let (theirs, ours) = pair.channel(0);
    pair.is_cut = true;
    pair.run_for(40.0);
    assert!(pair.send(1, ours, b"kept".to_vec()));
    assert_eq!(pair.ice_state(0), Some(Failed));
    pair.is_cut = false;
    pair.gather(2);
    pair.negotiate(2);
    assert_eq!(pair.ice_state(0), Some(Checking));
    pair.run_to(3.0, "connected", |pair| (0..2).all(|at| pair.ice_state(at).rank() == 2));
    pair.run_to(3.0, "what was queued arrives", |pair| pair.peers[0].messages.len() == 1);
    assert_eq!(pair.peers[0].messages[0], (theirs, adieu_engine::Kind::Binary, b"kept".to_vec()));
    assert_eq!(pair.peers[0].dtls.len(), 2, "the same DTLS association: connecting, connected");
}

#[test]
fn a_restart_of_a_living_connection_loses_nothing_and_never_leaves_connected() {
    let mut pair = Pair::connected();
    let (_, ours) = pair.channel(0);
    for number in 0..100u32 {
        if number == 30 {
            pair.gather(2);
        }
        if number == 50 {
            pair.negotiate(2);
        }
        assert!(pair.send(1, ours, number.to_be_bytes().to_vec()));
        pair.run_for(0.01);
    }
    pair.run_for(4.0);
    assert_eq!(pair.peers[0].messages.len(), 100);
    assert!(pair.peers[0].ice.iter().all(|(_, state)| *state != Disconnected && *state != Failed));
    assert_eq!(pair.peers[0].pairs.last().map(|pair| pair.0), Some(2));
    assert_eq!(pair.ice_state(0), Some(Completed));
}

#[test]
fn closing_rule_69_data_on_a_pair_that_only_the_peer_has_checked_yet_is_taken() {
    let roles = [Role::Controlled, Role::Controlling];
    let mut pair = Pair::started(Setup { roles, ..Setup::default() });
    pair.run_to(5.0, "connected", Pair::is_connected);
    let (_, ours) = pair.channel(0);
    // The peer has a new socket for the new generation, and our checks of it are lost.
    let old = std::mem::replace(&mut pair.peers[1].hosts, vec!["10.0.0.2:2001".parse().expect("an address")]);
    pair.gather(2);
    pair.peers[1].hosts.extend(old);
    pair.filter = Box::new(|from, bytes| from == 1 || !bytes.starts_with(&[0, 1]));
    pair.negotiate(2);
    pair.run_to(1.0, "the peer has chosen", |pair| pair.peers[1].pairs.last().is_some_and(|one| one.0 == 2));
    assert!(pair.send(1, ours, b"hello".to_vec()));
    pair.run_to(0.1, "it arrives", |pair| pair.peers[0].messages.len() == 1);
    assert_eq!(pair.peers[0].pairs.last().map(|one| one.0), Some(1), "our own pair is the old one");
    assert_eq!(pair.peers[0].transport.drops().dtls, 0);
}

#[test]
fn what_comes_from_an_address_that_nobody_has_checked_is_dropped() {
    let mut pair = Pair::connected();
    let now = pair.now;
    let wire = Wire::udp(pair.peers[0].hosts[0], "10.0.0.9:9".parse().expect("an address"));
    pair.peers[0].transport.handle_datagram(now, wire, &[0x2f; 40]);
    assert_eq!(pair.peers[0].transport.drops().dtls, 1);
}

#[test]
fn while_the_new_generation_finds_nothing_the_old_pair_goes_on() {
    let mut pair = Pair::connected();
    let (_, ours) = pair.channel(0);
    pair.gather(2);
    for at in 0..2 {
        pair.set_remote(at, 2);
        pair.add_candidate(at, 2, Some("candidate:1 1 udp 2122260223 192.0.2.99 9 typ host"));
    }
    for _ in 0..40 {
        pair.run_for(1.0);
        pair.send(1, ours, vec![7]);
    }
    pair.run_for(1.0);
    assert_eq!(pair.peers[0].messages.len(), 40);
    assert_eq!(pair.peers[0].pairs.last().map(|pair| pair.0), Some(1));
    assert_eq!(pair.ice_state(0), Some(Failed), "the restart has found nothing, and says so");
    pair.gather(3);
    pair.negotiate(3);
    pair.run_to(3.0, "the next one helps", |pair| pair.ice_state(0) == Some(Connected));
}

#[test]
fn a_restart_that_leaves_one_side_without_candidates_fails_on_both_and_the_old_pair_goes_on() {
    let mut pair = Pair::connected();
    let (_, ours) = pair.channel(0);
    let hosts = std::mem::take(&mut pair.peers[0].hosts); // as iceTransportPolicy "relay" without a TURN server
    pair.gather(2);
    pair.peers[0].hosts = hosts;
    pair.negotiate(2);
    pair.run_for(0.5);
    assert_eq!(pair.ice_state(0), Some(Failed), "zero local candidates, and the peer has sent its last one");
    assert_ne!(pair.ice_state(1), Some(Failed), "a peer-reflexive candidate may still come");
    pair.run_for(16.0);
    assert_eq!(pair.ice_state(1), Some(Failed));
    pair.send(1, ours, vec![7]);
    pair.run_for(1.0);
    assert_eq!(pair.peers[0].messages.len(), 1);
}

#[test]
fn a_restart_while_disconnected_is_checking_at_once_and_then_connected() {
    let mut pair = Pair::connected();
    pair.is_cut = true;
    pair.run_to(10.0, "disconnected", |pair| pair.ice_state(0) == Some(Disconnected));
    assert_eq!(
        pair.states(0),
        [Checking, Connected, Disconnected],
        "not completed while a check is unanswered"
    );
    pair.gather(2);
    pair.set_remote(0, 2);
    pair.run_for(0.01);
    assert_eq!(pair.ice_state(0), Some(Checking), "before any candidate");
    pair.is_cut = false;
    pair.negotiate(2);
    pair.run_to(3.0, "connected", |pair| pair.ice_state(0) == Some(Connected));
}

#[test]
fn a_rolled_back_generation_is_forgotten_and_the_one_before_goes_on() {
    let mut pair = Pair::connected();
    pair.gather(2);
    for at in 0..2 {
        let now = pair.now;
        pair.peers[at].transport.drop_generation(now, 2);
    }
    pair.run_for(30.0);
    assert_eq!(pair.ice_state(0), Some(Completed));
    pair.gather(3);
    pair.negotiate(3);
    pair.run_to(3.0, "the third carries", |pair| {
        pair.peers.iter().all(|peer| peer.pairs.last().expect("pair").0 == 3)
    });
}

#[test]
fn many_restarts_in_a_row_are_bounded_and_end_connected() {
    let mut pair = Pair::connected();
    for generation in 2..40 {
        pair.gather(generation);
        if generation % 5 == 0 {
            pair.negotiate(generation);
            pair.run_for(0.5);
        }
    }
    pair.gather(40);
    pair.negotiate(40);
    pair.run_to(5.0, "the last carries", |pair| {
        pair.peers.iter().all(|peer| peer.pairs.last().expect("pair").0 == 40)
    });
    pair.run_for(15.0);
    assert_eq!(pair.ice_state(0), Some(Completed));
}

#[test]
fn a_stranger_without_the_password_changes_nothing() {
    let mut pair = Pair::connected();
    let stranger = "10.0.0.66:6666".parse().expect("an address");
    let checks: Vec<Vec<u8>> = pair.sent_by(0, Class::Stun).iter().map(|sent| sent.bytes.clone()).collect();
    let dtls: Vec<Vec<u8>> = pair.sent_by(0, Class::Dtls).iter().map(|sent| sent.bytes.clone()).collect();
    let local = pair.peers[1].hosts[0];
    // A check that is replayed is right, so what comes after it from there goes to DTLS, which knows it again.
    for mut datagram in dtls.iter().cloned().chain(checks).chain(dtls.iter().cloned()) {
        let now = pair.now;
        let peer = &mut pair.peers[1].transport;
        peer.handle_datagram(now, Wire::udp(local, stranger), &datagram); // replayed from elsewhere
        let inside = datagram.len() - 12;
        datagram[inside] ^= 1; // forged: of STUN a byte of its integrity
        peer.handle_datagram(now, Wire::udp(local, stranger), &datagram);
        pair.turn(1);
    }
    pair.run_for(20.0);
    assert_eq!(pair.peers[1].pairs.len(), 1, "the path is the same");
    assert_eq!(pair.states(1), [Checking, Connected, Completed]);
    let drops = pair.peers[1].transport.drops();
    assert!(drops.stun > 0 && drops.dtls > 0, "{drops:?}");
}

#[test]
fn a_check_that_is_replayed_from_many_addresses_costs_a_bounded_number_of_candidates() {
    let mut pair = Pair::connected();
    let local = pair.peers[1].hosts[0];
    let check = pair.sent_by(0, Class::Stun)[0].bytes.clone();
    for port in 1..2000 {
        let now = pair.now;
        let elsewhere = ([10, 0, 0, 66], port).into();
        pair.peers[1].transport.handle_datagram(now, Wire::udp(local, elsewhere), &check);
    }
    assert!(pair.peers[1].transport.drops().stun > 1700);
    pair.run_for(30.0);
    assert_eq!(pair.states(1)[..2], [Checking, Connected]);
    assert_eq!(pair.peers[1].pairs.len(), 1);
}

#[test]
fn replayed_answers_do_not_keep_a_dead_peer_alive() {
    let mut pair = Pair::connected();
    pair.run_for(20.0);
    let remote = pair.peers[0].hosts[0];
    let local = pair.peers[1].hosts[0];
    let answers: Vec<Vec<u8>> = pair
        .sent_by(0, Class::Stun)
        .iter()
        .filter(|sent| sent.bytes[0] == 1 && sent.bytes[1] == 1)
        .map(|sent| sent.bytes.clone())
        .collect();
    assert!(!answers.is_empty());
    pair.is_cut = true;
    for _ in 0..310 {
        pair.run_for(0.1);
        for answer in &answers {
            let now = pair.now;
            pair.peers[1].transport.handle_datagram(now, Wire::udp(local, remote), answer);
        }
        pair.turn(1);
    }
    assert_eq!(pair.ice_state(1), Some(Failed));
}
