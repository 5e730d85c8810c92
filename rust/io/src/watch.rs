//! Changes of the machine's network, and sleep of the machine.
//!
//! On Linux a netlink socket says when to look; elsewhere, and where there is no such socket, the addresses are looked at
//! every few seconds while a connection is open.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use adieu_engine::lines::CONNECTION;
use mio::{Registry, Token};

use crate::trouble;

/// Netlink reports a change in several parts: look when they are over.
const SETTLING: Duration = Duration::from_millis(50);
/// Where nothing reports changes.
const POLLING: Duration = Duration::from_secs(3);
/// A turn of the loop that ends so late shows that the program did not run: its machine slept, or it was stopped.
const STOOD_STILL: Duration = Duration::from_secs(5);
/// Between looks at the clock that counts sleep.
const CLOCK_LOOKS: Duration = Duration::from_secs(1);

/// The addresses that have gone and come, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub gone: Vec<IpAddr>,
    pub came: Vec<IpAddr>,
}

impl Change {
    /// None: the two are the same.
    pub fn between(before: &BTreeSet<IpAddr>, after: &BTreeSet<IpAddr>) -> Option<Change> {
        let gone: Vec<IpAddr> = before.difference(after).copied().collect();
        let came: Vec<IpAddr> = after.difference(before).copied().collect();
        (!gone.is_empty() || !came.is_empty()).then_some(Change { gone, came })
    }
}

pub struct Watcher {
    netlink: Option<netlink::Socket>,
    /// None while no connection is open.
    known: Option<BTreeSet<IpAddr>>,
    look_at: Option<Instant>,
    clock: SleepClock,
}

impl Watcher {
    pub fn new(now: Instant, registry: &Registry, token: Token) -> Watcher {
        let netlink = match netlink::Socket::open(registry, token) {
            Ok(socket) => Some(socket),
            Err(error) => {
                let name = trouble::name(&error);
                log::debug!(target: CONNECTION, "! changes of the network are polled for: {name}");
                None
            }
        };
        Watcher { netlink, known: None, look_at: None, clock: SleepClock::new(now, asleep()) }
    }

    /// The netlink socket is readable.
    pub fn handle_readable(&mut self, now: Instant) {
        if self.netlink.as_ref().is_some_and(netlink::Socket::drain) && self.known.is_some() {
            self.look_at.get_or_insert(now + SETTLING);
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.look_at
    }

    /// Look at the addresses if that is due. `is_needed`: a connection is open.
    pub fn look(
        &mut self,
        now: Instant,
        is_needed: bool,
        addresses: impl FnOnce() -> io::Result<Vec<IpAddr>>,
    ) -> Option<Change> {
        if !is_needed {
            (self.known, self.look_at) = (None, None);
            return None;
        }
        if self.known.is_some() && self.look_at.is_none_or(|at| now < at) {
            return None;
        }
        self.look_at = self.netlink.is_none().then(|| now + POLLING);
        let Ok(found) = addresses() else { return None };
        let mut found: BTreeSet<IpAddr> = found.into_iter().collect();
        let Some(known) = &mut self.known else {
            self.known = Some(found);
            return None;
        };
        // An IPv6 address that is still being checked for a duplicate cannot be used: netlink says when it can.
        found.retain(|ip| known.contains(ip) || UdpSocket::bind((*ip, 0)).is_ok());
        let change = Change::between(known, &found);
        *known = found;
        change
    }

    /// How long this program has just not run, if it has not: `waited` is how long it meant to wait, at most.
    pub fn slept(&mut self, now: Instant, waited: Duration) -> Option<Duration> {
        self.clock.slept(now, waited, asleep)
    }
}

/// Tells sleep apart from waiting, by a clock that counts both and one that does not.
struct SleepClock {
    last_turn: Instant,
    last_look: Instant,
    asleep: Duration,
}

impl SleepClock {
    fn new(now: Instant, asleep: Duration) -> SleepClock {
        SleepClock { last_turn: now, last_look: now, asleep }
    }

    fn slept(
        &mut self,
        now: Instant,
        waited: Duration,
        asleep: impl FnOnce() -> Duration,
    ) -> Option<Duration> {
        let late = now.saturating_duration_since(self.last_turn).saturating_sub(waited);
        self.last_turn = now;
        if now < self.last_look + CLOCK_LOOKS {
            return None;
        }
        self.last_look = now;
        let asleep = asleep();
        let slept = asleep.saturating_sub(self.asleep);
        self.asleep = asleep;
        [late, slept].into_iter().max().filter(|time| *time >= STOOD_STILL)
    }
}

/// How long the machine has slept since it was started.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn asleep() -> Duration {
    let read = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is written to; the clocks exist since Linux 2.6.39.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
    };
    let monotonic = read(libc::CLOCK_MONOTONIC);
    read(libc::CLOCK_BOOTTIME).saturating_sub(monotonic)
}

