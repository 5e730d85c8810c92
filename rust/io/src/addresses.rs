//! The settings of addresses: which of the machine are used, on which ports, and which ones the peer learns.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use adieu_engine::Outside;

/// Host candidates of one generation (closing rule: nothing grows without bound).
const MAX_HOSTS: usize = 32;
/// Addresses of the machine that an error names.
const MAX_NAMED: usize = 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loopback {
    /// Only where there are no other addresses.
    #[default]
    Auto,
    Always,
    Never,
}

/// An address of the machine, and the name of its interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub ip: IpAddr,
    pub is_loopback: bool,
}

/// The settings of a connection's addresses.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub loopback: Loopback,
    /// Each socket takes a port of these.
    pub ports: Option<Ports>,
    /// One socket on this port for all connections that ask for it; 0: a port of the system's choice.
    pub shared_port: Option<u16>,
    pub publics: Vec<Public>,
    /// The peer learns the inside address too.
    pub keeps_inside: bool,
    pub filters: Vec<Filter>,
    pub default_route_only: bool,
}

impl Addresses {
    /// Return the addresses to gather on, out of all local addresses and those of the default routes. If there are no
    /// addresses, the error says why.
    pub fn choose(&self, machine: &[Interface], default_routes: &[IpAddr]) -> Result<Vec<IpAddr>, String> {
        if machine.is_empty() {
            return Err(
                "no network interface has an address: this machine is not connected to a network".to_owned()
            );
        }
        let mut chosen: Vec<&Interface> = machine.iter().filter(|one| self.passes(one)).collect();
        if chosen.is_empty() {
            let filters: Vec<&str> = self.filters.iter().map(|filter| filter.text.as_str()).collect();
            return Err(format!(
                "no address passes the setting interfaces ({}): this machine has {}",
                filters.join(", "),
                named(machine)
            ));
        }
        let only_loopback = chosen.iter().all(|one| one.is_loopback);
        chosen.retain(|one| match self.loopback {
            Loopback::Always => true,
            Loopback::Never => !one.is_loopback,
            Loopback::Auto => only_loopback || !one.is_loopback,
        });
        if chosen.is_empty() {
            return Err(
                "no network interface but loopback has an address, and loopback is \"never\" used".to_owned()
            );
        }
        if self.default_route_only {
            chosen.retain(|one| default_routes.contains(&one.ip));
            if chosen.is_empty() {
                return Err(format!(
                    "no address has a default route, and defaultRouteOnly asks for one: this machine has {}",
                    named(machine)
                ));
            }
        }
        Ok(chosen.iter().take(MAX_HOSTS).map(|one| one.ip).collect())
    }

    fn passes(&self, one: &Interface) -> bool {
        let mut wanted = self.filters.iter().all(|filter| filter.excludes);
        for filter in &self.filters {
            if filter.what.matches(one) {
                if filter.excludes {
                    return false;
                }
                wanted = true;
            }
        }
        wanted
    }

    /// The address by which the peer reaches a socket on `inside`, if it is another.
    pub fn outside(&self, inside: IpAddr) -> Option<Outside> {
        let of_this = self.publics.iter().find(|public| public.inside == Some(inside));
        let of_all = || {
            let fits = |public: &&Public| {
                public.inside.is_none()
                    && public.outside.is_ipv4() == inside.is_ipv4()
                    && !inside.is_loopback()
            };
            self.publics.iter().find(fits)
        };
        let ip = of_this.or_else(of_all)?.outside;
        (ip != inside).then_some(Outside { ip, replaces: !self.keeps_inside })
    }
}

fn named(machine: &[Interface]) -> String {
    let names: Vec<String> =
        machine.iter().take(MAX_NAMED).map(|one| format!("{} {}", one.name, one.ip)).collect();
    names.join(", ")
}

/// A rule of the filter: an interface's name, which may end with `*`, an address, or a network. With `!` before it, it
/// leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    text: String,
    excludes: bool,
    what: Matched,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Matched {
    Name(String),
    NamesWith(String),
    Network(IpAddr, u8),
}

