//! DTLS over a virtual link: versions, fingerprints, failures, the last words.

mod common;

use std::sync::Arc;
use std::time::Instant;

use adieu_engine::demux::Class;
use adieu_engine::dtls::DtlsState;
use adieu_engine::sctp::SctpState;
use adieu_engine::{Fingerprint, Random};
use common::{Pair, Setup};

fn fingerprints(list: &[(&str, String)]) -> Vec<Fingerprint> {
    Fingerprint::parse_all(list.iter().map(|(algorithm, value)| (*algorithm, value.as_str())))
        .expect("well-formed")
}

#[test]
fn the_handshake_passes_with_any_of_several_fingerprints_of_any_algorithm() {
    for algorithm in ["sha-256", "sha-384", "sha-512"] {
        let mut pair = Pair::new(Setup::default());
        pair.gather(1);
        pair.negotiate(1);
        for at in 0..2 {
            let wrong = "00:".repeat(31) + "00";
            let right = pair.peers[1 - at].certificate.fingerprint(algorithm).expect("known");
            let all = fingerprints(&[("sha-256", wrong), (algorithm, right)]);
            let (now, is_client) = (pair.now, pair.peers[at].is_client);
            pair.peers[at].transport.start_dtls(now, is_client, all);
            pair.peers[at].transport.start_sctp(now, 5000, 5000, 262_144);
            pair.turn(at);
        }
        pair.run_to(3.0, "connected", Pair::is_connected);
        assert_eq!(pair.peers[0].certificates, 1);
        assert_eq!(pair.peers[0].transport.stats(pair.now).dtls_version, Some("FEFC"));
    }
}

#[test]
fn closing_rule_61_a_wrong_fingerprint_is_failed_and_nothing_of_sctp_ever_runs() {
    for liar in 0..2 {
        let mut pair = Pair::new(Setup::default());
        pair.gather(1);
        pair.negotiate(1);
        let wrong = fingerprints(&[("sha-256", "AB:".repeat(31) + "AB")]);
        for at in 0..2 {
            let right = pair.peers[1 - at].certificate.fingerprint("sha-256").expect("known");
            let expected = if at == liar { wrong.clone() } else { fingerprints(&[("sha-256", right)]) };
            let (now, is_client) = (pair.now, pair.peers[at].is_client);
            pair.peers[at].transport.start_dtls(now, is_client, expected);
            pair.peers[at].transport.start_sctp(now, 5000, 5000, 262_144);
        }
        let now = pair.now;
        pair.peers[liar].transport.open_channel(now, 7, common::options());
        pair.run_for(5.0);
        let (state, failure) = pair.peers[liar].dtls.last().expect("a state");
        assert_eq!(*state, DtlsState::Failed);
        let failure = failure.as_ref().expect("a reason");
        assert_eq!(failure.detail, "fingerprint-failure");
        assert_eq!(failure.received_alert, None);
        assert!(!pair.is_connected());
        for peer in &pair.peers {
            assert!(peer.sctp.iter().all(|(state, _)| *state != SctpState::Connected), "{:?}", peer.sctp);
        }
        assert_eq!(
            pair.peers[liar].failed.len() + pair.peers[liar].closed.len(),
            1,
            "the waiting channel is told"
        );
    }
}

#[test]
fn the_handshake_survives_the_loss_of_each_datagram_in_turn() {
    let run = |lost: Option<usize>| {
        let mut pair = Pair::started(Setup::default());
        let mut count = 0;
        pair.filter = Box::new(move |_, bytes| {
            if adieu_engine::demux::classify(bytes) != Class::Dtls {
                return true;
            }
            count += 1;
            Some(count - 1) != lost
        });
        let time = pair.run_to(5.0, &format!("datagram {lost:?} lost"), Pair::is_connected);
        assert!(time.as_secs_f64() < 2.5, "datagram {lost:?} lost: {time:?}");
        pair.sent.iter().filter(|sent| sent.class() == Class::Dtls).count()
    };
    let datagrams = run(None);
    for lost in 0..datagrams {
        run(Some(lost));
    }
}

/// Signatures differ in each run, and with them what is lost: of 2 000 connections one needs more than 30 s.
#[test]
fn with_heavy_loss_it_connects_all_the_same() {
    let late = (1..20).filter(|&seed| {
        let mut pair = Pair::started(Setup { seed, ..Setup::default() });
        pair.loss = 0.3;
        let until = pair.now + common::seconds(30.0);
        !pair.run_until(until, Pair::is_connected)
    });
    assert!(late.count() <= 1, "connected with 30 % loss");
}

#[test]
fn a_peer_whose_fingerprint_comes_late_finds_its_first_flight_kept() {
    let mut pair = Pair::new(Setup::default());
    pair.gather(1);
    pair.negotiate(1);
    // The client starts; the server learns its fingerprint only later.
    let right = |pair: &Pair, of: usize| pair.peers[of].certificate.fingerprint("sha-256").expect("known");
    let now = pair.now;
    let of_server = fingerprints(&[("sha-256", right(&pair, 0))]);
    pair.peers[1].transport.start_dtls(now, true, of_server);
    pair.peers[1].transport.start_sctp(now, 5000, 5000, 262_144);
    pair.run_for(0.1);
    let of_client = fingerprints(&[("sha-256", right(&pair, 1))]);
    let now = pair.now;
    pair.peers[0].transport.start_dtls(now, false, of_client);
    pair.peers[0].transport.start_sctp(now, 5000, 5000, 262_144);
    let time = pair.run_to(2.0, "connected", Pair::is_connected);
    assert!(time.as_secs_f64() < 0.15, "no retransmission was needed: {time:?}");
}

