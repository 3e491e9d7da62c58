//! AES-256-GCM inside the HSM: `CKM_AES_GCM`, 96-bit IV, 128-bit tag (PKCS#11 v2.40 §2.13).
//!
//! The sizes are fixed here and nowhere a parameter: SoftHSM accepts an empty
//! IV and a tag of no bits.

use cryptoki::{
    mechanism::{Mechanism, aead::GcmParams},
    object::ObjectHandle,
};
use zeroize::Zeroizing;

use super::{HsmError, module::Session};

const IV: usize = 12;
const TAG: usize = 16;
const TAG_BITS: u64 = 128;
const BLOCK: usize = 32;
const LEN: usize = IV + BLOCK + TAG;

/// 32 bytes sealed: IV ‖ ciphertext ‖ tag, 60 bytes. A wrapped DEK, or a KEK's binding tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SealedBlock([u8; LEN]);

impl SealedBlock {
    /// Bytes of the stored form.
    pub const LEN: usize = LEN;

    /// Takes the stored form; `None` when the length is wrong.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        <[u8; LEN]>::try_from(bytes).ok().map(Self)
    }

    /// The stored form.
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }

    /// Encrypts `block` under `key` with a fresh `iv`, and keeps the IV that the module used.
    pub(super) fn seal(
        session: &Session,
        key: ObjectHandle,
        mut iv: [u8; IV],
        aad: &[u8],
        block: &[u8; BLOCK],
    ) -> Result<Self, HsmError> {
        let mut ciphertext = [0; BLOCK + TAG];
        let params = GcmParams::new(&mut iv, aad, TAG_BITS.into())?;
        let length =
            session.encrypt_into(&Mechanism::AesGcm(params), key, block, &mut ciphertext)?;
        if length != ciphertext.len() {
            return Err(HsmError::misbehaved("C_Encrypt gave a wrong length"));
        }
        let sealed = [&iv[..], &ciphertext[..]].concat();
        Self::parse(&sealed).ok_or(HsmError::misbehaved("a sealed block without a tag"))
    }

    /// Decrypts what [`Self::seal`] made under the same `key` for the same `aad`.
    pub(super) fn open(
        &self,
        session: &Session,
        key: ObjectHandle,
        aad: &[u8],
    ) -> Result<Zeroizing<[u8; BLOCK]>, HsmError> {
        let (iv, ciphertext) = self.0.split_at(IV);
        let mut iv = <[u8; IV]>::try_from(iv)
            .map_err(|_| HsmError::misbehaved("a sealed block without an IV"))?;
        let params = GcmParams::new(&mut iv, aad, TAG_BITS.into())?;
        // SoftHSM wants room for what it gets.
        let mut plain = Zeroizing::new([0; BLOCK + TAG]);
        let length =
            session.decrypt_into(&Mechanism::AesGcm(params), key, ciphertext, &mut *plain)?;
        match plain.first_chunk() {
            Some(block) if length == BLOCK => Ok(Zeroizing::new(*block)),
            _ => Err(HsmError::misbehaved("C_Decrypt gave a wrong length")),
        }
    }
}

impl From<[u8; LEN]> for SealedBlock {
    fn from(bytes: [u8; LEN]) -> Self {
        Self(bytes)
    }
}
