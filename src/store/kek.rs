//! The KEKs of a domain: which is active, and how another takes its place.

mod budget;
mod info;

pub(super) use budget::Active;
pub use budget::Reserved;
pub use info::{KekInfo, KekPage, KeyState};

use budget::RESERVED;

use ::entity::{domain, kek, root_key};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{LockType, OnConflict},
};

use super::{Store, rewrap};
use crate::{
    audit::Event,
    auth::Scope,
    crypto::Kek,
    database::{Admits, failed, shut_error},
    error::{Code, Error, Result},
    ids::{DomainId, KekVersion, RootVersion},
};

/// What an error names when the KEK that something was sealed under is not the active one any more.
pub(super) const KEK: &str = "kek";

/// Whether it is such an error.
pub(super) fn is_stale(error: &Error) -> bool {
    error.code() == Code::Aborted && error.argument().is_some_and(|(_, name, _)| name == KEK)
}

impl Store {
    /// The version of the root under which new KEKs are wrapped.
    pub async fn active_root(&self) -> Result<RootVersion> {
        newest_root(self.database.reader()).await
    }

    /// Stores `kek` as the domain's active one; false when somebody was faster, with that or with another root.
    ///
    /// What is sealed under older versions is to be moved.
    pub async fn add_kek(&self, scope: &Scope, kek: Kek) -> Result<bool> {
        let (within, trail, now) = (scope.clone(), self.trail.clone(), self.now().as_micros());
        let added = kek.clone();
        let stored = self
            .change_many(scope, Admits::Living, move |transaction| {
                Box::pin(async move {
                    let stored = replace_active(transaction, within.domain(), &added, now).await?;
                    let event = event_of(&within, added.version);
                    let event = trail.stamp(&event, "ok").filter(|_| stored);
                    Ok((stored, event.into_iter().collect()))
                })
            })
            .await;
        match stored {
            Ok(true) => self.hold(scope.domain(), kek),
            // Nothing happened; under the root that there is now it may be made again.
            Err(error) if error.code() == Code::Aborted => return Ok(false),
            _ => {}
        }
        stored
    }
}

/// What the audit trail says of a new KEK.
fn event_of(scope: &Scope, version: KekVersion) -> Event {
    let first = version == KekVersion(1);
    let operation = if first { "Domain.create_key" } else { "Domain.rotate_key" };
    scope.event().doing(operation).about(&version.0.to_string())
}

/// Makes `kek` the active one, if it is the next version and its root the newest.
async fn replace_active(
    transaction: &DatabaseTransaction,
    domain: &DomainId,
    kek: &Kek,
    now: i64,
) -> Result<bool> {
    let row = domain::ActiveModel {
        domain_id: Set(domain.to_string()),
        created_at: Set(now),
        ..Default::default()
    };
    domain::Entity::insert(row)
        .on_conflict(OnConflict::column(domain::Column::DomainId).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await
        .map_err(failed)?;
    // Whoever makes keys for a domain, or shreds it, waits here for the others.
    if lock(transaction, domain).await?.is_none_or(|row| row.shredded_at.is_some()) {
        return Err(shut_error());
    }
    let newest = newest(transaction, domain, None).await?;
    let next = newest.as_ref().map_or(KekVersion(1), |row| KekVersion(row.version).next());
    if kek.version != next {
        return Ok(false);
    }
    if let Some(old) = newest {
        let retired = kek::ActiveModel { retired_at: Set(Some(now)), ..old.into() };
        retired.update(transaction).await.map_err(failed)?;
    }
    let row = kek::ActiveModel {
        domain_id: Set(domain.to_string()),
        version: Set(kek.version.0),
        blob: Set(kek.blob.clone()),
        binding: Set(kek.binding.clone()),
        created_at: Set(now),
        root_version: Set(kek.root.0),
        wraps: Set(RESERVED),
        retired_at: Set(None),
        destroyed_at: Set(None),
    };
    kek::Entity::insert(row).exec_without_returning(transaction).await.map_err(failed)?;
    // Behind the insertion: whoever has begun another root is seen. One that begins between this and the commit may miss this
    // KEK; `end_root` locks the table before it looks, so that the old root stays while it wraps anything.
    if newest_root(transaction).await? != kek.root {
        return Err(Error::aborted("root"));
    }
    if kek.version > KekVersion(1) {
        rewrap::ask(transaction, domain, kek.version, now).await?;
    }
    Ok(true)
}

/// The domain's row, which nobody else changes then.
pub(super) async fn lock(
    transaction: &DatabaseTransaction,
    domain: &DomainId,
) -> Result<Option<domain::Model>> {
    let row = domain::Entity::find_by_id(domain.as_str()).lock(LockType::NoKeyUpdate);
    row.one(transaction).await.map_err(failed)
}

/// The domain's KEKs, the newest first.
pub(super) async fn stored(
    connection: &impl ConnectionTrait,
    domain: &DomainId,
) -> Result<Vec<kek::Model>> {
    #[expect(clippy::disallowed_methods, reason = "within the transaction's domain")]
    let rows = kek::Entity::find()
        .filter(kek::Column::DomainId.eq(domain.as_str()))
        .order_by_desc(kek::Column::Version);
    rows.all(connection).await.map_err(failed)
}

pub(super) async fn newest(
    connection: &impl ConnectionTrait,
    domain: &DomainId,
    lock: Option<LockType>,
) -> Result<Option<kek::Model>> {
    #[expect(clippy::disallowed_methods, reason = "within the transaction's domain")]
    let mut newest = kek::Entity::find()
        .filter(kek::Column::DomainId.eq(domain.as_str()))
        .order_by_desc(kek::Column::Version)
        .limit(1);
    if let Some(lock) = lock {
        newest = newest.lock(lock);
    }
    newest.one(connection).await.map_err(failed)
}

pub(super) async fn newest_root(connection: &impl ConnectionTrait) -> Result<RootVersion> {
    #[expect(clippy::disallowed_methods, reason = "roots belong to no domain")]
    let newest = root_key::Entity::find().order_by_desc(root_key::Column::Version).limit(1);
    let row = newest.one(connection).await.map_err(failed)?;
    Ok(row.map_or(RootVersion::FIRST, |row| RootVersion(row.version)))
}

/// Whether `kek` is the domain's active one as it is: what is sealed under another may be lost with it.
///
/// It is locked as the foreign key does: one that is about to be destroyed is waited for, and looked at again.
pub(super) async fn is_active(
    connection: &impl ConnectionTrait,
    domain: &DomainId,
    kek: &Kek,
) -> Result<bool> {
    let newest = newest(connection, domain, Some(LockType::KeyShare)).await?;
    Ok(newest.is_some_and(|row| {
        row.version == kek.version.0
            && row.destroyed_at.is_none()
            && row.blob == kek.blob
            && row.binding == kek.binding
    }))
}

impl From<kek::Model> for Kek {
    fn from(row: kek::Model) -> Self {
        Self {
            version: KekVersion(row.version),
            root: RootVersion(row.root_version),
            blob: row.blob,
            binding: row.binding,
        }
    }
}
