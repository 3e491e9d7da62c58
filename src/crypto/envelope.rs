//! What is stored of a version of a secret's data.

use super::SealedDocument;
use crate::{
    error::{Error, Result},
    hsm::SealedBlock,
    ids::KekVersion,
};

/// A sealed document and its wrapped DEK.
///
/// Rewrapping replaces `kek_version` and `dek`, never `document`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub(super) kek_version: KekVersion,
    pub(super) dek: SealedBlock,
    pub(super) document: SealedDocument,
}

impl Envelope {
    /// Takes the stored parts.
    ///
    /// What [`Keyring::seal`](super::Keyring::seal) did not write is damage: `INTERNAL`.
    pub fn parse(kek_version: i32, dek: &[u8], document: Vec<u8>) -> Result<Self> {
        match (SealedBlock::parse(dek), SealedDocument::parse(document)) {
            (Some(dek), Some(document)) if kek_version > 0 => {
                Ok(Self { kek_version: KekVersion(kek_version), dek, document })
            }
            _ => Err(Error::internal("a stored envelope has a wrong form")),
        }
    }

    /// The version of the domain's KEK that wraps the DEK.
    pub const fn kek_version(&self) -> KekVersion {
        self.kek_version
    }

    /// The wrapped DEK: IV ‖ ciphertext ‖ tag.
    pub const fn dek(&self) -> &[u8; SealedBlock::LEN] {
        self.dek.as_bytes()
    }

    /// The sealed document: format ‖ IV ‖ ciphertext ‖ tag.
    pub fn document(&self) -> &[u8] {
        self.document.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            version in 1..i32::MAX,
            dek in any::<[[u8; 30]; 2]>(),
            mut document in prop::collection::vec(any::<u8>(), 30..300),
        ) {
            document[0] = super::super::Aad::FORMAT;
            let envelope = Envelope::parse(version, &dek.concat(), document.clone()).unwrap();
            prop_assert_eq!(envelope.kek_version(), KekVersion(version));
            prop_assert_eq!(&envelope.dek()[..], dek.concat());
            prop_assert_eq!(envelope.document(), document);
        }

        #[test]
        fn other_bytes_are_refused_without_a_panic(
            version in any::<i32>(),
            dek in prop::collection::vec(any::<u8>(), 0..130),
            document in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let fits = version > 0
                && dek.len() == SealedBlock::LEN
                && document.len() > 29
                && document[0] == super::super::Aad::FORMAT;
            prop_assert_eq!(Envelope::parse(version, &dek, document).is_ok(), fits);
        }
    }
}