#[test]
fn a_peer_that_never_speaks_dtls_fails_in_bounded_time() {
    let mut pair = Pair::started(Setup::default());
    pair.filter = Box::new(|_, bytes| adieu_engine::demux::classify(bytes) == Class::Stun);
    let failed =
        |pair: &Pair| pair.peers[1].dtls.last().is_some_and(|(state, _)| *state == DtlsState::Failed);
    let time = pair.run_to(60.0, "failed", failed);
    assert!(time.as_secs_f64() < 45.0, "{time:?}");
    let failure = pair.peers[1].dtls.last().and_then(|(_, failure)| failure.clone()).expect("a reason");
    assert_eq!(failure.detail, "dtls-failure");
    assert!(failure.message.contains("not answered"), "{}", failure.message);
}

#[test]
fn closing_rule_60_a_close_notify_closes_what_is_above_and_is_answered() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.channel(0);
    // Only the close_notify arrives: the ABORT before it is lost.
    let mut lose = 1;
    pair.filter = Box::new(move |from, bytes| {
        let abort = from == 1 && adieu_engine::demux::classify(bytes) == Class::Dtls && lose > 0;
        lose -= u8::from(abort);
        !abort
    });
    pair.close(1, "bye");
    pair.run_for(0.5);
    let peer = &pair.peers[0];
    assert_eq!(peer.dtls.last(), Some(&(DtlsState::Closed, None)));
    assert_eq!(peer.sctp.last().map(|(state, _)| *state), Some(SctpState::Closed));
    assert_eq!(peer.closed.len(), 1);
    let (key, error, cause) = &peer.closed[0];
    assert_eq!((*key, *cause), (ours, None));
    assert!(error.as_deref().is_some_and(|error| error.contains("close_notify")), "{error:?}");
    let _ = theirs;
    assert!(
        pair.sent_by(0, Class::Dtls).iter().any(|sent| sent.at > pair.elapsed() - common::seconds(0.5)),
        "answered"
    );
}

/// A stranger that can write plaintext alerts into the handshake, from the right address.
#[test]
fn a_fatal_alert_in_the_handshake_is_reported_with_its_number_in_both_roles() {
    for (at, description, name) in
        [(0, 40, "handshake_failure"), (1, 40, "handshake_failure"), (1, 71, "insufficient_security")]
    {
        let mut pair = Pair::started(Setup::default());
        pair.filter = Box::new(|_, bytes| adieu_engine::demux::classify(bytes) == Class::Stun);
        pair.run_for(0.2);
        let alert = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, description];
        let (now, local, remote) = (pair.now, pair.peers[at].hosts[0], pair.peers[1 - at].hosts[0]);
        pair.peers[at].transport.handle_datagram(now, local, remote, &alert);
        pair.turn(at);
        let (state, failure) = pair.peers[at].dtls.last().expect("a state").clone();
        assert_eq!(state, DtlsState::Failed);
        let failure = failure.expect("a reason");
        assert_eq!(failure.received_alert, Some(description));
        assert!(failure.message.contains(name) && failure.message.contains("RSA"), "{}", failure.message);
    }
}

#[test]
fn a_client_takes_no_harm_from_a_stray_first_datagram() {
    let mut pair = Pair::started(Setup::default());
    pair.run_to(1.0, "the client has started", |pair| !pair.peers[1].dtls.is_empty());
    let (local, remote) = (pair.peers[1].hosts[0], pair.peers[0].hosts[0]);
    for stray in
        [vec![22, 254, 253], vec![20; 100], vec![23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 1, 0, 3, 1, 2, 3]]
    {
        let now = pair.now;
        pair.peers[1].transport.handle_datagram(now, local, remote, &stray);
    }
    pair.run_to(3.0, "connected", Pair::is_connected);
}

/// A DTLS 1.2 server and client, straight from the crate: what an older peer would be.
#[test]
fn a_peer_with_dtls_1_2_only_is_understood_in_both_roles() {
    for peer_is_client in [true, false] {
        let now = Instant::now();
        let mut random = Random::new([3; 32]);
        let make = |random: &mut Random| {
            let life = common::seconds(1000.0);
            Arc::new(adieu_engine::Certificate::generate(1_800_000_000, life, random).expect("made"))
        };
        let (ours, theirs) = (make(&mut random), make(&mut random));
        let config = Arc::new(dimpl::Config::builder().mtu(1232).build().expect("valid"));
        let certificate = dimpl::certificate::generate_self_signed_certificate().expect("made");
        let hash = certificate.fingerprint_str();
        let mut old = dimpl::Dtls::new_12(config, certificate, now);
        old.set_active(peer_is_client);
        let mut new = adieu_engine::dtls::Dtls::new(now, ours);
        new.start(now, !peer_is_client, fingerprints(&[("sha-256", hash)]));
        let _ = theirs;
        let (mut buffer, mut scratch) = (vec![0; 2048], vec![0; 2048]);
        for _ in 0..20 {
            old.handle_timeout(now).expect("alive");
            loop {
                match old.poll_output(&mut buffer) {
                    dimpl::Output::Packet(packet) => {
                        new.handle_datagram(now, packet);
                    }
                    dimpl::Output::Timeout(_) => break,
                    _ => {}
                }
            }
            loop {
                match new.step(&mut scratch) {
                    adieu_engine::dtls::Step::Packet(packet) => old.handle_packet(packet).expect("alive"),
                    adieu_engine::dtls::Step::Idle => break,
                    adieu_engine::dtls::Step::Failed(failure) => panic!("{failure:?}"),
                    _ => {}
                }
            }
        }
        assert_eq!(new.state(), DtlsState::Connected, "peer is client: {peer_is_client}");
        assert_eq!(new.version(), Some("FEFD"));
    }
}
