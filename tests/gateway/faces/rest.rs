//! REST as HTTP clients meet it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use usersecret::{query::Operator, statistics::GroupOperator};

use super::{
    document::Document,
    kit::{Rest, told},
};
use crate::support::TestApp;

#[tokio::test]
async fn a_secret_from_its_creation_to_its_end() {
    let app = TestApp::start().await;
    let rest = Rest::of(&app.user("ann"));
    for prefix in ["/secret/v1/user-secret", "/secret/user-secret"] {
        let call = async |verb: &str, body: Value| {
            let request = rest.request(Method::POST, &format!("{prefix}/{verb}"));
            told(request.json(&body).send().await.unwrap()).await
        };
        let input = json!({ "name": " aws ", "data": { "key": "s3cret" }, "schemaId": "aws",
            "tags": { "n": 1, "big": 9_007_199_254_740_993_u64, "f": 0.5, "o": { "l": [null, true] } } });
        let made = call("create", input).await.json;
        let id = made["user_secret_id"].clone();
        let created_at = made["created_at"].clone();
        // Every number is a double, and the nearest to 2^53 + 1 is 2^53.
        let expected = json!({ "user_secret_id": id, "name": "aws", "schema_id": "aws",
            "tags": { "n": 1, "big": 9_007_199_254_740_992_u64, "f": 0.5, "o": { "l": [null, true] } },
            "domain_id": "acme", "user_id": "ann", "created_at": created_at });
        assert_eq!(made, expected);
        assert_eq!(call("get", json!({ "userSecretId": id })).await.json, expected);
        let listed = call("list", json!({ "schema_id": "aws" })).await.json;
        assert_eq!(listed, json!({ "results": [expected], "total_count": 1 }));
        let changed = call("update", json!({ "user_secret_id": id, "tags": {} })).await.json;
        assert_eq!((&changed["name"], &changed["tags"]), (&json!("aws"), &json!({})));
        let data = json!({ "user_secret_id": id, "data": { "key": "new" }, "schema_id": "gcp" });
        assert_eq!(call("update-data", data).await.json, json!({}));
        let answer = app.system().reveal("acme", id.as_str().unwrap(), None).await;
        assert_eq!(answer.at("/data/userSecretData/data"), &json!({ "key": "new" }));
        assert_eq!(call("delete", json!({ "user_secret_id": id })).await.json, json!({}));
        assert_eq!(call("list", json!({})).await.json, json!({}));
        assert_eq!(call("get", json!({ "user_secret_id": id })).await.code, "ERROR_NOT_FOUND");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_not_repeated() {
    let app = TestApp::start().await;
    let rest = Rest::of(&app.user("ann"));
    let (invalid, wrong_type) = ("ERROR_INVALID_PARAMETER", "ERROR_INVALID_PARAMETER_TYPE");
    let deep = (0..40).fold(json!("canary"), |inner, _| json!({ "a": inner }));
    let deeper = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
    for (verb, body, code, key) in [
        ("create", json!({ "name": "x", "data": "canary" }).to_string(), wrong_type, "data"),
        ("create", json!({ "name": "x", "data": ["canary"] }).to_string(), wrong_type, "data"),
        ("create", json!({ "name": { "canary": 1 } }).to_string(), wrong_type, "name"),
        ("create", json!({ "name": "x", "data": deep }).to_string(), invalid, "data"),
        (
            "create",
            json!({ "name": "x", "data": { "a": 1 }, "canary": 1 }).to_string(),
            invalid,
            "body",
        ),
        (
            "create",
            json!({ "schemaId": "canary", "schema_id": "b" }).to_string(),
            invalid,
            "schema_id",
        ),
        ("create", json!("canary").to_string(), wrong_type, "body"),
        ("create", "{\"canary".to_owned(), invalid, ""),
        ("create", String::new(), invalid, ""),
        ("create", deeper, invalid, ""),
        ("create", "{\"name\":\"x\",\"data\":{\"a\":1e999}}".to_owned(), invalid, ""),
        ("create", r#"{"name":"canary","name":"y","data":{"a":1}}"#.to_owned(), invalid, ""),
        ("create", r#"{"name":"x","data":{"l":[{"a":"canary","a":2}]}}"#.to_owned(), invalid, ""),
        ("list", json!({ "query": { "canary": 1 } }).to_string(), invalid, "query"),
        (
            "list",
            json!({ "query": { "page": { "limit": "+1" } } }).to_string(),
            wrong_type,
            "query.page.limit",
        ),
        ("list", json!({ "query": { "filter": {} } }).to_string(), wrong_type, "query.filter"),
        (
            "list",
            json!({ "query": { "page": { "limit": -1 } } }).to_string(),
            wrong_type,
            "query.page.limit",
        ),
        (
            "list",
            json!({ "query": { "page": { "limit": 4_294_967_296_u64 } } }).to_string(),
            wrong_type,
            "query.page.limit",
        ),
        ("list", json!({ "query": { "minimal": 1 } }).to_string(), wrong_type, "query.minimal"),
        (
            "list",
            json!({ "query": { "filter": [{ "key": "a", "k": "b" }] } }).to_string(),
            invalid,
            "query.filter.0.k",
        ),
    ] {
        let path = format!("/secret/v1/user-secret/{verb}");
        let response = rest.request(Method::POST, &path).body(body.clone()).send().await.unwrap();
        let told = told(response).await;
        assert_eq!(told.code, code, "{body}");
        assert!(told.message.contains(key) && !told.message.contains("canary"), "{told:?}");
    }
    let null = json!({ "query": null, "name": null });
    assert_eq!(rest.call("list", &null).await.code, "OK");
}

#[tokio::test]
async fn statuses_and_headers() {
    let app = TestApp::start().await;
    let rest = Rest::of(&app.user("ann"));
    let list = "/secret/user-secret/list";
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = rest.request(Method::POST, list).json(&json!({}));
    let response = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let response = response.send().await.unwrap();
    assert_eq!(response.headers()["x-trace-id"], trace);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");

    let nobody = Rest::of(&app.with_token(None)).request(Method::POST, list);
    let response = nobody.json(&json!({})).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["www-authenticate"] == "Bearer"),
        (401, true)
    );
    assert_eq!(response.headers()["x-trace-id"].len(), 32);

    let response = rest.request(Method::GET, list).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["allow"] == "POST"), (405, true));

    let long = json!({ "name": "x".repeat(1 << 20) });
    let response = rest.request(Method::POST, list).json(&long).send().await.unwrap();
    assert_eq!(response.status(), 413);
    let told = told(response).await;
    assert_eq!(told.code, "ERROR_RESOURCE_EXHAUSTED");
    assert!(told.message.starts_with("limits.body_bytes: "), "{told:?}");

    for path in [
        "/secret/v1/user-secret/get-data",
        "/secret/v1/user-secret/get_data",
        "/secret/v1/user-secret",
        "/secret",
    ] {
        let request = rest.request(Method::POST, path).json(&json!({}));
        assert_eq!(request.send().await.unwrap().status(), 404, "{path}");
    }
}

