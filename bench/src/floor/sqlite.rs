//! Floors of SQLite: the same three statements on one connection, as the service sets it up.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use sea_orm::sqlx::{
    self, ConnectOptions as _, Connection as _,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous},
};

use crate::{
    Failure,
    number::{float_len, nanos, percentile},
    results::Figures,
    subject::Subject,
};

const TABLES: &str = include_str!("sqlite.sql");
const SECRET: &str = "INSERT INTO user_secrets VALUES (?, ?, 'eve', 'credential 07', \
    'aws_access_key', NULL, '{\"env\":\"bench\",\"team\":\"storage\"}', 'credential aws_access_key', \
    1, 1, NULL, 1, 1, 1, NULL, NULL)";
const SELECT: &str = "SELECT * FROM user_secrets WHERE domain_id = ? AND user_secret_id = ?";
const INSERT: &str = "INSERT INTO audit_events VALUES (?, ?, 1, ?)";
/// One text, so that the connection's thread is asked once.
const TRANSACTION: &str = "BEGIN IMMEDIATE; \
    INSERT INTO user_secrets VALUES (?, ?, 'eve', 'credential 07', \
    'aws_access_key', NULL, '{\"env\":\"bench\",\"team\":\"storage\"}', 'credential aws_access_key', \
    1, 1, NULL, 1, 1, 1, NULL, NULL); \
    INSERT INTO user_secret_versions VALUES (?, ?, 1, 1, ?, ?, 1); \
    INSERT INTO audit_events VALUES (?, ?, 1, ?); \
    COMMIT";
const SECRETS: u64 = 384;
const DOMAINS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];

/// A database of copied tables.
pub(crate) struct SqliteFloor {
    connection: SqliteConnection,
    written: u64,
}

impl SqliteFloor {
    pub(crate) async fn prepare(dir: &Path) -> Result<Self, Failure> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        fs::create_dir_all(dir)?;
        let mut connection = SqliteConnectOptions::new()
            .filename(dir.join("floors.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON")
            .disable_statement_logging()
            .connect()
            .await?;
        sqlx::raw_sql(TABLES).execute(&mut connection).await?;
        let mut floor = Self { connection, written: 0 };
        floor.fill().await?;
        Ok(floor)
    }

    /// So many statements in a second, one after the other.
    pub(crate) async fn measure(
        &mut self,
        subject: Subject,
        window: Duration,
    ) -> Result<Figures, Failure> {
        let mut latencies = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < window {
            let one = Instant::now();
            match subject {
                Subject::Select => self.select(u64::try_from(latencies.len())?).await?,
                Subject::Insert => self.insert().await?,
                _ => self.transaction().await?,
            }
            latencies.push(nanos(one.elapsed()));
        }
        let per_second = float_len(latencies.len()) / begun.elapsed().as_secs_f64();
        latencies.sort_unstable();
        let milliseconds =
            |percent| Some(crate::number::float(percentile(&latencies, percent)?) / 1e6);
        let (p50_ms, p99_ms) = (milliseconds(50), milliseconds(99));
        Ok(Figures { per_second, p50_ms, p99_ms, ..Figures::default() })
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        let mut transaction = self.connection.begin().await?;
        for number in 0..SECRETS {
            let bind = sqlx::query(SECRET).bind(domain(number)).bind(id(number));
            bind.execute(&mut *transaction).await?;
        }
        self.written = SECRETS;
        Ok(transaction.commit().await?)
    }

    async fn select(&mut self, number: u64) -> Result<(), Failure> {
        let number = number.wrapping_mul(29) % SECRETS;
        let bind = sqlx::query(SELECT).bind(domain(number)).bind(id(number));
        bind.fetch_one(&mut self.connection).await?;
        Ok(())
    }

    async fn insert(&mut self) -> Result<(), Failure> {
        let number = self.next();
        let bind = sqlx::query(INSERT).bind(domain(number)).bind(key(number)).bind(body());
        bind.execute(&mut self.connection).await?;
        Ok(())
    }

    async fn transaction(&mut self) -> Result<(), Failure> {
        let number = self.next();
        let (domain, id) = (domain(number), id(number));
        sqlx::query(TRANSACTION)
            .bind(domain)
            .bind(id.clone())
            .bind(domain)
            .bind(id)
            .bind(vec![0xa7_u8; 60])
            .bind(vec![0xc3_u8; 200])
            .bind(domain)
            .bind(key(number))
            .bind(body())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    fn next(&mut self) -> u64 {
        self.written = self.written.saturating_add(1);
        self.written
    }
}

fn domain(number: u64) -> &'static str {
    let index = usize::try_from(number % 4).unwrap_or(0);
    DOMAINS.get(index).copied().unwrap_or_default()
}

fn id(number: u64) -> String {
    format!("user-secret-{number:012x}")
}

/// A UUID that rises.
fn key(number: u64) -> Vec<u8> {
    u128::from(number).to_be_bytes().to_vec()
}

/// With its keys a row of about 300 bytes.
fn body() -> String {
    "x".repeat(230)
}
