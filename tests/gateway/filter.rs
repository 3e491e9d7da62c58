//! Conditions: chance against a reference, on either database.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use usersecret::{
    app::Seams,
    clock::{Clock, Timestamp},
};

use crate::{
    reference::{Condition, Row, draw_conditions, draw_rows},
    support::{Answer, Client, TestApp, on_postgres},
};

const LIST: &str = "query($q: QueryInput, $id: ID, $name: String, $schema: String, $provider: String, $n: Int) {
    userSecrets(query: $q, userSecretId: $id, name: $name, schemaId: $schema, provider: $provider, first: $n) {
        totalCount nodes { userSecretId } } }";

fn ids(answer: &Answer) -> Vec<String> {
    let nodes = answer.at("/data/userSecrets/nodes").as_array().unwrap();
    nodes.iter().map(|node| node["userSecretId"].as_str().unwrap().to_owned()).collect()
}

/// A service that is told what time it is.
pub struct Told {
    app: TestApp,
    now: Arc<Mutex<Timestamp>>,
}

impl Told {
    pub async fn start() -> Self {
        let now = Arc::new(Mutex::new(Timestamp::from_micros(0)));
        let present = Arc::clone(&now);
        let clock = Clock::from_fn(move || *present.lock().unwrap());
        Self { app: TestApp::with_seams(Seams { clock, ..Seams::default() }).await, now }
    }

    fn is(&self, moment: &str) {
        *self.now.lock().unwrap() = OffsetDateTime::parse(moment, &Rfc3339).unwrap().into();
    }

    /// Tokens of today are good for as long as anybody tells the service that it is.
    pub fn caller(&self, domain: &str, user: &str) -> Client {
        let mut claims = self.app.claims(domain, user, "USER");
        claims["exp"] = json!(4_000_000_000_u64);
        self.app.with_token(Some(self.app.sign(&claims)))
    }

    /// Brings `rows` in as ann's in acme.
    pub async fn import(&self, rows: &[Row]) {
        let line = |(n, row): (usize, &Row)| {
            // Some get their name, or their tags, later.
            let name = if n.is_multiple_of(3) { "before" } else { &row.name };
            let tags = if n.is_multiple_of(4) {
                json!({ "a": "a", "env": "b" })
            } else {
                row.tags.clone()
            };
            json!({
                "user_secret_id": row.id, "domain_id": "acme", "user_id": "ann", "name": name,
                "data": { "a": 1 }, "tags": tags, "schema_id": row.schema_id, "created_at": row.created_at,
            })
        };
        self.app.import_all(&rows.iter().enumerate().map(line).collect::<Vec<_>>()).await;
        let client = self.caller("acme", "ann");
        for row in rows {
            self.is(&row.created_at);
            let change = json!({ "userSecretId": row.id, "name": row.name, "tags": row.tags });
            assert_eq!(client.update(change).await.code(), "OK");
        }
    }
}

/// How many queries chance draws; more of them in a longer campaign.
pub fn queries() -> usize {
    std::env::var("FILTER_QUERIES").map_or(2_000, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chance_finds_no_difference_to_the_reference() {
    let told = Told::start().await;
    let client = told.caller("acme", "ann");
    let rows: Vec<Row> = draw_rows();
    told.import(&rows).await;
    let now = "2024-03-15T10:20:30.123456Z";
    told.is(now);
    let (mut found, mut empty) = (0, 0);
    for (n, (all, any)) in draw_conditions(queries()).into_iter().enumerate() {
        let holds = |row: &&Row| {
            all.iter().all(|condition| condition.holds(row, now))
                && (any.is_empty() || any.iter().any(|condition| condition.holds(row, now)))
        };
        let mut expected: Vec<&Row> = rows.iter().filter(holds).collect();
        // Some in pages as well: forwards where names descend, and backwards.
        let desc = n % 8 == 3;
        expected.sort_by(|a, b| if desc { b.name.cmp(&a.name) } else { a.name.cmp(&b.name) });
        let expected: Vec<&str> = expected.iter().map(|row| row.id.as_str()).collect();
        let input = |list: &[Condition]| list.iter().map(Condition::input).collect::<Vec<_>>();
        let mut query = json!({ "filter": input(&all), "filterOr": input(&any) });
        if desc {
            query["sort"] = json!([{ "key": "name", "desc": true }]);
        }
        let answer = client.gql(LIST, json!({ "q": query, "n": 100 })).await;
        assert_eq!(answer.code(), "OK", "query {n}: {query} {}", answer.text);
        assert_eq!(ids(&answer), expected, "query {n}: {query}");
        let total = answer.at("/data/userSecrets/totalCount");
        assert_eq!(total, expected.len(), "query {n}: {query}");
        if n % 4 == 3 {
            let seen = walk(&client, &query, !desc).await;
            assert_eq!(seen, expected, "query {n} in pages: {query}");
        }
        if expected.is_empty() { empty += 1 } else { found += 1 }
    }
    let drawn = queries();
    assert!(found > drawn / 4 && empty > drawn / 20, "{found} found something, {empty} nothing");

    // The same rows in order, page by page and back.
    for (path, desc) in ["tags.a", "tags.b.0", "tags.env", "tags.a.b"]
        .iter()
        .flat_map(|p| [(*p, false), (*p, true)])
    {
        let mut expected: Vec<&Row> = rows.iter().collect();
        expected.sort_by(|a, b| {
            let order = a.standing(path, desc).partial_cmp(&b.standing(path, desc)).unwrap();
            if desc { order.reverse() } else { order }
        });
        let expected: Vec<&str> = expected.iter().map(|row| row.id.as_str()).collect();
        let sort = json!({ "sort": [{ "key": path, "desc": desc }] });
        for backward in [false, true] {
            let seen = walk(&client, &sort, backward).await;
            assert_eq!(seen, expected, "{path} desc {desc} backward {backward}");
        }
    }
}

/// What `query` finds, page by page, from the start or from the end.
async fn walk(client: &Client, query: &Value, backward: bool) -> Vec<String> {
    let (size, from, cursor) =
        if backward { ("last", "before", "startCursor") } else { ("first", "after", "endCursor") };
    let list = format!(
        "query($q: QueryInput, $c: String) {{ userSecrets(query: $q, {size}: 7, {from}: $c) {{
        nodes {{ userSecretId }} pageInfo {{ {cursor} }} }} }}"
    );
    let (mut seen, mut at) = (Vec::new(), Value::Null);
    loop {
        let answer = client.gql(&list, json!({ "q": query, "c": at })).await;
        let mut page = ids(&answer);
        if page.is_empty() {
            return seen;
        }
        at = answer.at(&format!("/data/userSecrets/pageInfo/{cursor}")).clone();
        if backward {
            page.append(&mut seen);
            seen = page;
        } else {
            seen.append(&mut page);
        }
    }
}

