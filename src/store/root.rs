//! The versions of the root key that wrap the KEKs of all domains: for commands, as the owner of the tables.

use std::sync::Arc;

use ::entity::{audit_event, kek, root_key};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend,
    EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::{Store, kek::newest_root};
use crate::{
    audit::{Event, Stamped},
    crypto::Kek,
    database::{begin_to_write, failed},
    error::{Error, Result},
    ids::{DomainId, RootVersion},
};

/// How many KEKs are read, and rewritten in a transaction.
const BATCH: u64 = 100;

/// Where in the KEKs of all domains the last batch ended.
#[derive(Debug, Clone, Default)]
pub struct PassedKek(String, i32);

impl PassedKek {
    /// Behind version `kek` of `domain`.
    pub fn behind(domain: &str, kek: &Kek) -> Self {
        Self(domain.to_owned(), kek.version.0)
    }
}

impl Store {
    /// Makes the root of `version` the one under which new KEKs are wrapped.
    pub async fn begin_root(
        &self,
        owner: &DatabaseConnection,
        run: &Arc<str>,
        version: RootVersion,
    ) -> Result<()> {
        let transaction = begin_to_write(owner).await?;
        let row = root_key::ActiveModel {
            version: Set(version.0),
            created_at: Set(self.now().as_micros()),
            destroyed_at: Set(None),
        };
        let begun = root_key::Entity::insert(row)
            .on_conflict(OnConflict::column(root_key::Column::Version).do_nothing().to_owned())
            .exec_without_returning(&transaction)
            .await
            .map_err(failed)?;
        let event = self.root_event(run, "Root.rotate", version).filter(|_| begun > 0);
        self.commit_with(transaction, event).await
    }

    /// How many KEKs there are under older roots than `to`.
    pub async fn count_keks_before(
        &self,
        owner: &DatabaseConnection,
        to: RootVersion,
    ) -> Result<u64> {
        under(to).count(owner).await.map_err(failed)
    }

    /// Some KEKs behind `passed` that are under an older root than `to`, with what stands there as the ids of their domains.
    pub async fn keks_before(
        &self,
        owner: &DatabaseConnection,
        to: RootVersion,
        passed: &PassedKek,
    ) -> Result<Vec<(String, Kek)>> {
        let place =
            Expr::tuple([Expr::col(kek::Column::DomainId), Expr::col(kek::Column::Version)]);
        let some = under(to)
            .filter(place.gt(Expr::tuple([passed.0.as_str().into(), passed.1.into()])))
            .order_by_asc(kek::Column::DomainId)
            .order_by_asc(kek::Column::Version)
            .limit(BATCH);
        let rows = some.all(owner).await.map_err(failed)?.into_iter();
        Ok(rows.map(|mut row| (std::mem::take(&mut row.domain_id), row.into())).collect())
    }

    /// Stores each KEK, now under `to`, in the place of what it was, where that is there still: one that was destroyed meanwhile stays so.
    pub async fn replace_keks(
        &self,
        owner: &DatabaseConnection,
        to: RootVersion,
        keks: &[(DomainId, Kek, Kek)],
    ) -> Result<()> {
        use kek::Column::{Blob, DomainId as Domain, RootVersion, Version};
        let transaction = begin_to_write(owner).await?;
        for (domain, was, now) in keks {
            #[expect(clippy::disallowed_methods, reason = "the owner changes what no domain sees")]
            let update = kek::Entity::update_many()
                .col_expr(Blob, Expr::value(now.blob.clone()))
                .col_expr(RootVersion, Expr::value(now.root.0))
                .filter(Domain.eq(domain.as_str()))
                .filter(Version.eq(was.version.0))
                .filter(Blob.eq(was.blob.as_slice()));
            update.exec(&transaction).await.map_err(failed)?;
        }
        // Behind the first change: `end_root` waits for it, or was seen. What has another behind it may be destroyed.
        if newest_root(&transaction).await? != to {
            return Err(Error::failed_precondition(
                "Another root has taken its place; `usersecret hsm rotate-root` goes on with that.",
            ));
        }
        transaction.commit().await.map_err(failed)
    }

