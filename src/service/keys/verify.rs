//! Opening everything in a domain, and showing nothing of it: whether a rewrap, or a restored backup, lost anything.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::KeyService;
use crate::{
    auth::{Caller, Scope, Target, Verb},
    crypto::{Aad, missing_root},
    error::{Code, Result},
    store::StoredSecret,
};

/// Reveals that wait for the HSM at the same time.
const JOBS: usize = 16;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Versions of secrets that open.
    pub sound: u64,
    /// Those that do not: their ids and versions.
    pub broken: Vec<(String, i32)>,
}

impl KeyService {
    /// How many versions of secrets there are in the caller's domain.
    pub async fn count(&self, caller: &Caller) -> Result<u64> {
        let target = Target::Domain { domain: None, owner: None };
        let count = async |scope: &Scope| self.store.count_versions(scope).await;
        self.gate.run(caller, Verb::ListKeys, target, count).await
    }

    /// Opens every version of every secret of the caller's domain; `told` hears how many were.
    pub async fn verify(&self, caller: &Caller, told: &(dyn Fn(u64) + Sync)) -> Result<Verified> {
        let target = Target::Domain { domain: None, owner: None };
        self.gate
            .run(caller, Verb::Verify, target, async |scope| {
                self.store.announce(scope).await?;
                let (mut verified, mut passed) = (Verified::default(), None);
                loop {
                    let secrets = self.store.sealed_after(scope, passed.as_ref()).await?;
                    let Some(last) = secrets.last() else { return Ok(verified) };
                    passed = Some(last.place());
                    let places: Vec<_> = secrets.iter().map(StoredSecret::place).collect();
                    let jobs: Vec<_> =
                        secrets.into_iter().map(|secret| self.opens(scope, secret)).collect();
                    let jobs = stream::iter(jobs).buffered(JOBS);
                    let opened: Vec<bool> = jobs.try_collect().await?;
                    for (place, opens) in places.into_iter().zip(opened) {
                        if opens { verified.sound += 1 } else { verified.broken.push(place) }
                    }
                    told(verified.sound);
                }
            })
            .await
    }

    /// Whether the secret opens; an error is one of the HSM, which says nothing about it.
    async fn opens(&self, scope: &Scope, secret: StoredSecret) -> Result<bool> {
        let Ok((id, sealed)) = secret.parse() else { return Ok(false) };
        let aad = Aad::for_record(scope, &sealed.user_id, &id, sealed.version)?;
        let kek_root = sealed.kek.root;
        match self.keyring.open(&aad, &sealed.kek, sealed.envelope).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Code::Internal => Ok(false),
            Err(error) if missing_root(&error) == Some(kek_root) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
