//! Requests that are dropped at any moment leave their connection clean.

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::json;
use tokio::task::JoinSet;
use usersecret::ids::DomainId;

use crate::{
    sql::{at_rest, domain, pool, value},
    support::TestApp,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_request_leaves_no_transaction_open() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let id = ann.create("kept").await;
    let list = json!({ "query": "{ userSecrets { nodes { name } totalCount } }" });
    let data = json!({ "query": "query($i: ID!) { userSecretData(userSecretId: $i, domainId: \"acme\") { data } }",
        "variables": { "i": id } });
    let create = json!({ "query": "mutation($i: CreateUserSecretInput!) { createUserSecret(input: $i) { userSecret { id } } }",
        "variables": { "i": { "name": "x", "data": { "a": 1 }, "idempotencyKey": "k" } } });
    let update = json!({ "query": "mutation($i: UpdateUserSecretInput!) { updateUserSecret(input: $i) { userSecret { id } } }",
        "variables": { "i": { "userSecretId": id, "name": "kept still" } } });
    let mut dropped = JoinSet::new();
    for n in 0..120_u64 {
        let body = [&list, &data, &create, &update][usize::try_from(n % 4).unwrap()].clone();
        let caller = if n % 4 == 1 { app.system() } else { ann.clone() };
        dropped.spawn(async move {
            let request = caller.request().json(&body).send();
            let _ = tokio::time::timeout(Duration::from_micros(500 + n * 150), request).await;
        });
        if n % 8 == 7 {
            while dropped.join_next().await.is_some() {}
        }
    }
    at_rest(&app).await;
    assert_eq!(ann.get(&id).await.at("/data/userSecret/name"), "kept still");
    let halves = "SELECT count(*) FROM user_secrets s WHERE NOT EXISTS (SELECT FROM user_secret_versions v
        WHERE v.domain_id = s.domain_id AND v.user_secret_id = s.user_secret_id AND v.version = s.version)";
    assert_eq!(app.database.value::<i64>(halves).await, 0);
    let twice = "SELECT count(*) FROM user_secrets WHERE idempotency_key = 'k'";
    assert!(app.database.value::<i64>(twice).await < 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_read_takes_no_domain_back_to_the_pool() {
    const MOST: u32 = 5;
    let app = TestApp::start().await;
    app.user("ann").create("a").await;
    let pool = pool(&app.config, MOST).await;
    let acme = DomainId::parse("acme").unwrap();
    let mut reads = JoinSet::new();
    for n in 0..300_u64 {
        let (used, acme) = (pool.clone(), acme.clone());
        reads.spawn(async move {
            let read = async {
                let transaction = used.begin_read(&acme).await.unwrap();
                assert_eq!(domain(&transaction).await, "acme");
                let _ = transaction.execute_unprepared("SELECT pg_sleep(0.002)").await;
                if n % 3 == 0 {
                    let _ = transaction.execute_unprepared("SELECT 1/0").await;
                }
                std::future::pending::<()>().await;
            };
            let _ = tokio::time::timeout(Duration::from_micros(n * 100), read).await;
        });
        if n % 20 == 19 {
            while let Some(read) = reads.join_next().await {
                read.unwrap();
            }
            for _ in 0..MOST * 2 {
                let pool = pool.clone();
                reads.spawn(async move {
                    // Held for a moment, so that every connection is looked at.
                    let look = "SELECT coalesce(current_setting('usersecret.domain', true), '') FROM pg_sleep(0.001)";
                    assert_eq!(value::<String>(pool.reader(), look).await, "");
                    assert_eq!(value::<i64>(pool.reader(), "SELECT count(*) FROM user_secrets").await, 0);
                });
            }
            while let Some(read) = reads.join_next().await {
                read.unwrap();
            }
        }
    }
    at_rest(&app).await;
}

/// A BEGIN whose answer nobody waits for must not be the next one's transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_after_a_dropped_begin_is_there() {
    let app = TestApp::start().await;
    let pool = pool(&app.config, 1).await;
    let acme = DomainId::parse("acme").unwrap();
    for n in 0..400_u64 {
        let _ = tokio::time::timeout(Duration::from_micros(n), pool.begin_read(&acme)).await;
        let row = format!(
            "INSERT INTO audit_writers (writer, started_at, seen_at) VALUES ('w{n}', 1, 1)"
        );
        pool.reader().execute_unprepared(&row).await.unwrap();
    }
    let there = "SELECT count(*) FROM audit_writers WHERE writer LIKE 'w%' AND started_at = 1";
    assert_eq!(app.database.value::<i64>(there).await, 400);
}
