use super::*;

const MS: Duration = Duration::from_millis(1);

/// Send a packet of 1000 bytes each 10 ms for `count` of them, all of which arrive `way` later, with feedback each 100 ms.
fn steady(estimate: &mut Estimate, begun: Instant, from: u32, count: u32, way: Duration) -> Instant {
    let mut waiting = Vec::new();
    let mut now = begun;
    for index in from..from + count {
        now = begun + 10 * MS * index;
        estimate.sent(now, index.into(), 1000, None);
        waiting.push((u64::from(index), Some(10 * MS * index + way)));
        if index % 10 == 9 {
            estimate.feedback(now + way, &std::mem::take(&mut waiting));
        }
    }
    now
}

#[test]
fn the_limit_of_the_peer_bounds_the_target() {
    let now = Instant::now();
    let mut estimate = Estimate::new(now, 300_000);
    assert_eq!(estimate.target(), 300_000);
    for (remb, target) in [(100_000, 100_000), (1, MIN), (u64::MAX, 300_000), (0, 300_000)] {
        estimate.set_remb(remb);
        assert_eq!(estimate.target(), target, "{remb}");
    }
    assert_eq!(Estimate::new(now, 0).target(), MIN);
    assert_eq!(Estimate::new(now, u32::MAX).target(), MAX);
}

#[test]
fn what_arrives_steadily_raises_and_its_end_halves() {
    let begun = Instant::now();
    let mut estimate = Estimate::new(begun, 300_000);
    let now = steady(&mut estimate, begun, 0, 1000, 20 * MS);
    let target = estimate.target();
    assert!((500_000..=1_250_000).contains(&target), "1.5 times 800 kbit/s and 50 at most: {target}");
    assert_eq!(estimate.timeout(), None, "all that was sent has been spoken of");
    estimate.sent(now + 100 * MS, 1000, 1000, None);
    let silent = estimate.timeout().expect("feedback is missed");
    assert!(silent > now + 1000 * MS && silent < now + 1500 * MS);
    estimate.handle_timeout(silent - MS);
    assert_eq!(estimate.target(), target);
    estimate.handle_timeout(silent);
    assert!(estimate.target().abs_diff(target / 2) <= 1, "{target} {}", estimate.target());
}

#[test]
fn a_pause_in_sending_is_no_silence_of_the_peer() {
    let begun = Instant::now();
    let mut estimate = Estimate::new(begun, 300_000);
    let now = steady(&mut estimate, begun, 0, 1000, 20 * MS);
    let target = estimate.target();
    let later = now + Duration::from_secs(60);
    estimate.sent(later, 1000, 1000, None);
    assert!(estimate.timeout().is_some_and(|at| at > later + 1000 * MS), "its answer is still under way");
    estimate.handle_timeout(later);
    assert_eq!(estimate.target(), target);
    estimate.sent(later + 900 * MS, 1001, 1000, None);
    estimate.handle_timeout(later + 1500 * MS);
    assert!(estimate.target().abs_diff(target / 2) <= 1, "the first packet after it has had no answer");
}

#[test]
fn feedback_of_what_was_never_sent_changes_nothing() {
    let begun = Instant::now();
    let mut estimate = Estimate::new(begun, 300_000);
    let now = steady(&mut estimate, begun, 0, 100, 20 * MS);
    let target = estimate.target();
    for number in [100, 1 << 20, u64::MAX] {
        let packets: Vec<_> = (0..100).map(|index| (number - index % 2, Some(Duration::MAX))).collect();
        let later = if number == 100 { &packets[..1] } else { &packets };
        estimate.feedback(now, later);
    }
    // And what was spoken of before.
    let again: Vec<_> = (0..100).map(|number| (number, None)).collect();
    estimate.feedback(now, &again);
    assert_eq!(estimate.target(), target);
}

#[test]
fn a_clock_that_jumps_does_no_harm() {
    let begun = Instant::now();
    let mut estimate = Estimate::new(begun, 300_000);
    let mut from = 0;
    for way in [Duration::ZERO, Duration::from_secs(1 << 40), MS, Duration::from_secs(1_000_000), MS] {
        steady(&mut estimate, begun, from, 300, way.min(Duration::from_secs(1 << 40)));
        from += 300;
        assert!((100_000..=1_250_000).contains(&estimate.target()), "{}", estimate.target());
    }
}

#[test]
fn reports_count_only_where_no_feedback_comes() {
    let begun = Instant::now();
    let mut estimate = Estimate::new(begun, 300_000);
    let now = steady(&mut estimate, begun, 0, 100, 20 * MS);
    let target = estimate.target();
    estimate.report(now, 255);
    assert_eq!(estimate.target(), target);
    for second in 0..5 {
        estimate.report(now + Duration::from_secs(20 + second), 255);
    }
    assert!(estimate.target() < target / 2);
}

#[test]
fn a_probe_is_asked_for_when_more_is_wanted() {
    let now = Instant::now();
    let mut estimate = Estimate::new(now, 300_000);
    assert_eq!((estimate.poll_probe(now), estimate.timeout()), (None, None));
    estimate.set_demand(2_000_000);
    assert!(estimate.timeout().is_some_and(|at| at <= now));
    let probe = estimate.poll_probe(now).expect("a probe");
    assert_eq!(probe.rate, 900_000);
    assert_eq!(estimate.poll_probe(now), None);
}
