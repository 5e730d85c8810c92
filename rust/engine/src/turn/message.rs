//! The messages of TURN (RFC 8656) and their integrity by long-term credentials (RFC 8489 section 9.2): bytes to meaning,
//! and back. The crate `stun-types` reads, writes and signs them.

use std::net::SocketAddr;

use stun_types::attribute::{
    AlternateServer, AttributeType, ErrorCode, Nonce, RawAttribute, Realm, Username, XorSocketAddr,
};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass, MessageType,
    MessageWrite, MessageWriteExt, MessageWriteVec, Method, TransactionId,
};

use super::Server;
use crate::lines;

pub(super) type Transaction = [u8; 12];

pub(super) const ALLOCATE: Method = Method::new(3);
pub(super) const REFRESH: Method = Method::new(4);
const SEND: u16 = 0x0016;
const DATA_INDICATION: Method = Method::new(7);
pub(super) const CREATE_PERMISSION: Method = Method::new(8);
pub(super) const CHANNEL_BIND: Method = Method::new(9);

const CHANNEL_NUMBER: AttributeType = AttributeType::new(0x000C);
const LIFETIME: AttributeType = AttributeType::new(0x000D);
const XOR_PEER_ADDRESS: AttributeType = AttributeType::new(0x0012);
const DATA: AttributeType = AttributeType::new(0x0013);
const XOR_RELAYED_ADDRESS: AttributeType = AttributeType::new(0x0016);
const REQUESTED_ADDRESS_FAMILY: AttributeType = AttributeType::new(0x0017);
const REQUESTED_TRANSPORT: AttributeType = AttributeType::new(0x0019);
const XOR_MAPPED_ADDRESS: AttributeType = AttributeType::new(0x0020);

const MAGIC: u32 = 0x2112_A442;
pub(super) const HEADER: usize = 20;
pub(super) const CHANNEL_HEADER: usize = 4;
/// RFC 8489 sections 14.9 and 14.10: fewer than 128 characters, at most 763 bytes.
const MAX_WORD: usize = 763;

/// The words that the server gave to sign with, and the key that follows from it.
pub(super) struct Auth {
    realm: Realm,
    nonce: Nonce,
    key: IntegrityKey,
}

impl Auth {
    /// None: the server's words are malformed or too long.
    pub fn new(server: &Server, realm: &str, nonce: &str) -> Option<Auth> {
        if realm.len() > MAX_WORD || nonce.len() > MAX_WORD {
            return None;
        }
        let credentials = LongTermKeyCredentials::new(
            server.username.clone(),
            server.credential.0.clone(),
            realm.to_owned(),
        );
        Some(Auth {
            realm: Realm::new(realm).ok()?,
            nonce: Nonce::new(nonce).ok()?,
            // RFC 8489 section 18.5.1.1: MD5, which all servers know.
            key: credentials.make_key(IntegrityAlgorithm::Sha1),
        })
    }

    pub fn realm(&self) -> &str {
        self.realm.realm()
    }

    pub fn nonce(&self) -> &str {
        self.nonce.nonce()
    }
}

/// An attribute of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// RFC 8656 section 18.7: UDP, 17.
    Transport,
    /// IPv6; IPv4 is the default.
    Ipv6,
    /// Seconds.
    Lifetime(u32),
    Peer(SocketAddr),
    Channel(u16),
}

/// A request, signed if the server has said with what. None: the user name is longer than RFC 8489 allows.
pub(super) fn request(
    method: Method,
    transaction: Transaction,
    parts: &[Part],
    signer: Option<(&Server, &Auth)>,
) -> Option<Vec<u8>> {
    let id = transaction_id(transaction);
    let kind = MessageType::from_class_method(MessageClass::Request, method);
    let mut out = Message::builder(kind, id, MessageWriteVec::new());
    for part in parts {
        match *part {
            Part::Transport => out.add_attribute(&RawAttribute::new(REQUESTED_TRANSPORT, &[17, 0, 0, 0])),
            Part::Ipv6 => out.add_attribute(&RawAttribute::new(REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])),
            Part::Lifetime(seconds) => {
                out.add_attribute(&RawAttribute::new(LIFETIME, &seconds.to_be_bytes()))
            }
            Part::Peer(peer) => out.add_attribute(&XorSocketAddr::new(peer, id).to_raw(XOR_PEER_ADDRESS)),
            Part::Channel(number) => {
                let [high, low] = number.to_be_bytes();
                out.add_attribute(&RawAttribute::new(CHANNEL_NUMBER, &[high, low, 0, 0]))
            }
        }
        .ok()?;
    }
    if let Some((server, auth)) = signer {
        out.add_attribute(&Username::new(&server.username).ok()?).ok()?;
        out.add_attribute(&auth.realm).ok()?;
        out.add_attribute(&auth.nonce).ok()?;
        out.add_message_integrity_with_key(&auth.key, IntegrityAlgorithm::Sha1).ok()?;
    }
    Some(out.finish())
}

