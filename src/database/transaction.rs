//! One transaction within one domain.

use futures_util::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, Statement,
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
    /// A statement that names the domain as well, and says whether it is shut.
    const fn statement(self) -> &'static str {
        match self {
            Self::Usual => "SELECT usersecret_enter($1)",
            Self::Search => {
                "SELECT usersecret_enter($1), set_config('plan_cache_mode', 'force_custom_plan', true)"
            }
            Self::Walk => {
                "SELECT usersecret_enter($1), set_config('enable_sort', 'off', true),
                    set_config('plan_cache_mode', 'force_generic_plan', true)"
            }
            Self::SearchAlong => {
                "SELECT usersecret_enter($1), set_config('enable_sort', 'off', true),
                    set_config('plan_cache_mode', 'force_custom_plan', true)"
            }
        }
    }
}

/// Begins a transaction that writes. SQLite takes the write lock at once: a deferred one could fail half-way.
pub async fn begin_to_write(connection: &DatabaseConnection) -> Result<DatabaseTransaction> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    connection.begin_with_options(options).await.map_err(failed)
}

/// Whether a domain was shredded, on SQLite.
const IS_SHUT: &str =
    "SELECT EXISTS (SELECT 1 FROM domains WHERE domain_id = ? AND shredded_at IS NOT NULL)";

/// What every operation of a shredded domain answers.
pub(crate) fn shut_error() -> Error {
    Error::failed_precondition("The domain was shredded: the keys of its data were destroyed.")
}

/// Which domains a transaction may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admits {
    /// Those whose keys are there: `FAILED_PRECONDITION` for one that was shredded.
    Living,
    /// All: for the audit trail, and for what is said of keys.
    All,
}

/// Whether `domain` was shredded, on SQLite, where `connection` sees every domain.
pub(crate) async fn is_shut(connection: &impl ConnectionTrait, domain: &DomainId) -> Result<bool> {
    let backend = connection.get_database_backend();
    let question = Statement::from_sql_and_values(backend, IS_SHUT, [domain.as_str().into()]);
    is_true(connection, question).await
}

/// Whether `question`, which has one answer, is answered by true.
pub(super) async fn is_true(
    connection: &impl ConnectionTrait,
    question: Statement,
) -> Result<bool> {
    let row = connection.query_one_raw(question).await.map_err(failed)?;
    let answer = row.map(|row| row.try_get_by_index(0)).transpose().map_err(failed)?;
    Ok(answer.unwrap_or_default())
}

impl Database {
    /// Begins a transaction that reads one snapshot of one domain.
    ///
    /// It is for reading: dropping it rolls it back, also in the middle of a statement.
    pub async fn begin_read(&self, domain: &DomainId) -> Result<DatabaseTransaction> {
        self.begin(domain, Admits::Living, Planning::default()).await
    }

    /// The same, of such domains, with statements planned so.
    pub async fn begin(
        &self,
        domain: &DomainId,
        admits: Admits,
        planning: Planning,
    ) -> Result<DatabaseTransaction> {
        let (database, domain) = (self.clone(), domain.clone());
        // On a task of its own: a BEGIN that is dropped before its answer leaves the connection in a
        // transaction that the driver knows nothing of, and whoever gets it next works in there.
        let begun = tokio::spawn(async move {
            let transaction = database.reader().begin().await.map_err(failed)?;
            database.enter(&transaction, &domain, admits, planning).await?;
            Ok(transaction)
        });
        begun.await.map_err(Error::internal)?
    }

    /// Runs `work` in a transaction within `domain`, if it is such a one, and commits if it succeeds.
    ///
    /// To be called on a task that nobody drops.
    pub async fn write<T>(
        &self,
        domain: &DomainId,
        admits: Admits,
        work: impl for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send,
    ) -> Result<T> {
        let turn = tokio::time::timeout(self.acquire_timeout, self.turns.acquire()).await;
        let _turn = turn.map_err(Error::unavailable)?.map_err(Error::unavailable)?;
        let transaction = self.begin_write().await?;
        let outcome = match self.enter(&transaction, domain, admits, Planning::default()).await {
            Ok(()) => work(&transaction).await,
            Err(error) => Err(error),
        };
        match outcome {
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
        begin_to_write(self.writer()).await
    }

    /// Names the domain that row-level security shows, until the transaction ends, and looks whether it is shut.
    async fn enter(
        &self,
        transaction: &DatabaseTransaction,
        domain: &DomainId,
        admits: Admits,
        planning: Planning,
    ) -> Result<()> {
        let shut = match &self.engine {
            Engine::Sqlite { .. } => {
                admits == Admits::Living && is_shut(transaction, domain).await?
            }
            Engine::Postgres(_) => {
                let (backend, name) = (transaction.get_database_backend(), domain.as_str());
                let sql = planning.statement();
                let enter = Statement::from_sql_and_values(backend, sql, [name.into()]);
                is_true(transaction, enter).await?
            }
        };
        if shut && admits == Admits::Living { Err(shut_error()) } else { Ok(()) }
    }
}
