//! Everything in a domain is moved to another key, beside what the parts of that take one by one.

use std::time::{Duration, Instant};

use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database as Orm, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait as _,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Ground, env};
use crate::{
    Failure,
    dataset::{body, data},
    floor::hsm,
    load::{Connection, post},
    number::{float, float_len},
    service::Service,
    subject::Database,
};

const NAME: &str = "rewrap";
const ROWS: usize = 50_000;
/// How many rows the service moves in a transaction.
const BATCH: usize = 256;
const ROUNDS: usize = 20;

const ROTATE: &str = "mutation { rotateDomainKey(input: {}) { domain { domainId } } }";
const LOOK: &str = "{ domain { rewrap { done startedAt finishedAt } } }";

/// How fast it was, and its parts, in microseconds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Rewrap {
    pub(crate) database: Database,
    pub(crate) rows: u64,
    pub(crate) per_second: f64,
    /// `C_Decrypt` and `C_Encrypt` of one session through the module.
    pub(crate) unwrap_us: f64,
    pub(crate) wrap_us: f64,
    pub(crate) update_us: f64,
}

impl Rewrap {
    /// Rows a second that one after the other would be: 1 ÷ (unwrap + wrap + update).
    pub(crate) fn floor(&self) -> f64 {
        1e6 / (self.unwrap_us + self.wrap_us + self.update_us)
    }
}

pub(super) async fn measure(ground: &Ground<'_>) -> Result<Vec<Rewrap>, Failure> {
    let options = ground.options;
    let zero = || "0".to_owned();
    let settings =
        [("KEYS__REWRAP_PER_SECOND", zero()), ("KEYS__MIN_ROTATION_INTERVAL_SECONDS", zero())];
    let settings = env(&settings);
    let service = ground.start(NAME, &options.common.module, settings).await?;
    let line = |number: usize| {
        let line = json!({ "user_secret_id": format!("user-secret-{number:012x}"), "domain_id": "acme",
            "user_id": "ann", "name": "n", "data": data() });
        format!("{line}\n")
    };
    service.import(&(0..ROWS).map(line).collect::<String>())?;
    let admin = service.minter()?.mint("acme", Some("root"), &json!({ "role": "DOMAIN_ADMIN" }))?;
    ground.settle(NAME)?;
    let mut seen = Vec::new();
    for _ in 0..options.rounds {
        let unwrap_us = call(ground, hsm::Call::Decrypt).await?;
        let wrap_us = call(ground, hsm::Call::Encrypt).await?;
        let update_us = update(ground, &service).await?;
        let begun = Instant::now();
        ask(&service, &admin, ROTATE).await?;
        let rows = loop {
            let said = ask(&service, &admin, LOOK).await?;
            let rewrap = said.pointer("/data/domain/rewrap").cloned().unwrap_or_default();
            if !rewrap.pointer("/finishedAt").unwrap_or(&Value::Null).is_null() {
                break rewrap.pointer("/done").and_then(Value::as_u64).unwrap_or(0);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let per_second = float(rows) / begun.elapsed().as_secs_f64();
        let database = ground.database();
        seen.push(Rewrap { database, rows, per_second, unwrap_us, wrap_us, update_us });
    }
    Ok(seen)
}

/// Microseconds of one session for a call.
async fn call(ground: &Ground<'_>, call: hsm::Call) -> Result<f64, Failure> {
    let options = ground.options;
    let window = Duration::from_secs(options.seconds);
    let dir = options.common.out.join("hsm-floor");
    let token = hsm::Token::own(&options.common.module);
    let floor = hsm::measure(&token, call, &dir, window, &[]).await?;
    Ok(1e6 / floor.per_second)
}

async fn ask(service: &Service, token: &str, query: &str) -> Result<Value, Failure> {
    let mut connection = Connection::open(service.address).await?;
    let answer = connection.exchange(&post(token, &body(query, &json!({})))).await?;
    answer.check()?;
    Ok(serde_json::from_str(answer.body)?)
}

/// What an update of one such row takes, in transactions of as many as the service has, in microseconds.
async fn update(ground: &Ground<'_>, service: &Service) -> Result<f64, Failure> {
    let url =
        ground.url(NAME).unwrap_or_else(|| format!("sqlite://{}", service.database().display()));
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).map_sqlx_sqlite_opts(|options| {
        options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .pragma("secure_delete", "ON")
    });
    let connection = Orm::connect(options).await?;
    let backend = connection.get_database_backend();
    let key = if ground.cluster.is_some() { "$1" } else { "?" };
    let update = format!(
        "UPDATE user_secret_versions SET kek_version = kek_version, dek = dek
        WHERE domain_id = 'acme' AND user_secret_id = {key} AND version = 1"
    );
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let begun = Instant::now();
    for round in 0..ROUNDS {
        let transaction = connection.begin_with_options(immediate).await?;
        for number in 0..BATCH {
            let id = format!("user-secret-{:012x}", round * BATCH + number);
            let statement = Statement::from_sql_and_values(backend, &update, [id.into()]);
            transaction.execute_raw(statement).await?;
        }
        transaction.commit().await?;
    }
    let micros = begun.elapsed().as_secs_f64() * 1e6 / float_len(ROUNDS * BATCH);
    connection.close().await?;
    Ok(micros)
}
