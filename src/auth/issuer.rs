//! Who may vouch for callers, and for which.

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use std::sync::Arc;

use super::{ClaimSet, KeyFetcher, Reach, Role, jwks, keys::Keys};
use crate::ids::DomainId;

/// An `[[auth.issuers]]` entry as it is configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// The `iss` claim.
    pub iss: String,
    /// A JWK set, as a file.
    #[serde(default)]
    pub jwks_file: Option<std::path::PathBuf>,
    /// Where a JWK set is published.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// The signature algorithms that are accepted.
    pub algorithms: Vec<String>,
    /// The `aud` claims that are accepted: at least one, but none for `cloudforet`, where `aud` is the user.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The domains that the issuer may speak for; `*` is every domain.
    pub domains: Vec<String>,
    /// The roles that it may give.
    #[serde(default = "ordinary_roles")]
    pub roles: Vec<Role>,
    /// How claims are read.
    #[serde(default)]
    pub claims: ClaimSet,
    /// The longest that a token may be good for, from `iat` to `exp`, in seconds; any length when nothing is said.
    #[serde(default)]
    pub max_life_seconds: Option<u32>,
}

fn ordinary_roles() -> Vec<Role> {
    vec![Role::User, Role::DomainAdmin]
}

/// What is wrong with an issuer: which key breaks which rule.
#[derive(Debug, thiserror::Error)]
#[error("auth.issuers: {iss:?}: {key}: {rule}")]
pub struct IssuerError {
    iss: String,
    /// The key at fault, as in the configuration.
    pub(super) key: &'static str,
    /// The rule that it breaks.
    pub(super) rule: String,
}

impl IssuerError {
    pub(super) fn new(iss: &str, key: &'static str, rule: impl Into<String>) -> Self {
        Self { iss: iss.to_owned(), key, rule: rule.into() }
    }
}

/// An issuer, and how its tokens are read.
pub struct Issuer {
    pub(super) iss: String,
    pub(super) audiences: Vec<String>,
    pub(super) reach: Arc<Reach>,
    pub(super) roles: Vec<Role>,
    pub(super) claims: ClaimSet,
    pub(super) max_life_seconds: Option<u32>,
    pub(super) keys: Keys,
}

impl Issuer {
    /// Checks the entry. Its keys are in `jwks`, or are fetched by `fetcher`.
    pub fn new(
        settings: &IssuerSettings,
        jwks: Option<&str>,
        fetcher: &KeyFetcher,
    ) -> Result<Self, IssuerError> {
        let because = |key, rule: &str| IssuerError::new(&settings.iss, key, rule);
        if settings.iss.is_empty() {
            return Err(because("iss", "must not be empty"));
        }
        let cloudforet = settings.claims.is_cloudforet();
        if settings.audiences.is_empty() != cloudforet {
            return Err(because("audiences", "must name at least one; none for cloudforet"));
        }
        if cloudforet && settings.algorithms != ["RS256"] {
            return Err(because("algorithms", "must be [\"RS256\"] for cloudforet"));
        }
        if settings.claims.paths().any(|path| !path.starts_with('/')) {
            return Err(because("claims", "must be JSON pointers: /…"));
        }
        let algorithms = settings
            .algorithms
            .iter()
            .map(|name| accepted(name).ok_or_else(|| because("algorithms", ACCEPTED)))
            .collect::<Result<Vec<_>, _>>()?;
        let keys = match (jwks, &settings.jwks_url) {
            (Some(text), None) => match jwks::parse(text, &algorithms) {
                Ok(keys) if keys.is_empty() => {
                    Err(because("jwks", "must have a key for one of the algorithms"))
                }
                Ok(keys) => Ok(Keys::Fixed(keys.into())),
                Err(rule) => Err(because("jwks", &rule)),
            },
            (None, Some(url)) => {
                Keys::published(url, algorithms, fetcher).map_err(|rule| because("jwks_url", rule))
            }
            _ => Err(because("jwks", "must be given, or jwks_url, and not both")),
        }?;
        let reach = reach(&settings.domains).ok_or_else(|| because("domains", DOMAINS))?;
        Ok(Self {
            iss: settings.iss.clone(),
            audiences: settings.audiences.clone(),
            reach: Arc::new(reach),
            roles: settings.roles.clone(),
            claims: settings.claims.clone(),
            max_life_seconds: settings.max_life_seconds,
            keys,
        })
    }

    /// Whether the entry names `domain`.
    pub(super) fn names(&self, domain: &DomainId) -> bool {
        matches!(&*self.reach, Reach::Only(domains) if domains.contains(domain))
    }

    /// Whether the entry is for every domain.
    pub(super) fn is_for_all(&self) -> bool {
        *self.reach == Reach::All
    }

    /// The only domain that the entry speaks for.
    pub(super) fn only_domain(&self) -> Option<&DomainId> {
        match &*self.reach {
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
