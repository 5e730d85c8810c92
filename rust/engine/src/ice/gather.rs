//! Server-reflexive candidates: one STUN Binding transaction per socket and server (RFC 8445 section 5.1.1.2,
//! RFC 8489 section 6.2.1). The messages have neither integrity nor credentials, so the few bytes are made here.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::lines;
use crate::transmit::{Datagram, Route};

const HEADER: usize = 20;
const MAGIC: u32 = 0x2112_A442;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const MAPPED_ADDRESS: u16 = 0x0001;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// RFC 8489 section 6.2.1: 500 ms, doubled. It lets the number of tries be configured: five, and a last wait, end
/// after 9.5 s in place of 39.5 s, as in libwebrtc.
const RTO: Duration = Duration::from_millis(500);
const MAX_TRIES: u32 = 5;
const LAST_WAIT: Duration = Duration::from_secs(2);
/// A name that does not resolve within this time is an error (closing rule 35: no await hangs).
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Sockets times servers; what is more is not asked.
const MAX_QUERIES: usize = 64;

/// W3C RTCPeerConnectionIceErrorEvent: no server answered.
const UNREACHABLE: u16 = 701;

pub type TransactionId = [u8; 12];

#[derive(Debug, PartialEq, Eq)]
pub enum Gathered {
    Reflexive { base: SocketAddr, mapped: SocketAddr, server: IpAddr, url: Arc<str> },
    Error { local: Option<SocketAddr>, url: Arc<str>, code: u16, text: String },
}

struct Query {
    url: Arc<str>,
    server: SocketAddr,
    base: SocketAddr,
    transaction: TransactionId,
    tries: u32,
    due: Instant,
}

struct Resolving {
    url: Arc<str>,
    deadline: Instant,
}

/// All the asking of one generation.
#[derive(Default)]
pub struct Gatherer {
    queries: Vec<Query>,
    resolving: Vec<Resolving>,
    out: VecDeque<Datagram>,
    events: VecDeque<Gathered>,
}

impl Gatherer {
    /// The caller looks this server's name up; [`Gatherer::handle_resolved`] follows, or the timeout.
    pub fn expect(&mut self, now: Instant, url: Arc<str>) {
        self.resolving.push(Resolving { url, deadline: now + RESOLVE_TIMEOUT });
    }

    /// Set the addresses of a server, or the error of its lookup. Each socket of a family asks one address of that
    /// family.
    pub fn handle_resolved(
        &mut self,
        now: Instant,
        url: &str,
        addresses: Result<Vec<SocketAddr>, String>,
        bases: &[SocketAddr],
        mut transaction: impl FnMut() -> TransactionId,
    ) {
        let Some(at) = self.resolving.iter().position(|waiting| *waiting.url == *url) else { return };
        let url = self.resolving.swap_remove(at).url;
        let addresses = match addresses {
            Ok(addresses) if addresses.is_empty() => Err("the name has no address".to_owned()),
            other => other,
        };
        let addresses = match addresses {
            Ok(addresses) => addresses,
            Err(text) => {
                self.events.push_back(Gathered::Error { local: None, url, code: UNREACHABLE, text });
                return;
            }
        };
        for &base in bases {
            let Some(&server) = addresses.iter().find(|server| server.is_ipv4() == base.is_ipv4()) else {
                continue;
            };
            if self.queries.len() < MAX_QUERIES {
                let transaction = transaction();
                self.queries.push(Query { url: url.clone(), server, base, transaction, tries: 0, due: now });
            }
        }
    }

    pub fn is_done(&self) -> bool {
        self.queries.is_empty() && self.resolving.is_empty()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let queries = self.queries.iter().map(|query| query.due);
        queries.chain(self.resolving.iter().map(|waiting| waiting.deadline)).min()
    }

    pub fn poll_transmit(&mut self) -> Option<Datagram> {
        self.out.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Gathered> {
        self.events.pop_front()
    }

    /// Ask what is due, and give up what has waited too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        let (sent, events) = (&mut self.out, &mut self.events);
        self.resolving.retain(|waiting| {
            let late = now >= waiting.deadline;
            if late {
                let text = "the name could not be looked up in time".to_owned();
                let url = waiting.url.clone();
                events.push_back(Gathered::Error { local: None, url, code: UNREACHABLE, text });
            }
            !late
        });
        self.queries.retain_mut(|query| {
            if now < query.due {
                return true;
            }
            if query.tries == MAX_TRIES {
                let text = format!("STUN server {} did not answer", query.server);
                let local = Some(query.base);
                let url = query.url.clone();
                events.push_back(Gathered::Error { local, url, code: UNREACHABLE, text });
                return false;
            }
            query.tries += 1;
            query.due =
                now + if query.tries == MAX_TRIES { LAST_WAIT } else { RTO * (1 << (query.tries - 1)) };
            let route = Route::udp(query.base, query.server);
            sent.push_back(Datagram { route, bytes: request(query.transaction) });
            true
        });
    }

