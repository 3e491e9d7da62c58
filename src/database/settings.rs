//! Where the database is, and how its connections are made.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use sea_orm::{
    DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector,
    sqlx::{
        self, ConnectOptions as _, Connection as _, SqliteConnection,
        pool::PoolOptions,
        postgres::PgConnectOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};

use super::failed_raw;
use crate::error::{Error, Result};

/// The address of a database. It may hold a password, so it does not print.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite://PATH`
    Sqlite(String),
    /// `postgres://…`
    Postgres(url::Url),
}

impl DatabaseUrl {
    /// Reads `text`; the error is the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("sqlite:") {
            return Ok(Self::Sqlite(text.to_owned()));
        }
        match url::Url::parse(text) {
            Ok(url) if ["postgres", "postgresql"].contains(&url.scheme()) => {
                if url.username().is_empty() {
                    return Err("must name its role: postgres://ROLE:PASSWORD@HOST/DATABASE");
                }
                Ok(Self::Postgres(url))
            }
            _ => Err("must begin with sqlite:// or postgres://"),
        }
    }

    /// The address as drivers read it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sqlite(text) => text,
            Self::Postgres(url) => url.as_str(),
        }
    }
}

/// Where the database is and how many connections it gets.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// As whom the service connects.
    pub url: DatabaseUrl,
    /// As whom migrations and commands connect, on PostgreSQL: the owner of the tables.
    pub admin_url: Option<DatabaseUrl>,
    /// The most connections.
    pub max_connections: u32,
    /// How long a request waits for a connection, and SQLite for its lock.
    pub acquire_timeout: Duration,
    /// How long PostgreSQL works on a statement, its waiting for locks included, and SQLite on all that
    /// is read on a connection until it is given back; zero: as long as it takes.
    pub statement_timeout: Duration,
}

/// Connections that have idled for longer are tried before they are used.
const IDLE: Duration = Duration::from_secs(1);

/// How many instructions SQLite carries out between two looks at the clock: some ten microseconds.
const INSTRUCTIONS: i32 = 1_000;

/// Statements that a connection remembers. Lists make new ones without end, of any length that they may have.
const STATEMENTS: usize = 24;

/// The most that a connection to SQLite keeps of the file, which has 2 MB by itself. Negative: KiB, not pages.
const PAGE_CACHE: &str = "-16384";

impl DatabaseSettings {
    /// The same, and statements take as long as they take.
    pub(super) fn patient(&self) -> Self {
        Self { statement_timeout: Duration::ZERO, ..self.clone() }
    }

    /// As whom migrations and commands connect.
    pub(super) fn owner(&self) -> Result<&DatabaseUrl> {
        match (&self.url, &self.admin_url) {
            (DatabaseUrl::Sqlite(_), _) => Ok(&self.url),
            (DatabaseUrl::Postgres(_), Some(owner)) => Ok(owner),
            (DatabaseUrl::Postgres(_), None) => {
                Err(Error::internal("database.admin_url: must name the owner of the tables"))
            }
        }
    }

    /// The file of the database, on SQLite.
    pub(super) fn sqlite_file(&self) -> Result<Option<PathBuf>> {
        let DatabaseUrl::Sqlite(url) = &self.url else { return Ok(None) };
        let options = url.parse::<SqliteConnectOptions>().map_err(failed_raw)?;
        Ok(Some(options.get_filename().to_owned()))
    }

    /// Opens a pool of at most `most` connections.
    ///
    /// Not through the ORM's own connector, which writes the address into its spans.
    /// Statements are not logged here: the request that runs them is, without values.
    pub(super) async fn open(&self, url: &DatabaseUrl, most: u32) -> Result<DatabaseConnection> {
        self.open_or(true, url, most).await
    }

    /// As [`Self::open`], and a file that is not there is not made.
    pub(super) async fn open_existing(
        &self,
        url: &DatabaseUrl,
        most: u32,
    ) -> Result<DatabaseConnection> {
        self.open_or(false, url, most).await
    }

    async fn open_or(
        &self,
        make: bool,
        url: &DatabaseUrl,
        most: u32,
    ) -> Result<DatabaseConnection> {
        match url {
            DatabaseUrl::Sqlite(url) => {
                let options = self.sqlite(url).map_err(failed_raw)?.create_if_missing(make);
                let pool = self.bounded(self.pool(most));
                let pool = pool.connect_with(options).await.map_err(failed_raw)?;
                Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
            }
            DatabaseUrl::Postgres(url) => {
                let options = self.postgres(url.as_str()).map_err(failed_raw)?;
                let pool = self.pool::<sqlx::Postgres>(most).before_acquire(|connection, about| {
                    Box::pin(
                        async move { Ok(about.idle_for < IDLE || connection.ping().await.is_ok()) },
                    )
                });
                let pool = pool.connect_with(options).await.map_err(failed_raw)?;
                Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
            }
        }
    }

    fn pool<D: sqlx::Database>(&self, most: u32) -> PoolOptions<D> {
        PoolOptions::new()
            .max_connections(most)
            .acquire_timeout(self.acquire_timeout)
            .test_before_acquire(false)
    }

    /// SQLite itself knows no time for a statement.
    fn bounded(&self, pool: PoolOptions<sqlx::Sqlite>) -> PoolOptions<sqlx::Sqlite> {
        let time = self.statement_timeout;
        if time.is_zero() {
            return pool;
        }
        pool.after_connect(move |connection, _| Box::pin(bound(connection, time))).before_acquire(
            move |connection, _| {
                Box::pin(async move { bound(connection, time).await.map(|()| true) })
            },
        )
    }

    fn sqlite(&self, url: &str) -> sqlx::Result<SqliteConnectOptions> {
        Ok(url
            .parse::<SqliteConnectOptions>()?
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged write survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(self.acquire_timeout)
            .statement_cache_capacity(STATEMENTS)
            // Conditions with patterns.
            .with_regexp()
            .pragma("cache_size", PAGE_CACHE)
            // A deleted envelope leaves no copy in a free page.
            .pragma("secure_delete", "ON")
            .disable_statement_logging())
    }

    fn postgres(&self, url: &str) -> sqlx::Result<PgConnectOptions> {
        let timeout = self.statement_timeout.as_millis().to_string();
        Ok(url
            .parse::<PgConnectOptions>()?
            .application_name("usersecret")
            .statement_cache_capacity(STATEMENTS)
            .options([
                ("statement_timeout", timeout.as_str()),
                // A replica that died in the middle must not hold its locks for long.
                ("idle_in_transaction_session_timeout", timeout.as_str()),
            ])
            .disable_statement_logging())
    }
}

/// Interrupts what is done on `connection` when `time` has passed from now on.
async fn bound(connection: &mut SqliteConnection, time: Duration) -> sqlx::Result<()> {
    let taken_at = Instant::now();
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(INSTRUCTIONS, move || taken_at.elapsed() < time);
    Ok(())
}
