//! What the service's role cannot do, however hard it tries.

use sea_orm::ConnectionTrait as _;

use crate::{
    sql::{pool, refusal, texts, value, within},
    support::TestApp,
};

#[tokio::test]
async fn the_services_role_cannot_open_the_fence() {
    let app = TestApp::start().await;
    app.user("ann").create("a").await;
    let pool = pool(&app.config, 1).await;
    for statement in [
        "SET ROLE test_owner",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION test_owner",
        "SET session_replication_role = replica",
        "ALTER ROLE test_service BYPASSRLS",
        "ALTER TABLE user_secrets DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE user_secrets NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE user_secrets OWNER TO test_service",
        "CREATE POLICY mine ON user_secrets USING (true)",
        "ALTER POLICY service ON user_secrets USING (true)",
        "DROP POLICY service ON user_secrets",
        "GRANT ALL ON user_secrets TO PUBLIC; UPDATE audit_events SET count = 2",
        "CREATE FUNCTION public.mine() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM user_secrets'",
        "CREATE OR REPLACE FUNCTION usersecret_find(text[], text[], text[]) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION usersecret_find SECURITY DEFINER",
        "ALTER FUNCTION usersecret_unsealed RESET ALL",
        "CREATE VIEW public.mine AS SELECT * FROM user_secrets",
        "CREATE TABLE public.mine (x int)",
        "CREATE TRIGGER mine BEFORE INSERT ON user_secrets EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE RULE mine AS ON INSERT TO user_secrets DO INSTEAD NOTHING",
        "COPY user_secrets TO '/tmp/mine'",
        "UPDATE audit_blocks SET signature = 'x'",
        "DELETE FROM audit_blocks",
        "TRUNCATE audit_blocks",
        "DELETE FROM audit_writers",
        "TRUNCATE audit_writers",
        "UPDATE seaql_migrations SET version = 'x'",
        "INSERT INTO seaql_migrations VALUES ('x', 1)",
    ] {
        let refused = refusal(&within(&pool, Some("acme")).await, statement).await;
        let words = ["permission denied", "must be", "not permitted"];
        assert!(words.iter().any(|word| refused.contains(word)), "{statement}: {refused:?}");
    }
    // A switch that makes statements fail shows no row.
    let transaction = within(&pool, None).await;
    transaction.execute_unprepared("SET LOCAL row_security = off").await.unwrap();
    let refused = refusal(&transaction, "SELECT * FROM user_secrets").await;
    assert!(refused.contains("row-level security"), "{refused}");
}

#[tokio::test]
async fn functions_with_their_owners_rights_tell_no_metadata() {
    let app = TestApp::start().await;
    app.user("ann").create("a").await;
    let admin = app.database.connect().await;
    let functions = "SELECT proname || ':' || prosecdef || ':' || coalesce(array_to_string(proconfig, ';'), '') FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace ORDER BY 1";
    let fixed = "search_path=pg_catalog, public, pg_temp";
    assert_eq!(
        texts(&admin, functions).await,
        [
            &format!("usersecret_changed:true:{fixed}"),
            "usersecret_create:false:enable_seqscan=off",
            &format!("usersecret_due:true:{fixed}"),
            "usersecret_enter:false:",
            "usersecret_find:false:enable_seqscan=off",
            &format!("usersecret_home:true:{fixed}"),
            "usersecret_is_shut:false:enable_seqscan=off",
            "usersecret_policy:false:enable_seqscan=off",
            "usersecret_record:false:enable_seqscan=off",
            "usersecret_refuse:false:",
            "usersecret_refuse_key:false:",
            "usersecret_reveal:false:enable_seqscan=off",
            "usersecret_rewrap:false:enable_seqscan=off",
            "usersecret_tag:false:enable_seqscan=off",
            &format!("usersecret_unsealed:true:{fixed}"),
        ]
    );
    for (function, result) in [
        ("usersecret_unsealed", "TABLE(event_id bytea, domain_id text, digest bytea)"),
        ("usersecret_home", "text"),
        ("usersecret_changed", "SETOF text"),
        ("usersecret_due", "TABLE(domain text, waits_since bigint)"),
    ] {
        let shape = format!("SELECT pg_get_function_result('{function}'::regproc)");
        assert_eq!(value::<String>(&admin, &shape).await, result);
        let others = format!(
            "SELECT has_function_privilege('pg_monitor', '{function}'::regproc, 'EXECUTE')"
        );
        assert!(!value::<bool>(&admin, &others).await, "{function}");
    }

    // What the caller puts in the way is not looked at.
    let writer: String = value(&admin, "SELECT writer FROM audit_events LIMIT 1").await;
    let pool = pool(&app.config, 1).await;
    let transaction = within(&pool, None).await;
    let call = format!("SELECT count(*) FROM usersecret_unsealed('{writer}', 0)");
    let before: i64 = value(&transaction, &call).await;
    assert_eq!(before, 2);
    for statement in [
        "CREATE TEMP TABLE audit_events (event_id bytea, domain_id text, digest bytea, at bigint, writer text)",
        "CREATE FUNCTION pg_temp.ge(bigint, bigint) RETURNS bool LANGUAGE sql AS 'SELECT current_user::text::int > 0'",
        "CREATE OPERATOR pg_temp.>= (leftarg = bigint, rightarg = bigint, function = pg_temp.ge)",
        "SET LOCAL search_path = pg_temp, pg_catalog",
    ] {
        transaction.execute_unprepared(statement).await.unwrap();
    }
    let call = call.replace("usersecret_unsealed", "public.usersecret_unsealed");
    assert_eq!(value::<i64>(&transaction, &call).await, before);
    // It shows every domain what it needs, and no other row of it.
    let none = "SELECT count(*) FROM public.audit_events";
    assert_eq!(value::<i64>(&transaction, none).await, 0);
}
