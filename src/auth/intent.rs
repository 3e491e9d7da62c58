//! What an operation does to what, and what a token's `scope` claim lets through.

use std::sync::Arc;

use crate::{audit::Subject, ids::UserSecretId};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Create a user secret.
    Create,
    /// Read the metadata of one.
    Get,
    /// Read the metadata of many.
    List,
    /// Count the secrets, and what their metadata says.
    Stat,
    /// Change the metadata of one.
    Update,
    /// Replace the data of one.
    UpdateData,
    /// Remove one.
    Delete,
    /// Remove all of a user's.
    DeleteOfUser,
    /// Read the data of one.
    GetData,
    /// Look at a domain.
    GetDomain,
    /// Read the audit trail of a domain.
    ListAuditEvents,
    /// Read which issuers a domain registered.
    ListIssuers,
    /// Register one, or change it.
    RegisterIssuer,
    /// Remove one.
    RemoveIssuer,
    /// Refuse a token from now on.
    RevokeToken,
    /// Read which keys a domain has, and how far their rewrap is.
    ListKeys,
    /// Make the domain another key.
    RotateKey,
    /// Move what is sealed under older keys to the active one.
    Rewrap,
    /// Destroy the keys of a domain.
    Shred,
    /// Open everything in a domain, and show nothing of it.
    Verify,
    /// Bring one in, as it was elsewhere.
    Import,
    /// Read the metadata of all of a domain's, to take it along.
    Export,
}

/// The most characters of a name that the audit trail repeats.
const MAX_NAME: usize = 255;

/// An operation on its way to the gate: what is done, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// What is done.
    pub verb: Verb,
    /// To what, if to one thing that can exist.
    pub subject: Option<Subject>,
}

impl Intent {
    /// Something done to secret `id`. What is no id of ours does not exist, and only the gate says so.
    pub fn on(verb: Verb, id: &str) -> Self {
        Self { verb, subject: UserSecretId::parse(id).map(Subject::Secret) }
    }

    /// Something done to what is called `name`. What is no short text is not repeated.
    pub fn about(verb: Verb, name: &str) -> Self {
        let short = name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control);
        Self { verb, subject: short.then(|| Subject::Named(Arc::from(name))) }
    }
}

impl From<Verb> for Intent {
    fn from(verb: Verb) -> Self {
        Self { verb, subject: None }
    }
}

impl Verb {
    /// The verb as the audit trail names it, after the original's methods.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "UserSecret.create",
            Self::Get => "UserSecret.get",
            Self::List => "UserSecret.list",
            Self::Stat => "UserSecret.stat",
            Self::Update => "UserSecret.update",
            Self::UpdateData => "UserSecret.update_data",
            Self::Delete => "UserSecret.delete",
            Self::DeleteOfUser => "UserSecret.delete_of_user",
            Self::GetData => "UserSecret.get_data",
            Self::GetDomain => "Domain.get",
            Self::ListAuditEvents => "AuditEvent.list",
            Self::ListIssuers => "Issuer.list",
            Self::RegisterIssuer => "Issuer.register",
            Self::RemoveIssuer => "Issuer.remove",
            Self::RevokeToken => "Token.revoke",
            Self::ListKeys => "Domain.list_keys",
            Self::RotateKey => "Domain.rotate_key",
            Self::Rewrap => "Domain.rewrap",
            Self::Shred => "Domain.shred",
            Self::Verify => "Domain.verify",
            Self::Import => "UserSecret.import",
            Self::Export => "UserSecret.export",
        }
    }

    /// Whether every success and every failure is recorded, and not refusals alone.
    pub const fn is_recorded(self) -> bool {
        match self {
            Self::Create
            | Self::Update
            | Self::UpdateData
            | Self::Delete
            | Self::DeleteOfUser
            | Self::GetData
            | Self::RegisterIssuer
            | Self::RemoveIssuer
            | Self::RevokeToken
            | Self::RotateKey
            | Self::Rewrap
            | Self::Shred
            | Self::Verify
            | Self::Import
            | Self::Export => true,
            Self::Get
            | Self::List
            | Self::Stat
            | Self::GetDomain
            | Self::ListAuditEvents
            | Self::ListIssuers
            | Self::ListKeys => false,
        }
    }

    /// The grant that a token must carry for this.
    pub const fn grant(self) -> Grant {
        match self {
            Self::Get
            | Self::List
            | Self::Stat
            | Self::GetData
            | Self::GetDomain
            | Self::ListAuditEvents
            | Self::ListIssuers
            | Self::ListKeys
            | Self::Verify
            | Self::Export => Grant::Read,
            Self::Create
            | Self::Update
            | Self::UpdateData
            | Self::Delete
            | Self::DeleteOfUser
            | Self::RegisterIssuer
            | Self::RemoveIssuer
            | Self::RevokeToken
            | Self::RotateKey
            | Self::Rewrap
            | Self::Shred
            | Self::Import => Grant::Write,
        }
    }
}

/// What a token carries, after the original's permission names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// Queries, and the reveal.
    Read,
    /// Every mutation.
    Write,
}

impl Grant {
    /// Both, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// The name of the grant.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "secret:UserSecret.read",
            Self::Write => "secret:UserSecret.write",
        }
    }

    /// The grants that a `scope` claim gives (RFC 8693 §4.2).
    ///
    /// Entries that do not begin with `secret:` are other services' business. An
    /// entry grants what it is a prefix of; no entry means no restriction.
    pub fn from_scope(scope: &str) -> Vec<Self> {
        let entries: Vec<&str> =
            scope.split(' ').filter(|entry| entry.starts_with("secret:")).collect();
        Self::from_prefixes(&entries)
    }

    /// The grants that some of `entries` are a prefix of; all when there are no entries.
    pub fn from_prefixes(entries: &[&str]) -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|grant| {
                entries.is_empty() || entries.iter().any(|entry| grant.as_str().starts_with(entry))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        let cases: [(&str, &[Grant]); 9] = [
            ("", &Grant::ALL),
            ("openid email", &Grant::ALL),
            ("secret:", &Grant::ALL),
            ("secret:UserSecret", &Grant::ALL),
            ("secret:UserSecret.read", &[Grant::Read]),
            ("openid secret:UserSecret.write", &[Grant::Write]),
            ("secret:UserSecret.read secret:UserSecret.write", &Grant::ALL),
            ("secret:*", &[]),
            ("secret:UserSecret.readonly", &[]),
        ];
        for (scope, grants) in cases {
            assert_eq!(Grant::from_scope(scope), grants, "{scope:?}");
        }
    }
}
