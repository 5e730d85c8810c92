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

#[test]
fn the_originals_unit_tests_pass_on_the_edited_source() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dcsctp-original");
    let _ = fs::remove_dir_all(root.join("src"));
    patching::copy(Path::new(env!("DCSCTP_EDITED")), &root.join("src"));
    fs::write(root.join("Cargo.toml"), MANIFEST).expect("written");
    // The versions of the workspace: nothing is asked of a registry.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    fs::copy(lock, root.join("Cargo.lock")).expect("the workspace's lock file");
    let status = Command::new(env::var("CARGO").expect("set by cargo"))
        .args(["test", "--quiet", "--offline", "--lib", "--target-dir"])
        .arg(root.join("target"))
        .args(["--", "--skip", CHANGED])
        .current_dir(&root)
        .env_remove("RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "a unit test of dcsctp fails on the edited source");
}
