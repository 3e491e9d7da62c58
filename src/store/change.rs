//! Creating, changing and removing a secret, each in one transaction.

use ::entity::{user_secret, user_secret_version};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DatabaseTransaction,
    EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
};
use serde_json::{Map, Value};

use super::{
    Store, UserSecret, database, is_unique_violation,
    user_secret::{find_row, select_in, visible},
};
use crate::{
    auth::Scope,
    clock::Timestamp,
    crypto::Envelope,
    error::{Error, Result},
    ids::{DataVersion, UserId, UserSecretId},
};

/// A secret to be created.
#[derive(Clone)]
pub struct NewRow {
    /// Its id.
    pub id: UserSecretId,
    /// Its owner.
    pub user_id: UserId,
    /// Its name.
    pub name: String,
    /// The kind of credential.
    pub schema_id: Option<String>,
    /// Its tags.
    pub tags: Map<String, Value>,
    /// When its data ceases to be revealed.
    pub expires_at: Option<Timestamp>,
    /// The caller's name for this creation, and the digest of what it asked for.
    pub idempotency: Option<(String, Vec<u8>)>,
    /// Version 1 of its data.
    pub envelope: Envelope,
}

/// A change of metadata; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// A new name.
    pub name: Option<String>,
    /// New tags, in place of all.
    pub tags: Option<Map<String, Value>>,
    /// A new expiry, or none any more.
    pub expires_at: Option<Option<Timestamp>>,
    /// The revision that the caller read.
    pub expected_revision: Option<i32>,
}

/// A replacement of the data.
pub struct DataChange {
    /// The version that is replaced; the change holds only if it is current still.
    pub replaces: DataVersion,
    /// A new schema, if any.
    pub schema_id: Option<String>,
    /// The next version of the data.
    pub envelope: Envelope,
    /// How many versions are kept.
    pub keep: u32,
}

impl Store {
    /// Stores a new secret, or returns `None` when the id or the idempotency key is taken.
    pub async fn insert(&self, scope: &Scope, new: NewRow) -> Result<Option<UserSecret>> {
        let now = self.now().as_micros();
        let (key, digest) = new.idempotency.unzip();
        let version = version_row(scope, &new.id, DataVersion(1), &new.envelope, now);
        let row = user_secret::Model {
            domain_id: scope.domain().to_string(),
            user_secret_id: new.id.to_string(),
            user_id: new.user_id.to_string(),
            search_text: search_text(&new.id, &new.name, new.schema_id.as_deref(), None),
            name: new.name,
            schema_id: new.schema_id,
            provider: None,
            tags: Value::Object(new.tags),
            version: 1,
            revision: 1,
            expires_at: new.expires_at.map(Timestamp::as_micros),
            created_at: now,
            updated_at: now,
            position: self.next_position(),
            idempotency_key: key,
            idempotency_digest: digest,
        };
        self.transaction(|transaction| {
            Box::pin(async move {
                let insert = user_secret::Entity::insert(row.clone().into_active_model());
                match insert.exec_without_returning(transaction).await {
                    Err(error) if is_unique_violation(&error) => return Ok(None),
                    outcome => outcome.map_err(database)?,
                };
                insert_version(transaction, version).await?;
                row.try_into().map(Some)
            })
        })
        .await
    }

    /// The secret that the caller created under `key` before, with the digest of what was asked.
    pub async fn find_by_idempotency_key(
        &self,
        scope: &Scope,
        key: &str,
    ) -> Result<Option<(UserSecret, Vec<u8>)>> {
        let row = select_in(scope)
            .filter(user_secret::Column::IdempotencyKey.eq(key))
            .one(&self.read)
            .await
            .map_err(database)?;
        row.map(|mut row| {
            let digest = row.idempotency_digest.take().unwrap_or_default();
            UserSecret::try_from(row).map(|secret| (secret, digest))
        })
        .transpose()
    }

    /// Changes the metadata of secret `id`. A change of nothing changes nothing.
    pub async fn update(
        &self,
        scope: &Scope,
        id: &UserSecretId,
        change: Change,
    ) -> Result<UserSecret> {
        let (scope, id, now) = (scope.clone(), id.clone(), self.now().as_micros());
        self.transaction(move |transaction| {
            Box::pin(async move {
                let mut row = find_row(transaction, &scope, &id).await?;
                if change.expected_revision.is_some_and(|expected| expected != row.revision) {
                    return Err(Error::aborted("expectedRevision"));
                }
                let before = row.clone();
                if let Some(name) = change.name {
                    row.name = name;
                }
                if let Some(tags) = change.tags {
                    row.tags = Value::Object(tags);
                }
                if let Some(expires_at) = change.expires_at {
                    row.expires_at = expires_at.map(Timestamp::as_micros);
                }
                if row != before {
                    row = write_row(transaction, row, now).await?;
                }
                row.try_into()
            })
        })
        .await
    }

