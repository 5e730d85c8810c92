//! DTLS: one handshake per transport, its fingerprint check, its end (RFC 8827 section 6.5, closing rules 60, 61, 71).
//!
//! The crate `dimpl` speaks DTLS 1.2 and 1.3 and knows ECDSA certificates only.

pub mod fingerprint;
pub mod material;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dimpl::{CertificateError, Error, SecurityError, SrtpProfile, UnexpectedMessageError};

use crate::certificate::{self, Certificate};
use crate::lines;
use fingerprint::Fingerprint;
use material::Material;

/// 1280 bytes, the smallest IPv6 MTU, less the headers of IPv6 and UDP. An SCTP packet of 1191 bytes fits with the
/// overhead of either version, and a handshake flight passes every path.
const MTU: usize = 1232;
/// First retransmission of a flight. RFC 9147 section 5.8.1 lets a datagram protocol that knows its RTT use less than
/// the 1 s it starts from; ICE has just measured one round trip.
const FLIGHT_RTO: Duration = Duration::from_millis(200);
/// The end of the doubling. RFC 9147 section 5.8.2 allows up to 60 s, because of congestion. But a flight is three
/// datagrams, ICE itself sends more, and people wait.
const FLIGHT_MAX_RTO: Duration = Duration::from_millis(800);
/// Enough for the whole of the handshake's own bound, which is what ends it.
const FLIGHT_RETRIES: usize = 60;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Datagrams of the peer's first flight that are kept until its fingerprint is known.
const MAX_EARLY: usize = 8;
/// RFC 8122 section 6.2: what is said when no fingerprint matches.
const BAD_CERTIFICATE: u8 = 42;
/// How often a fatal alert is said again.
const ALERT_REPEATS: u8 = 10;

/// RTCDtlsTransportState without "new": before `start` there is nothing to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsState {
    New,
    Connecting,
    Connected,
    Closed,
    Failed,
}

impl DtlsState {
    pub fn name(self) -> &'static str {
        match self {
            DtlsState::New => "new",
            DtlsState::Connecting => "connecting",
            DtlsState::Connected => "connected",
            DtlsState::Closed => "closed",
            DtlsState::Failed => "failed",
        }
    }
}

/// Why a transport failed: RTCErrorDetailType and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtlsFailure {
    /// "dtls-failure" or "fingerprint-failure"
    pub detail: &'static str,
    pub message: String,
    pub sent_alert: Option<u8>,
    pub received_alert: Option<u8>,
}

impl DtlsFailure {
    fn plain(message: String) -> DtlsFailure {
        DtlsFailure { detail: "dtls-failure", message, sent_alert: None, received_alert: None }
    }
}