#[tokio::test]
async fn what_is_no_condition_is_refused_by_its_path() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let one = |key: &str, operator: &str, value: Value| json!([{ "key": key, "operator": operator, "value": value }]);
    let many = |operator: &str, text: &str, count: usize| {
        let value = if count == 0 { json!(text) } else { json!(vec![text; count]) };
        json!({ "key": "name", "operator": operator, "value": value })
    };
    for (filter, path) in [
        (one("bogus", "EQ", json!("x")), "query.filter.0.key"),
        (one("data", "EQ", json!("x")), "query.filter.0.key"),
        (one("__raw__", "EQ", json!("x")), "query.filter.0.key"),
        (one("name__startswith", "EQ", json!("x")), "query.filter.0.key"),
        (one("tags", "EQ", json!("x")), "query.filter.0.key"),
        (one("tags.", "EQ", json!("x")), "query.filter.0.key"),
        (one("tags.a..b", "EQ", json!("x")), "query.filter.0.key"),
        (one(&format!("tags{}", ".a".repeat(17)), "EQ", json!(1)), "query.filter.0.key"),
        (one("name", "EQ", json!(["x"])), "query.filter.0.value"),
        (one("name", "IN", json!("x")), "query.filter.0.value"),
        (one("name", "EQ", json!({ "$ne": null })), "query.filter.0.value"),
        (one("name", "IN", json!([["x"]])), "query.filter.0.value"),
        (one("name", "IN", json!(vec![1; 101])), "query.filter.0.value"),
        (one("name", "EQ", json!("x".repeat(4097))), "query.filter.0.value"),
        (one("name", "EQ", json!("a\u{0}b")), "query.filter.0.value"),
        (one("name", "CONTAIN", json!(3)), "query.filter.0.value"),
        (one("tags.a", "NOT_CONTAIN", json!(3)), "query.filter.0.value"),
        (one("tags.a", "NOT_CONTAIN_IN", json!(["x", null])), "query.filter.0.value"),
        (one("tags.a", "LT", json!({})), "query.filter.0.value"),
        (one("tags.a", "EXISTS", json!("true")), "query.filter.0.value"),
        (one("tags.a", "MATCH", json!("x")), "query.filter.0.value"),
        (one("tags.a", "MATCH", json!({})), "query.filter.0.value"),
        (one("tags.a", "MATCH", json!({ "b": { "$gt": 1 } })), "query.filter.0.value"),
        (one("name", "REGEX", json!("(")), "query.filter.0.value"),
        (one("name", "REGEX", json!("(a)\\1")), "query.filter.0.value"),
        (one("name", "REGEX", json!(1)), "query.filter.0.value"),
        (one("name", "REGEX", json!("\\x00")), "query.filter.0.value"),
        (one("name", "CONTAIN", json!("a\u{0}")), "query.filter.0.value"),
        (one("name", "REGEX_IN", json!(vec!["a"; 21])), "query.filter.0.value"),
        (one("created_at", "GT", json!("tomorrow")), "query.filter.0.value"),
        (one("created_at", "DATETIME_GT", json!("2024-02-30")), "query.filter.0.value"),
        (one("created_at", "TIMEDIFF_GT", json!("yesterday")), "query.filter.0.value"),
        (one("created_at", "TIMEDIFF_GT", json!(3)), "query.filter.0.value"),
        // Bounds on the whole query.
        (json!([many("CONTAIN_IN", "x", 16), many("REGEX_IN", "x", 17)]), "query.filter.1.value"),
        (json!(vec![many("CONTAIN", "x", 0); 33]), "query.filter.32.value"),
        (json!(vec![many("CONTAIN_IN", &"x".repeat(120), 9); 2]), "query.filter.1.value"),
        (json!(vec![many("IN", "x", 100); 6]), "query.filter.5.value"),
        // PostgreSQL could not compile the first, and would work on the second for seconds.
        (
            one("name", "REGEX", json!("(?:(?:a?b?c?d?e?f?g?h?i?j?){0,15}){0,17}")),
            "query.filter.0.value",
        ),
        (
            one("name", "REGEX", json!("(?:[a-m]*[h-z]*[c-x]*[^q]*[^b]*){0,50}")),
            "query.filter.0.value",
        ),
        (
            json!(vec![json!({ "key": "name", "operator": "EXISTS", "value": true }); 51]),
            "query.filter",
        ),
    ] {
        let answer = ann.gql(LIST, json!({ "q": { "filter": filter } })).await;
        assert_eq!(answer.code(), "INVALID_ARGUMENT", "{filter}: {}", answer.text);
        let begins = answer.message().split(':').next().unwrap();
        assert_eq!(begins, path, "{filter}: {}", answer.text);
    }
    // What is within the bounds is answered, by PostgreSQL too.
    for filter in [
        json!([many("CONTAIN_IN", "x", 16), many("REGEX_IN", "x", 16)]),
        json!(vec![many("IN", "x", 100); 5]),
        one("name", "REGEX", json!("(?:[a-m]*[h-z]*[c-x]*[^q]*[^b]*){0,10}")),
        one("name", "REGEX", json!("(?:a?b?c?d?e?f?g?h?i?j?){0,8}")),
        one("name", "REGEX", json!("[^a]{0,120}[^b]{0,120}")),
    ] {
        let answer = ann.gql(LIST, json!({ "q": { "filter": filter } })).await;
        assert_eq!(answer.code(), "OK", "{filter}: {}", answer.text);
    }
    let or = json!({ "filterOr": [{ "key": "name", "operator": "EXISTS", "value": true }, { "key": "x", "operator": "EQ" }] });
    let answer = ann.gql(LIST, json!({ "q": or })).await;
    assert!(answer.message().starts_with("query.filterOr.1.key: "), "{}", answer.text);
}

