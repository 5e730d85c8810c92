use super::*;

const MS: Duration = Duration::from_millis(1);
const SIZE: usize = 1000;

/// Send `count` datagrams, one in `every`, and give what became of them.
fn send(link: &Link, count: u32, every: Duration) -> Vec<(Instant, Fate)> {
    let (start, mut path, mut numbers) = (Instant::now(), Path::default(), Numbers::new(7));
    (0..count)
        .map(|index| start + every * index)
        .map(|at| (at, path.send(link, at, SIZE, &mut numbers)))
        .collect()
}

fn delays(fates: &[(Instant, Fate)]) -> Vec<Duration> {
    let arrivals = fates.iter().filter_map(|(sent, fate)| match fate {
        Fate::Arrives { at, .. } => Some(*at - *sent),
        _ => None,
    });
    arrivals.collect()
}

#[test]
fn a_rate_makes_datagrams_wait_and_a_full_queue_drops_them() {
    let link = Link { rate: Some(1e6), queue: 10 * SIZE, delay: 20 * MS, ..Link::default() };
    let fates = send(&link, 12, Duration::ZERO);
    let expected: Vec<Duration> = (1..=10).map(|index| 20 * MS + MS * index).collect();
    assert_eq!(delays(&fates), expected);
    assert_eq!((fates[10].1, fates[11].1), (Fate::Dropped, Fate::Dropped));
}

#[test]
fn what_is_lost_behind_the_queue_has_taken_its_time_there() {
    let lost = |loss, late_loss| {
        let link = Link { loss, late_loss, rate: Some(1e6), queue: usize::MAX, ..Link::default() };
        *delays(&send(&link, 2000, Duration::ZERO)).last().expect("not all are lost")
    };
    assert!(lost(0.5, 0.0) < 1100 * MS);
    assert!(lost(0.0, 0.5) > 1900 * MS);
}

#[test]
fn bursts_lose_as_much_in_longer_rows() {
    for burst in [1.0, 5.0] {
        let fates = send(&Link { late_loss: 0.02, burst, ..Link::default() }, 200_000, MS);
        let lost: Vec<bool> = fates.iter().map(|(_, fate)| *fate == Fate::Lost).collect();
        let share = lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64;
        let rows = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
        let length = share * lost.len() as f64 / rows;
        assert!((0.017..0.023).contains(&share), "{share}");
        assert!((length / burst - 1.0).abs() < 0.1, "{length}");
    }
}

#[test]
fn ordered_jitter_overtakes_nobody_and_other_jitter_does() {
    let overtakes = |ordered| {
        let fates = send(&Link { jitter: 20 * MS, ordered, ..Link::default() }, 1000, MS);
        let arrivals: Vec<Instant> =
            fates.iter().zip(delays(&fates)).map(|((sent, _), delay)| *sent + delay).collect();
        assert!(delays(&fates).iter().any(|delay| *delay > 15 * MS));
        arrivals.windows(2).filter(|pair| pair[1] < pair[0]).count()
    };
    assert_eq!(overtakes(true), 0);
    assert!(overtakes(false) > 100);
}

#[test]
fn codel_keeps_the_queue_short_where_a_full_one_would_not_be() {
    let longest = |codel| {
        // A tenth more than the link carries: a queue that only grows.
        let link = Link { rate: Some(1e6), queue: 1_000_000, codel, ..Link::default() };
        delays(&send(&link, 50_000, 900 * Duration::from_micros(1))).split_off(40_000).into_iter().max()
    };
    assert!(longest(false) > Some(900 * MS));
    assert!(longest(true) < Some(300 * MS), "{:?}", longest(true));
}

#[test]
fn others_take_their_part_of_the_rate() {
    let link = Link { rate: Some(1e6), others: 5e5, queue: usize::MAX, ..Link::default() };
    assert_eq!(delays(&send(&link, 10, Duration::ZERO)).last(), Some(&(20 * MS)));
}

#[test]
fn a_datagram_that_is_held_back_is_overtaken() {
    let link = Link { reorder: 0.1, reorder_delay: 5 * MS, ..Link::default() };
    let late = delays(&send(&link, 1000, MS)).into_iter().filter(|delay| *delay == 5 * MS).count();
    assert!((70..130).contains(&late), "{late}");
}

#[test]
fn what_waits_when_the_rate_changes_leaves_at_the_new_one() {
    let slow = Link { rate: Some(1e5), queue: 100 * SIZE, delay: 20 * MS, ordered: true, ..Link::default() };
    for (rate, each) in [(Some(1e6), MS), (Some(5e4), 20 * MS), (None, Duration::ZERO)] {
        let fast = Link { rate, ..slow };
        let (start, mut path, mut numbers) = (Instant::now(), Path::default(), Numbers::new(7));
        let mut under_way: Vec<(Instant, Instant)> = (0..100)
            .map(|_| match path.send(&slow, start, SIZE, &mut numbers) {
                Fate::Arrives { at, left, .. } => (left, at),
                fate => panic!("{fate:?}"),
            })
            .collect();
        // 30 have left. The first 2 of them have arrived: they are not under way.
        let now = start + 300 * MS;
        path.change(now, &slow, &fast, under_way.iter_mut().skip(28).map(|(left, at)| (left, at)));
        assert_eq!(under_way[29].1, now + 20 * MS);
        assert_eq!(under_way[99].1, now + 70 * each + 20 * MS);
        let Fate::Arrives { at, waits, .. } = path.send(&fast, now, SIZE, &mut numbers) else { panic!() };
        assert_eq!((waits, at), (70 * each, now + 71 * each + 20 * MS));
    }
}
