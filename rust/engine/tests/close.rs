//! Closing a whole connection, and data over a full transport.

mod common;

use adieu_engine::demux::Class;
use adieu_engine::dtls::DtlsState;
use adieu_engine::sctp::SctpState;
use adieu_engine::{Kind, Reliability};
use common::{Pair, Setup, options, seconds};

#[test]
fn closing_rules_12_57_and_72_the_abort_leaves_before_the_close_notify_with_cause_12_and_the_reason() {
    let mut pair = Pair::connected();
    let (ours, _) = pair.channel(0);
    pair.sent.clear();
    pair.close(1, "see you later");
    let last = pair.sent_by(1, Class::Dtls);
    assert_eq!(last.len(), 2, "two datagrams and nothing else");
    assert!(last[0].bytes.len() > last[1].bytes.len(), "the ABORT, then the close_notify");
    pair.run_for(0.1);
    let peer = &pair.peers[0];
    let (state, cause) = peer.sctp.last().expect("a state");
    let cause = cause.as_ref().expect("a cause");
    assert_eq!((*state, cause.code), (SctpState::Closed, Some(12)));
    assert_eq!(cause.text, "User-Initiated Abort, reason=see you later");
    assert_eq!(peer.closed, [(ours, Some(cause.text.clone()), Some(12))]);
    assert_eq!(peer.dtls.last(), Some(&(DtlsState::Closed, None)));
    assert_eq!(peer.closing, [], "closing rule 56: error, then close");
}

#[test]
fn closing_rule_70_nothing_that_is_queued_is_flushed() {
    let mut pair = Pair::connected();
    let (_, ours) = pair.channel(0);
    pair.run_for(1.0);
    for _ in 0..50 {
        assert!(pair.send(1, ours, vec![0; 60_000]));
    }
    pair.sent.clear();
    pair.close(1, "now");
    assert!(pair.sent.len() <= 2, "{} datagrams", pair.sent.len());
    pair.run_for(1.0);
    assert_eq!(pair.peers[0].messages.len(), 0);
    assert_eq!(pair.peers[0].closed.len(), 1);
}

#[test]
fn after_a_close_nothing_is_said_or_heard_any_more() {
    let mut pair = Pair::connected();
    let (theirs, ours) = pair.channel(0);
    pair.close(1, "bye");
    pair.close(1, "bye again");
    pair.sent.clear();
    let closed = pair.peers[1].closed.len();
    pair.send(0, theirs, b"too late".to_vec());
    assert!(!pair.send(1, ours, b"too late".to_vec()));
    pair.run_for(40.0);
    assert_eq!(pair.sent_by(1, Class::Dtls).len() + pair.sent_by(1, Class::Stun).len(), 0);
    assert_eq!(pair.peers[1].closed.len(), closed);
    assert_eq!(pair.peers[1].transport.poll_timeout(pair.now), None);
}

#[test]
fn a_close_in_any_phase_of_the_connection_is_quiet_and_final() {
    for milliseconds in (0..150).step_by(5) {
        let mut pair = Pair::started(Setup::default());
        pair.run_for(f64::from(milliseconds) / 1000.0);
        pair.close(0, "changed my mind");
        pair.run_for(50.0);
        assert_eq!(pair.peers[0].transport.poll_timeout(pair.now), None);
    }
}

#[test]
fn closing_rule_56_channels_of_every_phase_are_closed_by_an_abort() {
    let mut pair = Pair::connected();
    let (theirs, ours) = pair.channel(0);
    let (_, second) = pair.channel(2);
    let now = pair.now;
    pair.close_channel(1, ours); // closing
    let fresh = pair.peers[0].transport.open_channel(now, 9, options()).expect("not closed"); // open, not confirmed
    pair.close(1, "bye");
    pair.run_for(1.0);
    let closed: Vec<_> = pair.peers[0].closed.iter().map(|(key, _, cause)| (*key, *cause)).collect();
    assert!(closed.contains(&(fresh, Some(12))), "{closed:?}");
    assert_eq!(closed.len(), 3, "{closed:?}");
    let _ = (theirs, second);
}

