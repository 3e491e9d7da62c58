//! What a caller was granted: the key to every row and every KEK.

use super::{Caller, Intent, Role, Verb};
use crate::{
    audit::{Event, Listener, Subject},
    error::{Error, Result},
    ids::{DomainId, UserId, UserSecretId},
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
/// Only [`Gate`](super::Gate) hands one out. It carries the event that the store
/// writes with what it does.
#[derive(Debug, Clone)]
pub struct Scope {
    domain: DomainId,
    owner: Option<UserId>,
    event: Event,
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

    /// What the caller does, for the audit trail.
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// The secret that the caller named: NOT_FOUND when it is no id of ours.
    pub fn secret(&self) -> Result<&UserSecretId> {
        match &self.event.target {
            Some(Subject::Secret(id)) => Ok(id),
            Some(Subject::Named(_)) | None => Err(Error::not_found()),
        }
    }

    /// The policy, whole: who may do what to whom, and on which listener.
    pub(super) fn grant(caller: &Caller, intent: &Intent, target: Target) -> Result<Self> {
        use Listener::{Internal, Sole};
        use Role::{DomainAdmin, Operator, System, User};
        use Verb::{
            Create, Delete, DeleteOfUser, Export, Get, GetData, GetDomain, Import, List,
            ListAuditEvents, ListIssuers, ListKeys, RegisterIssuer, RemoveIssuer, RevokeToken,
            Rewrap, RotateKey, Shred, Stat, Update, UpdateData, Verify,
        };

        if !caller.may(intent.verb) {
            return Err(Error::permission_denied());
        }
        let (domain, owner) = match (caller.role(), intent.verb, target, caller.listener()) {
            (
                User | DomainAdmin,
                Create | Get | List | Stat | Update | UpdateData | Delete,
                Target::Own,
                _,
            ) => (caller.domain().clone(), Some(own(caller)?)),
            (
                DomainAdmin | System,
                Get | List | Stat | Delete | DeleteOfUser | GetDomain | ListAuditEvents
                | ListIssuers | ListKeys | RegisterIssuer | RemoveIssuer | RevokeToken | Rewrap
                | RotateKey,
                Target::Domain { domain, owner },
                _,
            )
            | (System, GetData, Target::Domain { domain, owner }, Internal | Sole)
            | (System, Shred, Target::Domain { domain, owner }, _)
            | (
                Operator,
                Import | Export | ListKeys | Rewrap | RotateKey | Shred | Verify,
                Target::Domain { domain, owner },
                _,
            ) => (within_reach(caller, domain)?, owner),
            _ => return Err(Error::permission_denied()),
        };
        let event = caller.event(intent, Some(domain.clone()));
        Ok(Self { domain, owner, event })
    }
}

fn own(caller: &Caller) -> Result<UserId> {
    caller.user().cloned().ok_or_else(Error::permission_denied)
}

/// SYSTEM acts where its issuer may speak, everybody else at home.
fn within_reach(caller: &Caller, named: Option<DomainId>) -> Result<DomainId> {
    let domain = match named {
        Some(domain) => domain,
        None if caller.identity.at_home => caller.domain().clone(),
        None => {
            return Err(Error::missing("domainId", "the token acts in no domain of its own"));
        }
    };
    let reached = match caller.role() {
        Role::System => caller.reaches(&domain),
        Role::User | Role::DomainAdmin | Role::Operator => domain == *caller.domain(),
    };
    if reached { Ok(domain) } else { Err(Error::permission_denied()) }
}
