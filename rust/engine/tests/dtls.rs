//! DTLS over a virtual link: versions, fingerprints, failures, the last words.

mod common;

use std::sync::Arc;
use std::time::Instant;

use adieu_engine::demux::Class;
use adieu_engine::dtls::{DtlsFailure, DtlsState};
use adieu_engine::sctp::SctpState;
use adieu_engine::{Fingerprint, Random, Wire};
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

/// Connect with ICE and start DTLS; the named sides get a wrong fingerprint.
fn misled(misled: &[usize]) -> Pair {
    let mut pair = Pair::new(Setup::default());
    pair.gather(1);
    pair.negotiate(1);
    for at in 0..2 {
        let right = pair.peers[1 - at].certificate.fingerprint("sha-256").expect("known");
        let told = if misled.contains(&at) { "AB:".repeat(31) + "AB" } else { right };
        let (now, is_client) = (pair.now, pair.peers[at].is_client);
        pair.peers[at].transport.start_dtls(now, is_client, fingerprints(&[("sha-256", told)]));
        pair.peers[at].transport.start_sctp(now, 5000, 5000, 262_144);
    }
    pair
}

fn is_failed(pair: &Pair, at: usize) -> bool {
    pair.peers[at].dtls.last().is_some_and(|(state, _)| *state == DtlsState::Failed)
}

fn failure(pair: &Pair, at: usize) -> &DtlsFailure {
    assert!(is_failed(pair, at), "{:?}", pair.peers[at].dtls);
    pair.peers[at].dtls.last().and_then(|(_, failure)| failure.as_ref()).expect("a reason")
}

#[test]
fn closing_rule_61_a_wrong_fingerprint_is_failed_on_both_sides_and_nothing_of_sctp_ever_runs() {
    for at in 0..2 {
        let mut pair = misled(&[at]);
        let now = pair.now;
        pair.peers[at].transport.open_channel(now, 7, common::options());
        pair.run_to(0.5, "both are failed", |pair| is_failed(pair, 0) && is_failed(pair, 1));
        pair.run_for(5.0);
        let ours = failure(&pair, at);
        assert_eq!(ours.detail, "fingerprint-failure");
        assert_eq!((ours.sent_alert, ours.received_alert), (Some(42), None));
        let theirs = failure(&pair, 1 - at);
        assert_eq!(theirs.detail, "dtls-failure");
        assert_eq!((theirs.sent_alert, theirs.received_alert), (None, Some(42)));
        assert!(theirs.message.contains("bad_certificate"), "{}", theirs.message);
        for peer in &pair.peers {
            assert!(peer.sctp.iter().all(|(state, _)| *state != SctpState::Connected), "{:?}", peer.sctp);
        }
        assert_eq!(
            pair.peers[at].failed.len() + pair.peers[at].closed.len(),
            1,
            "the waiting channel gets its event"
        );
    }
}

#[test]
fn a_fatal_alert_that_is_lost_is_said_again_to_who_goes_on() {
    for at in 0..2 {
        let mut pair = misled(&[at]);
        let mut lost = 0;
        pair.filter = Box::new(move |from, bytes| {
            let is_alert =
                from == at && adieu_engine::demux::classify(bytes) == Class::Dtls && bytes.len() < 30;
            lost += u8::from(is_alert);
            !is_alert || lost > 3
        });
        pair.run_to(10.0, "refused", |pair| is_failed(pair, at));
        pair.run_to(10.0, "known", |pair| is_failed(pair, 1 - at));
        assert_eq!(failure(&pair, 1 - at).received_alert, Some(42));
    }
}

#[test]
fn two_that_refuse_each_other_come_to_an_end() {
    let mut pair = misled(&[0, 1]);
    pair.run_to(1.0, "both are failed", |pair| is_failed(pair, 0) && is_failed(pair, 1));
    pair.run_for(60.0);
    assert!(pair.sent.iter().filter(|sent| sent.class() == Class::Dtls).count() < 40);
}

