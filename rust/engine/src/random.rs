//! Random bytes that follow from a key: the caller brings the entropy, so that a test can repeat a run.

use aws_lc_rs::hmac;

/// A stream of pseudo-random bytes: HMAC-SHA256 of a counter. It cannot be predicted without the key.
pub struct Random {
    key: hmac::Key,
    counter: u64,
}

impl Random {
    /// Start a stream. `seed` comes from the system's generator; in tests it is a constant.
    pub fn new(seed: [u8; 32]) -> Random {
        Random { key: hmac::Key::new(hmac::HMAC_SHA256, &seed), counter: 0 }
    }

    /// Another stream, which takes nothing from this one.
    pub(crate) fn branch(&self, name: &str) -> Random {
        let mut seed = [0; 32];
        seed.copy_from_slice(hmac::sign(&self.key, name.as_bytes()).as_ref());
        Random::new(seed)
    }

    /// The next `N` bytes, at most 32.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= 32) };
        self.counter += 1;
        let tag = hmac::sign(&self.key, &self.counter.to_be_bytes());
        let mut out = [0; N];
        out.copy_from_slice(&tag.as_ref()[..N]);
        out
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        let bits = u64::from_be_bytes(self.bytes()) >> 11;
        bits as f64 / (1u64 << 53) as f64
    }
}
