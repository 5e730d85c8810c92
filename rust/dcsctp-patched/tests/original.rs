//! The original's own unit tests, on the edited source: as a crate of their own, because a source that is included
//! cannot define what they need.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

const MANIFEST: &str = r#"
[package]
name = "dcsctp"
version = "0.1.16"
edition = "2021"

[dependencies]
adieu-congestion = { path = "CONGESTION" }
crc32c = "0.6"
fastrand = "2.3"
log = "0.4"
thiserror = "2.0"

[dev-dependencies]
itertools = "0.14"

[features]
cxx = []
fuzz-internals = []

[workspace]
"#;

/// Asserts that a half-sent message that expires is dropped at once: the very thing that edit 2 changes.
const CHANGED: &str = "lifetime_discarded_messages_decrease_buffered_amount";

/// Tests of the original that cannot hold with a controller.
struct Changed {
    reason: &'static str,
    fail: &'static [&'static str],
    /// Our tests in their place: (file, name).
    ours: &'static [(&'static str, &'static str)],
}

const CHANGED_BY_CONTROLLER: &[Changed] = &[
    Changed {
        reason: "they count three SACKs, all at one and the same instant: losses are found by time",
        fail: &[
            "abandons_rtx_limit2_when_nacked_nine_times",
            "accounts_nacked_abandoned_chunks_as_not_outstanding",
            "ack_with_gap_blocks_from_rfc9260_section334",
            "can_always_retransmit_one_packet",
            "does_not_fast_retransmit_expired_message_behind_unacknowledged_reliable_message",
            "inserts_placeholder_for_every_discarded_stream",
            "lifecycle_events_for_expired_message_with_retransmit_limit",
            "limits_retransmissions_only_when_nacked_three_times",
            "ready_for_handover_when_nothing_to_retransmit",
            "resend_packets_when_nacked_three_times",
            "restarts_t3_rtx_on_retransmit_first_outstanding_tsn",
        ],
        ours: &[
            (
                "congestion/src/flight.rs",
                "a_piece_is_lost_a_quarter_of_a_round_trip_after_it_should_have_come",
            ),
            (
                "congestion/src/flight.rs",
                "a_piece_that_was_sent_again_is_lost_again_only_by_its_last_sending",
            ),
            ("congestion/src/known.rs", "every_number_is_given_once_whatever_a_peer_says"),
            ("engine/src/channel/tests/delivery.rs", "a_lost_piece_is_sent_again_as_often_as_it_may_be"),
            ("engine/src/channel/tests/delivery.rs", "partial_reliability_gives_up_and_the_channel_lives_on"),
            (
                "engine/src/channel/tests/closing.rs",
                "with_each_packet_lost_in_turn_everything_arrives_and_both_end_closed",
            ),
        ],
    },
    Changed {
        reason: "they take the next timeout for T3-rtx: it is the probe's",
        fail: &[
            "adds_lifecycle_expired_event",
            "expire_correct_message_from_send_queue",
            "expire_from_send_queue_when_partially_sent",
            "limited_retransmission_only_with_rfc3758_support",
            "limits_retransmissions_as_udp",
            "limits_retransmissions_to_three_sends",
            "produces_valid_forward_tsn",
            "produces_valid_forward_tsn_when_fully_sent",
            "retransmits_on_t3_expiry",
        ],
        ours: &[
            ("congestion/src/tests.rs", "a_lost_tail_is_probed_for_a_few_times"),
            ("engine/src/channel/tests/delivery.rs", "a_lost_piece_is_sent_again_as_often_as_it_may_be"),
            (
                "engine/src/channel/tests/delivery.rs",
                "a_half_sent_message_that_expires_does_not_kill_its_ordered_channel",
            ),
            ("links/tests/acceptance.rs", "a_probe_gives_up_nothing_that_is_only_late"),
            ("links/tests/stall.rs", "a_sender_never_stands"),
        ],
    },
    Changed {
        reason: "they name windows of Reno",
        fail: &["cwnd_recovers_when_acking", "retransmits_when_send_buffer_is_full_t3_expiry"],
        ours: &[
            ("congestion/src/tests.rs", "without_loss_both_fill_the_path_and_do_the_same"),
            ("congestion/src/tests.rs", "timeouts_in_a_row_are_one_event"),
        ],
    },
    Changed {
        reason: "a packet that empties the queue has the I bit: the peer does not delay its SACK",
        fail: &[
            "advance_time_does_not_trigger_spurious_ack",
            "low_congestion_window_sets_isack_bit",
            "reset_stream_will_make_chunks_start_at_zero_ssn",
            "reset_streams_deferred",
            "rx_and_tx_packet_metrics_increase",
            "sends_immediate_sack_when_i_bit_is_set",
        ],
        ours: &[
            ("links/tests/acceptance.rs", "a_lost_message_that_nothing_follows_comes_soon"),
            (
                "engine/src/channel/tests/closing.rs",
                "closing_rule_47_a_stream_is_used_again_after_both_resets_and_old_and_new_do_not_mix",
            ),
        ],
    },
];

