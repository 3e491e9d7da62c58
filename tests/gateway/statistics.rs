//! Statistics: chance against a reference, and bounds, on either database.

use serde_json::{Value, json};

use crate::{
    filter::{Told, queries},
    pipeline::{compare, distinct, document, draw_pipelines, run},
    reference::draw_rows,
    support::{Client, TestApp},
};

const STAT: &str =
    "query($q: StatisticsQueryInput!) { userSecretStat(query: $q) { results totalCount } }";

/// Alike, where a sum may be rounded in another place.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| alike(v, w)))
        }
        _ => compare(a, b).is_eq(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chance_finds_no_difference_to_the_reference() {
    let told = Told::start().await;
    let client = told.caller("acme", "ann");
    let rows = draw_rows();
    told.import(&rows).await;
    let documents: Vec<Value> = rows.iter().map(document).collect();
    let mut answered = 0;
    for (n, stages) in draw_pipelines(queries() / 4).into_iter().enumerate() {
        let expected = run(documents.clone(), &stages);
        let answer = client.gql(STAT, json!({ "q": { "aggregate": stages } })).await;
        assert_eq!(answer.code(), "OK", "pipeline {n}: {} {}", json!(stages), answer.text);
        let results = answer.at("/data/userSecretStat/results");
        assert!(
            alike(results, &json!(expected)),
            "pipeline {n}: {}\n{results}\n{}",
            json!(stages),
            json!(expected)
        );
        answered += usize::from(!expected.is_empty());
    }
    assert!(answered > queries() / 8, "{answered} had results");
    for path in ["tags.a", "tags.a.b", "tags.b.0", "tags", "name", "schema_id", "created_at"] {
        let answer = client.gql(STAT, json!({ "q": { "distinct": path } })).await;
        let expected = json!(distinct(&documents, path));
        let results = answer.at("/data/userSecretStat/results");
        assert!(alike(results, &expected), "{path}: {results}\n{expected}");
    }
}

#[tokio::test]
async fn what_is_no_stage_is_refused_by_its_path() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let group = |more: Value| {
        let mut group = json!({ "keys": [{ "key": "provider", "name": "p" }], "fields": [{ "name": "n", "operator": "COUNT" }] });
        group.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "group": group })
    };
    let field = |field: Value| group(json!({ "fields": [field] }));
    let unwind = |filter: Value| json!({ "unwind": { "path": "tags.a", "filter": filter } });
    let at = "query.aggregate.0";
    for (stages, path) in [
        (json!([]), "aggregate".to_owned()),
        (json!([group(json!({ "keys": [], "fields": [] }))]), format!("{at}.group")),
        (
            json!([group(json!({ "keys": [{ "key": "bogus", "name": "x" }] }))]),
            format!("{at}.group.keys.0.key"),
        ),
        (
            json!([group(json!({ "keys": [{ "key": "data", "name": "x" }] }))]),
            format!("{at}.group.keys.0.key"),
        ),
        (
            json!([group(json!({ "keys": [{ "key": "name.x", "name": "x" }] }))]),
            format!("{at}.group.keys.0.key"),
        ),
        (
            json!([group(json!({ "keys": [{ "key": "tags..x", "name": "x" }] }))]),
            format!("{at}.group.keys.0.key"),
        ),
        (
            json!([group(json!({ "keys": [{ "key": "name", "name": "a.b" }] }))]),
            format!("{at}.group.keys.0.name"),
        ),
        (
            json!([group(json!({ "keys": [{ "key": "name", "name": "$a" }] }))]),
            format!("{at}.group.keys.0.name"),
        ),
        (
            json!([group(json!({ "keys": [{ "key": "name", "name": "n" }] }))]),
            format!("{at}.group.fields.0.name"),
        ),
        (
            json!([group(
                json!({ "keys": [{ "key": "name", "name": "d", "dateFormat": "day" }] })
            )]),
            format!("{at}.group.keys.0.dateFormat"),
        ),
        (
            json!([group(
                json!({ "keys": [{ "key": "created_at", "name": "d", "dateFormat": "%q" }] })
            )]),
            format!("{at}.group.keys.0.dateFormat"),
        ),
        (
            json!([field(json!({ "name": "s", "operator": "SUM" }))]),
            format!("{at}.group.fields.0.key"),
        ),
        (
            json!([field(json!({ "name": "s", "operator": "PUSH" }))]),
            format!("{at}.group.fields.0.fields"),
        ),
        (
            json!([field(
                json!({ "name": "s", "operator": "MAX", "key": "name", "conditions": [{ "key": "name", "operator": "EQ", "value": 1 }] })
            )]),
            format!("{at}.group.fields.0.conditions"),
        ),
        (
            json!([field(
                json!({ "name": "s", "operator": "COUNT", "conditions": [{ "key": "name", "operator": "REGEX", "value": "x" }] })
            )]),
            format!("{at}.group.fields.0.conditions.0.operator"),
        ),
        (
            json!([unwind(json!([{ "key": "tags.a", "operator": "GT", "value": 1 }]))]),
            format!("{at}.unwind.filter.0.operator"),
        ),
        (
            json!([unwind(json!([{ "key": "tags.a", "operator": "IN", "value": 1 }]))]),
            format!("{at}.unwind.filter.0.value"),
        ),
        (
            json!([unwind(json!([{ "key": "tags.a", "operator": "EQ", "value": 0 }]))]),
            format!("{at}.unwind.filter.0.value"),
        ),
        (
            json!([unwind(json!([{ "key": "tags.a", "operator": "CONTAIN", "value": 1 }]))]),
            format!("{at}.unwind.filter.0.value"),
        ),
        (json!([{ "sort": [] }]), format!("{at}.sort")),
        (json!([{ "skip": -1 }]), format!("{at}.skip")),
        (json!([{ "limit": 0 }]), format!("{at}.limit")),
        (json!([{ "count": { "name": "" } }]), format!("{at}.count.name")),
        (json!([{ "project": { "fields": [] } }]), format!("{at}.project.fields")),
        (
            json!([group(json!({})), { "sort": [{ "key": "provider" }] }]),
            "query.aggregate.1.sort.0.key".to_owned(),
        ),
        (
            json!([{ "count": { "name": "n" } }, group(json!({}))]),
            "query.aggregate.1.group.keys.0.key".to_owned(),
        ),
        (json!(vec![json!({ "skip": 1 }); 21]), "query.aggregate".to_owned()),
    ] {
        let answer = ann.gql(STAT, json!({ "q": { "aggregate": stages } })).await;
        assert_eq!(answer.code(), "INVALID_ARGUMENT", "{stages}: {}", answer.text);
        assert_eq!(answer.message().split(':').next().unwrap(), path, "{stages}: {}", answer.text);
    }
}

