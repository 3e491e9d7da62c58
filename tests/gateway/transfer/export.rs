//! What an export tells, and to whom.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::{Value, json};
use usersecret::app::Seams;

use super::{CANARY, Desk, id, line_with_id, text};
use crate::{
    audit::QUICK,
    support::{TestApp, on_postgres},
};

fn written(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_leaves_without_its_data() {
    const MANY: usize = 1_203;
    let app = TestApp::with(Seams::default(), QUICK).await;
    let desk = Desk::of(&app);
    let mut lines: Vec<Value> = (0..MANY).map(line_with_id).collect();
    lines[3]["tags"] = json!({ "env": "prod" });
    lines[3]["provider"] = json!("aws");
    lines[3]["created_at"] = json!("2024-02-14T23:59:59.999Z");
    // Back to front: the order is that of the ids.
    app.import_all(&lines.iter().rev().cloned().collect::<Vec<_>>()).await;
    let eve = app.caller("globex", "eve", "USER");
    let created = json!({ "name": "hers", "data": { "a": CANARY }, "schemaId": "s", "expiresAt": "2100-01-01T00:00:00Z" });
    let hers = eve.create_with(created).await;
    let hers = hers.at("/data/createUserSecret/userSecret/userSecretId");

    let said = desk.export(&[]);
    said.is(0, &[&format!("{} secrets of 2 domains", MANY + 1)]);
    assert!(!said.out.contains(CANARY));
    let told = said.lines();
    let ids: Vec<&str> = told.iter().map(|line| line["user_secret_id"].as_str().unwrap()).collect();
    let expected: Vec<String> = (0..MANY).map(id).collect();
    assert_eq!(ids[..MANY], expected);
    assert_eq!(ids[MANY..], [hers.as_str().unwrap()]);
    assert_eq!(
        told[3],
        json!({
            "user_secret_id": id(3), "name": "n3", "provider": "aws", "tags": { "env": "prod" }, "user_id": "ann",
            "domain_id": "acme", "created_at": "2024-02-14T23:59:59.999Z", "updated_at": "2024-02-14T23:59:59.999Z",
            "version": 1, "revision": 1,
        })
    );
    let hers = &told[MANY];
    assert_eq!(
        (&hers["schema_id"], &hers["expires_at"], &hers["tags"]),
        (&json!("s"), &json!("2100-01-01T00:00:00Z"), &json!({}))
    );
    // It cannot be brought in again: there is no data in it.
    desk.pipe(format!("{hers}\n").as_bytes()).is(
        1,
        &[
            "✘ line 1: must be a JSON object with none but the known keys, each once",
            "0 stored, 0 there already, 1 bad",
        ],
    );

    let file = desk.dir.path().join("out.jsonl");
    let name = file.to_str().unwrap();
    desk.export(&[name, "--domain", "globex"]).is(0, &["1 secrets of 1 domains"]);
    assert_eq!(written(&file), *hers);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let taken = format!("usersecret: {name}: File exists (os error 17)");
    desk.export(&[name]).is(1, &[&taken]);
    assert_eq!(written(&file), *hers);
    desk.export(&["--domain", "-"]).is(1, &["usersecret: --domain: must be a domain id"]);

    // Each domain's administrators see that it was read.
    let query = "{ domain { auditEvents(filter: {operation: \"UserSecret.export\"}) { nodes { role outcome } } } }";
    for (domain, times) in [("acme", 1), ("globex", 2)] {
        let admin = app.caller(domain, "root", "DOMAIN_ADMIN");
        let events = admin.gql(query, json!({})).await;
        let event = json!({ "role": "OPERATOR", "outcome": "granted" });
        assert_eq!(events.at("/data/domain/auditEvents/nodes"), &json!(vec![event; times]));
    }
    let verified = desk.verify();
    assert_eq!((verified.status, verified.errors.contains('✘')), (0, false), "{verified:?}");
}

/// Which domains there are is the owner's to know; the rest is done as the service's role.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_is_asked_for_the_domains_alone() {
    let app = TestApp::start().await;
    app.user("ann").create("a").await;
    let desk = Desk::of(&app);
    let config = fs::read_to_string(&desk.config).unwrap();
    let of_the_service: Vec<&str> =
        config.lines().filter(|line| !line.starts_with("admin_url")).collect();
    fs::write(&desk.config, of_the_service.join("\n")).unwrap();
    desk.pipe(text([line_with_id(1)]).as_bytes()).is(0, &["1 stored, 0 there already, 0 bad"]);
    desk.export(&["--domain", "acme"]).is(0, &["2 secrets of 1 domains"]);
    if on_postgres() {
        let file = desk.dir.path().join("none.jsonl");
        let refused = "usersecret: database.admin_url: must name the owner of the tables";
        desk.export(&[file.to_str().unwrap()]).is(1, &[refused]);
        assert!(!file.exists(), "half a file was left");
    }
}
