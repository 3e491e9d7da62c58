//! An import while PostgreSQL crashes: every line is stored once, also where the answer to its commit was lost.

use std::time::Duration;

use serde_json::{Value, json};
use usersecret::{app::Seams, audit::Heads, transfer::Tally};

use crate::{
    outage::{QUICK, Stop, verify},
    sql::at_rest,
    support::{TestApp, TestDatabase, eventually, postgres},
};

const CLUSTER: &str = "import";

/// Lines of which every second one has an id.
fn lines(count: usize) -> Vec<Value> {
    let line = |n: usize| {
        let id = n.is_multiple_of(2).then(|| format!("user-secret-{n:012x}"));
        json!({
            "user_secret_id": id, "name": format!("n{n}"), "data": { "n": n }, "tags": { "n": n },
            "user_id": "ann", "domain_id": "acme",
        })
    };
    (0..count).map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_loses_no_line_and_doubles_none() {
    const LINES: usize = 6_000;
    let _stop = Stop(CLUSTER);
    let database = TestDatabase::on_cluster(CLUSTER).await;
    let app = TestApp::on(tempfile::tempdir().unwrap(), database, Seams::default(), QUICK).await;
    let stored = "SELECT count(*) FROM user_secrets";
    let crash = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            tokio::task::block_in_place(|| postgres("restart", CLUSTER));
        }
        app.database.value::<i64>(stored).await
    };
    let lines = lines(LINES);
    let (tally, before) = tokio::join!(app.import(&lines), crash);
    assert!(before < i64::try_from(LINES).unwrap(), "it was over before the crashes were");
    assert_eq!(tally, Tally { stored: LINES.try_into().unwrap(), ..Tally::default() });
    for table in ["user_secrets", "user_secret_versions", "user_secret_tags"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(app.database.value::<i64>(&count).await, i64::try_from(LINES).unwrap());
    }
    let names = "SELECT count(DISTINCT name) FROM user_secrets";
    assert_eq!(app.database.value::<i64>(names).await, i64::try_from(LINES).unwrap());
    let events = "SELECT count(*) FROM audit_events WHERE operation = 'UserSecret.import' AND outcome = 'ok'";
    assert_eq!(app.database.value::<i64>(events).await, i64::try_from(LINES).unwrap());
    at_rest(&app).await;
    let (_dir, _, config) = app.drain().await;
    let report = verify(&config, &Heads::new()).await;
    assert_eq!((report.findings, report.left), (vec![], 0));
}

/// Foreign keys are looked up by plans that a session makes once, which on a new database is before there are rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_database_is_read_by_its_indexes() {
    const LINES: i64 = 3_000;
    let app = TestApp::start().await;
    app.import_all(&lines(LINES.try_into().unwrap())).await;
    let sum = |column: &str| {
        format!(
            "SELECT coalesce(sum({column}), 0)::bigint FROM pg_stat_user_tables WHERE relname LIKE 'user_secret%'"
        )
    };
    eventually("the statistics are told", async || {
        app.database.value::<i64>(&sum("n_tup_ins")).await == 3 * LINES
    })
    .await;
    let read: i64 = app.database.value(&sum("seq_tup_read")).await;
    assert!(read < LINES, "{read} rows were read one after the other");
}
