//! Finding a secret, and what is stored of one.

use ::entity::{kek, user_secret, user_secret_version};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, FromQueryResult, JoinType,
    QueryFilter as _, QuerySelect as _, RelationTrait as _,
    sea_query::{Expr, ExprTrait as _},
};
use serde_json::{Map, Value};

use super::{Store, damaged, database};
use crate::{
    auth::Scope,
    clock::Timestamp,
    crypto::{Envelope, Kek},
    error::{Error, Result},
    ids::{DataVersion, DomainId, KekVersion, UserId, UserSecretId},
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

/// A version of a secret's data, with all that is needed to open it.
pub struct Sealed {
    /// The owner.
    pub user_id: UserId,
    /// The version.
    pub version: DataVersion,
    /// When the data ceases to be revealed.
    pub expires_at: Option<Timestamp>,
    /// The sealed data.
    pub envelope: Envelope,
    /// The KEK that it is sealed under.
    pub kek: Kek,
}

#[derive(FromQueryResult)]
struct SealedRow {
    user_id: String,
    expires_at: Option<i64>,
    version: i32,
    kek_version: i32,
    dek: Vec<u8>,
    document: Vec<u8>,
    blob: Vec<u8>,
    binding: Vec<u8>,
}

impl Store {
    /// The metadata of secret `id`.
    pub async fn find(&self, scope: &Scope, id: &UserSecretId) -> Result<UserSecret> {
        find_row(&self.read, scope, id).await?.try_into()
    }

    /// The data of secret `id`, sealed: of `version`, or the current one.
    ///
    /// One statement reads the secret, its data and its KEK, so that they belong together.
    pub async fn find_sealed(
        &self,
        scope: &Scope,
        id: &UserSecretId,
        version: Option<DataVersion>,
    ) -> Result<Sealed> {
        let current = Expr::col((user_secret::Entity, user_secret::Column::Version));
        let wanted = version.map_or(current, |version| Expr::value(version.0));
        let stored = Expr::col((user_secret_version::Entity, user_secret_version::Column::Version));
        select_in(scope)
            .filter(user_secret::Column::UserSecretId.eq(id.as_str()))
            .filter(stored.eq(wanted))
            .join_rev(JoinType::InnerJoin, user_secret_version::Relation::UserSecret.def())
            .join(JoinType::InnerJoin, user_secret_version::Relation::Kek.def())
            .select_only()
            .columns([user_secret::Column::UserId, user_secret::Column::ExpiresAt])
            .columns([
                user_secret_version::Column::Version,
                user_secret_version::Column::KekVersion,
                user_secret_version::Column::Dek,
                user_secret_version::Column::Document,
            ])
            .columns([kek::Column::Blob, kek::Column::Binding])
            .into_model::<SealedRow>()
            .one(&self.read)
            .await
            .map_err(database)?
            .ok_or_else(Error::not_found)?
            .try_into()
    }
}

/// The secrets of `scope`, and no other: the outer AND of every statement.
pub(super) fn select_in(scope: &Scope) -> sea_orm::Select<user_secret::Entity> {
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
    select_in(scope)
        .filter(user_secret::Column::UserSecretId.eq(id.as_str()))
        .one(connection)
        .await
        .map_err(database)?
        .ok_or_else(Error::not_found)
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

impl TryFrom<SealedRow> for Sealed {
    type Error = Error;

    fn try_from(row: SealedRow) -> Result<Self> {
        Ok(Self {
            user_id: UserId::parse(&row.user_id).ok_or_else(|| damaged("user id"))?,
            version: DataVersion(row.version),
            expires_at: row.expires_at.map(Timestamp::from_micros),
            envelope: Envelope::parse(row.kek_version, &row.dek, row.document)?,
            kek: Kek { version: KekVersion(row.kek_version), blob: row.blob, binding: row.binding },
        })
    }
}
