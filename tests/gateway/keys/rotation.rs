//! Another key, and what moves to it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use serde_json::json;
use usersecret::{
    app::Seams,
    clock::{Clock, Timestamp},
};

use super::{admin, all_open, some_secrets};
use crate::support::{Answer, TestApp, eventually, sql_bytes};

#[tokio::test]
async fn a_new_key_seals_at_once_and_the_old_one_goes_when_nothing_needs_it() {
    let app = TestApp::start().await;
    let (ann, admin) = (app.user("ann"), admin(&app));
    let ids = some_secrets(&ann, 40).await;
    let changed = json!({ "userSecretId": ids[0], "data": { "key": "data of s0" } });
    ann.update_data(changed).await;
    assert_eq!(admin.versions("acme").await, [(1, "ACTIVE".to_owned())]);
    assert!(admin.look("acme").await.at("/data/domain/rewrap").is_null());

    let rotated = admin.rotate(None).await;
    assert_eq!(rotated.at("/data/rotateDomainKey/domain/keys/0/version"), 2, "{}", rotated.text);
    let moved = admin.moved("acme").await;
    // 40 secrets, and the second version of one.
    assert_eq!(
        (&moved["toVersion"], &moved["total"], &moved["done"], &moved["failed"]),
        (&json!(2), &json!(41), &json!(41), &json!(0))
    );
    let states = [(2, "ACTIVE".to_owned()), (1, "DESTROYED".to_owned())];
    assert_eq!(admin.versions("acme").await, states);
    all_open(&app, "acme", &ids).await;
    let first = app.system().reveal("acme", &ids[0], Some(1)).await;
    assert_eq!(first.at("/data/userSecretData/data/key"), "data of s0");
    let under = "SELECT count(*) FROM user_secret_versions WHERE kek_version <> 2";
    assert_eq!(app.database.value::<i64>(under).await, 0);
    // Nothing is left of the old one.
    let left = "SELECT length(blob) + length(binding) FROM keks WHERE version = 1";
    let left: i32 = app.database.value(left).await;
    assert_eq!(left, 0);
    let trail = "SELECT count(*) FROM audit_events WHERE domain_id = 'acme' AND (operation, target, outcome) IN
        (('Domain.create_key', '1', 'ok'), ('Domain.rotate_key', '2', 'ok'), ('Domain.destroy_key', '1', 'ok'))";
    assert_eq!(app.database.value::<i64>(trail).await, 3);
}

#[tokio::test]
async fn who_may_and_who_may_not() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let id = ann.create("s0").await;
    let stranger = app.caller("globex", "root", "DOMAIN_ADMIN");
    assert_eq!(ann.rotate(None).await.code(), "PERMISSION_DENIED");
    assert_eq!(ann.rewrap(None).await.code(), "PERMISSION_DENIED");
    assert_eq!(stranger.rotate(Some("acme")).await.code(), "PERMISSION_DENIED");
    assert_eq!(stranger.rewrap(Some("acme")).await.code(), "PERMISSION_DENIED");
    assert_eq!(admin(&app).shred("acme", "acme").await.code(), "PERMISSION_DENIED");
    assert_eq!(app.system().shred("acme", "globex").await.code(), "INVALID_ARGUMENT");
    // Nothing happened.
    assert_eq!(app.system().versions("acme").await, [(1, "ACTIVE".to_owned())]);
    assert_eq!(app.system().rotate(Some("acme")).await.code(), "OK");
    app.system().moved("acme").await;
    all_open(&app, "acme", &[id]).await;
}

#[tokio::test]
async fn a_replica_that_knows_an_older_key_seals_under_the_new_one() {
    let keys = "[keys]\nmin_rotation_interval_seconds = 0\n";
    let app = TestApp::with(Seams::default(), keys).await;
    let other = app.replica().await;
    let (here, there) = (app.user("ann"), other.with_token(app.user("ann").token));
    let mut ids = some_secrets(&here, 1).await;
    ids.push(there.create("s1").await);
    for n in 0..3 {
        assert_eq!(admin(&app).rotate(None).await.code(), "OK");
        ids.push(there.create(&format!("s{}", 2 + 2 * n)).await);
        ids.push(here.create(&format!("s{}", 3 + 2 * n)).await);
        admin(&app).moved("acme").await;
    }
    all_open(&app, "acme", &ids).await;
    all_open(&other, "acme", &ids).await;
    let alive = "SELECT count(*) FROM keks WHERE destroyed_at IS NULL";
    eventually("one key is left", async || app.database.value::<i64>(alive).await == 1).await;
}

