//! Candidates as text (RFC 8839 section 5.1) and as the ICE agent has them.

use std::net::{IpAddr, SocketAddr};

use is::{Candidate, CandidateKind, Protocol};

/// Longer than any candidate with all its extensions.
const MAX_LINE: usize = 1024;

/// A candidate of the peer, read and checked; or one that is not used here.
#[derive(Clone, Debug)]
pub enum RemoteCandidate {
    Usable(Box<UsableCandidate>),
    /// Counted and passed over: a peer-reflexive candidate may still find the way.
    Ignored(Unused),
}

#[derive(Clone, Debug)]
pub struct UsableCandidate {
    pub(super) candidate: Candidate,
    pub(super) line: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unused {
    /// TCP (RFC 6544).
    Tcp,
    /// An mDNS or other name in place of an address.
    Name,
    /// RTCP's own component: everything is multiplexed here.
    Component,
    /// Not an address that a datagram can be sent to.
    Address,
}

impl Unused {
    pub fn name(self) -> &'static str {
        match self {
            Unused::Tcp => "it is of TCP",
            Unused::Name => "it has a name in place of an address",
            Unused::Component => "it is of a second component",
            Unused::Address => "no datagram can be sent to its address",
        }
    }
}

impl RemoteCandidate {
    /// Read "candidate:…". The error says what is malformed.
    pub fn parse(line: &str) -> Result<RemoteCandidate, String> {
        parse(line).map_err(|problem| format!("candidate {line:?}: {problem}"))
    }
}

fn parse(line: &str) -> Result<RemoteCandidate, &'static str> {
    if line.len() > MAX_LINE {
        return Err("longer than 1024 characters");
    }
    let body =
        line.strip_prefix("a=").unwrap_or(line).strip_prefix("candidate:").ok_or("missing \"candidate:\"")?;
    let mut words = body.split(' ').filter(|word| !word.is_empty());
    let mut word = |missing| words.next().ok_or(missing);

    let foundation = word("missing foundation")?;
    let ice_char = |c: u8| c.is_ascii_alphanumeric() || c == b'+' || c == b'/';
    if foundation.len() > 32 || !foundation.bytes().all(ice_char) {
        return Err("the foundation is not 1 to 32 letters, digits, + or /");
    }
    let component: u16 = number(word("missing component")?).ok_or("the component is not a number")?;
    if !(1..=256).contains(&component) {
        return Err("the component is not between 1 and 256");
    }
    let transport = word("missing transport")?;
    let priority: u32 = number(word("missing priority")?).ok_or("the priority is not a number below 2^32")?;
    let address = word("missing address")?;
    let port: u16 = number(word("missing port")?).ok_or("the port is not a number below 65536")?;
    if word("missing typ")? != "typ" {
        return Err("no \"typ\" after the port");
    }
    let kind = match word("missing type")? {
        "host" => CandidateKind::Host,
        "srflx" => CandidateKind::ServerReflexive,
        "prflx" => CandidateKind::PeerReflexive,
        "relay" => CandidateKind::Relayed,
        _ => return Err("the type is not host, srflx, prflx or relay"),
    };
    let (related, ufrag) = extensions(words)?;

    if component != 1 {
        return Ok(RemoteCandidate::Ignored(Unused::Component));
    }
    if !transport.eq_ignore_ascii_case("udp") {
        return Ok(RemoteCandidate::Ignored(Unused::Tcp));
    }
    let Ok(ip) = address.parse::<IpAddr>() else {
        return match is_name(address) {
            true => Ok(RemoteCandidate::Ignored(Unused::Name)),
            false => Err("neither an address nor a name"),
        };
    };
    if !is_reachable(ip) || port == 0 {
        return Ok(RemoteCandidate::Ignored(Unused::Address));
    }
    let address = SocketAddr::new(ip, port);
    let candidate = Candidate::from_parts(
        foundation.to_owned(),
        component,
        Protocol::Udp,
        priority,
        address,
        kind,
        related,
        None,
        ufrag.map(str::to_owned),
    );
    let line = format!("candidate:{body}");
    Ok(RemoteCandidate::Usable(Box::new(UsableCandidate { candidate, line })))
}

/// Pairs of name and value; of the known ones the value is checked.
fn extensions<'a>(
    mut words: impl Iterator<Item = &'a str>,
) -> Result<(Option<SocketAddr>, Option<&'a str>), &'static str> {
    let (mut address, mut port, mut ufrag) = (None, None, None);
    while let Some(name) = words.next() {
        let value = words.next().ok_or("an extension without a value")?;
        match name {
            "raddr" => address = value.parse::<IpAddr>().ok(),
            "rport" => port = Some(number::<u16>(value).ok_or("rport is not a number below 65536")?),
            "ufrag" => ufrag = Some(value),
            _ => {}
        }
    }
    Ok((address.zip(port).map(SocketAddr::from), ufrag))
}

/// Digits only: `parse` alone would also take a plus sign.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn is_name(text: &str) -> bool {
    text.contains('.')
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'.' || c == b'_')
}

/// Whether a unicast datagram can go there. An IPv6 link-local address says nothing without its interface.
fn is_reachable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_unicast_link_local(),
    }
}

/// A local candidate: what the agent has, and its line.
#[derive(Clone, Debug)]
pub(super) struct LocalCandidate {
    pub base: SocketAddr,
    pub line: String,
}

