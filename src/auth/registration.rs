//! An issuer as a domain registers it for its own users.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ClaimSet, Issuer, IssuerError, IssuerSettings, KeyFetcher, Role, fetch::MAX_LEN, jwks,
};
use crate::ids::DomainId;

/// The most characters of an `iss` that can be registered.
const MAX_ISS: usize = 255;

/// Whether an issuer of that name can be registered.
pub fn is_iss(text: &str) -> bool {
    let length = text.chars().count();
    (1..=MAX_ISS).contains(&length) && !text.chars().any(char::is_control)
}

/// The most audiences, and the most bytes of each other text.
const MAX_LIST: usize = 20;
const MAX_TEXT: usize = 2048;

/// An issuer as a domain registers it: what a configured one has, but for one domain, and never for SYSTEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The `iss` claim.
    #[serde(skip)]
    pub iss: String,
    /// A JWK set.
    pub jwks: Option<Value>,
    /// Where a JWK set is published.
    pub jwks_url: Option<String>,
    /// The signature algorithms that are accepted.
    pub algorithms: Vec<String>,
    /// The `aud` claims that are accepted.
    pub audiences: Vec<String>,
    /// The roles that it may give.
    pub roles: Vec<Role>,
    /// How claims are read.
    pub claims: ClaimSet,
    /// The longest that a token may be good for, in seconds.
    pub max_life_seconds: Option<u32>,
}

impl Registration {
    /// Checks it against the rules for tenants; `taken` are the issuers of the configuration.
    pub(super) fn check(
        &self,
        domain: &DomainId,
        taken: &HashSet<String>,
        fetcher: &KeyFetcher,
    ) -> Result<(), IssuerError> {
        let because = |key, rule: String| Err(IssuerError::new("", key, rule));
        if !is_iss(&self.iss) {
            return because(
                "iss",
                format!("must have 1 to {MAX_ISS} characters, none for control"),
            );
        }
        if taken.contains(&self.iss) {
            return because("iss", "must not be an issuer of the installation".to_owned());
        }
        if let Some(set) = &self.jwks {
            if set.to_string().len() > MAX_LEN {
                return because("jwks", format!("must have at most {MAX_LEN} bytes"));
            }
            if jwks::holds_secrets(set) {
                return because("jwks", "must hold public keys only".to_owned());
            }
        }
        let lists = [("audiences", &self.audiences), ("algorithms", &self.algorithms)];
        for (key, list) in lists {
            if list.len() > MAX_LIST || list.iter().any(|text| text.len() > MAX_TEXT) {
                let rule = format!("must have at most {MAX_LIST} entries of {MAX_TEXT} bytes");
                return because(key, rule);
            }
        }
        if self.jwks_url.as_ref().is_some_and(|url| url.len() > MAX_TEXT) {
            return because("jwks_url", format!("must have at most {MAX_TEXT} bytes"));
        }
        if self.claims.paths().any(|path| path.len() > MAX_TEXT) {
            return because("claims", format!("a pointer must have at most {MAX_TEXT} bytes"));
        }
        if self.max_life_seconds == Some(0) {
            return because("max_life_seconds", "must be 1 or more".to_owned());
        }
        self.issuer(domain, fetcher).map(|_| ())
    }

    /// The issuer that it makes, also of one that was stored by other hands: it speaks for no SYSTEM.
    pub(super) fn issuer(
        &self,
        domain: &DomainId,
        fetcher: &KeyFetcher,
    ) -> Result<Issuer, IssuerError> {
        let of_people = |role: &Role| matches!(role, Role::User | Role::DomainAdmin);
        if self.roles.is_empty() || !self.roles.iter().all(of_people) {
            return Err(IssuerError::new("", "roles", "must be some of USER and DOMAIN_ADMIN"));
        }
        let settings = IssuerSettings {
            iss: self.iss.clone(),
            jwks_file: None,
            jwks_url: self.jwks_url.clone(),
            algorithms: self.algorithms.clone(),
            audiences: self.audiences.clone(),
            domains: vec![domain.to_string()],
            roles: self.roles.clone(),
            claims: self.claims.clone(),
            max_life_seconds: self.max_life_seconds,
        };
        let jwks = self.jwks.as_ref().map(Value::to_string);
        Issuer::new(&settings, jwks.as_deref(), fetcher)
    }
}