    /// Stores the next version of the data of secret `id`, and drops the oldest beyond what is kept.
    ///
    /// `ABORTED` when the version that it replaces is not current any more.
    pub async fn update_data(
        &self,
        scope: &Scope,
        id: &UserSecretId,
        change: DataChange,
    ) -> Result<UserSecret> {
        let (scope, id, now) = (scope.clone(), id.clone(), self.now().as_micros());
        self.transaction(move |transaction| {
            Box::pin(async move {
                let mut row = find_row(transaction, &scope, &id).await?;
                if row.version != change.replaces.0 {
                    return Err(Error::aborted("expectedVersion"));
                }
                let next = change.replaces.next();
                insert_version(transaction, version_row(&scope, &id, next, &change.envelope, now))
                    .await?;
                let oldest_kept = i64::from(next.0) - i64::from(change.keep);
                delete_versions(transaction, &scope, &id, Some(oldest_kept)).await?;
                row.version = next.0;
                row.schema_id = change.schema_id.or(row.schema_id);
                write_row(transaction, row, now).await?.try_into()
            })
        })
        .await
    }

    /// Removes secret `id` with every version of its data.
    pub async fn remove(&self, scope: &Scope, id: &UserSecretId) -> Result<()> {
        let (scope, id) = (scope.clone(), id.clone());
        self.transaction(move |transaction| {
            Box::pin(async move {
                find_row(transaction, &scope, &id).await?;
                delete_versions(transaction, &scope, &id, None).await?;
                #[expect(clippy::disallowed_methods, reason = "joined to the scope")]
                let removed = user_secret::Entity::delete_many()
                    .filter(visible(&scope))
                    .filter(user_secret::Column::UserSecretId.eq(id.as_str()))
                    .exec(transaction)
                    .await
                    .map_err(database)?;
                match removed.rows_affected {
                    1 => Ok(()),
                    _ => Err(Error::internal("a row changed within a transaction")),
                }
            })
        })
        .await
    }
}

/// Writes a changed row: everything but its identity.
async fn write_row(
    transaction: &DatabaseTransaction,
    mut row: user_secret::Model,
    now: i64,
) -> Result<user_secret::Model> {
    let revision = row.revision.saturating_add(1);
    let id = UserSecretId::parse(&row.user_secret_id).ok_or_else(|| super::damaged("secret id"))?;
    row.search_text =
        search_text(&id, &row.name, row.schema_id.as_deref(), row.provider.as_deref());
    row.updated_at = now;
    row.revision = revision;
    row.into_active_model().reset_all().update(transaction).await.map_err(database)
}

fn version_row(
    scope: &Scope,
    id: &UserSecretId,
    version: DataVersion,
    envelope: &Envelope,
    now: i64,
) -> user_secret_version::ActiveModel {
    user_secret_version::ActiveModel {
        domain_id: Set(scope.domain().to_string()),
        user_secret_id: Set(id.to_string()),
        version: Set(version.0),
        kek_version: Set(envelope.kek_version().0),
        dek: Set(envelope.dek().to_vec()),
        document: Set(envelope.document().to_vec()),
        created_at: Set(now),
    }
}

async fn insert_version(
    transaction: &DatabaseTransaction,
    row: user_secret_version::ActiveModel,
) -> Result<()> {
    user_secret_version::Entity::insert(row)
        .exec_without_returning(transaction)
        .await
        .map(|_| ())
        .map_err(database)
}

/// Deletes the versions up to `upto`, or all. The secret itself was found within `scope`.
async fn delete_versions(
    transaction: &DatabaseTransaction,
    scope: &Scope,
    id: &UserSecretId,
    upto: Option<i64>,
) -> Result<()> {
    let column = user_secret_version::Column::Version;
    #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
    user_secret_version::Entity::delete_many()
        .filter(user_secret_version::Column::DomainId.eq(scope.domain().as_str()))
        .filter(user_secret_version::Column::UserSecretId.eq(id.as_str()))
        .filter(sea_orm::Condition::all().add_option(upto.map(|upto| column.lte(upto))))
        .exec(transaction)
        .await
        .map(|_| ())
        .map_err(database)
}

/// Words never contain white space, so none is found across two lines.
fn search_text(
    id: &UserSecretId,
    name: &str,
    schema_id: Option<&str>,
    provider: Option<&str>,
) -> String {
    let parts = [id.as_str(), name, schema_id.unwrap_or_default(), provider.unwrap_or_default()];
    parts.join("\n").to_lowercase()
}
