//! The life of a secret: created, read, changed, revealed and deleted.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use usersecret::{
    app::Seams,
    clock::{Clock, Timestamp},
    ids::IdSource,
};

use crate::support::{TestApp, app::HOME};

/// 2030-01-01T00:00:00Z in microseconds.
const NEW_YEAR: i64 = 1_893_456_000_000_000;

#[tokio::test]
async fn a_secret_lives_and_dies() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let secret = ann
        .create_from(json!({
            "name": "aws", "data": { "key": "one" }, "schemaId": "aws-secret-access-key",
            "tags": { "env": "prod" },
        }))
        .await;
    assert!(secret.id.starts_with("user-secret-"), "{}", secret.id);
    for (field, expected) in [
        ("id", json!(secret.id)),
        ("name", json!("aws")),
        ("schemaId", json!("aws-secret-access-key")),
        ("provider", Value::Null),
        ("tags", json!({ "env": "prod" })),
        ("domainId", json!(HOME)),
        ("userId", json!("ann")),
        ("version", json!(1)),
        ("revision", json!(1)),
        ("expiresAt", Value::Null),
    ] {
        assert_eq!(secret.json[field], expected, "{field}");
    }
    assert_eq!(ann.get(&secret.id).await.at("/userSecret"), secret.json);
    assert_eq!(ann.node(&secret.id).await.at("/node/name"), "aws");
    assert_eq!(ann.list("").await.names(), ["aws"]);

    let renamed = ann.update(&secret.id, json!({ "name": "cloud", "tags": {} })).await;
    let renamed = renamed.at("/updateUserSecret/userSecret");
    assert_eq!((&renamed["name"], &renamed["tags"]), (&json!("cloud"), &json!({})));
    assert_eq!((&renamed["version"], &renamed["revision"]), (&json!(1), &json!(2)));

    let replaced = ann.update_data(&secret.id, json!({ "data": { "key": "two" } })).await;
    let replaced = replaced.at("/updateUserSecretData/userSecret");
    assert_eq!((&replaced["version"], &replaced["revision"]), (&json!(2), &json!(3)));
    assert_eq!(replaced["schemaId"], "aws-secret-access-key");

    let revealed = app.system().reveal(HOME, &secret.id, None).await.at("/userSecretData");
    let expected = json!({
        "encrypted": false, "encryptOptions": {}, "data": { "key": "two" }, "version": 2,
    });
    assert_eq!(revealed, expected);
    let first = app.system().reveal(HOME, &secret.id, Some(1)).await;
    assert_eq!(first.at("/userSecretData/data/key"), "one");

    let deleted = ann.delete(&secret.id, json!({})).await;
    assert_eq!(deleted.at("/deleteUserSecret/userSecretId"), json!(secret.id));
    for answer in [
        ann.get(&secret.id).await,
        ann.delete(&secret.id, json!({})).await,
        ann.update(&secret.id, json!({ "name": "x" })).await,
        app.system().reveal(HOME, &secret.id, None).await,
        app.system().reveal(HOME, &secret.id, Some(1)).await,
    ] {
        assert_eq!(answer.code(), "NOT_FOUND", "{}", answer.text);
    }
    assert!(ann.list("").await.names().is_empty());
    let left = app.database().await.column::<i64>("SELECT version FROM user_secret_versions").await;
    assert!(left.is_empty(), "a deleted secret leaves no version behind");
}

#[tokio::test]
async fn data_comes_back_as_it_was_given() {
    let app = TestApp::start().await;
    let data = json!({
        "z": 1, "a": -0.5, "big": 9_007_199_254_740_993_i64, "text": " kept \u{1F511}\n\"\\",
        "nested": { "list": [null, true, { "$odd": [] }], "": "" },
    });
    let secret = app.user("ann").create_from(json!({ "name": "x", "data": data })).await;
    assert_eq!(app.system().reveal(HOME, &secret.id, None).await.at("/userSecretData/data"), data);
}

#[tokio::test]
async fn a_stale_expectation_is_aborted() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let id = ann.create("aws").await.id;

    let stale = ann.update(&id, json!({ "name": "x", "expectedRevision": 7 })).await;
    stale.assert_names("ABORTED", "expectedRevision");
    let stale = ann.update_data(&id, json!({ "data": { "a": 1 }, "expectedVersion": 2 })).await;
    stale.assert_names("ABORTED", "expectedVersion");
    let kept = ann.get(&id).await.at("/userSecret");
    assert_eq!((&kept["name"], &kept["version"], &kept["revision"]), (&json!("aws"), &json!(1), &json!(1)));

    assert_eq!(ann.update(&id, json!({ "name": "x", "expectedRevision": 1 })).await.code(), "OK");
    let fresh = ann.update_data(&id, json!({ "data": { "a": 1 }, "expectedVersion": 1 })).await;
    assert_eq!(fresh.code(), "OK");
    // Of many who expect the same version exactly one wins.
    let rivals = (0..8).map(|n| {
        let ann = ann.clone();
        let id = id.clone();
        async move {
            ann.update_data(&id, json!({ "data": { "n": n }, "expectedVersion": 2 })).await.code().to_owned()
        }
    });
    let codes = futures_util::future::join_all(rivals).await;
    assert_eq!(codes.iter().filter(|code| *code == "OK").count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| code == "OK" || code == "ABORTED"), "{codes:?}");
}

