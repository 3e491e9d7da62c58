//! Rows, always through a [`Scope`](crate::auth::Scope).
//!
//! A mutation is one transaction on a task of its own, so that a client that
//! goes away neither stops it half-way nor leaves a pooled connection inside it.
//! Nothing here returns a database error: it becomes an
//! [`Error`] at once, and a `?` on one in any other place
//! does not compile:
//!
//! ```
//! fn resolver(row: Result<u8, usersecret::error::Error>) -> Result<u8, usersecret::graphql::Fault> {
//!     Ok(row?)
//! }
//! ```
//!
//! ```compile_fail,E0277
//! fn resolver(row: Result<u8, sea_orm::DbErr>) -> Result<u8, usersecret::graphql::Fault> {
//!     Ok(row?)
//! }
//! ```
//!
//! Nor is there a way to a row that does without a scope:
//!
//! ```
//! async fn read(store: &usersecret::store::Store, scope: &usersecret::auth::Scope, id: &usersecret::ids::UserSecretId) {
//!     let _ = store.find(scope, id).await;
//! }
//! ```
//!
//! ```compile_fail,E0061
//! async fn read(store: &usersecret::store::Store, id: &usersecret::ids::UserSecretId) {
//!     let _ = store.find(id).await;
//! }
//! ```

mod change;
mod connection;
mod domain;
mod list;
mod transaction;
mod user_secret;

pub use change::{Change, DataChange, NewRow};
pub use connection::{DatabaseSettings, is_current, migrate};
pub use list::{Page, Place};
pub use user_secret::{Sealed, UserSecret};

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, SqlErr};
use tokio_util::task::TaskTracker;

use crate::{
    clock::{Clock, Timestamp},
    error::{Error, Result},
};

/// The database behind the service.
#[derive(Clone)]
pub struct Store {
    read: DatabaseConnection,
    write: DatabaseConnection,
    clock: Clock,
    last_position: Arc<AtomicI64>,
    /// Transactions under way; draining waits for them.
    tasks: TaskTracker,
}

impl Store {
    /// Connects to the database, whose migrations must have run.
    pub async fn connect(settings: &DatabaseSettings, clock: Clock) -> Result<Self> {
        let (read, write) = connection::open(settings).await?;
        let last_position = Arc::new(AtomicI64::new(0));
        Ok(Self { read, write, clock, last_position, tasks: TaskTracker::new() })
    }

    /// Proves that the database answers.
    pub async fn probe(&self) -> Result<()> {
        self.read.execute_unprepared("SELECT 1").await.map(|_| ()).map_err(database)
    }

    /// Waits until every transaction has ended.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A place in the order of insertion, later than every one before it.
    fn next_position(&self) -> i64 {
        let now = self.now().as_micros();
        let advance = |last: i64| Some(now.max(last.saturating_add(1)));
        let last = self.last_position.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance);
        now.max(last.unwrap_or_default().saturating_add(1))
    }
}

/// A database error as callers may see it: away, or a defect.
fn database(error: DbErr) -> Error {
    match &error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => Error::unavailable(error),
        DbErr::Exec(_) | DbErr::Query(_) if is_transient(&error) => Error::unavailable(error),
        _ => Error::internal(error),
    }
}

/// The database was busy, or went away.
fn is_transient(error: &DbErr) -> bool {
    let text = error.to_string();
    text.contains("database is locked")
        || text.contains("unable to open database file")
        || text.contains("disk I/O error")
        || text.contains("database or disk is full")
}

fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// A stored value that the service cannot have written.
fn damaged(what: &'static str) -> Error {
    Error::internal(format!("a stored {what} has a wrong form"))
}
