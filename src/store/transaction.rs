//! One transaction, whatever becomes of the caller.

use futures_util::future::BoxFuture;
use sea_orm::{
    DatabaseTransaction, SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
};

use super::{Store, database};
use crate::error::{Error, Result};

impl Store {
    /// Runs `work` in a transaction on a task of its own, and commits if it succeeds.
    ///
    /// The task goes on when the caller's future is dropped: what was begun is
    /// committed or rolled back, and the connection goes home clean.
    pub(super) async fn transaction<T: Send + 'static>(
        &self,
        work: impl for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let write = self.write.clone();
        let task = self.tasks.spawn(async move {
            // SQLite: take the write lock at once. A deferred one could fail half-way.
            let options = TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            };
            let transaction = write.begin_with_options(options).await.map_err(database)?;
            match work(&transaction).await {
                Ok(value) => transaction.commit().await.map_err(database).map(|()| value),
                Err(error) => {
                    transaction.rollback().await.map_err(database)?;
                    Err(error)
                }
            }
        });
        task.await.map_err(Error::internal)?
    }
}
