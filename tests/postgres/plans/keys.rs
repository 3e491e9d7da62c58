//! The plans of what is done with keys in the background.

use super::{ROWS, TURN, admin, explain, plans, url_of};
use crate::support::{Client, TestApp, eventually};
use serde_json::json;
use usersecret::app::Seams;

/// Nobody is too old, and nothing is done but when it is asked for.
const KEYS: &str = "[keys]\nmax_age_days = 0\ninterval_ms = 3600000\n";

async fn has_moved(client: &Client, mutation: &str, failed: i64) {
    let input = json!({ "i": {} });
    assert_eq!(client.gql(mutation, input).await.code(), "OK");
    let look = "{ domain { rewrap { failed finishedAt } } }";
    let rewrap = async || client.gql(look, json!({})).await.at("/data/domain/rewrap").clone();
    eventually("it is done", async || !rewrap().await["finishedAt"].is_null()).await;
    assert_eq!(rewrap().await["failed"], failed);
}

#[tokio::test]
async fn moving_to_another_key_reads_no_table_from_end_to_end() {
    let _turn = TURN.lock().await;
    let app = TestApp::with(Seams::default(), KEYS).await;
    admin(&app.database, ROWS).await;
    let url = url_of(&app.database.admin_url);
    admin(&app.database, &explain(&url.0)).await;
    let from = std::fs::read(&url.1).unwrap().len();
    let dir = tempfile::tempdir().unwrap();
    let other = TestApp::on(dir, app.database.clone(), Seams::default(), KEYS).await;
    let id = other.user("ann").create("a").await;
    let root = other.caller("acme", "root", "DOMAIN_ADMIN");
    // Half of the table does not open, and stays.
    let rotate = "mutation($i: RotateDomainKeyInput!) { rotateDomainKey(input: $i) { domain { domainId } } }";
    has_moved(&root, rotate, 6_000).await;
    // Nothing is left under the old key, while it is said to have half of the table.
    let gone = format!(
        "SET session_replication_role = replica;
        DELETE FROM user_secret_versions WHERE domain_id = 'acme' AND user_secret_id <> '{id}'"
    );
    admin(&app.database, &gone).await;
    let rewrap =
        "mutation($i: RewrapDomainInput!) { rewrapDomain(input: $i) { domain { domainId } } }";
    has_moved(&root, rewrap, 0).await;
    let alive = "SELECT count(*) FROM keks WHERE domain_id = 'acme' AND destroyed_at IS NULL";
    assert_eq!(app.database.value::<i64>(alive).await, 1);

    let found = |what: &'static str| {
        let plans = plans(&url.1, from).into_iter();
        plans.filter(|plan| plan.contains(what)).collect::<Vec<_>>()
    };
    for (what, least, index) in [
        ("UPDATE user_secret_versions v", 24, "user_secret_versions_pkey"),
        ("SELECT COUNT(*) FROM (SELECT \"user_secret_versions\"", 2, "user_secret_versions_by_kek"),
        ("\"user_secret_versions\".\"dek\", \"user_secrets\"", 24, "user_secret_versions_by_kek"),
        ("created_at + age", 1, "keks_by_age"),
    ] {
        eventually(what, async || found(what).len() >= least).await;
        for plan in found(what) {
            assert!(plan.contains(index), "{plan}");
            for table in ["user_secrets", "user_secret_versions", "keks"] {
                assert!(!plan.contains(&format!("Seq Scan on {table}")), "{plan}");
            }
        }
    }
}
