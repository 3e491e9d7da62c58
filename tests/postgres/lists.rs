//! Lists that are hard to answer, and everything else.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::ConnectionTrait as _;
use usersecret::{app::Seams, database::failed, error::Code};

use crate::{sql::pool, support::TestApp};

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
