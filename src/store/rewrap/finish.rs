//! The end of a rewrap: older KEKs that wrap nothing any more are destroyed.

use ::entity::{kek, rewrap, user_secret_version};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
    sea_query::{Asterisk, Expr, Func, Query},
};

use super::{
    super::{Store, issuer::note_change, kek::newest},
    patiently, under,
};
use crate::{
    auth::Scope,
    database::{Admits, failed},
    error::{Error, Result},
    ids::{DomainId, KekVersion},
};

impl Store {
    /// Destroys the older KEKs that wrap nothing any more, and says that the work is done, unless there is more of it:
    /// what was under way while the KEK retired. DEKs that did not open are left, and so is their KEK.
    pub async fn finish_rewrap(&self, scope: &Scope, failures: u64) -> Result<bool> {
        let (within, trail, now) = (scope.clone(), self.trail.clone(), self.now().as_micros());
        let clock = self.database.engine().now();
        self.change_many(scope, Admits::Living, move |transaction| {
            Box::pin(async move {
                let (domain, mut events, mut left) = (within.domain(), Vec::new(), 0);
                // What is destroyed is to leave the HSM's memory everywhere. First, so that changes of the domain wait for each other.
                note_change(transaction, domain, clock).await?;
                patiently(transaction).await?;
                let newest = newest(transaction, domain, None).await?.map(|kek| kek.version);
                for old in retired(transaction, domain).await? {
                    let version = KekVersion(old.version);
                    let count = count_under(transaction, domain, version, failures + 1).await?;
                    left += count;
                    if count == 0 {
                        destroy(transaction, old, now).await?;
                        let event = within.event().doing("Domain.destroy_key");
                        events.extend(trail.stamp(&event.about(&version.0.to_string()), "ok"));
                    }
                }
                if !events.is_empty() {
                    // Again, as the count may have taken longer than a change is told of.
                    note_change(transaction, domain, clock).await?;
                }
                if left > failures {
                    return Ok((false, events));
                }
                let left = i64::try_from(left).map_err(Error::internal)?;
                // Another rotation may have asked for more meanwhile, and this must not end that.
                #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                let done = rewrap::Entity::update_many()
                    .col_expr(rewrap::Column::FinishedAt, Expr::value(now))
                    .col_expr(rewrap::Column::Failed, Expr::value(left))
                    .filter(rewrap::Column::DomainId.eq(domain.as_str()))
                    .filter(rewrap::Column::ToVersion.lte(newest))
                    .exec(transaction);
                let finished = done.await.map_err(failed)?.rows_affected == 1;
                Ok((finished, events))
            })
        })
        .await
    }
}

/// The KEKs of `domain` that are neither active nor destroyed. Who seals under one of them has done so, or will not.
async fn retired(transaction: &DatabaseTransaction, domain: &DomainId) -> Result<Vec<kek::Model>> {
    #[expect(clippy::disallowed_methods, reason = "within the transaction's domain")]
    let rows = kek::Entity::find()
        .filter(kek::Column::DomainId.eq(domain.as_str()))
        .filter(kek::Column::RetiredAt.is_not_null())
        .filter(kek::Column::DestroyedAt.is_null())
        .order_by_asc(kek::Column::Version)
        .lock_exclusive();
    rows.all(transaction).await.map_err(failed)
}

/// How many DEKs are under the KEK of `version`, as far as `most`: counted where they are, along the index of what KEKs wrap.
async fn count_under(
    transaction: &DatabaseTransaction,
    domain: &DomainId,
    version: KekVersion,
    most: u64,
) -> Result<u64> {
    let some = under(transaction.get_database_backend(), domain, version.0, ("", 0))
        .select_only()
        .column(user_secret_version::Column::Version)
        .limit(most)
        .into_query();
    let count = Query::select()
        .expr(Func::count(Expr::col(Asterisk)))
        .from_subquery(some, "some")
        .to_owned();
    let row = transaction.query_one(&count).await.map_err(failed)?;
    let count: i64 = row
        .ok_or_else(|| Error::internal("a count without an answer"))?
        .try_get_by_index(0)
        .map_err(failed)?;
    u64::try_from(count).map_err(Error::internal)
}

/// Takes from `kek` what could be unwrapped.
pub(in super::super) async fn destroy(
    transaction: &DatabaseTransaction,
    kek: kek::Model,
    now: i64,
) -> Result<()> {
    let gone = kek::ActiveModel {
        blob: Set(Vec::new()),
        binding: Set(Vec::new()),
        destroyed_at: Set(Some(now)),
        ..kek.into()
    };
    gone.update(transaction).await.map(|_| ()).map_err(failed)
}
