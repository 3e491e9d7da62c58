//! What a ciphertext is bound to: the identity of its record, in canonical bytes.

use crate::{
    auth::Scope,
    error::{Error, Result},
    hsm::Lane,
    ids::{DataVersion, DomainId, KekVersion, UserId, UserSecretId},
};

/// The additional authenticated data of one version of one secret (NIST SP 800-38D §4.1).
///
/// `record = format ‖ domain ‖ user ‖ secret ‖ data version`, where every part
/// carries its length in front, so that no two records share their bytes. A
/// document is bound to `"doc" ‖ record`, its DEK to `"dek" ‖ record ‖ KEK
/// version`: a rewrap changes the DEK's binding and never the document's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aad {
    domain: DomainId,
    record: Vec<u8>,
}

impl Aad {
    /// The version of the envelope's format, part of every record.
    pub const FORMAT: u8 = 1;

    /// The AAD of a record within `scope`.
    ///
    /// A record whose owner lies outside is not found: the row was moved, or the
    /// statement that read it forgot its scope.
    pub fn for_record(
        scope: &Scope,
        owner: &UserId,
        id: &UserSecretId,
        version: DataVersion,
    ) -> Result<Self> {
        if scope.owner().is_some_and(|allowed| allowed != owner) {
            return Err(Error::not_found());
        }
        let identity = [scope.domain().as_str(), owner.as_str(), id.as_str()];
        Ok(Self { domain: scope.domain().clone(), record: record(identity, version) })
    }

    /// Where the record's jobs wait for the HSM.
    pub(super) fn lane(&self) -> Lane {
        Lane::of(self.domain.as_str())
    }

    /// What the document is bound to.
    pub(super) fn document(&self) -> Vec<u8> {
        tagged("doc", &self.record)
    }

    /// What the DEK is bound to under `kek`.
    pub(super) fn dek(&self, kek: KekVersion) -> Vec<u8> {
        let mut bytes = tagged("dek", &self.record);
        push(&mut bytes, &kek.0.to_be_bytes());
        bytes
    }

    /// What the KEK of this record's domain is bound to.
    pub(super) fn kek(&self, version: KekVersion) -> Vec<u8> {
        kek_binding(&self.domain, version)
    }
}

fn record(identity: [&str; 3], version: DataVersion) -> Vec<u8> {
    let mut record = vec![Aad::FORMAT];
    for part in identity {
        push(&mut record, part.as_bytes());
    }
    push(&mut record, &version.0.to_be_bytes());
    record
}

/// What a domain's KEK is bound to.
pub(super) fn kek_binding(domain: &DomainId, version: KekVersion) -> Vec<u8> {
    let mut bytes = domain_binding(domain);
    push(&mut bytes, &version.0.to_be_bytes());
    bytes
}

/// How the bindings of all KEKs of a domain begin, and of no other.
pub(super) fn domain_binding(domain: &DomainId) -> Vec<u8> {
    let mut bytes = tagged("kek", &[Aad::FORMAT]);
    push(&mut bytes, domain.as_str().as_bytes());
    bytes
}

fn tagged(tag: &str, rest: &[u8]) -> Vec<u8> {
    [tag.as_bytes(), rest].concat()
}

/// Appends `part` behind its length as 32 bits, big-endian.
fn push(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // A small alphabet, so that parts run into each other often.
        #[test]
        fn different_records_never_share_their_bytes(
            a in prop::array::uniform3("[ab]{0,3}"),
            b in prop::array::uniform3("[ab]{0,3}"),
            versions in (1..3, 1..3),
        ) {
            let bytes = |parts: &[String; 3], version| {
                record([&parts[0], &parts[1], &parts[2]], DataVersion(version))
            };
            let equal = a == b && versions.0 == versions.1;
            prop_assert_eq!(bytes(&a, versions.0) == bytes(&b, versions.1), equal);
        }
    }
}