#[tokio::test]
async fn a_key_that_has_wrapped_enough_is_replaced() {
    let keys = "[keys]\nmax_wraps = 131072\n";
    let app = TestApp::with(Seams::default(), keys).await;
    let mut ids = some_secrets(&app.user("ann"), 2).await;
    assert_eq!(app.system().versions("acme").await, [(1, "ACTIVE".to_owned())]);
    // A replica that starts takes wraps of its own; when a third one does, there are none left.
    let others = [app.replica().await, app.replica().await];
    for (n, other) in others.iter().enumerate() {
        ids.push(other.with_token(app.user("ann").token).create(&format!("s{}", n + 2)).await);
    }
    app.system().moved("acme").await;
    let states = [(2, "ACTIVE".to_owned()), (1, "DESTROYED".to_owned())];
    assert_eq!(app.system().versions("acme").await, states);
    all_open(&app, "acme", &ids).await;
}

#[tokio::test]
async fn an_old_key_is_replaced_although_nobody_asks() {
    let now = Arc::new(AtomicI64::new(1_700_000_000_000_000));
    let clock = Arc::clone(&now);
    let clock = Clock::from_fn(move || Timestamp::from_micros(clock.load(Ordering::Relaxed)));
    let keys = "[keys]\nmax_age_days = 90\ninterval_ms = 50\n";
    let app = TestApp::with(Seams { clock, ..Seams::default() }, keys).await;
    let ids = some_secrets(&app.user("ann"), 3).await;
    let day = 24 * 60 * 60 * 1_000_000;
    now.fetch_add(89 * day, Ordering::Relaxed);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(app.system().versions("acme").await.len(), 1);
    now.fetch_add(2 * day, Ordering::Relaxed);
    eventually("there is another", async || app.system().versions("acme").await.len() == 2).await;
    app.system().moved("acme").await;
    all_open(&app, "acme", &ids).await;
}

