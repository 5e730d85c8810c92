//! Names in place of addresses (RFC 6762; draft-ietf-mmusic-mdns-ice-candidates): asks for those that peers send, and
//! answers for our own.
//!
//! Only names of the form `<uuid>.local` are asked for or published: no others are in a candidate. The messages are read
//! and written by the crate `simple-dns`; this file is the clock, the bounds, and the few rules that candidates need. A
//! whole service discovery would be far more (probing, caches, services), and has a thread and a clock of its own.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use simple_dns::rdata::{A, AAAA, NSEC, NsecTypeBitMap, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE};

pub const PORT: u16 = 5353;
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// How long a name is asked for, and how long a candidate waits for its address.
pub const LIFETIME: Duration = Duration::from_secs(10);
/// RFC 6762 section 5.2: the second question a second after the first, then after twice the time before.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// RFC 6762 section 6: a record is not sent again within this.
const ANSWER_INTERVAL: Duration = Duration::from_secs(1);
/// RFC 6762 section 8.3: an announcement is sent twice.
const ANNOUNCEMENTS: u32 = 2;
/// RFC 6762 section 10: of records that hold an address.
const TTL: u32 = 120;

/// Names that are asked for at once, of all connections; further ones wait in vain.
const MAX_ASKED: usize = 256;
/// Connections that wait for one name.
const MAX_WAITING: usize = 32;
const MAX_PUBLISHED: usize = 4096;
/// Addresses of one name.
const MAX_ADDRESSES: usize = 8;
/// Nothing that concerns a candidate is longer.
const MAX_DATAGRAM: usize = 1500;
const MAX_RECORDS: usize = 64;

/// Return the name in lower case, if it is `<uuid>.local`.
pub fn candidate_name(text: &str) -> Option<String> {
    let uuid = text.len().checked_sub(".local".len()).and_then(|at| text.split_at_checked(at));
    let (uuid, _) = uuid.filter(|(_, suffix)| suffix.eq_ignore_ascii_case(".local"))?;
    let is_uuid = uuid.len() == 36
        && uuid.bytes().enumerate().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == b'-',
            _ => c.is_ascii_hexdigit(),
        });
    is_uuid.then(|| text.to_ascii_lowercase())
}

/// Return a new name: 122 random bits, as a version 4 UUID (RFC 9562 section 5.4).
pub fn new_name(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}.local", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The addresses of a name, for those that asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub name: Arc<str>,
    pub addresses: Vec<IpAddr>,
    pub askers: Vec<u64>,
}

struct Asked {
    askers: Vec<u64>,
    ends: Instant,
    next: Instant,
    wait: Duration,
}

struct Published {
    ip: IpAddr,
    /// Announcements that are still to be sent, and when.
    announcements: u32,
    next: Instant,
    last_sent: Option<Instant>,
}

/// The questions and names of one process. See the crate's documentation for the verbs.
#[derive(Default)]
pub struct Mdns {
    asked: BTreeMap<Arc<str>, Asked>,
    published: BTreeMap<Arc<str>, Published>,
    out: VecDeque<Vec<u8>>,
    found: VecDeque<Found>,
    /// Datagrams that are malformed, too long, or not from the local link.
    pub drops: u64,
}

impl Mdns {
    // --- commands ---------------------------------------------------------------------------------------------------

    /// Ask for a name. [`Found`] names `asker`, if it is found.
    pub fn ask(&mut self, now: Instant, name: &str, asker: u64) {
        let Some(name) = candidate_name(name) else { return };
        if let Some(asked) = self.asked.get_mut(&*name) {
            if asked.askers.len() < MAX_WAITING && !asked.askers.contains(&asker) {
                asked.askers.push(asker);
                asked.ends = now + LIFETIME;
            }
        } else if self.asked.len() < MAX_ASKED {
            let asked = Asked { askers: vec![asker], ends: now + LIFETIME, next: now, wait: FIRST_WAIT };
            self.asked.insert(name.into(), asked);
        }
    }