#[test]
fn a_channel_opened_after_the_association_has_ended_fails() {
    let mut pair = Pair::connected();
    pair.close(1, "bye");
    pair.run_for(1.0);
    let late = pair.open(0, 5);
    assert!(matches!(&pair.peers[0].failed[..], [(key, why)] if *key == late && why.contains("ended")));
}

#[test]
fn channels_opened_before_anything_else_open_with_the_association() {
    let mut pair = Pair::new(Setup::default());
    let early = pair.open(0, 1);
    let gone = pair.open(0, 3);
    pair.close_channel(0, gone);
    assert_eq!(pair.peers[0].closed, [(gone, None, None)]);
    pair.gather(1);
    pair.negotiate(1);
    pair.start_dtls(None);
    pair.run_to(3.0, "the channel comes in", |pair| pair.peers[1].incoming.len() == 1);
    assert_eq!(pair.peers[0].opened, [early]);
    assert_eq!(pair.peers[1].incoming[0].1, 1);
}

#[test]
fn megabytes_both_ways_at_once_arrive_whole_and_in_order_at_any_loss() {
    for loss in [0.0, 0.01, 0.05] {
        let mut pair = Pair::connected();
        pair.loss = loss;
        let (theirs, ours) = pair.channel(0);
        for number in 0..32u32 {
            for (at, key) in [(0, theirs), (1, ours)] {
                let mut payload = vec![number as u8; 65_536];
                payload[..4].copy_from_slice(&number.to_be_bytes());
                assert!(pair.send(at, key, payload));
            }
        }
        pair.run_to(120.0, "all arrived", |pair| pair.peers.iter().all(|peer| peer.messages.len() == 32));
        for peer in &pair.peers {
            for (number, (_, kind, payload)) in peer.messages.iter().enumerate() {
                assert_eq!(*kind, Kind::Binary);
                assert_eq!(payload[..4], (number as u32).to_be_bytes());
                assert!(payload.len() == 65_536 && payload[4..].iter().all(|byte| *byte == number as u8));
            }
        }
    }
}

#[test]
fn closing_a_channel_with_data_queued_both_ways_at_any_loss_ends_closed_on_both_sides() {
    for (seed, loss) in [(1, 0.0), (2, 0.01), (3, 0.05), (4, 0.05), (5, 0.05)] {
        let mut pair = Pair::started(Setup { seed, ..Setup::default() });
        pair.run_to(5.0, "connected", Pair::is_connected);
        pair.loss = loss;
        let (theirs, ours) = pair.channel(0);
        for _ in 0..20 {
            pair.send(0, theirs, vec![0; 50_000]);
            pair.send(1, ours, vec![1; 50_000]);
        }
        pair.close_channel(1, ours);
        pair.run_to(120.0, "both closed", |pair| pair.peers.iter().all(|peer| peer.closed.len() == 1));
        assert_eq!(pair.peers[0].messages.len(), 20, "closing rule 40: the closer is fully heard");
        for peer in &pair.peers {
            assert_eq!(peer.closed[0].1, None);
        }
    }
}

#[test]
fn many_channels_open_talk_and_close_at_once_under_loss() {
    let mut pair = Pair::connected();
    pair.loss = 0.03;
    let kinds = [Reliability::Full, Reliability::Retransmits(0), Reliability::Lifetime(100)];
    let mut keys = Vec::new();
    for index in 0..60u16 {
        let mut options = options();
        options.ordered = index % 2 == 0;
        options.reliability = kinds[usize::from(index % 3)];
        options.priority = [128, 256, 512, 1024][usize::from(index % 4)];
        let now = pair.now;
        keys.push(pair.peers[1].transport.open_channel(now, index * 2, options).expect("not closed"));
    }
    pair.run_to(30.0, "all came in", |pair| pair.peers[0].incoming.len() == 60);
    for (index, key) in keys.iter().enumerate() {
        for _ in 0..10 {
            pair.send(1, *key, vec![index as u8; 3000]);
        }
        pair.close_channel(1, *key);
    }
    pair.run_to(60.0, "all closed", |pair| pair.peers.iter().all(|peer| peer.closed.len() == 60));
    let reliable = pair.peers[0].messages.iter().filter(|(_, _, payload)| payload[0] % 3 == 0).count();
    assert_eq!(reliable, 200);
    assert_eq!(pair.peers[0].transport.channel_count() + pair.peers[1].transport.channel_count(), 0);
}