#[tokio::test]
async fn an_administrator_waits_until_the_last_rotation_is_done_and_a_system_does_not() {
    let keys = "[keys]\nrewrap_per_second = 1\n";
    let app = TestApp::with(Seams::default(), keys).await;
    let ids = some_secrets(&app.user("ann"), 30).await;
    let twice = "mutation { a: rotateDomainKey(input: {}) { domain { domainId } }
        b: rotateDomainKey(input: {}) { domain { domainId } } }";
    let refused = admin(&app).gql(twice, json!({})).await;
    assert_eq!(refused.code(), "FAILED_PRECONDITION", "{}", refused.text);
    assert!(refused.message().contains("rewrap of the domain must be finished"));
    assert_eq!(admin(&app).versions("acme").await.len(), 2);
    // A key may be known to somebody.
    for version in 3..=24 {
        assert_eq!(app.system().rotate(Some("acme")).await.code(), "OK");
        assert_eq!(admin(&app).versions("acme").await[0], (version, "ACTIVE".to_owned()));
    }
    all_open(&app, "acme", &ids[..3]).await;
    // They are shown in pages.
    let page = "query($f: Int, $b: Int) { domain { keys(first: $f, before: $b) { version } } }";
    let page = async |first: Option<i32>, before: Option<i32>| {
        admin(&app).gql(page, json!({ "f": first, "b": before })).await
    };
    let versions = |answer: &Answer| {
        let keys = answer.at("/data/domain/keys").as_array().unwrap();
        keys.iter().map(|key| key["version"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(versions(&page(None, None).await), (5..=24).rev().collect::<Vec<_>>());
    assert_eq!(versions(&page(None, Some(5)).await), [4, 3, 2, 1]);
    assert_eq!(versions(&page(Some(2), Some(24)).await), [23, 22]);
    assert_eq!(page(Some(101), None).await.code(), "INVALID_ARGUMENT");
}

#[tokio::test]
async fn an_administrator_waits_between_rotations_and_a_system_does_not() {
    let now = Arc::new(AtomicI64::new(1_700_000_000_000_000));
    let clock = Arc::clone(&now);
    let clock = Clock::from_fn(move || Timestamp::from_micros(clock.load(Ordering::Relaxed)));
    let keys = "[keys]\nmin_rotation_interval_seconds = 600\n";
    let app = TestApp::with(Seams { clock, ..Seams::default() }, keys).await;
    let id = app.user("ann").create("s0").await;
    // The first key replaced none.
    assert_eq!(admin(&app).rotate(None).await.code(), "OK");
    admin(&app).moved("acme").await;
    now.fetch_add(599_000_000, Ordering::Relaxed);
    let refused = admin(&app).rotate(None).await;
    assert_eq!(refused.code(), "RESOURCE_EXHAUSTED", "{}", refused.text);
    let words = "keys.min_rotation_interval_seconds: the domain's key was replaced not long ago; \
        it may be again after 2023-11-14T22:23:20.000Z";
    assert_eq!(refused.message(), words);
    // A key may be known to somebody. From then on it is waited anew.
    assert_eq!(app.system().rotate(Some("acme")).await.code(), "OK");
    app.system().moved("acme").await;
    now.fetch_add(1_000_000, Ordering::Relaxed);
    assert_eq!(admin(&app).rotate(None).await.code(), "RESOURCE_EXHAUSTED");
    now.fetch_add(599_000_000, Ordering::Relaxed);
    assert_eq!(admin(&app).rotate(None).await.code(), "OK");
    admin(&app).moved("acme").await;
    // A key of a clock that was ahead keeps nobody waiting.
    now.fetch_sub(86_400_000_000, Ordering::Relaxed);
    assert_eq!(admin(&app).rotate(None).await.code(), "OK");
    admin(&app).moved("acme").await;
    all_open(&app, "acme", &[id]).await;
}

#[tokio::test]
async fn what_was_tampered_with_stays_and_stops_nothing() {
    let app = TestApp::start().await;
    let ids = some_secrets(&app.user("ann"), 40).await;
    let harm = |id: &str, dek: &[u8]| {
        let dek = sql_bytes(dek);
        format!("UPDATE user_secret_versions SET dek = {dek} WHERE user_secret_id = '{id}'")
    };
    app.sql(&[harm(&ids[3], &[7; 60]), harm(&ids[30], &[7; 59])]).await;
    assert_eq!(admin(&app).rotate(None).await.code(), "OK");
    let moved = admin(&app).moved("acme").await;
    assert_eq!((&moved["done"], &moved["failed"]), (&json!(38), &json!(2)));
    // What they were sealed under must not go.
    let states = [(2, "ACTIVE".to_owned()), (1, "RETIRED".to_owned())];
    assert_eq!(admin(&app).versions("acme").await, states);
    all_open(&app, "acme", &ids[..3]).await;
    // Nor does a row that belongs to nothing keep it busy for ever.
    let orphan = format!(
        "INSERT INTO user_secret_versions SELECT domain_id, 'user-secret-0f0f0f0f0f0f', version, kek_version, dek,
            document, created_at FROM user_secret_versions WHERE user_secret_id = '{}'",
        ids[3]
    );
    app.sql(&[orphan]).await;
    assert_eq!(admin(&app).rewrap(None).await.code(), "OK");
    assert_eq!(admin(&app).moved("acme").await["failed"], 3);
    app.sql(&[
        "DELETE FROM user_secret_versions WHERE user_secret_id = 'user-secret-0f0f0f0f0f0f'"
            .to_owned(),
    ])
    .await;
    // When they are gone, so is the key.
    let ann = app.user("ann");
    for id in [&ids[3], &ids[30]] {
        assert_eq!(ann.delete(json!({ "userSecretId": id })).await.code(), "OK");
    }
    assert_eq!(admin(&app).rewrap(None).await.code(), "OK");
    assert_eq!(admin(&app).moved("acme").await["failed"], 0);
    assert_eq!(admin(&app).versions("acme").await[1].1, "DESTROYED");
}

#[tokio::test]
async fn replicas_share_the_work_and_none_does_it_twice() {
    let app = TestApp::with(Seams::default(), "[keys]\ninterval_ms = 20\n").await;
    let others = [app.replica().await, app.replica().await];
    let ids = some_secrets(&app.user("ann"), 600).await;
    // Writers go on, so that some of what is moved is replaced meanwhile.
    let ann = app.user("ann");
    let writer = tokio::spawn({
        let ids = ids.clone();
        async move {
            for (n, id) in ids.iter().enumerate().take(60) {
                let data =
                    json!({ "userSecretId": id, "data": { "key": format!("data of s{n}") } });
                assert_eq!(ann.update_data(data).await.code(), "OK");
            }
        }
    });
    for _ in 0..3 {
        // An administrator would have to wait.
        assert_eq!(app.system().rotate(Some("acme")).await.code(), "OK");
        for other in &others {
            let there = other.with_token(admin(&app).token);
            assert_eq!(there.rewrap(None).await.code(), "OK");
        }
    }
    writer.await.unwrap();
    let alive = "SELECT count(*) FROM keks WHERE destroyed_at IS NULL";
    eventually("one key is left", async || app.database.value::<i64>(alive).await == 1).await;
    all_open(&app, "acme", &ids).await;
}