    /// Answer for a name. False: there are too many.
    pub fn publish(&mut self, now: Instant, name: &str, ip: IpAddr) -> bool {
        if self.published.len() >= MAX_PUBLISHED {
            return false;
        }
        let published = Published { ip, announcements: ANNOUNCEMENTS, next: now, last_sent: None };
        self.published.insert(name.into(), published);
        true
    }

    /// Say that a name is gone (RFC 6762 section 10.1), and answer for it no longer.
    pub fn withdraw(&mut self, name: &str) {
        if let Some(published) = self.published.remove(name) {
            self.out.extend(answer(name, published.ip, 0));
        }
    }

    // --- datagrams and time -----------------------------------------------------------------------------------------

    /// Handle a datagram that came to the group. `is_near`: its source is on the local link (RFC 6762 section 11).
    pub fn handle_datagram(&mut self, now: Instant, source: SocketAddr, is_near: bool, datagram: &[u8]) {
        let packet = Some(datagram).filter(|_| is_near && is_small(datagram)).map(Packet::parse);
        let Some(Ok(packet)) = packet else {
            self.drops += 1;
            return;
        };
        if !packet.has_flags(PacketFlag::RESPONSE) {
            self.handle_questions(now, &packet);
        } else if source.port() == PORT {
            // RFC 6762 section 6: answers from any other port must be ignored.
            self.handle_answers(&packet);
        } else {
            self.drops += 1;
        }
    }

    fn handle_questions(&mut self, now: Instant, packet: &Packet<'_>) {
        for question in &packet.questions {
            let name = question.qname.to_string().to_ascii_lowercase();
            let Some(published) = self.published.get_mut(&*name) else { continue };
            let wanted = matches!(question.qtype, QTYPE::ANY | QTYPE::TYPE(TYPE::A | TYPE::AAAA));
            if wanted && published.last_sent.is_none_or(|at| now >= at + ANSWER_INTERVAL) {
                published.last_sent = Some(now);
                self.out.extend(answer(&name, published.ip, TTL));
            }
        }
    }

    fn handle_answers(&mut self, packet: &Packet<'_>) {
        let mut addresses: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for record in packet.answers.iter().chain(&packet.additional_records) {
            let ip: IpAddr = match &record.rdata {
                RData::A(one) => Ipv4Addr::from(one.address).into(),
                RData::AAAA(one) => Ipv6Addr::from(one.address).into(),
                _ => continue,
            };
            let name = record.name.to_string().to_ascii_lowercase();
            if record.ttl == 0 || !self.asked.contains_key(&*name) {
                continue;
            }
            let known = addresses.entry(name).or_default();
            if known.len() < MAX_ADDRESSES && !known.contains(&ip) {
                known.push(ip);
            }
        }
        for (name, addresses) in addresses {
            if let Some((name, asked)) = self.asked.remove_entry(&*name) {
                self.found.push_back(Found { name, addresses, askers: asked.askers });
            }
        }
    }

    /// Ask and announce what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let out = &mut self.out;
        self.asked.retain(|name, asked| {
            if now >= asked.ends {
                return false;
            }
            if now >= asked.next {
                out.extend(question(name));
                asked.next = now + asked.wait;
                asked.wait *= 2;
            }
            true
        });
        for (name, published) in &mut self.published {
            if published.announcements > 0 && now >= published.next {
                published.announcements -= 1;
                published.next = now + ANSWER_INTERVAL;
                published.last_sent = Some(now);
                out.extend(answer(name, published.ip, TTL));
            }
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let asked = self.asked.values().map(|asked| asked.next.min(asked.ends));
        let published = self.published.values().filter(|published| published.announcements > 0);
        asked.chain(published.map(|published| published.next)).min()
    }

    /// The next datagram for the group, on every link.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    pub fn poll_found(&mut self) -> Option<Found> {
        self.found.pop_front()
    }

    /// Nothing is asked for, nothing is published, nothing waits to be sent.
    pub fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.published.is_empty() && self.out.is_empty()
    }
}

