//! How candidates are gathered: with which policy, and with the help of which servers.

use std::net::IpAddr;
use std::sync::Arc;

use adieu_engine::WireTransport;
use adieu_engine::ice::{Credentials, Role};
use adieu_engine::turn::{Credential, Server as TurnServer};

use crate::addresses::Addresses;
use crate::stream::tls::Trust;

/// One order to gather, for one generation.
pub struct Gather {
    pub generation: u32,
    pub local: Credentials,
    pub role: Role,
    pub servers: Vec<IceServer>,
    pub policy: Policy,
    pub addresses: Arc<Addresses>,
    /// The port of passive TCP candidates, which all transports share; 0: one that the system chooses; None: no such
    /// candidates.
    pub tcp_port: Option<u16>,
    /// The certificates that TURN servers must have; None: those that the platform trusts.
    pub trust: Option<Arc<Trust>>,
    /// Publish names of mDNS, and show them in place of host addresses.
    pub hides_addresses: bool,
}

/// RTCIceTransportPolicy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    All,
    Relay,
}

/// A server of a `stun:host:port` URL (RFC 7064), or of a `turn:` or `turns:` one (RFC 7065).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServer {
    pub url: Arc<str>,
    pub host: String,
    pub port: u16,
    /// The relay, if the server is of TURN.
    pub relay: Option<Arc<TurnServer>>,
}

/// RFC 8489 section 14.3: a user name is shorter than 509 bytes. A password has no bound there.
const MAX_USERNAME: usize = 508;
const MAX_CREDENTIAL: usize = 4096;

impl IceServer {
    /// Read the URL of a STUN server. The error names it and what is wrong with it.
    pub fn stun(url: &str) -> Result<IceServer, String> {
        let wrong =
            |what: &str| format!("server {url:?}: {what}; a STUN server is stun:host or stun:host:port");
        let rest = url.strip_prefix("stun:").ok_or_else(|| wrong("the scheme is not \"stun\""))?;
        let (host, port) = host_and_port(rest).map_err(wrong)?;
        Ok(IceServer { url: url.into(), host, port: port.unwrap_or(3478), relay: None })
    }

    /// Read the URL of a TURN server. The error names it and what is wrong with it.
    pub fn turn(url: &str, username: String, credential: String) -> Result<IceServer, String> {
        let wrong = |what: &str| {
            format!("server {url:?}: {what}; a TURN server is turn:host:port?transport=udp, or turns: or tcp")
        };
        let (path, transport) = match url.split_once("?transport=") {
            Some((path, transport)) => (path, Some(transport)),
            None => (url, None),
        };
        let (scheme, rest) = path.split_once(':').ok_or_else(|| wrong("the scheme is missing"))?;
        let (transport, default) = match (scheme, transport) {
            ("turn", None | Some("udp")) => (WireTransport::Udp, 3478),
            ("turn", Some("tcp")) => (WireTransport::Tcp, 3478),
            ("turns", None | Some("tcp")) => (WireTransport::Tls, 5349),
            ("turns", Some("udp")) => return Err(wrong("TURN over DTLS is not known here")),
            ("turn" | "turns", _) => return Err(wrong("the transport is neither udp nor tcp")),
            _ => return Err(wrong("the scheme is neither \"turn\" nor \"turns\"")),
        };
        let (host, port) = host_and_port(rest).map_err(wrong)?;
        if username.len() > MAX_USERNAME || credential.len() > MAX_CREDENTIAL {
            return Err(wrong(&format!(
                "the user name has more than {MAX_USERNAME} bytes, or the credential more than {MAX_CREDENTIAL}"
            )));
        }
        let url: Arc<str> = url.into();
        let credential = Credential(credential);
        let relay = TurnServer { url: url.clone(), host: host.clone(), transport, username, credential };
        Ok(IceServer { url, host, port: port.unwrap_or(default), relay: Some(Arc::new(relay)) })
    }
}

/// The error says what is wrong.
fn host_and_port(rest: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("the \"]\" is missing")?;
        if host.parse::<IpAddr>().is_err() {
            return Err("no IPv6 address between the brackets");
        }
        (host, port.strip_prefix(':'))
    } else {
        match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        }
    };
    if host.is_empty() || host.len() > 253 || host.bytes().any(|c| c.is_ascii_whitespace() || c == b'/') {
        return Err("no host");
    }
    let port = match port {
        None => None,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 && port_is_digits(rest) => Some(port),
            _ => return Err("the port is not a number from 1 to 65535"),
        },
    };
    Ok((host.to_owned(), port))
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
    pub server: IceServer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stun_urls_are_read_with_and_without_port() {
        let read = |url| IceServer::stun(url).map(|server| (server.host, server.port));
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
            let error = IceServer::stun(url).expect_err(url);
            assert!(error.contains(&format!("{url:?}")), "{error}");
        }
    }

    #[test]
    fn turn_urls_say_their_transport_and_never_show_the_credential() {
        let read = |url| {
            let server = IceServer::turn(url, "user".into(), "hunter2".into())?;
            let relay = server.relay.expect("a relay");
            assert!(!format!("{relay:?}").contains("hunter2"));
            Ok((server.host, server.port, relay.transport))
        };
        let server = |host: &str, port, transport| Ok((host.to_owned(), port, transport));
        assert_eq!(read("turn:t.example"), server("t.example", 3478, WireTransport::Udp));
        assert_eq!(read("turn:[2001:db8::1]:1?transport=tcp"), server("2001:db8::1", 1, WireTransport::Tcp));
        assert_eq!(read("turns:t.example"), server("t.example", 5349, WireTransport::Tls));
        for url in ["turn:", "turns:x?transport=udp", "turn:x?transport=sctp", "stun:x", "turn:x:0", "x"] {
            let error: Result<_, String> = read(url);
            assert!(error.is_err_and(|error| error.contains(&format!("{url:?}"))), "{url}");
        }
        let long = IceServer::turn("turn:x", "u".repeat(509), String::new());
        assert!(long.is_err_and(|error| error.contains("508")));
    }
}
