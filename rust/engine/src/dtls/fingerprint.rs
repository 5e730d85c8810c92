//! Certificate fingerprints of the SDP (RFC 8122, RFC 8827 section 6.5).

use aws_lc_rs::digest;

/// One `a=fingerprint` of the peer: the hash its certificate must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    algorithm: Algorithm,
    hash: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Fingerprint {
    /// Read the fingerprints of a description. Unknown and weak ones are skipped if another one is left (RFC 8122
    /// section 5); otherwise the error says why.
    pub fn parse_all<'a>(
        offered: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Vec<Fingerprint>, String> {
        let mut usable = Vec::new();
        let mut refused = Vec::new();
        for (algorithm, value) in offered {
            match Fingerprint::parse(algorithm, value)? {
                Some(fingerprint) => usable.push(fingerprint),
                None => refused.push(algorithm.to_owned()),
            }
        }
        if usable.is_empty() {
            return Err(match refused.is_empty() {
                true => "no fingerprint was given".to_owned(),
                false => format!(
                    "fingerprint algorithm {} is refused (weak or unknown): use sha-256, sha-384 or sha-512",
                    refused.join(", ")
                ),
            });
        }
        Ok(usable)
    }

    /// None: an algorithm that is not used here. Err: not a hash of its algorithm.
    fn parse(algorithm: &str, value: &str) -> Result<Option<Fingerprint>, String> {
        let (kind, length) = match algorithm.to_ascii_lowercase().as_str() {
            "sha-256" => (Algorithm::Sha256, 32),
            "sha-384" => (Algorithm::Sha384, 48),
            "sha-512" => (Algorithm::Sha512, 64),
            _ => return Ok(None),
        };
        let hash: Option<Vec<u8>> = value
            .split(':')
            .map(|pair| match pair.len() {
                2 if pair.bytes().all(|c| c.is_ascii_hexdigit()) => u8::from_str_radix(pair, 16).ok(),
                _ => None,
            })
            .collect();
        match hash {
            Some(hash) if hash.len() == length => Ok(Some(Fingerprint { algorithm: kind, hash })),
            _ => Err(format!(
                "fingerprint {algorithm} {value:?} is not {length} pairs of hex digits joined by colons"
            )),
        }
    }

    /// Whether `certificate` (DER) has this hash.
    pub fn matches(&self, certificate: &[u8]) -> bool {
        let algorithm = match self.algorithm {
            Algorithm::Sha256 => &digest::SHA256,
            Algorithm::Sha384 => &digest::SHA384,
            Algorithm::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, certificate).as_ref() == self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
    }

    #[test]
    fn any_of_the_offered_fingerprints_may_match_in_either_case() {
        let hash = text(digest::digest(&digest::SHA256, b"certificate").as_ref());
        let other = text(&[0; 64]);
        let all =
            Fingerprint::parse_all([("SHA-512", other.as_str()), ("sha-256", hash.to_uppercase().as_str())]);
        let all = all.expect("both are well-formed");
        assert!(all.iter().any(|one| one.matches(b"certificate")));
        assert!(!all.iter().any(|one| one.matches(b"another")));
    }

    #[test]
    fn weak_algorithms_are_refused_with_the_reason_but_passed_over_beside_a_strong_one() {
        let error = Fingerprint::parse_all([("sha-1", "AA")]).expect_err("refused");
        assert!(error.contains("sha-1") && error.contains("refused"), "{error}");
        let strong = text(&[1; 32]);
        assert_eq!(
            Fingerprint::parse_all([("sha-224", "AA"), ("sha-256", strong.as_str())]).expect("one").len(),
            1
        );
        assert!(Fingerprint::parse_all([]).is_err());
    }

    #[test]
    fn a_malformed_value_is_named() {
        for value in ["", "AA", "AA:+1", "zz:zz", &format!("{}:", text(&[1; 32]))] {
            let error = Fingerprint::parse_all([("sha-256", value)]).expect_err("malformed");
            assert!(error.contains(value), "{error}");
        }
    }
}
