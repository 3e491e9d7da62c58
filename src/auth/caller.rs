//! An authenticated caller.

use super::{Grant, Permission};
use crate::ids::{DomainId, UserId};

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// A user, with secrets of their own.
    User,
    /// A user who administers their domain as well.
    DomainAdmin,
    /// A system of the installation, which has no user.
    System,
}

impl Role {
    /// The role's name in tokens and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::DomainAdmin => "DOMAIN_ADMIN",
            Self::System => "SYSTEM",
        }
    }
}

/// The domains that an issuer may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Every domain.
    All,
    /// These.
    Only(Vec<DomainId>),
}

impl Reach {
    /// Whether `domain` is among them.
    pub fn contains(&self, domain: &DomainId) -> bool {
        match self {
            Self::All => true,
            Self::Only(domains) => domains.contains(domain),
        }
    }
}

/// Who is calling. Made by [`Authenticator`](super::Authenticator) alone.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(super) domain: DomainId,
    pub(super) user: Option<UserId>,
    pub(super) role: Role,
    pub(super) grants: Vec<Grant>,
    pub(super) reach: Reach,
    pub(super) token_id: Option<String>,
}

impl Caller {
    /// The domain in the token.
    pub const fn domain(&self) -> &DomainId {
        &self.domain
    }

    /// The user in the token; none for SYSTEM.
    pub const fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// The role in the token.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// What the token's `scope` lets through.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// The token's `jti`, for the log.
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    pub(super) fn may(&self, permission: Permission) -> bool {
        self.grants.contains(&permission.grant())
    }
}