/// One thing that the DTLS engine gives. Slices point into the caller's buffer.
#[derive(Debug)]
pub enum Output<'a> {
    /// Nothing until a packet, a call or the timeout.
    Idle,
    Packet(&'a [u8]),
    Data(&'a [u8]),
    Connected {
        certificate: Vec<u8>,
    },
    /// The peer said close_notify.
    CloseNotify,
    Failed(DtlsFailure),
}

pub struct Dtls {
    engine: Engine,
    state: DtlsState,
    peer_certificate: Option<Vec<u8>>,
    srtp_profile: Option<&'static str>,
    /// The keys for media, until they are taken.
    material: Option<Material>,
    timeout: Option<Instant>,
    now: Instant,
    failure: Option<DtlsFailure>,
    /// Our fatal alert, and how often it may be said again.
    alert: Option<(u8, u8)>,
}

/// How to start a handshake.
struct Start {
    client: bool,
    fingerprints: Vec<Fingerprint>,
}

enum Engine {
    /// Before `start`: the peer may be faster than its fingerprint.
    Early {
        certificate: Arc<Certificate>,
        datagrams: Vec<Vec<u8>>,
        /// How to start, as soon as there is a path.
        wanted: Option<Start>,
    },
    Running {
        dtls: Box<dimpl::Dtls>,
        fingerprints: Vec<Fingerprint>,
        client: bool,
    },
}

impl Dtls {
    pub fn new(now: Instant, certificate: Arc<Certificate>) -> Dtls {
        Dtls {
            engine: Engine::Early { certificate, datagrams: Vec::new(), wanted: None },
            state: DtlsState::New,
            peer_certificate: None,
            srtp_profile: None,
            material: None,
            timeout: None,
            now,
            failure: None,
            alert: None,
        }
    }

    pub fn state(&self) -> DtlsState {
        self.state
    }

    pub fn is_running(&self) -> bool {
        matches!(self.engine, Engine::Running { .. }) && !self.is_over()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timeout.filter(|_| self.is_running())
    }

    /// The protocol's number as hex digits, "FEFD" for DTLS 1.2, "FEFC" for 1.3; None while it is open.
    pub fn version(&self) -> Option<&'static str> {
        let Engine::Running { dtls, .. } = &self.engine else { return None };
        match dtls.protocol_version()? {
            dimpl::ProtocolVersion::DTLS1_2 => Some("FEFD"),
            dimpl::ProtocolVersion::DTLS1_3 => Some("FEFC"),
            _ => None,
        }
    }

    /// The cipher suite by its name in IANA's registry, once the handshake is done.
    pub fn cipher_suite(&self) -> Option<&'static str> {
        let Engine::Running { dtls, .. } = &self.engine else { return None };
        cipher_suite_name(dtls.cipher_suite().filter(|_| self.state == DtlsState::Connected)?)
    }

    /// The SRTP protection profile that was agreed on, by its name in IANA's registry.
    pub fn srtp_profile(&self) -> Option<&'static str> {
        self.srtp_profile
    }

    /// The keys for media, once: with the same keys no second context may begin.
    pub fn take_material(&mut self) -> Option<Material> {
        self.material.take()
    }

    pub fn is_client(&self) -> Option<bool> {
        match self.engine {
            Engine::Running { client, .. } => Some(client),
            Engine::Early { .. } => None,
        }
    }

    /// Have [`Dtls::start`] start as this role. False: it was called before, or it is over already.
    pub fn want(&mut self, client: bool, fingerprints: Vec<Fingerprint>) -> bool {
        match &mut self.engine {
            Engine::Early { wanted: wanted @ None, .. } if self.state == DtlsState::New => {
                *wanted = Some(Start { client, fingerprints });
                true
            }
            _ => false,
        }
    }

    /// Start the handshake if it is wanted. ICE has a pair by now. True: it has started.
    pub fn start(&mut self, now: Instant) -> bool {
        let Engine::Early { certificate, datagrams, wanted } = &mut self.engine else { return false };
        if self.state != DtlsState::New {
            return false;
        }
        let Some(Start { client, fingerprints }) = wanted.take() else { return false };
        let early = std::mem::take(datagrams);
        let mut dtls = dimpl::Dtls::new_auto(config(), certificate.for_dtls(), now);
        dtls.set_active(client);
        self.engine = Engine::Running { dtls: Box::new(dtls), fingerprints, client };
        self.state = DtlsState::Connecting;
        self.now = now;
        log::debug!(target: lines::DTLS, "= handshake begins as {}", if client { "client" } else { "server" });
        self.handle_timeout(now);
        for datagram in early {
            self.handle_datagram(now, &datagram);
        }
        true
    }

    /// Feed one datagram; then call [`Dtls::poll_output`] until it is idle. False: it was dropped.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> bool {
        if self.is_over() {
            self.repeat_alert();
            return false;
        }
        if let Engine::Early { datagrams, .. } = &mut self.engine {
            let keep = datagrams.len() < MAX_EARLY;
            if keep {
                datagrams.push(datagram.to_vec());
            }
            return keep;
        }
        if now != self.now {
            self.handle_timeout(now); // the engine's clock has to be right before a packet is seen
        }
        let Engine::Running { dtls, .. } = &mut self.engine else { return false };
        let result = dtls.handle_packet(datagram);
        match (&result, refusal(datagram)) {
            (Err(error), Some(description)) if is_stray(error) => {
                // The engine has chosen no version yet, so it does not look into what a server answers but for hellos.
                self.failure = Some(refused(description));
                false
            }
            _ => self.check(result),
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.is_over() {
            return;
        }
        let Engine::Running { dtls, .. } = &mut self.engine else { return };
        let result = dtls.handle_timeout(now);
        self.check(result);
    }

    /// Encrypt one application datagram; the next [`Dtls::poll_output`] gives it. False: it cannot be sent.
    pub fn send(&mut self, data: &[u8]) -> bool {
        let Engine::Running { dtls, .. } = &mut self.engine else { return false };
        if self.state != DtlsState::Connected {
            return false;
        }
        match dtls.send_application_data(data) {
            Ok(_) => true,
            Err(error) => {
                self.failure = Some(failure(&error, self.peer_certificate.as_deref()));
                false
            }
        }
    }

    /// Write the next encrypted record to `room`, and look at nothing else: for the batch of records that
    /// [`Dtls::send`] encrypts. [`Dtls::poll_output`] must follow after the last one.
    pub fn poll_transmit(&mut self, room: &mut [u8]) -> Option<usize> {
        let Engine::Running { dtls, .. } = &mut self.engine else { return None };
        match dtls.poll_output(room) {
            dimpl::Output::Packet(packet) => Some(packet.len()),
            _ => None,
        }
    }

    /// Say close_notify if the handshake is done; the next [`Dtls::poll_output`] gives it. Nothing follows it.
    pub fn close(&mut self) {
        if let (Engine::Running { dtls, .. }, DtlsState::Connected) = (&mut self.engine, self.state) {
            // An error means that the engine is closed already: then there is nothing left to say.
            if dtls.close().is_ok() {
                log::debug!(target: lines::DTLS, "> close_notify");
            }
        }
        if self.state != DtlsState::Failed {
            self.state = DtlsState::Closed;
        }
    }

    /// The next thing that the engine gives, written to `buffer`. Packets, data and events come in one order.
    pub fn poll_output<'a>(&mut self, buffer: &'a mut Vec<u8>) -> Output<'a> {
        loop {
            if let Some(failure) = self.failure.take() {
                self.state = DtlsState::Failed;
                return Output::Failed(failure);
            }
            let Engine::Running { dtls, .. } = &mut self.engine else { return Output::Idle };
            let is_failed = self.state == DtlsState::Failed;
            if is_failed && self.alert.is_none() {
                return Output::Idle;
            }
            // Lengths instead of slices inside the loop: the borrow of `buffer` may not outlive a turn of it.
            let (is_packet, length) = match dtls.poll_output(buffer) {
                dimpl::Output::Packet(packet) => (true, packet.len()),
                dimpl::Output::ApplicationData(_) | dimpl::Output::CloseNotify if is_failed => continue,
                dimpl::Output::ApplicationData(data) => (false, data.len()),
                dimpl::Output::BufferTooSmall { needed } => {
                    buffer.resize(needed, 0);
                    continue;
                }
                dimpl::Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return Output::Idle;
                }
                dimpl::Output::PeerCert(certificate) => {
                    let certificate = certificate.to_vec();
                    self.handle_certificate(certificate);
                    continue;
                }
                dimpl::Output::Connected => match self.handle_connected() {
                    Some(certificate) => return Output::Connected { certificate },
                    None => continue,
                },
                dimpl::Output::KeyingMaterial(keys, profile) => {
                    self.srtp_profile = srtp_profile_name(profile);
                    let is_client = self.is_client().unwrap_or(false);
                    self.material = Material::new(profile, &keys, is_client);
                    continue;
                }
                dimpl::Output::CloseNotify => {
                    log::debug!(target: lines::DTLS, "< close_notify");
                    return Output::CloseNotify;
                }
                _ => continue,
            };
            let bytes = &buffer[..length];
            return if is_packet { Output::Packet(bytes) } else { Output::Data(bytes) };
        }
    }

    /// The peer has shown its certificate: it has one of the fingerprints, or the handshake fails.
    fn handle_certificate(&mut self, certificate: Vec<u8>) {
        let Engine::Running { dtls, fingerprints, .. } = &mut self.engine else { return };
        if !fingerprints.iter().any(|fingerprint| fingerprint.matches(&certificate)) {
            let _ = dtls.fail(BAD_CERTIFICATE); // in place of our flight
            self.alert = Some((BAD_CERTIFICATE, ALERT_REPEATS));
            self.failure = Some(DtlsFailure {
                detail: "fingerprint-failure",
                message: "the peer's certificate does not match a fingerprint of its description".into(),
                sent_alert: Some(BAD_CERTIFICATE),
                received_alert: None,
            });
        }
        self.peer_certificate = Some(certificate);
    }

    /// The handshake is done. Returns the peer's certificate: without one nothing was proved (closing rule 61).
    fn handle_connected(&mut self) -> Option<Vec<u8>> {
        let Some(certificate) = self.peer_certificate.clone() else {
            self.failure = Some(DtlsFailure::plain("the peer showed no certificate".into()));
            return None;
        };
        if self.state != DtlsState::Connecting {
            return None;
        }
        self.state = DtlsState::Connected;
        self.log_connected();
        Some(certificate)
    }

    fn log_connected(&self) {
        let version = if self.version() == Some("FEFC") { "1.3" } else { "1.2" };
        let cipher = self.cipher_suite().unwrap_or("a cipher that has no name here");
        log::debug!(target: lines::DTLS, "= connected by DTLS {version}, {cipher}");
    }

    fn is_over(&self) -> bool {
        matches!(self.state, DtlsState::Closed | DtlsState::Failed)
    }

    /// Send an alert again (RFC 9147 section 5.10) when the peer goes on because it missed the first one. The number is
    /// bounded, because two peers may refuse each other.
    fn repeat_alert(&mut self) {
        if let (Engine::Running { dtls, .. }, Some((alert, left @ 1..))) = (&mut self.engine, &mut self.alert)
        {
            *left -= 1;
            let _ = dtls.fail(*alert); // what can not be sent may be lost
        }
    }

    /// Every error of the engine is final, but for one: a stray first datagram to a client that has not chosen its
    /// version yet.
    fn check(&mut self, result: Result<(), Error>) -> bool {
        match result {
            Ok(()) => true,
            Err(error) if is_stray(&error) => false,
            Err(error) => {
                let mut failure = failure(&error, self.peer_certificate.as_deref());
                if matches!(error, Error::CertificateError(CertificateError::NoClientCertificateReceived)) {
                    // The one alert that the engine has put out by itself.
                    failure.sent_alert = Some(if self.version() == Some("FEFC") { 116 } else { 40 });
                }
                self.alert = failure.sent_alert.map(|alert| (alert, ALERT_REPEATS));
                self.failure = Some(failure);
                false
            }
        }
    }
}

