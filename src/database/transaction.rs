//! One transaction within one domain.

use futures_util::future::BoxFuture;
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait as _,
};

use super::{Database, Engine, failed};
use crate::{
    error::{Error, Result},
    ids::DomainId,
};

/// How PostgreSQL is to plan what a transaction reads. SQLite has no such choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Planning {
    /// As it likes.
    #[default]
    Usual,
    /// For the very values: how many rows they lead to differs from one to the next.
    Search,
    /// Along an index that has the rows in order: once for all values, and without reading all to sort them,
    /// however few they are taken for.
    Walk,
    /// Along an index, with other conditions on what lies there.
    SearchAlong,
}

impl Planning {
    /// A statement that names the domain as well.
    const fn statement(self) -> &'static str {
        match self {
            Self::Usual => "SELECT set_config('usersecret.domain', $1, true)",
            Self::Search => {
                "SELECT set_config('usersecret.domain', $1, true),
                    set_config('plan_cache_mode', 'force_custom_plan', true)"
            }
            Self::Walk => {
                "SELECT set_config('usersecret.domain', $1, true), set_config('enable_sort', 'off', true),
                    set_config('plan_cache_mode', 'force_generic_plan', true)"
            }
            Self::SearchAlong => {
                "SELECT set_config('usersecret.domain', $1, true), set_config('enable_sort', 'off', true),
                    set_config('plan_cache_mode', 'force_custom_plan', true)"
            }
        }
    }
}

impl Database {
    /// Begins a transaction that reads one snapshot of one domain.
    ///
    /// It is for reading: dropping it rolls it back, also in the middle of a statement.
    pub async fn begin_read(&self, domain: &DomainId) -> Result<DatabaseTransaction> {
        self.begin_planned(domain, Planning::default()).await
    }

    /// The same, with statements planned so.
    pub async fn begin_planned(
        &self,
        domain: &DomainId,
        planning: Planning,
    ) -> Result<DatabaseTransaction> {
        let (database, domain) = (self.clone(), domain.clone());
        // On a task of its own: a BEGIN that is dropped before its answer leaves the connection in a
        // transaction that the driver knows nothing of, and whoever gets it next works in there.
        let begun = tokio::spawn(async move {
            let transaction = database.reader().begin().await.map_err(failed)?;
            database.enter(&transaction, &domain, planning).await?;
            Ok(transaction)
        });
        begun.await.map_err(Error::internal)?
    }

    /// Runs `work` in a transaction within `domain`, and commits if it succeeds.
    ///
    /// To be called on a task that nobody drops.
    pub async fn write<T>(
        &self,
        domain: &DomainId,
        work: impl for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send,
    ) -> Result<T> {
        let turn = tokio::time::timeout(self.acquire_timeout, self.turns.acquire()).await;
        let _turn = turn.map_err(Error::unavailable)?.map_err(Error::unavailable)?;
        let transaction = self.begin_write().await?;
        self.enter(&transaction, domain, Planning::default()).await?;
        match work(&transaction).await {
            Ok(value) => transaction.commit().await.map_err(failed).map(|()| value),
            Err(error) => {
                // Where the connection is gone, so is the transaction.
                let _ = transaction.rollback().await;
                Err(error)
            }
        }
    }

    /// Begins a transaction that writes; on PostgreSQL it sees no domain yet.
    pub async fn begin_write(&self) -> Result<DatabaseTransaction> {
        // SQLite: take the write lock at once. A deferred one could fail half-way.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.writer().begin_with_options(options).await.map_err(failed)
    }

    /// Names the domain that row-level security shows, until the transaction ends.
    async fn enter(
        &self,
        transaction: &DatabaseTransaction,
        domain: &DomainId,
        planning: Planning,
    ) -> Result<()> {
        if matches!(self.engine, Engine::Sqlite { .. }) {
            return Ok(());
        }
        let name = Statement::from_sql_and_values(
            transaction.get_database_backend(),
            planning.statement(),
            [domain.as_str().into()],
        );
        transaction.execute_raw(name).await.map_err(failed).map(|_| ())
    }
}
