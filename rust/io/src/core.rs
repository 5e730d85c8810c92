//! The process's one core: started with the first loop, never stopped, dead in the child of a fork.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adieu_engine::{Certificate, Random};

use crate::command::{CommandQueue, Request};
use crate::event::EventQueue;
use crate::handles::Client;
use crate::media::Media;
use crate::process::{self, Signal, entropy, unix_time};
use crate::udp;

/// The time of a certificate's life that is made ahead: RTCPeerConnection's default.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// How long a process that exits may wait for last words.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);
/// The same for the media thread, which is at most in the middle of a tick.
const MEDIA_TIMEOUT: Duration = Duration::from_millis(500);

pub struct Core {
    commands: Arc<CommandQueue>,
    media: Arc<Media>,
    forks: u64,
}

/// Leaked on purpose: the thread lives as long as the process, and the child of a fork must not run its destructor.
static CORE: AtomicPtr<Core> = AtomicPtr::new(std::ptr::null_mut());
static STARTING: AtomicU64 = AtomicU64::new(0);
static WATCHES_FORKS: AtomicBool = AtomicBool::new(false);
/// Made by the thread as it starts: the first of a process costs 31 ms of entropy.
static CERTIFICATE: Mutex<Option<Certificate>> = Mutex::new(None);

impl Core {
    /// The core of this process; started if it is not running yet.
    fn get() -> io::Result<&'static Core> {
        if let Some(core) = Core::running() {
            return Ok(core);
        }
        // Who starts it writes down which process it is: a fork while another thread was at it locks nobody out.
        let process = process::forks() + 1;
        while STARTING.swap(process, Ordering::SeqCst) == process {
            std::thread::yield_now();
        }
        let core = Core::running().map_or_else(Core::start, Ok);
        STARTING.store(0, Ordering::SeqCst);
        core
    }

    fn start() -> io::Result<&'static Core> {
        if !WATCHES_FORKS.swap(true, Ordering::SeqCst) {
            process::watch_forks();
        }
        let commands = udp::start(|| {
            let made = make_certificate(CERTIFICATE_LIFE).ok();
            // In the child of a fork the lock may be held by a thread that is not there.
            if let Ok(mut ready) = CERTIFICATE.try_lock() {
                *ready = made;
            }
        })?;
        let core = Box::leak(Box::new(Core { commands, media: Media::threaded(), forks: process::forks() }));
        CORE.store(core, Ordering::Release);
        Ok(core)
    }

    fn running() -> Option<&'static Core> {
        // SAFETY: only leaked boxes are stored.
        let core = unsafe { CORE.load(Ordering::Acquire).as_ref() }?;
        (core.forks == process::forks()).then_some(core)
    }

    /// A new loop with a descriptor of its own.
    pub fn open_client() -> io::Result<Client> {
        let signal = Signal::new()?;
        let core = Core::get()?;
        let queue = Arc::new(EventQueue::new(Some(signal)));
        Ok(Client::new(
            queue,
            core.commands.clone(),
            core.media.clone(),
            Box::new(entropy),
            Box::new(Instant::now),
        ))
    }

    /// Close everything that is open, and wait until the last words have left: at most two seconds.
    pub fn shutdown() {
        let Some(core) = Core::running() else { return };
        core.media.shutdown(MEDIA_TIMEOUT);
        let done = Arc::new((Mutex::new(false), Condvar::new()));
        let signal = done.clone();
        let tell = move || {
            *signal.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            signal.1.notify_all();
        };
        core.commands.request(Request::Shutdown { done: Arc::new(tell) });
        let guard = done.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(done.1.wait_timeout_while(guard, EXIT_TIMEOUT, |is_done| !*is_done));
    }
}

/// A certificate: the one that was made ahead, if it fits, else a new one.
pub fn certificate(valid_for: Duration) -> Result<Certificate, String> {
    if valid_for == CERTIFICATE_LIFE {
        let ready = CERTIFICATE.try_lock().ok().and_then(|mut ready| ready.take());
        if let Some(certificate) = ready {
            return Ok(certificate);
        }
    }
    make_certificate(valid_for)
}

fn make_certificate(valid_for: Duration) -> Result<Certificate, String> {
    Certificate::generate(unix_time(), valid_for, &mut Random::new(entropy()))
}