#[tokio::test]
async fn only_the_newest_versions_are_kept() {
    let app = TestApp::start_with("[limits]\ndata_versions = 2", Seams::default()).await;
    let ann = app.user("ann");
    let id = ann.create("aws").await.id;
    for n in 2..=4 {
        ann.update_data(&id, json!({ "data": { "n": n } })).await;
    }
    let system = app.system();
    for (version, code) in [(1, "NOT_FOUND"), (2, "NOT_FOUND"), (3, "OK"), (4, "OK"), (5, "NOT_FOUND"), (0, "NOT_FOUND"), (-1, "NOT_FOUND")] {
        let answer = system.reveal(HOME, &id, Some(version)).await;
        assert_eq!(answer.code(), code, "version {version}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_has_expired_is_not_revealed() {
    let now = Arc::new(AtomicI64::new(NEW_YEAR));
    let told = Arc::clone(&now);
    let clock = Clock::from_fn(move || Timestamp::from_micros(told.load(Ordering::Relaxed)));
    let app = TestApp::start_with("", Seams { clock, ..Seams::default() }).await;
    let (ann, system) = (app.user("ann"), app.system());

    let later = "2030-01-01T01:00:00Z";
    let secret =
        ann.create_from(json!({ "name": "x", "data": { "a": 1 }, "expiresAt": later })).await;
    assert_eq!(instant(&secret.json["expiresAt"]), instant(&json!(later)));
    assert_eq!(system.reveal(HOME, &secret.id, None).await.code(), "OK");

    now.fetch_add(3_600_000_000, Ordering::Relaxed);
    assert_eq!(system.reveal(HOME, &secret.id, None).await.code(), "FAILED_PRECONDITION");
    // Its metadata is still there, and a change that does not speak of the expiry keeps it.
    let renamed = ann.update(&secret.id, json!({ "name": "y" })).await;
    assert!(!renamed.at("/updateUserSecret/userSecret/expiresAt").is_null());
    let cleared = ann.update(&secret.id, json!({ "expiresAt": null })).await;
    assert!(cleared.at("/updateUserSecret/userSecret/expiresAt").is_null());
    assert_eq!(system.reveal(HOME, &secret.id, None).await.code(), "OK");

    let past = ann.update(&secret.id, json!({ "expiresAt": "2030-01-01T00:30:00Z" })).await;
    past.assert_names("INVALID_ARGUMENT", "expiresAt");
}

fn instant(value: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(value.as_str().unwrap(), &Rfc3339).unwrap()
}

#[tokio::test]
async fn a_repeated_idempotency_key_creates_once() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let input = json!({ "name": "aws", "data": { "a": 1 }, "idempotencyKey": "k1" });
    let first = ann.create_from(input.clone()).await;
    let again = ann.create_from(input.clone()).await;
    assert_eq!(first.json, again.json);
    let at_once = futures_util::future::join_all((0..8).map(|_| {
        ann.try_create(json!({ "name": "aws", "data": { "a": 1 }, "idempotencyKey": "k2" }))
    }))
    .await;
    let ids: Vec<_> = at_once.iter().map(|a| a.at("/createUserSecret/userSecret/id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(ann.list("").await.names().len(), 2);

    let other = json!({ "name": "other", "data": { "a": 1 }, "idempotencyKey": "k1" });
    ann.try_create(other).await.assert_names("ALREADY_EXISTS", "idempotencyKey");
    // Keys are the owner's: nobody else's are taken by them.
    assert_ne!(app.user("bob").create_from(input.clone()).await.id, first.id);
    assert_ne!(app.stranger("ann").create_from(input).await.id, first.id);
}

#[tokio::test]
async fn an_id_that_is_taken_is_drawn_again() {
    let draws = AtomicUsize::new(0);
    // 1, 1, 1, 2, 2, 2, …
    let ids = IdSource::from_fn(move || {
        let draw = draws.fetch_add(1, Ordering::Relaxed);
        [0, 0, 0, 0, 0, u8::try_from(draw / 3 + 1).unwrap()]
    });
    let app = TestApp::start_with("", Seams { ids, ..Seams::default() }).await;
    let ann = app.user("ann");
    let first = ann.create("first").await;
    let second = ann.create("second").await;
    assert_eq!(first.id, "user-secret-000000000001");
    assert_eq!(second.id, "user-secret-000000000002");
    for secret in [first, second] {
        let data = app.system().reveal(HOME, &secret.id, None).await.at("/userSecretData/data/key");
        assert_eq!(data, secret.json["name"]);
    }
    // An id is unique in its domain only.
    assert_eq!(app.stranger("ann").create("elsewhere").await.id, "user-secret-000000000002");
}
