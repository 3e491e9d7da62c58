//! Who may vouch for callers, and for which.

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::{Reach, Role, jwks};
use crate::ids::DomainId;

/// An `[[auth.issuers]]` entry as it is configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// The `iss` claim.
    pub iss: String,
    /// A JWK set, as a file.
    pub jwks_file: std::path::PathBuf,
    /// The signature algorithms that are accepted.
    pub algorithms: Vec<String>,
    /// The `aud` claims that are accepted; at least one.
    pub audiences: Vec<String>,
    /// The domains that the issuer may speak for; `*` is every domain.
    pub domains: Vec<String>,
    /// The roles that it may give.
    #[serde(default = "ordinary_roles")]
    pub roles: Vec<Role>,
    /// How claims are read.
    #[serde(default)]
    pub claims: ClaimSet,
}

/// How a token's claims are read.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClaimSet {
    /// `domain_id`, `user_id` or `sub`, `role`, `scope`, `jti`.
    #[default]
    Standard,
}

fn ordinary_roles() -> Vec<Role> {
    vec![Role::User, Role::DomainAdmin]
}

/// What is wrong with an issuer's configuration, beginning with the key at fault.
#[derive(Debug, thiserror::Error)]
#[error("auth.issuers: {0}")]
pub struct IssuerError(pub(super) String);

/// An issuer whose keys are at hand.
pub struct Issuer {
    pub(super) iss: String,
    pub(super) audiences: Vec<String>,
    pub(super) reach: Reach,
    pub(super) roles: Vec<Role>,
    pub(super) keys: Vec<jwks::Key>,
}

impl Issuer {
    /// Checks the entry and takes the keys of its JWK set, which `jwks` is the text of.
    pub fn new(settings: &IssuerSettings, jwks: &str) -> Result<Self, IssuerError> {
        let because =
            |key: &str, rule: &str| IssuerError(format!("{:?}: {key}: {rule}", settings.iss));
        if settings.iss.is_empty() {
            return Err(because("iss", "must not be empty"));
        }
        if settings.audiences.is_empty() {
            return Err(because("audiences", "must name at least one"));
        }
        let algorithms = settings
            .algorithms
            .iter()
            .map(|name| accepted(name).ok_or_else(|| because("algorithms", ACCEPTED)))
            .collect::<Result<Vec<_>, _>>()?;
        let keys = jwks::parse(jwks, &algorithms)
            .map_err(|IssuerError(reason)| IssuerError(format!("{:?}: {reason}", settings.iss)))?;
        Ok(Self {
            iss: settings.iss.clone(),
            audiences: settings.audiences.clone(),
            reach: reach(&settings.domains).ok_or_else(|| because("domains", DOMAINS))?,
            roles: settings.roles.clone(),
            keys,
        })
    }

    /// Whether the entry names `domain`.
    pub(super) fn names(&self, domain: &DomainId) -> bool {
        matches!(&self.reach, Reach::Only(domains) if domains.contains(domain))
    }

    /// The only domain that the entry speaks for.
    pub(super) fn only_domain(&self) -> Option<&DomainId> {
        match &self.reach {
            Reach::Only(domains) if domains.len() == 1 => domains.first(),
            _ => None,
        }
    }
}

const ACCEPTED: &str = "must be of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA";
const DOMAINS: &str = "must be [\"*\"] or a list of domain ids";

/// Asymmetric algorithms only: a shared secret would let every verifier sign.
fn accepted(name: &str) -> Option<Algorithm> {
    use Algorithm::{HS256, HS384, HS512};
    name.parse().ok().filter(|algorithm| !matches!(algorithm, HS256 | HS384 | HS512))
}

fn reach(domains: &[String]) -> Option<Reach> {
    match domains {
        [] => None,
        [any] if any == "*" => Some(Reach::All),
        named => named
            .iter()
            .map(|domain| DomainId::parse(domain))
            .collect::<Option<_>>()
            .map(Reach::Only),
    }
}
