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

/// Whether PostgreSQL may sort what an index has in order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sorting {
    Allowed,
    Avoided,
}

impl Database {
    /// Begins a transaction that reads one snapshot of one domain.
    ///
    /// It is for reading: dropping it rolls it back, also in the middle of a statement.
    pub async fn begin_read(&self, domain: &DomainId) -> Result<DatabaseTransaction> {
        self.begin_within(domain, Sorting::Allowed).await
    }

    /// The same, for what an index has in order: PostgreSQL does not read all of it to sort it, however few
    /// it takes it for.
    pub async fn begin_walk(&self, domain: &DomainId) -> Result<DatabaseTransaction> {
        self.begin_within(domain, Sorting::Avoided).await
    }

    async fn begin_within(
        &self,
        domain: &DomainId,
        sorting: Sorting,
    ) -> Result<DatabaseTransaction> {
        let (database, domain) = (self.clone(), domain.clone());
        // On a task of its own: a BEGIN that is dropped before its answer leaves the connection in a
        // transaction that the driver knows nothing of, and whoever gets it next works in there.
        let begun = tokio::spawn(async move {
            let transaction = database.reader().begin().await.map_err(failed)?;
            database.enter(&transaction, &domain, sorting).await?;
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
        self.enter(&transaction, domain, Sorting::Allowed).await?;
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
        sorting: Sorting,
    ) -> Result<()> {
        if matches!(self.engine, Engine::Sqlite { .. }) {
            return Ok(());
        }
        let statement = if sorting == Sorting::Allowed {
            "SELECT set_config('usersecret.domain', $1, true)"
        } else {
            "SELECT set_config('usersecret.domain', $1, true), set_config('enable_sort', 'off', true)"
        };
        let name = Statement::from_sql_and_values(
            transaction.get_database_backend(),
            statement,
            [domain.as_str().into()],
        );
        transaction.execute_raw(name).await.map_err(failed).map(|_| ())
    }
}
