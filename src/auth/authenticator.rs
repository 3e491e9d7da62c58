//! From a bearer token to a [`Caller`].

use std::collections::HashMap;

use super::{Caller, Grant, Issuer, IssuerError, Reach, Role, jwt};
use crate::{
    error::{Error, Result},
    ids::{DomainId, UserId},
};

/// Knows the issuers and believes nobody else.
pub struct Authenticator {
    issuers: HashMap<String, Vec<Issuer>>,
}

impl Authenticator {
    /// An authenticator that believes `issuers`.
    ///
    /// Entries may share an `iss` if no domain, nor the wildcard, finds two of them.
    pub fn new(issuers: Vec<Issuer>) -> Result<Self, IssuerError> {
        let mut by_name: HashMap<String, Vec<Issuer>> = HashMap::new();
        for issuer in issuers {
            let entries = by_name.entry(issuer.iss.clone()).or_default();
            let collides = entries.iter().any(|other| match (&issuer.reach, &other.reach) {
                (Reach::All, Reach::All) => true,
                (Reach::Only(mine), Reach::Only(_)) => mine.iter().any(|d| other.names(d)),
                _ => false,
            });
            if collides {
                let iss = &issuer.iss;
                return Err(IssuerError(format!("{iss:?}: domains: two entries fit equally")));
            }
            entries.push(issuer);
        }
        Ok(Self { issuers: by_name })
    }

    /// The caller whom the `Authorization` header vouches for.
    ///
    /// Every failure answers alike; the reason is the error's source.
    pub fn authenticate(&self, authorization: Option<&str>) -> Result<Caller> {
        let header = authorization.ok_or_else(|| refuse("there is no token"))?;
        let token = bearer(header).ok_or_else(|| refuse("the scheme is not Bearer"))?;
        let token = jwt::Token::read(token).map_err(refuse)?;
        let issuer = self
            .entry(&token.unverified)
            .ok_or_else(|| refuse("no issuer entry speaks for the token's domain"))?;
        let claims = token.verify(issuer).map_err(Error::unauthenticated)?;
        caller(claims, issuer)
    }

    /// The entry that names the token's domain, else the one for every domain.
    fn entry(&self, claims: &jwt::Claims) -> Option<&Issuer> {
        let entries = self.issuers.get(&claims.iss)?;
        match &claims.domain_id {
            Some(text) => {
                let domain = DomainId::parse(text)?;
                entries
                    .iter()
                    .find(|entry| entry.names(&domain))
                    .or_else(|| entries.iter().find(|entry| entry.reach == Reach::All))
            }
            None => match &entries[..] {
                [only] if only.only_domain().is_some() => Some(only),
                _ => None,
            },
        }
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 §2.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn caller(claims: jwt::Claims, issuer: &Issuer) -> Result<Caller> {
    let domain = match &claims.domain_id {
        Some(text) => DomainId::parse(text),
        None => issuer.only_domain().cloned(),
    }
    .filter(|domain| issuer.reach.contains(domain))
    .ok_or_else(|| refuse("the issuer does not speak for the token's domain"))?;

    let role = match claims.role.as_deref() {
        None | Some("USER") => Role::User,
        Some("DOMAIN_ADMIN") => Role::DomainAdmin,
        Some("SYSTEM") => Role::System,
        Some(_) => return Err(refuse("the token's role is unknown")),
    };
    if !issuer.roles.contains(&role) {
        return Err(refuse("the issuer may not give the token's role"));
    }

    let user = match role {
        Role::System => None,
        Role::User | Role::DomainAdmin => {
            let user = claims.user_id.or(claims.sub).and_then(|text| UserId::parse(&text));
            Some(user.ok_or_else(|| refuse("the token names no user"))?)
        }
    };
    Ok(Caller {
        domain,
        user,
        role,
        grants: Grant::from_scope(claims.scope.as_deref().unwrap_or_default()),
        reach: issuer.reach.clone(),
        token_id: claims.jti,
    })
}

fn refuse(reason: &'static str) -> Error {
    Error::unauthenticated(reason)
}
