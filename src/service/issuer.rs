//! The verbs on whom a domain believes: its own issuers, and tokens that it revokes.

use super::{Caller, RegisteredIssuer, Registration, Role, Target};
use crate::{
    auth::{Directory, Gate, Intent, Verb, is_iss},
    clock::{Clock, Timestamp},
    error::{Error, Result},
    ids::DomainId,
    store::{Revocation, Store},
};

/// The verbs on issuers.
#[derive(Clone)]
pub struct IssuerService {
    gate: Gate,
    store: Store,
    directory: Directory,
    clock: Clock,
    limits: IssuerLimits,
}

/// How much a domain may decide.
#[derive(Debug, Clone, Copy)]
pub struct IssuerLimits {
    /// Issuers of its own.
    pub issuers: u32,
    /// Revoked tokens that have not expired.
    pub revoked_tokens: u32,
}

/// The most bytes of a token's id.
const MAX_TOKEN_ID: usize = 255;

/// A revocation outlives its token by so much: a token is accepted for a minute after its end, by clocks that differ.
const GRACE_MICROS: i64 = 300_000_000;

impl IssuerService {
    /// A service on these parts.
    pub const fn new(
        gate: Gate,
        store: Store,
        directory: Directory,
        clock: Clock,
        limits: IssuerLimits,
    ) -> Self {
        Self { gate, store, directory, clock, limits }
    }

    /// The issuers that `domain` registered.
    pub async fn list(&self, caller: &Caller, domain: DomainId) -> Result<Vec<RegisteredIssuer>> {
        self.gate
            .run(caller, Verb::ListIssuers, within(Some(domain)), async |scope| {
                self.store.issuers(scope).await
            })
            .await
    }

    /// Registers an issuer of the domain, or changes it.
    ///
    /// From then on the installation's wildcard issuers speak for none of the domain's users.
    pub async fn register(
        &self,
        caller: &Caller,
        domain: Option<DomainId>,
        registration: Registration,
    ) -> Result<RegisteredIssuer> {
        let intent = Intent::about(Verb::RegisterIssuer, &registration.iss);
        self.gate
            .run(caller, intent, within(domain), async |scope| {
                self.directory.check(scope.domain(), &registration)?;
                let iss = registration.iss.clone();
                let stored = self.store.put_issuer(scope, registration, self.limits.issuers).await;
                self.directory.forget(scope.domain(), Some(&iss)).await;
                stored
            })
            .await
    }

    /// Removes an issuer of the domain; with the last one, wildcard issuers speak for its users again.
    pub async fn remove(&self, caller: &Caller, domain: Option<DomainId>, iss: &str) -> Result<()> {
        let intent = Intent::about(Verb::RemoveIssuer, iss);
        self.gate
            .run(caller, intent, within(domain), async |scope| {
                if !is_iss(iss) {
                    return Err(Error::absent("issuer"));
                }
                let removed = self.store.remove_issuer(scope, iss).await;
                self.directory.forget(scope.domain(), Some(iss)).await;
                removed
            })
            .await
    }

    /// Refuses the token called `token_id` from now on, until `expires_at`, when its own time is over.
    ///
    /// What SYSTEM revokes binds systems too; an administrator's word does not.
    pub async fn revoke(
        &self,
        caller: &Caller,
        domain: Option<DomainId>,
        token_id: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<()> {
        let intent = Intent::about(Verb::RevokeToken, token_id);
        self.gate
            .run(caller, intent, within(domain), async |scope| {
                let length = token_id.len();
                if length == 0 || length > MAX_TOKEN_ID || token_id.chars().any(char::is_control) {
                    let rule = "must have 1 to 255 bytes, none for control";
                    return Err(Error::invalid("tokenId", rule));
                }
                let until = expires_at.map(|moment| {
                    Timestamp::from_micros(moment.as_micros().saturating_add(GRACE_MICROS))
                });
                if until.is_some_and(|moment| moment <= self.clock.now()) {
                    return Err(Error::invalid("expiresAt", "must not lie in the past"));
                }
                let revocation = Revocation {
                    token_id: token_id.to_owned(),
                    expires_at: until,
                    binds_systems: caller.role() == Role::System,
                };
                let revoked =
                    self.store.revoke(scope, revocation, self.limits.revoked_tokens).await;
                self.directory.forget(scope.domain(), None).await;
                revoked
            })
            .await
    }
}

const fn within(domain: Option<DomainId>) -> Target {
    Target::Domain { domain, owner: None }
}
