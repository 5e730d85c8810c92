//! Services of the process: randomness, the wall clock, descriptors that wake an event loop, forks.

#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use system::{
    Signal, errno, forget_socket, forks, ignore_refusals, is_connecting, remember_socket, watch_forks,
};

/// 32 bytes of the system's generator.
pub fn entropy() -> [u8; 32] {
    let mut seed = [0; 32];
    // aws-lc's generator reseeds itself and aborts the process rather than give bad numbers: this can not fail.
    aws_lc_rs::rand::fill(&mut seed).expect("the system's random generator");
    seed
}

/// The time since 1970.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since 1970.
pub fn unix_time() -> u64 {
    since_1970().as_secs()
}
