//! The moving of a domain's DEKs to its active KEK, a batch at a time, by one replica at a time.

use std::time::Duration;

use ::entity::{kek, rewrap, user_secret, user_secret_version};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbBackend, EntityTrait as _,
    FromQueryResult, JoinType, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, RelationTrait as _, Statement,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};
use serde_json::json;

use super::{
    Store, damaged,
    kek::{is_active, stored},
};
use crate::{
    auth::Scope,
    clock::Timestamp,
    crypto::{Kek, SealedBlock},
    database::{Admits, Planning, failed},
    error::{Code, Error, Result},
    ids::{DomainId, KekVersion, hex},
};

/// For how long a replica has a domain to itself after each batch.
const HELD: Duration = Duration::from_secs(10);

/// How many DEKs are moved in one transaction.
const BATCH: u64 = 256;

/// How far the moving of a domain's DEKs is.
#[derive(Debug, Clone)]
pub struct Rewrap {
    /// The KEK that they move to.
    pub to: KekVersion,
    /// How many there were; unknown before they were counted.
    pub total: Option<i64>,
    /// How many were moved.
    pub done: i64,
    /// How many do not open, and stay.
    pub failed: i64,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
}

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
    /// Asks that what is sealed under older KEKs of the domain is moved to the active one.
    pub async fn ask_rewrap(&self, scope: &Scope) -> Result<()> {
        let (within, now) = (scope.clone(), self.now().as_micros());
        self.change(scope, scope.event(), move |transaction| {
            Box::pin(async move {
                match stored(transaction, within.domain()).await?.first() {
                    Some(newest) => {
                        ask(transaction, within.domain(), KekVersion(newest.version), now).await
                    }
                    None => Err(Error::absent("key of the domain")),
                }
            })
        })
        .await
    }

    /// How far it is; none when nobody has asked.
    pub async fn rewrap(&self, scope: &Scope) -> Result<Option<Rewrap>> {
        let all = Admits::All;
        let snapshot = self.database.begin(scope.domain(), all, Planning::default()).await?;
        #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
        let row = rewrap::Entity::find()
            .filter(rewrap::Column::DomainId.eq(scope.domain().as_str()))
            .one(&snapshot)
            .await
            .map_err(failed)?;
        Ok(row.map(Into::into))
    }

    /// Takes the work in the domain for `holder`, if there is any and nobody has it.
    pub async fn take_rewrap(&self, scope: &Scope, holder: &str) -> Result<bool> {
        let (within, holder) = (scope.clone(), holder.to_owned());
        let now = self.database.engine().now();
        self.change_many(scope, Admits::Living, move |transaction| {
            Box::pin(async move {
                let free = Expr::col(rewrap::Column::HeldUntil).lt(Expr::cust(now));
                let free = free.or(rewrap::Column::Holder.eq(&holder));
                let taken = hold(transaction, within.domain(), &holder, now, free, 0).await?;
                Ok((taken, Vec::new()))
            })
        })
        .await
    }

    /// Counts what is to be moved, for those who look how far it is.
    pub async fn count_rewrap(&self, scope: &Scope) -> Result<()> {
        let within = scope.clone();
        self.change_many(scope, Admits::Living, move |transaction| {
            Box::pin(async move {
                if transaction.get_database_backend() == DbBackend::Postgres {
                    // However many there are.
                    let patiently = "SET LOCAL statement_timeout = 0";
                    transaction.execute_unprepared(patiently).await.map_err(failed)?;
                }
                let keks = stored(transaction, within.domain()).await?;
                let old = keks.iter().skip(1).filter(|kek| kek.destroyed_at.is_none());
                let old: Vec<i32> = old.map(|kek| kek.version).collect();
                #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                let count = user_secret_version::Entity::find()
                    .filter(user_secret_version::Column::KekVersion.is_in(old))
                    .filter(user_secret_version::Column::DomainId.eq(within.domain().as_str()))
                    .count(transaction)
                    .await
                    .map_err(failed)?;
                let done = Expr::col(rewrap::Column::Done);
                let total = done.add(i64::try_from(count).map_err(Error::internal)?);
                #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                let counted = rewrap::Entity::update_many()
                    .col_expr(rewrap::Column::Total, total)
                    .filter(rewrap::Column::DomainId.eq(within.domain().as_str()))
                    .exec(transaction);
                counted.await.map_err(failed)?;
                Ok(((), Vec::new()))
            })
        })
        .await
    }

    /// The next DEKs behind `passed` that are under an older KEK than the newest; none when there are no more.
    pub async fn next_batch(&self, scope: &Scope, passed: &Passed) -> Result<Option<DekBatch>> {
        let walk = Planning::Walk;
        let snapshot = self.database.begin(scope.domain(), Admits::Living, walk).await?;
        let keks = stored(&snapshot, scope.domain()).await?;
        let Some(newest) = keks.first().map(|kek| KekVersion(kek.version)) else { return Ok(None) };
        let old = keks.into_iter().skip(1).rev();
        let old = old.filter(|kek| kek.destroyed_at.is_none() && kek.version >= passed.0);
        for from in old {
            let deks = deks_under(&snapshot, scope, from.version, passed).await?;
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
                    return Err(Error::aborted("kek"));
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
            Err(error) if error.code() == Code::Aborted => match error.argument() {
                Some((_, "kek", _)) => Ok(Moved::Stale),
                _ => Ok(Moved::Lost),
            },
            Err(error) => Err(error),
        }
    }

    /// Destroys the older KEKs that wrap nothing any more, and says that the work is done, unless there is more of it:
    /// what was under way while the KEK retired. DEKs that did not open are left, and so is their KEK.
    pub async fn finish_rewrap(&self, scope: &Scope, failures: u64) -> Result<bool> {
        let (within, trail, now) = (scope.clone(), self.trail.clone(), self.now().as_micros());
        self.change_many(scope, Admits::Living, move |transaction| {
            Box::pin(async move {
                let (domain, mut events, mut left) = (within.domain(), Vec::new(), 0);
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
                let finished = left <= failures;
                if finished {
                    let left = i64::try_from(left).map_err(Error::internal)?;
                    #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                    let done = rewrap::Entity::update_many()
                        .col_expr(rewrap::Column::FinishedAt, Expr::value(now))
                        .col_expr(rewrap::Column::Failed, Expr::value(left))
                        .filter(rewrap::Column::DomainId.eq(domain.as_str()))
                        .exec(transaction);
                    done.await.map_err(failed)?;
                }
                Ok((finished, events))
            })
        })
        .await
    }

    /// Some domains in which a rewrap waits, or whose active KEK was made before `older_than`.
    pub async fn domains_due(&self, older_than: Timestamp) -> Result<Vec<DomainId>> {
        let reader = self.database.reader();
        let backend = reader.get_database_backend();
        let sql = match backend {
            DbBackend::Postgres => "SELECT * FROM usersecret_due($1) LIMIT 100",
            _ => {
                "SELECT domain_id FROM rewraps WHERE finished_at IS NULL
                    AND held_until < CAST(unixepoch('subsec') * 1000000 AS INTEGER)
                UNION SELECT domain_id FROM keks
                    WHERE retired_at IS NULL AND destroyed_at IS NULL AND created_at < ? LIMIT 100"
            }
        };
        let question =
            Statement::from_sql_and_values(backend, sql, [older_than.as_micros().into()]);
        let rows = reader.query_all_raw(question).await.map_err(failed)?;
        let parse = |row: &sea_orm::QueryResult| {
            let id: String = row.try_get_by_index(0).map_err(failed)?;
            DomainId::parse(&id).ok_or_else(|| damaged("domain id"))
        };
        rows.iter().map(parse).collect()
    }
}

