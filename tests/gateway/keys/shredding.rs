//! A domain whose keys are destroyed.

use std::{fs, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{admin, all_open, some_secrets};
use crate::support::{TestApp, engine};

#[tokio::test]
async fn a_shredded_domain_does_nothing_in_any_replica_but_show_its_trail() {
    let app = TestApp::start().await;
    let other = app.replica().await;
    let (ann, zoe) = (app.user("ann"), app.caller("globex", "zoe", "USER"));
    let ids = some_secrets(&ann, 3).await;
    let foreign = some_secrets(&zoe, 2).await;
    assert_eq!(admin(&app).rotate(None).await.code(), "OK");
    admin(&app).moved("acme").await;
    // The other replica has handles and a key at hand.
    let there = other.with_token(ann.token.clone());
    assert_eq!(there.create("s3").await.len(), 24);
    all_open(&other, "acme", &ids).await;

    let shredded = app.system().shred("acme", "acme").await;
    assert_eq!(shredded.at("/data/shredDomain/domain/state"), "SHREDDED", "{}", shredded.text);
    for replica in [&app, &other] {
        let at = |token: &Option<String>| replica.with_token(token.clone());
        let (ann, admin, system) =
            (at(&ann.token), at(&admin(&app).token), at(&app.system().token));
        let id = &ids[0];
        let list = "{ userSecrets { nodes { name } } }";
        let stat =
            "{ userSecretStat(query: { aggregate: [{ count: { name: \"n\" } }] }) { results } }";
        let all = "{ domain { userSecrets { nodes { name } } } }";
        let issuers = "{ domain { issuers { iss } } }";
        let clear =
            "mutation($u: ID!) { deleteUserSecretsOfUser(input: { userId: $u }) { count } }";
        for (what, answer) in [
            ("reveal", system.reveal("acme", id, None).await),
            ("reveal of nothing", system.reveal("acme", "user-secret-000000000000", None).await),
            ("get", ann.get(id).await),
            ("get of nothing", ann.get("user-secret-000000000000").await),
            ("create", ann.create_with(json!({ "name": "n", "data": { "k": 1 } })).await),
            ("update", ann.update(json!({ "userSecretId": id, "name": "n" })).await),
            (
                "update data",
                ann.update_data(json!({ "userSecretId": id, "data": { "k": 1 } })).await,
            ),
            ("delete", ann.delete(json!({ "userSecretId": id })).await),
            ("list", ann.gql(list, json!({})).await),
            ("statistics", ann.gql(stat, json!({})).await),
            ("list of all", admin.gql(all, json!({})).await),
            ("issuers", admin.gql(issuers, json!({})).await),
            ("rotate", admin.rotate(None).await),
            ("rewrap", admin.rewrap(None).await),
            ("shred", system.shred("acme", "acme").await),
            ("delete of a user", admin.gql(clear, json!({ "u": "ann" })).await),
            ("delete of nobody", admin.gql(clear, json!({ "u": "" })).await),
        ] {
            assert_eq!(answer.code(), "FAILED_PRECONDITION", "{what}: {}", answer.text);
        }
        let trail = "{ domain { auditEvents(filter: { operation: \"Domain.shred\" }) { nodes { outcome } } } }";
        let trail = admin.gql(trail, json!({})).await;
        assert_eq!(trail.at("/data/domain/auditEvents/nodes/0/outcome"), "ok", "{}", trail.text);
        let states: Vec<String> =
            admin.versions("acme").await.into_iter().map(|(_, state)| state).collect();
        assert_eq!(states, ["DESTROYED", "DESTROYED"]);
        all_open_in_globex(replica, &foreign).await;
    }
    let left = "SELECT count(*) FROM keks WHERE domain_id = 'acme' AND length(blob) > 0";
    assert_eq!(app.database.value::<i64>(left).await, 0);
    let tally = app
        .import(&[json!({ "user_secret_id": "user-secret-0123456789ab", "name": "n",
            "data": { "k": 1 }, "user_id": "ann", "domain_id": "acme" })])
        .await;
    assert_eq!((tally.stored, tally.bad), (0, 1));
}

async fn all_open_in_globex(app: &TestApp, ids: &[String]) {
    for (n, id) in ids.iter().enumerate() {
        let revealed = app.system().reveal("globex", id, None).await;
        assert_eq!(revealed.at("/data/userSecretData/data/key"), &json!(format!("data of s{n}")));
    }
}

#[tokio::test]
async fn a_domain_without_keys_can_be_shut_before_it_begins() {
    let app = TestApp::start().await;
    // Of many who ask one is answered by a statement, which stays.
    let system = app.system();
    let all = futures_util::future::join_all((0..4).map(|_| system.shred("acme", "acme"))).await;
    let mut codes: Vec<&str> = all.iter().map(|answer| answer.code()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["FAILED_PRECONDITION", "FAILED_PRECONDITION", "FAILED_PRECONDITION", "OK"]);
    let input = json!({ "name": "n", "data": { "k": 1 } });
    assert_eq!(app.user("ann").create_with(input).await.code(), "FAILED_PRECONDITION");
    assert_eq!(admin(&app).versions("acme").await, []);
}

#[tokio::test]
async fn the_statement_is_verified_by_openssl_alone() {
    let app = TestApp::start().await;
    some_secrets(&app.user("ann"), 1).await;
    assert_eq!(admin(&app).rotate(None).await.code(), "OK");
    let shredded = app.system().shred("acme", "acme").await;
    let said = shredded.at("/data/shredDomain/statement").clone();
    // It can be read again later.
    assert_eq!(admin(&app).look("acme").await.at("/data/domain/shredStatement"), &said);
    let text = said["statement"].as_str().unwrap();
    let statement: Value = serde_json::from_str(text).unwrap();
    assert_eq!(
        (&statement["domainId"], &statement["keys"][1]["version"]),
        (&json!("acme"), &json!(2))
    );
    assert!(statement["reservation"].as_str().unwrap().contains("Backups"), "{text}");

    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let key = engine().signing_key().unwrap();
    assert_eq!(statement["signedBy"], key.id());
    fs::write(path("key.pem"), key.to_pem()).unwrap();
    let signature = STANDARD.decode(said["signature"].as_str().unwrap()).unwrap();
    fs::write(path("statement.sig"), signature).unwrap();
    let verified = |text: &str| {
        fs::write(path("statement"), text).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-verify", "key.pem", "-signature", "statement.sig"]);
        openssl.arg("statement").current_dir(&dir).output().unwrap().status.success()
    };
    assert!(verified(text));
    assert!(!verified(&text.replace("acme", "acmf")));
}

#[tokio::test]
async fn a_creation_and_a_rotation_do_not_slip_through_a_shredding() {
    let app = TestApp::start().await;
    let other = app.replica().await;
    for round in 0..4 {
        let domain = format!("d{round}");
        let here = app.caller(&domain, "ann", "USER");
        let (there, admin) =
            (other.with_token(here.token.clone()), app.caller(&domain, "root", "DOMAIN_ADMIN"));
        let system = app.system();
        here.create("s0").await;
        let create = async |client: &crate::support::Client| {
            let mut codes = Vec::new();
            for _ in 0..20 {
                let answer = client.create_with(json!({ "name": "n", "data": { "k": 1 } })).await;
                codes.push(answer.code().to_owned());
            }
            codes
        };
        let (ours, theirs, rotated, shredded) = tokio::join!(
            create(&here),
            create(&there),
            admin.rotate(None),
            system.shred(&domain, &domain),
        );
        assert_eq!(shredded.code(), "OK", "{}", shredded.text);
        assert!(["OK", "FAILED_PRECONDITION"].contains(&rotated.code()), "{}", rotated.text);
        for codes in [ours, theirs] {
            let living = codes.iter().take_while(|code| *code == "OK").count();
            assert!(codes[living..].iter().all(|code| code == "FAILED_PRECONDITION"), "{codes:?}");
        }
        let left =
            format!("SELECT count(*) FROM keks WHERE domain_id = '{domain}' AND length(blob) > 0");
        assert_eq!(app.database.value::<i64>(&left).await, 0);
    }
    // Nor is anything due in them for ever.
    let due = "SELECT count(*) FROM rewraps WHERE finished_at IS NULL";
    assert_eq!(app.database.value::<i64>(due).await, 0);
}
