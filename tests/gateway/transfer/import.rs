//! What an import brings, and what it refuses.

use std::fs;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use usersecret::app::Seams;

use super::{CANARY, Desk, id, line, line_with_id, text};
use crate::{
    audit::QUICK,
    faces::kit::{Grpc, Rest},
    support::{TestApp, found_in},
};

const FIELDS: &str = "userSecretId name schemaId provider tags domainId userId version revision \
    createdAt updatedAt expiresAt";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_what_they_were() {
    let app = TestApp::start().await;
    let desk = Desk::of(&app);
    let whole = json!({
        "user_secret_id": id(0xabc), "name": " aws ", "data": { "key": CANARY, "n": 1.5 },
        "schema_id": "aws-secret-access-key", "provider": "aws", "tags": { "env": "prod", "list": [1, { "a": "b" }] },
        "user_id": "ann", "domain_id": "acme", "created_at": "2024-02-14T23:59:59.999123+09:00",
        "encrypted": false, "encrypt_options": {},
    });
    let bare = json!({
        "name": "bare", "data": { "key": "k" }, "user_id": "ann", "domain_id": "acme", "user_secret_id": null,
        "schema_id": null, "provider": " ", "tags": null, "created_at": null, "encrypted": null, "encrypt_options": null,
    });
    let mut elsewhere = whole.clone();
    elsewhere["domain_id"] = json!("globex");
    desk.pipe(text([whole, bare, elsewhere]).as_bytes())
        .is(0, &["3 stored, 0 there already, 0 bad"]);

    let ann = app.user("ann");
    let query = format!("query($id: ID!) {{ userSecret(userSecretId: $id) {{ {FIELDS} }} }}");
    for (client, domain) in [(&ann, "acme"), (&app.caller("globex", "ann", "USER"), "globex")] {
        let secret = client.gql(&query, json!({ "id": id(0xabc) })).await;
        assert_eq!(
            secret.at("/data/userSecret"),
            &json!({
                "userSecretId": id(0xabc), "name": "aws", "schemaId": "aws-secret-access-key", "provider": "aws",
                "tags": { "env": "prod", "list": [1, { "a": "b" }] }, "domainId": domain, "userId": "ann",
                "version": 1, "revision": 1, "createdAt": "2024-02-14T14:59:59.999123Z",
                "updatedAt": "2024-02-14T14:59:59.999123Z", "expiresAt": null,
            })
        );
        let system = app.caller(domain, "", "SYSTEM");
        let data = system.reveal(domain, &id(0xabc), None).await;
        assert_eq!(data.at("/data/userSecretData/data"), &json!({ "key": CANARY, "n": 1.5 }));
    }
    let request = json!({ "user_secret_id": id(0xabc) });
    let (rest, grpc) = (Rest::of(&ann), Grpc::of(&ann).await);
    for told in [rest.call("get", &request).await, grpc.call("get", &request).await] {
        assert_eq!((&told.json["provider"], &told.json["name"]), (&json!("aws"), &json!("aws")));
    }
    // They are found by tags, provider and keyword, and change like others.
    for query in [
        json!({ "filter": [{ "key": "tags.list.a", "operator": "EQ", "value": "b" }] }),
        json!({ "filter": [{ "key": "provider", "operator": "EQ", "value": "aws" }] }),
        json!({ "keyword": "AWS" }),
    ] {
        let list = "query($q: QueryInput) { userSecrets(query: $q) { nodes { userSecretId } } }";
        let found = ann.gql(list, json!({ "q": query })).await;
        assert_eq!(found.at("/data/userSecrets/nodes"), &json!([{ "userSecretId": id(0xabc) }]));
    }
    let bare = "{ userSecrets(name: \"bare\") { nodes { userSecretId provider schemaId tags } } }";
    let bare = ann.gql(bare, json!({})).await;
    let new = bare.at("/data/userSecrets/nodes/0/userSecretId").as_str().unwrap().to_owned();
    assert_eq!(
        bare.at("/data/userSecrets/nodes/0"),
        &json!({ "userSecretId": new, "provider": null, "schemaId": null, "tags": {} })
    );
    let replaced = ann.update_data(json!({ "userSecretId": new, "data": { "a": 1 } })).await;
    assert_eq!(replaced.at("/data/updateUserSecretData/userSecret/version"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_line_is_named_and_loses_nothing_else() {
    let app = TestApp::start().await;
    let desk = Desk::of(&app);
    let with = |key: &str, value: Value| {
        let mut line = line("bad");
        line[key] = value;
        line.to_string()
    };
    let without = |key: &str| {
        let mut line = line("bad");
        line.as_object_mut().unwrap().remove(key);
        line.to_string()
    };
    let known = "must be a JSON object with none but the known keys, each once";
    let data = "data: must be a JSON object with at least one key";
    let name = "name: must have 1 to 255 characters after trimming, none of them NUL";
    let domain = "domain_id: must match [A-Za-z0-9][A-Za-z0-9._-]{0,39}";
    let user = "user_id: must have 1 to 255 characters, none of them a control character";
    let moment = "created_at: must be a moment as RFC 3339 writes it";
    let id = "user_secret_id: must be user-secret- and 12 lower-case hexadecimal digits";
    let long = |letters: usize| json!("x".repeat(letters));
    let cases = [
        (CANARY.to_owned(), "must be one JSON object"),
        (format!("{{\"name\": \"{CANARY}"), "must be one JSON object"),
        (format!("{} {{}}", line("bad")), "must be one JSON object"),
        (format!("\"{CANARY}\""), known),
        (format!("[\"{CANARY}\"]"), known),
        (with(CANARY, json!(1)), known),
        (with("expires_at", json!("2030-01-01T00:00:00Z")), known),
        (with("name", json!("bad")).replacen('{', &format!("{{\"data\":\"{CANARY}\","), 1), known),
        (with("encrypted", json!(true)), "encrypted: must be false: data comes in clear"),
        (with("encrypted", json!("false")), "encrypted: must be false: data comes in clear"),
        (
            with("encrypt_options", json!({ "a": CANARY })),
            "encrypt_options: must be an empty object",
        ),
        (without("name"), "name: is required"),
        (without("data"), "data: is required"),
        (without("user_id"), "user_id: is required"),
        (without("domain_id"), "domain_id: is required"),
        (with("name", json!(null)), "name: is required"),
        (with("name", json!([CANARY])), "name: must be a text"),
        (with("name", json!("  ")), name),
        (with("name", json!("a\0b")), name),
        (with("name", long(256)), name),
        (with("data", json!(CANARY)), data),
        (with("data", json!({})), data),
        (
            with("data", json!({ "a": long(65_536) })),
            "data: limits.data_bytes: must take 65536 bytes or less as JSON",
        ),
        (
            with("schema_id", long(41)),
            "schema_id: must have 1 to 40 characters after trimming, none of them NUL",
        ),
        (
            with("provider", long(41)),
            "provider: must have 1 to 40 characters after trimming, none of them NUL",
        ),
        (with("tags", json!([CANARY])), "tags: must be a JSON object"),
        (with("tags", json!({ "$a": CANARY })), "tags: a key must not begin with $ or contain NUL"),
        (
            with("tags", json!({ "a": long(16_384) })),
            "tags: limits.tags_bytes: must take 16384 bytes or less as JSON, with every digit of its numbers",
        ),
        (with("user_id", json!("a\u{7}")), user),
        (with("user_id", long(256)), user),
        (with("domain_id", json!("-")), domain),
        (with("domain_id", json!(CANARY.repeat(9))), domain),
        (with("user_secret_id", json!(CANARY)), id),
        (with("user_secret_id", json!("user-secret-ABCDEF012345")), id),
        (with("created_at", json!(1_700_000_000)), "created_at: must be a text"),
        (with("created_at", json!(CANARY)), moment),
        (with("created_at", json!("2024-02-30T00:00:00Z")), moment),
        (
            with("created_at", json!("9999-12-31T23:59:59-01:00")),
            "created_at: must lie in the years 0 to 9999, UTC",
        ),
        (with("name", long(1 << 20)), "limits.body_bytes: a line must have 1048576 bytes or less"),
    ];
    // A good line between any two, and blank ones.
    let mut input = String::new();
    let mut expected = Vec::new();
    for (n, (bad, rule)) in cases.iter().enumerate() {
        input += &format!("{bad}\n{}\n\r\n", line(&format!("good {n}")));
        expected.push(format!("✘ line {}: {rule}", 3 * n + 1));
    }
    let bytes = [input.as_bytes(), b"{\"name\": \"\xff\"}"].concat();
    expected.push(format!("✘ line {}: must be one JSON object", 3 * cases.len() + 1));
    expected.push(format!("{} stored, 0 there already, {} bad", cases.len(), cases.len() + 1));
    let said = desk.pipe(&bytes);
    said.is(1, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(said.out, "");
    let stored: i64 =
        app.database.value("SELECT count(*) FROM user_secrets WHERE name LIKE 'good %'").await;
    assert_eq!(usize::try_from(stored).unwrap(), cases.len());

    // Nothing of a line is anywhere, at the most talkative.
    let mut program = desk.program("import");
    let file = desk.dir.path().join("talk.jsonl");
    fs::write(&file, bytes).unwrap();
    let log = fs::File::create(app.dir.path().join("log")).unwrap();
    program.env("USERSECRET_LOG__FILTER", "trace").arg(&file).stderr(log);
    assert!(!program.status().unwrap().success());
    assert_eq!(found_in(app.dir.path(), CANARY), Vec::<std::path::PathBuf>::new());
    let log = fs::read_to_string(app.dir.path().join("log")).unwrap();
    assert!(log.contains(" INFO ") && log.contains("✘ line 1:"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_and_an_import_work_side_by_side() {
    const LINES: usize = 600;
    let app = TestApp::start().await;
    let desk = Desk::of(&app);
    let mut creating = JoinSet::new();
    for worker in 0..4 {
        let bob = app.user("bob");
        creating.spawn(async move {
            let mut ids = Vec::new();
            for n in 0..25 {
                ids.push(bob.create(&format!("{worker}/{n}")).await);
            }
            ids
        });
    }
    let input = text((0..LINES).map(line_with_id));
    let said = tokio::task::block_in_place(|| desk.import(&input, &[]));
    said.is(0, &[&format!("{LINES} stored, 0 there already, 0 bad")]);
    let created: Vec<String> = creating.join_all().await.concat();
    assert_eq!(created.len(), 100);

    // Both sealed under one key, whoever made it.
    assert_eq!(app.database.value::<i64>("SELECT count(*) FROM keks").await, 1);
    let born = "SELECT count(*) FROM audit_events WHERE operation = 'Domain.create_key'";
    assert_eq!(app.database.value::<i64>(born).await, 1);
    for id in created.iter().chain(&[id(0), id(LINES - 1)]) {
        assert_eq!(app.system().reveal("acme", id, None).await.code(), "OK");
    }
    // Lists end in the order of the lines.
    let query = r#"query($a: String) { userSecrets(query: {sort: [{key: "version"}]}, first: 100, after: $a) {
        nodes { userSecretId } pageInfo { endCursor } } }"#;
    let (mut listed, mut after) = (Vec::new(), Value::Null);
    while listed.len() < LINES {
        let page = app.user("ann").gql(query, json!({ "a": after })).await;
        let nodes = page.at("/data/userSecrets/nodes").as_array().unwrap();
        listed.extend(nodes.iter().map(|node| node["userSecretId"].as_str().unwrap().to_owned()));
        after = page.at("/data/userSecrets/pageInfo/endCursor").clone();
    }
    assert_eq!(listed, (0..LINES).map(id).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_tells_what_was_brought_in() {
    let app = TestApp::with(Seams::default(), QUICK).await;
    let desk = Desk::of(&app);
    let mut bad = line("bad");
    bad["data"] = json!({});
    desk.pipe(text([line_with_id(1), bad.clone(), bad, line_with_id(2)]).as_bytes());
    desk.pipe(text([line_with_id(1)]).as_bytes()).is(0, &["0 stored, 1 there already, 0 bad"]);
    let admin = app.caller("acme", "root", "DOMAIN_ADMIN");
    let query = "{ domain { auditEvents(filter: {operation: \"UserSecret.import\"}) { nodes {
        role userId target outcome count traceId } } } }";
    let answer = admin.gql(query, json!({})).await;
    let events = answer.at("/data/domain/auditEvents/nodes").as_array().unwrap();
    let mut told: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!((&event["role"], &event["userId"]), (&json!("OPERATOR"), &json!(null)));
            assert_eq!(event["traceId"], events[0]["traceId"]);
            (event["outcome"].as_str().unwrap(), event["target"].clone(), event["count"].clone())
        })
        .collect();
    told.sort_by_key(|(outcome, target, _)| (*outcome, target.to_string()));
    // A line that the rules refuse is counted; each that draws an id of its own is one of its own.
    assert_eq!(told.len(), 4);
    assert_eq!((told[0].0, told[1].0), ("INVALID_ARGUMENT", "INVALID_ARGUMENT"));
    assert_eq!(told[2..], [("ok", json!(id(1)), json!(1)), ("ok", json!(id(2)), json!(1))]);
    let verified = desk.verify();
    assert_eq!((verified.status, verified.errors.contains('✘')), (0, false), "{verified:?}");
    let (_dir, ..) = app.drain().await;
    let verified = desk.verify();
    assert_eq!(verified.status, 0, "{verified:?}");
}