fn config() -> Arc<dimpl::Config> {
    // Building it runs the crypto provider's self-test: once a process is enough.
    static CONFIG: OnceLock<Arc<dimpl::Config>> = OnceLock::new();
    CONFIG
        .get_or_init(|| {
            let config = dimpl::Config::builder()
                .mtu(MTU)
                .flight_start_rto(FLIGHT_RTO)
                .flight_max_rto(FLIGHT_MAX_RTO)
                .flight_retries(FLIGHT_RETRIES)
                .handshake_timeout(HANDSHAKE_TIMEOUT)
                .build();
            Arc::new(config.expect("constant settings and a tested provider"))
        })
        .clone()
}

fn cipher_suite_name(number: u16) -> Option<&'static str> {
    match number {
        0x1301 => Some("TLS_AES_128_GCM_SHA256"),
        0x1302 => Some("TLS_AES_256_GCM_SHA384"),
        0x1303 => Some("TLS_CHACHA20_POLY1305_SHA256"),
        0xC02B => Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        0xC02C => Some("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        0xCCA9 => Some("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        _ => None,
    }
}

fn srtp_profile_name(profile: SrtpProfile) -> Option<&'static str> {
    match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Some("SRTP_AES128_CM_HMAC_SHA1_80"),
        SrtpProfile::AEAD_AES_128_GCM => Some("SRTP_AEAD_AES_128_GCM"),
        SrtpProfile::AEAD_AES_256_GCM => Some("SRTP_AEAD_AES_256_GCM"),
        _ => None,
    }
}

