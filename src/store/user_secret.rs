//! A secret's metadata, and the condition that a scope is.

use ::entity::user_secret;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _, QuerySelect as _, Select,
};
use serde_json::{Map, Value};

use super::damaged;
use crate::{
    auth::Scope,
    clock::Timestamp,
    database::failed,
    error::{Error, Result},
    ids::{DataVersion, DomainId, UserId, UserSecretId},
};

/// The metadata of a user secret.
#[derive(Debug, Clone)]
pub struct UserSecret {
    /// Its id.
    pub id: UserSecretId,
    /// Its tenant.
    pub domain_id: DomainId,
    /// Its owner.
    pub user_id: UserId,
    /// What the owner calls it.
    pub name: String,
    /// The kind of credential.
    pub schema_id: Option<String>,
    /// The provider of the schema.
    pub provider: Option<String>,
    /// The owner's tags.
    pub tags: Map<String, Value>,
    /// The version of the data.
    pub version: DataVersion,
    /// Rises with every change.
    pub revision: i32,
    /// When its data ceases to be revealed.
    pub expires_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// The secrets of `scope`, and no other: the outer AND of every statement.
pub(super) fn select_in(scope: &Scope) -> Select<user_secret::Entity> {
    #[expect(clippy::disallowed_methods, reason = "joined to the scope here, for the whole store")]
    user_secret::Entity::find().filter(visible(scope))
}

/// The condition that `scope` is.
pub(super) fn visible(scope: &Scope) -> Condition {
    Condition::all()
        .add(user_secret::Column::DomainId.eq(scope.domain().as_str()))
        .add_option(scope.owner().map(|owner| user_secret::Column::UserId.eq(owner.as_str())))
}

pub(super) async fn find_row(
    connection: &impl ConnectionTrait,
    scope: &Scope,
    id: &UserSecretId,
) -> Result<user_secret::Model> {
    one(connection, row_of(scope, id)).await
}

/// The same row for a transaction that writes it back: others who would change it wait for that.
///
/// SQLite, which has one writer, knows no such lock and needs none.
pub(super) async fn find_row_to_change(
    transaction: &DatabaseTransaction,
    scope: &Scope,
    id: &UserSecretId,
) -> Result<user_secret::Model> {
    one(transaction, row_of(scope, id).lock_exclusive()).await
}

fn row_of(scope: &Scope, id: &UserSecretId) -> Select<user_secret::Entity> {
    select_in(scope).filter(user_secret::Column::UserSecretId.eq(id.as_str()))
}

async fn one(
    connection: &impl ConnectionTrait,
    select: Select<user_secret::Entity>,
) -> Result<user_secret::Model> {
    select.one(connection).await.map_err(failed)?.ok_or_else(Error::not_found)
}

impl TryFrom<user_secret::Model> for UserSecret {
    type Error = Error;

    fn try_from(row: user_secret::Model) -> Result<Self> {
        let Value::Object(tags) = row.tags else { return Err(damaged("set of tags")) };
        Ok(Self {
            id: UserSecretId::parse(&row.user_secret_id).ok_or_else(|| damaged("secret id"))?,
            domain_id: DomainId::parse(&row.domain_id).ok_or_else(|| damaged("domain id"))?,
            user_id: UserId::parse(&row.user_id).ok_or_else(|| damaged("user id"))?,
            name: row.name,
            schema_id: row.schema_id,
            provider: row.provider,
            tags,
            version: DataVersion(row.version),
            revision: row.revision,
            expires_at: row.expires_at.map(Timestamp::from_micros),
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
        })
    }
}
