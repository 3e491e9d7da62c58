//! Opening the database, and bringing its schema up to date.

use std::time::Duration;

use migration::{Migrator, MigratorTrait as _};
use sea_orm::{
    ConnectOptions, Database, DatabaseConnection,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};

use super::database;
use crate::error::Result;

/// Where the database is and how many connections it gets.
pub struct DatabaseSettings {
    /// `sqlite://…`.
    pub url: String,
    /// Connections for reading.
    pub max_connections: u32,
    /// How long a request waits for a connection, and SQLite for its lock.
    pub acquire_timeout: Duration,
}

/// Connections to read with, and the one to write with: SQLite has a single
/// writer, and a queue before it is fairer than its busy loop.
pub(super) async fn open(
    settings: &DatabaseSettings,
) -> Result<(DatabaseConnection, DatabaseConnection)> {
    let write = connect(settings, 1).await?;
    let read = connect(settings, settings.max_connections).await?;
    Ok((read, write))
}

/// Applies the migrations that are missing.
pub async fn migrate(settings: &DatabaseSettings) -> Result<()> {
    let owner = connect(settings, 1).await?;
    let outcome = Migrator::up(&owner, None).await.map_err(database);
    owner.close().await.map_err(database)?;
    outcome
}

/// Whether every migration has been applied.
pub async fn is_current(settings: &DatabaseSettings) -> Result<bool> {
    let connection = connect(settings, 1).await?;
    let pending = Migrator::get_pending_migrations(&connection).await.map_err(database)?;
    connection.close().await.map_err(database)?;
    Ok(pending.is_empty())
}

async fn connect(settings: &DatabaseSettings, most: u32) -> Result<DatabaseConnection> {
    let lock_timeout = settings.acquire_timeout;
    let mut options = ConnectOptions::new(settings.url.clone());
    options
        .max_connections(most)
        .acquire_timeout(settings.acquire_timeout)
        .test_before_acquire(false)
        // Statements are traced by the request that runs them, never with their values.
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // An acknowledged write survives a power cut.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(lock_timeout)
                // A deleted envelope leaves no copy in a free page.
                .pragma("secure_delete", "ON")
        });
    Database::connect(options).await.map_err(database)
}
