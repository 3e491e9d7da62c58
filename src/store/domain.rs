//! Domains and their KEKs.

use std::sync::Arc;

use ::entity::{domain, kek};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DatabaseConnection, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::OnConflict,
};

use super::{Store, damaged};
use crate::{
    auth::Scope,
    crypto::Kek,
    database::failed,
    error::{Error, Result},
    ids::{DomainId, KekVersion},
};

impl Store {
    /// The KEK that new data of the domain is sealed under: before its first secret, what `make` makes.
    ///
    /// Of many who ask at once one looks for it and makes it; the others find what it leaves.
    pub async fn active_kek(
        &self,
        scope: &Scope,
        make: impl AsyncFnOnce() -> Result<Kek>,
    ) -> Result<Kek> {
        let domain = scope.domain();
        if let Some(kek) = self.keks.get(domain) {
            return Ok(kek);
        }
        let turn = self.kek_turns.get_with_by_ref(domain, Arc::default);
        let _turn = turn.lock().await;
        if let Some(kek) = self.keks.get(domain) {
            return Ok(kek);
        }
        if let Some(kek) = self.stored_kek(scope).await? {
            return Ok(kek);
        }
        self.insert_first_kek(scope, make().await?).await?;
        self.stored_kek(scope).await?.ok_or_else(|| Error::internal("a stored KEK is gone"))
    }

    async fn stored_kek(&self, scope: &Scope) -> Result<Option<Kek>> {
        let transaction = self.database.begin_read(scope.domain()).await?;
        #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
        let row = kek::Entity::find()
            .filter(kek::Column::DomainId.eq(scope.domain().as_str()))
            .order_by_desc(kek::Column::Version)
            .one(&transaction)
            .await
            .map_err(failed)?;
        let kek = row.map(of_row);
        if let Some(kek) = &kek {
            self.keks.insert(scope.domain().clone(), kek.clone());
        }
        Ok(kek)
    }

    /// Stores the domain's first KEK. Of two replicas that race, one stores its own; both go on with that one.
    async fn insert_first_kek(&self, scope: &Scope, kek: Kek) -> Result<()> {
        let created_at = self.now().as_micros();
        let domain_row = domain::ActiveModel {
            domain_id: Set(scope.domain().to_string()),
            created_at: Set(created_at),
        };
        let kek_row = kek::ActiveModel {
            domain_id: Set(scope.domain().to_string()),
            version: Set(kek.version.0),
            blob: Set(kek.blob),
            binding: Set(kek.binding),
            created_at: Set(created_at),
        };
        let event = self.trail.stamp(&scope.event().doing("Domain.create_key"), "ok");
        self.change_many(scope, |transaction| {
            Box::pin(async move {
                domain::Entity::insert(domain_row)
                    .on_conflict(keep_first(domain::Column::DomainId))
                    .exec_without_returning(transaction)
                    .await
                    .map_err(failed)?;
                let stored = kek::Entity::insert(kek_row)
                    .on_conflict(
                        OnConflict::columns([kek::Column::DomainId, kek::Column::Version])
                            .do_nothing()
                            .to_owned(),
                    )
                    .exec_without_returning(transaction)
                    .await
                    .map_err(failed)?;
                Ok(((), event.filter(|_| stored > 0).into_iter().collect()))
            })
        })
        .await
    }
}

fn of_row(row: kek::Model) -> Kek {
    Kek { version: KekVersion(row.version), blob: row.blob, binding: row.binding }
}

/// The `limit` newest KEKs of all domains: for commands, as the owner of the tables.
pub async fn newest_keks(owner: &DatabaseConnection, limit: u64) -> Result<Vec<(DomainId, Kek)>> {
    #[expect(clippy::disallowed_methods, reason = "the owner sees every domain, and opens nothing")]
    let rows = kek::Entity::find()
        .order_by_desc(kek::Column::CreatedAt)
        .limit(limit)
        .all(owner)
        .await
        .map_err(failed)?;
    let named = |row: kek::Model| {
        let domain = DomainId::parse(&row.domain_id).ok_or_else(|| damaged("domain id"))?;
        Ok((domain, of_row(row)))
    };
    rows.into_iter().map(named).collect()
}

fn keep_first(key: domain::Column) -> OnConflict {
    OnConflict::column(key).do_nothing().to_owned()
}

/// Whether the database holds `kek` as it is: what is sealed under another could never be opened.
pub(super) async fn is_stored(
    connection: &impl ConnectionTrait,
    domain: &DomainId,
    kek: &Kek,
) -> Result<bool> {
    #[expect(clippy::disallowed_methods, reason = "within the transaction's domain")]
    let count = kek::Entity::find()
        .filter(kek::Column::DomainId.eq(domain.as_str()))
        .filter(kek::Column::Version.eq(kek.version.0))
        .filter(kek::Column::Blob.eq(kek.blob.as_slice()))
        .filter(kek::Column::Binding.eq(kek.binding.as_slice()))
        .count(connection)
        .await
        .map_err(failed)?;
    Ok(count == 1)
}
