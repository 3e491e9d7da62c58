//! Who may do what over REST and gRPC: every method, every caller.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::kit::{Grpc, Rest, SERVICE, Told};
use crate::{
    isolation::callers,
    support::{Client, TestApp},
};

/// A method, and a request that exercises it on the secret `$id` of ann in acme.
fn requests(id: &str) -> [(&'static str, Value); 8] {
    [
        ("create", json!({ "name": "x", "data": { "a": 1 } })),
        ("get", json!({ "user_secret_id": id })),
        ("list", json!({ "user_secret_id": id })),
        ("stat", json!({ "query": { "distinct": "name" } })),
        ("update", json!({ "user_secret_id": id, "name": "x" })),
        ("update_data", json!({ "user_secret_id": id, "data": { "a": 1 } })),
        ("get_data", json!({ "user_secret_id": id, "domain_id": "acme" })),
        ("delete", json!({ "user_secret_id": id })),
    ]
}

/// Both faces; REST has no way to the data.
async fn ask(client: &Client, domain: Option<&str>, method: &str, request: &Value) -> [Told; 2] {
    let (mut grpc, mut rest) = (Grpc::of(client).await, Rest::of(client));
    if let Some(domain) = domain {
        (grpc, rest) = (grpc.in_domain(domain), rest.in_domain(domain));
    }
    [grpc.call(method, request).await, rest.call(method, request).await]
}

fn seen(method: &str, told: &Told) -> String {
    match (method, told.code.as_str()) {
        ("list", "OK") => {
            format!("{} rows", told.json["results"].as_array().map_or(0, Vec::len))
        }
        (_, "") => format!("{:?}", told.status),
        (_, code) => code.to_owned(),
    }
}

#[tokio::test]
async fn matrix() {
    let app = TestApp::start().await;
    let mut table = String::new();
    let ann = app.user("ann");
    for (index, (method, _)) in requests("").iter().enumerate() {
        for (name, caller) in callers(&app) {
            let mut answers = Vec::new();
            for over_rest in [false, true] {
                // Each face finds a secret that the other has not touched.
                let request = &requests(&ann.create("target").await)[index].1;
                let told = if over_rest {
                    Rest::of(&caller).call(method, request).await
                } else {
                    Grpc::of(&caller).await.call(method, request).await
                };
                answers.push(seen(method, &told));
            }
            writeln!(table, "{method:<12}{name:<15}{:<28}{}", answers[0], answers[1]).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_matrix_is_complete() {
    let methods = super::kit::methods(SERVICE);
    assert_eq!(methods.len(), 8);
    for method in methods {
        assert!(requests("").iter().any(|(known, _)| *known == method), "{method} has no row");
    }
}

#[tokio::test]
async fn a_foreign_id_answers_exactly_as_an_unknown_one() {
    let app = TestApp::start().await;
    let foreign = app.user("ann").create("target").await;
    let elsewhere = app.caller("globex", "ann", "USER").create("target").await;
    for (domain, client) in [(None, app.user("bob")), (Some("acme"), app.system())] {
        // To a system in acme ann's secret is no foreign one.
        let strange = if domain.is_none() { &foreign } else { &elsewhere };
        for (index, (method, _)) in requests("").iter().enumerate() {
            let at = async |id: &str| ask(&client, domain, method, &requests(id)[index].1).await;
            let mut first = at(strange).await;
            for unknown in ["user-secret-000000000000", "user-secret-nothing0here"] {
                let mut other = at(unknown).await;
                if *method == "create" {
                    (first[0].json, first[1].json) = (Value::Null, Value::Null);
                    (other[0].json, other[1].json) = (Value::Null, Value::Null);
                }
                assert_eq!(first, other, "{method}");
            }
        }
    }
}

#[tokio::test]
async fn a_system_acts_where_it_says() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    for face in 0..2 {
        let id = ann.create("target").await;
        let request = json!({ "user_secret_id": id });
        let delete = async |client: &Client, domain: &str| match face {
            0 => Grpc::of(client).await.in_domain(domain).call("delete", &request).await.code,
            _ => Rest::of(client).in_domain(domain).call("delete", &request).await.code,
        };
        assert_eq!(delete(&app.system(), "globex").await, "ERROR_NOT_FOUND");
        assert_eq!(delete(&app.system(), "no domain").await, "ERROR_PERMISSION_DENIED");
        // A user acts at home, whatever the header says; an administrator is a user here.
        assert_eq!(delete(&app.user("bob"), "globex").await, "ERROR_NOT_FOUND");
        let admin = app.caller("acme", "root", "DOMAIN_ADMIN");
        assert_eq!(delete(&admin, "acme").await, "ERROR_NOT_FOUND");
        assert_eq!(delete(&app.system(), "acme").await, "OK");
    }
}

#[tokio::test]
async fn who_may_not_is_told_nothing_of_the_request() {
    let app = TestApp::start().await;
    let mut claims = app.claims("acme", "ann", "USER");
    claims["scope"] = json!("secret:Nothing");
    let powerless = app.with_token(Some(app.sign(&claims)));
    for method in super::kit::methods(SERVICE) {
        let [grpc, rest] = ask(&powerless, None, &method, &json!({})).await;
        assert_eq!(grpc.code, "ERROR_PERMISSION_DENIED", "{method}");
        assert_eq!(rest.code, if method == "get_data" { "" } else { "ERROR_PERMISSION_DENIED" });
        let [grpc, _] = ask(&app.with_token(None), None, &method, &json!({})).await;
        assert_eq!(grpc.code, "ERROR_AUTHENTICATE_FAILURE", "{method}");
    }
}

#[tokio::test]
async fn what_is_required_is_looked_for_in_order() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let id = "user-secret-000000000000";
    for (method, request, key) in [
        ("create", json!({}), "name"),
        ("create", json!({ "name": "x" }), "data"),
        ("update", json!({}), "user_secret_id"),
        ("delete", json!({}), "user_secret_id"),
        ("update_data", json!({}), "user_secret_id"),
        ("update_data", json!({ "user_secret_id": id }), "data"),
        ("get", json!({ "user_secret_id": "" }), "user_secret_id"),
        ("stat", json!({}), "query"),
    ] {
        for told in ask(&ann, None, method, &request).await {
            assert_eq!(told.code, "ERROR_REQUIRED_PARAMETER", "{method} {told:?}");
            assert_eq!(told.message, format!("Required parameter. (key = {key})"), "{method}");
        }
    }
    let system = Grpc::of(&app.system()).await;
    for (request, key) in [
        (json!({}), "user_secret_id"),
        (json!({ "domain_id": "acme" }), "user_secret_id"),
        (json!({ "user_secret_id": id }), "domain_id"),
    ] {
        let told = system.call("get_data", &request).await;
        assert_eq!(told.message, format!("Required parameter. (key = {key})"));
    }
}
