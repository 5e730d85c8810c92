// What is changed in dimpl 0.9.0, and why. Included by build.rs.

const EDITS: &[Edit] = &[
    // 0. Only so that the source can be included: what may stand only at the top of a crate is in src/lib.rs.
    Edit { file: "lib.rs", find: "//!", put: "//", times: 222 },
    edit(
        "lib.rs",
        "#![forbid(unsafe_code)]\n#![warn(clippy::all)]\n#![allow(unknown_lints)]\n#![deny(missing_docs)]\n#![deny(missing_debug_implementations)]\n\n#[macro_use]\nextern crate log;\n",
        "",
    ),
    // And so that its own tests run, but for those beside implementations in C; those are in tests/interop.
    edit("certificate.rs", "    #[test]\n    fn test_unique_serial_numbers", "    #[cfg(any())] // would need x509-parser\n    fn test_unique_serial_numbers"),
    edit("tests/auto_client_retry.rs", "#![cfg(feature = \"rcgen\")]\n", ""),
    edit("tests/client_hello_recovery.rs", "#![cfg(feature = \"rcgen\")]\n", ""),
    edit("tests/pre_encryption.rs", "#![cfg(feature = \"rcgen\")]\n", ""),
    edit("tests/premature_records.rs", "#![cfg(feature = \"rcgen\")]\n", ""),
    edit("tests/timing.rs", "#![cfg(feature = \"rcgen\")]\n", ""),
    edit("tests/dtls12/main.rs", "#[path = \"../ossl/mod.rs\"]\nmod ossl_helper;\n", ""),
    edit("tests/dtls12/main.rs", "mod ossl;\n", ""),
    edit("tests/dtls12/main.rs", "mod crypto;\n", ""),
    edit("tests/dtls12/main.rs", "mod fragmentation;\n", ""),
    edit("tests/dtls12/handshake.rs", "#[test]\nfn dtls12_handshake_p384_certificate", "#[cfg(any())]\nfn dtls12_handshake_p384_certificate"),
    edit("tests/dtls12/reorder.rs", "#[test]\nfn dtls12_discards_scrambled_datagram", "#[cfg(any())]\nfn dtls12_discards_scrambled_datagram"),
    edit("tests/dtls13/main.rs", "#[cfg(not(windows))]\n#[path = \"../wolfssl/mod.rs\"]\nmod wolfssl_helper;\n", ""),
    edit("tests/dtls13/main.rs", "#[cfg(not(windows))]\nmod wolfssl;\n", ""),
    // 1. The retransmission timeout of a flight doubles without end: with 30 % loss one handshake of 3 000 takes more
    //    than 30 s, because its last tries are 13 s apart. ConfigBuilder::flight_max_rto() ends the doubling.
    Edit {
        file: "config.rs",
        find: "    flight_start_rto: Duration,\n",
        put: "    flight_start_rto: Duration,\n    flight_max_rto: Duration,\n",
        times: 2,
    },
    edit(
        "config.rs",
        "            flight_start_rto: Duration::from_secs(1),\n",
        "            flight_start_rto: Duration::from_secs(1),\n            flight_max_rto: Duration::MAX,\n",
    ),
    edit(
        "config.rs",
        "            flight_start_rto: self.flight_start_rto,\n",
        "            flight_start_rto: self.flight_start_rto,\n            flight_max_rto: self.flight_max_rto,\n",
    ),
    edit(
        "config.rs",
        "        self.flight_start_rto = rto;\n        self\n    }\n",
        "        self.flight_start_rto = rto;\n        self\n    }\n\n    /// End of the doubling. Defaults to none.\n    pub fn flight_max_rto(mut self, rto: Duration) -> Self {\n        self.flight_max_rto = rto;\n        self\n    }\n",
    ),
    edit(
        "config.rs",
        "        self.flight_start_rto\n    }\n",
        "        self.flight_start_rto\n    }\n\n    pub fn flight_max_rto(&self) -> Duration {\n        self.flight_max_rto\n    }\n",
    ),
    edit("timer.rs", "    rto: Duration,\n", "    rto: Duration,\n    max_rto: Duration,\n"),
    edit("timer.rs", "            rto: start_rto,\n", "            rto: start_rto,\n            max_rto: Duration::MAX,\n"),
    edit(
        "timer.rs",
        "                config.flight_retries(),\n                rng,\n            ),\n",
        "                config.flight_retries(),\n                rng,\n            )\n            .up_to(config.flight_max_rto()),\n",
    ),
    edit(
        "timer.rs",
        "    pub fn reset(&mut self, rng",
        "    fn up_to(self, max_rto: Duration) -> Self {\n        Self { max_rto, ..self }\n    }\n\n    pub fn reset(&mut self, rng",
    ),
    edit("timer.rs", "self.rto.saturating_mul(2)", "self.rto.saturating_mul(2).min(self.max_rto)"),
    // Nor may the history of a flight that is sent every second be full before the handshake's time is over.
    edit("dtls13/engine.rs", "MAX_PREVIOUS_TRANSMISSIONS: usize = 32", "MAX_PREVIOUS_TRANSMISSIONS: usize = 64"),
    // 2. Each received record has room for eight handshake messages, which is moved several times although application
    //    data has none: 60 % of all instructions of a connection were memcpy.
    edit("dtls12/incoming.rs", "    handshakes: ArrayVec<Handshake, 8>,\n", "    handshakes: Vec<Handshake>,\n"),
    edit("dtls12/incoming.rs", "else {\n            ArrayVec::new()\n", "else {\n            Vec::new()\n"),
    edit("dtls12/incoming.rs", PARSED.0, PARSED.1),
    edit("dtls12/incoming.rs", PUSH.0, PUSH.1),
    edit("dtls13/incoming.rs", "    handshakes: ArrayVec<Handshake, 8>,\n", "    handshakes: Vec<Handshake>,\n"),
    Edit {
        file: "dtls13/incoming.rs",
        find: "else {\n            ArrayVec::new()\n",
        put: "else {\n            Vec::new()\n",
        times: 2,
    },
    edit("dtls13/incoming.rs", PARSED.0, PARSED.1),
    edit("dtls13/incoming.rs", PUSH.0, PUSH.1),
    // 3. No fatal alert can be sent: a peer whose certificate is refused goes on for half a minute (RFC 8122 section 6.2
    //    asks for bad_certificate). Dtls::fail() sends one in place of all that was about to leave; it is for the turn in
    //    which Output::PeerCert comes, that is before our Finished has left.
    edit(
        "lib.rs",
        "impl Inner {\n",
        "impl Dtls {\n    pub fn fail(&mut self, description: u8) -> Result<(), Error> {\n        match self.inner.as_mut().unwrap() {\n            Inner::Client12(client) => client.fail(description),\n            Inner::Server12(server) => server.fail(description),\n            Inner::Client13(client) => client.fail(description),\n            Inner::Server13(server) => server.fail(description),\n            Inner::ClientPending(client) => client.close(),\n        }\n    }\n}\n\nimpl Inner {\n",
    ),
    edit("dtls12/client.rs", PROGRESS.0, PROGRESS.1),
    edit("dtls12/server.rs", PROGRESS.0, PROGRESS.1),
    edit("dtls13/client.rs", PROGRESS.0, PROGRESS.1),
    edit("dtls13/server.rs", PROGRESS.0, PROGRESS.1),
    // In DTLS 1.2 nothing is encrypted before the ChangeCipherSpec, which leaves with Finished.
    edit(
        "dtls12/engine.rs",
        "    /// Pop a buffer from the buffer pool for temporary use\n",
        "    pub fn fail(&mut self, description: u8) -> Result<(), Error> {\n        self.abort();\n        self.create_record(ContentType::Alert, 0, false, |body| {\n            body.extend_from_slice(&[2, description])\n        })\n    }\n\n    /// Pop a buffer from the buffer pool for temporary use\n",
    ),
    // In DTLS 1.3 the server has finished before it sees a certificate, the client has not.
    edit(
        "dtls13/engine.rs",
        "    fn ack_processed_post_handshake_records",
        "    pub fn fail(&mut self, description: u8) -> Result<(), Error> {\n        self.abort();\n        let epoch = if self.is_client { 2 } else { self.app_send_epoch };\n        self.create_ciphertext_record(ContentType::Alert, epoch, false, |body| {\n            body.extend_from_slice(&[2, description])\n        })\n    }\n\n    fn ack_processed_post_handshake_records",
    ),
    // 4. SRTP_AES128_CM_HMAC_SHA1_80 comes last, behind AEAD. It is what all have to support (RFC 8827 section 6.5), its
    //    tag is 10 bytes of each packet and not 16, and Chromium puts it first for that reason.
    edit("dtls12/message/extensions/use_srtp.rs", PROFILES.0, PROFILES.1),
    edit("dtls13/message/extensions/use_srtp.rs", PROFILES.0, PROFILES.1),
    edit(
        "dtls12/server.rs",
        "                SrtpProfile::AEAD_AES_256_GCM,\n                SrtpProfile::AEAD_AES_128_GCM,\n                SrtpProfile::AES128_CM_SHA1_80,\n            ] {\n",
        "                SrtpProfile::AES128_CM_SHA1_80,\n                SrtpProfile::AEAD_AES_256_GCM,\n                SrtpProfile::AEAD_AES_128_GCM,\n            ] {\n",
    ),
    // 5. Which cipher suite was chosen is not told. Dtls::cipher_suite() gives its number in IANA's registry.
    edit(
        "lib.rs",
        "    /// Return true while DTLS shutdown is in progress.\n",
        "    pub fn cipher_suite(&self) -> Option<u16> {\n        match self.inner.as_ref()? {\n            Inner::Client12(client) => client.cipher_suite(),\n            Inner::Server12(server) => server.cipher_suite(),\n            Inner::Client13(client) => client.cipher_suite(),\n            Inner::Server13(server) => server.cipher_suite(),\n            Inner::ClientPending(_) => None,\n        }\n    }\n\n    /// Return true while DTLS shutdown is in progress.\n",
    ),
    // 6. The key for the numbers of records is expanded, and freed, for each record that is sent or comes. It is set up
    //    once for an epoch. (A mask needs 2 bytes at most; aws-lc-rs gives 5.)
    edit(
        "crypto/provider.rs",
        "    fn encrypt_sn(&self, sn_key: &[u8], sample: &[u8; 16]) -> [u8; 16];\n}\n",
        "    fn encrypt_sn(&self, sn_key: &[u8], sample: &[u8; 16]) -> [u8; 16];\n\n    /// The same, with the key set up once.\n    fn sn_mask(&self, sn_key: &[u8]) -> SnMask;\n}\n\n/// Computes masks of record numbers.\npub type SnMask = Box<dyn Fn(&[u8; 16]) -> [u8; 5] + Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>;\n",
    ),
    edit("crypto/mod.rs", "    SupportedDtls13CipherSuite, SupportedKxGroup,", "    SnMask, SupportedDtls13CipherSuite, SupportedKxGroup,"),
    edit(
        "crypto/aws_lc_rs/cipher_suite.rs",
        "use super::super::{Cipher, SupportedDtls12CipherSuite, SupportedDtls13CipherSuite};\n",
        "use super::super::{Cipher, SnMask, SupportedDtls12CipherSuite, SupportedDtls13CipherSuite};\n",
    ),
    edit("crypto/aws_lc_rs/cipher_suite.rs", AES_128.0, AES_128.1),
    edit("crypto/aws_lc_rs/cipher_suite.rs", AES_256.0, AES_256.1),
    edit(
        "crypto/aws_lc_rs/cipher_suite.rs",
        "        out[..5].copy_from_slice(&mask);\n        out\n    }\n",
        "        out[..5].copy_from_slice(&mask);\n        out\n    }\n\n    fn sn_mask(&self, sn_key: &[u8]) -> SnMask {\n        sn_mask(&aws_quic::CHACHA20, sn_key)\n    }\n",
    ),
    edit(
        "crypto/aws_lc_rs/cipher_suite.rs",
        "/// AES-ECB single block encryption for record number protection.\n",
        "fn sn_mask(algorithm: &'static aws_quic::Algorithm, sn_key: &[u8]) -> SnMask {\n    // unwrap: the key was derived with the length of the suite's keys\n    let key = HeaderProtectionKey::new(algorithm, sn_key).unwrap();\n    // unwrap: a sample has the 16 bytes that are wanted\n    Box::new(move |sample| key.new_mask(sample).unwrap())\n}\n\n/// AES-ECB single block encryption for record number protection.\n",
    ),
    edit("dtls13/engine.rs", "use crate::crypto::SupportedDtls13CipherSuite;\n", "use crate::crypto::{SnMask, SupportedDtls13CipherSuite};\n"),
    edit("dtls13/engine.rs", "    traffic_secret: Buf,\n    sn_key: Buf,\n", "    traffic_secret: Buf,\n    sn_mask: SnMask,\n"),
    edit("dtls13/engine.rs", "            traffic_secret: secret,\n            sn_key,\n", "            traffic_secret: secret,\n            sn_mask: suite.sn_mask(&sn_key),\n"),
    edit(
        "dtls13/engine.rs",
        "        // Save sn_key before losing mutable borrow of keys\n        let mut sn_key = [0u8; 32];\n        let sn_key_len = keys.sn_key.len();\n        sn_key[..sn_key_len].copy_from_slice(&keys.sn_key);\n\n",
        "",
    ),
    edit("dtls13/engine.rs", "            suite.encrypt_sn(&sn_key[..sn_key_len], &ciphertext_sample)\n", "            (keys.sn_mask)(&ciphertext_sample)\n"),
    edit("dtls13/engine.rs", "            [0u8; 16] // degenerate case", "            [0u8; 5] // degenerate case"),
    edit("dtls13/engine.rs", "        let sn_key = if epoch == 2 {\n            self.hs_recv_keys.as_ref().map(|k| &k.sn_key)\n", "        let sn_mask = if epoch == 2 {\n            self.hs_recv_keys.as_ref().map(|k| &k.sn_mask)\n"),
    edit("dtls13/engine.rs", "                .map(|e| &e.keys.sn_key)\n", "                .map(|e| &e.keys.sn_mask)\n"),
    edit("dtls13/engine.rs", "        let Some(sn_key) = sn_key else {\n", "        let Some(sn_mask) = sn_mask else {\n"),
    edit("dtls13/engine.rs", "        let mask = self.suite_provider().encrypt_sn(sn_key, ciphertext_sample);\n", "        let mask = sn_mask(ciphertext_sample);\n"),
];

