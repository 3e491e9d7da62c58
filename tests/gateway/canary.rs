//! A secret reaches no error, no log and no page of the database.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;

use crate::{
    faces::kit::{Grpc, Rest},
    support::{Client, TestApp, found_in},
};

const CANARY: &str = "canary-4f1e8c";

#[tokio::test]
async fn no_error_repeats_a_value_and_no_page_holds_one() {
    let app = TestApp::start().await;
    for text in misplaced(&app.user("ann")).await {
        assert!(!text.contains(CANARY), "{text}");
    }
    assert_eq!(found_in(app.dir.path(), CANARY), Vec::<std::path::PathBuf>::new());
}

/// Sends the canary wherever a secret may stand, rightly and wrongly; returns every error answer.
async fn misplaced(ann: &Client) -> Vec<String> {
    let good = ann
        .create_with(json!({ "name": "x", "data": { CANARY: CANARY, "deep": [{ "a": CANARY }] } }))
        .await;
    assert_eq!(good.code(), "OK");
    let mut errors = Vec::new();
    for data in [json!(CANARY), json!([CANARY]), json!(null)] {
        errors.push(ann.create_with(json!({ "name": "x", "data": data })).await);
    }
    errors.push(ann.create_with(json!({ "name": "", "data": { "a": CANARY } })).await);
    errors.push(ann.create_with(json!({ "name": { "a": CANARY }, "data": { "a": CANARY } })).await);
    errors.push(
        ann.create_with(json!({ "name": "x", "data": { "a": CANARY }, "expiresAt": CANARY })).await,
    );
    errors.push(ann.create_with(json!(CANARY)).await);
    errors.push(ann.create_with(json!({ "name": "x", "data": { "a": 1 }, CANARY: 1 })).await);
    for document in [
        format!(
            "mutation {{ createUserSecret(input: {{name: 5, data: \"{CANARY}\"}}) {{ userSecret {{ id }} }} }}"
        ),
        format!(
            "mutation {{ createUserSecret(input: {{name: \"x\", data: \"{CANARY}\"}}) {{ userSecret {{ id }} }} }}"
        ),
        format!(
            "mutation {{ createUserSecret(input: {{name: \"x\", data: {{a: \"{CANARY}\" }}) {{"
        ),
        format!("{{ userSecrets(query: {{keyword: [\"{CANARY}\"]}}) {{ nodes {{ id }} }} }}"),
        format!("{{ userSecrets(after: \"{CANARY}\") {{ nodes {{ id }} }} }}"),
    ] {
        errors.push(ann.gql(&document, json!({})).await);
    }
    for error in &errors {
        assert_ne!(error.code(), "OK", "{}", error.text);
    }
    let mut texts: Vec<_> = errors.into_iter().map(|error| error.text).collect();
    let (grpc, rest) = (Grpc::of(ann).await, Rest::of(ann));
    let data = json!({ CANARY: CANARY, "deep": [{ "a": CANARY }] });
    for (method, request, good) in [
        ("create", json!({ "name": "x", "data": data }), true),
        ("create", json!({ "name": "", "data": data }), false),
        ("create", json!({ "name": "x", "data": data, "schema_id": "s".repeat(41) }), false),
        ("create", json!({ "name": "x", "data": data, "tags": { "$a": CANARY } }), false),
        ("update_data", json!({ "user_secret_id": CANARY, "data": data }), false),
        ("get", json!({ "user_secret_id": CANARY }), false),
        ("list", json!({ "query": { "filter": [{ "k": "name", "v": CANARY }] } }), false),
    ] {
        for told in [grpc.call(method, &request).await, rest.call(method, &request).await] {
            assert_eq!(told.code == "OK", good, "{told:?}");
            texts.push(told.message);
        }
    }
    for request in [
        json!({ "name": "x", "data": CANARY }),
        json!({ "name": "x", "data": { "a": 1 }, CANARY: CANARY }),
        json!({ "name": [CANARY] }),
        json!(CANARY),
    ] {
        let told = rest.call("create", &request).await;
        assert_eq!(told.status, tonic::Code::InvalidArgument);
        texts.push(told.message);
    }
    texts
}

/// The program itself, at its most talkative: made once, started twice, and silent about secrets.
#[tokio::test]
async fn dev_keeps_its_data_and_logs_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let program = env!("CARGO_BIN_EXE_usersecret");
    let run = |arguments: &[&str]| {
        Command::new(program).args(arguments).args(["--data-dir"]).arg(dir.path()).output().unwrap()
    };
    for round in 0..2 {
        let log = fs::File::create(dir.path().join(format!("log-{round}"))).unwrap();
        let mut server = Command::new(program)
            .args(["dev", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(dir.path())
            .env("USERSECRET_LOG__FILTER", "trace")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let mut ready = false;
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if let Ok(answer) = reqwest::get(format!("{url}/readyz")).await
                && answer.status() == 200
            {
                ready = true;
                break;
            }
        }
        assert!(ready, "{}", fs::read_to_string(dir.path().join(format!("log-{round}"))).unwrap());
        let minted = run(&["token", "--domain", "acme", "--user", "ann"]).stdout;
        let token = String::from_utf8(minted).unwrap().trim().to_owned();
        let ann = Client { url, token: Some(token) };
        let count = ann.gql("{ userSecrets { totalCount } }", json!({})).await;
        assert_eq!(count.at("/data/userSecrets/totalCount"), round * 3);
        misplaced(&ann).await;
        assert!(Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
        // Not `wait` at once: the client's end of a connection lives on this thread, and must hear that it ends.
        while server.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(server.wait().unwrap().success());
    }
    assert!(run(&["hsm", "doctor"]).status.success());
    assert_eq!(found_in(dir.path(), CANARY), Vec::<std::path::PathBuf>::new());
    let pin = fs::read_to_string(dir.path().join("pin")).unwrap();
    assert_eq!(found_in(dir.path(), &pin), [dir.path().join("pin")]);
    let wrong = dir.path().join("wrong.toml");
    fs::write(&wrong, "[server]\nlistn = \"x\"\n").unwrap();
    let refused = Command::new(program).args(["serve", "--config"]).arg(&wrong).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("listn"));
}
