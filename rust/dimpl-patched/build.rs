//! Applies the edits of `edits.rs` to the downloaded source of dimpl.

use patching::{Edit, edit};

include!("edits.rs");

fn main() {
    // Built without cryptography there is no provider, which panics.
    patching::apply("dimpl", EDITS, || {
        let _ = dimpl::Config::builder().build();
    });
}
