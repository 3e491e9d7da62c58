//! The plans of what the service really runs, as its own role: the server itself writes them down.

mod keys;

use std::path::PathBuf;

use serde_json::{Value, json};
use usersecret::app::Seams;

use crate::{
    sql::admin,
    support::{Client, TestApp, eventually},
};

const ROWS: &str = "
    SET session_replication_role = replica;
    INSERT INTO domains SELECT 'd' || n, 1 FROM generate_series(1, 2000) n;
    INSERT INTO keks SELECT 'd' || n, 1, 'b', 'b', 1 FROM generate_series(1, 2000) n;
    INSERT INTO user_secrets (domain_id, user_secret_id, user_id, name, tags, search_text, version, revision,
            created_at, updated_at, position)
        SELECT CASE WHEN n % 2 = 0 THEN 'acme' ELSE 'd' || n % 7 END,
            'user-secret-' || lpad(to_hex(n), 12, '0'), CASE WHEN n % 4 = 0 THEN 'ann' ELSE 'u' || n % 97 END,
            md5(n::text), '{}', '', 1, 1, n, n, n FROM generate_series(1, 12000) n;
    INSERT INTO user_secret_versions
        SELECT domain_id, user_secret_id, 1, 1, 'd', 'd', 1 FROM user_secrets;
    INSERT INTO audit_events (domain_id, event_id, at, writer, role, operation, outcome, count, digest)
        SELECT domain_id, decode(md5(position::text), 'hex'), position, 'w', 'USER', 'o', 'ok', 1, 'd' FROM user_secrets;
    ANALYZE";

/// Most domains have one secret, and one has many.
const LONE: &str = "
    SET session_replication_role = replica;
    INSERT INTO domains SELECT 'd' || n, 1 FROM generate_series(1, 12000) n;
    INSERT INTO user_secrets (domain_id, user_secret_id, user_id, name, tags, search_text, version, revision,
            created_at, updated_at, position)
        SELECT CASE WHEN n % 5 = 0 THEN 'acme' ELSE 'd' || n END, 'user-secret-' || lpad(to_hex(n), 12, '0'),
            'ann', md5(n::text), '{}', '', 1, 1, n, n, n FROM generate_series(1, 12000) n;
    ANALYZE";

/// The indexes made anew, in another order.
const REBUILT: &str = "
    DROP INDEX user_secrets_by_name;
    CREATE INDEX user_secrets_by_name ON user_secrets (domain_id, user_id, name, position, user_secret_id);
    DROP INDEX user_secrets_by_idempotency_key;
    CREATE UNIQUE INDEX user_secrets_by_idempotency_key ON user_secrets (domain_id, user_id, idempotency_key);
    ANALYZE";

/// All databases write into one log.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Only the service's sessions of this database write their plans into the server's log.
fn explain(database: &str) -> String {
    [
        "session_preload_libraries = auto_explain",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_nested_statements = on",
    ]
    .map(|setting| format!("ALTER ROLE test_service IN DATABASE {database} SET {setting};"))
    .concat()
}

/// Texts and plans of the statements in the server's log behind `from`.
fn plans(log: &PathBuf, from: usize) -> Vec<String> {
    let log = std::fs::read(log).unwrap();
    let log = String::from_utf8_lossy(&log[from..]).into_owned();
    let mut plans: Vec<String> = Vec::new();
    let mut within = false;
    for line in log.lines() {
        if line.starts_with('\t') {
            if let (true, Some(plan)) = (within, plans.last_mut()) {
                plan.push_str(line);
                plan.push('\n');
            }
        } else {
            within = line.ends_with("plan:");
            if within {
                plans.push(String::new());
            }
        }
    }
    plans
}