const PROFILES: (&str, &str) = (
    "(most secure first)\n        profiles.push(SrtpProfileId::SRTP_AEAD_AES_256_GCM);\n        profiles.push(SrtpProfileId::SRTP_AEAD_AES_128_GCM);\n        profiles.push(SrtpProfileId::SRTP_AES128_CM_SHA1_80);\n",
    "\n        profiles.push(SrtpProfileId::SRTP_AES128_CM_SHA1_80);\n        profiles.push(SrtpProfileId::SRTP_AEAD_AES_256_GCM);\n        profiles.push(SrtpProfileId::SRTP_AEAD_AES_128_GCM);\n",
);

const PARSED: (&str, &str) = (
    ") -> ArrayVec<Handshake, 8> {\n    let mut handshakes = ArrayVec::new();\n",
    ") -> Vec<Handshake> {\n    let mut handshakes = Vec::new();\n",
);

const PUSH: (&str, &str) = (
    "            if handshakes.try_push(handshake).is_err() {\n                break;\n            }\n",
    "            if handshakes.len() == 8 {\n                break;\n            }\n            handshakes.push(handshake);\n",
);

const PROGRESS: (&str, &str) = (
    "    fn make_progress(&mut self) -> Result<(), InternalError> {\n",
    "    pub fn fail(&mut self, description: u8) -> Result<(), Error> {\n        self.state = State::Closed;\n        self.local_events.clear();\n        self.engine.fail(description)\n    }\n\n    pub fn cipher_suite(&self) -> Option<u16> {\n        self.engine.cipher_suite().map(|suite| suite.as_u16())\n    }\n\n    fn make_progress(&mut self) -> Result<(), InternalError> {\n",
);

const AES_128: (&str, &str) = (
    "        aes_ecb_encrypt(&AES_128, sn_key, sample)\n    }\n",
    "        aes_ecb_encrypt(&AES_128, sn_key, sample)\n    }\n\n    fn sn_mask(&self, sn_key: &[u8]) -> SnMask {\n        sn_mask(&aws_quic::AES_128, sn_key)\n    }\n",
);

const AES_256: (&str, &str) = (
    "        aes_ecb_encrypt(&AES_256, sn_key, sample)\n    }\n",
    "        aes_ecb_encrypt(&AES_256, sn_key, sample)\n    }\n\n    fn sn_mask(&self, sn_key: &[u8]) -> SnMask {\n        sn_mask(&aws_quic::AES_256, sn_key)\n    }\n",
);
