//! Connections to the database, on SQLite and PostgreSQL, and what its errors mean.
//!
//! It knows no row, but whether a domain was shredded. The store and the audit trail read and write through it, and
//! on PostgreSQL every transaction of theirs begins by naming its domain, which
//! is all that row-level security then lets it see.

mod failure;
mod fence;
mod lock;
mod migrate;
mod settings;
mod transaction;

pub use failure::{failed, is_unique_violation};
pub(crate) use failure::{failed_raw, is_rolled_back, or_too_long};
pub use lock::RootLock;
pub use migrate::{create_roles, migrate};
pub use settings::{DatabaseSettings, DatabaseUrl};
pub use transaction::{Admits, Planning, begin_to_write};
pub(crate) use transaction::{is_shut, shut_error};

use std::{sync::Arc, time::Duration};

use futures_util::TryFutureExt as _;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Result};

/// The database behind the service; clones share its connections.
#[derive(Clone)]
pub struct Database {
    engine: Engine,
    /// How long a statement may take, waiting for a connection included.
    patience: Duration,
    /// How long one waits for a connection.
    acquire_timeout: Duration,
    /// Transactions that write at the same time: they leave connections to those that read.
    turns: Arc<Semaphore>,
    /// Lists that may be read at the same time.
    lists: usize,
    /// Transactions under way; draining waits for them.
    tasks: TaskTracker,
}

/// Connections that hot statements and the audit trail keep.
const KEPT: u32 = 4;

/// Connections that writing leaves: hot statements keep three, the audit trail and reading need one each.
const LEFT: u32 = 5;

/// The two engines, where they differ.
#[derive(Clone)]
pub enum Engine {
    /// Connections to read with, and the one to write with: SQLite has a single
    /// writer, and a queue before it is fairer than its busy loop.
    Sqlite {
        /// For reading.
        read: DatabaseConnection,
        /// For writing.
        write: DatabaseConnection,
    },
    /// One pool, whose role owns nothing and sees the domain that is set.
    Postgres(DatabaseConnection),
}

impl Engine {
    /// The database's own clock, in microseconds, as SQL writes it.
    pub const fn now(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
            Self::Sqlite { .. } => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        }
    }
}

impl Database {
    /// Connects as the service's role, to a database whose migrations have run.
    ///
    /// A PostgreSQL role that could see across domains is refused.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self> {
        let engine = match &settings.url {
            DatabaseUrl::Sqlite(_) => Engine::Sqlite {
                // The one that writes must not stop halfway because the disk was slow.
                write: settings.patient().open(&settings.url, 1).await?,
                read: settings.open(&settings.url, settings.max_connections).await?,
            },
            DatabaseUrl::Postgres(_) => {
                let pool = settings.open(&settings.url, settings.max_connections).await?;
                fence::refuse_a_role_that_could_bypass(&pool).await?;
                Engine::Postgres(pool)
            }
        };
        let patience = settings.acquire_timeout.saturating_add(settings.statement_timeout);
        let turns = usize::try_from(settings.max_connections.saturating_sub(LEFT));
        Ok(Self {
            engine,
            patience,
            acquire_timeout: settings.acquire_timeout,
            turns: Arc::new(Semaphore::new(turns.unwrap_or_default().max(1))),
            lists: usize::try_from(settings.max_connections.saturating_sub(KEPT) / 2)
                .unwrap_or_default()
                .max(1),
            tasks: TaskTracker::new(),
        })
    }

    /// A connection as the owner of the tables, who sees every domain: for commands, never for requests.
    pub async fn owner(settings: &DatabaseSettings) -> Result<DatabaseConnection> {
        // Reading a whole table may take its time.
        settings.patient().open_existing(settings.owner()?, 4).await
    }

    /// Whether there may be such a database: false where it is a file of SQLite that is not there.
    pub fn may_exist(settings: &DatabaseSettings) -> Result<bool> {
        Ok(settings.sqlite_file()?.is_none_or(|file| file.exists()))
    }

    /// Whether every migration has been applied.
    pub async fn is_current(&self) -> Result<bool> {
        migrate::is_current(self.reader()).await
    }

    /// Proves that the database answers.
    pub async fn probe(&self) -> Result<()> {
        self.reader().execute_unprepared("SELECT 1").await.map(|_| ()).map_err(failed)
    }

    /// The engine.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How many lists may be read at the same time.
    pub const fn lists(&self) -> usize {
        self.lists
    }

    /// How long a statement may take, waiting for a connection included.
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// What `statement` gives within this patience.
    pub(crate) async fn patiently<T>(
        &self,
        statement: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T> {
        within(self.patience, statement.map_err(failed)).await
    }

    /// Where background work runs that a drain must wait for.
    pub const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Waits until every transaction has ended.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A connection for what has no domain.
    pub const fn reader(&self) -> &DatabaseConnection {
        match &self.engine {
            Engine::Sqlite { read, .. } => read,
            Engine::Postgres(pool) => pool,
        }
    }

    /// A connection for writing what has no domain.
    pub const fn writer(&self) -> &DatabaseConnection {
        match &self.engine {
            Engine::Sqlite { write, .. } => write,
            Engine::Postgres(pool) => pool,
        }
    }
}

/// What `statement` gives. A server that says nothing is given up, and whether it did anything is not known then.
pub(crate) async fn within<T>(
    patience: Duration,
    statement: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(patience, statement)
        .await
        .unwrap_or_else(|_| Err(Error::unavailable("the database did not answer in time")))
}
