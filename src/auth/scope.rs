//! What a caller was granted: the key to every row and every KEK.

use super::{Caller, Permission, Role};
use crate::{
    error::{Error, Result},
    ids::{DomainId, UserId},
};

/// Whose secrets an operation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The caller's own.
    Own,
    /// Those of one user, or of all, in `domain`, or in the caller's domain when none is named.
    Domain {
        /// The domain named in the operation.
        domain: Option<DomainId>,
        /// The user named in the operation.
        owner: Option<UserId>,
    },
}

/// A granted view: one domain, and one owner in it or all.
///
/// Only [`Gate`](super::Gate) hands one out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    domain: DomainId,
    owner: Option<UserId>,
}

impl Scope {
    /// The domain whose rows and keys may be touched.
    pub const fn domain(&self) -> &DomainId {
        &self.domain
    }

    /// The only user whose rows may be touched, unless it is the whole domain.
    pub const fn owner(&self) -> Option<&UserId> {
        self.owner.as_ref()
    }

    /// The policy, whole: who may do what to whom.
    pub(super) fn grant(caller: &Caller, permission: Permission, target: Target) -> Result<Self> {
        use Permission::{DeleteUserSecret, ReadUserSecret, RevealUserSecret, WriteUserSecret};
        use Role::{DomainAdmin, System, User};

        if !caller.may(permission) {
            return Err(Error::permission_denied());
        }
        match (caller.role, permission, target) {
            (
                User | DomainAdmin,
                ReadUserSecret | WriteUserSecret | DeleteUserSecret,
                Target::Own,
            ) => Self::own(caller),
            (DomainAdmin | System, DeleteUserSecret, Target::Domain { domain, owner })
            | (System, RevealUserSecret, Target::Domain { domain, owner }) => {
                Self::in_domain(caller, domain, owner)
            }
            _ => Err(Error::permission_denied()),
        }
    }

    fn own(caller: &Caller) -> Result<Self> {
        let owner = caller.user.clone().ok_or_else(Error::permission_denied)?;
        Ok(Self { domain: caller.domain.clone(), owner: Some(owner) })
    }

    /// SYSTEM acts where its issuer may speak, everybody else at home.
    fn in_domain(caller: &Caller, named: Option<DomainId>, owner: Option<UserId>) -> Result<Self> {
        let domain = named.unwrap_or_else(|| caller.domain.clone());
        let within_reach = match caller.role {
            Role::System => caller.reach.contains(&domain),
            Role::User | Role::DomainAdmin => domain == caller.domain,
        };
        if within_reach { Ok(Self { domain, owner }) } else { Err(Error::permission_denied()) }
    }
}