#[test]
fn without_a_controller_all_of_the_originals_unit_tests_but_one_pass() {
    assert_eq!(failing("dcsctp-original", None), names(&[CHANGED]));
}

#[test]
fn with_a_controller_exactly_those_with_a_reason_fail() {
    let failed = failing("dcsctp-controlled", Some("Some(adieu_congestion::Algorithm::Cubic)"));
    let expected: Vec<&str> = CHANGED_BY_CONTROLLER.iter().flat_map(|group| group.fail).copied().collect();
    assert_eq!(failed, names(&[&expected[..], &[CHANGED]].concat()));
}

#[test]
fn each_reason_has_tests_of_ours() {
    for Changed { reason, ours, .. } in CHANGED_BY_CONTROLLER {
        assert!(!ours.is_empty(), "{reason}");
        for (file, name) in *ours {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
            let is_there = text
                .split("#[test]\n")
                .skip(1)
                .any(|test| test.trim_start().starts_with(&format!("fn {name}()")));
            assert!(is_there, "{file} has no test {name}, which stands for those that fail: {reason}");
        }
    }
}

fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|name| name.to_string()).collect()
}

/// Run the original's tests in a folder of this name, with a controller or without, and give those that fail.
fn failing(folder: &str, controller: Option<&str>) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let _ = fs::remove_dir_all(root.join("src"));
    patching::copy(Path::new(env!("DCSCTP_EDITED")), &root.join("src"));
    if let Some(controller) = controller {
        let options = root.join("src/api/mod.rs");
        let text = fs::read_to_string(&options).expect("a file");
        let chosen = text.replace("congestion: None,", &format!("congestion: {controller},"));
        assert_ne!(text, chosen, "there is no default to replace");
        fs::write(&options, chosen).expect("written");
    }
    let congestion = concat!(env!("CARGO_MANIFEST_DIR"), "/../congestion");
    fs::write(root.join("Cargo.toml"), MANIFEST.replace("CONGESTION", congestion)).expect("written");
    // The versions of the workspace: nothing is asked of a registry.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    fs::copy(lock, root.join("Cargo.lock")).expect("the workspace's lock file");
    let ran = Command::new(env::var("CARGO").expect("set by cargo"))
        .args(["test", "--offline", "--lib", "--target-dir"])
        .arg(root.join("target"))
        .current_dir(&root)
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    // "test result: FAILED. 513 passed; 30 failed; ...": they ran.
    let has_run = said.lines().any(|line| line.starts_with("test result:"));
    assert!(has_run, "{said}{}", String::from_utf8_lossy(&ran.stderr));
    let failed = said.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    failed.map(|path| path.rsplit("::").next().unwrap_or(path).to_owned()).collect()
}
