//! Domains and their KEKs.

use ::entity::{domain, kek};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::OnConflict,
};

use super::{Store, database};
use crate::{
    auth::Scope,
    crypto::Kek,
    error::{Error, Result},
    ids::KekVersion,
};

impl Store {
    /// The KEK that new data of the domain is sealed under; none before its first secret.
    pub async fn active_kek(&self, scope: &Scope) -> Result<Option<Kek>> {
        #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
        let row = kek::Entity::find()
            .filter(kek::Column::DomainId.eq(scope.domain().as_str()))
            .order_by_desc(kek::Column::Version)
            .one(&self.read)
            .await
            .map_err(database)?;
        Ok(row.map(|row| Kek {
            version: KekVersion(row.version),
            blob: row.blob,
            binding: row.binding,
        }))
    }

    /// Stores the domain's first KEK and returns the one that holds.
    ///
    /// Of two replicas that race, one stores its own; both go on with that one.
    pub async fn insert_first_kek(&self, scope: &Scope, kek: Kek) -> Result<Kek> {
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
        self.transaction(|transaction| {
            Box::pin(async move {
                domain::Entity::insert(domain_row)
                    .on_conflict(keep_first(domain::Column::DomainId))
                    .exec_without_returning(transaction)
                    .await
                    .map_err(database)?;
                kek::Entity::insert(kek_row)
                    .on_conflict(
                        OnConflict::columns([kek::Column::DomainId, kek::Column::Version])
                            .do_nothing()
                            .to_owned(),
                    )
                    .exec_without_returning(transaction)
                    .await
                    .map_err(database)
            })
        })
        .await?;
        self.active_kek(scope).await?.ok_or_else(|| Error::internal("a stored KEK is gone"))
    }
}

fn keep_first(key: domain::Column) -> OnConflict {
    OnConflict::column(key).do_nothing().to_owned()
}
