//! Descriptors, forks and errors of Unix.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// A descriptor that becomes readable when raised: an eventfd on Linux, a pipe elsewhere.
pub struct Signal {
    reader: i32,
    writer: i32,
}

impl Signal {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn new() -> io::Result<Signal> {
        // SAFETY: no memory is passed.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Signal { reader: descriptor, writer: descriptor })
    }

    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    pub fn new() -> io::Result<Signal> {
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for the two descriptors.
        if unsafe { libc::pipe(ends.as_mut_ptr()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        for end in ends {
            // SAFETY: descriptors that were just made.
            unsafe {
                libc::fcntl(end, libc::F_SETFL, libc::O_NONBLOCK);
                libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
            }
        }
        Ok(Signal { reader: ends[0], writer: ends[1] })
    }

    pub fn fileno(&self) -> i32 {
        self.reader
    }

    pub fn raise(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight bytes are read from `one`. A full pipe or counter is readable already.
        let _ = unsafe { libc::write(self.writer, one.as_ptr().cast(), one.len()) };
    }

    pub fn lower(&self) {
        let mut bytes = [0u8; 64];
        // SAFETY: at most 64 bytes are written to `bytes`. One raise at a time is outstanding, so one read is enough.
        let _ = unsafe { libc::read(self.reader, bytes.as_mut_ptr().cast(), bytes.len()) };
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // SAFETY: the descriptors are ours and not used after this.
        unsafe {
            libc::close(self.reader);
            if self.writer != self.reader {
                libc::close(self.writer);
            }
        }
    }
}

/// How many forks lie between this process and the one that loaded the core.
static FORKS: AtomicU64 = AtomicU64::new(0);

pub fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// Sockets of the I/O thread, one bit for each descriptor: the child of a fork closes its copies, so that a port that
/// the parent gives back is free.
static SOCKETS: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

fn bit(descriptor: i32) -> Option<(&'static AtomicU64, u64)> {
    let descriptor = usize::try_from(descriptor).ok()?;
    Some((SOCKETS.get(descriptor / 64)?, 1 << (descriptor % 64)))
}

pub fn remember_socket(socket: &impl AsRawFd) {
    if let Some((word, bit)) = bit(socket.as_raw_fd()) {
        word.fetch_or(bit, Ordering::Relaxed);
    }
}

pub fn forget_socket(socket: &impl AsRawFd) {
    if let Some((word, bit)) = bit(socket.as_raw_fd()) {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Runs in the child, between fork and everything else: only what is async-signal-safe.
extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    for (index, word) in SOCKETS.iter().enumerate() {
        let mut bits = word.swap(0, Ordering::Relaxed);
        while bits != 0 {
            let descriptor = index * 64 + bits.trailing_zeros() as usize;
            // SAFETY: a copy of a socket that only the parent's thread uses.
            unsafe { libc::close(descriptor as i32) };
            bits &= bits - 1;
        }
    }
}

/// Called once, before the first socket.
pub fn watch_forks() {
    // SAFETY: the handler lives as long as the program and does nothing but atomics and close(2).
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
}

/// Whether connect(2) has started, and goes on by itself.
pub fn is_connecting(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
}

/// Unix reports what an earlier datagram met only to a socket that is connected, and ours are not.
pub fn ignore_refusals(_: &impl AsRawFd) {}

pub mod errno {
    pub use libc::{
        EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EHOSTUNREACH, EMFILE, ENETDOWN, ENETUNREACH,
        ENFILE, ENOBUFS, ENOMEM, EPERM,
    };
}
