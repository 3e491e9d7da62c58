//! The life of a secret.

use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::json;
use usersecret::{app::Seams, clock::Clock, ids::IdSource};

use crate::support::TestApp;

const SECRET: &str = "/data/createUserSecret/userSecret";

#[tokio::test]
async fn a_secret_lives_is_revealed_to_a_system_and_dies() {
    let app = TestApp::start().await;
    let (ann, system) = (app.user("ann"), app.system());
    let id = ann.create(" aws ").await;
    assert_eq!(ann.get(&id).await.at("/data/userSecret/name"), "aws");

    let changed =
        ann.update(json!({ "userSecretId": id, "name": "aws-2", "tags": { " a ": " b " } })).await;
    assert_eq!(changed.at("/data/updateUserSecret/userSecret/tags"), &json!({ "a": "b" }));
    assert_eq!(changed.at("/data/updateUserSecret/userSecret/revision"), 2);

    let replaced = ann.update_data(json!({ "userSecretId": id, "data": { "n": 2 } })).await;
    assert_eq!(replaced.at("/data/updateUserSecretData/userSecret/version"), 2);
    assert_eq!(replaced.at("/data/updateUserSecretData/userSecret/revision"), 3);

    let revealed = system.reveal("acme", &id, None).await;
    assert_eq!(
        revealed.at("/data/userSecretData"),
        &json!({ "data": { "n": 2 }, "version": 2, "encrypted": false, "encryptOptions": {} })
    );
    let first = system.reveal("acme", &id, Some(1)).await;
    assert_eq!(first.at("/data/userSecretData/data/key"), "data of  aws ");
    assert_eq!(system.reveal("acme", &id, Some(3)).await.code(), "NOT_FOUND");
    assert_eq!(ann.reveal("acme", &id, None).await.code(), "PERMISSION_DENIED");

    assert_eq!(ann.delete(json!({ "userSecretId": id })).await.code(), "OK");
    assert_eq!(ann.get(&id).await.code(), "NOT_FOUND");
    assert_eq!(system.reveal("acme", &id, Some(1)).await.code(), "NOT_FOUND");
}

#[tokio::test]
async fn expectations_that_are_stale_abort() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let id = ann.create("aws").await;
    let update =
        |revision: i32| json!({ "userSecretId": id, "name": "x", "expectedRevision": revision });
    assert_eq!(ann.update(update(9)).await.code(), "ABORTED");
    assert_eq!(ann.update(update(1)).await.code(), "OK");
    let replace = |version: i32| json!({ "userSecretId": id, "data": { "a": 1 }, "expectedVersion": version });
    assert_eq!(ann.update_data(replace(2)).await.code(), "ABORTED");
    assert_eq!(ann.update_data(replace(1)).await.code(), "OK");
    let nothing = ann.update(json!({ "userSecretId": id })).await;
    assert_eq!(nothing.at("/data/updateUserSecret/userSecret/revision"), 3);
}

#[tokio::test]
async fn old_versions_are_dropped_beyond_the_limit() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let id = ann.create("aws").await;
    for n in 0..10 {
        ann.update_data(json!({ "userSecretId": id, "data": { "n": n } })).await;
    }
    assert_eq!(app.system().reveal("acme", &id, Some(1)).await.code(), "NOT_FOUND");
    assert_eq!(app.system().reveal("acme", &id, Some(2)).await.code(), "OK");
}

