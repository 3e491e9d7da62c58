//! Clients that go away in the middle.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, Database, Statement};
use serde_json::json;

use crate::support::TestApp;

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
    let url = format!("sqlite://{}", app.database_file().display());
    let connection = Database::connect(url).await.unwrap();
    let halves = "SELECT count(*) AS n FROM user_secrets s WHERE NOT EXISTS (SELECT 1 FROM user_secret_versions v
        WHERE v.domain_id = s.domain_id AND v.user_secret_id = s.user_secret_id AND v.version = s.version)";
    let backend = connection.get_database_backend();
    let row =
        connection.query_one_raw(Statement::from_string(backend, halves)).await.unwrap().unwrap();
    assert_eq!(row.try_get::<i64>("", "n").unwrap(), 0);
    assert_eq!(app.system().reveal("acme", &id, None).await.code(), "OK");
}
