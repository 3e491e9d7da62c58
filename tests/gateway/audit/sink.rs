//! A trail that cannot be written: what must be recorded waits for it, the rest goes on.

use super::*;

/// A service that does not wait for its database for long, and has no other deadline.
async fn impatient(more: &str) -> TestApp {
    let dir = tempfile::tempdir().unwrap();
    let mut database = TestDatabase::create(dir.path()).await;
    database.toml += "acquire_timeout_ms = 300\nstatement_timeout_ms = 800\n";
    let more = format!("[server]\nrequest_timeout_ms = 600000\n{more}");
    TestApp::on(dir, database, Seams::default(), &more).await
}

/// Has `table` refuse every row.
async fn refuse(database: &TestDatabase, table: &str, when: &str) {
    let connection = database.connect().await;
    let statement = if on_postgres() {
        format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
             CREATE {when} FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        .replace("TABLE", table)
    } else {
        format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    };
    connection.execute_unprepared(&statement).await.unwrap();
    connection.close().await.unwrap();
}

const AT_ONCE: &str = "TRIGGER refuse BEFORE INSERT ON TABLE";
const AT_COMMIT: &str =
    "CONSTRAINT TRIGGER refuse AFTER INSERT ON TABLE DEFERRABLE INITIALLY DEFERRED";

async fn allow(database: &TestDatabase, table: &str) {
    let on = if on_postgres() { format!(" ON {table}") } else { String::new() };
    let connection = database.connect().await;
    connection.execute_unprepared(&format!("DROP TRIGGER refuse{on}")).await.unwrap();
    connection.close().await.unwrap();
}

/// Everything works, and nothing that happened is missing from the trail.
async fn is_healed(app: TestApp, id: &str) {
    let ann = app.user("ann");
    eventually("mutations and reveals work again", async || {
        ann.update(json!({ "userSecretId": id, "name": "healed" })).await.code() == "OK"
            && app.system().reveal("acme", id, None).await.code() == "OK"
    })
    .await;
    let next = tempfile::tempdir().unwrap();
    let next = TestApp::on(next, app.database.clone(), Seams::default(), QUICK).await;
    let (_dir, database, config) = app.drain().await;
    eventually("the trail is whole", async || {
        let report = verify(&config, &Heads::new(), LATER).await;
        (report.findings, report.left) == (vec![], 0)
    })
    .await;
    // What answered UNAVAILABLE either happened with its event, or did not.
    let events = events(&database).await;
    let done = |operation: &str| {
        let done = events.iter().filter(|e| e.operation == operation && e.outcome == "ok");
        i64::try_from(done.count()).unwrap()
    };
    assert_eq!(done("UserSecret.create"), count(&database, "user_secrets").await);
    // An update may change nothing.
    let changes = "SELECT CAST(sum(revision - 1) AS bigint) FROM user_secrets";
    assert!(done("UserSecret.update") >= database.value::<i64>(changes).await);
    next.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_stalls_stops_what_must_be_recorded_and_nothing_else() {
    let app = impatient(QUICK).await;
    let (ann, system) = (app.user("ann"), app.system());
    let id = ann.create("aws").await;
    let held = lock(&app.database, "audit_events").await;
    let stuck: Vec<_> = (0..30)
        .map(|n| {
            let (ann, system, id) = (ann.clone(), system.clone(), id.clone());
            tokio::spawn(async move {
                match n % 3 {
                    0 => ann.update(json!({ "userSecretId": id, "name": "x" })).await,
                    1 => system.reveal("acme", &id, None).await,
                    _ => ann.create_with(json!({ "name": "y", "data": { "a": 1 } })).await,
                }
            })
        })
        .collect();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(ann.get(&id).await.at("/data/userSecret/name"), "aws");
        let list = ann.gql("{ userSecrets { nodes { name } } }", json!({})).await;
        assert_eq!(list.at("/data/userSecrets/nodes/0/name"), "aws");
    }
    for answer in stuck {
        let answer = tokio::time::timeout(Duration::from_secs(60), answer).await.unwrap().unwrap();
        assert_eq!(answer.code(), "UNAVAILABLE", "{}", answer.text);
        assert!(!answer.text.contains("data of"), "{}", answer.text);
    }
    held.close().await.unwrap();
    is_healed(app, &id).await;
}