    /// Says that the root of `version` is destroyed, which is then to be done; the error is why it must not be.
    pub async fn end_root(
        &self,
        owner: &DatabaseConnection,
        run: &Arc<str>,
        version: RootVersion,
    ) -> Result<()> {
        let transaction = begin_to_write(owner).await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            // Whoever is about to store a KEK under it has done so, or sees that there is another root.
            let lock = "LOCK TABLE keks IN SHARE ROW EXCLUSIVE MODE";
            transaction.execute_unprepared(lock).await.map_err(failed)?;
        }
        if newest_root(&transaction).await? == version {
            return Err(Error::failed_precondition(
                "It wraps new keys; `usersecret hsm rotate-root` puts another one in its place.",
            ));
        }
        #[expect(clippy::disallowed_methods, reason = "the owner sees every domain")]
        let left = kek::Entity::find()
            .filter(kek::Column::RootVersion.eq(version.0))
            .filter(kek::Column::DestroyedAt.is_null());
        if left.count(&transaction).await.map_err(failed)? > 0 {
            return Err(Error::failed_precondition(
                "It still wraps keys; `usersecret hsm rotate-root` wraps them under the newest.",
            ));
        }
        let row =
            root_key::Entity::find_by_id(version.0).one(&transaction).await.map_err(failed)?;
        let row = row.ok_or_else(|| Error::absent("version of the root key"))?;
        let first = row.destroyed_at.is_none();
        if first {
            let now = Set(Some(self.now().as_micros()));
            let ended = root_key::ActiveModel { destroyed_at: now, ..row.into() };
            ended.update(&transaction).await.map_err(failed)?;
        }
        let event = self.root_event(run, "Root.destroy", version).filter(|_| first);
        self.commit_with(transaction, event).await
    }

    fn root_event(
        &self,
        run: &Arc<str>,
        operation: &'static str,
        version: RootVersion,
    ) -> Option<Stamped> {
        let event = Event::of_operator(run, operation, &version.0.to_string());
        self.trail.stamp(&event, "ok")
    }

    async fn commit_with(
        &self,
        transaction: DatabaseTransaction,
        event: Option<Stamped>,
    ) -> Result<()> {
        if let Some(event) = &event {
            audit_event::Entity::insert(event.row().clone().into_active_model())
                .exec_without_returning(&transaction)
                .await
                .map_err(failed)?;
        }
        // It may have happened all the same.
        transaction.commit().await.map_err(failed).inspect_err(|_| self.trail.doubt())?;
        self.trail.committed(&event);
        Ok(())
    }
}

/// The KEKs under older roots than `to`, of every domain.
fn under(to: RootVersion) -> sea_orm::Select<kek::Entity> {
    #[expect(clippy::disallowed_methods, reason = "the owner sees every domain")]
    let all = kek::Entity::find();
    all.filter(kek::Column::RootVersion.lt(to.0)).filter(kek::Column::DestroyedAt.is_null())
}

/// Whether there is any KEK; before `migrate` has run there is none. For commands, as the owner of the tables.
pub async fn has_keks_of_domains(owner: &DatabaseConnection) -> Result<bool> {
    if !migration::SchemaManager::new(owner).has_table("keks").await.map_err(failed)? {
        return Ok(false);
    }
    #[expect(clippy::disallowed_methods, reason = "the owner sees every domain, and opens nothing")]
    let living = kek::Entity::find().filter(kek::Column::DestroyedAt.is_null());
    Ok(living.limit(1).count(owner).await.map_err(failed)? > 0)
}

/// The `limit` newest KEKs of all domains, or of those under `root`: for commands, as the owner of the tables.
///
/// One whose domain's id is none is left out: it opens nowhere.
pub async fn newest_keks(
    owner: &DatabaseConnection,
    root: Option<RootVersion>,
    limit: u64,
) -> Result<Vec<(DomainId, Kek)>> {
    #[expect(clippy::disallowed_methods, reason = "the owner sees every domain, and opens nothing")]
    let mut newest = kek::Entity::find().filter(kek::Column::DestroyedAt.is_null());
    if let Some(root) = root {
        newest = newest.filter(kek::Column::RootVersion.eq(root.0));
    }
    let rows = newest.order_by_desc(kek::Column::CreatedAt).limit(limit).all(owner);
    let named = |row: kek::Model| Some((DomainId::parse(&row.domain_id)?, row.into()));
    Ok(rows.await.map_err(failed)?.into_iter().filter_map(named).collect())
}
