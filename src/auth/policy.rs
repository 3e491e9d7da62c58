//! Whom a domain believes, ready to be asked.

use std::{collections::HashMap, sync::Arc};

use super::{Issuer, KeyFetcher, Registration, Role, caller::Identity, registry::Decisions};
use crate::ids::DomainId;

/// What a domain decided. A token that was believed under it is believed for as long as it holds.
pub(super) struct Policy {
    decisions: Decisions,
    /// An issuer that this version of the service cannot read speaks for nobody.
    issuers: Vec<Option<Arc<Issuer>>>,
    /// By token id: whether it binds systems too.
    revoked: HashMap<Arc<str>, bool>,
}

impl Policy {
    /// The policy that `decisions` make; issuers that were there `before` keep their keys.
    pub(super) fn new(
        domain: &DomainId,
        decisions: Decisions,
        before: Option<&Self>,
        fetcher: &KeyFetcher,
    ) -> Self {
        let known = |entry: &(String, String)| {
            let before = before?;
            let at = before.decisions.issuers.iter().position(|old| old == entry)?;
            before.issuers.get(at)?.clone()
        };
        let issuers = decisions
            .issuers
            .iter()
            .map(|entry| known(entry).or_else(|| read(domain, entry, fetcher).map(Arc::new)))
            .collect();
        let revoked =
            decisions.revoked.iter().map(|(id, binds)| (id.as_str().into(), *binds)).collect();
        Self { decisions, issuers, revoked }
    }

    /// Whether `other` says the same.
    pub(super) fn is(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other) || self.follows(&other.decisions)
    }

    /// Whether it is what `decisions` make.
    pub(super) fn follows(&self, decisions: &Decisions) -> bool {
        self.decisions == *decisions
    }

    /// The bytes that it takes, roughly: texts are there twice, and keys again.
    pub(super) fn weight(&self) -> u32 {
        let Decisions { issuers, revoked } = &self.decisions;
        let issuers = issuers.iter().map(|(iss, settings)| 1024 + iss.len() + 3 * settings.len());
        let revoked = revoked.iter().map(|(id, _)| 120 + 2 * id.len());
        u32::try_from(issuers.chain(revoked).sum::<usize>()).unwrap_or(u32::MAX).saturating_add(256)
    }

    /// Whether `iss` is an issuer of the domain.
    pub(super) fn names(&self, iss: &str) -> bool {
        self.decisions.issuers.iter().any(|(name, _)| name == iss)
    }

    /// The domain's own issuer `iss`.
    pub(super) fn issuer(&self, iss: &str) -> Option<Arc<Issuer>> {
        let at = self.decisions.issuers.iter().position(|(name, _)| name == iss)?;
        self.issuers.get(at)?.clone()
    }

    /// Why the domain does not want `identity`, whom `issuer` vouches for.
    pub(super) fn objection(&self, identity: &Identity, issuer: &Issuer) -> Option<&'static str> {
        let system = identity.role == Role::System;
        if !system && issuer.is_for_all() && !self.decisions.issuers.is_empty() {
            return Some("the token's domain has issuers of its own");
        }
        let binds_systems = self.revoked.get(identity.token_id.as_deref()?)?;
        (!system || *binds_systems).then_some("the token is revoked")
    }
}

fn read(
    domain: &DomainId,
    (iss, settings): &(String, String),
    fetcher: &KeyFetcher,
) -> Option<Issuer> {
    let issuer = serde_json::from_str::<Registration>(settings)
        .map_err(|error| error.to_string())
        .and_then(|registration| {
            let registration = Registration { iss: iss.clone(), ..registration };
            registration.issuer(domain, fetcher).map_err(|error| error.to_string())
        });
    issuer
        .map_err(
            |reason| tracing::warn!(%domain, iss, reason, "a registered issuer cannot be read"),
        )
        .ok()
}
