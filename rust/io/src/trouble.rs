//! Errors of the system, with their remedies.

use std::io;

/// The trouble by its name, with the system's own words behind it.
pub fn name(error: &io::Error) -> String {
    let what = match error.raw_os_error() {
        Some(libc::EMFILE) => {
            "no file descriptor is left in this process: close some, or raise its limit (ulimit -n)"
        }
        Some(libc::ENFILE) => "no file descriptor is left in the whole system",
        Some(libc::EACCES | libc::EPERM) => "no permission: the system or its firewall forbids it",
        Some(libc::EADDRINUSE) => "the port is taken, or no port is left",
        Some(libc::EADDRNOTAVAIL) => "no network interface has this address now",
        Some(libc::ENETDOWN | libc::ENETUNREACH | libc::EHOSTUNREACH) => {
            "the network is down, or there is no way"
        }
        Some(libc::EAFNOSUPPORT) => "the system does not have this kind of address",
        Some(libc::ENOBUFS | libc::ENOMEM) => "the system has no memory left for it",
        Some(libc::EAGAIN) => "the system has nothing left of it for now",
        _ => return error.to_string(),
    };
    format!("{what} ({error})")
}

/// Whether the system forbids it, which waiting does not change.
pub fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_a_name_and_the_systems_own_words() {
        for (number, word) in [
            (libc::EMFILE, "descriptor"),
            (libc::ENFILE, "descriptor"),
            (libc::EACCES, "permission"),
            (libc::EPERM, "permission"),
            (libc::EADDRINUSE, "port is taken"),
            (libc::EADDRNOTAVAIL, "interface"),
            (libc::ENETUNREACH, "network"),
            (libc::ENOBUFS, "memory"),
            (libc::EIO, "os error 5"),
        ] {
            let text = name(&io::Error::from_raw_os_error(number));
            assert!(text.contains(word) && text.contains(&format!("os error {number}")), "{text}");
        }
    }
}
