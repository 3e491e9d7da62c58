//! Who changes the roots that wrap every domain's keys: one command at a time, from whatever machine.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, Statement, TransactionTrait as _};

use super::{DatabaseSettings, failed, transaction::is_true};
use crate::error::{Error, Result};

/// The advisory lock that says so on PostgreSQL.
const LOCK: i64 = 0x7573_6572_726f_6f74;

/// A machine that is gone without a word is missed within half a minute, not after the two hours of a TCP connection.
const MISS: &str = "SET LOCAL tcp_keepalives_idle = 10; SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 3";

/// How often a lock that somebody else has is tried.
const LOOK: Duration = Duration::from_millis(100);

/// The sole right to change the roots of a database, until it is dropped, or the process or its connection is gone.
pub struct RootLock(Holder);

enum Holder {
    /// A file beside the database of SQLite. The database itself must not be opened twice: closing one of both would undo SQLite's own locks.
    File(File),
    /// A transaction, on PostgreSQL: no pool gives back its connection, and no lock of a session lies on one that was given back.
    Transaction(DatabaseTransaction),
}

impl RootLock {
    /// Takes it as the owner of the tables. Somebody else's end is waited for as a connection is: who was just killed is not quite gone.
    pub async fn take(settings: &DatabaseSettings) -> Result<Self> {
        let until = Instant::now() + settings.acquire_timeout;
        let holder = Holder::open(settings).await?;
        while !holder.try_lock().await? {
            if Instant::now() >= until {
                return Err(Error::failed_precondition(
                    "Another `usersecret hsm rotate-root`, `destroy-root` or `restore` is under way on this database.",
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(Self(holder))
    }

    /// Fails when it was lost with its connection: somebody else may have it by now.
    pub async fn check(&self) -> Result<()> {
        match &self.0 {
            Holder::File(_) => Ok(()),
            Holder::Transaction(transaction) => {
                let still = transaction.execute_unprepared("SELECT 1").await;
                still.map(|_| ()).map_err(|error| {
                    Error::unavailable(format!(
                        "the lock on the roots was lost, and others may change them: {error}; say it again"
                    ))
                })
            }
        }
    }

    /// Gives it back at once; without this the database has to notice that the connection is gone.
    pub async fn release(self) {
        if let Holder::Transaction(transaction) = self.0 {
            let _ = transaction.rollback().await;
        }
    }
}

impl Holder {
    async fn open(settings: &DatabaseSettings) -> Result<Self> {
        if let Some(database) = settings.sqlite_file()? {
            let named = |path: &Path| {
                let path = path.display().to_string();
                move |error| Error::internal(format!("{path}: {error}"))
            };
            // Whatever name it goes by.
            let mut path =
                fs::canonicalize(&database).map_err(named(database.as_ref()))?.into_os_string();
            path.push("-roots");
            let path = PathBuf::from(path);
            let file = File::options().write(true).create(true).truncate(false).open(&path);
            return Ok(Self::File(file.map_err(named(&path))?));
        }
        let owner = settings.patient().open_existing(settings.owner()?, 1).await?;
        let transaction = owner.begin().await.map_err(failed)?;
        transaction.execute_unprepared(MISS).await.map_err(failed)?;
        Ok(Self::Transaction(transaction))
    }

    async fn try_lock(&self) -> Result<bool> {
        match self {
            Self::File(file) => match file.try_lock() {
                Ok(()) => Ok(true),
                Err(TryLockError::WouldBlock) => Ok(false),
                Err(TryLockError::Error(error)) => Err(Error::internal(error)),
            },
            Self::Transaction(transaction) => {
                let question = Statement::from_sql_and_values(
                    transaction.get_database_backend(),
                    "SELECT pg_try_advisory_xact_lock($1)",
                    [LOCK.into()],
                );
                is_true(transaction, question).await
            }
        }
    }
}
