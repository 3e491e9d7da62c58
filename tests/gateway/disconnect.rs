//! Clients that go away in the middle.

use std::time::Duration;

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
    let halves = "SELECT count(*) FROM user_secrets s WHERE NOT EXISTS (SELECT 1 FROM user_secret_versions v
        WHERE v.domain_id = s.domain_id AND v.user_secret_id = s.user_secret_id AND v.version = s.version)";
    assert_eq!(app.database.value::<i64>(halves).await, 0);
    assert_eq!(app.system().reveal("acme", &id, None).await.code(), "OK");
}