/// A plain client of the crate, which has no certificate to show (RFC 8446 section 4.4.2.4).
#[test]
fn a_peer_without_a_certificate_is_told_that_one_is_required() {
    let now = Instant::now();
    let config = Arc::new(dimpl::Config::builder().mtu(1232).build().expect("valid"));
    let mut certificate = dimpl::certificate::generate_self_signed_certificate().expect("made");
    certificate.certificate.clear();
    let mut bare = dimpl::Dtls::new_13(config, certificate, now);
    bare.set_active(true);
    let (failure, alert) = meet(now, &mut bare, false, "AB:".repeat(31) + "AB");
    assert_eq!(failure.expect("refused").sent_alert, Some(116));
    assert_eq!(alert, Some(116));
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

/// Signatures differ in each run, and with them what is lost.
#[test]
fn with_heavy_loss_it_connects_all_the_same() {
    for seed in 1..20 {
        let mut pair = Pair::started(Setup { seed, ..Setup::default() });
        pair.loss = 0.3;
        let time = pair.run_to(15.0, "connected with 30 % loss", Pair::is_connected);
        println!("seed {seed}: {:.2} s", time.as_secs_f64());
    }
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
        pair.peers[at].transport.handle_datagram(now, Wire::udp(local, remote), &alert);
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
        pair.peers[1].transport.handle_datagram(now, Wire::udp(local, remote), &stray);
    }
    pair.run_to(3.0, "connected", Pair::is_connected);
}

/// Run our side, with this fingerprint for the peer, against one straight from the crate, without loss. Return our
/// failure, and the fatal alert that the peer got.
fn meet(
    now: Instant,
    other: &mut dimpl::Dtls,
    is_client: bool,
    hash: String,
) -> (Option<DtlsFailure>, Option<u8>) {
    let life = common::seconds(1000.0);
    let ours = adieu_engine::Certificate::generate(1_800_000_000, life, &mut Random::new([3; 32]));
    let mut ours = adieu_engine::dtls::Dtls::new(now, Arc::new(ours.expect("made")));
    ours.want(is_client, fingerprints(&[("sha-256", hash)]));
    ours.start(now);
    let (mut buffer, mut scratch) = (vec![0; 2048], vec![0; 2048]);
    let (mut failed, mut alert) = (None, None);
    for _ in 0..20 {
        if alert.is_none() {
            other.handle_timeout(now).expect("alive");
        }
        loop {
            match other.poll_output(&mut buffer) {
                dimpl::Output::Packet(packet) => {
                    ours.handle_datagram(now, packet);
                }
                dimpl::Output::Timeout(_) => break,
                _ => {}
            }
        }
        loop {
            match ours.poll_output(&mut scratch) {
                adieu_engine::dtls::Output::Packet(packet) => match other.handle_packet(packet) {
                    Ok(()) => {}
                    Err(dimpl::Error::SecurityError(dimpl::SecurityError::FatalAlert { description })) => {
                        alert = Some(description);
                    }
                    Err(error) => panic!("{error}"),
                },
                adieu_engine::dtls::Output::Idle => break,
                adieu_engine::dtls::Output::Failed(failure) => failed = Some(failure),
                _ => {}
            }
        }
    }
    if failed.is_none() {
        assert_eq!(ours.state(), DtlsState::Connected, "as client: {is_client}");
        assert_eq!(ours.version(), Some("FEFD"));
        assert!(ours.cipher_suite().is_some_and(|name| name.starts_with("TLS_ECDHE_ECDSA_WITH_AES_")));
        assert_eq!(ours.srtp_profile(), Some("SRTP_AES128_CM_HMAC_SHA1_80"));
    }
    (failed, alert)
}

fn with_dtls_1_2_only(now: Instant, is_client: bool) -> (dimpl::Dtls, String) {
    let config = Arc::new(dimpl::Config::builder().mtu(1232).build().expect("valid"));
    let certificate = dimpl::certificate::generate_self_signed_certificate().expect("made");
    let hash = certificate.fingerprint_str();
    let mut old = dimpl::Dtls::new_12(config, certificate, now);
    old.set_active(is_client);
    (old, hash)
}

#[test]
fn a_peer_with_dtls_1_2_only_is_understood_in_both_roles() {
    for is_client in [true, false] {
        let now = Instant::now();
        let (mut old, hash) = with_dtls_1_2_only(now, !is_client);
        assert_eq!(meet(now, &mut old, is_client, hash), (None, None));
    }
}

#[test]
fn closing_rule_61_a_peer_with_dtls_1_2_is_told_that_its_certificate_is_bad() {
    for is_client in [true, false] {
        let now = Instant::now();
        let (mut old, _) = with_dtls_1_2_only(now, !is_client);
        let (failure, alert) = meet(now, &mut old, is_client, "AB:".repeat(31) + "AB");
        assert_eq!(failure.expect("refused").sent_alert, Some(42));
        assert_eq!(alert, Some(42), "as client: {is_client}");
    }
}
