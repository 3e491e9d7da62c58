//! The moving of a domain's DEKs to its active KEK, a batch at a time, by one replica at a time: who is at it, and how far it is.

mod batch;
mod finish;

pub use batch::{DekBatch, Moved, Passed, StoredDek};
pub(super) use finish::destroy;

use std::time::Duration;

use ::entity::{rewrap, user_secret_version};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbBackend, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, Select,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::{
    Store,
    kek::{lock, stored},
};
use crate::{
    auth::Scope,
    clock::Timestamp,
    database::{Admits, failed},
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
        look(&self.all_of(scope).await?, scope).await
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

    /// Leaves the work that `holder` has to whoever comes next.
    pub async fn leave_rewrap(&self, scope: &Scope, holder: &str) -> Result<()> {
        let (within, holder) = (scope.clone(), holder.to_owned());
        self.change_many(scope, Admits::Living, move |transaction| {
            Box::pin(async move {
                #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                let left = rewrap::Entity::update_many()
                    .col_expr(rewrap::Column::HeldUntil, Expr::value(0_i64))
                    .filter(rewrap::Column::DomainId.eq(within.domain().as_str()))
                    .filter(rewrap::Column::Holder.eq(holder));
                left.exec(transaction).await.map_err(failed)?;
                Ok(((), Vec::new()))
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
}

/// How far the rewrap of the domain is.
pub(super) async fn look(snapshot: &DatabaseTransaction, scope: &Scope) -> Result<Option<Rewrap>> {
    let row = rewrap::Entity::find_by_id(scope.domain().as_str()).one(snapshot).await;
    Ok(row.map_err(failed)?.map(Into::into))
}

/// However many there are, and however many were. Along indexes: for one row that is not there PostgreSQL would read a table
/// to its end where it takes such rows for many.
async fn patiently(transaction: &DatabaseTransaction) -> Result<()> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        let patiently = "SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off";
        transaction.execute_unprepared(patiently).await.map_err(failed)?;
    }
    Ok(())
}

/// The DEKs under the KEK of `version`, behind a place in their order.
///
/// By rows, on PostgreSQL: where it thinks that one KEK wraps all of a domain, the primary key is as good to it as the index of what
/// KEKs wrap, and it would read the domain for what is not there any more. Only that index is in this order.
fn under(
    backend: DbBackend,
    domain: &DomainId,
    version: i32,
    after: (&str, i32),
) -> Select<user_secret_version::Entity> {
    use user_secret_version::Column::{
        DomainId as Domain, KekVersion as Kek, UserSecretId, Version,
    };
    let column = |column| Expr::col((user_secret_version::Entity, column));
    let domain = domain.as_str();
    #[expect(clippy::disallowed_methods, reason = "within the domain")]
    let all = user_secret_version::Entity::find();
    let behind = if backend == DbBackend::Postgres {
        let place = [Kek, Domain, UserSecretId, Version].map(column);
        let after = [version.into(), domain.into(), after.0.into(), after.1.into()];
        let kek = Expr::tuple([Kek, Domain].map(column));
        all.filter(Expr::tuple(place).gt(Expr::tuple(after)))
            .filter(kek.lte(Expr::tuple([version.into(), domain.into()])))
            .order_by_asc(Kek)
            .order_by_asc(Domain)
    } else {
        let place = Expr::tuple([UserSecretId, Version].map(column));
        all.filter(Kek.eq(version))
            .filter(Domain.eq(domain))
            .filter(place.gt(Expr::tuple([after.0.into(), after.1.into()])))
    };
    behind.order_by_asc(UserSecretId).order_by_asc(Version)
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
