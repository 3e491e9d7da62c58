//! What is final the database keeps, whoever writes there.

use sea_orm::ConnectionTrait as _;

use super::{admin, some_secrets};
use crate::support::TestApp;

#[tokio::test]
async fn what_was_destroyed_or_shredded_or_has_retired_stays_so() {
    let app = TestApp::start().await;
    some_secrets(&app.user("ann"), 1).await;
    assert_eq!(admin(&app).rotate(None).await.code(), "OK");
    admin(&app).moved("acme").await;
    some_secrets(&app.caller("globex", "ann", "USER"), 1).await;
    assert_eq!(app.system().shred("globex", "globex").await.code(), "OK");
    // As whoever owns the tables.
    let connection = app.database.connect().await;
    let key = "keks WHERE domain_id = 'acme' AND version = 1";
    let domain = "domains WHERE domain_id = 'globex'";
    let set = |what: &str, rows: &str| {
        let (table, rows) = rows.split_once(' ').unwrap();
        format!("UPDATE {table} SET {what} {rows}")
    };
    for (statement, rule) in [
        (set("shredded_at = NULL", domain), "shredded stays so"),
        (set("shredded_at = shredded_at + 1", domain), "shredded stays so"),
        (set("shred_statement = '{}'", domain), "shredded stays so"),
        (format!("DELETE FROM {domain}"), "shredded stays so"),
        (set("destroyed_at = NULL", key), "destroyed stays so"),
        (set("blob = binding", key), "destroyed stays so"),
        (set("retired_at = NULL", key), "stays so"),
        (format!("DELETE FROM {key}"), "destroyed stays so"),
        (
            "INSERT INTO keks (domain_id, version, blob, binding, created_at)
                SELECT 'globex', 2, blob, binding, created_at FROM keks WHERE domain_id = 'acme' AND version = 2"
                .to_owned(),
            "shredded gets no key",
        ),
    ] {
        let refused = connection.execute_unprepared(&statement).await.map(|_| ());
        let refused = refused.map_err(|error| error.to_string());
        assert!(refused.clone().is_err_and(|error| error.contains(rule)), "{statement}: {refused:?}");
    }
    // One that has retired and opens still.
    app.user("ann").create("s1").await;
    let retired = "UPDATE keks SET retired_at = 5 WHERE domain_id = 'acme' AND version = 2";
    connection.execute_unprepared(retired).await.unwrap();
    let back = retired.replace("= 5", "= NULL");
    let refused = connection.execute_unprepared(&back).await.map_err(|error| error.to_string());
    assert!(refused.is_err_and(|error| error.contains("retired stays so")));
    connection.close().await.unwrap();
}