/// Writes down that the DEKs of `domain` are to move to `to`, or go on moving.
pub(super) async fn ask(
    transaction: &DatabaseTransaction,
    domain: &DomainId,
    to: KekVersion,
    now: i64,
) -> Result<()> {
    use rewrap::Column::{
        DomainId as Id, Done, Failed, FinishedAt, HeldUntil, StartedAt, ToVersion, Total,
    };
    let row = rewrap::ActiveModel {
        domain_id: Set(domain.to_string()),
        to_version: Set(to.0),
        total: Set(None),
        done: Set(0),
        failed: Set(0),
        started_at: Set(now),
        finished_at: Set(None),
        holder: Set(None),
        held_until: Set(0),
    };
    // Who is at it notices by itself that there is another KEK.
    let anew = OnConflict::column(Id)
        .update_columns([ToVersion, Total, Done, Failed, StartedAt, FinishedAt, HeldUntil])
        .to_owned();
    rewrap::Entity::insert(row)
        .on_conflict(anew)
        .exec_without_returning(transaction)
        .await
        .map(|_| ())
        .map_err(failed)
}

/// Holds the domain's work for `holder` where `may` is true, and adds to what is done.
async fn hold(
    transaction: &DatabaseTransaction,
    domain: &DomainId,
    holder: &str,
    now: &'static str,
    may: Expr,
    done: i64,
) -> Result<bool> {
    use rewrap::Column::{Done, FinishedAt, HeldUntil, Holder};
    let held = i64::try_from(HELD.as_micros()).unwrap_or(i64::MAX);
    #[expect(clippy::disallowed_methods, reason = "within the transaction's domain")]
    let update = rewrap::Entity::update_many()
        .col_expr(Holder, Expr::value(holder))
        .col_expr(HeldUntil, Expr::cust(now).add(held))
        .col_expr(Done, Expr::col(Done).add(done))
        .filter(rewrap::Column::DomainId.eq(domain.as_str()))
        .filter(FinishedAt.is_null())
        .filter(may);
    Ok(update.exec(transaction).await.map_err(failed)?.rows_affected == 1)
}

