//! Refusals: all counted, few written, and none that says what it must not.

use usersecret::{
    audit::{Event, Origin, Sealer, Subject, Trail},
    ids::{DomainId, UserSecretId},
};

use super::*;

async fn counted(database: &TestDatabase, outcome: &str) -> (i64, usize) {
    let events = events(database).await;
    let refused: Vec<_> = events.iter().filter(|event| event.outcome == outcome).collect();
    (refused.iter().map(|event| event.count).sum(), refused.len())
}

#[tokio::test]
async fn a_thousand_refusals_are_few_rows_and_all_counted() {
    // So seldom that all fall into a few intervals, however slow the machine is.
    let app = TestApp::with(Seams::default(), "[audit]\nseal_interval_ms = 10000\n").await;
    let requests = reqwest::Client::new();
    for n in 0..20 {
        // Two domains' systems, each with four tokens.
        let mut claims = app.claims(["acme", "globex"][n % 2], "", "SYSTEM");
        claims["jti"] = json!(format!("token-{}", n % 8));
        let token = app.sign(&claims);
        let body = json!({ "query": "{ userSecret(userSecretId: \"user-secret-000000000000\") { name } }" });
        let refused = (0..50).map(async |_| {
            let request = requests.post(format!("{}/graphql", app.url)).bearer_auth(&token);
            Answer::of(request.json(&body).send().await.unwrap()).await
        });
        for answer in futures_util::future::join_all(refused).await {
            assert_eq!(answer.code(), "PERMISSION_DENIED");
        }
    }
    for token in [None, Some("x".to_owned()), Some(app.sign(&app.claims("-", "ann", "USER")))] {
        for _ in 0..20 {
            assert_eq!(app.with_token(token.clone()).get("x").await.status, 401);
        }
    }
    let (_dir, database, config) = app.drain().await;
    let (sum, rows) = counted(&database, "PERMISSION_DENIED").await;
    assert_eq!(sum, 1_000);
    assert!((8..=40).contains(&rows), "{rows}");
    let (sum, rows) = counted(&database, "UNAUTHENTICATED").await;
    assert_eq!(sum, 60);
    assert!(rows <= 5, "{rows}");
    for event in events(&database).await {
        let known = event.outcome == "PERMISSION_DENIED";
        assert_eq!(event.domain_id == "-", !known);
        assert_eq!((event.user_id, event.token_id.is_some()), (None, known));
        assert_eq!(event.address.as_deref(), Some("127.0.0.1"));
    }
    let report = verify(&config, &Heads::new(), LATER).await;
    assert_eq!((report.findings, report.left), (vec![], 0));
}

/// An attack that outlasts the database: no count is lost, and the trail heals.
#[tokio::test]
async fn refusals_outlast_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = TestDatabase::create(dir.path()).await;
    database.toml += "acquire_timeout_ms = 100\nstatement_timeout_ms = 100\n";
    let app = TestApp::on(dir, database, Seams::default(), QUICK).await;
    let database = Database::connect(&app.config.database.settings().unwrap()).await.unwrap();
    let trail = Trail::new(Clock::system(), true, 100).unwrap();
    let rhythm = app.config.audit.settings();
    let sealer = Sealer::start(trail.clone(), database, engine(), rhythm).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let sealing = tokio::spawn(sealer.run(stopped));

    let held = lock(&app.database, "audit_events").await;
    for n in 0..3_600 {
        let event = Event {
            domain: DomainId::parse("acme"),
            user: None,
            role: "SYSTEM",
            token_id: None,
            origin: Origin::default(),
            operation: "UserSecret.get",
            target: UserSecretId::parse(&format!("user-secret-{n:012x}")).map(Subject::Secret),
        };
        trail.refuse(event, "PERMISSION_DENIED");
        if n % 600 == 599 {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
    held.close().await.unwrap();
    eventually("every refusal is written", async || {
        counted(&app.database, "PERMISSION_DENIED").await.0 == 3_600
    })
    .await;
    stop.send(true).unwrap();
    sealing.await.unwrap();
    let (_dir, database, config) = app.drain().await;
    let (sum, rows) = counted(&database, "PERMISSION_DENIED").await;
    assert_eq!(sum, 3_600);
    assert!(rows <= 513, "{rows}");
    let various: Vec<_> =
        events(&database).await.into_iter().filter(|e| e.operation == "various").collect();
    assert_eq!((various.len(), various[0].domain_id.as_str()), (1, "-"));
    assert!(various[0].target.is_none());
    let report = verify(&config, &Heads::new(), LATER).await;
    assert_eq!((report.findings, report.left), (vec![], 0));
}

#[tokio::test]
async fn no_event_repeats_what_was_sent() {
    const CANARY: &str = "canary-9d2b77";
    let app = TestApp::with(Seams::default(), QUICK).await;
    let (ann, system) = (app.user("ann"), app.system());
    let id = ann.create("aws").await;
    let input = json!({ "name": CANARY, "data": { CANARY: CANARY }, "tags": { CANARY: CANARY },
        "schemaId": CANARY, "idempotencyKey": CANARY });
    assert_eq!(ann.create_with(input.clone()).await.code(), "OK");
    let mut bad = input.clone();
    bad["expiresAt"] = json!("2000-01-01T00:00:00Z");
    assert_eq!(ann.create_with(bad).await.code(), "INVALID_ARGUMENT");
    let mut other = input.clone();
    other["name"] = json!("another");
    assert_eq!(ann.create_with(other).await.code(), "ALREADY_EXISTS");
    for id in [CANARY, &id] {
        let tags = json!({ "userSecretId": id, "name": CANARY, "tags": { CANARY: CANARY } });
        ann.update(tags).await;
        ann.update_data(json!({ "userSecretId": id, "data": { "a": CANARY } })).await;
    }
    ann.delete(json!({ "userSecretId": CANARY })).await;
    assert_eq!(system.reveal("acme", CANARY, None).await.code(), "NOT_FOUND");
    assert_eq!(ann.reveal("acme", CANARY, None).await.code(), "PERMISSION_DENIED");
    assert_eq!(system.reveal(CANARY, &id, None).await.code(), "NOT_FOUND");
    ann.gql(
        &format!("{{ userSecrets(query: {{ keyword: \"{CANARY}\" }}) {{ totalCount }} }}"),
        json!({}),
    )
    .await;
    app.with_token(Some(CANARY.to_owned())).get(CANARY).await;
    let (_dir, database, _) = app.drain().await;
    let events = events(&database).await;
    for event in &events {
        // It was named as a domain, in which it is.
        let told = format!(
            "{:?}",
            ::entity::audit_event::Model { domain_id: String::new(), ..event.clone() }
        );
        assert!(!told.contains(CANARY), "{told}");
    }
    let untargeted = |operation: &str, outcome: &str| {
        events.iter().any(|event| {
            (event.operation.as_str(), event.outcome.as_str()) == (operation, outcome)
                && event.target.is_none()
        })
    };
    for operation in
        ["UserSecret.update", "UserSecret.update_data", "UserSecret.delete", "UserSecret.get_data"]
    {
        assert!(untargeted(operation, "NOT_FOUND"), "{operation}");
    }
    assert!(untargeted("UserSecret.get_data", "PERMISSION_DENIED"));
}
