//! The permissions and channels of one allocation (RFC 8656 sections 9 and 12), and the datagrams that wait for them.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// A permission lasts 5 minutes, a channel 10 (RFC 8656 sections 9 and 12).
const PERMISSION_REFRESH: Duration = Duration::from_secs(240);
const CHANNEL_REFRESH: Duration = Duration::from_secs(480);
/// After a refresh without an answer.
const RETRY: Duration = Duration::from_secs(5);
const MAX_PERMISSIONS: usize = 64;
/// A channel that was asked for keeps its number for the life of the allocation.
const FIRST_CHANNEL: u16 = 0x4000;
const MAX_CHANNELS: usize = 16;
/// Datagrams that wait for their permission: checks, and the first flights of a handshake.
const MAX_HELD: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    Asked,
    /// In force; to be refreshed then. None: that is under way.
    Held(Option<Instant>),
    /// The server does not want this peer.
    Refused,
}

#[derive(Debug)]
struct Permission {
    ip: IpAddr,
    grant: Grant,
}

#[derive(Debug)]
struct Channel {
    peer: SocketAddr,
    number: u16,
    grant: Grant,
}

/// How a datagram goes to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Channel(u16),
    Indication,
    /// Not now: its permission is asked for. Hold it.
    Later,
    Never,
}

/// Something to ask the server for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Permission(IpAddr),
    Channel { peer: SocketAddr, number: u16 },
}

#[derive(Default)]
pub(super) struct Peers {
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
    held: VecDeque<(SocketAddr, Vec<u8>)>,
    wishes: VecDeque<Wish>,
}

impl Peers {
    /// How a datagram for this peer goes now. The first one asks for a permission.
    pub fn way(&mut self, peer: SocketAddr) -> Way {
        let channel = self.channels.iter().find(|one| one.peer == peer);
        if let Some(Channel { number, grant: Grant::Held(_), .. }) = channel {
            return Way::Channel(*number);
        }
        match self.permissions.iter().find(|one| one.ip == peer.ip()).map(|one| one.grant) {
            Some(Grant::Held(_)) => Way::Indication,
            Some(Grant::Asked) => Way::Later,
            Some(Grant::Refused) => Way::Never,
            None if self.permissions.len() < MAX_PERMISSIONS => {
                self.permissions.push(Permission { ip: peer.ip(), grant: Grant::Asked });
                self.wishes.push_back(Wish::Permission(peer.ip()));
                Way::Later
            }
            None => Way::Never,
        }
    }

    pub fn hold(&mut self, peer: SocketAddr, bytes: Vec<u8>) {
        if self.held.len() == MAX_HELD {
            self.held.pop_front(); // it will be sent again by its own clock
        }
        self.held.push_back((peer, bytes));
    }

    /// Datagrams whose permission has come.
    pub fn take_held(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let Peers { permissions, held, .. } = self;
        let may = |peer: &SocketAddr| {
            let mut known = permissions.iter();
            known.any(|one| one.ip == peer.ip() && matches!(one.grant, Grant::Held(_)))
        };
        let (free, rest) = std::mem::take(held).into_iter().partition(|(peer, _)| may(peer));
        let free: VecDeque<_> = free;
        *held = rest;
        free.into()
    }

    /// Ask for a channel: this peer gets much.
    pub fn bind(&mut self, peer: SocketAddr) {
        if self.channels.len() < MAX_CHANNELS && self.channels.iter().all(|one| one.peer != peer) {
            let number = FIRST_CHANNEL + self.channels.len() as u16;
            self.channels.push(Channel { peer, number, grant: Grant::Asked });
            self.wishes.push_back(Wish::Channel { peer, number });
        }
    }

    /// The peer of a channel. A server uses one only after it was asked to; its answer may be later than its data.
    pub fn of_channel(&self, number: u16) -> Option<SocketAddr> {
        let known = self.channels.get(usize::from(number.checked_sub(FIRST_CHANNEL)?))?;
        (known.grant != Grant::Refused).then_some(known.peer)
    }

    /// Whether data of this peer was asked for.
    pub fn knows(&self, ip: IpAddr) -> bool {
        self.permissions.iter().any(|one| one.ip == ip && one.grant != Grant::Refused)
    }

    pub fn granted(&mut self, now: Instant, wish: Wish) {
        match wish {
            Wish::Permission(ip) => self.set_permission(ip, Grant::Held(Some(now + PERMISSION_REFRESH))),
            Wish::Channel { number, .. } => {
                self.set_channel(number, Grant::Held(Some(now + CHANNEL_REFRESH)));
            }
        }
    }

    /// The server said no. A channel is not needed: indications go on.
    pub fn refused(&mut self, wish: Wish) {
        match wish {
            Wish::Permission(ip) => {
                self.set_permission(ip, Grant::Refused);
                self.held.retain(|(peer, _)| peer.ip() != ip);
            }
            Wish::Channel { number, .. } => self.set_channel(number, Grant::Refused),
        }
    }

    /// The server did not answer. A grant in force is asked for again soon, another with the next datagram.
    pub fn unanswered(&mut self, now: Instant, wish: Wish) {
        let again = Grant::Held(Some(now + RETRY));
        match wish {
            Wish::Permission(ip) => match self.permissions.iter_mut().find(|one| one.ip == ip) {
                Some(one) if one.grant == Grant::Held(None) => one.grant = again,
                _ => self.permissions.retain(|one| one.ip != ip),
            },
            Wish::Channel { number, .. } => {
                let known = self.channels.iter_mut().find(|one| one.number == number);
                if let Some(one) = known {
                    one.grant = if one.grant == Grant::Held(None) { again } else { Grant::Refused };
                }
            }
        }
    }

    fn set_permission(&mut self, ip: IpAddr, grant: Grant) {
        if let Some(one) = self.permissions.iter_mut().find(|one| one.ip == ip) {
            one.grant = grant;
        }
    }

    fn set_channel(&mut self, number: u16, grant: Grant) {
        if let Some(one) = self.channels.iter_mut().find(|one| one.number == number) {
            one.grant = grant;
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let permissions = self.permissions.iter().map(|one| one.grant);
        let grants = permissions.chain(self.channels.iter().map(|one| one.grant));
        grants.filter_map(|grant| if let Grant::Held(at) = grant { at } else { None }).min()
    }

    /// Wish for a refresh of the grants that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_due = |grant: &mut Grant| {
            let due = matches!(grant, Grant::Held(Some(at)) if *at <= now);
            if due {
                *grant = Grant::Held(None);
            }
            due
        };
        for one in &mut self.permissions {
            if is_due(&mut one.grant) {
                self.wishes.push_back(Wish::Permission(one.ip));
            }
        }
        for one in &mut self.channels {
            if is_due(&mut one.grant) {
                self.wishes.push_back(Wish::Channel { peer: one.peer, number: one.number });
            }
        }
    }

    pub fn poll_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }
}
