//! KEKs as the database keeps them, and the sealing and opening under them.

use super::{Aad, Envelope, Plaintext, SealedDocument, aad::kek_binding};
use crate::{
    auth::Scope,
    error::{Error, Result},
    hsm::{Hsm, Lane, WrappedKek},
    ids::{DomainId, KekVersion},
};

/// A domain's KEK, wrapped under the HSM's root key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Kek {
    /// Its version within the domain.
    pub version: KekVersion,
    /// The wrapped key.
    pub blob: Vec<u8>,
    /// The tag that binds it to its domain and version.
    pub binding: Vec<u8>,
}

/// Seals documents for records and opens them, with two HSM operations and one.
#[derive(Clone)]
pub struct Keyring {
    hsm: Hsm,
}

impl Keyring {
    /// A keyring whose KEKs live in `hsm`.
    pub const fn new(hsm: Hsm) -> Self {
        Self { hsm }
    }

    /// Makes a KEK for the domain of `scope`. Nothing knows it until it is stored.
    pub async fn generate_kek(&self, scope: &Scope, version: KekVersion) -> Result<Kek> {
        let lane = Lane::of(scope.domain().as_str());
        let binding = kek_binding(scope.domain(), version);
        let wrapped = self.hsm.generate_kek(lane, binding).await?;
        Ok(Kek {
            version,
            blob: wrapped.blob().to_vec(),
            binding: wrapped.binding().as_bytes().to_vec(),
        })
    }

    /// Seals `document` as the record `aad` under a fresh DEK, which `kek` wraps.
    pub async fn seal(&self, aad: &Aad, kek: &Kek, document: &Plaintext) -> Result<Envelope> {
        let bound = (kek.wrapped(aad)?, aad.dek(kek.version));
        let (dek, wrapped) = self.hsm.wrap_dek(aad.lane(), bound.0, bound.1).await?;
        Ok(Envelope {
            kek_version: kek.version,
            dek: wrapped,
            document: SealedDocument::seal(&dek, &aad.document(), document)?,
        })
    }

    /// Opens what [`Self::seal`] made of the record `aad`. Nothing else opens.
    pub async fn open(&self, aad: &Aad, kek: &Kek, envelope: Envelope) -> Result<Plaintext> {
        let Envelope { kek_version, dek, document } = envelope;
        let bound = (kek.wrapped(aad)?, aad.dek(kek_version));
        let dek = self.hsm.unwrap_dek(aad.lane(), bound.0, bound.1, dek).await?;
        document.open(&dek, &aad.document())
    }
}

impl Kek {
    /// The KEK as that of `domain`, for commands that look at the HSM.
    pub fn of(&self, domain: &DomainId) -> Result<WrappedKek> {
        self.bound_to(kek_binding(domain, self.version))
    }

    fn wrapped(&self, aad: &Aad) -> Result<WrappedKek> {
        self.bound_to(aad.kek(self.version))
    }

    fn bound_to(&self, binding: Vec<u8>) -> Result<WrappedKek> {
        WrappedKek::parse(binding, &self.blob, &self.binding)
            .ok_or_else(|| Error::internal("a stored KEK has a wrong form"))
    }
}
