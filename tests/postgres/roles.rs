//! Which roles the service refuses, and how they come to be.

use sea_orm::ConnectionTrait as _;
use usersecret::{
    config::Config,
    database::{self, Database, DatabaseSettings, DatabaseUrl},
};

use crate::{
    sql::{admin, texts},
    support::TestDatabase,
};

/// A migrated database, and the settings of its service.
async fn migrated() -> (TestDatabase, DatabaseSettings) {
    let database = TestDatabase::on_cluster("").await;
    let config = Config::from_toml(&format!("[database]\n{}", database.toml)).unwrap();
    let settings = config.database.settings().unwrap();
    database::migrate(&settings).await.unwrap();
    (database, settings)
}

/// Roles are the whole cluster's, so each test has its own.
fn role(settings: &DatabaseSettings, part: &str) -> (String, DatabaseUrl) {
    let DatabaseUrl::Postgres(mut url) = settings.url.clone() else { panic!("no PostgreSQL") };
    let name = format!("{}_{part}", url.path().trim_matches('/'));
    url.set_username(&name).unwrap();
    (name, DatabaseUrl::Postgres(url))
}

/// Why the service does not start; empty when it does.
async fn refusal(settings: &DatabaseSettings) -> String {
    match Database::connect(settings).await {
        Ok(_) => String::new(),
        Err(error) => error.causes(),
    }
}

#[tokio::test]
async fn a_role_that_could_bypass_the_fence_is_refused() {
    let (database, mut settings) = migrated().await;
    assert_eq!(refusal(&settings).await, "");
    let superuser = "is or can become a superuser";
    for (part, make, words) in [
        ("super", "CREATE ROLE {} LOGIN SUPERUSER", superuser),
        ("bypass", "CREATE ROLE {} LOGIN BYPASSRLS", superuser),
        ("maker", "CREATE ROLE {} LOGIN CREATEROLE", superuser),
        ("heir", "CREATE ROLE {} LOGIN IN ROLE postgres", superuser),
        ("member", "CREATE ROLE {} LOGIN IN ROLE test_owner", "can become its owner"),
        ("aloof", "CREATE ROLE {} LOGIN NOINHERIT IN ROLE test_owner", "can become its owner"),
        (
            "indirect",
            "CREATE ROLE {0}; CREATE ROLE {} LOGIN NOINHERIT IN ROLE {0}; GRANT test_owner TO {0}",
            "can become its owner",
        ),
        ("writer", "CREATE ROLE {} LOGIN IN ROLE pg_write_all_data", "may change or delete rows"),
        ("program", "CREATE ROLE {} LOGIN IN ROLE pg_execute_server_program", superuser),
    ] {
        let (name, url) = role(&settings, part);
        let make = make.replace("{0}", &format!("{name}_between")).replace("{}", &name);
        admin(&database, &make).await;
        let refused = refusal(&DatabaseSettings { url, ..settings.clone() }).await;
        assert!(refused.contains(words), "{part}: {refused:?}");
    }
    settings.url = settings.admin_url.clone().unwrap();
    assert!(refusal(&settings).await.contains("owns table"), "{}", refusal(&settings).await);
}

#[tokio::test]
async fn a_fence_that_somebody_opened_is_noticed() {
    let (database, settings) = migrated().await;
    let unsafe_function = "CREATE FUNCTION peep() RETURNS SETOF user_secrets LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM user_secrets'; ALTER FUNCTION peep OWNER TO test_owner";
    let view = "CREATE VIEW peep AS SELECT * FROM user_secrets; ALTER VIEW peep OWNER TO test_owner; GRANT SELECT ON peep TO test_service";
    let plain = "domain_id = nullif(current_setting('usersecret.domain', true), '')";
    for (open, close) in [
        (
            "ALTER TABLE keks DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE keks ENABLE ROW LEVEL SECURITY",
        ),
        (
            "ALTER TABLE domains NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE domains FORCE ROW LEVEL SECURITY",
        ),
        ("CREATE TABLE notes (domain_id text)", "DROP TABLE notes"),
        (
            "CREATE POLICY more ON user_secrets TO test_service USING (true)",
            "DROP POLICY more ON user_secrets",
        ),
        ("CREATE POLICY more ON user_secrets USING (true)", "DROP POLICY more ON user_secrets"),
        (
            "ALTER POLICY service ON user_secrets USING (true)",
            &format!("ALTER POLICY service ON user_secrets USING ({plain})"),
        ),
        ("ALTER POLICY owner ON keks TO PUBLIC", "ALTER POLICY owner ON keks TO test_owner"),
        (
            "GRANT UPDATE ON audit_events TO test_service",
            "REVOKE UPDATE ON audit_events FROM test_service",
        ),
        (
            "GRANT UPDATE (outcome) ON audit_events TO test_service",
            "REVOKE UPDATE (outcome) ON audit_events FROM test_service",
        ),
        ("GRANT DELETE ON audit_blocks TO PUBLIC", "REVOKE DELETE ON audit_blocks FROM PUBLIC"),
        (
            "GRANT TRUNCATE ON user_secrets TO test_service",
            "REVOKE TRUNCATE ON user_secrets FROM test_service",
        ),
        (view, "DROP VIEW peep"),
        (unsafe_function, "DROP FUNCTION peep"),
        (
            "ALTER FUNCTION usersecret_find SECURITY DEFINER",
            "ALTER FUNCTION usersecret_find SECURITY INVOKER",
        ),
    ] {
        admin(&database, open).await;
        let refused = refusal(&settings).await;
        assert!(refused.starts_with("database.url: the role "), "{open}: {refused:?}");
        admin(&database, close).await;
        assert_eq!(refusal(&settings).await, "", "after {close}");
    }
}

#[tokio::test]
async fn migrate_makes_the_services_role_where_it_may_and_says_so_where_not() {
    let database = TestDatabase::on_cluster("").await;
    let config = Config::from_toml(&format!("[database]\n{}", database.toml)).unwrap();
    let mut settings = config.database.settings().unwrap();
    let (service, url) = role(&settings, "late");
    settings.url = url;
    let refused = database::migrate(&settings).await.unwrap_err().causes();
    assert!(refused.contains(&service) && refused.contains("CREATEROLE"), "{refused}");
    assert!(!refused.contains("canary-password"), "{refused}");
    let connection = database.connect().await;
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(texts(&connection, tables).await, Vec::<String>::new(), "half a migration");

    let (owner, url) = role(&settings, "own");
    let make = format!(
        "CREATE ROLE {owner} LOGIN CREATEROLE; GRANT CREATE, USAGE ON SCHEMA public TO {owner}"
    );
    connection.execute_unprepared(&make).await.unwrap();
    settings.admin_url = Some(url);
    for _ in 0..2 {
        database::migrate(&settings).await.unwrap();
        assert_eq!(refusal(&settings).await, "");
    }
    // The owner's role serves nobody.
    settings.url = settings.admin_url.clone().unwrap();
    let refused = database::migrate(&settings).await.unwrap_err().causes();
    assert!(refused.contains("must be another than the owner's"), "{refused}");
}