#[tokio::test]
async fn an_expired_secret_is_not_revealed() {
    let day = 86_400_000_000;
    let shift = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    let (told, system_clock) = (std::sync::Arc::clone(&shift), Clock::system());
    let clock = Clock::from_fn(move || {
        let now = system_clock.now().as_micros() + told.load(Ordering::Relaxed);
        usersecret::clock::Timestamp::from_micros(now)
    });
    let app = TestApp::with_seams(Seams { clock, ids: IdSource::random() }).await;
    let ann = app.user("ann");
    let input = json!({ "name": "x", "data": { "a": 1 }, "expiresAt": "2100-01-01T00:00:00Z" });
    let id = ann.create_with(input).await.at(&format!("{SECRET}/userSecretId")).clone();
    let id = id.as_str().unwrap();
    assert_eq!(app.system().reveal("acme", id, None).await.code(), "OK");
    shift.store(day * 366 * 80, Ordering::Relaxed);
    assert_eq!(app.system().reveal("acme", id, None).await.code(), "FAILED_PRECONDITION");
    ann.update(json!({ "userSecretId": id, "expiresAt": null })).await;
    assert_eq!(app.system().reveal("acme", id, None).await.code(), "OK");
}

#[tokio::test]
async fn a_repeated_idempotency_key_creates_once() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let input = |name: &str| json!({ "name": name, "data": { "a": 1 }, "idempotencyKey": "k" });
    let first = ann.create_with(input("x")).await;
    let again = ann.create_with(input("x")).await;
    assert_eq!(first.at(SECRET), again.at(SECRET));
    assert_eq!(ann.create_with(input("y")).await.code(), "ALREADY_EXISTS");
    let other_data = json!({ "name": "x", "data": { "a": 2 }, "idempotencyKey": "k" });
    assert_eq!(ann.create_with(other_data).await.code(), "ALREADY_EXISTS");
    let other = app.user("bob").create_with(input("x")).await;
    assert_ne!(first.at(SECRET), other.at(SECRET));
}

#[tokio::test]
async fn a_clash_of_ids_draws_a_new_one() {
    let drawn = AtomicU8::new(0);
    let ids = IdSource::from_fn(move || [drawn.fetch_add(1, Ordering::Relaxed) / 2; 6]);
    let app = TestApp::with_seams(Seams { clock: Clock::system(), ids }).await;
    let ann = app.user("ann");
    let (first, second) = (ann.create("a").await, ann.create("b").await);
    assert_ne!(first, second);
    let revealed = app.system().reveal("acme", &second, None).await;
    assert_eq!(revealed.at("/data/userSecretData/data/key"), "data of b");
}

#[tokio::test]
async fn bad_input_is_named_and_loses_nothing() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let data = json!({ "a": 1 });
    let cases = [
        (json!({ "name": "  ", "data": data }), "name: "),
        (json!({ "name": "가".repeat(256), "data": data }), "name: "),
        (json!({ "name": "x", "data": {} }), "data: "),
        (json!({ "name": "x", "data": [1] }), "data: "),
        (json!({ "name": "x", "data": { "a": "x".repeat(65_536) } }), "data: limits.data_bytes"),
        (json!({ "name": "x", "data": data, "tags": [] }), "tags: "),
        (json!({ "name": "x", "data": data, "tags": { "l": [{ "$b": "\u{0}" }] } }), "tags: "),
        (json!({ "name": "x", "data": data, "tags": { "a": { "$b": 1 } } }), "tags: "),
        (
            json!({ "name": "x", "data": data, "tags": { "a": "x".repeat(20_000) } }),
            "tags: limits.tags_bytes",
        ),
        (json!({ "name": "x", "data": data, "schemaId": "s".repeat(41) }), "schemaId: "),
        (json!({ "name": "x", "data": data, "expiresAt": "2000-01-01T00:00:00Z" }), "expiresAt: "),
    ];
    for (input, begins) in cases {
        let answer = ann.create_with(input).await;
        assert_eq!(answer.code(), "INVALID_ARGUMENT", "{begins}");
        assert!(answer.message().starts_with(begins), "{}", answer.message());
    }
    let list = ann.gql("{ userSecrets { totalCount } }", json!({})).await;
    assert_eq!(list.at("/data/userSecrets/totalCount"), 0);
    assert_eq!(
        ann.create_with(json!({ "name": "가".repeat(255), "data": data })).await.code(),
        "OK"
    );
}
