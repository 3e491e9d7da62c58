//! How an issuer's claims are read: whom they name, and what as.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Grant, Parameters, Role,
    claims::{Claims, Said},
};
use crate::{
    error::{Error, Result},
    ids::UserId,
};

/// How a token's claims are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum ClaimSet {
    /// By name.
    Named(Named),
    /// As another provider writes them.
    Mapped(Mapping),
}

/// Sets of claims that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Named {
    /// `domain_id`, `user_id` or `sub`, `role`, `scope`, `jti`.
    Standard,
    /// Those of the original's identity service.
    Cloudforet,
}

/// Where another provider puts things, as JSON pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The domain.
    pub domain: String,
    /// The user; `sub` when nothing is said.
    #[serde(default = "sub")]
    pub user: String,
    /// The role; everybody is a USER when nothing is said.
    pub role: Option<String>,
}

fn sub() -> String {
    "/sub".to_owned()
}

impl Default for ClaimSet {
    fn default() -> Self {
        Self::Named(Named::Standard)
    }
}

/// Whom a token names, apart from the domain.
pub(super) struct Who {
    pub(super) user: Option<UserId>,
    pub(super) role: Role,
    pub(super) grants: Vec<Grant>,
    pub(super) parameters: Parameters,
    pub(super) token_id: Option<Arc<str>>,
    /// Whether operations that name no domain are about the token's own.
    pub(super) at_home: bool,
}

/// The domain of the original's system tokens.
const ROOT_DOMAIN: &str = "domain-root";

impl ClaimSet {
    /// Whether it is the original's.
    pub(super) const fn is_cloudforet(&self) -> bool {
        matches!(self, Self::Named(Named::Cloudforet))
    }

    /// The pointers of a mapping.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        let paths = match self {
            Self::Named(_) => [None; 3],
            Self::Mapped(Mapping { domain, user, role }) => {
                [Some(domain), Some(user), role.as_ref()]
            }
        };
        paths.into_iter().flatten().map(String::as_str)
    }

    /// The domain that `claims` name.
    pub(super) fn domain<'c>(&self, claims: &'c Claims) -> Said<'c> {
        match self {
            Self::Named(Named::Standard) => claims.text("domain_id"),
            Self::Named(Named::Cloudforet) => claims.text("did"),
            Self::Mapped(mapping) => claims.at(&mapping.domain),
        }
    }

    /// Whether a token may do without an end: the original's system tokens have none.
    pub(super) fn may_never_end(&self, claims: &Claims) -> bool {
        self.is_cloudforet() && claims.text("typ") == Said::Text("SYSTEM_TOKEN")
    }

    /// Whom verified `claims` name.
    pub(super) fn who(&self, claims: &Claims) -> Result<Who> {
        let mut who = match self {
            Self::Named(Named::Standard) => {
                let user = match claims.text("user_id") {
                    Said::Nothing => claims.text("sub"),
                    said => said,
                };
                person(claims, user, claims.text("role"))?
            }
            Self::Named(Named::Cloudforet) => cloudforet(claims)?,
            Self::Mapped(Mapping { user, role, .. }) => {
                let role = role.as_ref().map_or(Said::Nothing, |path| claims.at(path));
                person(claims, claims.at(user), role)?
            }
        };
        who.token_id = match claims.text("jti") {
            Said::Nothing => None,
            Said::Text(id) if id.len() <= 255 && !id.chars().any(char::is_control) => {
                Some(id.into())
            }
            _ => return Err(refuse("the token's id is no short text")),
        };
        Ok(who)
    }
}

fn person(claims: &Claims, user: Said<'_>, role: Said<'_>) -> Result<Who> {
    let role = match role {
        Said::Nothing | Said::Text("USER") => Role::User,
        Said::Text("DOMAIN_ADMIN") => Role::DomainAdmin,
        Said::Text("SYSTEM") => Role::System,
        _ => return Err(refuse("the token's role is unknown")),
    };
    let user = match role {
        Role::User | Role::DomainAdmin => Some(user_of(user)?),
        Role::System | Role::Operator => None,
    };
    let scope = match claims.text("scope") {
        Said::Nothing => "",
        Said::Text(scope) => scope,
        Said::Nonsense => return Err(refuse("the token's scope is no text")),
    };
    let grants = Grant::from_scope(scope);
    let parameters = Parameters::default();
    Ok(Who { user, role, grants, parameters, token_id: None, at_home: true })
}

/// A token of the original's identity service, version 2.0 of its claims.
fn cloudforet(claims: &Claims) -> Result<Who> {
    match claims.text("typ") {
        Said::Text("SYSTEM_TOKEN") => {
            if claims.text("did") != Said::Text(ROOT_DOMAIN) {
                return Err(refuse("a system token of another domain than the root's"));
            }
            let grants = Grant::ALL.to_vec();
            let role = Role::System;
            let parameters = Parameters::default();
            return Ok(Who {
                user: None,
                role,
                grants,
                parameters,
                token_id: None,
                at_home: false,
            });
        }
        Said::Text("ACCESS_TOKEN" | "CLIENT_SECRET") => {}
        _ => return Err(refuse("the token's typ is not accepted")),
    }
    if claims.text("ver") != Said::Text("2.0") {
        return Err(refuse("the token's ver is not 2.0"));
    }
    let user = user_of(claims.text("aud"))?;
    if claims.text("own") != Said::Text("USER") {
        return Err(Error::permission_denied());
    }
    let role = match claims.text("rol") {
        Said::Text("DOMAIN_ADMIN") => Role::DomainAdmin,
        Said::Text("WORKSPACE_OWNER" | "WORKSPACE_MEMBER" | "USER") => Role::User,
        _ => return Err(Error::permission_denied()),
    };
    let parameters = match claims.get("injected_params") {
        None | Some(Value::Null) => Parameters::default(),
        Some(Value::Object(injected)) => {
            let own = [("user_id", claims.text("aud")), ("domain_id", claims.text("did"))];
            let at_home = own.into_iter().all(|(name, own)| {
                injected.get(name).is_none_or(|asked| Said::of(Some(asked)) == own)
            });
            let parameters = Parameters::read(injected).filter(|_| at_home);
            parameters.ok_or_else(Error::permission_denied)?
        }
        Some(_) => return Err(refuse("the token's injected_params are no object")),
    };
    let grants = match claims.get("permissions") {
        None => Grant::ALL.to_vec(),
        Some(Value::Array(entries)) => {
            let entries: Option<Vec<&str>> = entries.iter().map(Value::as_str).collect();
            Grant::from_prefixes(&entries.ok_or_else(|| refuse("a permission is no text"))?)
        }
        Some(_) => return Err(refuse("the token's permissions are no list")),
    };
    Ok(Who { user: Some(user), role, grants, parameters, token_id: None, at_home: true })
}

fn user_of(said: Said<'_>) -> Result<UserId> {
    let Said::Text(text) = said else { return Err(refuse("the token names no user")) };
    UserId::parse(text).ok_or_else(|| refuse("the token names no user"))
}

fn refuse(reason: &'static str) -> Error {
    Error::unauthenticated(reason)
}
