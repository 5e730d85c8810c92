//! The original's own unit tests, on the edited source: as a crate of their own, because a source that is included
//! cannot define what they need.

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

/// These are not valid with a controller, for four reasons. In their place: the tests of `rust/congestion`, and
/// those of `rust/links` over whole associations (losses, expiry, windows of any size, pauses, the timer alone).
const CHANGED_BY_CONTROLLER: &[(&str, &[&str])] = &[
    // They count three SACKs, all at one and the same instant: losses are found by time. rust/congestion: flight.rs.
    (
        "losses by count",
        &[
            "abandons_rtx_limit2_when_nacked_nine_times",
            "accounts_nacked_abandoned_chunks_as_not_outstanding",
            "ack_with_gap_blocks_from_rfc9260_section334",
            "can_always_retransmit_one_packet",
            "does_not_fast_retransmit_expired_message_behind_unacknowledged_reliable_message",
            "handles_forward_tsn_out_of_order_with_stream_resetting",
            "inserts_placeholder_for_every_discarded_stream",
            "lifecycle_events_for_expired_message_with_retransmit_limit",
            "limits_retransmissions_only_when_nacked_three_times",
            "ready_for_handover_when_nothing_to_retransmit",
            "resend_packets_when_nacked_three_times",
            "restarts_t3_rtx_on_retransmit_first_outstanding_tsn",
        ],
    ),
    // They take the next timeout for T3-rtx: it is the probe's. rust/links: stall.rs, the expiry of what was sent once.
    (
        "the next timeout",
        &[
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
    ),
    // They name windows of Reno. rust/congestion: tests.rs.
    ("the window's size", &["cwnd_recovers_when_acking", "retransmits_when_send_buffer_is_full_t3_expiry"]),
    // A packet that empties the queue asks for a SACK at once. rust/links: a_lost_message_that_nothing_follows_comes_soon.
    (
        "the I bit",
        &[
            "advance_time_does_not_trigger_spurious_ack",
            "low_congestion_window_sets_isack_bit",
            "reset_stream_will_make_chunks_start_at_zero_ssn",
            "reset_streams_deferred",
            "rx_and_tx_packet_metrics_increase",
            "sends_immediate_sack_when_i_bit_is_set",
        ],
    ),
];

#[test]
fn the_originals_unit_tests_pass_on_the_edited_source() {
    run("dcsctp-original", None, &[CHANGED]);
}

#[test]
fn with_a_controller_they_pass_but_for_those_with_a_reason() {
    let changed = CHANGED_BY_CONTROLLER.iter().flat_map(|(_, names)| names.iter().copied());
    let skip: Vec<&str> = changed.chain([CHANGED]).collect();
    run("dcsctp-controlled", Some("Some(adieu_congestion::Algorithm::Cubic)"), &skip);
}

/// Run the original's tests in a folder of this name, with a controller or without.
fn run(folder: &str, controller: Option<&str>, skip: &[&str]) {
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
    let status = Command::new(env::var("CARGO").expect("set by cargo"))
        .args(["test", "--quiet", "--offline", "--lib", "--target-dir"])
        .arg(root.join("target"))
        .arg("--")
        .args(skip.iter().flat_map(|name| ["--skip", name]))
        .current_dir(&root)
        .env_remove("RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "a unit test of dcsctp fails on the edited source");
}