#[tokio::test]
async fn a_full_backlog_stops_what_must_be_recorded_and_nothing_else() {
    let app = impatient(&format!("{QUICK}backlog = 5\n")).await;
    let (ann, system) = (app.user("ann"), app.system());
    let id = ann.create("aws").await;
    refuse(&app.database, "audit_blocks", AT_ONCE).await;
    let mut done = 0;
    while ann.update(json!({ "userSecretId": id, "name": format!("n{done}") })).await.code() == "OK"
    {
        done += 1;
        assert!(done < 20, "the backlog has no end");
    }
    assert_eq!(system.reveal("acme", &id, None).await.code(), "UNAVAILABLE");
    assert_eq!(
        ann.create_with(json!({ "name": "y", "data": { "a": 1 } })).await.code(),
        "UNAVAILABLE"
    );
    assert_eq!(ann.delete(json!({ "userSecretId": id })).await.code(), "UNAVAILABLE");
    assert_eq!(ann.get(&id).await.at("/data/userSecret/name"), &json!(format!("n{}", done - 1)));
    assert_eq!(ann.gql("{ userSecrets { totalCount } }", json!({})).await.code(), "OK");
    allow(&app.database, "audit_blocks").await;
    is_healed(app, &id).await;
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_happen() {
    let app = impatient(QUICK).await;
    let ann = app.user("ann");
    let id = ann.create("aws").await;
    let fingerprint = "SELECT (SELECT count(*) FROM domains) || '.' || (SELECT count(*) FROM keks) || '.' ||
        (SELECT count(*) FROM user_secrets) || '.' || (SELECT sum(revision + 100 * version) FROM user_secrets) || '.' ||
        (SELECT count(*) FROM user_secret_versions)";
    let before: String = app.database.value(fingerprint).await;
    for when in [AT_ONCE, AT_COMMIT] {
        if when == AT_COMMIT && !on_postgres() {
            continue;
        }
        refuse(&app.database, "audit_events", when).await;
        for answer in [
            ann.create_with(json!({ "name": "y", "data": { "a": 1 } })).await,
            ann.update(json!({ "userSecretId": id, "name": "x" })).await,
            ann.update_data(json!({ "userSecretId": id, "data": { "a": 1 } })).await,
            ann.delete(json!({ "userSecretId": id })).await,
            app.caller("fresh", "eve", "USER")
                .create_with(json!({ "name": "y", "data": { "a": 1 } }))
                .await,
            app.system().reveal("acme", &id, None).await,
            reveal_many(&app.system(), &id, 3).await,
        ] {
            assert!(
                ["INTERNAL", "UNAVAILABLE"].contains(&answer.code()),
                "{when}: {}",
                answer.text
            );
            assert!(!answer.text.contains("data of"), "{}", answer.text);
        }
        assert_eq!(ann.get(&id).await.at("/data/userSecret/name"), "aws");
        allow(&app.database, "audit_events").await;
        assert_eq!(app.database.value::<String>(fingerprint).await, before, "{when}");
    }
    is_healed(app, &id).await;
}

/// Reveals share statements, but not one another's damage.
#[tokio::test]
async fn a_damaged_row_is_its_own_affair() {
    let app = TestApp::with(Seams::default(), QUICK).await;
    let ann = app.user("ann");
    let (good, bad) = (ann.create("good").await, ann.create("bad").await);
    let cut = format!(
        "UPDATE user_secret_versions SET dek = {} WHERE user_secret_id = '{bad}'",
        crate::support::sql_bytes(b"x")
    );
    app.sql(&[cut]).await;
    let system = app.system();
    let answers: Vec<_> = futures_util::future::join_all((0..40).map(|n| {
        let (system, id) = (&system, if n % 10 == 5 { &bad } else { &good });
        async move { (n, system.reveal("acme", id, None).await) }
    }))
    .await;
    for (n, answer) in answers {
        let expected = if n % 10 == 5 { "INTERNAL" } else { "OK" };
        assert_eq!(answer.code(), expected, "{n}: {}", answer.text);
    }
    let (_dir, _database, config) = app.drain().await;
    let report = verify(&config, &Heads::new(), LATER).await;
    assert_eq!((report.findings, report.left), (vec![], 0));
}
