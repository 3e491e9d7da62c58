//! Requests that try to kill or to stall the service.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::{Answer, TestApp};

fn corpus() -> Vec<(&'static str, String)> {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(20_000), close.repeat(20_000));
    let mut exponential = String::from("{ ...f0 }");
    for n in 0..30 {
        write!(exponential, " fragment f{n} on Query {{ ...f{0} ...f{0} }}", n + 1).unwrap();
    }
    exponential.push_str(" fragment f30 on Query { __typename }");
    let mut doubling = String::from("{ ...f0 }");
    for n in 0..15 {
        write!(doubling, " fragment f{n} on Query {{ ...f{0} ...f{0} }}", n + 1).unwrap();
    }
    doubling.push_str(" fragment f15 on Query { __typename }");
    vec![
        ("lists", format!("{{ userSecret(userSecretId: {}) {{ name }} }}", deep("[", "]"))),
        ("objects", format!("{{ userSecret(userSecretId: {}) {{ name }} }}", deep("{a:", "}"))),
        ("types", format!("query($a: {}) {{ __typename }}", deep("[", "]"))),
        ("selections", deep("{a", "}")),
        ("unclosed", "{a".repeat(100_000)),
        ("parentheses", "(".repeat(100_000)),
        ("exponential", exponential),
        ("doubling", doubling),
        ("cycle", "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }".into()),
        ("repeated", format!("{{ {} }}", "id ".repeat(100_000))),
        (
            "aliases",
            format!(
                "{{ {} }}",
                (0..600).fold(String::new(), |s, n| s + &format!("a{n}:__typename "))
            ),
        ),
        ("string hides brackets", format!("{{ a(b: \"\n{} }}", "[".repeat(9_000))),
        ("block string", format!("{{ a(b: \"\"\"x\\\"\"\" \"\"\" {} }}", "[".repeat(9_000))),
        ("unclosed block string", format!("{{userSecret(userSecretId:[\"\"\"\" {}{} ]){{id}}}}", "[".repeat(400), "]".repeat(400))),
        ("unclosed string", format!("{{userSecret(userSecretId:[\"\" \"{}{} ]){{id}}}}", "[".repeat(400), "]".repeat(400))),
        ("twin mutations", "mutation { deleteUserSecret(input: {userSecretId: 1}) { a: userSecretId } ...f } fragment f on Mutation { deleteUserSecret(input: {userSecretId: 1}) { userSecretId } }".into()),
        ("comment", format!("# {}\n{}", "[".repeat(100), "[".repeat(9_000))),
        ("directives", format!("{{ __typename {} }}", "@skip(if: false) ".repeat(2_000))),
    ]
}

#[tokio::test]
async fn no_document_kills_or_stalls() {
    let app = TestApp::start().await;
    for (name, document) in corpus() {
        for client in [app.user("ann"), app.with_token(None)] {
            let expected =
                if client.token.is_some() { "INVALID_ARGUMENT" } else { "UNAUTHENTICATED" };
            let answer = client.gql(&document, json!({})).await;
            assert_eq!(answer.code(), expected, "{name}: {}", answer.text);
        }
    }
    app.user("ann").create("still alive").await;
}

#[tokio::test]
async fn only_proper_http_is_served() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let raw = async |content_type: &str, body: String| {
        Answer::of(
            ann.request().header("content-type", content_type).body(body).send().await.unwrap(),
        )
        .await
        .status
    };
    let query = r#"{"query":"{ __typename }"}"#;
    assert_eq!(raw("application/json; charset=utf-8", query.into()).await, 200);
    for content_type in ["text/plain", "multipart/form-data; boundary=x", "application/graphql"] {
        assert_eq!(raw(content_type, query.into()).await, 415, "{content_type}");
    }
    assert_eq!(raw("application/json", "x".repeat(1_100_000)).await, 413);
    let strict = "application/graphql-response+json";
    for body in [
        "",
        "[]",
        "{",
        r#"[{"query":"{ __typename }"}]"#,
        r#"{"query":"{a}","query":"{b}"}"#,
        r#"{"query":7}"#,
        r#"{"query":"{ __typename }","variables":{"a":{"b":1,"b":2}}}"#,
        r#"{"query":"{ __typename"}"#,
    ] {
        let request =
            ann.request().header("accept", strict).header("content-type", "application/json");
        let answer = Answer::of(request.body(body).send().await.unwrap()).await;
        assert_eq!((answer.status, answer.code()), (400, "INVALID_ARGUMENT"), "{body}");
    }
    let get = async |query: &str| {
        let request = reqwest::Client::new().get(format!("{}/graphql?query={query}", app.url));
        request.bearer_auth(ann.token.as_ref().unwrap()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(get("%7B__typename%7D").await, 200);
    assert_eq!(get("mutation%7B__typename%7D").await, 405);
    let refused = ann.request().header("accept", "text/html").json(&json!({ "query": "{a}" }));
    assert_eq!(refused.send().await.unwrap().status(), 406);
}
