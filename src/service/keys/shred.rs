//! Destroying the keys of a domain, and a signed word about it for whoever was promised that.

use serde::Serialize;

use super::KeyService;
use crate::{
    auth::{Caller, Scope, Target, Verb},
    clock::Timestamp,
    error::{Error, Result},
    ids::DomainId,
    store::{Destroyed, Shredding},
};

/// What a statement says beside its facts, so that nobody reads more into it.
const RESERVATION: &str = "Backups, write-ahead logs, replicas and unused pages of the database may still hold these keys, \
wrapped under the versions of the root key that are named or under older ones. Until those and every copy of them are destroyed \
(`usersecret hsm rotate-root`, then `usersecret hsm destroy-root`), or what holds the keys is gone, who has both can open them.";

/// How often a statement is made anew because the keys changed meanwhile.
const TRIES: usize = 4;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a> {
    statement: &'a str,
    domain_id: &'a str,
    shredded_at: String,
    keys: Vec<Key>,
    reservation: &'a str,
    signed_by: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    version: i32,
    created_at: String,
    destroyed_at: String,
    root_version: i32,
    /// Of the key as it was wrapped; of those that were destroyed before it is not known any more.
    wrapped_sha256: Option<String>,
}

impl KeyService {
    /// Destroys every key of the domain: what they sealed cannot be opened any more, and the domain does nothing from then
    /// on but show its audit trail and this. The statement is signed by the HSM, and committed with what it tells of.
    /// It is looked at by `confirmed` for those only who may shred.
    pub async fn shred(
        &self,
        caller: &Caller,
        domain: Option<DomainId>,
        confirmed: impl FnOnce() -> Result<()>,
    ) -> Result<Shredding> {
        let target = Target::Domain { domain, owner: None };
        self.gate
            .run(caller, Verb::Shred, target, async |scope| {
                confirmed()?;
                for _ in 0..TRIES {
                    let keks = self.store.keks_to_destroy(scope).await?;
                    let at = self.clock.now();
                    let statement = self.statement(scope, &keks, at)?;
                    let signature = self.keyring.sign(&statement).await?;
                    let shredding = Shredding { at, statement, signature };
                    if self.store.shred(scope, &keks, shredding.clone()).await? {
                        // Nothing begins any more. What had begun, in whatever replica, ends within the time that the HSM has:
                        // who hears of the shredding sees nothing revealed behind it.
                        tokio::time::sleep(self.limits.farewell).await;
                        // Nothing is left in the HSM's memory. Other replicas hear of it.
                        self.forget(scope.domain()).await;
                        return Ok(shredding);
                    }
                }
                Err(Error::unavailable("the domain's keys changed again and again"))
            })
            .await
    }

    fn statement(&self, scope: &Scope, keks: &[Destroyed], at: Timestamp) -> Result<String> {
        let keys = keks.iter().map(|Destroyed { kek, blob }| Key {
            version: kek.version.0,
            created_at: kek.created_at.to_iso_milliseconds(),
            destroyed_at: kek.destroyed_at.unwrap_or(at).to_iso_milliseconds(),
            root_version: kek.root.0,
            wrapped_sha256: (!blob.is_empty()).then(|| self.keyring.fingerprint(blob)),
        });
        let statement = Statement {
            statement: "usersecret: the keys of a domain are destroyed, v. 1",
            domain_id: scope.domain().as_str(),
            shredded_at: at.to_iso_milliseconds(),
            keys: keys.collect(),
            reservation: RESERVATION,
            signed_by: self.keyring.signing_key_id()?,
        };
        let mut text = serde_json::to_string_pretty(&statement).map_err(Error::internal)?;
        text.push('\n');
        Ok(text)
    }

    /// Drops what this replica remembers of the keys of `domain` if some were destroyed of late, and says whether.
    pub async fn hear(&self, domain: &DomainId) -> Result<bool> {
        let shredded = self.store.is_shredded(domain).await?;
        if shredded {
            self.store.forget_keks(domain);
        }
        let lost = shredded || self.store.has_lost_keks(domain).await?;
        if lost {
            self.keyring.forget(domain).await?;
        }
        Ok(lost)
    }

    /// Drops handles of destroyed keys.
    pub(super) async fn forget(&self, domain: &DomainId) {
        if let Err(error) = self.keyring.forget(domain).await {
            tracing::warn!(%domain, causes = error.causes(), "handles of destroyed keys are left");
        }
    }
}