/// A message that is not too long, and that does not claim to hold more than it can.
fn is_small(datagram: &[u8]) -> bool {
    let count =
        |at: usize| datagram.get(at..at + 2).map_or(0, |two| usize::from(two[0]) << 8 | usize::from(two[1]));
    let records: usize = [4, 6, 8, 10].into_iter().map(count).sum();
    datagram.len() <= MAX_DATAGRAM && records <= MAX_RECORDS
}

/// One message with both questions: for the IPv4 and for the IPv6 address.
fn question(name: &str) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(0);
    for kind in [TYPE::A, TYPE::AAAA] {
        let name = Name::new(name).ok()?;
        packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    }
    packet.build_bytes_vec_compressed().ok()
}

/// An answer, which says too that there is no other address (RFC 6762 section 6.1). A client that asks for both types
/// need not wait.
fn answer(name: &str, ip: IpAddr, ttl: u32) -> Option<Vec<u8>> {
    let name = Name::new(name).ok()?;
    let (data, kind) = match ip {
        IpAddr::V4(ip) => (RData::A(A::from(ip)), u16::from(TYPE::A)),
        IpAddr::V6(ip) => (RData::AAAA(AAAA::from(ip)), u16::from(TYPE::AAAA)),
    };
    // RFC 4034 section 4.1.2: one bit for each type, the highest first.
    let mut bitmap = vec![0; usize::from(kind / 8) + 1];
    bitmap[usize::from(kind / 8)] = 0x80 >> (kind % 8);
    let type_bit_maps = vec![NsecTypeBitMap { window_block: 0, bitmap: bitmap.into() }];
    let only = RData::NSEC(NSEC { next_name: name.clone(), type_bit_maps });
    let record = |data| ResourceRecord::new(name.clone(), CLASS::IN, ttl, data).with_cache_flush(true);
    let mut packet = Packet::new_reply(0);
    packet.set_flags(PacketFlag::RESPONSE | PacketFlag::AUTHORITATIVE_ANSWER);
    packet.answers.push(record(data));
    packet.additional_records.push(record(only));
    packet.build_bytes_vec_compressed().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "d9ed6ab9-0b2f-4c5d-8a52-6f0f8a1f3b11.local";

    fn near() -> SocketAddr {
        "192.0.2.9:5353".parse().expect("address")
    }

    fn ip() -> IpAddr {
        "192.0.2.7".parse().expect("address")
    }

    fn sent(mdns: &mut Mdns, now: Instant) -> Vec<Vec<u8>> {
        mdns.handle_timeout(now);
        std::iter::from_fn(|| mdns.poll_transmit()).collect()
    }

    #[test]
    fn a_name_that_one_publishes_is_found_by_the_other_and_by_all_who_ask() {
        let now = Instant::now();
        let (mut one, mut other) = (Mdns::default(), Mdns::default());
        assert!(one.publish(now, NAME, ip()));
        sent(&mut one, now);
        let later = now + Duration::from_secs(5);
        sent(&mut one, later);
        other.ask(later, &NAME.to_uppercase(), 7);
        other.ask(later, NAME, 8);
        let questions = sent(&mut other, later);
        assert_eq!(questions.len(), 1, "one question for both");
        one.handle_datagram(later + Duration::from_secs(2), near(), true, &questions[0]);
        let answers = sent(&mut one, later);
        assert_eq!(answers.len(), 1);
        other.handle_datagram(later, near(), true, &answers[0]);
        let found = other.poll_found().expect("found");
        assert_eq!((&*found.name, found.addresses, found.askers), (NAME, vec![ip()], vec![7, 8]));
        assert!(other.is_idle());
    }

    #[test]
    fn a_name_that_nobody_has_is_asked_for_by_the_rfcs_clock_and_then_forgotten() {
        let start = Instant::now();
        let (mut mdns, mut times) = (Mdns::default(), Vec::new());
        mdns.ask(start, NAME, 1);
        while let Some(now) = mdns.poll_timeout() {
            times.extend(sent(&mut mdns, now).iter().map(|_| (now - start).as_secs()));
        }
        assert_eq!(times, [0, 1, 3, 7]);
        assert!(mdns.is_idle() && mdns.poll_found().is_none());
    }

    #[test]
    fn only_uuids_are_names_of_candidates() {
        assert_eq!(candidate_name(&NAME.to_uppercase()).as_deref(), Some(NAME));
        assert_eq!(
            candidate_name(&new_name([255; 16])).as_deref(),
            Some("ffffffff-ffff-4fff-bfff-ffffffffffff.local")
        );
        for other in [
            "printer.local",
            "a.local",
            ".local",
            "",
            "example.org",
            &NAME[1..],
            &format!("x.{NAME}"),
            "é.local",
        ] {
            assert_eq!(candidate_name(other), None, "{other}");
        }
        let mut mdns = Mdns::default();
        mdns.ask(Instant::now(), "router.local", 1);
        assert!(mdns.is_idle(), "what is no candidate is never asked for");
    }

    #[test]
    fn answers_from_afar_from_another_port_and_unasked_ones_give_nothing() {
        let now = Instant::now();
        let mut mdns = Mdns::default();
        mdns.ask(now, NAME, 1);
        let good = answer(NAME, ip(), TTL).expect("built");
        mdns.handle_datagram(now, near(), false, &good);
        mdns.handle_datagram(now, "192.0.2.9:4000".parse().expect("address"), true, &good);
        let other = answer("ffffffff-ffff-4fff-bfff-ffffffffffff.local", ip(), TTL).expect("built");
        mdns.handle_datagram(now, near(), true, &other);
        mdns.handle_datagram(now, near(), true, &answer(NAME, ip(), 0).expect("built"));
        assert_eq!(mdns.poll_found(), None);
        assert_eq!(mdns.drops, 2);
        mdns.handle_datagram(now, near(), true, &good);
        assert!(mdns.poll_found().is_some());
    }

    #[test]
    fn a_flood_of_questions_is_answered_once_a_second() {
        let now = Instant::now();
        let mut mdns = Mdns::default();
        mdns.publish(now, NAME, ip());
        let asked = question(NAME).expect("built");
        let mut answers = 0;
        for millisecond in 0..10_000 {
            let now = now + Duration::from_millis(millisecond);
            mdns.handle_datagram(now, near(), true, &asked);
            answers += sent(&mut mdns, now).len();
        }
        assert!(answers <= 12, "10 000 questions in 10 s, and two announcements: {answers}");
    }

    #[test]
    fn names_and_those_who_wait_for_them_are_bounded() {
        let now = Instant::now();
        let mut mdns = Mdns::default();
        for number in 0..10_000u32 {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            mdns.ask(now, &new_name(bytes), 1);
            mdns.ask(now, &new_name([0; 16]), u64::from(number));
            mdns.publish(now, &new_name(bytes), ip());
        }
        assert_eq!((mdns.asked.len(), mdns.published.len()), (MAX_ASKED, MAX_PUBLISHED));
        assert!(mdns.asked.values().all(|asked| asked.askers.len() <= MAX_WAITING));
    }

    #[test]
    fn damaged_messages_are_counted_and_never_panic() {
        let now = Instant::now();
        let mut mdns = Mdns::default();
        mdns.ask(now, NAME, 1);
        let good = answer(NAME, ip(), TTL).expect("built");
        for cut in 0..good.len() {
            mdns.handle_datagram(now, near(), true, &good[..cut]);
        }
        assert!(mdns.drops > 50, "{}", mdns.drops);
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xc0, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                mdns.handle_datagram(now, near(), true, &bad);
                mdns.poll_found();
                mdns.ask(now, NAME, 1);
            }
        }
        mdns.handle_datagram(now, near(), true, &[0xff; 1400]);
        mdns.handle_datagram(now, near(), true, &vec![0; 9000]);
    }

    #[test]
    fn a_name_that_is_withdrawn_is_said_to_be_gone() {
        let now = Instant::now();
        let mut mdns = Mdns::default();
        mdns.publish(now, NAME, "2001:db8::7".parse().expect("address"));
        mdns.withdraw(NAME);
        let last = mdns.poll_transmit().expect("a goodbye");
        let packet = Packet::parse(&last).expect("well-formed");
        assert_eq!(packet.answers[0].ttl, 0);
        assert!(mdns.is_idle());
    }
}