fn transaction_id(transaction: Transaction) -> TransactionId {
    let mut bytes = [0; 16];
    bytes[4..].copy_from_slice(&transaction);
    u128::from_be_bytes(bytes).into()
}

/// The bytes before and in a Send indication up to the datagram itself, whose length is filled in later.
pub(super) fn send_head(peer: SocketAddr, transaction: Transaction) -> Vec<u8> {
    let peer = XorSocketAddr::new(peer, transaction_id(transaction)).to_raw(XOR_PEER_ADDRESS).to_bytes();
    let mut head = Vec::with_capacity(HEADER + peer.len() + 4);
    head.extend_from_slice(&SEND.to_be_bytes());
    head.extend_from_slice(&[0, 0]);
    head.extend_from_slice(&MAGIC.to_be_bytes());
    head.extend_from_slice(&transaction);
    head.extend_from_slice(&peer);
    head.extend_from_slice(&DATA.value().to_be_bytes());
    head.extend_from_slice(&[0, 0]);
    head
}

/// An error that a server answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub code: u16,
    pub reason: String,
    pub realm: Option<String>,
    pub nonce: Option<String>,
    pub alternate: Option<SocketAddr>,
}

/// The contents of a success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Granted {
    pub relayed: Option<SocketAddr>,
    pub mapped: Option<SocketAddr>,
    pub lifetime: Option<u32>,
}

#[derive(Debug)]
pub(super) enum Answer {
    Granted(Granted),
    Refused(Refusal),
}

/// A message of a server.
#[derive(Debug)]
pub(super) enum Incoming<'a> {
    Answer { method: Method, transaction: Transaction, signature: Signature, answer: Answer },
    Data { peer: SocketAddr, data: &'a [u8] },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    None,
    Right,
    Wrong,
}

/// Read a STUN message. None: it is malformed, or a server does not send it.
pub(super) fn read<'a>(datagram: &'a [u8], auth: Option<&Auth>) -> Option<Incoming<'a>> {
    let message = Message::from_bytes(datagram).ok()?;
    let id = message.transaction_id();
    let transaction = datagram.get(8..HEADER)?.try_into().ok()?;
    let address = |name| {
        let raw = message.raw_attribute(name)?;
        Some(XorSocketAddr::from_raw(&raw).ok()?.addr(id))
    };
    let answer = match message.class() {
        MessageClass::Request => return None,
        MessageClass::Indication if message.method() == DATA_INDICATION => {
            let peer = address(XOR_PEER_ADDRESS)?;
            return Some(Incoming::Data { peer, data: data_of(datagram)? });
        }
        MessageClass::Indication => return None,
        MessageClass::Success => {
            let lifetime = message.raw_attribute(LIFETIME);
            let lifetime =
                lifetime.and_then(|raw| raw.value.as_ref().try_into().ok().map(u32::from_be_bytes));
            let (relayed, mapped) = (address(XOR_RELAYED_ADDRESS), address(XOR_MAPPED_ADDRESS));
            Answer::Granted(Granted { relayed, mapped, lifetime })
        }
        MessageClass::Error => {
            let error = message.attribute::<ErrorCode>().ok()?;
            Answer::Refused(Refusal {
                code: error.code(),
                reason: lines::reason(error.reason()),
                realm: message.attribute::<Realm>().ok().map(|realm| realm.realm().to_owned()),
                nonce: message.attribute::<Nonce>().ok().map(|nonce| nonce.nonce().to_owned()),
                alternate: message.attribute::<AlternateServer>().ok().map(|server| server.server()),
            })
        }
    };
    let signature = match auth {
        _ if !has_integrity(&message) => Signature::None,
        Some(auth) if message.validate_integrity_with_key(&auth.key).is_ok() => Signature::Right,
        _ => Signature::Wrong,
    };
    Some(Incoming::Answer { method: message.method(), transaction, signature, answer })
}

fn has_integrity(message: &Message<'_>) -> bool {
    const MESSAGE_INTEGRITY: AttributeType = AttributeType::new(0x0008);
    const MESSAGE_INTEGRITY_SHA256: AttributeType = AttributeType::new(0x001C);
    message.has_attribute(MESSAGE_INTEGRITY) || message.has_attribute(MESSAGE_INTEGRITY_SHA256)
}

/// The DATA of an indication, where it lies: the crate would copy it.
fn data_of(datagram: &[u8]) -> Option<&[u8]> {
    let mut rest = &datagram[HEADER..];
    loop {
        let name = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
        let length = usize::from(u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?));
        if name == DATA.value() {
            return rest.get(4..4 + length);
        }
        rest = rest.get(4 + length.next_multiple_of(4)..)?;
    }
}

/// The number and the contents of ChannelData (RFC 8656 section 12.4). Over UDP padding may follow.
pub(super) fn read_channel(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let number = u16::from_be_bytes(datagram.get(..2)?.try_into().ok()?);
    let length = usize::from(u16::from_be_bytes(datagram.get(2..4)?.try_into().ok()?));
    Some((number, datagram.get(CHANNEL_HEADER..CHANNEL_HEADER + length)?))
}
