//! Self-signed ECDSA certificates: made, read, written, and their fingerprints (RFC 8827 section 6.5, RFC 8122).

use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use der::asn1::ObjectIdentifier;
use der::pem::LineEnding;
use der::{Decode, DecodePem, Encode, SecretDocument};

use crate::random::Random;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// The validity starts a day early: clocks of peers differ (libwebrtc does the same).
const BACKDATED: Duration = Duration::from_secs(86_400);

/// A certificate and its private key, both DER.
#[derive(Clone)]
pub struct Certificate {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
    expires: u64,
}

impl Certificate {
    /// Make an ECDSA P-256 certificate. `now` is Unix time in seconds; `random` gives its serial number.
    pub fn generate(now: u64, valid_for: Duration, random: &mut Random) -> Result<Certificate, String> {
        let failed = |error: rcgen::Error| format!("the certificate could not be made: {error}");
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let expires = now.saturating_add(valid_for.as_secs());
        let mut params = rcgen::CertificateParams::default();
        let mut name = rcgen::DistinguishedName::new();
        name.push(rcgen::DnType::CommonName, "WebRTC");
        params.distinguished_name = name;
        params.not_before = date(now.saturating_sub(BACKDATED.as_secs()))?;
        params.not_after = date(expires)?;
        // Unique among all certificates of all machines: Firefox keeps a table by issuer and serial number.
        params.serial_number = Some(random.bytes::<16>().to_vec().into());
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Certificate { certificate: certificate.der().to_vec(), private_key: key.serialize_der(), expires })
    }

    /// Read a PEM pair. The error names what is wrong with it.
    pub fn from_pem(certificate: &str, private_key: &str) -> Result<Certificate, String> {
        let parsed = x509_cert::Certificate::from_pem(certificate)
            .map_err(|error| format!("the certificate is not PEM of X.509: {error}"))?;
        let curve = curve(&parsed)?;
        let (_, key) = SecretDocument::from_pem(private_key)
            .map_err(|error| format!("the private key is not PEM: {error}"))?;
        let pair = key_pair(curve, key.as_bytes()).ok_or(
            "the private key is not an unencrypted ECDSA key of the certificate's curve (PKCS#8 or SEC1)",
        )?;
        let public = parsed.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
        if pair.public_key().as_ref() != public {
            return Err("the private key does not belong to the certificate".into());
        }
        let expires = parsed.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
        let certificate =
            parsed.to_der().map_err(|error| format!("the certificate cannot be encoded: {error}"))?;
        Ok(Certificate { certificate, private_key: key.as_bytes().to_vec(), expires })
    }

    /// Certificate and private key as PEM.
    pub fn to_pem(&self) -> Result<(String, String), String> {
        let failed = |error: der::Error| format!("the certificate cannot be written: {error}");
        let certificate = x509_cert::Certificate::from_der(&self.certificate).map_err(failed)?;
        let certificate = der::EncodePem::to_pem(&certificate, LineEnding::LF).map_err(failed)?;
        let label = if is_pkcs8(&self.private_key) { "PRIVATE KEY" } else { "EC PRIVATE KEY" };
        let key = SecretDocument::try_from(self.private_key.as_slice()).map_err(failed)?;
        let key = key.to_pem(label, LineEnding::LF).map_err(failed)?;
        Ok((certificate, key.to_string()))
    }

    /// The DER of the certificate.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// Unix time in seconds.
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// Uppercase hex pairs joined by colons; None for an algorithm that is not offered.
    pub fn fingerprint(&self, algorithm: &str) -> Option<String> {
        let algorithm = match algorithm {
            "sha-256" => &digest::SHA256,
            "sha-384" => &digest::SHA384,
            "sha-512" => &digest::SHA512,
            _ => return None,
        };
        let pairs: Vec<String> = digest::digest(algorithm, &self.certificate)
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        Some(pairs.join(":"))
    }

    pub(crate) fn for_dtls(&self) -> dimpl::DtlsCertificate {
        dimpl::DtlsCertificate {
            certificate: self.certificate.clone(),
            private_key: self.private_key.clone(),
        }
    }
}

