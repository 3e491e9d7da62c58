//! From a bearer token to a [`Caller`].

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use moka::sync::Cache;

use super::{
    Caller, Directory, Issuer, IssuerError, Reach,
    caller::Identity,
    claims::{Claims, Expiry, Said},
    jwks, jwt,
    policy::Policy,
};
use crate::{
    audit::{Event, Origin, Trail},
    clock::{Clock, Timestamp},
    error::{Error, Result},
    ids::DomainId,
};

/// Knows the issuers and believes nobody else.
pub struct Authenticator {
    issuers: HashMap<String, Vec<Arc<Issuer>>>,
    directory: Directory,
    /// Tokens that were verified, by their digest: a signature costs 60 µs, a look-up one.
    believed: Cache<[u8; 32], Arc<Believed>>,
    clock: Clock,
    trail: Trail,
}

/// A verified token: until it expires, its issuer's keys change, or its domain thinks otherwise.
struct Believed {
    identity: Arc<Identity>,
    expires: Expiry,
    issuer: Arc<Issuer>,
    keys: Arc<[jwks::Key]>,
    policy: Arc<Policy>,
}

/// The most verified tokens that are remembered, and for how long.
const MAX_BELIEVED: u64 = 10_000;
const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// How often a token is verified whose domain changes its decisions meanwhile.
const TRIES: usize = 3;

impl Authenticator {
    /// An authenticator that believes `issuers`, and those of `directory` for their domains.
    ///
    /// Entries may share an `iss` if no domain, nor the wildcard, finds two of them.
    pub fn new(
        issuers: Vec<Issuer>,
        directory: Directory,
        clock: Clock,
        trail: Trail,
    ) -> Result<Self, IssuerError> {
        let mut by_name: HashMap<String, Vec<Arc<Issuer>>> = HashMap::new();
        for issuer in issuers {
            let entries = by_name.entry(issuer.iss.clone()).or_default();
            let collides = entries.iter().any(|other| match (&*issuer.reach, &*other.reach) {
                (Reach::All, Reach::All) => true,
                (Reach::Only(mine), Reach::Only(_)) => mine.iter().any(|d| other.names(d)),
                _ => false,
            });
            if collides {
                return Err(IssuerError::new(&issuer.iss, "domains", "two entries fit equally"));
            }
            entries.push(Arc::new(issuer));
        }
        let believed =
            Cache::builder().max_capacity(MAX_BELIEVED).time_to_live(BELIEVED_FOR).build();
        Ok(Self { issuers: by_name, directory, believed, clock, trail })
    }

    /// The caller whom the `Authorization` header vouches for.
    ///
    /// Every failure answers alike; the reason is the error's source. Only that
    /// the database is away, where it must be asked, is told apart.
    pub async fn authenticate(
        &self,
        authorization: Option<&str>,
        origin: Origin,
    ) -> Result<Caller> {
        match self.identify(authorization).await {
            Ok(identity) => Ok(Caller { identity, origin }),
            Err(error) => {
                self.trail.refuse(stranger(origin), error.code().as_str());
                Err(error)
            }
        }
    }

    async fn identify(&self, authorization: Option<&str>) -> Result<Arc<Identity>> {
        let header = authorization.ok_or_else(|| refuse("there is no token"))?;
        let text = bearer(header).ok_or_else(|| refuse("the scheme is not Bearer"))?;
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        if let Some(believed) = self.believed.get(&key)
            && self.holds(&believed).await?
        {
            return Ok(Arc::clone(&believed.identity));
        }
        let believed = self.verify(text).await?;
        let identity = Arc::clone(&believed.identity);
        self.believed.insert(key, Arc::new(believed));
        Ok(identity)
    }

    /// Whether everything that `believed` rests on is as it was.
    async fn holds(&self, believed: &Believed) -> Result<bool> {
        let Believed { identity, expires, issuer, keys, policy } = believed;
        Ok(!expires.is_past(self.clock.now())
            && issuer.keys.are(keys)
            && policy.is(&self.directory.policy(&identity.domain).await?))
    }