impl Filter {
    /// Read a rule. The error names it and what is wrong with it.
    pub fn parse(text: &str) -> Result<Filter, String> {
        let wrong = |what: &str| {
            format!(
                "interfaces has {text:?}: {what}; a rule is a name (\"eth0\", \"docker*\"), an address or \
                     a network (\"10.0.0.0/8\"), with \"!\" before it to leave it out"
            )
        };
        let (excludes, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let what = if let Some((address, length)) = rest.split_once('/') {
            let ip: IpAddr = address.parse().map_err(|_| wrong("no address before the \"/\""))?;
            let is_digits = length.bytes().all(|c| c.is_ascii_digit());
            let length = length.parse().ok().filter(|length| is_digits && *length <= bits(ip));
            Matched::Network(ip, length.ok_or_else(|| wrong("the length after the \"/\" does not fit"))?)
        } else if let Ok(ip) = rest.parse::<IpAddr>() {
            Matched::Network(ip, bits(ip))
        } else {
            let (name, more) = match rest.strip_suffix('*') {
                Some(name) => (name, true),
                None => (rest, false),
            };
            if (name.is_empty() && !more) || name.len() > 64 {
                return Err(wrong("no name"));
            }
            if !name.bytes().all(|c| c.is_ascii_graphic() && c != b'*' && c != b'!') {
                return Err(wrong("no interface has such a name"));
            }
            if more { Matched::NamesWith(name.to_owned()) } else { Matched::Name(name.to_owned()) }
        };
        Ok(Filter { text: text.to_owned(), excludes, what })
    }
}

impl Matched {
    fn matches(&self, one: &Interface) -> bool {
        match self {
            Matched::Name(name) => one.name == *name,
            Matched::NamesWith(start) => one.name.starts_with(start),
            Matched::Network(network, length) => {
                let differing = match (network, one.ip) {
                    (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
                    (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
                    _ => return false,
                };
                differing >= u32::from(*length)
            }
        }
    }
}

fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// A public address: of one inside address, or of all of its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Public {
    inside: Option<IpAddr>,
    outside: IpAddr,
}

impl Public {
    /// Check a mapping. The error names the address and what is wrong with it.
    pub fn parse(inside: Option<&str>, outside: &str) -> Result<Public, String> {
        let read = |text: &str| {
            let ip: IpAddr =
                text.parse().map_err(|_| format!("publicAddresses has {text:?}, which is no IP address"))?;
            match ip.is_unspecified() || ip.is_multicast() {
                true => Err(format!("publicAddresses has {text:?}, to which no peer can send")),
                false => Ok(ip),
            }
        };
        let public = Public { inside: inside.map(read).transpose()?, outside: read(outside)? };
        match public.inside {
            Some(inside) if inside.is_ipv4() != public.outside.is_ipv4() => Err(format!(
                "publicAddresses maps {inside} to {}: one is IPv4, the other IPv6",
                public.outside
            )),
            _ => Ok(public),
        }
    }
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    pub fn new(first: u16, last: u16) -> Result<Ports, String> {
        match first > 0 && first <= last {
            true => Ok(Ports { first, last }),
            false => Err(format!(
                "ports={first}-{last} is no range: two ports from 1 to 65535, the lower one first"
            )),
        }
    }

    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    pub fn count(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Try the ports from a random one on, until `bind` takes one or fails for another reason than a port in use.
    /// None: all are in use.
    pub fn try_each<T>(self, mut bind: impl FnMut(u16) -> io::Result<T>) -> Option<io::Result<T>> {
        let count = self.count();
        let start = RandomState::new().hash_one(self.first) as usize % count;
        for step in 0..count {
            let port = self.first + ((start + step) % count) as u16;
            match bind(port) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                result => return Some(result),
            }
        }
        None
    }