/// Not known: either the clock of `Instant` goes on in sleep, or a late turn shows it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn asleep() -> Duration {
    Duration::ZERO
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod netlink {
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};

    use crate::process;

    /// Reads of one turn: what is left makes the next look no worse.
    const MAX_READS: usize = 1024;
    /// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE (rtnetlink(7)).
    const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

    pub struct Socket {
        descriptor: OwnedFd,
    }

    impl Socket {
        pub fn open(registry: &Registry, token: Token) -> io::Result<Socket> {
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            // SAFETY: no memory is passed.
            let descriptor = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: it was just made, and nothing else owns it.
            let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
            // SAFETY: all zeros is a valid address.
            let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
            address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
            address.nl_groups = GROUPS;
            let size = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            // SAFETY: `address` has `size` bytes.
            let bound = unsafe { libc::bind(descriptor.as_raw_fd(), (&raw const address).cast(), size) };
            if bound < 0 {
                return Err(io::Error::last_os_error());
            }
            registry.register(&mut SourceFd(&descriptor.as_raw_fd()), token, Interest::READABLE)?;
            process::remember_socket(&descriptor);
            Ok(Socket { descriptor })
        }

        /// Read all that has come. Whether it was anything: what it says is seen by the look that follows.
        pub fn drain(&self) -> bool {
            let mut buffer = [0u8; 8192];
            for reads in 0..MAX_READS {
                // SAFETY: at most the size of `buffer` is written to it.
                let read = unsafe {
                    libc::recv(self.descriptor.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0)
                };
                // More came than was kept (ENOBUFS): that is news too.
                if read < 0 && io::Error::last_os_error().raw_os_error() != Some(libc::ENOBUFS) {
                    return reads > 0;
                }
            }
            true
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod netlink {
    use std::io;

    use mio::{Registry, Token};

    pub struct Socket;

    impl Socket {
        pub fn open(_: &Registry, _: Token) -> io::Result<Socket> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub fn drain(&self) -> bool {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watcher(now: Instant) -> Watcher {
        Watcher { netlink: None, known: None, look_at: None, clock: SleepClock::new(now, Duration::ZERO) }
    }

    fn addresses(texts: &[&str]) -> io::Result<Vec<IpAddr>> {
        Ok(texts.iter().map(|text| text.parse().expect("an address")).collect())
    }

    #[test]
    fn what_has_gone_and_come_is_told_once() {
        let now = Instant::now();
        let mut watcher = watcher(now);
        // 127.0.0.x can be bound without being listed anywhere.
        assert_eq!(
            watcher.look(now, true, || addresses(&["127.0.0.1", "127.0.0.2"])),
            None,
            "the first look"
        );
        let later = now + POLLING;
        assert_eq!(
            watcher.look(later - Duration::from_millis(1), true, || addresses(&[])),
            None,
            "too early"
        );
        let change = watcher.look(later, true, || addresses(&["127.0.0.1", "127.0.0.3"])).expect("a change");
        assert_eq!(change.gone, addresses(&["127.0.0.2"]).expect("one"));
        assert_eq!(change.came, addresses(&["127.0.0.3"]).expect("one"));
        assert_eq!(watcher.look(later + POLLING, true, || addresses(&["127.0.0.3", "127.0.0.1"])), None);
    }

    #[test]
    fn an_address_that_cannot_be_used_yet_has_not_come() {
        let now = Instant::now();
        let mut watcher = watcher(now);
        watcher.look(now, true, || addresses(&["127.0.0.1"]));
        assert_eq!(watcher.look(now + POLLING, true, || addresses(&["127.0.0.1", "192.0.2.77"])), None);
    }

    #[test]
    fn nothing_is_watched_while_nothing_is_open() {
        let now = Instant::now();
        let mut watcher = watcher(now);
        watcher.look(now, true, || addresses(&["127.0.0.1"]));
        assert!(watcher.next_timeout().is_some());
        assert_eq!(watcher.look(now + POLLING, false, || panic!("not needed")), None);
        assert_eq!(watcher.next_timeout(), None);
        assert_eq!(
            watcher.look(now + 2 * POLLING, true, || addresses(&["127.0.0.2"])),
            None,
            "a new beginning"
        );
    }

    #[test]
    fn sleep_is_told_apart_from_waiting() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let mut clock = SleepClock::new(start, Duration::ZERO);
        assert_eq!(clock.slept(start + seconds(9), seconds(10), || seconds(0)), None, "it waited");
        assert_eq!(clock.slept(start + seconds(20), seconds(2), || seconds(0)), Some(seconds(9)), "stopped");
        assert_eq!(
            clock.slept(start + seconds(22), seconds(2), || seconds(3600)),
            Some(seconds(3600)),
            "asleep"
        );
        assert_eq!(clock.slept(start + seconds(24), seconds(2), || seconds(3600)), None, "told once");
        assert_eq!(clock.slept(start + seconds(30), seconds(2), || seconds(3602)), None, "a nap");
    }
}
