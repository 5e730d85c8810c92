//! Short-term credentials of one side (RFC 8445 section 5.3), and the integrity that is computed with them.

use aws_lc_rs::hmac;
use is::{IceCreds, Sha1HmacProvider};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub ufrag: String,
    pub pwd: String,
}

impl From<Credentials> for IceCreds {
    fn from(credentials: Credentials) -> IceCreds {
        IceCreds { ufrag: credentials.ufrag, pass: credentials.pwd }
    }
}

#[derive(Debug)]
pub(super) struct Hmac;

pub(super) static HMAC: Hmac = Hmac;

impl Sha1HmacProvider for Hmac {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = hmac::Context::with_key(&key);
        for payload in payloads {
            context.update(payload);
        }
        let mut out = [0; 20];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}