/// Return the type of key in a peer's certificate, in words, if the DTLS engine cannot use it.
pub(crate) fn unsupported_key(certificate: &[u8]) -> Option<String> {
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    curve(&parsed).err()
}

fn curve(certificate: &x509_cert::Certificate) -> Result<ObjectIdentifier, String> {
    let algorithm = &certificate.tbs_certificate().subject_public_key_info().algorithm;
    let wanted = "an ECDSA key on P-256 or P-384 is needed";
    match algorithm.oid {
        EC_PUBLIC_KEY => {}
        RSA => return Err(format!("the certificate has an RSA key; {wanted}")),
        ED25519 => return Err(format!("the certificate has an Ed25519 key; {wanted}")),
        oid => return Err(format!("the certificate has a key of the kind {oid}; {wanted}")),
    }
    let parameters = algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    match parameters {
        Some(curve @ (P256 | P384)) => Ok(curve),
        Some(curve) => Err(format!("the certificate has an ECDSA key on the curve {curve}; {wanted}")),
        None => Err(format!("the certificate has an ECDSA key without a named curve; {wanted}")),
    }
}

fn key_pair(curve: ObjectIdentifier, der: &[u8]) -> Option<EcdsaKeyPair> {
    let algorithm =
        if curve == P256 { &ECDSA_P256_SHA256_ASN1_SIGNING } else { &ECDSA_P384_SHA384_ASN1_SIGNING };
    EcdsaKeyPair::from_pkcs8(algorithm, der)
        .or_else(|_| EcdsaKeyPair::from_private_key_der(algorithm, der))
        .ok()
}

fn is_pkcs8(der: &[u8]) -> bool {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der).is_ok()
        || EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, der).is_ok()
}

fn date(unix: u64) -> Result<time::OffsetDateTime, String> {
    i64::try_from(unix)
        .ok()
        .and_then(|unix| time::OffsetDateTime::from_unix_timestamp(unix).ok())
        .ok_or_else(|| format!("the certificate cannot be valid until {unix} (Unix time, seconds)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> Random {
        Random::new([7; 32])
    }

    #[test]
    fn a_certificate_survives_its_pem() {
        let made =
            Certificate::generate(1_800_000_000, Duration::from_secs(3600), &mut random()).expect("made");
        let (certificate, key) = made.to_pem().expect("written");
        let read = Certificate::from_pem(&certificate, &key).expect("read");
        assert_eq!(read.der(), made.der());
        assert_eq!(read.expires(), 1_800_003_600);
        assert_eq!(read.fingerprint("sha-256"), made.fingerprint("sha-256"));
    }

    #[test]
    fn fingerprints_are_uppercase_pairs_of_the_algorithms_length() {
        let made =
            Certificate::generate(1_800_000_000, Duration::from_secs(3600), &mut random()).expect("made");
        for (algorithm, bytes) in [("sha-256", 32), ("sha-384", 48), ("sha-512", 64)] {
            let text = made.fingerprint(algorithm).expect(algorithm);
            assert_eq!(text.split(':').count(), bytes);
            assert!(
                text.bytes().all(|c| c == b':' || c.is_ascii_digit() || (b'A'..=b'F').contains(&c)),
                "{text}"
            );
        }
        assert_eq!(made.fingerprint("sha-1"), None);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let one = Certificate::generate(1_800_000_000, Duration::from_secs(60), &mut random()).expect("made");
        let two = Certificate::generate(1_800_000_000, Duration::from_secs(60), &mut random()).expect("made");
        let error = Certificate::from_pem(&one.to_pem().expect("pem").0, &two.to_pem().expect("pem").1);
        assert!(error.err().expect("refused").contains("does not belong"));
    }

    #[test]
    fn what_is_not_pem_is_named() {
        assert!(Certificate::from_pem("x", "y").err().expect("refused").contains("not PEM"));
    }
}
