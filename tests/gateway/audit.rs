//! The audit trail: what is recorded, and that nobody changes it unseen.

mod command;
mod page;
mod refusals;
mod sink;
mod succession;
mod tamper;

use std::{fmt::Write as _, time::Duration};

use ::entity::{audit_event, audit_writer};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, EntityTrait as _};
use serde_json::json;
use usersecret::{
    app::Seams,
    audit::{self, Heads, Report},
    clock::Clock,
    config::Config,
    database::Database,
};

use crate::support::{Answer, Client, TestApp, TestDatabase, engine, eventually, on_postgres};

/// Seals often, so that a test need not wait.
pub const QUICK: &str = "[audit]\nseal_interval_ms = 20\nbeat_interval_ms = 50\nsilence_ms = 300\n";

/// Seals nothing until it drains: to its successors it is dead.
const SILENT: &str = "[audit]\nseal_interval_ms = 3600000\n";

/// What the auditor finds, `later` than now.
pub async fn verify(config: &Config, heads: &Heads, later: Duration) -> Report {
    let owner = Database::owner(&config.database.settings().unwrap()).await.unwrap();
    let report = verify_as(&owner, heads, later).await;
    owner.close().await.unwrap();
    report
}

async fn verify_as(owner: &DatabaseConnection, heads: &Heads, later: Duration) -> Report {
    let keys = [engine().signing_key().unwrap().clone()];
    audit::verify(owner, &keys, None, heads, now() + micros(later)).await.unwrap()
}

fn now() -> i64 {
    Clock::system().now().as_micros()
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap()
}

/// Long enough that every event must be sealed.
pub const LATER: Duration = Duration::from_secs(120);

/// Every event, in the order of ids.
async fn events(database: &TestDatabase) -> Vec<audit_event::Model> {
    let connection = database.connect().await;
    let mut events = audit_event::Entity::find().all(&connection).await.unwrap();
    connection.close().await.unwrap();
    events.sort_by(|a, b| a.event_id.cmp(&b.event_id));
    events
}

async fn writers(database: &TestDatabase) -> Vec<audit_writer::Model> {
    let connection = database.connect().await;
    let writers = audit_writer::Entity::find().all(&connection).await.unwrap();
    connection.close().await.unwrap();
    writers
}

async fn count(database: &TestDatabase, table: &str) -> i64 {
    database.value(&format!("SELECT count(*) FROM {table}")).await
}

/// Reveals a secret of acme many times, in one request.
async fn reveal_many(system: &Client, id: &str, many: usize) -> Answer {
    let mut document = String::from("{");
    for n in 0..many {
        write!(
            document,
            " a{n}: userSecretData(userSecretId: \"{id}\", domainId: \"acme\") {{ version }}"
        )
        .unwrap();
    }
    system.gql(&format!("{document} }}"), json!({})).await
}

/// Keeps others from `table`, or on SQLite from writing, until the connection is let go.
async fn lock(database: &TestDatabase, table: &str) -> DatabaseConnection {
    let connection = database.connect().await;
    let statement = if on_postgres() {
        format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    } else {
        "BEGIN IMMEDIATE".to_owned()
    };
    connection.execute_unprepared(&statement).await.unwrap();
    connection
}

#[tokio::test]
async fn what_happens_is_recorded_and_sealed() {
    let app = TestApp::with(Seams::default(), QUICK).await;
    let (ann, bob) = (app.user("ann"), app.user("bob"));
    let id = ann.create("aws").await;
    ann.update(json!({ "userSecretId": id, "name": "x" })).await;
    ann.update_data(json!({ "userSecretId": id, "data": { "a": 2 } })).await;
    app.system().reveal("acme", &id, None).await;
    app.system().reveal("acme", "user-secret-000000000000", None).await;
    assert_eq!(ann.reveal("acme", &id, None).await.code(), "PERMISSION_DENIED");
    assert_eq!(bob.delete(json!({ "userSecretId": id })).await.code(), "NOT_FOUND");
    app.with_token(None).get(&id).await;
    ann.delete(json!({ "userSecretId": id })).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let admin = app.caller("acme", "root", "DOMAIN_ADMIN");
    let page = "query($a: String) { domain { auditEvents(first: 3, after: $a) {
        nodes { operation outcome userId userSecretId } pageInfo { hasNextPage endCursor } } } }";
    let (mut seen, mut after) = (Vec::new(), json!(null));
    loop {
        let answer = admin.gql(page, json!({ "a": after })).await;
        let events = answer.at("/data/domain/auditEvents");
        seen.extend(events["nodes"].as_array().unwrap().iter().map(|event| {
            format!(
                "{} {} {}",
                event["operation"].as_str().unwrap(),
                event["outcome"].as_str().unwrap(),
                event["userId"].as_str().unwrap_or("-")
            )
        }));
        after = events["pageInfo"]["endCursor"].clone();
        if events["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    seen.sort();
    assert_eq!(
        seen,
        [
            "Domain.create_key ok ann",
            "UserSecret.create ok ann",
            "UserSecret.delete NOT_FOUND bob",
            "UserSecret.delete ok ann",
            "UserSecret.get_data PERMISSION_DENIED ann",
            "UserSecret.get_data granted -",
            "UserSecret.get_data not_found -",
            "UserSecret.update ok ann",
            "UserSecret.update_data ok ann",
        ]
    );
    let (_dir, _database, config) = app.drain().await;
    let report = verify(&config, &Heads::new(), LATER).await;
    assert_eq!(report.findings, []);
    // The stranger's event has no domain, but is in the trail.
    assert_eq!((report.events, report.left), (10, 0));
    let again = verify(&config, &report.heads, LATER).await;
    assert_eq!(again.findings, []);
}
