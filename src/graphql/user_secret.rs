//! User secrets as the schema shows them.

use async_graphql::{ID, Object, SimpleObject};
use serde_json::Value;
use time::OffsetDateTime;

use crate::service::{Revealed, UserSecret as Secret};

/// A credential's metadata. The data itself is revealed to internal systems only.
pub(super) struct UserSecret(pub(super) Secret);

/// A credential's metadata. Its data is never part of it.
#[Object]
impl UserSecret {
    /// The same as `userSecretId`.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// `user-secret-` and 12 hexadecimal digits, unique in the domain.
    async fn user_secret_id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// What the owner calls it; need not be unique.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The kind of credential, as free text.
    async fn schema_id(&self) -> Option<&str> {
        self.0.schema_id.as_deref()
    }

    /// The provider that the schema belongs to.
    async fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The owner's tags, a JSON object.
    async fn tags(&self) -> Value {
        Value::Object(self.0.tags.clone())
    }

    /// The domain, which is the tenant.
    async fn domain_id(&self) -> ID {
        ID(self.0.domain_id.to_string())
    }

    /// The owner.
    async fn user_id(&self) -> ID {
        ID(self.0.user_id.to_string())
    }

    /// The version of the data, counted from 1.
    async fn version(&self) -> i32 {
        self.0.version.0
    }

    /// Rises with every change.
    async fn revision(&self) -> i32 {
        self.0.revision
    }

    /// From this moment on the data is not revealed any more.
    async fn expires_at(&self) -> Option<OffsetDateTime> {
        self.0.expires_at.map(Into::into)
    }

    /// When it was created.
    async fn created_at(&self) -> OffsetDateTime {
        self.0.created_at.into()
    }

    /// When it was changed last.
    async fn updated_at(&self) -> OffsetDateTime {
        self.0.updated_at.into()
    }
}

/// What can be found by its id alone.
#[derive(async_graphql::Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "The global id."))]
pub(super) enum Node {
    /// A user secret.
    UserSecret(UserSecret),
}

/// The data of a user secret, in clear.
#[derive(SimpleObject)]
pub(super) struct UserSecretData {
    /// Whether `data` is encrypted; this service answers with plaintext.
    encrypted: bool,
    /// How `data` is encrypted: `{}`.
    encrypt_options: Value,
    /// The credential.
    data: Value,
    /// The version of the data.
    version: i32,
}

impl From<Revealed> for UserSecretData {
    fn from(revealed: Revealed) -> Self {
        Self {
            encrypted: false,
            encrypt_options: Value::Object(serde_json::Map::new()),
            data: Value::Object(revealed.data),
            version: revealed.version.0,
        }
    }
}
