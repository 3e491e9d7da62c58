//! The moving of a domain's DEKs to its active KEK, a batch at a time, by one replica at a time: who is at it, how far it is, and its end.

mod batch;

pub use batch::{DekBatch, Moved, Passed, StoredDek};

use std::time::Duration;

use ::entity::{kek, rewrap, user_secret_version};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbBackend, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::{
    Store, damaged,
    kek::{lock, stored},
};
use crate::{
    auth::Scope,
    clock::Timestamp,
    database::{Admits, Planning, failed},
    error::{Error, Result},
    ids::{DomainId, KekVersion},
};

/// For how long a replica has a domain to itself after each batch.
const HELD: Duration = Duration::from_secs(10);

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

impl Store {
    /// Asks that what is sealed under older KEKs of the domain is moved to the active one.
    pub async fn ask_rewrap(&self, scope: &Scope) -> Result<()> {
        let (within, now) = (scope.clone(), self.now().as_micros());
        self.change(scope, scope.event(), move |transaction| {
            Box::pin(async move {
                // A rotation that is under way is waited for: what it asks for is not to be undone.
                lock(transaction, within.domain()).await?;
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
                patiently(transaction).await?;
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

    /// Destroys the older KEKs that wrap nothing any more, and says that the work is done, unless there is more of it:
    /// what was under way while the KEK retired. DEKs that did not open are left, and so is their KEK.
    pub async fn finish_rewrap(&self, scope: &Scope, failures: u64) -> Result<bool> {
        let (within, trail, now) = (scope.clone(), self.trail.clone(), self.now().as_micros());
        self.change_many(scope, Admits::Living, move |transaction| {
            Box::pin(async move {
                let (domain, mut events, mut left) = (within.domain(), Vec::new(), 0);
                patiently(transaction).await?;
                let newest = stored(transaction, domain).await?.first().map(|kek| kek.version);
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

/// However many there are, and however many were.
async fn patiently(transaction: &DatabaseTransaction) -> Result<()> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        let patiently = "SET LOCAL statement_timeout = 0";
        transaction.execute_unprepared(patiently).await.map_err(failed)?;
    }
    Ok(())
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