/// The line of a local candidate: nothing but what RFC 8839 asks for.
pub(super) fn line(candidate: &Candidate, base: SocketAddr, server: Option<IpAddr>) -> String {
    let address = candidate.addr();
    let related = match candidate.kind() {
        CandidateKind::Host => String::new(),
        _ => format!(" raddr {} rport {}", base.ip(), base.port()),
    };
    format!(
        "candidate:{} 1 udp {} {} {} typ {}{related}",
        foundation(candidate.kind(), base.ip(), server),
        candidate.prio(),
        address.ip(),
        address.port(),
        candidate.kind(),
    )
}

/// Return the line of a peer-reflexive remote candidate, which the peer did not send.
pub(super) fn reflexive_line(address: SocketAddr) -> String {
    let foundation = foundation(CandidateKind::PeerReflexive, address.ip(), None);
    format!("candidate:{foundation} 1 udp 1845501695 {} {} typ prflx", address.ip(), address.port())
}

/// Equal for candidates of the same type, base address, server and transport, different for others (RFC 8445
/// section 5.1.1.3).
fn foundation(kind: CandidateKind, base: IpAddr, server: Option<IpAddr>) -> u32 {
    let text = format!("{kind} {base} {server:?} udp");
    crc32c::crc32c(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable(line: &str) -> Box<UsableCandidate> {
        match RemoteCandidate::parse(line) {
            Ok(RemoteCandidate::Usable(candidate)) => candidate,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn candidates_of_browsers_are_read() {
        let chromium = "candidate:1467250027 1 udp 2122260223 192.0.2.7 46416 typ host generation 0 ufrag ETEn \
                        network-id 1 network-cost 50";
        assert_eq!(usable(chromium).candidate.addr(), "192.0.2.7:46416".parse().expect("address"));
        let firefox = "candidate:0 1 UDP 2122252543 2001:db8::1 56789 typ host";
        assert_eq!(usable(firefox).candidate.addr(), "[2001:db8::1]:56789".parse().expect("address"));
        usable("a=candidate:842163049 1 udp 1677729535 203.0.113.5 1 typ srflx raddr 0.0.0.0 rport 0");
    }

    #[test]
    fn what_is_not_used_is_told_apart_from_what_is_wrong() {
        for (line, why) in [
            ("candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active", Unused::Tcp),
            ("candidate:1 1 udp 2122260223 d9ed6ab9-0b2f-4c5d.local 5000 typ host", Unused::Name),
            ("candidate:1 2 udp 2122260223 192.0.2.7 5000 typ host", Unused::Component),
            ("candidate:1 1 udp 2122260223 0.0.0.0 5000 typ host", Unused::Address),
            ("candidate:1 1 udp 2122260223 224.0.0.1 5000 typ host", Unused::Address),
            ("candidate:1 1 udp 2122260223 fe80::1 5000 typ host", Unused::Address),
            ("candidate:1 1 udp 2122260223 192.0.2.7 0 typ host", Unused::Address),
        ] {
            match RemoteCandidate::parse(line) {
                Ok(RemoteCandidate::Ignored(unused)) => assert_eq!(unused, why, "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn malformed_lines_are_refused_and_named() {
        let good = "candidate:1 1 udp 2122260223 192.0.2.7 5000 typ host";
        let words: Vec<&str> = good.split(' ').collect();
        for cut in 0..words.len() {
            let short = words[..cut].join(" ");
            let error = RemoteCandidate::parse(&short).expect_err(&short);
            assert!(error.contains(&format!("{short:?}")), "{error}");
        }
        for line in [
            "candidate:1 1 udp 2122260223 192.0.2.7 5000 typ nest",
            "candidate:1 1 udp 99999999999 192.0.2.7 5000 typ host",
            "candidate:1 1 udp +5 192.0.2.7 5000 typ host",
            "candidate:1 1 udp 1 192.0.2.7 70000 typ host",
            "candidate:1 1 udp 1 192..2.é 70 typ host",
            "candidate:1 1 udp 1 nothing 70 typ host",
            "candidate:! 1 udp 1 192.0.2.7 70 typ host",
            "candidate:1 0 udp 1 192.0.2.7 70 typ host",
            "candidate:1 1 udp 1 192.0.2.7 70 typ host generation",
        ] {
            assert!(RemoteCandidate::parse(line).is_err(), "{line}");
        }
        assert!(RemoteCandidate::parse(&format!("{good} x {}", "y".repeat(1100))).is_err());
    }

    #[test]
    fn local_lines_say_what_is_needed_and_differ_in_their_foundations() {
        let base: SocketAddr = "192.0.2.7:5000".parse().expect("address");
        let host = Candidate::host(base, Protocol::Udp).expect("host");
        let outside = "203.0.113.5:6000".parse().expect("address");
        let reflexive = Candidate::server_reflexive(outside, base, Protocol::Udp).expect("srflx");
        let host = line(&host, base, None);
        let reflexive = line(&reflexive, base, Some("198.51.100.1".parse().expect("address")));
        assert!(host.ends_with("192.0.2.7 5000 typ host"), "{host}");
        assert!(reflexive.ends_with("203.0.113.5 6000 typ srflx raddr 192.0.2.7 rport 5000"), "{reflexive}");
        let foundation = |line: &str| line.split(' ').next().map(str::to_owned);
        assert_ne!(foundation(&host), foundation(&reflexive));
        usable(&host);
        usable(&reflexive);
    }
}