#[tokio::test]
async fn no_hot_statement_reads_a_table_from_end_to_end() {
    let _turn = TURN.lock().await;
    let app = TestApp::with(Seams::default(), "[audit]\nseal_interval_ms = 50\n").await;
    admin(&app.database, ROWS).await;
    let url = url_of(&app.database.admin_url);
    admin(&app.database, &explain(&url.0)).await;
    let from = std::fs::read(&url.1).unwrap().len();
    // Connections of the service that are opened from now on.
    let dir = tempfile::tempdir().unwrap();
    let other = TestApp::on(dir, app.database.clone(), Seams::default(), "").await;
    let ann = other.user("ann");
    let id = ann.create("a").await;
    for _ in 0..8 {
        // Often enough for PostgreSQL to settle on a plan.
        assert_eq!(ann.get(&id).await.code(), "OK");
        assert_eq!(other.system().reveal("acme", &id, None).await.code(), "OK");
    }
    let list = "query($a: String) { userSecrets(first: 5, after: $a) { nodes { name } pageInfo { endCursor } } }";
    let page = ann.gql(list, json!({})).await;
    let next = page.at("/data/userSecrets/pageInfo/endCursor").clone();
    assert_eq!(ann.gql(list, json!({ "a": next })).await.code(), "OK");
    let root = other.caller("acme", "root", "DOMAIN_ADMIN");
    let trail = "query($a: String) { domain { auditEvents(first: 3, after: $a) { nodes { operation } pageInfo { endCursor } } } }";
    let page = root.gql(trail, json!({})).await;
    let next = page.at("/data/domain/auditEvents/pageInfo/endCursor").clone();
    assert_eq!(root.gql(trail, json!({ "a": next })).await.code(), "OK");

    eventually("the server has written its log", async || plans(&url.1, from).len() > 30).await;
    let plans = plans(&url.1, from);
    for plan in &plans {
        for table in ["domains", "keks", "user_secrets", "user_secret_versions", "audit_events"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{plan}");
        }
    }
    let all = |what: &str, least: usize, index: &str| {
        let found: Vec<&String> = plans.iter().filter(|plan| plan.contains(what)).collect();
        assert!(found.len() >= least, "{} times {what}: {found:?}", found.len());
        for plan in found {
            assert!(plan.contains(index), "{plan}");
            assert!(!plan.contains("Sort"), "{plan}");
            let mut conditions = plan.split("Index Cond: ").skip(1);
            assert!(
                conditions.all(|text| text.trim_start_matches('(').starts_with("domain_id = ")),
                "{plan}"
            );
        }
    };
    all("SELECT i, s.user_id, s.name", 8, "Index Scan using user_secrets_by_owner");
    all("SELECT i, s.user_id, s.name", 8, "AND (user_id = ");
    all("SELECT i, s.user_id, s.expires_at", 8, "Index Scan using user_secrets_");
    all("SELECT i, s.user_id, s.expires_at", 8, "Index Scan using user_secret_versions_pkey");
    all("SELECT i, s.user_id, s.expires_at", 8, "Index Scan using keks_pkey");
    all("ORDER BY \"user_secrets\"", 2, "user_secrets_by_name");
    all("FROM \"audit_events\"", 2, "Index Scan Backward using audit_events_pkey");
}

#[tokio::test]
async fn one_secret_is_found_by_its_key_whatever_statistics_say() {
    let _turn = TURN.lock().await;
    // A young table, one of many small domains, and one whose indexes were rebuilt.
    for (rows, rebuilt) in [("ANALYZE", ""), (LONE, ""), (LONE, REBUILT)] {
        let app = TestApp::with(Seams::default(), "").await;
        let id = app.user("ann").create("a").await;
        admin(&app.database, rows).await;
        if !rebuilt.is_empty() {
            admin(&app.database, rebuilt).await;
        }
        let url = url_of(&app.database.admin_url);
        admin(&app.database, &explain(&url.0)).await;
        let from = std::fs::read(&url.1).unwrap().len();
        let dir = tempfile::tempdir().unwrap();
        let other = TestApp::on(dir, app.database.clone(), Seams::default(), "").await;
        let ann = other.user("ann");
        for round in 0..8 {
            assert_eq!(ann.get(&id).await.code(), "OK");
            assert_eq!(other.system().reveal("acme", &id, None).await.code(), "OK");
            let renamed = json!({ "userSecretId": id, "name": format!("name {round}") });
            assert_eq!(ann.update(renamed).await.code(), "OK");
        }
        assert_eq!(ann.delete(json!({ "userSecretId": id })).await.code(), "OK");
        let by_key = |plan: &String| plan.contains("user_secret_id = ");
        let found = async || plans(&url.1, from).iter().filter(|plan| by_key(plan)).count();
        eventually("the server has written its log", async || found().await >= 33).await;
        for plan in plans(&url.1, from).iter().filter(|plan| by_key(plan)) {
            let elsewhere = ["name", "idempotency_key", "domain", "creation", "domain_creation"];
            let elsewhere = elsewhere.map(|index| format!("user_secrets_by_{index}"));
            assert!(!elsewhere.iter().any(|index| plan.contains(index)), "{rebuilt}{plan}");
        }
    }
}

/// As many like the one that is there: half in its domain, of which half are its owner's.
fn more(id: &str) -> String {
    format!(
        "SET session_replication_role = replica;
    INSERT INTO user_secrets (domain_id, user_secret_id, user_id, name, tags, search_text, version, revision,
            created_at, updated_at, position)
        SELECT CASE WHEN n % 2 = 0 THEN 'acme' ELSE 'd' || n END, 'user-secret-' || lpad(to_hex(n), 12, '0'),
            CASE WHEN n % 4 = 0 THEN 'ann' ELSE 'u' || n % 97 END, md5(n::text), s.tags, '', 1, 1, n, n, n
        FROM user_secrets s, generate_series(1, 12000) n;
    INSERT INTO user_secret_tags
        SELECT s.domain_id, s.user_secret_id, t.path, t.place, t.element, t.kind, t.text, t.number, t.digest,
            s.user_id, s.name, s.position
        FROM user_secrets s, user_secret_tags t WHERE s.user_secret_id <> '{id}'"
    )
}

