//! Lists: order, pages, keywords.

use serde_json::{Value, json};

use usersecret::app::Seams;

use crate::support::{Client, TestApp, TestDatabase};

async fn names(client: &Client, arguments: &str) -> Vec<String> {
    let answer = client
        .gql(&format!("{{ userSecrets({arguments}) {{ nodes {{ name }} }} }}"), json!({}))
        .await;
    let nodes = answer.at("/data/userSecrets/nodes").as_array().unwrap();
    nodes.iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn names_sort_by_code_point_and_ties_by_insertion() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    for name in ["b", "가", "B", "9", "a"] {
        ann.create(name).await;
    }
    assert_eq!(names(&ann, "first: 100").await, ["9", "B", "a", "b", "가"]);
    let by_schema = r#"query: {sort: [{key: "schema_id", desc: true}, {key: "name", desc: true}]}"#;
    assert_eq!(names(&ann, by_schema).await, ["가", "b", "a", "B", "9"]);
    assert_eq!(names(&ann, "query: {page: {start: 2, limit: 2}}").await, ["B", "a"]);
    assert_eq!(names(&ann, "query: {page: {start: 0}}").await.len(), 5);
    assert_eq!(names(&ann, r#"name: "b""#).await, ["b"]);
}

#[tokio::test]
async fn cursors_walk_every_row_once_in_both_directions() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    for n in 0..13 {
        let schema = [Value::Null, json!("s"), json!("t")][n % 3].clone();
        ann.create_with(
            json!({ "name": format!("n{}", n % 4), "data": { "a": 1 }, "schemaId": schema }),
        )
        .await;
    }
    let sorts = [
        "",
        r#"{key: "schema_id"}"#,
        r#"{key: "schema_id", desc: true}, {key: "name"}"#,
        r#"{key: "expires_at", desc: true}"#,
    ];
    for sort in sorts {
        let query = format!(
            "query($f: Int, $a: String, $l: Int, $b: String) {{
            userSecrets(query: {{sort: [{sort}]}}, first: $f, after: $a, last: $l, before: $b) {{
            nodes {{ userSecretId }} totalCount
            pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
        );
        let all = ids(&ann.gql(&query, json!({ "f": 100 })).await.json);
        assert_eq!(all.len(), 13);
        let (mut forward, mut after) = (Vec::new(), Value::Null);
        loop {
            let page = ann.gql(&query, json!({ "f": 4, "a": after })).await;
            assert_eq!(page.at("/data/userSecrets/totalCount"), 13);
            forward.extend(ids(&page.json));
            after = page.at("/data/userSecrets/pageInfo/endCursor").clone();
            if page.at("/data/userSecrets/pageInfo/hasNextPage") == false {
                break;
            }
        }
        assert_eq!(forward, all, "{sort}");
        let (mut backward, mut before) = (Vec::new(), Value::Null);
        loop {
            let page = ann.gql(&query, json!({ "l": 5, "b": before })).await;
            let mut rows = ids(&page.json);
            rows.append(&mut backward);
            backward = rows;
            before = page.at("/data/userSecrets/pageInfo/startCursor").clone();
            if page.at("/data/userSecrets/pageInfo/hasPreviousPage") == false {
                break;
            }
        }
        assert_eq!(backward, all, "{sort}");
    }
}

fn ids(json: &Value) -> Vec<String> {
    let nodes = json.pointer("/data/userSecrets/nodes").and_then(Value::as_array).unwrap();
    nodes.iter().map(|node| node["userSecretId"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_cursor_is_bound_to_its_query_and_caller() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    ann.create("a").await;
    let answer = ann.gql("{ userSecrets { edges { cursor } } }", json!({})).await;
    let cursor = answer.at("/data/userSecrets/edges/0/cursor").as_str().unwrap();
    let same = format!("{{ userSecrets(after: {cursor:?}) {{ nodes {{ id }} }} }}");
    let other = format!("{{ userSecrets(name: \"a\", after: {cursor:?}) {{ nodes {{ id }} }} }}");
    assert_eq!(ann.gql(&same, json!({})).await.code(), "OK");
    assert_eq!(ann.gql(&other, json!({})).await.code(), "INVALID_ARGUMENT");
    assert_eq!(app.user("bob").gql(&same, json!({})).await.code(), "INVALID_ARGUMENT");
}

#[tokio::test]
async fn keywords_are_words_of_any_case_and_no_patterns() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    for name in ["AWS prod", "Ärger", "100%", "a_b", "plain"] {
        ann.create(name).await;
    }
    assert_eq!(names(&ann, r#"query: {keyword: "aws ärg"}"#).await, ["AWS prod", "Ärger"]);
    assert_eq!(names(&ann, r#"query: {keyword: "%"}"#).await, ["100%"]);
    assert_eq!(names(&ann, r#"query: {keyword: "_"}"#).await, ["a_b"]);
    assert_eq!(names(&ann, r#"query: {keyword: " "}"#).await.len(), 5);
}

#[tokio::test]
async fn bad_pages_are_refused() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    for arguments in [
        "first: 101",
        "first: -1",
        "first: 1, last: 1",
        "after: \"x\"",
        "query: {page: {limit: 101}}",
        "first: 1, query: {page: {}}",
        "query: {sort: [{key: \"data\"}]}",
    ] {
        let query = format!("{{ userSecrets({arguments}) {{ nodes {{ id }} }} }}");
        assert_eq!(ann.gql(&query, json!({})).await.code(), "INVALID_ARGUMENT", "{arguments}");
    }
}

#[tokio::test]
async fn what_takes_too_long_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = TestDatabase::create(dir.path()).await;
    database.toml += "statement_timeout_ms = 500\n";
    let app = TestApp::on(dir, database, Seams::default(), "").await;
    let ann = app.user("ann");
    let id = ann.create("a").await;
    // As many more as it takes, and as long.
    let (columns, long) = (
        "user_id, tags, search_text, version, revision, created_at, updated_at, position",
        "xyz".repeat(80),
    );
    let more = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
        INSERT INTO user_secrets (domain_id, user_secret_id, name, {columns})
            SELECT domain_id, user_secret_id || n, '{long}', {columns} FROM user_secrets, numbers"
    );
    app.sql(&[more]).await;
    // As many as a query may have, and none like another, or PostgreSQL tries it once.
    let slow = |n: u32| json!({ "key": "name", "operator": "REGEX", "value": format!("(x|y|z)+{n}[^b]{{1,9}}$") });
    let query = json!({ "filterOr": (0..32).map(slow).collect::<Vec<_>>() });
    let list = "query($q: QueryInput) { userSecrets(query: $q) { totalCount } }";
    let answer = ann.gql(list, json!({ "q": query })).await;
    assert_eq!(answer.code(), "RESOURCE_EXHAUSTED", "{}", answer.text);
    assert!(answer.message().starts_with("database.statement_timeout_ms: what is asked takes"));
    // And no connection is the worse for it.
    for _ in 0..20 {
        assert_eq!(ann.get(&id).await.code(), "OK");
        assert_eq!(names(&ann, "first: 1").await, ["a"]);
    }
}
