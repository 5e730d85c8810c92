//! A TURN server (RFC 8656) in the network in memory: over UDP, with long-term credentials, permissions and channels.
//!
//! It is honest, and counts its allocations. Servers that lie are in the tests of the engine.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun_types::attribute::{AttributeType, ErrorCode, Nonce, RawAttribute, Realm, XorSocketAddr};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass, MessageType,
    MessageWrite, MessageWriteExt, MessageWriteVec, Method,
};

const ALLOCATE: u16 = 3;
const REFRESH: u16 = 4;
const SEND: u16 = 6;
const DATA: u16 = 7;
const CREATE_PERMISSION: u16 = 8;
const CHANNEL_BIND: u16 = 9;

const CHANNEL_NUMBER: AttributeType = AttributeType::new(0x000C);
const LIFETIME: AttributeType = AttributeType::new(0x000D);
const XOR_PEER_ADDRESS: AttributeType = AttributeType::new(0x0012);
const CONTENTS: AttributeType = AttributeType::new(0x0013);
const XOR_RELAYED_ADDRESS: AttributeType = AttributeType::new(0x0016);
const XOR_MAPPED_ADDRESS: AttributeType = AttributeType::new(0x0020);

const REALM: &str = "adieu.test";
const NONCE: &str = "a nonce";
/// RFC 8656 sections 7.2, 9 and 12.
const MAX_LIFETIME: u32 = 600;
const PERMISSION: Duration = Duration::from_secs(300);
const CHANNEL: Duration = Duration::from_secs(600);
const FIRST_PORT: u16 = 49_152;
/// Allocations at the same time; a further one is refused (508).
const MAX_ALLOCATIONS: usize = 4096;

/// A datagram that the server sends: from, to, and its bytes.
pub type Out = (SocketAddr, SocketAddr, Vec<u8>);

pub struct VirtualRelay {
    address: SocketAddr,
    key: IntegrityKey,
    next_port: u16,
    /// Whether it ignores that an address is given back.
    keeps: bool,
    allocations: Vec<Allocation>,
}

struct Allocation {
    client: SocketAddr,
    relayed: SocketAddr,
    until: Instant,
    permissions: Vec<(IpAddr, Instant)>,
    channels: Vec<(u16, SocketAddr, Instant)>,
}

impl Allocation {
    fn permits(&self, now: Instant, peer: IpAddr) -> bool {
        self.permissions.iter().any(|(ip, until)| *ip == peer && now < *until)
    }

    fn permit(&mut self, now: Instant, peer: IpAddr) {
        self.permissions.retain(|(ip, _)| *ip != peer);
        self.permissions.push((peer, now + PERMISSION));
    }
}

