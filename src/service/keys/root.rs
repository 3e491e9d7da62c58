//! Putting another root in the place of the one that wraps every domain's KEKs: for commands, as the owner of the tables.

use std::sync::Arc;

use sea_orm::DatabaseConnection;

use super::KeyService;
use crate::{
    crypto::missing_root,
    error::{Code, Result},
    ids::{DomainId, KekVersion, RootVersion},
    store::{PassedKek, newest_keks},
};

/// How many KEKs are tried to find one that opens.
const TRIED: u64 = 100;

/// What came of a rotation of the root.
#[derive(Debug, Default)]
pub struct RootRotation {
    /// KEKs that are under the new root now.
    pub rewrapped: u64,
    /// KEKs that were left.
    pub left: Vec<LeftKek>,
}

/// A KEK that does not open under the root that its row names.
#[derive(Debug)]
pub struct LeftKek {
    /// What stands there as the id of its domain.
    pub domain: String,
    /// Its version.
    pub version: KekVersion,
    /// That root, where the token does not have it.
    pub missing: Option<RootVersion>,
}

impl KeyService {
    /// How many KEKs are under older roots than `to`.
    pub async fn count_keks(&self, owner: &DatabaseConnection, to: RootVersion) -> Result<u64> {
        self.store.count_keks_before(owner, to).await
    }

    /// Has the HSM open one of the keys that it made, if it does: when a damaged key does not open later, that is known then from
    /// an HSM that does not work. What goes wrong here goes wrong again where it matters.
    pub async fn vouch(&self, owner: &DatabaseConnection) {
        for (domain, kek) in newest_keks(owner, None, TRIED).await.unwrap_or_default() {
            if self.keyring.prove(&domain, &kek).await.is_ok() {
                break;
            }
        }
    }

    /// Wraps every KEK of every domain under the root `to`, which the token has, and new ones from now on. Running replicas
    /// find it by themselves. It may be stopped at any moment, and begun again.
    pub async fn rotate_root(
        &self,
        owner: &DatabaseConnection,
        run: &Arc<str>,
        to: RootVersion,
        told: &(dyn Fn(u64) + Sync),
    ) -> Result<RootRotation> {
        self.vouch(owner).await;
        self.store.begin_root(owner, run, to).await?;
        let (mut rotation, mut passed) = (RootRotation::default(), PassedKek::default());
        loop {
            let keks = self.store.keks_before(owner, to, &passed).await?;
            let Some((domain, kek)) = keks.last() else { return Ok(rotation) };
            passed = PassedKek::behind(domain, kek);
            let mut rewrapped = Vec::with_capacity(keks.len());
            for (named, was) in keks {
                let left =
                    |missing| LeftKek { domain: named.clone(), version: was.version, missing };
                let Some(domain) = DomainId::parse(&named) else {
                    rotation.left.push(left(None));
                    continue;
                };
                match self.keyring.rewrap_kek(&domain, &was, to).await {
                    Ok(now) => rewrapped.push((domain, was, now)),
                    Err(error) if error.code() == Code::Internal => rotation.left.push(left(None)),
                    Err(error) if missing_root(&error) == Some(was.root) => {
                        rotation.left.push(left(Some(was.root)));
                    }
                    Err(error) => return Err(error),
                }
            }
            self.store.replace_keks(owner, to, &rewrapped).await?;
            rotation.rewrapped += u64::try_from(rewrapped.len()).unwrap_or(u64::MAX);
            told(rotation.rewrapped);
        }
    }

    /// The version of the root under which new KEKs are wrapped.
    pub async fn active_root(&self) -> Result<RootVersion> {
        self.store.active_root().await
    }

    /// Says that the root of `version` is destroyed, which is then to be done on the token; the error is why it must not be.
    pub async fn end_root(
        &self,
        owner: &DatabaseConnection,
        run: &Arc<str>,
        version: RootVersion,
    ) -> Result<()> {
        self.store.end_root(owner, run, version).await
    }
}