    async fn verify(&self, text: &str) -> Result<Believed> {
        let token = jwt::Token::read(text).map_err(refuse)?;
        for _ in 0..TRIES {
            let Some((issuer, under)) = self.issuer(&token.unverified).await? else {
                self.take_as_long(&token).await;
                return Err(refuse("no issuer speaks for the token's domain"));
            };
            let (claims, keys) = token.verify(&issuer).await.map_err(Error::unauthenticated)?;
            let identity = Arc::new(identity(&claims, &issuer, self.clock.now())?);
            let policy = self.directory.policy(&identity.domain).await?;
            if under.is_some_and(|under| !under.is(&policy)) {
                // The domain may have removed the issuer while its keys were fetched.
                continue;
            }
            if let Some(reason) = policy.objection(&identity, &issuer) {
                return Err(refuse(reason));
            }
            return Ok(Believed { identity, expires: claims.expiry(), issuer, keys, policy });
        }
        Err(Error::unavailable("the domain's decisions change faster than a token is verified"))
    }

    /// Checks the signature for nothing: the time must not tell which domains have an entry of their own.
    async fn take_as_long(&self, token: &jwt::Token<'_>) {
        let entries = text(token.unverified.text("iss")).and_then(|iss| self.issuers.get(iss));
        if let Some(another) = entries.and_then(|entries| entries.first()) {
            let _ = token.verify(another).await;
        }
    }

    /// The issuer that may speak for the token: of the configuration, else of a domain, by its policy.
    async fn issuer(&self, claims: &Claims) -> Result<Option<(Arc<Issuer>, Option<Arc<Policy>>)>> {
        let Some(iss) = self::text(claims.text("iss")) else { return Ok(None) };
        match self.issuers.get(iss) {
            Some(entries) => Ok(entry(entries, claims).map(|entry| (Arc::clone(entry), None))),
            None => {
                let found = self.directory.issuer(iss).await?;
                Ok(found.map(|(issuer, policy)| (issuer, Some(policy))))
            }
        }
    }
}

/// The entry that names the token's domain, else the one for every domain.
fn entry<'e>(entries: &'e [Arc<Issuer>], claims: &Claims) -> Option<&'e Arc<Issuer>> {
    let domain = |entry: &Issuer| DomainId::parse(text(entry.claims.domain(claims))?);
    let names = |entry: &&Arc<Issuer>| domain(entry).is_some_and(|domain| entry.names(&domain));
    let any = |entry: &&Arc<Issuer>| entry.is_for_all() && domain(entry).is_some();
    entries.iter().find(names).or_else(|| entries.iter().find(any)).or_else(|| match entries {
        [only] if only.claims.domain(claims) == Said::Nothing && only.only_domain().is_some() => {
            Some(only)
        }
        _ => None,
    })
}

const fn text(said: Said<'_>) -> Option<&str> {
    match said {
        Said::Text(text) => Some(text),
        Said::Nothing | Said::Nonsense => None,
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 §2.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn identity(claims: &Claims, issuer: &Issuer, now: Timestamp) -> Result<Identity> {
    let who = issuer.claims.who(claims)?;
    let domain = match issuer.claims.domain(claims) {
        Said::Text(text) => DomainId::parse(text),
        Said::Nothing => issuer.only_domain().cloned(),
        Said::Nonsense => None,
    }
    // The original's system tokens name a domain that nobody has; they say where they act.
    .filter(|domain| issuer.reach.contains(domain) || !who.at_home)
    .ok_or_else(|| refuse("the issuer does not speak for the token's domain"))?;
    if issuer.max_life_seconds.is_some_and(|most| !claims.lives_at_most(most, now)) {
        return Err(refuse(
            "the token is good for longer than its issuer may say, or does not say since when",
        ));
    }
    if !issuer.roles.contains(&who.role) {
        return Err(refuse("the issuer may not give the token's role"));
    }
    Ok(Identity {
        domain,
        user: who.user,
        role: who.role,
        grants: who.grants,
        parameters: who.parameters,
        reach: Arc::clone(&issuer.reach),
        token_id: who.token_id,
        at_home: who.at_home,
    })
}

fn refuse(reason: &'static str) -> Error {
    Error::unauthenticated(reason)
}

/// A caller whom nobody vouches for, as the audit trail tells it.
const fn stranger(origin: Origin) -> Event {
    Event {
        domain: None,
        user: None,
        role: "NONE",
        token_id: None,
        origin,
        operation: "authenticate",
        target: None,
    }
}
