//! The domains in which something waits to be done with keys, oldest first: what the service asks across domains.

use sea_orm::{ConnectionTrait as _, DbBackend, QueryResult, Statement};

use super::{Store, damaged};
use crate::{database::failed, error::Result, ids::DomainId};

/// How many domains are read at a time.
const PAGE: usize = 100;

/// What SQLite is asked; PostgreSQL has it as a function.
const SQLITE: &str = "SELECT domain_id, min(due_at) FROM (
        SELECT * FROM (SELECT domain_id, started_at AS due_at FROM rewraps
            WHERE finished_at IS NULL AND held_until < CAST(unixepoch('subsec') * 1000000 AS INTEGER)
                AND (started_at, domain_id) > (?3, ?4)
            ORDER BY started_at, domain_id LIMIT ?5)
        UNION ALL
        SELECT * FROM (SELECT domain_id, created_at + ?2 FROM keks
            WHERE retired_at IS NULL AND destroyed_at IS NULL AND created_at < ?1
                AND (created_at, domain_id) > (?3 - ?2, ?4)
            ORDER BY created_at, domain_id LIMIT ?5)
    ) GROUP BY domain_id ORDER BY 2, 1 LIMIT ?5";

/// Which active KEKs are too old, in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct TooOld {
    /// Those that were made before this moment.
    pub before: i64,
    /// That are older than this, therefore.
    pub age: i64,
}

/// Where in the order of what is due the last page ended.
#[derive(Debug, Clone, Default)]
pub struct PassedDue(i64, String);

/// Some domains in which something is due.
#[derive(Debug, Default)]
pub struct Due {
    /// Them, oldest first.
    pub domains: Vec<DomainId>,
    /// Where they end, unless there are no more.
    pub more: Option<PassedDue>,
}

impl Store {
    /// The next domains behind `passed` in which a rewrap waits, or whose active KEK is too old.
    pub async fn domains_due(&self, old: Option<TooOld>, passed: &PassedDue) -> Result<Due> {
        let reader = self.database.reader();
        let backend = reader.get_database_backend();
        let sql = match backend {
            DbBackend::Postgres => "SELECT * FROM usersecret_due($1, $2, $3, $4, $5)",
            _ => SQLITE,
        };
        // Nothing was made before the beginning.
        let old = old.unwrap_or(TooOld { before: 0, age: 0 });
        let most = i32::try_from(PAGE).unwrap_or(i32::MAX);
        let values = [
            old.before.into(),
            old.age.into(),
            passed.0.into(),
            passed.1.as_str().into(),
            most.into(),
        ];
        let question = Statement::from_sql_and_values(backend, sql, values);
        let rows = reader.query_all_raw(question).await.map_err(failed)?;
        let places: Vec<PassedDue> = rows.iter().map(place).collect::<Result<_>>()?;
        let parse = |place: &PassedDue| DomainId::parse(&place.1);
        let domains: Option<Vec<DomainId>> = places.iter().map(parse).collect();
        Ok(Due {
            domains: domains.ok_or_else(|| damaged("domain id"))?,
            more: places.last().filter(|_| places.len() == PAGE).cloned(),
        })
    }
}

fn place(row: &QueryResult) -> Result<PassedDue> {
    let column = |error| failed(error);
    Ok(PassedDue(
        row.try_get_by_index(1).map_err(column)?,
        row.try_get_by_index(0).map_err(column)?,
    ))
}
