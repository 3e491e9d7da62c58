//! What a database error means for a caller: away, or a defect.

use std::borrow::Cow;

use sea_orm::{
    DbErr, RuntimeErr, SqlErr,
    sqlx::{self, error::DatabaseError},
};

use crate::error::Error;

/// SQLSTATE classes and codes of PostgreSQL after which trying again may help:
/// connection, resources, operator, rollback; a lock that was not free.
const TRANSIENT: [&str; 5] = ["08", "40", "53", "57", "55P03"];

/// Primary result codes of SQLite after which trying again may help: busy, locked, interrupted, I/O, full, cannot open.
const TRANSIENT_SQLITE: [u8; 6] = [5, 6, 9, 10, 13, 14];

/// A statement's time was up: PostgreSQL's `query_canceled`, and SQLite's `SQLITE_INTERRUPT`.
const OUT_OF_TIME: [&str; 2] = ["57014", "9"];

/// PostgreSQL cannot compile a pattern.
const PATTERN: &str = "2201B";

/// A database error as callers may see it.
pub fn failed(error: DbErr) -> Error {
    let away = match driver(&error) {
        Some(cause) if code(cause).is_some_and(|code| code == PATTERN) => {
            return Error::malformed("A pattern of the query must be simpler.");
        }
        Some(cause) => is_transient(cause),
        None => matches!(error, DbErr::ConnectionAcquire(_)),
    };
    if away { Error::unavailable(error) } else { Error::internal(error) }
}

/// The same of one who may ask for less: a statement took longer than it may.
pub(crate) fn or_too_long(error: Error) -> Error {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
    match cause.and_then(driver).and_then(code) {
        Some(code) if OUT_OF_TIME.contains(&&*code) => Error::exhausted(
            "database.statement_timeout_ms",
            "what is asked takes longer: narrow it, or do not have it counted",
        ),
        _ => error,
    }
}

fn driver(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => Some(cause),
        _ => None,
    }
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

/// The same of an error that did not pass through the ORM.
pub(crate) fn failed_raw(error: sqlx::Error) -> Error {
    if is_transient(&error) { Error::unavailable(error) } else { Error::internal(error) }
}

/// The server itself undid the statement that `error` of [`failed_raw`] tells of, and is there still:
/// a race was lost, or it took too long.
pub(crate) fn is_rolled_back(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    let Some(sqlx::Error::Database(answer)) = cause else { return false };
    answer.code().is_some_and(|code| {
        (code.starts_with("40") && code != "40003") || code == "57014" || code == "55P03"
    })
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(answer) => is_transient_answer(answer.as_ref()),
        _ => false,
    }
}

fn is_transient_answer(answer: &dyn DatabaseError) -> bool {
    let Some(code) = answer.code() else { return false };
    match code.parse::<u32>() {
        // SQLite's codes are numbers of up to four digits, the primary one in the lowest byte.
        Ok(number) if code.len() < 5 => {
            TRANSIENT_SQLITE.iter().any(|primary| number & 0xff == u32::from(*primary))
        }
        _ => TRANSIENT.iter().any(|class| code.starts_with(class)),
    }
}

/// A unique key is taken.
pub fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
