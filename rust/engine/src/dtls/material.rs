//! The keys for media that a handshake has made (RFC 5764).

use dimpl::SrtpProfile;

/// The protection profiles that are negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Aes128CmSha1,
    Aes128Gcm,
    Aes256Gcm,
}

/// Keys that DTLS has exported (RFC 5764 section 4.2).
#[derive(Clone)]
pub struct Material {
    pub profile: Profile,
    /// Client key, server key, client salt, server salt.
    pub bytes: Vec<u8>,
    pub is_client: bool,
}

impl Material {
    /// None: a profile that is not known here.
    pub fn new(profile: SrtpProfile, keys: &[u8], is_client: bool) -> Option<Material> {
        let profile = match profile {
            SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1,
            SrtpProfile::AEAD_AES_128_GCM => Profile::Aes128Gcm,
            SrtpProfile::AEAD_AES_256_GCM => Profile::Aes256Gcm,
            _ => return None,
        };
        Some(Material { profile, bytes: keys.to_vec(), is_client })
    }
}

/// Never shows the keys themselves.
impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Material({:?})", self.profile)
    }
}
