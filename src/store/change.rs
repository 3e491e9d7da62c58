//! Changing and removing a secret, each in one transaction with its audit event.

use ::entity::{user_secret, user_secret_version};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DatabaseTransaction,
    EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::{Map, Value};

use super::{
    Store, UserSecret,
    kek::{KEK, is_active, is_stale},
    tags::replace_tags,
    user_secret::{find_row_to_change, select_in, visible},
};
use crate::{
    auth::Scope,
    clock::Timestamp,
    crypto::{Envelope, Kek},
    database::{Admits, failed},
    error::{Error, Result},
    ids::{DataVersion, DomainId, UserSecretId},
};

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
    /// The KEK that it is sealed under.
    pub kek: Kek,
    /// How many versions are kept.
    pub keep: u32,
}

/// How many secrets one transaction removes.
const REMOVED_AT_ONCE: u64 = 500;

impl Store {
    /// Changes the metadata of secret `id`. A change of nothing changes nothing.
    pub async fn update(
        &self,
        scope: &Scope,
        id: &UserSecretId,
        change: Change,
    ) -> Result<UserSecret> {
        let (within, id, now) = (scope.clone(), id.clone(), self.now().as_micros());
        self.change(scope, scope.event(), move |transaction| {
            Box::pin(async move {
                let mut row = find_row_to_change(transaction, &within, &id).await?;
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
                // Beside its tags lies the name.
                if row.tags != before.tags || row.name != before.name {
                    replace_tags(transaction, &row).await?;
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
    /// `ABORTED` when the version that it replaces, or the KEK that it is sealed under, is not current any more.
    pub async fn update_data(
        &self,
        scope: &Scope,
        id: &UserSecretId,
        change: DataChange,
    ) -> Result<UserSecret> {
        let kek = change.kek.clone();
        let (within, id, now) = (scope.clone(), id.clone(), self.now().as_micros());
        let outcome = self
            .change(scope, scope.event(), move |transaction| {
                Box::pin(async move {
                    let mut row = find_row_to_change(transaction, &within, &id).await?;
                    if row.version != change.replaces.0 {
                        return Err(Error::aborted("expectedVersion"));
                    }
                    if !is_active(transaction, within.domain(), &change.kek).await? {
                        return Err(Error::aborted(KEK));
                    }
                    let next = change.replaces.next();
                    let version = version_row(within.domain(), &id, next, &change.envelope, now);
                    user_secret_version::Entity::insert(version)
                        .exec_without_returning(transaction)
                        .await
                        .map_err(failed)?;
                    let oldest_kept = i64::from(next.0) - i64::from(change.keep);
                    delete_versions(transaction, &within, &id, Some(oldest_kept)).await?;
                    row.version = next.0;
                    row.schema_id = change.schema_id.or(row.schema_id);
                    write_row(transaction, row, now).await?.try_into()
                })
            })
            .await;
        // A KEK that is forgotten for nothing costs the domain wraps.
        if outcome.as_ref().is_err_and(is_stale) {
            self.forget_kek(scope.domain(), &kek);
        }
        outcome
    }

    /// Removes secret `id` with every version of its data.
    pub async fn remove(&self, scope: &Scope, id: &UserSecretId) -> Result<()> {
        let (within, id) = (scope.clone(), id.clone());
        self.change(scope, scope.event(), move |transaction| {
            Box::pin(async move {
                find_row_to_change(transaction, &within, &id).await?;
                delete_versions(transaction, &within, &id, None).await?;
                #[expect(clippy::disallowed_methods, reason = "joined to the scope")]
                let removed = user_secret::Entity::delete_many()
                    .filter(visible(&within))
                    .filter(user_secret::Column::UserSecretId.eq(id.as_str()))
                    .exec(transaction)
                    .await
                    .map_err(failed)?;
                match removed.rows_affected {
                    1 => Ok(()),
                    // Somebody was faster.
                    _ => Err(Error::not_found()),
                }
            })
        })
        .await
    }

    /// Removes some of the secrets of `scope`, each with an event of its own; returns how many.
    pub async fn remove_some(&self, scope: &Scope) -> Result<u64> {
        let (within, trail) = (scope.clone(), self.trail.clone());
        self.change_many(scope, Admits::Living, move |transaction| {
            Box::pin(async move {
                let ids: Vec<String> = select_in(&within)
                    .select_only()
                    .column(user_secret::Column::UserSecretId)
                    // In one order, so that two who clear the same user wait and do not deadlock;
                    // locked, so that an event tells of what this transaction removes.
                    .order_by_asc(user_secret::Column::UserSecretId)
                    .limit(REMOVED_AT_ONCE)
                    .lock_exclusive()
                    .into_tuple()
                    .all(transaction)
                    .await
                    .map_err(failed)?;
                let of_them = user_secret_version::Column::UserSecretId.is_in(&ids);
                #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                user_secret_version::Entity::delete_many()
                    .filter(user_secret_version::Column::DomainId.eq(within.domain().as_str()))
                    .filter(of_them)
                    .exec(transaction)
                    .await
                    .map_err(failed)?;
                #[expect(clippy::disallowed_methods, reason = "joined to the scope")]
                let removed = user_secret::Entity::delete_many()
                    .filter(visible(&within))
                    .filter(user_secret::Column::UserSecretId.is_in(&ids))
                    .exec(transaction)
                    .await
                    .map_err(failed)?;
                let events = ids
                    .iter()
                    .filter_map(|id| UserSecretId::parse(id))
                    .filter_map(|id| trail.stamp(&within.event().on(&id), "ok"))
                    .collect();
                Ok((removed.rows_affected, events))
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
    row.into_active_model().reset_all().update(transaction).await.map_err(failed)
}

pub(super) fn version_row(
    domain: &DomainId,
    id: &UserSecretId,
    version: DataVersion,
    envelope: &Envelope,
    now: i64,
) -> user_secret_version::ActiveModel {
    user_secret_version::ActiveModel {
        domain_id: Set(domain.to_string()),
        user_secret_id: Set(id.to_string()),
        version: Set(version.0),
        kek_version: Set(envelope.kek_version().0),
        dek: Set(envelope.dek().to_vec()),
        document: Set(envelope.document().to_vec()),
        created_at: Set(now),
    }
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
        .map_err(failed)
}

/// Words never contain white space, so none is found across two lines.
pub(super) fn search_text(
    id: &UserSecretId,
    name: &str,
    schema_id: Option<&str>,
    provider: Option<&str>,
) -> String {
    let parts = [id.as_str(), name, schema_id.unwrap_or_default(), provider.unwrap_or_default()];
    parts.join("\n").to_lowercase()
}