    /// The error of a range that is used up; `ours` of its ports are held by this program.
    pub fn used_up(self, protocol: &str, ip: IpAddr, ours: usize) -> io::Error {
        let (Ports { first, last }, count) = (self, self.count());
        let text = format!(
            "the {protocol} ports {first}-{last} on {ip} are used up: all {count} are in use, {ours} of them by this \
             program. Close connections, widen the setting ports, or let connections share one port (sharedPort)"
        );
        io::Error::new(io::ErrorKind::AddrInUse, text)
    }
}

/// Addresses that lie behind the default routes: to each the system would send by it. Nothing is sent.
pub(crate) const FAR: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 1))];

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(text: &str) -> Interface {
        let (name, ip) = text.split_once(' ').expect("a name and an address");
        let ip: IpAddr = ip.parse().expect("an address");
        Interface { name: name.into(), ip, is_loopback: ip.is_loopback() }
    }

    const MACHINE: [&str; 5] =
        ["lo 127.0.0.1", "eth0 192.0.2.7", "eth0 2001:db8::7", "eth1 10.0.0.7", "docker0 172.17.0.1"];

    fn chosen(addresses: &Addresses, machine: &[&str], routes: &[&str]) -> Result<Vec<String>, String> {
        let machine: Vec<Interface> = machine.iter().map(|text| interface(text)).collect();
        let routes: Vec<IpAddr> = routes.iter().map(|text| text.parse().expect("an address")).collect();
        Ok(addresses.choose(&machine, &routes)?.iter().map(IpAddr::to_string).collect())
    }

    fn with_loopback(loopback: Loopback) -> Addresses {
        Addresses { loopback, ..Addresses::default() }
    }

    fn filtered(rules: &[&str]) -> Addresses {
        let filters = rules.iter().map(|rule| Filter::parse(rule).expect("a rule")).collect();
        Addresses { filters, ..Addresses::default() }
    }

    #[test]
    fn loopback_is_used_where_there_is_nothing_else_or_as_was_asked() {
        let machine = ["lo 127.0.0.1", "eth0 192.0.2.7", "eth0 2001:db8::7"];
        let two = Ok(vec!["192.0.2.7".into(), "2001:db8::7".into()]);
        assert_eq!(chosen(&with_loopback(Loopback::Auto), &machine, &[]), two);
        let alone = ["lo 127.0.0.1", "lo ::1"];
        assert_eq!(
            chosen(&with_loopback(Loopback::Auto), &alone, &[]),
            Ok(vec!["127.0.0.1".into(), "::1".into()])
        );
        assert_eq!(chosen(&with_loopback(Loopback::Always), &machine, &[]).map(|all| all.len()), Ok(3));
        let never = chosen(&with_loopback(Loopback::Never), &["lo ::1"], &[]);
        assert!(never.is_err_and(|error| error.contains("\"never\"")));
        let nothing = chosen(&with_loopback(Loopback::Always), &[], &[]);
        assert!(nothing.is_err_and(|error| error.contains("not connected")));
    }

    #[test]
    fn a_machine_with_very_many_addresses_gathers_on_some() {
        let machine: Vec<String> = (0..100).map(|number| format!("eth0 192.0.2.{number}")).collect();
        let machine: Vec<&str> = machine.iter().map(String::as_str).collect();
        assert_eq!(chosen(&Addresses::default(), &machine, &[]).map(|all| all.len()), Ok(MAX_HOSTS));
    }

    #[test]
    fn rules_choose_by_name_by_address_and_by_network() {
        let some = |rules: &[&str]| chosen(&filtered(rules), &MACHINE, &[]).expect("some");
        assert_eq!(some(&["eth0"]), ["192.0.2.7", "2001:db8::7"]);
        assert_eq!(some(&["eth*"]), ["192.0.2.7", "2001:db8::7", "10.0.0.7"]);
        assert_eq!(some(&["!docker*", "!2001:db8::/32"]), ["192.0.2.7", "10.0.0.7"]);
        assert_eq!(some(&["10.0.0.0/8", "2001:db8::7"]), ["2001:db8::7", "10.0.0.7"]);
        assert_eq!(some(&["eth*", "!192.0.2.7"]), ["2001:db8::7", "10.0.0.7"]);
        assert_eq!(some(&["!::/0"]), ["192.0.2.7", "10.0.0.7", "172.17.0.1"]);
        assert_eq!(some(&["lo"]), ["127.0.0.1"], "nothing else passes");
    }

    #[test]
    fn rules_that_nothing_passes_are_named_with_what_there_is() {
        let error = chosen(&filtered(&["wlan0", "!eth1"]), &MACHINE, &[]).expect_err("nothing passes");
        assert!(error.contains("(wlan0, !eth1)") && error.contains("eth1 10.0.0.7"), "{error}");
    }

    #[test]
    fn wrong_rules_are_refused_and_named() {
        for rule in
            ["", "!", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "x/8", "2001:db8::/129", "a b", "a*b", "!!x"]
        {
            let error = Filter::parse(rule).expect_err(rule);
            assert!(error.contains(&format!("{rule:?}")), "{error}");
        }
    }

    #[test]
    fn only_addresses_with_a_default_route_are_used_if_that_was_asked() {
        let only = Addresses { default_route_only: true, ..Addresses::default() };
        assert_eq!(chosen(&only, &MACHINE, &["10.0.0.7"]), Ok(vec!["10.0.0.7".into()]));
        let error = chosen(&only, &MACHINE, &[]).expect_err("no route");
        assert!(error.contains("defaultRouteOnly") && error.contains("eth0 192.0.2.7"), "{error}");
    }

    #[test]
    fn a_public_address_is_of_one_inside_address_or_of_a_family() {
        let public = |inside: Option<&str>, outside| Public::parse(inside, outside).expect("a mapping");
        let addresses = Addresses {
            publics: vec![public(None, "203.0.113.5"), public(Some("10.0.0.7"), "203.0.113.9")],
            ..Addresses::default()
        };
        let outside = |inside: &str| {
            addresses.outside(inside.parse().expect("address")).map(|outside| outside.ip.to_string())
        };
        assert_eq!(outside("10.0.0.7").as_deref(), Some("203.0.113.9"));
        assert_eq!(outside("192.0.2.7").as_deref(), Some("203.0.113.5"));
        assert_eq!(outside("203.0.113.5"), None, "it is the same");
        assert_eq!(outside("127.0.0.1"), None);
        assert_eq!(outside("2001:db8::7"), None);
    }

    #[test]
    fn wrong_mappings_are_refused_and_named() {
        for (inside, outside) in [
            (None, "here"),
            (Some("x"), "203.0.113.5"),
            (None, "0.0.0.0"),
            (None, "224.0.0.1"),
            (Some("10.0.0.1"), "2001:db8::1"),
        ] {
            let error = Public::parse(inside, outside).expect_err(outside);
            assert!(
                error.contains(inside.filter(|_| outside == "203.0.113.5").unwrap_or(outside)),
                "{error}"
            );
        }
    }

    #[test]
    fn each_port_of_a_range_is_tried_once_from_a_random_one_on() {
        let ports = Ports::new(65_530, 65_535).expect("a range");
        let mut starts = std::collections::HashSet::new();
        for _ in 0..100 {
            let mut tried = Vec::new();
            let taken = ports.try_each(|port| -> io::Result<()> {
                tried.push(port);
                Err(io::ErrorKind::AddrInUse.into())
            });
            assert!(taken.is_none());
            starts.insert(tried[0]);
            tried.sort_unstable();
            assert_eq!(tried, [65_530, 65_531, 65_532, 65_533, 65_534, 65_535]);
        }
        assert!(starts.len() > 3, "{starts:?}");
    }

    #[test]
    fn a_range_stops_at_another_error_than_a_port_in_use() {
        let mut tries = 0;
        let result = Ports::new(1000, 2000).expect("a range").try_each(|_| -> io::Result<()> {
            tries += 1;
            Err(io::ErrorKind::PermissionDenied.into())
        });
        assert!(result.is_some_and(|result| result.is_err()));
        assert_eq!(tries, 1);
        assert!(Ports::new(0, 5).is_err() && Ports::new(7, 5).is_err_and(|error| error.contains("7-5")));
    }
}
