//! Errors of the system, with their remedies.

use std::io;

use crate::process::errno;

/// The trouble by its name, with the system's own words behind it.
pub fn name(error: &io::Error) -> String {
    let what = match error.raw_os_error() {
        Some(errno::EMFILE) => {
            "no file descriptor is left in this process: close some, or raise its limit (ulimit -n)"
        }
        Some(errno::ENFILE) => "no file descriptor is left in the whole system",
        Some(errno::EACCES | errno::EPERM) => "no permission: the system or its firewall forbids it",
        Some(errno::EADDRINUSE) => "the port is taken, or no port is left",
        Some(errno::EADDRNOTAVAIL) => "no network interface has this address now",
        Some(errno::ENETDOWN | errno::ENETUNREACH | errno::EHOSTUNREACH) => {
            "the network is down, or there is no way"
        }
        Some(errno::EAFNOSUPPORT) => "the system does not have this kind of address",
        Some(errno::ENOBUFS | errno::ENOMEM) => "the system has no memory left for it",
        Some(errno::EAGAIN) => "the system has nothing left of it for now",
        _ => return error.to_string(),
    };
    format!("{what} ({error})")
}

/// Whether the system forbids it, which waiting does not change.
pub fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(errno::EACCES | errno::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_a_name_and_the_systems_own_words() {
        for (number, word) in [
            (errno::EMFILE, "descriptor"),
            (errno::ENFILE, "descriptor"),
            (errno::EACCES, "permission"),
            (errno::EPERM, "permission"),
            (errno::EADDRINUSE, "port is taken"),
            (errno::EADDRNOTAVAIL, "interface"),
            (errno::ENETUNREACH, "network"),
            (errno::ENOBUFS, "memory"),
            (71, "os error 71"),
        ] {
            let text = name(&io::Error::from_raw_os_error(number));
            assert!(text.contains(word) && text.contains(&format!("os error {number}")), "{text}");
        }
    }
}
