//! Identifiers, each a type of its own: what holds one has been checked.

use std::{fmt, sync::Arc};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// A domain, which is a tenant: `[A-Za-z0-9][A-Za-z0-9._-]{0,39}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainId(String);

/// A user within a domain: 1 to 255 code points, none a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

/// A user secret: `user-secret-` and 12 lower-case hex digits, unique in its domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserSecretId(String);

/// A version of a secret's data, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataVersion(pub i32);

/// A version of a domain's key-encryption key, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KekVersion(pub i32);

/// A version of the HSM's root key, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootVersion(pub i32);

impl RootVersion {
    /// The one that `hsm init` makes.
    pub const FIRST: Self = Self(1);

    /// The version after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl KekVersion {
    /// The version after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl DomainId {
    /// The most bytes that a domain id has.
    pub const MAX_LEN: usize = 40;

    /// Takes `text` when it is a domain id.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() <= Self::MAX_LEN
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UserId {
    /// Takes `text` when it is a user id.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed =
            !text.is_empty() && text.chars().count() <= 255 && !text.chars().any(char::is_control);
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UserSecretId {
    const PREFIX: &str = "user-secret-";

    /// Takes `text` when it is the id of a user secret.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::PREFIX)?;
        let well_formed = digits.len() == 12
            && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl DataVersion {
    /// The version after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for DomainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UserSecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Draws the ids of new secrets; injected, so that a test can make two clash.
#[derive(Clone)]
pub struct IdSource(Arc<dyn Fn() -> [u8; 6] + Send + Sync>);

impl IdSource {
    /// 48 bits from the system's random number generator.
    pub fn random() -> Self {
        let random = SystemRandom::new();
        Self(Arc::new(move || {
            let mut bits = [0; 6];
            #[expect(clippy::expect_used, reason = "a system without randomness must stop")]
            random.fill(&mut bits).expect("the system's random number generator does not fail");
            bits
        }))
    }

    /// Bits that `draw` gives.
    pub fn from_fn(draw: impl Fn() -> [u8; 6] + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    /// A new id.
    pub fn user_secret_id(&self) -> UserSecretId {
        UserSecretId(format!("{}{}", UserSecretId::PREFIX, hex((self.0)())))
    }
}

/// The lower-case hex digits of `bytes`.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    use fmt::Write as _;
    let bytes = bytes.as_ref();
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_ids() {
        for good in ["acme", "domain-aaaaaaaaaaaa", "9", "a.b_c-D", &"x".repeat(40)] {
            assert!(DomainId::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-", "-a", ".a", "a b", "a/b", "a\n", "аcme", "é", &"x".repeat(41)] {
            assert!(DomainId::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn user_ids() {
        for good in ["ann", "ann@example.com", "앤", &"앤".repeat(255)] {
            assert!(UserId::parse(good).is_some(), "{good}");
        }
        for bad in ["", "a\0", "a\u{85}b", &"앤".repeat(256)] {
            assert!(UserId::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn user_secret_ids() {
        assert!(UserSecretId::parse("user-secret-0123456789ab").is_some());
        for bad in ["", "user-secret-", "user-secret-0123456789aB", "user-secret-0123456789abc"] {
            assert!(UserSecretId::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(
            IdSource::from_fn(|| [1; 6]).user_secret_id().as_str(),
            "user-secret-010101010101"
        );
    }
}
