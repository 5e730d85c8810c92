//! The edited source of dimpl: see `build.rs`, `edits.rs` and `NOTICE`.
#![forbid(unsafe_code)]
#![allow(warnings, clippy::all)]

#[macro_use]
extern crate log;

include!(concat!(env!("OUT_DIR"), "/dimpl/lib.rs"));
