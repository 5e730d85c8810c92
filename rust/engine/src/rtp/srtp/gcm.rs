//! AES in Galois/counter mode (RFC 7714).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use aws_lc_rs::error::Unspecified;

use super::cm::derive;

pub const SALT: usize = 12;

/// The keys of one direction, of RTP or of RTCP.
pub struct Keys {
    key: LessSafeKey,
    salt: [u8; SALT],
}

impl Keys {
    /// `first_label`: 0 for RTP, 3 for RTCP.
    pub fn new(master: &[u8], salt: &[u8], first_label: u8) -> Result<Keys, Unspecified> {
        let mut session_salt = [0; SALT];
        session_salt.copy_from_slice(&derive(master, salt, first_label + 2, SALT)?);
        Keys::of(&derive(master, salt, first_label, master.len())?, session_salt)
    }

    fn of(key: &[u8], salt: [u8; SALT]) -> Result<Keys, Unspecified> {
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        Ok(Keys { key: LessSafeKey::new(UnboundKey::new(algorithm, key)?), salt })
    }

    /// `index`: of RTP rollover counter << 16 | sequence number, of RTCP its own index. Both are at the end.
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut bytes = self.salt;
        for (at, byte) in ssrc.to_be_bytes().into_iter().enumerate() {
            bytes[2 + at] ^= byte;
        }
        for (at, byte) in index.to_be_bytes()[2..].iter().enumerate() {
            bytes[6 + at] ^= byte;
        }
        Nonce::assume_unique_for_key(bytes)
    }

    /// Encrypt `body`, and return its tag. `associated` is what is authentic and not encrypted.
    pub fn seal(
        &self,
        body: &mut [u8],
        (ssrc, index): (u32, u64),
        associated: &[u8],
    ) -> Result<Tag, Unspecified> {
        self.key.seal_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(associated), body)
    }

    /// Decrypt, if it is authentic. `body` is what was encrypted, without the tag.
    pub fn open(
        &self,
        body: &mut [u8],
        tag: &[u8],
        (ssrc, index): (u32, u64),
        associated: &[u8],
    ) -> Result<(), Unspecified> {
        let nonce = self.nonce(ssrc, index);
        self.key.open_in_place_separate_tag(nonce, Aad::from(associated), tag, body).map(drop)
    }

    pub const TAG: usize = 16;
}

#[cfg(test)]
mod tests {
    use super::super::hex;
    use super::*;

    /// RFC 7714 section 16.1.1 and 17.1: AEAD_AES_128_GCM of RTP and of RTCP.
    #[test]
    fn packets_are_those_of_the_rfc() {
        let mut salt = [0; SALT];
        salt.copy_from_slice(&hex("51756964207072 6f2071756f"));
        let keys = Keys::of(&hex("000102030405060708090a0b0c0d0e0f"), salt).expect("a key");
        let header = hex("8040f17b8041f8d35501a0b2");
        let plain = hex("47616c6c696120657374206f6d6e697320646976697361 20696e207061727465732074726573");
        let mut packet = [header.clone(), plain.clone()].concat();
        let tag = keys.seal(&mut packet[12..], (0x5501_a0b2, 0xf17b), &header).expect("sealed");
        packet.extend_from_slice(tag.as_ref());
        let sealed = hex(
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
        );
        assert_eq!(packet[12..], sealed);
        let (body, tag) = packet[12..].split_at_mut(plain.len());
        keys.open(body, tag, (0x5501_a0b2, 0xf17b), &header).expect("authentic");
        assert_eq!(body, plain);
    }
}
