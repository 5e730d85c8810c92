//! The one thread that makes and plays sound: it begins with the first stream, ends with the last, and never takes the
//! GIL.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use adieu_engine::lines::CONNECTION;

use super::{Media, TICK};

/// Lost time up to this is made up for, tick by tick. More is lost for good.
const LATE: Duration = Duration::from_millis(200);

/// Whether the thread runs, and who starts and ends it.
pub struct Control {
    media: Weak<Media>,
    status: Mutex<Status>,
    changed: Condvar,
}

#[derive(Default)]
struct Status {
    is_running: bool,
    /// The process ends.
    is_stopped: bool,
}

impl Control {
    /// Make the control of the thread that ticks this.
    pub fn new(media: Weak<Media>) -> Control {
        Control { media, status: Mutex::default(), changed: Condvar::new() }
    }

    /// Have the thread look at the changes: at its next tick, or it is started.
    pub fn wake(&self) {
        let mut status = self.lock();
        if status.is_running || status.is_stopped {
            return;
        }
        let Some(media) = self.media.upgrade() else { return };
        let started = std::thread::Builder::new().name("adieu-media".into()).spawn(move || run(&media));
        status.is_running = started.is_ok();
        if let Err(error) = started {
            // The next change tries again.
            log::error!(target: CONNECTION, "! the media thread cannot be started: {error}");
        }
    }

    /// End the thread, and wait until it has ended: so long at most.
    pub fn stop(&self, timeout: Duration) {
        let mut status = self.lock();
        status.is_stopped = true;
        self.changed.notify_all();
        drop(self.changed.wait_timeout_while(status, timeout, |status| status.is_running));
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait until then. False: the thread is to end.
    fn sleep_until(&self, then: Instant) -> bool {
        let status = self.lock();
        let time = then.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(status, time, |status| !status.is_stopped);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_stopped
    }

    /// End the thread if there is nothing to do. A change that comes now finds it running, or starts another one.
    fn may_end(&self, media: &Media) -> bool {
        let mut status = self.lock();
        status.is_running = media.next_tick().is_some();
        if !status.is_running {
            self.changed.notify_all();
        }
        !status.is_running
    }

    #[cfg(test)]
    pub fn is_running(&self) -> bool {
        self.lock().is_running
    }

    /// Wait until nothing is left to do. False: it took longer.
    #[cfg(test)]
    pub fn wait_for_end(&self, timeout: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |status| status.is_running);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

fn run(media: &Media) {
    let Some(control) = &media.thread else { return };
    let mut next = Instant::now();
    loop {
        media.tick(next);
        if control.may_end(media) {
            return;
        }
        next += TICK;
        if !control.sleep_until(next) {
            break;
        }
        let now = Instant::now();
        if now.saturating_duration_since(next) > LATE {
            next = now;
        }
    }
    control.lock().is_running = false;
    control.changed.notify_all();
}
