//! Lists that are hard to answer, and everything else.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::ConnectionTrait as _;
use serde_json::json;
use tokio::task::JoinSet;
use usersecret::{app::Seams, database::failed, error::Code};

use crate::{
    sql::{hold, pool},
    support::{Client, TestApp, eventually},
};

/// A list that looks at tags.
async fn by_tags(client: &Client) -> String {
    let list = r#"{ userSecrets(query: {filter: [{key: "tags.a", operator: EQ, value: 1}]}) { totalCount } }"#;
    let answer = client.gql(list, json!({})).await;
    format!("{} {}", answer.code(), answer.message())
}

/// How many statements wait for a lock.
async fn waiting(app: &TestApp) -> i64 {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'usersecret' AND wait_event_type = 'Lock'";
    app.database.value(waiting).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_lists_of_a_domain_stop_neither_others_nor_changes() {
    let app = TestApp::with(Seams::default(), "[limits]\nwaiting_lists = 20").await;
    let (ann, eve) = (app.user("ann"), app.caller("globex", "eve", "USER"));
    let id = ann.create("one").await;
    // Whatever looks at tags waits, as if it had very much to look at.
    let lock = hold(&app.database, "LOCK TABLE user_secret_tags IN ACCESS EXCLUSIVE MODE").await;
    let mut lists = JoinSet::new();
    for _ in 0..30 {
        let ann = ann.clone();
        lists.spawn(async move { by_tags(&ann).await });
    }
    // Six lists may be read on sixteen connections, three of them of one domain.
    eventually("the domain's lists are read", async || waiting(&app).await == 3).await;
    // A change that leaves the rows of tags alone.
    let changes = join_all((0..8).map(|n| {
        ann.update(json!({ "userSecretId": id, "expiresAt": format!("209{n}-01-01T00:00:00Z") }))
    }));
    for changed in changes.await {
        assert_eq!(changed.code(), "OK", "{}", changed.text);
    }
    let listed = eve.gql("{ userSecrets { totalCount } }", json!({})).await;
    assert_eq!(listed.code(), "OK", "{}", listed.text);
    assert_eq!(waiting(&app).await, 3);
    lock.close().await.unwrap();
    let told = lists.join_all().await;
    let refused = "RESOURCE_EXHAUSTED limits.waiting_lists: ";
    assert_eq!(told.iter().filter(|told| told.starts_with(refused)).count(), 7, "{told:?}");
    assert!(told.iter().filter(|told| *told == "OK ").count() >= 20, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_keeps_the_turn_until_the_statement_ends() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    ann.create("one").await;
    let lock = hold(&app.database, "LOCK TABLE user_secret_tags IN ACCESS EXCLUSIVE MODE").await;
    for _ in 0..8 {
        let _ = tokio::time::timeout(Duration::from_millis(100), by_tags(&ann)).await;
    }
    assert_eq!(waiting(&app).await, 3);
    lock.close().await.unwrap();
    assert_eq!(by_tags(&ann).await, "OK ");
}

#[tokio::test]
async fn a_pattern_that_cannot_be_compiled_is_the_callers() {
    let app = TestApp::start().await;
    let pool = pool(&app.config, 1).await;
    let error = pool.reader().execute_unprepared("SELECT 'a' ~ '('").await.unwrap_err();
    assert_eq!(failed(error).code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_whether_it_is_ready_are_told_what_one_saw() {
    let app = TestApp::with(Seams::default(), "[ops]\nlisten = \"\"").await;
    let count = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    let before: i64 = app.database.value(count).await;
    let ready = (0..400).map(|_| reqwest::get(format!("{}/readyz", app.url)));
    for answer in join_all(ready).await {
        assert_eq!(answer.unwrap().text().await.unwrap(), "ready\n");
    }
    // PostgreSQL counts with a delay.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seen = app.database.value::<i64>(count).await - before;
    assert!(seen < 200, "{seen} transactions");
}