/// Up to [`BATCH`] DEKs behind `passed` that are under the KEK of `version`.
async fn deks_under(
    snapshot: &DatabaseTransaction,
    scope: &Scope,
    version: i32,
    passed: &Passed,
) -> Result<Vec<StoredDek>> {
    use user_secret_version::Column::{Dek, DomainId, KekVersion, UserSecretId, Version};
    let column = |column| Expr::col((user_secret_version::Entity, column));
    let after = if passed.0 == version { (passed.1.as_str(), passed.2) } else { ("", 0) };
    let place = Expr::tuple([column(UserSecretId), column(Version)]);
    #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
    let deks = user_secret_version::Entity::find()
        .select_only()
        .columns([UserSecretId, Version, Dek])
        .column(user_secret::Column::UserId)
        .join(JoinType::InnerJoin, user_secret_version::Relation::UserSecret.def())
        .filter(KekVersion.eq(version))
        .filter(DomainId.eq(scope.domain().as_str()))
        .filter(place.gt(Expr::tuple([after.0.into(), after.1.into()])))
        .order_by_asc(UserSecretId)
        .order_by_asc(Version)
        .limit(BATCH)
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

/// How many DEKs are under the KEK of `version`, as far as `most`.
async fn count_under(
    transaction: &DatabaseTransaction,
    domain: &DomainId,
    version: KekVersion,
    most: u64,
) -> Result<u64> {
    #[expect(clippy::disallowed_methods, reason = "within the transaction's domain")]
    let some: Vec<i32> = user_secret_version::Entity::find()
        .select_only()
        .column(user_secret_version::Column::Version)
        .filter(user_secret_version::Column::KekVersion.eq(version.0))
        .filter(user_secret_version::Column::DomainId.eq(domain.as_str()))
        .limit(most)
        .into_tuple()
        .all(transaction)
        .await
        .map_err(failed)?;
    u64::try_from(some.len()).map_err(Error::internal)
}

/// Takes from `kek` what could be unwrapped.
pub(super) async fn destroy(
    transaction: &DatabaseTransaction,
    kek: kek::Model,
    now: i64,
) -> Result<()> {
    use sea_orm::ActiveModelTrait as _;
    let gone = kek::ActiveModel {
        blob: Set(Vec::new()),
        binding: Set(Vec::new()),
        destroyed_at: Set(Some(now)),
        ..kek.into()
    };
    gone.update(transaction).await.map(|_| ()).map_err(failed)
}

impl DekBatch {
    /// The place after the last of them.
    pub fn end(&self) -> Passed {
        self.deks.last().map_or_else(Passed::default, |dek| {
            Passed(self.from.version.0, dek.user_secret_id.clone(), dek.version)
        })
    }
}

impl From<rewrap::Model> for Rewrap {
    fn from(row: rewrap::Model) -> Self {
        Self {
            to: KekVersion(row.to_version),
            total: row.total,
            done: row.done,
            failed: row.failed,
            started_at: Timestamp::from_micros(row.started_at),
            finished_at: row.finished_at.map(Timestamp::from_micros),
        }
    }
}