#[tokio::test]
async fn the_document_describes_what_is_there() {
    let app = TestApp::start().await;
    let nobody = Rest::of(&app.with_token(None));
    let document = &Document::of(&app.url).await.json;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 15);
    for path in paths.keys().filter(|path| *path != "/openapi.json") {
        let answer = nobody.request(Method::POST, path).json(&json!({})).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{path}");
        let operation = &document["paths"][path]["post"];
        assert!(operation["summary"].is_string(), "{path}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let names = |schema: &Value| {
        let names = schema["properties"].as_object().into_iter().flat_map(|map| map.keys());
        names.cloned().collect::<BTreeSet<_>>()
    };
    // What is laid over a message has no other fields than the message.
    let packages = ["spaceone.api.core.v2", "spaceone.api.user_secret.v1"];
    let mut messages = 0;
    for (name, schema) in schemas {
        let found =
            packages.iter().find_map(|package| super::kit::fields(&format!("{package}.{name}")));
        let Some(fields) = found else { continue };
        let unserved = ["lookup", "add_fields"];
        let served = fields.into_iter().filter(|field| !unserved.contains(&field.as_str()));
        assert_eq!(names(schema), served.collect(), "{name}");
        for (field, schema) in schema["properties"].as_object().unwrap() {
            assert!(schema["description"].is_string() || name.ends_with("Info"), "{name}.{field}");
        }
        messages += 1;
    }
    assert_eq!(messages, 23);
    // Operators are those that there are.
    let operators = |name: &str| schemas[name]["enum"].clone();
    assert_eq!(operators("FilterOperator"), json!(Operator::ALL.map(Operator::as_str)));
    assert_eq!(operators("GroupOperator"), json!(GroupOperator::ALL.map(GroupOperator::as_str)));
}
