//! Statistics: the database delivers values, and a thread of its own makes of them what is asked.

use std::{sync::Arc, thread, time::Duration};

use ::entity::user_secret;
use futures_util::StreamExt as _;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, QueryFilter as _, QueryOrder as _, QueryResult,
    QuerySelect as _, QueryTrait as _, Select, Statement, StreamTrait as _,
    sea_query::{Alias, BinOper, Expr, ExprTrait as _, SimpleExpr},
};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{Store, damaged, user_secret::select_in};
use crate::{
    auth::Scope,
    clock::Timestamp,
    database::{Admits, Planning, failed},
    error::{Error, Result},
    query::{self, Dialect, Field, FieldKind},
    statistics::{Column, Datum, Meter, Object, Outcome, Source, Statistics},
};

/// How long a calculation may take, its reading included. It holds some 32 MiB at most, and a turn to read.
const MOST: Duration = Duration::from_secs(3);

/// The most rows that are read for one.
const MAX_ROWS: u64 = 1_000_000;

/// How many rows go to the calculation at a time, and how many of these wait for it.
const BATCH: usize = 500;
const WAITING: usize = 4;

type Row = (Object, u64);

impl Store {
    /// What `statistics` ask of the secrets of `scope`.
    pub async fn statistics(&self, scope: &Scope, statistics: Statistics) -> Result<Outcome> {
        let context = self.context();
        let source = statistics.source();
        let found = select_in(scope).filter(query::condition(&statistics.search, None, context));
        let rows = select(found, &source, context.dialect);
        self.read(scope, Admits::Living, Planning::Search, move |snapshot| {
            Box::pin(async move {
                let statement = rows.build(ConnectionTrait::get_database_backend(snapshot));
                let (rows, outcome) = calculate(statistics)?;
                deliver(snapshot, statement, &source, rows).await;
                outcome.await.map_err(Error::internal)?
            })
        })
        .await
    }
}

type Batches = mpsc::Sender<Result<Vec<Row>>>;

