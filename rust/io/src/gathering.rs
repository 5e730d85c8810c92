//! How candidates are gathered: from which addresses of the machine, and with the help of which servers.

use std::net::IpAddr;
use std::sync::Arc;

use adieu_engine::ice::{Credentials, Role};

/// Host candidates of one generation (closing rule: nothing grows without bound).
const MAX_HOSTS: usize = 32;

/// One order to gather, for one generation.
pub struct Gather {
    pub generation: u32,
    pub local: Credentials,
    pub role: Role,
    pub servers: Vec<StunServer>,
    pub policy: Policy,
    pub loopback: Loopback,
}

/// RTCIceTransportPolicy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    All,
    Relay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loopback {
    /// Only where there are no other addresses.
    Auto,
    Always,
    Never,
}

/// An address of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    pub ip: IpAddr,
    pub is_loopback: bool,
}

impl Gather {
    /// Return the addresses to gather on, out of all local addresses. If there are no addresses, the error says why.
    pub fn choose_addresses(&self, mut interfaces: Vec<Interface>) -> Result<Vec<IpAddr>, String> {
        let only_loopback = interfaces.iter().all(|interface| interface.is_loopback);
        let had_some = !interfaces.is_empty();
        interfaces.retain(|interface| match self.loopback {
            Loopback::Always => true,
            Loopback::Never => !interface.is_loopback,
            Loopback::Auto => only_loopback || !interface.is_loopback,
        });
        interfaces.truncate(MAX_HOSTS);
        match interfaces[..] {
            [] if had_some => {
                Err("no network interface but loopback has an address, and loopback is \"never\" used"
                    .to_owned())
            }
            [] => {
                Err("no network interface has an address: this machine is not connected to a network"
                    .to_owned())
            }
            _ => Ok(interfaces.iter().map(|interface| interface.ip).collect()),
        }
    }
}

/// A server of a `stun:host:port` URL (RFC 7064).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StunServer {
    pub url: Arc<str>,
    pub host: String,
    pub port: u16,
}

impl StunServer {
    /// Read a URL. The error names it and what is wrong with it.
    pub fn parse(url: &str) -> Result<StunServer, String> {
        let wrong =
            |what: &str| format!("server {url:?}: {what}; a STUN server is stun:host or stun:host:port");
        let rest = url.strip_prefix("stun:").ok_or_else(|| wrong("the scheme is not \"stun\""))?;
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or_else(|| wrong("the \"]\" is missing"))?;
            if host.parse::<IpAddr>().is_err() {
                return Err(wrong("no IPv6 address between the brackets"));
            }
            (host, port.strip_prefix(':'))
        } else {
            match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        if host.is_empty() || host.len() > 253 || host.bytes().any(|c| c.is_ascii_whitespace() || c == b'/') {
            return Err(wrong("no host"));
        }
        let port = match port {
            None => 3478,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 && port_is_digits(rest) => port,
                _ => return Err(wrong("the port is not a number from 1 to 65535")),
            },
        };
        Ok(StunServer { url: url.into(), host: host.to_owned(), port })
    }
}

/// Digits only: `parse` alone would take "+5" too.
fn port_is_digits(rest: &str) -> bool {
    rest.rsplit(':').next().is_some_and(|port| port.bytes().all(|c| c.is_ascii_digit()))
}

/// A name to look up: of this server, for this generation.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub transport: u64,
    pub generation: u32,
    pub server: StunServer,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(loopback: Loopback, machine: &[&str]) -> Result<Vec<String>, String> {
        let local = Credentials { ufrag: "user".into(), pwd: "password".into() };
        let role = Role::Controlling;
        let gather =
            Gather { generation: 1, local, role, servers: Vec::new(), policy: Policy::All, loopback };
        let interface = |text: &&str| {
            let ip: IpAddr = text.parse().expect("an address");
            Interface { ip, is_loopback: ip.is_loopback() }
        };
        let addresses = gather.choose_addresses(machine.iter().map(interface).collect())?;
        Ok(addresses.iter().map(IpAddr::to_string).collect())
    }

    #[test]
    fn loopback_is_used_where_there_is_nothing_else_or_as_was_asked() {
        let machine = ["127.0.0.1", "192.0.2.7", "2001:db8::7"];
        assert_eq!(chosen(Loopback::Auto, &machine), Ok(vec!["192.0.2.7".into(), "2001:db8::7".into()]));
        assert_eq!(chosen(Loopback::Auto, &["127.0.0.1", "::1"]), Ok(vec!["127.0.0.1".into(), "::1".into()]));
        assert_eq!(chosen(Loopback::Always, &machine).map(|all| all.len()), Ok(3));
        assert!(chosen(Loopback::Never, &["::1"]).is_err_and(|error| error.contains("\"never\"")));
        assert!(chosen(Loopback::Always, &[]).is_err_and(|error| error.contains("not connected")));
    }

    #[test]
    fn a_machine_with_very_many_addresses_gathers_on_some() {
        let machine: Vec<String> = (0..100).map(|number| format!("192.0.2.{number}")).collect();
        let machine: Vec<&str> = machine.iter().map(String::as_str).collect();
        assert_eq!(chosen(Loopback::Auto, &machine).map(|all| all.len()), Ok(MAX_HOSTS));
    }

    #[test]
    fn stun_urls_are_read_with_and_without_port() {
        let read = |url| StunServer::parse(url).map(|server| (server.host, server.port));
        assert_eq!(read("stun:stun.example.org"), Ok(("stun.example.org".into(), 3478)));
        assert_eq!(read("stun:192.0.2.1:19302"), Ok(("192.0.2.1".into(), 19302)));
        assert_eq!(read("stun:[2001:db8::1]:5000"), Ok(("2001:db8::1".into(), 5000)));
        assert_eq!(read("stun:[2001:db8::1]"), Ok(("2001:db8::1".into(), 3478)));
    }

    #[test]
    fn other_urls_are_refused_and_named() {
        for url in [
            "",
            "stun:",
            "turn:x",
            "stun:x:0",
            "stun:x:70000",
            "stun:x:+5",
            "stun:x:",
            "stun:[::1",
            "stun:[x]",
        ] {
            let error = StunServer::parse(url).expect_err(url);
            assert!(error.contains(&format!("{url:?}")), "{error}");
        }
    }
}