#[tokio::test]
async fn conditions_follow_changes_of_tags() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let tagged = |tags: Value| json!({ "name": "x", "data": { "a": 1 }, "tags": tags });
    let created =
        ann.create_with(tagged(json!({ "env": "dev", "labels": ["a", { "b": 1 }] }))).await;
    let id = created.at("/data/createUserSecret/userSecret/userSecretId").clone();
    let found = async |key: &str, value: Value| {
        let filter = json!([{ "key": key, "operator": "EQ", "value": value }]);
        ids(&ann.gql(LIST, json!({ "q": { "filter": filter } })).await).len()
    };
    assert_eq!(found("tags.env", json!("dev")).await, 1);
    assert_eq!(found("tags.labels.b", json!(1)).await, 1);
    ann.update(json!({ "userSecretId": id, "tags": { "env": "prod" } })).await;
    assert_eq!(found("tags.env", json!("dev")).await, 0);
    assert_eq!(found("tags.env", json!("prod")).await, 1);
    assert_eq!(found("tags.labels.b", json!(1)).await, 0);
    assert_eq!(ann.delete(json!({ "userSecretId": id })).await.code(), "OK");
    let left: i64 = app.database.value("SELECT count(*) FROM user_secret_tags").await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn tags_that_were_there_before_can_be_searched_for() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    for n in 0..3 {
        ann.create_with(json!({ "name": "x", "data": { "a": 1 }, "tags": { "n": n } })).await;
    }
    // As it was before the migrations.
    let before = [
        "DROP TABLE user_secret_tags",
        "DROP INDEX user_secrets_by_domain",
        "DROP INDEX user_secrets_by_creation",
        "DROP INDEX user_secrets_by_domain_creation",
        "DELETE FROM seaql_migrations WHERE version IN ('m0005_tags', 'm0007_pages')",
    ];
    let before = before.into_iter().chain(on_postgres().then_some("DROP FUNCTION usersecret_tag"));
    app.sql(&before.map(str::to_owned).collect::<Vec<_>>()).await;
    let settings = app.config.database.settings().unwrap();
    usersecret::database::migrate(&settings).await.unwrap();
    for (operator, count) in [("GTE", 2), ("EQ", 1)] {
        let filter = json!([{ "key": "tags.n", "operator": operator, "value": 1 }]);
        let answer = ann.gql(LIST, json!({ "q": { "filter": filter } })).await;
        assert_eq!(answer.at("/data/userSecrets/totalCount"), count);
        assert_eq!(ids(&answer).len(), count);
    }
}
