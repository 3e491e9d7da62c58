//! The fields that a query may name: a closed set.

/// A field of a user secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// Its id.
    UserSecretId,
    /// Its tenant.
    DomainId,
    /// Its owner.
    UserId,
    /// Its name.
    Name,
    /// Its schema.
    SchemaId,
    /// Its provider.
    Provider,
    /// The version of its data.
    Version,
    /// Its revision.
    Revision,
    /// When it expires.
    ExpiresAt,
    /// When it was created.
    CreatedAt,
    /// When it was changed last.
    UpdatedAt,
}

/// How a field's values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// By code point.
    Text,
    /// As integers.
    Integer,
    /// As moments: stored in microseconds, and told in whole milliseconds.
    Time,
}

impl Field {
    /// All fields.
    pub const ALL: [Self; 11] = [
        Self::UserSecretId,
        Self::DomainId,
        Self::UserId,
        Self::Name,
        Self::SchemaId,
        Self::Provider,
        Self::Version,
        Self::Revision,
        Self::ExpiresAt,
        Self::CreatedAt,
        Self::UpdatedAt,
    ];

    /// The field called `key` on the wire.
    pub fn named(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.key() == key)
    }

    /// The field's name on the wire, which is its column's as well.
    pub const fn key(self) -> &'static str {
        match self {
            Self::UserSecretId => "user_secret_id",
            Self::DomainId => "domain_id",
            Self::UserId => "user_id",
            Self::Name => "name",
            Self::SchemaId => "schema_id",
            Self::Provider => "provider",
            Self::Version => "version",
            Self::Revision => "revision",
            Self::ExpiresAt => "expires_at",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        }
    }

    /// The field's name as an argument, which errors use.
    pub fn argument(self) -> String {
        let mut words = self.key().split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |name, word| {
            let (initial, rest) = word.split_at(1);
            name + &initial.to_ascii_uppercase() + rest
        })
    }

    /// Whether a secret may be without it.
    pub const fn is_nullable(self) -> bool {
        matches!(self, Self::SchemaId | Self::Provider | Self::ExpiresAt)
    }

    /// How its values compare.
    pub const fn kind(self) -> FieldKind {
        match self {
            Self::UserSecretId
            | Self::DomainId
            | Self::UserId
            | Self::Name
            | Self::SchemaId
            | Self::Provider => FieldKind::Text,
            Self::Version | Self::Revision => FieldKind::Integer,
            Self::ExpiresAt | Self::CreatedAt | Self::UpdatedAt => FieldKind::Time,
        }
    }
}
