//! Servers that lie, stall and change their mind: each is answered with bounded work, and ends.

use super::*;

/// The next port that a server sends us on to.
type Next = fn(u16) -> u16;

/// The requests of a method that the server has seen.
fn count(bench: &Bench, method: u16) -> usize {
    bench.fake.seen.iter().filter(|seen| seen.method == method).count()
}

#[test]
fn a_circle_of_300_ends_after_three_steps() {
    // There and back, to itself, and to where nothing can be.
    let circles: [(&str, Next, usize); 3] = [
        ("there and back", |from| if from == 3478 { 3479 } else { 3478 }, 4),
        ("to itself", |from| from, 1),
        ("to port 0", |_| 0, 1),
    ];
    for (name, next, wires) in circles {
        let mut at = 3478;
        let mut bench = Bench::new(move |_| {
            at = next(at);
            Say::Elsewhere(at)
        });
        bench.begin();
        bench.run_for(20.0);
        assert_eq!(bench.error(), Some(300), "{name}");
        assert_eq!((bench.open.len(), bench.closed.len()), (wires, wires), "{name}");
        assert_eq!(bench.fake.seen.len(), wires, "{name}");
        assert!(bench.relays.is_empty() && bench.is_settled(), "{name}");
    }
}

#[test]
fn a_lifetime_of_0_or_of_136_years_asks_neither_all_the_time_nor_never() {
    for (lifetime, fewest, most) in [(0, 300, 400), (1, 300, 400), (u32::MAX, 1, 3)] {
        let mut bench = Bench::new(|_| Say::Right);
        bench.fake.lifetime = Some(lifetime);
        bench.begin();
        bench.run_for(3600.0);
        let refreshes = count(&bench, 4);
        assert!((fewest..=most).contains(&refreshes), "{lifetime}: {refreshes} in an hour");
        assert_eq!(bench.relays.counts(), (1, 0));
        bench.close();
        assert!(bench.relays.is_empty() && bench.fake.live.is_empty());
    }
}

#[test]
fn forged_438_for_ever_end_each_kind_of_request() {
    for method in [4, 8, 9] {
        let mut bench = Bench::new(move |seen| if seen.method == method { Say::Stale } else { Say::Right });
        bench.begin();
        if method == 9 {
            bench.relays.bind(bench.now, Route::udp(relayed(), peer()));
            bench.turn();
        }
        // The first datagram asks for a permission. None of them asks again after a no.
        for _ in 0..20 {
            match bench.relays.leave(bench.now, Route::udp(relayed(), peer())) {
                Some(Leave::Later) => bench.relays.hold(Route::udp(relayed(), peer()), vec![0; 100]),
                Some(_) => {}
                None => panic!("it is there still"),
            }
            bench.turn();
        }
        bench.run_for(530.0);
        let early = count(&bench, method);
        assert_eq!(early, if method == 4 { 0 } else { 5 }, "{method}");
        bench.run_for(600.0);
        let all = bench.fake.seen.len();
        assert!((8..100).contains(&all), "{method}: {all}");
        bench.close();
        bench.run_for(2.0);
        assert!(bench.relays.is_empty(), "{method}");
    }
}

#[test]
fn a_server_that_stalls_before_each_438_does_not_make_a_release_longer() {
    let mut bench = Bench::allocated();
    bench.loses = Box::new(|up, _| up);
    bench.fake.say = Box::new(|_| Say::Stale);
    let closed = bench.now;
    bench.close();
    for _ in 0..4 {
        // Each answer comes just before the release would be given up, if each began anew.
        bench.run_for(0.45);
        bench.answer_last_with_438();
    }
    bench.run_for(1.9 - (bench.now - closed).as_secs_f64() + 0.001);
    assert!(bench.relays.is_empty());
    assert_eq!(bench.relays.counts(), (0, 1), "the ledger has it");
}

#[test]
fn words_without_end_and_thousands_of_attributes_do_no_harm() {
    for length in [764, 5000, 60_000] {
        let mut bench = Bench::new(move |_| Say::Wordy(length));
        bench.begin();
        bench.run_for(9.6);
        assert_eq!(bench.error(), Some(401), "{length}: there is nothing to sign with");
        assert!(bench.relays.is_empty() && bench.is_settled(), "{length}");
        assert_eq!(bench.fake.seen.len(), 1, "{length}");
    }
    // 5 000 attributes that nobody knows, before those that count.
    let mut bench = Bench::new(|_| Say::Right);
    bench.fake.padding = 5_000;
    bench.begin();
    assert!(bench.relayed().is_some(), "{:?}", bench.events);
}

#[test]
fn a_server_that_falls_silent_is_left_when_its_word_has_run_out() {
    let mut bench = Bench::allocated();
    bench.fake.seen.clear();
    bench.fake.say = Box::new(|_| Say::Nothing);
    // A program that sends all the time asks for its permission no faster.
    for _ in 0..600 {
        if let Some(Leave::Later) = bench.relays.leave(bench.now, Route::udp(relayed(), peer())) {
            bench.relays.hold(Route::udp(relayed(), peer()), vec![0; 1000]);
        }
        bench.turn();
        bench.run_for(0.1);
    }
    let asked = count(&bench, 8);
    assert!((6..=35).contains(&asked), "{asked} in a minute");
    bench.run_for(600.0);
    assert!(bench.relays.is_empty());
    assert!(count(&bench, 4) <= 35, "{}", count(&bench, 4));
    assert_eq!(bench.relays.poll_timeout(), None);
}

#[test]
fn a_server_may_change_its_mind_about_a_peer_a_channel_and_the_allocation() {
    // About the peer: from its next no on, nothing leaves to it.
    let mut bench = Bench::allocated();
    bench.send(b"x");
    bench.fake.say = Box::new(|seen| if seen.method == 8 { Say::Error(403) } else { Say::Right });
    bench.run_for(250.0);
    let route = Route::udp(relayed(), peer());
    assert!(matches!(bench.relays.leave(bench.now, route), Some(Leave::Never)));
    assert!(count(&bench, 8) <= 4);

    // About a channel: indications go on.
    let mut bench = Bench::allocated();
    bench.send(b"x");
    bench.relays.bind(bench.now, route);
    bench.turn();
    bench.fake.say = Box::new(|seen| if seen.method == 9 { Say::Error(400) } else { Say::Right });
    bench.run_for(500.0);
    bench.send(b"by indication");
    assert_eq!(bench.data.last().expect("sent")[..2], [0, 0x16]);
    let wire = bench.wire();
    let arrival = bench.relays.handle_datagram(bench.now, wire, &[0x40, 0, 0, 2, 1, 2]);
    assert_eq!(arrival, Arrival::Dropped, "the channel is not there any longer");

    // About the allocation: it is asked every 5 s until its time is over, and then it is lost.
    let mut bench = Bench::allocated();
    bench.fake.say = Box::new(|_| Say::Error(508));
    bench.run_for(700.0);
    assert!(bench.relays.is_empty());
    assert!((5..=20).contains(&count(&bench, 4)), "{}", count(&bench, 4));
}