async fn stat(client: &Client, query: Value) -> Value {
    let answer = client.gql(STAT, json!({ "q": query })).await;
    answer.at("/data/userSecretStat").clone()
}

#[tokio::test]
async fn each_counts_what_they_may_see() {
    let app = TestApp::start().await;
    let (ann, bob, eve) = (app.user("ann"), app.user("bob"), app.caller("globex", "eve", "USER"));
    for (client, count) in [(&ann, 3), (&bob, 2), (&eve, 1)] {
        for n in 0..count {
            client.create(&format!("secret {n}")).await;
        }
    }
    let of_user = json!({ "aggregate": [{ "group": {
        "keys": [{ "key": "domain_id", "name": "d" }, { "key": "user_id", "name": "u" }],
        "fields": [{ "name": "n", "operator": "COUNT" }] } }] });
    let own = stat(&ann, of_user.clone()).await;
    assert_eq!(own["results"], json!([{ "d": "acme", "u": "ann", "n": 3 }]));
    let document =
        "query($q: StatisticsQueryInput!) { domain { userSecretStat(query: $q) { results } } }";
    let admin = app.caller("acme", "root", "DOMAIN_ADMIN");
    let whole = admin.gql(document, json!({ "q": of_user })).await;
    assert_eq!(
        whole.at("/data/domain/userSecretStat/results"),
        &json!([{ "d": "acme", "u": "ann", "n": 3 }, { "d": "acme", "u": "bob", "n": 2 }])
    );
    assert_eq!(ann.gql(document, json!({ "q": of_user })).await.code(), "PERMISSION_DENIED");
    // A refusal comes before what is wrong with the query.
    let refused = app.system().gql(STAT, json!({ "q": {} })).await;
    assert_eq!(refused.code(), "PERMISSION_DENIED");
}

#[tokio::test]
async fn pages_and_bounds() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    ann.create_with(json!({ "name": "0", "data": { "a": 1 }, "tags": { "list": vec![7; 40], "long": "x".repeat(4000) } }))
        .await;
    let copies = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10100)
        INSERT INTO user_secrets (domain_id, user_secret_id, user_id, name, tags, search_text,
            version, revision, created_at, updated_at, position)
        SELECT domain_id, 'user-secret-' || (100000000000 + i), user_id, '' || i,
            tags, search_text, version, revision, created_at, updated_at, position + i
        FROM user_secrets, n";
    app.sql(&[copies.to_owned()]).await;
    let names = json!({ "distinct": "name", "page": { "start": 10101, "limit": 5 } });
    let last = stat(&ann, names).await;
    assert_eq!(last, json!({ "results": ["9999"], "totalCount": 10101 }));
    for (query, limit) in [
        (json!({ "distinct": "name" }), "statistics.results"),
        (json!({ "aggregate": [{ "sort": [{ "key": "name" }] }] }), "statistics.memory"),
    ] {
        let answer = ann.gql(STAT, json!({ "q": query })).await;
        assert_eq!(answer.code(), "RESOURCE_EXHAUSTED", "{query}");
        assert_eq!(answer.message().split(':').next().unwrap(), limit, "{}", answer.text);
    }
    // What is alike is counted by the database, whatever there is of it.
    let counted = stat(&ann, json!({ "aggregate": [{ "unwind": { "path": "tags.list" } }, { "count": { "name": "n" } }] })).await;
    assert_eq!(counted["results"], json!([{ "n": 10101 * 40 }]));
}
