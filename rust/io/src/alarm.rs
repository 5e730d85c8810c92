//! A timer that wakes the I/O thread and can be set by another thread: the one that has taken a turn for it.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

pub struct Alarm {
    #[cfg(target_os = "linux")]
    timer: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Alarm {
    pub fn new(registry: &Registry, token: Token) -> io::Result<Alarm> {
        use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
        // SAFETY: no memory is passed.
        let descriptor =
            unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else has it.
        let timer = unsafe { OwnedFd::from_raw_fd(descriptor) };
        registry.register(&mut mio::unix::SourceFd(&timer.as_raw_fd()), token, mio::Interest::READABLE)?;
        Ok(Alarm { timer })
    }

    /// Have the thread wake after this time, in place of the one that was set before. False: it has to be woken now.
    pub fn set(&self, after: Duration) -> bool {
        use std::os::fd::AsRawFd;
        // A time of zero would stop it.
        let after = after.max(Duration::from_nanos(1));
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let at = libc::timespec {
            tv_sec: after.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(after.subsec_nanos() as i32),
        };
        let wanted = libc::itimerspec { it_interval: never, it_value: at };
        // SAFETY: the descriptor is open, and one structure is read.
        unsafe {
            libc::timerfd_settime(self.timer.as_raw_fd(), 0, &raw const wanted, std::ptr::null_mut()) == 0
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    pub fn new(_: &Registry, _: Token) -> io::Result<Alarm> {
        Ok(Alarm {})
    }

    /// Set nothing: no such timer is used here, and the thread has to be woken.
    pub fn set(&self, _: Duration) -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Instant;

    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn another_thread_sets_when_the_thread_wakes_and_a_later_word_counts() {
        let mut poll = Poll::new().expect("a poll");
        let alarm = Alarm::new(poll.registry(), Token(7)).expect("a timer");
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(alarm.set(Duration::from_secs(30)));
                assert!(alarm.set(Duration::from_millis(20)));
            });
            let mut events = Events::with_capacity(4);
            poll.poll(&mut events, Some(Duration::from_secs(20))).expect("an event");
            assert_eq!(events.iter().map(mio::event::Event::token).collect::<Vec<_>>(), [Token(7)]);
        });
        assert!((Duration::from_millis(20)..Duration::from_secs(20)).contains(&start.elapsed()));
        assert!(alarm.set(Duration::ZERO), "at once, not never");
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::from_secs(20))).expect("an event");
        assert!(!events.is_empty(), "it tells of the next time too, though nobody has read the first");
    }
}