/// Starts a calculation, which takes rows until there come no more.
fn calculate(statistics: Statistics) -> Result<(Batches, oneshot::Receiver<Result<Outcome>>)> {
    let (send, mut receive) = mpsc::channel::<Result<Vec<Row>>>(WAITING);
    let (tell, outcome) = oneshot::channel();
    let work = move || {
        let batches = std::iter::from_fn(|| receive.blocking_recv());
        let rows = batches.flat_map(|batch| match batch {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        // Whoever asked may be gone.
        let _ = tell.send(statistics.run(rows, &Meter::start(MOST)));
    };
    let name = "statistics".to_owned();
    thread::Builder::new().name(name).spawn(work).map_err(Error::internal)?;
    Ok((send, outcome))
}

/// Sends what `statement` finds, until it is not wanted any more.
async fn deliver(
    snapshot: &DatabaseTransaction,
    statement: Statement,
    source: &Source,
    rows: Batches,
) {
    let reader = Reader::of(source);
    let read = async {
        let found = snapshot.stream_raw(statement).await.map_err(failed)?;
        let mut batches = found.chunks(BATCH);
        let mut count = 0;
        while let Some(batch) = batches.next().await {
            count += u64::try_from(batch.len()).unwrap_or(u64::MAX);
            if count > MAX_ROWS {
                let rule = format!("more than {MAX_ROWS} rows are read: narrow the filter");
                return Err(Error::exhausted("statistics.rows", &rule));
            }
            let read = batch.into_iter().map(|row| reader.read(&row.map_err(failed)?));
            if rows.send(Ok(read.collect::<Result<_>>()?)).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    if let Err(error) = read.await {
        let _ = rows.send(Err(error)).await;
    }
}

/// The columns of `source`, of the secrets that `found` finds, and how often they are there.
fn select(
    found: Select<user_secret::Entity>,
    source: &Source,
    dialect: Dialect,
) -> Select<user_secret::Entity> {
    let mut rows = found.select_only();
    for (index, column) in source.columns.iter().enumerate() {
        let name = format!("value_{index}");
        rows = rows.expr_as(column.expression(dialect), name.as_str());
        if source.merged {
            rows = rows.group_by(Expr::col(Alias::new(&name)));
        }
    }
    if source.merged {
        rows.expr_as(Expr::cust("COUNT(*)"), TIMES)
    } else {
        rows.order_by_asc(user_secret::Column::Position)
            .order_by_asc(user_secret::Column::UserSecretId)
            .expr_as(Expr::cust("CAST(1 AS BIGINT)"), TIMES)
    }
    .limit(Ord::min(source.limit.unwrap_or(u64::MAX), MAX_ROWS + 1))
}

/// How often a row is there.
const TIMES: &str = "times";

/// A millisecond and a day, in microseconds.
const MILLISECOND: i64 = 1_000;
const DAY: i64 = 86_400_000_000;

impl Column {
    fn expression(&self, dialect: Dialect) -> SimpleExpr {
        let column = |name: &str| Expr::col((Alias::new("user_secrets"), Alias::new(name)));
        let tags = || column("tags");
        // Down to a whole one, before 1970 as well.
        let whole = |field: Field, unit: i64| {
            let rest = column(field.key()).modulo(unit).add(unit).modulo(unit);
            column(field.key()).sub(rest)
        };
        match self {
            Self::Field(field) if field.kind() == FieldKind::Time => whole(*field, MILLISECOND),
            Self::Field(field) => column(field.key()),
            Self::Day(field) => whole(*field, DAY),
            Self::Tag(name) if is_plain(name) => {
                let name = match dialect {
                    Dialect::Sqlite => format!("$.\"{name}\""),
                    Dialect::Postgres => name.clone(),
                };
                tags().binary(BinOper::Custom("->"), name).cast_as(Alias::new("text"))
            }
            Self::Tags | Self::Tag(_) => tags().cast_as(Alias::new("text")),
        }
    }
}

/// Reads rows.
struct Reader<'s> {
    columns: Vec<(Arc<str>, &'s Column)>,
    tags: Arc<str>,
}

impl<'s> Reader<'s> {
    fn of(source: &'s Source) -> Self {
        let columns = source.columns.iter().map(|column| (column.name().into(), column));
        Self { columns: columns.collect(), tags: "tags".into() }
    }

    fn read(&self, row: &QueryResult) -> Result<Row> {
        let (mut object, mut tags) = (Object::new(), None);
        for (index, (name, column)) in self.columns.iter().enumerate() {
            let text = || row.try_get_by_index::<Option<String>>(index).map_err(failed);
            let json = |text: &str| {
                let value = serde_json::from_str::<Value>(text);
                value.map(Datum::from).map_err(|_| damaged("set of tags"))
            };
            match column {
                Column::Field(field) | Column::Day(field) => {
                    let value = match field.kind() {
                        FieldKind::Text => text()?.map(Datum::Text),
                        FieldKind::Integer => {
                            let number = row.try_get_by_index::<Option<i32>>(index);
                            number.map_err(failed)?.map(|number| Datum::Number(number.into()))
                        }
                        FieldKind::Time => {
                            let micros = row.try_get_by_index::<Option<i64>>(index);
                            let moment = micros.map_err(failed)?.map(Timestamp::from_micros);
                            moment.map(Datum::Time)
                        }
                    };
                    object.insert(Arc::clone(name), value.unwrap_or_default());
                }
                Column::Tag(tag) if is_plain(tag) => {
                    let tags = tags.get_or_insert_with(Object::new);
                    if let Some(text) = text()? {
                        tags.insert(Arc::clone(name), json(&text)?);
                    }
                }
                Column::Tags | Column::Tag(_) => match json(&text()?.unwrap_or_default())? {
                    Datum::Object(all) => tags.get_or_insert_with(Object::new).extend(all),
                    _ => return Err(damaged("set of tags")),
                },
            }
        }
        if let Some(tags) = tags {
            object.insert(Arc::clone(&self.tags), Datum::Object(tags));
        }
        let times = row.try_get_by_index::<i64>(self.columns.len()).map_err(failed)?;
        Ok((object, u64::try_from(times).unwrap_or_default()))
    }
}

/// Whether a tag's name needs no quoting in a path of either database.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