    /// Handle an answer of a server. False: it is something else.
    pub fn handle_datagram(&mut self, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) -> bool {
        if self.queries.is_empty() || datagram.len() < HEADER {
            return false;
        }
        let is_answer = |query: &Query| {
            query.base == local && query.server == remote && query.transaction == datagram[8..HEADER]
        };
        let Some(at) = self.queries.iter().position(is_answer) else { return false };
        let answer = parse(datagram);
        if matches!(answer, Answer::Nonsense) {
            return true; // the retransmission may be understood
        }
        let query = self.queries.swap_remove(at);
        self.events.push_back(match answer {
            Answer::Mapped(mapped) => {
                Gathered::Reflexive { base: local, mapped, server: remote.ip(), url: query.url }
            }
            Answer::Error(code, text) => Gathered::Error { local: Some(local), url: query.url, code, text },
            Answer::Nonsense => return true,
        });
        true
    }
}

fn request(transaction: TransactionId) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER);
    out.extend_from_slice(&BINDING_REQUEST.to_be_bytes());
    out.extend_from_slice(&0u16.to_be_bytes());
    out.extend_from_slice(&MAGIC.to_be_bytes());
    out.extend_from_slice(&transaction);
    out
}

enum Answer {
    Mapped(SocketAddr),
    Error(u16, String),
    Nonsense,
}

/// RFC 8489 section 5. The transaction was compared by the caller.
fn parse(datagram: &[u8]) -> Answer {
    let kind = be16(datagram, 0);
    let length = be16(datagram, 2).map_or(0, usize::from);
    let magic = datagram.get(4..8) == Some(&MAGIC.to_be_bytes());
    if !magic || HEADER + length != datagram.len() {
        return Answer::Nonsense;
    }
    let mut plain = None;
    let mut rest = &datagram[HEADER..];
    while let (Some(name), Some(length)) = (be16(rest, 0), be16(rest, 2)) {
        let length = usize::from(length);
        let Some(value) = rest.get(4..4 + length) else { return Answer::Nonsense };
        match (kind, name) {
            (Some(BINDING_SUCCESS), XOR_MAPPED_ADDRESS) => {
                return address(value, datagram).map_or(Answer::Nonsense, Answer::Mapped);
            }
            (Some(BINDING_SUCCESS), MAPPED_ADDRESS) => plain = address(value, &[0; HEADER]),
            (Some(BINDING_ERROR), ERROR_CODE) if value.len() >= 4 => {
                let code = u16::from(value[2] & 7) * 100 + u16::from(value[3] % 100);
                return Answer::Error(code, lines::reason(&String::from_utf8_lossy(&value[4..])));
            }
            _ => {}
        }
        rest = rest.get((4 + length).next_multiple_of(4)..).unwrap_or_default();
    }
    plain.map_or(Answer::Nonsense, Answer::Mapped)
}

