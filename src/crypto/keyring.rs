//! KEKs as the database keeps them, and the sealing and opening under them.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::{
    Aad, Envelope, Plaintext, SealedDocument,
    aad::{domain_binding, kek_binding},
};
use crate::{
    auth::Scope,
    error::{Error, Result},
    hsm::{Hsm, HsmError, Lane, Rewrapping, SealedBlock, WrappedKek},
    ids::{DomainId, KekVersion, RootVersion, hex},
};

/// A domain's KEK, wrapped under the HSM's root key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Kek {
    /// Its version within the domain.
    pub version: KekVersion,
    /// The version of the root that wraps it.
    pub root: RootVersion,
    /// The wrapped key.
    pub blob: Vec<u8>,
    /// The tag that binds it to its domain and version.
    pub binding: Vec<u8>,
}

/// A wrapped DEK of the record `aad`.
pub struct WrappedDek {
    /// What it is bound to.
    pub aad: Aad,
    /// The wrapped key.
    pub wrapped: SealedBlock,
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
    pub async fn generate_kek(
        &self,
        scope: &Scope,
        version: KekVersion,
        root: RootVersion,
    ) -> Result<Kek> {
        let lane = Lane::of(scope.domain().as_str());
        let binding = kek_binding(scope.domain(), version);
        Ok(Kek::of(version, &self.hsm.generate_kek(lane, root, binding).await?))
    }

    /// The same KEK of `domain`, wrapped under another root.
    pub async fn rewrap_kek(&self, domain: &DomainId, kek: &Kek, root: RootVersion) -> Result<Kek> {
        let wrapped = self.hsm.rewrap_kek(kek.wrapped_for(domain)?, root).await?;
        Ok(Kek::of(kek.version, &wrapped))
    }

    /// Wraps `deks`, which are wrapped under `from`, under `to`: each in its place, and none where one does not open.
    /// The documents stay as they are.
    pub async fn rewrap(
        &self,
        scope: &Scope,
        from: &Kek,
        to: &Kek,
        deks: &[&WrappedDek],
    ) -> Result<Vec<Option<SealedBlock>>> {
        let domain = scope.domain();
        let rewrapping = |dek: &&WrappedDek| Rewrapping {
            from: dek.aad.dek(from.version),
            to: dek.aad.dek(to.version),
            wrapped: dek.wrapped.clone(),
        };
        let deks = deks.iter().map(rewrapping).collect();
        Ok(self.hsm.rewrap(from.wrapped_for(domain)?, to.wrapped_for(domain)?, deks).await?)
    }

    /// How many DEKs can be rewrapped in `time`, by what it took of late: at least one.
    pub fn rewraps_within(&self, time: Duration) -> usize {
        self.hsm.rewraps_within(time)
    }

    /// Unwraps `kek` of `domain`: where another one does not open then, it is `INTERNAL`, and without that `UNAVAILABLE`, for
    /// all that is known.
    pub async fn prove(&self, domain: &DomainId, kek: &Kek) -> Result<()> {
        Ok(self.hsm.prove(kek.wrapped_for(domain)?).await?)
    }

    /// Drops the handles of the KEKs of `domain`.
    pub async fn forget(&self, domain: &DomainId) -> Result<()> {
        Ok(self.hsm.forget(domain_binding(domain)).await?)
    }

    /// Signs `text` by the HSM's signing key, for whoever has its public half: ECDSA-SHA256, in DER.
    pub async fn sign(&self, text: &str) -> Result<Vec<u8>> {
        let hash = digest(&SHA256, text.as_bytes());
        let hash = hash.as_ref().try_into().map_err(Error::internal)?;
        Ok(self.hsm.sign(&self.hsm.signing_key()?, hash).await?)
    }

    /// SHA-256 of `bytes`, in hexadecimal digits.
    pub fn fingerprint(&self, bytes: &[u8]) -> String {
        hex(digest(&SHA256, bytes))
    }

    /// The name of the key that signs.
    pub fn signing_key_id(&self) -> Result<String> {
        Ok(self.hsm.signing_key()?.id().to_string())
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
        let unwrapped = async || {
            let (kek, bound) = (kek.wrapped(aad)?, aad.dek(kek_version));
            Ok::<_, Error>(self.hsm.unwrap_dek(aad.lane(), kek, bound, dek.clone()).await?)
        };
        let key = unwrapped().await?;
        match document.open(&key, &aad.document()) {
            Ok(plaintext) => Ok(plaintext),
            // The row may be bad, or what the HSM gave out.
            Err(error) => {
                let again = unwrapped().await?;
                if again.expose() == key.expose() {
                    // What is read wrongly alike twice is not what the KEK's own tag opens to.
                    self.hsm.prove(kek.wrapped(aad)?).await?;
                    return Err(error);
                }
                let differs = |_| Error::unavailable("the HSM opens a DEK one way and another");
                document.open(&again, &aad.document()).map_err(differs)
            }
        }
    }
}

/// The root that the token does not have, where `error` says that a KEK is under such a one. Where the KEK was remembered, it may
/// be under a newer one by now.
pub fn missing_root(error: &Error) -> Option<RootVersion> {
    match std::error::Error::source(error)?.downcast_ref() {
        Some(HsmError::NoRoot(version)) => Some(RootVersion(*version)),
        _ => None,
    }
}

impl Kek {
    fn of(version: KekVersion, wrapped: &WrappedKek) -> Self {
        Self {
            version,
            root: wrapped.root(),
            blob: wrapped.blob().to_vec(),
            binding: wrapped.binding().as_bytes().to_vec(),
        }
    }

    /// The KEK as that of `domain`, for commands that look at the HSM.
    pub fn wrapped_for(&self, domain: &DomainId) -> Result<WrappedKek> {
        self.bound_to(kek_binding(domain, self.version))
    }

    fn wrapped(&self, aad: &Aad) -> Result<WrappedKek> {
        self.bound_to(aad.kek(self.version))
    }

    fn bound_to(&self, binding: Vec<u8>) -> Result<WrappedKek> {
        WrappedKek::parse(binding, self.root, &self.blob, &self.binding)
            .ok_or_else(|| Error::internal("a stored KEK has a wrong form"))
    }
}
