//! One batch: DEKs that are read, moved elsewhere, and stored where they still are what they were.

use ::entity::{rewrap, user_secret, user_secret_version};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbBackend, EntityTrait as _,
    FromQueryResult, JoinType, QueryFilter as _, QuerySelect as _, RelationTrait as _, Statement,
    sea_query::Expr,
};
use serde_json::json;

use super::{
    super::{
        Store,
        kek::{KEK, is_active, is_stale, stored},
    },
    hold, under,
};
use crate::{
    auth::Scope,
    crypto::{Kek, SealedBlock},
    database::{Admits, Planning, failed},
    error::{Code, Error, Result},
    ids::{DomainId, KekVersion, hex},
};

/// How many DEKs are moved in one transaction.
const BATCH: u64 = 256;

/// A wrapped DEK as it is stored: one that was changed must not stop the others.
#[derive(Debug, Clone, FromQueryResult)]
pub struct StoredDek {
    /// The secret.
    pub user_secret_id: String,
    /// The version of its data.
    pub version: i32,
    /// Its owner.
    pub user_id: String,
    /// The wrapped key.
    pub dek: Vec<u8>,
}

/// Some DEKs that are under one KEK, and not under the newest.
pub struct DekBatch {
    /// The KEK that they are under.
    pub from: Kek,
    /// The newest version of the domain's KEK.
    pub newest: KekVersion,
    /// In the order of their places.
    pub deks: Vec<StoredDek>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It is stored.
    Stored,
    /// The KEK that it was moved to is not the active one any more; nothing is stored.
    Stale,
    /// Somebody else has taken over; nothing is stored.
    Lost,
}

/// Where in a domain's DEKs the last batch ended.
#[derive(Debug, Clone, Default)]
pub struct Passed(i32, String, i32);

impl Store {
    /// The next DEKs, `most` at most, behind `passed` that are under an older KEK than the newest; none when there are no more.
    pub async fn next_batch(
        &self,
        scope: &Scope,
        passed: &Passed,
        most: u64,
    ) -> Result<Option<DekBatch>> {
        let walk = Planning::Walk;
        let snapshot = self.database.begin(scope.domain(), Admits::Living, walk).await?;
        let keks = stored(&snapshot, scope.domain()).await?;
        let Some(newest) = keks.first().map(|kek| KekVersion(kek.version)) else { return Ok(None) };
        let old = keks.into_iter().skip(1).rev();
        let old = old.filter(|kek| kek.destroyed_at.is_none() && kek.version >= passed.0);
        for from in old {
            let deks = deks_under(&snapshot, scope, from.version, passed, most).await?;
            if !deks.is_empty() {
                return Ok(Some(DekBatch { from: from.into(), newest, deks }));
            }
        }
        Ok(None)
    }

    /// Stores `deks`, those of `batch` under `to`, where they are still what they were: `None` is one that did not open.
    pub async fn store_batch(
        &self,
        scope: &Scope,
        holder: &str,
        batch: &DekBatch,
        to: &Kek,
        deks: &[Option<SealedBlock>],
    ) -> Result<Moved> {
        let (within, holder, to) = (scope.clone(), holder.to_owned(), to.clone());
        let now = self.database.engine().now();
        let pairs = batch.deks.iter().zip(deks);
        let pairs: Vec<(StoredDek, SealedBlock)> =
            pairs.filter_map(|(was, dek)| Some((was.clone(), dek.clone()?))).collect();
        let moved = self.change_many(scope, Admits::Living, move |transaction| {
            Box::pin(async move {
                let domain = within.domain();
                // What is moved to a KEK that is destroyed meanwhile would be lost.
                if !is_active(transaction, domain, &to).await? {
                    return Err(Error::aborted(KEK));
                }
                let count = replace(transaction, domain, to.version, &pairs).await?;
                let own = rewrap::Column::Holder.eq(&holder);
                // Who has it now moves them as well: none is to be moved by two.
                let held = hold(transaction, domain, &holder, now, own, count).await?;
                if held { Ok(((), Vec::new())) } else { Err(Error::aborted("holder")) }
            })
        });
        match moved.await {
            Ok(()) => Ok(Moved::Stored),
            Err(error) if is_stale(&error) => Ok(Moved::Stale),
            Err(error) if error.code() == Code::Aborted => Ok(Moved::Lost),
            Err(error) => Err(error),
        }
    }
}

/// Up to `most` DEKs, and [`BATCH`], behind `passed` that are under the KEK of `version`.
async fn deks_under(
    snapshot: &DatabaseTransaction,
    scope: &Scope,
    version: i32,
    passed: &Passed,
    most: u64,
) -> Result<Vec<StoredDek>> {
    use user_secret_version::Column::{Dek, UserSecretId, Version};
    let after = if passed.0 == version { (passed.1.as_str(), passed.2) } else { ("", 0) };
    let deks = under(snapshot.get_database_backend(), scope.domain(), version, after)
        .select_only()
        .columns([UserSecretId, Version, Dek])
        .column(user_secret::Column::UserId)
        .join(JoinType::InnerJoin, user_secret_version::Relation::UserSecret.def())
        .limit(Ord::min(most, BATCH))
        .into_model();
    deks.all(snapshot).await.map_err(failed)
}

/// Stores each DEK in the place of the one that it was, if that is there still; returns how many were.
async fn replace(
    transaction: &DatabaseTransaction,
    domain: &DomainId,
    to: KekVersion,
    deks: &[(StoredDek, SealedBlock)],
) -> Result<i64> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        let deks: Vec<_> = deks
            .iter()
            .map(|(was, dek)| {
                json!({
                    "id": was.user_secret_id, "version": was.version,
                    "was": hex(&was.dek), "dek": hex(dek.as_bytes()),
                })
            })
            .collect();
        let call = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT usersecret_rewrap($1, $2, $3::jsonb)",
            [domain.as_str().into(), to.0.into(), json!(deks).to_string().into()],
        );
        let row = transaction.query_one_raw(call).await.map_err(failed)?;
        let row = row.ok_or_else(|| Error::internal("a function without an answer"))?;
        return row.try_get_by_index(0).map_err(failed);
    }
    use user_secret_version::Column::{Dek, DomainId as Domain, KekVersion, UserSecretId, Version};
    let mut count = 0;
    for (was, dek) in deks {
        #[expect(clippy::disallowed_methods, reason = "within the transaction's domain")]
        let update = user_secret_version::Entity::update_many()
            .col_expr(KekVersion, Expr::value(to.0))
            .col_expr(Dek, Expr::value(dek.as_bytes().to_vec()))
            .filter(Domain.eq(domain.as_str()))
            .filter(UserSecretId.eq(was.user_secret_id.as_str()))
            .filter(Version.eq(was.version))
            .filter(Dek.eq(was.dek.as_slice()));
        let updated = update.exec(transaction).await.map_err(failed)?.rows_affected;
        count += i64::try_from(updated).map_err(Error::internal)?;
    }
    Ok(count)
}

impl DekBatch {
    /// The place after the last of them.
    pub fn end(&self) -> Passed {
        self.deks.last().map_or_else(Passed::default, |dek| {
            Passed(self.from.version.0, dek.user_secret_id.clone(), dek.version)
        })
    }
}