#[test]
fn a_reader_that_takes_nothing_stops_the_sender_and_loses_nothing() {
    let mut pair = Pair::started(Setup { receive_buffer: 200_000, ..Setup::default() });
    pair.run_to(3.0, "connected", Pair::is_connected);
    let (_, ours) = pair.channel(0);
    pair.peers[0].reads = false;
    for _ in 0..200 {
        assert!(pair.send(1, ours, vec![5; 20_000]));
    }
    pair.run_for(30.0);
    let delivered: usize = pair.peers[0].messages.iter().map(|(_, _, payload)| payload.len()).sum();
    assert!((200_000..=220_000).contains(&delivered), "{delivered}");
    let stats = pair.peers[0].transport.stats(pair.now);
    assert_eq!(stats.unread, delivered);
    // Taken bit by bit, as a slow application does.
    let mut taken = 0;
    for _ in 0..4000 {
        let now = pair.now;
        let seen: usize = pair.peers[0].messages.iter().map(|(_, _, payload)| payload.len()).sum();
        let some = (seen - taken).min(20_000);
        taken += some;
        pair.peers[0].transport.consumed(now, some);
        pair.turn(0);
        pair.run_for(0.02);
        if pair.peers[0].messages.len() == 200 {
            break;
        }
    }
    assert_eq!(pair.peers[0].messages.len(), 200);
}

#[test]
fn closing_rule_45_counts_for_what_is_unread_at_an_abrupt_end_too_all_that_was_complete_is_delivered() {
    let mut pair = Pair::started(Setup { receive_buffer: 100_000, ..Setup::default() });
    pair.run_to(3.0, "connected", Pair::is_connected);
    let (_, ours) = pair.channel(0);
    pair.peers[0].reads = false;
    for _ in 0..10 {
        assert!(pair.send(1, ours, vec![5; 20_000]));
    }
    pair.run_for(5.0);
    assert!(pair.peers[0].messages.len() < 10);
    pair.close(1, "bye");
    pair.run_for(1.0);
    assert_eq!(pair.peers[0].messages.len(), 10, "what had been received whole comes before the close");
    assert_eq!(pair.peers[0].closed.len(), 1);
}

/// Payload bytes of side 1 that have left since the last call.
fn drained(pair: &mut Pair, now: std::time::Instant) -> usize {
    let transport = &mut pair.peers[1].transport;
    std::iter::from_fn(|| transport.poll_drained(now)).map(|(_, bytes)| bytes).sum()
}

#[test]
fn what_has_left_is_told_by_channel() {
    let mut pair = Pair::connected();
    let (_, ours) = pair.channel(0);
    let now = pair.now;
    pair.is_cut = true;
    assert!(pair.send(1, ours, vec![0; 100_000]));
    let first = drained(&mut pair, now);
    assert!(first > 4_000 && first < 50_000, "what fits one burst: {first}");
    pair.is_cut = false;
    let mut all = first;
    for _ in 0..200 {
        pair.run_for(0.05);
        let now = pair.now;
        all += drained(&mut pair, now);
    }
    let counts = pair.peers[1].transport.stats(pair.now).channels[0].2;
    assert_eq!((counts.messages_sent, counts.bytes_sent), (1, 100_000));
    assert_eq!(pair.peers[0].messages.len(), 1);
    let _ = all;
}

#[test]
fn a_remote_that_lives_after_a_long_silence_closes_at_once_when_told() {
    let mut pair = Pair::connected();
    let (ours, _) = pair.channel(0);
    pair.run_for(300.0);
    pair.close(1, "bye");
    let time = pair.run_to(1.0, "told", |pair| !pair.peers[0].closed.is_empty());
    assert!(time <= seconds(0.02), "{time:?}");
    assert_eq!(pair.peers[0].closed[0].0, ours);
}
