//! What an operation does to whom, and what a token's `scope` claim lets through.

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Read metadata of user secrets.
    ReadUserSecret,
    /// Create and change user secrets.
    WriteUserSecret,
    /// Delete a user secret.
    DeleteUserSecret,
    /// Read the data of a user secret.
    RevealUserSecret,
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
        Self::ALL
            .into_iter()
            .filter(|grant| {
                entries.is_empty() || entries.iter().any(|entry| grant.as_str().starts_with(entry))
            })
            .collect()
    }
}

impl Permission {
    /// The grant that a token must carry for this.
    pub const fn grant(self) -> Grant {
        match self {
            Self::ReadUserSecret | Self::RevealUserSecret => Grant::Read,
            Self::WriteUserSecret | Self::DeleteUserSecret => Grant::Write,
        }
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
