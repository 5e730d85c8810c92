//! TLS to TURN servers: the roots of trust, and what is wrong with a certificate in words.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error,
    InvalidMessage, RootCertStore, SignatureScheme,
};
use x509_cert::der::Decode;

/// The certificates that are trusted: of authorities, or of the server itself.
pub struct Trust {
    config: Arc<ClientConfig>,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

/// Reading them takes the time of some files: once for the process, in a thread of its own.
static PLATFORM: OnceLock<Result<Arc<Trust>, String>> = OnceLock::new();

impl Trust {
    /// Trust the certificates of this text in PEM, and nothing else.
    pub fn from_pem(pem: &[u8]) -> Result<Arc<Trust>, String> {
        let own: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("this is not PEM: {error}"))?;
        let mut roots = RootCertStore::empty();
        for (number, certificate) in own.iter().enumerate() {
            roots
                .add(certificate.clone())
                .map_err(|error| format!("certificate {} of it cannot be read: {error}", number + 1))?;
        }
        if roots.is_empty() {
            return Err("it holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
        }
        Trust::new(roots, own)
    }

    /// The roots of the platform, once [`Trust::load_platform`] has run.
    pub fn platform() -> Option<Result<Arc<Trust>, String>> {
        PLATFORM.get().cloned()
    }

    /// Read the roots of the platform; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
    pub fn load_platform() {
        PLATFORM.get_or_init(|| {
            let loaded = rustls_native_certs::load_native_certs();
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(loaded.certs);
            if roots.is_empty() {
                let why = loaded.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
                return Err(format!(
                    "this machine has no root certificates{why}: install them (ca-certificates), or give your own"
                ));
            }
            Trust::new(roots, Vec::new())
        });
    }

    fn new(roots: RootCertStore, own: Vec<CertificateDer<'static>>) -> Result<Arc<Trust>, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| error.to_string())?;
        let verifier = Verifier { chain, own, provider: provider.clone() };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous() // this is how a verifier of one's own is set; ours asks webpki
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Arc::new(Trust { config: Arc::new(config) }))
    }

    /// A connection to the server of this name, or address as text.
    pub fn connect(&self, name: &str) -> Result<ClientConnection, String> {
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("{name:?} is neither an address nor a name that a certificate can have"))?;
        let mut connection =
            ClientConnection::new(self.config.clone(), server).map_err(|error| error.to_string())?;
        // No bound is needed here: the stream hands over only what it can send.
        connection.set_buffer_limit(None);
        Ok(connection)
    }
}

/// Checks the chain as webpki does, and takes a certificate that was named itself as its own authority.
#[derive(Debug)]
struct Verifier {
    chain: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.own.contains(end_entity) {
            verify_validity(end_entity, now)?;
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.chain.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn verify_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = x509_cert::Certificate::from_der(certificate)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let validity = parsed.tbs_certificate().validity();
    let now = Duration::from_secs(now.as_secs());
    if now < validity.not_before.to_unix_duration() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.to_unix_duration() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// Return the fault in words for a person, with the remedy.
pub fn explain(error: &Error, host: &str) -> String {
    use CertificateError as Bad;
    match error {
        Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => {
                format!("the certificate of {host}, or one above it, has expired: the server needs a new one")
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                format!("the certificate of {host} is not valid yet: look at the clocks of both machines")
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                format!("the certificate of {host} is for another name: use one of its names in the URL")
            }
            Bad::UnknownIssuer => format!(
                "the certificate of {host} has an unknown issuer: give the certificate of its CA, or its own if it \
                 is self-signed; or the server leaves out an intermediate certificate"
            ),
            Bad::BadSignature => format!(
                "the certificate of {host} has an unknown issuer: a CA of the same name is trusted here, but its key \
                 is another one"
            ),
            Bad::Revoked => format!("the certificate of {host} has been revoked"),
            Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
                format!("the certificate of {host} is not for a server")
            }
            // webpki has no name for it here: a CA's certificate in the place of a server's.
            Bad::Other(_) if error.to_string().contains("CaUsedAsEndEntity") => format!(
                "the certificate of {host} is self-signed and not trusted here: give it as a trusted certificate"
            ),
            _ => format!("the certificate of {host} is not trusted: {error}"),
        },
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!("{host} does not use TLS on this port: try turn: in place of turns:")
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure) => format!(
            "{host} refused the TLS handshake: they have no cipher in common, or it asks for a certificate of the \
             client"
        ),
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            format!("{host} uses a TLS version or cipher that is too old: {error}")
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("{host} has no certificate for this name")
        }
        _ => format!("TLS with {host} failed: {error}"),
    }
}
