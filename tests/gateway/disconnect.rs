//! Clients that go away in the middle.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;

use crate::support::{TestApp, module};

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_half_change() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let id = ann.create("kept").await;
    let query = "mutation($i: CreateUserSecretInput!) { createUserSecret(input: $i) { userSecret { id } } }";
    let replace = "mutation($i: UpdateUserSecretDataInput!) { updateUserSecretData(input: $i) { userSecret { id } } }";
    for n in 0..60_u64 {
        let body = if n % 2 == 0 {
            json!({ "query": query, "variables": { "i": { "name": "x", "data": { "a": 1 } } } })
        } else {
            json!({ "query": replace, "variables": { "i": { "userSecretId": id, "data": { "a": n } } } })
        };
        let request = ann.request().json(&body).send();
        let _ = tokio::time::timeout(Duration::from_micros(n * 150), request).await;
    }
    assert_ne!(ann.create("at once").await, "");
    let halves = "SELECT count(*) FROM user_secrets s WHERE NOT EXISTS (SELECT 1 FROM user_secret_versions v
        WHERE v.domain_id = s.domain_id AND v.user_secret_id = s.user_secret_id AND v.version = s.version)";
    assert_eq!(app.database.value::<i64>(halves).await, 0);
    assert_eq!(app.system().reveal("acme", &id, None).await.code(), "OK");
}

#[test]
fn a_client_that_is_silent_does_not_spoil_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_usersecret"))
        .args(["dev", "--data-dir", "data", "--listen", "127.0.0.1:0"])
        .env("USERSECRET_HSM__MODULE", module())
        .env("USERSECRET_SERVER__DRAIN_TIMEOUT_MS", "5000")
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(program.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address =
        said.find_map(|line| line.strip_prefix("listening on http://").map(str::to_owned));
    // HTTP/2 (RFC 9113 §3.4), as gRPC's connections are: the server asks before it ends one, and is not answered.
    let mut silent = TcpStream::connect(address.unwrap()).unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    silent.read_exact(&mut [0; 9]).unwrap();
    assert!(Command::new("kill").arg(program.id().to_string()).status().unwrap().success());
    let status = program.wait().unwrap();
    assert!(status.success(), "{status}");
}
