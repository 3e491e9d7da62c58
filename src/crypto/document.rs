//! A document under its DEK: AES-256-GCM in process, 96-bit IV, 128-bit tag.

use aws_lc_rs::aead::{AES_256_GCM, Aad as Authenticated, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::{Aad, Plaintext};
use crate::{
    error::{Error, Result},
    hsm::Dek,
};

const IV: usize = 12;
const TAG: usize = 16;

/// `format ‖ IV ‖ ciphertext ‖ tag`: 29 bytes more than the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedDocument(Vec<u8>);

impl SealedDocument {
    /// Takes the stored form; `None` when the format is unknown or bytes are missing.
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        let well_formed = bytes.len() > 1 + IV + TAG && bytes.first() == Some(&Aad::FORMAT);
        well_formed.then_some(Self(bytes))
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Encrypts `document` under `dek`. A DEK seals one document once, so a random IV cannot repeat.
    pub(super) fn seal(dek: &Dek, aad: &[u8], document: &Plaintext) -> Result<Self> {
        let mut iv = [0; IV];
        rand::fill(&mut iv).map_err(|_| Error::internal("no random bytes for an IV"))?;
        let mut sealed = Vec::with_capacity(1 + IV + document.expose().len() + TAG);
        sealed.push(Aad::FORMAT);
        sealed.extend_from_slice(&iv);
        sealed.extend_from_slice(document.expose());
        let (_, text) = sealed.split_at_mut(1 + IV);
        let tag = key(dek)?
            .seal_in_place_separate_tag(nonce(&iv)?, Authenticated::from(aad), text)
            .map_err(|_| Error::internal("AES-GCM refuses a document"))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(Self(sealed))
    }

    /// Decrypts what [`Self::seal`] made under the same `dek` for the same `aad`.
    pub(super) fn open(&self, dek: &Dek, aad: &[u8]) -> Result<Plaintext> {
        let damaged = || Error::internal("the document does not open: it was changed or moved");
        let (iv, ciphertext) =
            self.0.get(1..).and_then(|rest| rest.split_at_checked(IV)).ok_or_else(damaged)?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let length = key(dek)?
            .open_in_place(nonce(iv)?, Authenticated::from(aad), &mut text)
            .map_err(|_| damaged())?
            .len();
        text.truncate(length);
        Ok(Plaintext::new(text))
    }
}

fn key(dek: &Dek) -> Result<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, dek.expose())
        .map(LessSafeKey::new)
        .map_err(|_| Error::internal("a DEK of a wrong length"))
}

fn nonce(iv: &[u8]) -> Result<Nonce> {
    Nonce::try_assume_unique_for_key(iv).map_err(|_| Error::internal("an IV of a wrong length"))
}
