//! AES in counter mode with HMAC-SHA1 (RFC 3711), and the derivation of session keys, which every profile uses.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;

const TAG: usize = 10;
pub const SALT: usize = 14;

/// AES in counter mode, keyed.
struct CounterMode(EncryptingKey);

impl CounterMode {
    fn new(key: &[u8]) -> Result<CounterMode, Unspecified> {
        let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
        Ok(CounterMode(EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key)?)?))
    }

    fn apply(&self, counter: [u8; 16], bytes: &mut [u8]) -> Result<(), Unspecified> {
        self.0.less_safe_encrypt(bytes, EncryptionContext::Iv128(counter.into())).map(drop)
    }
}

/// RFC 3711 section 4.3: the session key of this label and length. A salt of 96 bits is filled up with zeros (RFC 7714
/// section 11).
pub fn derive(master: &[u8], salt: &[u8], label: u8, length: usize) -> Result<Vec<u8>, Unspecified> {
    let mut counter = [0; 16];
    counter[..salt.len()].copy_from_slice(salt);
    counter[7] ^= label;
    let mut key = vec![0; length];
    CounterMode::new(master)?.apply(counter, &mut key)?;
    Ok(key)
}

/// The keys of one direction, of RTP or of RTCP.
pub struct Keys {
    cipher: CounterMode,
    authentication: hmac::Key,
    salt: [u8; SALT],
}

impl Keys {
    /// `first_label`: 0 for RTP, 3 for RTCP.
    pub fn new(master: &[u8], salt: &[u8], first_label: u8) -> Result<Keys, Unspecified> {
        let cipher = CounterMode::new(&derive(master, salt, first_label, master.len())?)?;
        let authentication = derive(master, salt, first_label + 1, 20)?;
        let mut session_salt = [0; SALT];
        session_salt.copy_from_slice(&derive(master, salt, first_label + 2, SALT)?);
        Ok(Keys {
            cipher,
            authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &authentication),
            salt: session_salt,
        })
    }

    fn counter(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut counter = [0; 16];
        counter[..SALT].copy_from_slice(&self.salt);
        for (at, byte) in ssrc.to_be_bytes().into_iter().enumerate() {
            counter[4 + at] ^= byte;
        }
        for (at, byte) in index.to_be_bytes()[2..].iter().enumerate() {
            counter[8 + at] ^= byte;
        }
        counter
    }

    fn tag(&self, packet: &[u8], tail: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.authentication);
        context.update(packet);
        context.update(tail);
        context.sign()
    }

    /// Encrypt what follows the first `header` bytes, and add the tag over all of it and `tail`. With `is_sent` the
    /// packet carries `tail`.
    pub fn seal(
        &self,
        packet: &mut Vec<u8>,
        header: usize,
        (ssrc, index): (u32, u64),
        (tail, is_sent): ([u8; 4], bool),
    ) -> Result<(), Unspecified> {
        self.cipher.apply(self.counter(ssrc, index), &mut packet[header..])?;
        let tag = self.tag(packet, &tail);
        if is_sent {
            packet.extend_from_slice(&tail);
        }
        packet.extend_from_slice(&tag.as_ref()[..TAG]);
        Ok(())
    }

    /// Whether the tag is right. `packet` is without it and without the tail.
    pub fn is_authentic(&self, packet: &[u8], tail: [u8; 4], tag: &[u8]) -> bool {
        let expected = self.tag(packet, &tail);
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected.as_ref()[..TAG], tag).is_ok()
    }

    /// Decrypt what [`Keys::is_authentic`] has found authentic.
    pub fn open(&self, body: &mut [u8], ssrc: u32, index: u64) -> Result<(), Unspecified> {
        self.cipher.apply(self.counter(ssrc, index), body)
    }

    pub const TAG: usize = TAG;
}

#[cfg(test)]
mod tests {
    use super::super::hex;
    use super::*;

    /// RFC 3711 appendix B.3.
    #[test]
    fn session_keys_are_those_of_the_rfc() {
        let master = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        let key = |label, length| derive(&master, &salt, label, length).expect("a key");
        assert_eq!(key(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(key(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(key(1, 20), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    }

    /// RFC 3711 appendix B.2.
    #[test]
    fn the_key_stream_is_that_of_the_rfc() {
        let cipher = CounterMode::new(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).expect("a key");
        let mut counter = [0; 16];
        counter[..14].copy_from_slice(&hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"));
        let mut stream = vec![0; 32];
        cipher.apply(counter, &mut stream).expect("a stream");
        assert_eq!(stream, hex("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB"));
    }
}
