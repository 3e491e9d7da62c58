//! Lists of REST and gRPC: numbered pages, and what is not served.

use serde_json::{Value, json};

use super::kit::{Grpc, Rest};
use crate::support::TestApp;

#[tokio::test]
async fn a_thousand_rows_at_once() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    ann.create("0000").await;
    let copies = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1004)
        INSERT INTO user_secrets (domain_id, user_secret_id, user_id, name, tags, search_text,
            version, revision, created_at, updated_at, position)
        SELECT domain_id, 'user-secret-' || (100000000000 + i), user_id, substr('' || (10000 + i), 2),
            tags, search_text, version, revision, created_at, updated_at, position + i
        FROM user_secrets, n";
    app.sql(&[copies.to_owned()]).await;
    let (grpc, rest) = (Grpc::of(&ann).await, Rest::of(&ann));
    for (query, first, count) in [
        (json!({}), "0000", 1000),
        (json!({ "page": { "start": 7 } }), "0000", 1000),
        (json!({ "page": { "start": 0, "limit": 2 } }), "0000", 2),
        (json!({ "page": { "start": 2, "limit": 4_000_000_000_u32 } }), "0001", 1000),
        (json!({ "page": { "start": 1001, "limit": 1000 } }), "1000", 5),
        (json!({ "page": { "start": 4_000_000_000_u32, "limit": 10 } }), "", 0),
        (json!({ "count_only": true, "page": { "limit": 10 } }), "", 0),
    ] {
        let request = json!({ "query": query });
        for told in [grpc.call("list", &request).await, rest.call("list", &request).await] {
            assert_eq!(told.json["total_count"], 1005, "{query}");
            let rows = told.json["results"].as_array().cloned().unwrap_or_default();
            assert_eq!(rows.len(), count, "{query}");
            let name = rows.first().map_or("", |row| row["name"].as_str().unwrap());
            assert_eq!(name, first, "{query}");
        }
    }
}

#[tokio::test]
async fn minimal_rows() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let id = ann.create("one").await;
    let request = json!({ "query": { "minimal": true } });
    let expected =
        json!({ "results": [{ "user_secret_id": id, "name": "one" }], "total_count": 1 });
    assert_eq!(Rest::of(&ann).call("list", &request).await.json, expected);
    let told = Grpc::of(&ann).await.call("list", &request).await;
    assert_eq!(told.json["results"], expected["results"]);
}

#[tokio::test]
async fn what_is_not_served_is_named() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let (grpc, rest) = (Grpc::of(&ann).await, Rest::of(&ann));
    let condition = json!([{ "k": "canary", "v": "canary", "o": "eq" }]);
    let query = |query: Value| json!({ "query": query });
    for (method, request, key) in [
        ("list", query(json!({ "filter": condition })), "query.filter.0.key"),
        ("list", query(json!({ "filterOr": condition })), "query.filter_or.0.key"),
        ("list", query(json!({ "only": ["canary"] })), "query.only.0"),
        (
            "list",
            query(json!({ "only": ["name"], "unwind": { "path": "canary" } })),
            "query.unwind.path",
        ),
        ("list", query(json!({ "lookup": [] })), "query.lookup"),
        ("list", query(json!({ "addFields": {} })), "query.add_fields"),
        ("list", query(json!({ "sort": [{ "key": "canary" }] })), "query.sort.0.key"),
        ("list", query(json!({ "keyword": "canary ".repeat(17) })), "query.keyword"),
        ("stat", query(json!({ "filter": condition, "distinct": "name" })), "query.filter.0.key"),
        (
            "stat",
            query(json!({ "aggregate": [{ "group": { "keys": [{ "k": "canary", "n": "x" }] } }] })),
            "query.aggregate.0.group.keys.0.key",
        ),
    ] {
        for told in [grpc.call(method, &request).await, rest.call(method, &request).await] {
            assert_eq!(told.code, "ERROR_INVALID_PARAMETER", "{request}");
            let start = format!("Parameter is invalid. (key = {key}, reason = ");
            assert!(told.message.starts_with(&start), "{told:?}");
            assert!(!told.message.contains("canary"), "{told:?}");
        }
    }
    // Nothing is unwound along no path.
    let told = grpc.call("list", &query(json!({ "unwind": {} }))).await;
    assert_eq!(told.code, "OK");
}
