//! A lock that does not go away: who needs it is told so in time, and all others go on.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use usersecret::{app::Seams, audit::Heads};

use crate::{
    sql::{at_rest, hold},
    support::{Answer, Client, TestApp, TestDatabase, eventually},
};

const SETTINGS: &str = "[audit]\nseal_interval_ms = 20\nbeat_interval_ms = 50\nsilence_ms = 300\n";
const TIMEOUTS: &str = "statement_timeout_ms = 300\nacquire_timeout_ms = 300\n";

/// Well beyond what the settings allow a request.
const BOUND: Duration = Duration::from_secs(5);

async fn start() -> (TestApp, Client, String) {
    let mut database = TestDatabase::on_cluster("").await;
    database.toml.push_str(TIMEOUTS);
    let dir = tempfile::tempdir().unwrap();
    let app = TestApp::on(dir, database, Seams::default(), SETTINGS).await;
    let ann = app.user("ann");
    let id = ann.create("kept").await;
    (app, ann, id)
}

/// One of each verb, at the same time; the codes in the order of `VERBS`.
async fn all(app: &TestApp, ann: &Client, id: &str) -> Vec<String> {
    let mut asking = JoinSet::new();
    for verb in 0..5 {
        let (ann, system, id) = (ann.clone(), app.system(), id.to_owned());
        asking.spawn(async move {
            let answer: Answer = match verb {
                0 => ann.get(&id).await,
                1 => ann.gql("{ userSecrets { totalCount } }", json!({})).await,
                2 => system.reveal("acme", &id, None).await,
                3 => ann.create_with(json!({ "name": "x", "data": { "a": 1 } })).await,
                _ => ann.update(json!({ "userSecretId": id, "tags": { "a": 1 } })).await,
            };
            (verb, answer.code().to_owned())
        });
    }
    let mut codes = asking.join_all().await;
    codes.sort();
    codes.into_iter().map(|(_, code)| code).collect()
}

const OK: &str = "OK";
const AWAY: &str = "UNAVAILABLE";
/// A list that waits for a lock to the end of its time is not told from one that is hard to answer.
const LONG: &str = "RESOURCE_EXHAUSTED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_needs_a_locked_table_is_told_in_time_and_others_go_on() {
    let (app, ann, id) = start().await;
    for (table, expected) in [
        ("user_secrets", [AWAY, LONG, AWAY, AWAY, AWAY]),
        ("audit_events", [OK, OK, AWAY, AWAY, AWAY]),
        ("keks", [OK, OK, AWAY, AWAY, OK]),
    ] {
        let lock =
            hold(&app.database, &format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await;
        for _ in 0..3 {
            let begun = Instant::now();
            assert_eq!(all(&app, &ann, &id).await, expected, "{table} is locked");
            assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
        }
        lock.close().await.unwrap();
        eventually("all is well again", async || all(&app, &ann, &id).await == [OK; 5]).await;
        at_rest(&app).await;
    }
    // The doubts are settled, and nothing is left unsealed.
    tokio::time::sleep(Duration::from_millis(800)).await;
    let (_dir, _database, config) = app.drain().await;
    let report = crate::outage::verify(&config, &Heads::new()).await;
    assert_eq!((report.findings, report.left), (vec![], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_row_is_in_nobody_elses_way() {
    let (app, ann, id) = start().await;
    let other = ann.create("other").await;
    let row = format!("SELECT FROM user_secrets WHERE user_secret_id = '{id}' FOR UPDATE");
    let lock = hold(&app.database, &row).await;
    let change = |id: &str| json!({ "userSecretId": id, "tags": { "a": 1 } });
    let mut waiting = JoinSet::new();
    for _ in 0..3 {
        let (ann, change) = (ann.clone(), change(&id));
        waiting.spawn(async move { ann.update(change).await.code().to_owned() });
    }
    for _ in 0..5 {
        assert_eq!(ann.update(change(&other)).await.code(), OK);
        assert_eq!(all(&app, &ann, &other).await, [OK; 5]);
    }
    assert_eq!(waiting.join_all().await, [AWAY; 3]);
    lock.close().await.unwrap();
    eventually("the row is free", async || ann.update(change(&id)).await.code() == OK).await;
    at_rest(&app).await;
}
