//! The sockets of mDNS: one for IPv4 and one for IPv6, open only while a name is asked for or published.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adieu_engine::lines::ICE;
use adieu_engine::mdns::{Found, GROUP_V4, GROUP_V6, Mdns, PORT, new_name};
use if_addrs::{IfAddr, Interface};
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::process::{self, entropy};
use crate::trouble;

const TOKENS: [Token; 2] = [Token(usize::MAX - 1), Token(usize::MAX - 2)];
/// Interfaces on which names are asked for. Linux lets a socket join 20 groups.
const MAX_LINKS: usize = 16;
/// The machine's interfaces may have changed after this.
const LISTED_FOR: Duration = Duration::from_secs(5);
/// Datagrams of one turn, at most.
const MAX_READS: usize = 64;
const MAX_SIZE: usize = 9000;

/// The service of one process, on its I/O thread.
pub struct Service {
    registry: Registry,
    core: Mdns,
    /// IPv4, IPv6.
    sockets: [Option<UdpSocket>; 2],
    links: Vec<Interface>,
    listed: Option<Instant>,
    /// A socket had more to read than its turn.
    unread: bool,
    drops: u64,
}

impl Service {
    pub fn new(registry: Registry) -> Service {
        Service {
            registry,
            core: Mdns::default(),
            sockets: [None, None],
            links: Vec::new(),
            listed: None,
            unread: false,
            drops: 0,
        }
    }

    /// Look a name up for a transport. If no socket can be had, nothing is ever found.
    pub fn ask(&mut self, now: Instant, name: &str, transport: u64) {
        if let Err(error) = self.open(now) {
            log::debug!(target: ICE, "! names cannot be looked up: {}", trouble::name(&error));
            return;
        }
        self.core.ask(now, name, transport);
    }

    /// Return a new name for an address. With the error, nobody can look it up.
    pub fn publish(&mut self, now: Instant, ip: IpAddr) -> (Arc<str>, io::Result<()>) {
        let [.., a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = entropy();
        let name = new_name([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]);
        let published = self.open(now).and_then(|()| match self.core.publish(now, &name, ip) {
            true => Ok(()),
            false => Err(io::Error::other("too many names are published")),
        });
        (name.into(), published)
    }

    pub fn withdraw(&mut self, name: &str) {
        self.core.withdraw(name);
    }

    pub fn owns(token: Token) -> bool {
        TOKENS.contains(&token)
    }

    /// Read what has come; at most a turn's worth.
    pub fn read(&mut self, now: Instant) {
        self.unread = false;
        let mut buffer = [0; MAX_SIZE];
        for family in 0..2 {
            for reads in 0.. {
                let Some(socket) = &self.sockets[family] else { break };
                let Ok((size, source)) = socket.recv_from(&mut buffer) else { break };
                let is_near = self.links.iter().any(|link| is_on(link, source.ip()));
                self.core.handle_datagram(now, source, is_near, &buffer[..size]);
                if reads == MAX_READS {
                    self.unread = true;
                    break;
                }
            }
        }
        if self.core.drops > self.drops {
            log::debug!(target: ICE, "! mDNS: {} datagrams dropped", self.core.drops - self.drops);
            self.drops = self.core.drops;
        }
    }

    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.unread { Some(now) } else { self.core.poll_timeout() }
    }

    /// Ask and answer what is due. The names that were found.
    pub fn turn(&mut self, now: Instant) -> Vec<Found> {
        if self.unread {
            self.read(now);
        }
        self.core.handle_timeout(now);
        while let Some(datagram) = self.core.poll_transmit() {
            self.send(&datagram);
        }
        if self.core.is_idle() {
            self.close();
        }
        std::iter::from_fn(|| self.core.poll_found()).collect()
    }

    /// Send to the group, on every link. A datagram that is refused is lost as on the way: it is said again.
    fn send(&self, datagram: &[u8]) {
        for link in &self.links {
            let (family, group) = group(&link.addr);
            let Some(socket) = &self.sockets[family] else { continue };
            let sock = SockRef::from(socket);
            let chosen = match (&link.addr, link.index) {
                (IfAddr::V4(address), _) => sock.set_multicast_if_v4(&address.ip),
                (IfAddr::V6(_), Some(index)) => sock.set_multicast_if_v6(index),
                (IfAddr::V6(_), None) => continue,
            };
            if let Err(error) = chosen.and_then(|()| socket.send_to(datagram, group).map(drop)) {
                log::debug!(target: ICE, "! mDNS on {}: {}", link.name, trouble::name(&error));
            }
        }
    }

