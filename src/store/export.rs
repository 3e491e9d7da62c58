//! Everything in a domain, for whoever takes it along.

use ::entity::{domain, user_secret};
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::{Store, UserSecret, damaged, user_secret::select_in};
use crate::{
    auth::Scope,
    database::{Admits, failed},
    error::Result,
    ids::{DomainId, UserSecretId},
};

impl Store {
    /// Writes down that all of `scope` is about to be read.
    pub async fn announce(&self, scope: &Scope) -> Result<()> {
        let event = self.trail.stamp(scope.event(), "granted");
        self.change_many(scope, Admits::Living, |_| {
            Box::pin(async move { Ok(((), event.into_iter().collect())) })
        })
        .await
    }

    /// Up to `limit` secrets of `scope` behind `after`, in the order of their ids, which the primary key has.
    pub async fn secrets_after(
        &self,
        scope: &Scope,
        after: Option<&UserSecretId>,
        limit: u64,
    ) -> Result<Vec<UserSecret>> {
        let snapshot = self.database.begin_read(scope.domain()).await?;
        let mut select = select_in(scope);
        if let Some(after) = after {
            select = select.filter(user_secret::Column::UserSecretId.gt(after.as_str()));
        }
        let rows = select
            .order_by_asc(user_secret::Column::UserSecretId)
            .limit(limit)
            .all(&snapshot)
            .await
            .map_err(failed)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

/// Up to `limit` domains behind `after`, in the order of their ids: for commands, as the owner of the tables.
pub async fn domains_after(
    owner: &DatabaseConnection,
    after: Option<&DomainId>,
    limit: u64,
) -> Result<Vec<DomainId>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the owner sees every domain, and only its id is read"
    )]
    let mut select = domain::Entity::find().select_only().column(domain::Column::DomainId);
    if let Some(after) = after {
        select = select.filter(domain::Column::DomainId.gt(after.as_str()));
    }
    let ids: Vec<String> = select
        .order_by_asc(domain::Column::DomainId)
        .limit(limit)
        .into_tuple()
        .all(owner)
        .await
        .map_err(failed)?;
    ids.iter().map(|id| DomainId::parse(id).ok_or_else(|| damaged("domain id"))).collect()
}
