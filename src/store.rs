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

mod audit_events;
mod batch;
mod change;
mod create;
mod due;
mod export;
mod find;
mod issuer;
mod kek;
mod list;
mod reading;
mod reveal;
mod rewrap;
mod root;
mod shred;
mod statistics;
mod tagged;
mod tags;
mod transaction;
mod user_secret;
mod verify;

pub use audit_events::{AuditEvent, AuditFilter, AuditPage, AuditQuery};
pub use change::{Change, DataChange};
pub use create::{Inserted, NewRow};
pub use due::{Due, PassedDue, TooOld};
pub use export::domains_after;
pub use issuer::{RegisteredIssuer, Revocation};
pub use kek::{KekInfo, KekPage, KeyState, Reserved};
pub use list::{Page, Place};
pub use reveal::Sealed;
pub use rewrap::{DekBatch, Moved, Passed, Rewrap, StoredDek};
pub use root::{PassedKek, has_keks_of_domains, newest_keks};
pub use shred::{Destroyed, Shredding};
pub use user_secret::UserSecret;
pub use verify::StoredSecret;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use moka::sync::Cache;
use tokio::sync::Mutex;

use batch::Batch;

use crate::{
    audit::Trail,
    clock::{Clock, Timestamp},
    database::{Database, Engine},
    error::Error,
    ids::DomainId,
    query::{Context, Dialect},
};

/// The rows of the service, each change with its audit event.
#[derive(Clone)]
pub struct Store {
    database: Database,
    clock: Clock,
    trail: Trail,
    last_position: Arc<AtomicI64>,
    /// The KEKs that new data is sealed under. What is sealed under another than
    /// the stored one is not stored, so a stale entry costs a second try.
    keks: Cache<DomainId, Arc<kek::Active>>,
    /// Whose turn it is to look for a domain's KEK, and to make the first.
    kek_turns: Cache<DomainId, Arc<Mutex<()>>>,
    finds: Batch<find::Find>,
    reveals: Batch<reveal::Reveal>,
    creates: Batch<create::Create>,
    turns: reading::Turns,
}

/// A place in the order of insertion: microseconds, made unique within a replica.
#[derive(Debug, Clone, Copy)]
pub struct Position(i64);

/// The most domains whose wrapped KEK is kept; some 300 bytes each.
const MAX_KEKS: u64 = 100_000;

/// The most domains in which somebody looks for the KEK; one that is forgotten has it looked for twice.
const MAX_TURNS: u64 = 1_000;

/// Statements of a kind that run at the same time.
const LANES: usize = 1;

impl Store {
    /// The store in `database`, whose migrations must have run. Of each domain `waiting_lists` may wait.
    pub fn new(database: Database, clock: Clock, trail: Trail, waiting_lists: usize) -> Self {
        Self {
            turns: reading::Turns::new(database.lists(), waiting_lists),
            finds: Batch::start(&database, LANES, find::Find),
            reveals: Batch::start(&database, LANES, reveal::Reveal { trail: trail.clone() }),
            creates: Batch::start(&database, LANES, create::Create { trail: trail.clone() }),
            keks: Cache::new(MAX_KEKS),
            kek_turns: Cache::new(MAX_TURNS),
            last_position: Arc::new(AtomicI64::new(0)),
            database,
            clock,
            trail,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What conditions need to become SQL.
    fn context(&self) -> Context {
        let dialect = match self.database.engine() {
            Engine::Sqlite { .. } => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        };
        Context { dialect, now: self.now() }
    }

    /// A place in the order of insertion, later than every one before it.
    pub fn next_position(&self) -> Position {
        let now = self.now().as_micros();
        let advance = |last: i64| Some(now.max(last.saturating_add(1)));
        let last = self.last_position.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance);
        Position(now.max(last.unwrap_or_default().saturating_add(1)))
    }
}

/// A stored value that the service cannot have written.
fn damaged(what: &'static str) -> Error {
    Error::internal(format!("a stored {what} has a wrong form"))
}