    /// Open the sockets, and join the group on the interfaces of this moment. The error: not one could be joined.
    fn open(&mut self, now: Instant) -> io::Result<()> {
        let is_open = self.sockets.iter().any(Option::is_some);
        if is_open && self.listed.is_some_and(|at| now < at + LISTED_FOR) {
            return Ok(());
        }
        self.links = links()?;
        self.listed = Some(now);
        let mut joined = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        for at in 0..self.links.len() {
            let result = self.join(&self.links[at].clone());
            joined = joined.or(result);
        }
        joined
    }

    fn join(&mut self, link: &Interface) -> io::Result<()> {
        let family = group(&link.addr).0;
        if self.sockets[family].is_none() {
            self.sockets[family] = Some(self.bind(family)?);
        }
        let Some(socket) = &self.sockets[family] else { return Ok(()) };
        let joined = match (&link.addr, link.index) {
            (IfAddr::V4(address), _) => socket.join_multicast_v4(&GROUP_V4, &address.ip),
            (IfAddr::V6(_), index) => socket.join_multicast_v6(&GROUP_V6, index.unwrap_or(0)),
        };
        // It was joined before, on this address or on another of the same interface.
        joined.or_else(|error| if error.kind() == io::ErrorKind::AddrInUse { Ok(()) } else { Err(error) })
    }

    fn bind(&self, family: usize) -> io::Result<UdpSocket> {
        let (domain, any) = match family {
            0 => (Domain::IPV4, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
            _ => (Domain::IPV6, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        // Browsers and the system's own service listen on the same port.
        socket.set_reuse_address(true)?;
        if family == 1 {
            socket.set_only_v6(true)?;
            socket.set_multicast_hops_v6(255)?;
        } else {
            socket.set_multicast_ttl_v4(255)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(any, PORT).into())?;
        let mut io = UdpSocket::from_std(socket.into());
        self.registry.register(&mut io, TOKENS[family], Interest::READABLE)?;
        process::remember_socket(&io);
        Ok(io)
    }

    fn close(&mut self) {
        for socket in &mut self.sockets {
            let Some(mut io) = socket.take() else { continue };
            process::forget_socket(&io);
            if let Err(error) = self.registry.deregister(&mut io) {
                log::warn!(target: ICE, "! a socket of mDNS could not be deregistered: {error}");
            }
        }
    }
}

fn group(address: &IfAddr) -> (usize, SocketAddr) {
    match address {
        IfAddr::V4(_) => (0, SocketAddr::new(GROUP_V4.into(), PORT)),
        IfAddr::V6(_) => (1, SocketAddr::new(GROUP_V6.into(), PORT)),
    }
}

/// Every address of every interface but loopback; of loopback where there is nothing else.
fn links() -> io::Result<Vec<Interface>> {
    let mut links = if_addrs::get_if_addrs()?;
    if links.iter().any(|link| !link.is_loopback()) {
        links.retain(|link| !link.is_loopback());
    }
    links.truncate(MAX_LINKS);
    Ok(links)
}

/// RFC 6762 section 11: whether the address is on this link.
fn is_on(link: &Interface, ip: IpAddr) -> bool {
    match (&link.addr, ip) {
        (IfAddr::V4(ours), IpAddr::V4(ip)) => {
            let mask = u32::from(ours.netmask);
            u32::from(ours.ip) & mask == u32::from(ip) & mask
        }
        (IfAddr::V6(ours), IpAddr::V6(ip)) => {
            let mask = u128::from(ours.netmask);
            ip.is_unicast_link_local() || u128::from(ours.ip) & mask == u128::from(ip) & mask
        }
        _ => false,
    }
}

/// The names of a network in memory: each is known at once, or never.
#[derive(Default)]
pub struct Known {
    names: HashMap<Arc<str>, IpAddr>,
}

impl Known {
    pub fn publish(&mut self, ip: IpAddr, number: u64) -> Arc<str> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let name: Arc<str> = new_name(bytes).into();
        self.names.insert(name.clone(), ip);
        name
    }

    pub fn withdraw(&mut self, name: &str) {
        self.names.remove(name);
    }

    pub fn find(&self, name: &str) -> Option<IpAddr> {
        self.names.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_same_subnet_are_near() {
        let mut links = if_addrs::get_if_addrs().expect("interfaces");
        links.retain(|link| link.ip() == IpAddr::from(Ipv4Addr::LOCALHOST));
        let near = |text: &str| links.iter().any(|link| is_on(link, text.parse().expect("an address")));
        assert!(near("127.1.2.3"));
        assert!(!near("192.0.2.1") && !near("::1"));
    }
}
