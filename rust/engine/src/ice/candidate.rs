//! Candidates as text (RFC 8839 section 5.1) and as the ICE agent has them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use is::{Candidate, CandidateKind, Protocol};

use crate::mdns;
use crate::transmit::{self, Route};

/// Longer than any candidate with all its extensions.
const MAX_LINE: usize = 1024;

/// A candidate of the peer, read and checked; or one that is not used here.
#[derive(Clone, Debug)]
pub enum RemoteCandidate {
    Usable(Box<UsableCandidate>),
    /// A candidate whose address is hidden behind a name of mDNS, which is looked up.
    Named(NamedCandidate),
    /// Counted and passed over: a peer-reflexive candidate may still find the way.
    Ignored(Unused),
}

#[derive(Clone, Debug)]
pub struct UsableCandidate {
    pub(super) candidate: Candidate,
    pub(super) line: String,
}

#[derive(Clone, Debug)]
pub struct NamedCandidate {
    pub(super) name: Arc<str>,
    line: String,
}

impl NamedCandidate {
    /// Return the candidate at this address of its name. Its line keeps the name: the peer did not show the address.
    pub(super) fn at(&self, ip: IpAddr) -> Option<UsableCandidate> {
        match parse(&with_address(&self.line, &ip.to_string())) {
            Ok(RemoteCandidate::Usable(usable)) => {
                Some(UsableCandidate { line: self.line.clone(), ..*usable })
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unused {
    /// An active TCP candidate connects by itself, to our passive ones (RFC 6544 section 6.2).
    Active,
    /// Another transport than UDP and TCP, or TCP that is opened from both sides at once.
    Transport,
    /// A name in place of an address, and not one of mDNS.
    Name,
    /// RTCP's own component: everything is multiplexed here.
    Component,
    /// Not an address that a datagram can be sent to.
    Address,
}

impl Unused {
    pub fn name(self) -> &'static str {
        match self {
            Unused::Active => "it is an active one of TCP: the peer connects with it",
            Unused::Transport => "its transport is not spoken here",
            Unused::Name => "it has a name in place of an address",
            Unused::Component => "it is of a second component",
            Unused::Address => "no datagram can be sent to its address",
        }
    }
}

/// RFC 6544 section 4.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpType {
    Active,
    Passive,
    SimultaneousOpen,
}

impl TcpType {
    fn read(text: &str) -> Option<TcpType> {
        match text {
            "active" => Some(TcpType::Active),
            "passive" => Some(TcpType::Passive),
            "so" => Some(TcpType::SimultaneousOpen),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            TcpType::Active => "active",
            TcpType::Passive => "passive",
            TcpType::SimultaneousOpen => "so",
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
    let kind = kind(word("missing type")?).ok_or("the type is not host, srflx, prflx or relay")?;
    let Extensions { related, ufrag, tcp_type } = extensions(words)?;

    if component != 1 {
        return Ok(RemoteCandidate::Ignored(Unused::Component));
    }
    let protocol = match spoken(transport, tcp_type) {
        Ok(protocol) => protocol,
        Err(unused) => return Ok(RemoteCandidate::Ignored(unused)),
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        return named(body, address);
    };
    if !is_reachable(ip) || port == 0 {
        return Ok(RemoteCandidate::Ignored(Unused::Address));
    }
    let address = SocketAddr::new(ip, port);
    let candidate = Candidate::from_parts(
        foundation.to_owned(),
        component,
        protocol,
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

fn kind(word: &str) -> Option<CandidateKind> {
    match word {
        "host" => Some(CandidateKind::Host),
        "srflx" => Some(CandidateKind::ServerReflexive),
        "prflx" => Some(CandidateKind::PeerReflexive),
        "relay" => Some(CandidateKind::Relayed),
        _ => None,
    }
}

/// The protocol by which a candidate of the peer is reached.
fn spoken(transport: &str, tcp_type: Option<TcpType>) -> Result<Protocol, Unused> {
    if transport.eq_ignore_ascii_case("udp") {
        return Ok(Protocol::Udp);
    }
    match tcp_type.filter(|_| transport.eq_ignore_ascii_case("tcp")) {
        Some(TcpType::Passive) => Ok(Protocol::Tcp),
        Some(TcpType::Active) => Err(Unused::Active),
        // Without a type it is older than RFC 6544: nobody knows who is to connect.
        Some(TcpType::SimultaneousOpen) | None => Err(Unused::Transport),
    }
}

struct Extensions<'a> {
    related: Option<SocketAddr>,
    ufrag: Option<&'a str>,
    tcp_type: Option<TcpType>,
}

/// A candidate that has no address.
fn named(body: &str, address: &str) -> Result<RemoteCandidate, &'static str> {
    match mdns::candidate_name(address) {
        Some(name) => {
            let line = format!("candidate:{body}");
            Ok(RemoteCandidate::Named(NamedCandidate { name: name.into(), line }))
        }
        None if is_name(address) => Ok(RemoteCandidate::Ignored(Unused::Name)),
        None => Err("neither an address nor a name"),
    }
}

/// Pairs of name and value; of the known ones the value is checked.
fn extensions<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Extensions<'a>, &'static str> {
    let (mut address, mut port, mut ufrag, mut tcp_type) = (None, None, None, None);
    while let Some(name) = words.next() {
        let value = words.next().ok_or("an extension without a value")?;
        match name {
            "raddr" => address = value.parse::<IpAddr>().ok(),
            "rport" => port = Some(number::<u16>(value).ok_or("rport is not a number below 65536")?),
            "ufrag" => ufrag = Some(value),
            "tcptype" => {
                tcp_type = Some(TcpType::read(value).ok_or("the tcptype is not active, passive or so")?);
            }
            _ => {}
        }
    }
    Ok(Extensions { related: address.zip(port).map(SocketAddr::from), ufrag, tcp_type })
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

/// A protocol as the agent names it.
pub(super) fn protocol(protocol: transmit::Protocol) -> Protocol {
    match protocol {
        transmit::Protocol::Udp => Protocol::Udp,
        transmit::Protocol::Tcp => Protocol::Tcp,
    }
}

/// Return the route of a packet that the agent sends.
pub(super) fn route(protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> Route {
    let protocol = match protocol {
        Protocol::Udp => transmit::Protocol::Udp,
        Protocol::Tcp | Protocol::SslTcp | Protocol::Tls => transmit::Protocol::Tcp,
    };
    Route { protocol, local, remote }
}

/// The address at which a 1:1 NAT, of a cloud or a container's host, passes on to one of this machine. The port is the
/// same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside {
    pub ip: IpAddr,
    /// The peer does not learn the inside address.
    pub replaces: bool,
}

/// A local candidate: what the agent has, and its line.
#[derive(Clone, Debug)]
pub(super) struct LocalCandidate {
    pub base: SocketAddr,
    pub line: String,
    pub is_relayed: bool,
}

impl LocalCandidate {
    pub fn is_tcp(&self) -> bool {
        self.line.contains(" tcptype ")
    }
}

/// The port of an active TCP candidate: it has no port before it connects (RFC 6544 section 4.5).
const DISCARD: u16 = 9;

/// The line of a TCP host candidate. `outside`: shown in place of its address.
pub(super) fn tcp_line(candidate: &Candidate, tcp_type: TcpType, outside: Option<IpAddr>) -> String {
    let address = SocketAddr::new(outside.unwrap_or(candidate.addr().ip()), candidate.addr().port());
    let port = if tcp_type == TcpType::Active { DISCARD } else { address.port() };
    format!(
        "candidate:{} 1 tcp {} {} {port} typ host tcptype {}",
        foundation(CandidateKind::Host, address.ip(), None, tcp_type.name()),
        candidate.prio(),
        address.ip(),
        tcp_type.name(),
    )
}

/// The line of a local candidate: nothing but what RFC 8839 asks for.
pub(super) fn line(
    candidate: &Candidate,
    base: SocketAddr,
    related: Option<SocketAddr>,
    server: Option<IpAddr>,
) -> String {
    let address = candidate.addr();
    let related = match related {
        None => String::new(),
        Some(related) => format!(" raddr {} rport {}", related.ip(), related.port()),
    };
    format!(
        "candidate:{} 1 udp {} {} {} typ {}{related}",
        foundation(candidate.kind(), base.ip(), server, "udp"),
        candidate.prio(),
        address.ip(),
        address.port(),
        candidate.kind(),
    )
}

/// Return the line of a local candidate whose host address is hidden behind this name.
pub(super) fn hidden(kind: CandidateKind, base: IpAddr, line: &str, name: &str) -> String {
    if kind == CandidateKind::Host {
        return with_address(line, name);
    }
    // draft-ietf-mmusic-mdns-ice-candidates section 3.1.2.3
    let nowhere = if base.is_ipv4() { "0.0.0.0" } else { "::" };
    let mut words: Vec<&str> = line.split(' ').collect();
    for at in 1..words.len() {
        match words[at - 1] {
            "raddr" => words[at] = nowhere,
            "rport" => words[at] = "0",
            _ => {}
        }
    }
    words.join(" ")
}

/// The same line with another address: its fifth word.
fn with_address(line: &str, address: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    if let Some(word) = words.get_mut(4) {
        *word = address;
    }
    words.join(" ")
}

/// The line of a host candidate whose address is that of the 1:1 NAT before it.
pub(super) fn outside_line(candidate: &Candidate, outside: SocketAddr) -> String {
    format!(
        "candidate:{} 1 udp {} {} {} typ host",
        foundation(CandidateKind::Host, outside.ip(), None, "udp"),
        candidate.prio(),
        outside.ip(),
        outside.port(),
    )
}

/// Return the line of a peer-reflexive remote candidate, which the peer did not send.
pub(super) fn reflexive_line(protocol: transmit::Protocol, address: SocketAddr) -> String {
    // Of TCP the peer has connected: its candidate is an active one.
    let (transport, priority, tcp_type) = match protocol {
        transmit::Protocol::Udp => ("udp", 1_845_501_695, ""),
        transmit::Protocol::Tcp => ("tcp", 1_342_185_215, " tcptype active"),
    };
    let foundation = foundation(CandidateKind::PeerReflexive, address.ip(), None, transport);
    let (ip, port) = (address.ip(), address.port());
    format!("candidate:{foundation} 1 {transport} {priority} {ip} {port} typ prflx{tcp_type}")
}

/// Equal for candidates of the same type, base address, server and transport, different for others (RFC 8445
/// section 5.1.1.3).
fn foundation(kind: CandidateKind, base: IpAddr, server: Option<IpAddr>, transport: &str) -> u32 {
    let text = format!("{kind} {base} {server:?} {transport}");
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
            ("candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active", Unused::Active),
            ("candidate:1 1 tcp 1518280447 192.0.2.7 5000 typ host tcptype so", Unused::Transport),
            ("candidate:1 1 sctp 1518280447 192.0.2.7 5000 typ host", Unused::Transport),
            ("candidate:1 1 tcp 1518280447 192.0.2.7 0 typ host tcptype passive", Unused::Address),
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
            "candidate:1 1 tcp 1 192.0.2.7 70 typ host tcptype pensive",
        ] {
            assert!(RemoteCandidate::parse(line).is_err(), "{line}");
        }
        assert!(RemoteCandidate::parse(&format!("{good} x {}", "y".repeat(1100))).is_err());
    }

    #[test]
    fn passive_tcp_candidates_are_read_and_ours_say_their_type() {
        let passive = "candidate:1 1 TCP 1518214911 192.0.2.7 443 typ host tcptype passive";
        assert_eq!(usable(passive).candidate.proto(), Protocol::Tcp);
        let address = "192.0.2.7:443".parse().expect("address");
        let candidate = Candidate::host(address, Protocol::Tcp).expect("host");
        let active = tcp_line(&candidate, TcpType::Active, None);
        assert!(active.ends_with(" 192.0.2.7 9 typ host tcptype active"), "{active}");
        let passive = tcp_line(&candidate, TcpType::Passive, None);
        assert!(passive.ends_with(" 192.0.2.7 443 typ host tcptype passive"), "{passive}");
        usable(&passive);
        let foundation = |line: &str| line.split(' ').next().map(str::to_owned);
        assert_ne!(foundation(&active), foundation(&passive));
        let reflexive = reflexive_line(transmit::Protocol::Tcp, address);
        assert!(reflexive.contains(" tcp ") && reflexive.ends_with(" tcptype active"), "{reflexive}");
    }

    #[test]
    fn local_lines_say_what_is_needed_and_differ_in_their_foundations() {
        let base: SocketAddr = "192.0.2.7:5000".parse().expect("address");
        let host = Candidate::host(base, Protocol::Udp).expect("host");
        let outside = "203.0.113.5:6000".parse().expect("address");
        let reflexive = Candidate::server_reflexive(outside, base, Protocol::Udp).expect("srflx");
        let host = line(&host, base, None, None);
        let reflexive = line(&reflexive, base, Some(base), Some("198.51.100.1".parse().expect("address")));
        assert!(host.ends_with("192.0.2.7 5000 typ host"), "{host}");
        assert!(reflexive.ends_with("203.0.113.5 6000 typ srflx raddr 192.0.2.7 rport 5000"), "{reflexive}");
        let foundation = |line: &str| line.split(' ').next().map(str::to_owned);
        assert_ne!(foundation(&host), foundation(&reflexive));
        usable(&host);
        usable(&reflexive);
    }
}