const ECDSA_ONLY: &str = "a peer needs an ECDSA certificate (P-256 or P-384); RSA is not supported";

fn is_stray(error: &Error) -> bool {
    matches!(error, Error::UnexpectedMessage(UnexpectedMessageError::UnrecognizedAutoServerResponse))
}

/// The description of a fatal alert in plaintext, if that is what the datagram is (RFC 6347 section 4.1, RFC 5246
/// section 7.2).
fn refusal(datagram: &[u8]) -> Option<u8> {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    match *datagram {
        [ALERT, 0xfe, _, 0, 0, _, _, _, _, _, _, 0, 2, FATAL, description] => Some(description),
        _ => None,
    }
}

fn refused(description: u8) -> DtlsFailure {
    let name = alert_name(description);
    // What is said without a common cipher suite: most often it has an RSA certificate.
    let hint = match description {
        40 | 71 => format!("; {ECDSA_ONLY}"),
        BAD_CERTIFICATE => "; our certificate does not match the fingerprint that the peer got".to_owned(),
        _ => String::new(),
    };
    let message = format!("the peer refused the DTLS connection: alert {description} ({name}){hint}");
    DtlsFailure { detail: "dtls-failure", message, sent_alert: None, received_alert: Some(description) }
}

/// Return an error text that helps a person.
fn failure(error: &Error, peer_certificate: Option<&[u8]>) -> DtlsFailure {
    if let Some(reason) = peer_certificate.and_then(certificate::unsupported_key) {
        return DtlsFailure::plain(format!("DTLS failed: {reason}; {ECDSA_ONLY}"));
    }
    match error {
        Error::SecurityError(SecurityError::FatalAlert { description }) => refused(*description),
        Error::SecurityError(
            SecurityError::NoMutuallyAcceptableCipherSuite
            | SecurityError::NoCommonCipherSuite
            | SecurityError::SignatureSchemeNotOffered(_)
            | SecurityError::UnsupportedSignatureScheme(_),
        )
        | Error::CertificateError(_) => DtlsFailure::plain(format!("DTLS failed: {error}; {ECDSA_ONLY}")),
        Error::Timeout(_) => {
            DtlsFailure::plain(format!("the DTLS handshake was not answered in time: {error}"))
        }
        _ => DtlsFailure::plain(format!("DTLS failed: {error}")),
    }
}

/// RFC 8446 section 6.
fn alert_name(description: u8) -> &'static str {
    match description {
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        109 => "missing_extension",
        110 => "unsupported_extension",
        116 => "certificate_required",
        _ => "unknown",
    }
}