/// RFC 8489 section 14.2: masked with the magic cookie and the transaction, which follow each other in the header.
fn address(value: &[u8], header: &[u8]) -> Option<SocketAddr> {
    let mask = header.get(4..HEADER)?;
    let port = be16(value, 2)? ^ u16::from_be_bytes([mask[0], mask[1]]);
    let ip = match value.get(1)? {
        1 => IpAddr::V4(Ipv4Addr::from(masked::<4>(value, mask)?)),
        2 => IpAddr::V6(Ipv6Addr::from(masked::<16>(value, mask)?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn masked<const N: usize>(value: &[u8], mask: &[u8]) -> Option<[u8; N]> {
    let mut out: [u8; N] = value.get(4..4 + N)?.try_into().ok()?;
    for (byte, mask) in out.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    Some(out)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: TransactionId = [9; 12];

    fn local() -> SocketAddr {
        "192.0.2.7:5000".parse().expect("address")
    }

    fn server() -> SocketAddr {
        "198.51.100.1:3478".parse().expect("address")
    }

    fn asking(now: Instant) -> Gatherer {
        let mut gatherer = Gatherer::default();
        gatherer.expect(now, "stun:x".into());
        gatherer.handle_resolved(now, "stun:x", Ok(vec![server()]), &[local()], || TRANSACTION);
        assert_eq!(gatherer.poll_event(), None);
        gatherer
    }

    fn events(gatherer: &mut Gatherer) -> Vec<Gathered> {
        std::iter::from_fn(|| gatherer.poll_event()).collect()
    }

    fn success(mapped: SocketAddr) -> Vec<u8> {
        let SocketAddr::V4(mapped) = mapped else { panic!("IPv4 here") };
        let mut out = vec![1, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42];
        out.extend_from_slice(&TRANSACTION);
        out.extend_from_slice(&[0, 0x20, 0, 8, 0, 1]);
        out.extend_from_slice(&(mapped.port() ^ 0x2112).to_be_bytes());
        out.extend_from_slice(&(u32::from(*mapped.ip()) ^ MAGIC).to_be_bytes());
        out
    }

    #[test]
    fn a_server_that_answers_gives_a_candidate() {
        let now = Instant::now();
        let mut gatherer = asking(now);
        gatherer.handle_timeout(now);
        let asked = gatherer.poll_transmit().expect("a request");
        assert_eq!((asked.route.local, asked.route.remote), (local(), server()));
        assert_eq!(asked.bytes, request(TRANSACTION));
        assert!(gatherer.poll_transmit().is_none());
        let mapped = "203.0.113.5:6000".parse().expect("address");
        assert!(!gatherer.handle_datagram(local(), local(), &success(mapped)), "not from the server");
        assert!(gatherer.handle_datagram(local(), server(), &success(mapped)));
        let url = "stun:x".into();
        assert_eq!(
            events(&mut gatherer),
            [Gathered::Reflexive { base: local(), mapped, server: server().ip(), url }]
        );
        assert!(gatherer.is_done());
    }

    #[test]
    fn a_server_that_never_answers_is_asked_by_the_rfcs_clock_and_reported() {
        let start = Instant::now();
        let (mut gatherer, mut times) = (asking(start), Vec::new());
        while let Some(now) = gatherer.poll_timeout() {
            gatherer.handle_timeout(now);
            while gatherer.poll_transmit().is_some() {
                times.push((now - start).as_millis());
            }
        }
        let out = events(&mut gatherer);
        assert_eq!(times, [0, 500, 1500, 3500, 7500]);
        assert!(matches!(&out[..], [Gathered::Error { code: UNREACHABLE, .. }]), "{out:?}");
    }

    #[test]
    fn an_error_answer_carries_its_code() {
        let now = Instant::now();
        let mut gatherer = asking(now);
        let mut answer = vec![1, 0x11, 0, 12, 0x21, 0x12, 0xA4, 0x42];
        answer.extend_from_slice(&TRANSACTION);
        answer.extend_from_slice(&[0, 9, 0, 8, 0, 0, 4, 20, b'n', b'o', b'!', b'!']);
        assert!(gatherer.handle_datagram(local(), server(), &answer));
        let out = events(&mut gatherer);
        assert!(matches!(&out[..], [Gathered::Error { code: 420, text, .. }] if text == "no!!"), "{out:?}");
    }

    #[test]
    fn the_words_of_a_server_are_cleaned_and_cut() {
        let now = Instant::now();
        let mut gatherer = asking(now);
        let words = [b"\x1b[2Jno\r\nforged \xc2\x9b".to_vec(), vec![b'A'; 1300]].concat();
        let size = (4 + words.len()) as u16;
        let padded = size.next_multiple_of(4);
        let mut answer = vec![1, 0x11];
        answer.extend((4 + padded).to_be_bytes());
        answer.extend([0x21, 0x12, 0xA4, 0x42]);
        answer.extend_from_slice(&TRANSACTION);
        answer.extend([0, 9]);
        answer.extend(size.to_be_bytes());
        answer.extend([0, 0, 4, 0]);
        answer.extend(&words);
        answer.resize(HEADER + 4 + usize::from(padded), 0);
        assert!(gatherer.handle_datagram(local(), server(), &answer));
        let out = events(&mut gatherer);
        let [Gathered::Error { code: 400, text, .. }] = &out[..] else { panic!("{out:?}") };
        assert!(text.starts_with("[2Jnoforged A"), "{text:?}");
        assert_eq!(text.chars().count(), 200);
    }

    #[test]
    fn nonsense_with_the_right_transaction_does_not_end_the_asking() {
        let now = Instant::now();
        let mut gatherer = asking(now);
        let good = success("203.0.113.5:6000".parse().expect("address"));
        for length in HEADER..good.len() {
            assert!(gatherer.handle_datagram(local(), server(), &good[..length]));
        }
        assert!(gatherer.poll_event().is_none() && !gatherer.is_done());
    }

    #[test]
    fn a_name_that_does_not_resolve_is_an_error_at_once_or_after_its_time() {
        let now = Instant::now();
        let mut gatherer = Gatherer::default();
        gatherer.expect(now, "stun:a".into());
        gatherer.expect(now, "stun:b".into());
        gatherer.handle_resolved(now, "stun:a", Err("no such name".into()), &[local()], || TRANSACTION);
        assert!(matches!(&events(&mut gatherer)[..], [Gathered::Error { local: None, .. }]));
        let late = gatherer.poll_timeout().expect("the other's");
        gatherer.handle_timeout(late);
        assert!(gatherer.poll_transmit().is_none(), "nothing to send");
        assert_eq!(events(&mut gatherer).len(), 1);
        assert!(gatherer.is_done());
    }
}
