//! Queries of lists: whatever is let through compiles for both databases, with its values bound,
//! and SQLite runs it.

#![no_main]

mod drawn;

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use migration::{Migrator, MigratorTrait as _};
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseBackend, DatabaseConnection, Statement,
    sea_query::{Alias, Expr, PostgresQueryBuilder, Query, SqliteQueryBuilder},
};
use tokio::runtime::Runtime;
use usersecret::{
    clock::Timestamp,
    query::{Context, Dialect, Filter, ListQuery, Search, Sort, Window, condition, order, words},
};

#[derive(Debug, Arbitrary)]
struct Drawn {
    all: Vec<drawn::Condition>,
    any: Vec<drawn::Condition>,
    keyword: String,
    sort: Vec<(drawn::Key, bool)>,
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());

/// An empty database, of the service's own schema.
static DATABASE: LazyLock<DatabaseConnection> = LazyLock::new(|| {
    RUNTIME.block_on(async {
        let mut options = ConnectOptions::new("sqlite::memory:");
        options.max_connections(1).sqlx_logging(false);
        options.map_sqlx_sqlite_opts(|options| options.with_regexp());
        let database = Database::connect(options).await.unwrap();
        Migrator::up(&database, None).await.unwrap();
        database
    })
});

fuzz_target!(|drawn: Drawn| {
    let Ok(filter) = Filter::check(drawn::conditions(drawn.all), drawn::conditions(drawn.any)) else {
        return;
    };
    let Ok(keyword) = words(&drawn.keyword) else { return };
    let sort = drawn.sort.into_iter().map(|(key, desc)| (key.0, desc)).collect();
    let Ok(sort) = Sort::parse(sort) else { return };
    let query = ListQuery {
        search: Search { equal: Vec::new(), filter, keyword },
        sort,
        window: Window::Numbered { start: 1, limit: 20 },
        with_total: false,
        with_cursors: false,
    };
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        let context = Context { dialect, now: Timestamp::from_micros(1_710_000_000_000_000) };
        let mut select = Query::select();
        select
            .expr(Expr::val(1))
            .from(Alias::new("user_secrets"))
            .cond_where(condition(&query.search, None, context));
        for (expression, order, nulls) in order(&query, None, false) {
            match nulls {
                Some(nulls) => select.order_by_expr_with_nulls(expression, order, nulls),
                None => select.order_by_expr(expression, order),
            };
        }
        let (sql, values) = match dialect {
            Dialect::Sqlite => select.build(SqliteQueryBuilder),
            Dialect::Postgres => select.build(PostgresQueryBuilder),
        };
        // What PostgreSQL can bind.
        assert!(values.0.len() <= usize::from(u16::MAX), "{} values", values.0.len());
        if dialect == Dialect::Sqlite {
            let statement = Statement::from_sql_and_values(DatabaseBackend::Sqlite, sql, values);
            RUNTIME.block_on(DATABASE.query_all_raw(statement)).unwrap();
        }
    }
});
