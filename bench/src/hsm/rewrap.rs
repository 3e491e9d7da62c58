//! Everything in a domain is moved to another key, beside what the parts of that take one by one.

use std::time::{Duration, Instant};

use sea_orm::sqlx::{
    self, ConnectOptions as _, Connection as _,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
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
};

const ROWS: usize = 50_000;
/// How many rows the service moves in a transaction.
const BATCH: usize = 256;
const ROUNDS: usize = 20;

const ROTATE: &str = "mutation { rotateDomainKey(input: {}) { domain { domainId } } }";
const LOOK: &str = "{ domain { rewrap { done startedAt finishedAt } } }";

/// How fast it was, and its parts, in microseconds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Rewrap {
    pub(crate) rows: u64,
    pub(crate) per_second: f64,
    pub(crate) call_us: f64,
    pub(crate) update_us: f64,
}

pub(super) async fn measure(ground: &Ground<'_>) -> Result<Vec<Rewrap>, Failure> {
    let options = ground.options;
    let settings = env(&[("KEYS__REWRAP_PER_SECOND", "0".to_owned())]);
    let service = ground.start("rewrap", &options.common.module, settings).await?;
    let line = |number: usize| {
        let line = json!({ "user_secret_id": format!("user-secret-{number:012x}"), "domain_id": "acme",
            "user_id": "ann", "name": "n", "data": data() });
        format!("{line}\n")
    };
    service.import(&(0..ROWS).map(line).collect::<String>())?;
    let admin = service.minter()?.mint("acme", Some("root"), &json!({ "role": "DOMAIN_ADMIN" }))?;
    let window = Duration::from_secs(options.seconds);
    let dir = options.common.out.join("hsm-floor");
    let mut seen = Vec::new();
    for _ in 0..options.rounds {
        let floor = hsm::measure(&options.common.module, &dir, window, &[]).await?;
        let update_us = update(&service).await?;
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
        seen.push(Rewrap { rows, per_second, call_us: 1e6 / floor.per_second, update_us });
    }
    Ok(seen)
}

async fn ask(service: &Service, token: &str, query: &str) -> Result<Value, Failure> {
    let mut connection = Connection::open(service.address).await?;
    let answer = connection.exchange(&post(token, &body(query, &json!({})))).await?;
    answer.check()?;
    Ok(serde_json::from_str(answer.body)?)
}

/// What an update of one such row takes, in transactions of as many as the service has, in microseconds.
async fn update(service: &Service) -> Result<f64, Failure> {
    let mut connection = SqliteConnectOptions::new()
        .filename(service.database())
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10))
        .pragma("secure_delete", "ON")
        .disable_statement_logging()
        .connect()
        .await?;
    let begun = Instant::now();
    for round in 0..ROUNDS {
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await?;
        for number in 0..BATCH {
            sqlx::query(
                "UPDATE user_secret_versions SET kek_version = kek_version, dek = dek
                WHERE domain_id = 'acme' AND user_secret_id = ? AND version = 1",
            )
            .bind(format!("user-secret-{:012x}", round * BATCH + number))
            .execute(&mut connection)
            .await?;
        }
        sqlx::raw_sql("COMMIT").execute(&mut connection).await?;
    }
    let micros = begun.elapsed().as_secs_f64() * 1e6 / float_len(ROUNDS * BATCH);
    connection.close().await?;
    Ok(micros)
}