impl VirtualRelay {
    pub fn new(address: SocketAddr, username: &str, password: &str) -> VirtualRelay {
        let credentials = LongTermKeyCredentials::new(username.into(), password.into(), REALM.into());
        let key = credentials.make_key(IntegrityAlgorithm::Sha1);
        VirtualRelay { address, key, next_port: FIRST_PORT, keeps: false, allocations: Vec::new() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set_keeps(&mut self, keeps: bool) {
        self.keeps = keeps;
    }

    /// The number of allocations that it holds.
    pub fn held(&mut self, now: Instant) -> usize {
        self.expire(now);
        self.allocations.len()
    }

    fn expire(&mut self, now: Instant) {
        self.allocations.retain(|one| now < one.until);
    }

    /// Take a datagram that has arrived on one of its ports. None: it is not for this server.
    pub fn handle(
        &mut self,
        now: Instant,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> Option<Out> {
        self.expire(now);
        if destination == self.address {
            return self.take_from_client(now, source, bytes);
        }
        let allocation = self.allocations.iter().find(|one| one.relayed == destination)?;
        if !allocation.permits(now, source.ip()) {
            return None;
        }
        let channel = allocation.channels.iter().find(|(_, peer, until)| *peer == source && now < *until);
        let bytes = match channel {
            Some((number, ..)) => {
                let length = u16::try_from(bytes.len()).ok()?;
                [&number.to_be_bytes()[..], &length.to_be_bytes()[..], bytes].concat()
            }
            None => data_indication(source, bytes)?,
        };
        Some((self.address, allocation.client, bytes))
    }

    fn take_from_client(&mut self, now: Instant, client: SocketAddr, bytes: &[u8]) -> Option<Out> {
        if matches!(bytes.first(), Some(64..=79)) {
            let number = u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?);
            let length = usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
            let allocation = self.allocations.iter().find(|one| one.client == client)?;
            let (_, peer, _) =
                allocation.channels.iter().find(|(one, _, until)| *one == number && now < *until)?;
            return Some((allocation.relayed, *peer, bytes.get(4..4 + length)?.to_vec()));
        }
        let message = Message::from_bytes(bytes).ok()?;
        match (message.class(), message.method().value()) {
            (MessageClass::Request, _) => Some((self.address, client, self.answer(now, client, &message)?)),
            (MessageClass::Indication, SEND) => {
                let allocation = self.allocations.iter().find(|one| one.client == client)?;
                let peer = peer_of(&message)?;
                let data = message.raw_attribute(CONTENTS)?;
                allocation.permits(now, peer.ip()).then(|| (allocation.relayed, peer, data.value.to_vec()))
            }
            _ => None,
        }
    }

    fn answer(&mut self, now: Instant, client: SocketAddr, request: &Message<'_>) -> Option<Vec<u8>> {
        if request.validate_integrity_with_key(&self.key).is_err() {
            let mut out = refusal(request, 401)?;
            out.add_attribute(&Realm::new(REALM).ok()?).ok()?;
            out.add_attribute(&Nonce::new(NONCE).ok()?).ok()?;
            return Some(out.finish());
        }
        let mut out = match request.method().value() {
            ALLOCATE => self.allocate(now, client, request),
            REFRESH => self.refresh(now, client, request),
            CREATE_PERMISSION | CHANNEL_BIND => self.permit(now, client, request),
            _ => refusal(request, 400),
        }?;
        out.add_message_integrity_with_key(&self.key, IntegrityAlgorithm::Sha1).ok()?;
        Some(out.finish())
    }

    fn allocate(
        &mut self,
        now: Instant,
        client: SocketAddr,
        request: &Message<'_>,
    ) -> Option<MessageWriteVec> {
        // A client that asks again from the same port did not hear the first answer.
        let known = self.allocations.iter().find(|one| one.client == client).map(|one| one.relayed);
        if known.is_none() && self.allocations.len() == MAX_ALLOCATIONS {
            return refusal(request, 508);
        }
        let relayed = known.unwrap_or_else(|| {
            let relayed = self.free_port();
            let until = now + Duration::from_secs(MAX_LIFETIME.into());
            let (permissions, channels) = Default::default();
            self.allocations.push(Allocation { client, relayed, until, permissions, channels });
            relayed
        });
        let id = request.transaction_id();
        let mut out = Message::builder_success(request, MessageWriteVec::new());
        out.add_attribute(&XorSocketAddr::new(relayed, id).to_raw(XOR_RELAYED_ADDRESS)).ok()?;
        out.add_attribute(&XorSocketAddr::new(client, id).to_raw(XOR_MAPPED_ADDRESS)).ok()?;
        out.add_attribute(&RawAttribute::new(LIFETIME, &MAX_LIFETIME.to_be_bytes())).ok()?;
        Some(out)
    }

    fn free_port(&mut self) -> SocketAddr {
        loop {
            let relayed = SocketAddr::new(self.address.ip(), self.next_port);
            self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
            if self.allocations.iter().all(|one| one.relayed != relayed) {
                return relayed;
            }
        }
    }

    fn refresh(
        &mut self,
        now: Instant,
        client: SocketAddr,
        request: &Message<'_>,
    ) -> Option<MessageWriteVec> {
        let asked = request.raw_attribute(LIFETIME);
        let asked = asked.and_then(|raw| raw.value.as_ref().try_into().ok().map(u32::from_be_bytes));
        let lifetime = asked.unwrap_or(MAX_LIFETIME).min(MAX_LIFETIME);
        if self.keeps && lifetime == 0 {
            return None;
        }
        let Some(allocation) = self.allocations.iter_mut().find(|one| one.client == client) else {
            return refusal(request, 437);
        };
        allocation.until = now + Duration::from_secs(lifetime.into());
        self.expire(now);
        let mut out = Message::builder_success(request, MessageWriteVec::new());
        out.add_attribute(&RawAttribute::new(LIFETIME, &lifetime.to_be_bytes())).ok()?;
        Some(out)
    }

    /// CreatePermission and ChannelBind, which makes a permission too.
    fn permit(&mut self, now: Instant, client: SocketAddr, request: &Message<'_>) -> Option<MessageWriteVec> {
        let Some(allocation) = self.allocations.iter_mut().find(|one| one.client == client) else {
            return refusal(request, 437);
        };
        let Some(peer) = peer_of(request) else { return refusal(request, 400) };
        if request.method().value() == CHANNEL_BIND {
            let raw = request.raw_attribute(CHANNEL_NUMBER)?;
            let number = u16::from_be_bytes(raw.value.get(..2)?.try_into().ok()?);
            // RFC 8656 section 12: a number is for one peer, and a peer has one number.
            let is_other =
                |(one, other, _): &(u16, SocketAddr, Instant)| (*one == number) != (*other == peer);
            if !(0x4000..0x5000).contains(&number) || allocation.channels.iter().any(is_other) {
                return refusal(request, 400);
            }
            allocation.channels.retain(|(one, ..)| *one != number);
            allocation.channels.push((number, peer, now + CHANNEL));
        }
        allocation.permit(now, peer.ip());
        Some(Message::builder_success(request, MessageWriteVec::new()))
    }
}

fn peer_of(message: &Message<'_>) -> Option<SocketAddr> {
    let raw = message.raw_attribute(XOR_PEER_ADDRESS)?;
    Some(XorSocketAddr::from_raw(&raw).ok()?.addr(message.transaction_id()))
}

fn refusal(request: &Message<'_>, code: u16) -> Option<MessageWriteVec> {
    let mut out = Message::builder_error(request, MessageWriteVec::new());
    out.add_attribute(&ErrorCode::new(code, "no").ok()?).ok()?;
    Some(out)
}

fn data_indication(peer: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    // The number of an indication is not used by anybody.
    let id = 1u128.into();
    let kind = MessageType::from_class_method(MessageClass::Indication, Method::new(DATA));
    let mut out = Message::builder(kind, id, MessageWriteVec::new());
    out.add_attribute(&XorSocketAddr::new(peer, id).to_raw(XOR_PEER_ADDRESS)).ok()?;
    out.add_attribute(&RawAttribute::new(CONTENTS, bytes)).ok()?;
    Some(out.finish())
}