/// The first page of a list and the one behind it, the last and the one before it.
async fn page_to_and_fro(client: &Client, domain: bool, query: Value) {
    let list = "userSecrets(query: $q, first: $f, after: $a, last: $l, before: $b)
        { nodes { name } pageInfo { startCursor endCursor } }";
    let list = if domain { format!("domain {{ {list} }}") } else { list.to_owned() };
    let list =
        format!("query($q: QueryInput, $f: Int, $a: String, $l: Int, $b: String) {{ {list} }}");
    let path = if domain { "/data/domain/userSecrets" } else { "/data/userSecrets" };
    for (size, from, cursor) in [("f", "a", "endCursor"), ("l", "b", "startCursor")] {
        let mut at = Value::Null;
        for _ in 0..2 {
            let answer = client.gql(&list, json!({ "q": query, size: 5, from: at })).await;
            let nodes = answer.at(&format!("{path}/nodes")).as_array().unwrap();
            assert_eq!(nodes.len(), 5, "{}", answer.text);
            at = answer.at(&format!("{path}/pageInfo/{cursor}")).clone();
        }
    }
}

#[tokio::test]
async fn a_page_is_found_by_its_place_whatever_statistics_say() {
    let _turn = TURN.lock().await;
    for analyze in ["", "; ANALYZE"] {
        let app = TestApp::with(Seams::default(), "").await;
        let tagged = json!({ "name": "a", "data": { "a": 1 }, "tags": { "env": "prod" } });
        let created = app.user("ann").create_with(tagged).await;
        let id = created.at("/data/createUserSecret/userSecret/userSecretId").as_str().unwrap();
        admin(&app.database, &(more(id) + analyze)).await;
        let url = url_of(&app.database.admin_url);
        admin(&app.database, &explain(&url.0)).await;
        let from = std::fs::read(&url.1).unwrap().len();
        let dir = tempfile::tempdir().unwrap();
        let other = TestApp::on(dir, app.database.clone(), Seams::default(), "").await;
        let (ann, root) = (other.user("ann"), other.caller("acme", "root", "DOMAIN_ADMIN"));
        let tag = json!({ "filter": [{ "key": "tags.env", "operator": "EQ", "value": "prod" }] });
        let mut wanted = Vec::new();
        for (client, domain, by_name, by_tag, by_creation) in [
            (&ann, false, "secrets_by_name", "secret_tags_by_owner", "secrets_by_creation"),
            (
                &root,
                true,
                "secrets_by_domain",
                "secret_tags_by_domain",
                "secrets_by_domain_creation",
            ),
        ] {
            page_to_and_fro(client, domain, json!({})).await;
            page_to_and_fro(client, domain, tag.clone()).await;
            wanted.extend([(by_name, "ROW("), (by_tag, "ROW(")]);
            if !analyze.is_empty() {
                let last = json!({ "sort": [{ "key": "created_at", "desc": true }] });
                page_to_and_fro(client, domain, last).await;
                wanted.push((by_creation, "AND (created_at "));
            }
        }
        let pages = || {
            let plans = plans(&url.1, from).into_iter();
            plans.filter(|plan| plan.contains("ORDER BY \"")).collect::<Vec<_>>()
        };
        let all = wanted.len() * 4;
        eventually("the server has written its log", async || pages().len() >= all).await;
        let pages = pages();
        for plan in &pages {
            assert!(!plan.replace("Incremental Sort", "").contains("Sort  ("), "{plan}");
        }
        for (index, bound) in wanted {
            let scans = pages.iter().filter(|plan| plan.contains(&format!(" using user_{index} ")));
            let scans: Vec<_> = scans.collect();
            assert_eq!(scans.len(), 4, "{index}: {pages:?}");
            let bounds = scans.iter().filter(|plan| {
                plan.lines().any(|line| line.contains("Index Cond: ") && line.contains(bound))
            });
            assert_eq!(bounds.count(), 2, "{index}: {scans:?}");
        }
    }
}

/// The name of the database, and the log of its server.
fn url_of(admin_url: &str) -> (String, PathBuf) {
    let name = admin_url.split(['/', '?']).nth(3).unwrap().to_owned();
    let home = admin_url.split("host=").nth(1).unwrap().to_owned();
    (name, PathBuf::from(home).join("log"))
}
