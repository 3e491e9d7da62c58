//! Statements that many requests share: each gets its own answer, and nobody's error but its own.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::task::JoinSet;
use usersecret::{app::Seams, ids::IdSource};

use crate::{
    sql::{admin, at_rest, hold},
    support::{Answer, Client, TestApp, TestDatabase},
};

const DOMAINS: [&str; 6] = ["acme", "globex", "initech", "hooli", "umbrella", "stark"];
const USERS: [&str; 3] = ["ann", "bob", "cid"];
const EACH: usize = 7;

/// Draws 28 ids for the 21 rows of each of six domains, so that an id belongs to four or five of them on average.
fn few_ids() -> Seams {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let draw = || {
        let n = NEXT.fetch_add(1, Ordering::Relaxed) % (USERS.len() * EACH + 7);
        [0, 0, 0, 0, 0, u8::try_from(n).unwrap()]
    };
    Seams { ids: IdSource::from_fn(draw), ..Seams::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_hundreds_gets_its_own_answer() {
    // Hundreds at once take a busy machine longer than anybody should wait.
    let dir = tempfile::tempdir().unwrap();
    let mut database = TestDatabase::create(dir.path()).await;
    database.toml.push_str("acquire_timeout_ms = 30000\nstatement_timeout_ms = 30000\n");
    let patient = "[server]\nrequest_timeout_ms = 60000\n";
    let app = TestApp::on(dir, database, few_ids(), patient).await;
    for domain in DOMAINS {
        app.caller(domain, "first", "USER").create("warms the KEK up").await;
    }
    let mut creating = JoinSet::new();
    for (domain, user) in DOMAINS.iter().flat_map(|d| USERS.map(|u| (*d, u))) {
        let caller = app.caller(domain, user, "USER");
        for n in 0..EACH {
            let (caller, name) = (caller.clone(), format!("{domain}/{user}/{n}"));
            creating.spawn(async move { (domain, user, caller.create(&name).await, name) });
        }
    }
    let created = creating.join_all().await;
    let mut owners: HashMap<(&str, String), (&str, String)> = HashMap::new();
    for (domain, user, id, name) in created {
        assert_eq!(owners.insert((domain, id), (user, name)), None, "an id was given out twice");
    }

    let mut asking = JoinSet::new();
    for ((domain, id_text), (owner, name)) in &owners {
        let system = app.caller(domain, "", "SYSTEM");
        let (id, expected) = (id_text.clone(), format!("data of {name}"));
        let within = (*domain).to_owned();
        asking.spawn(async move {
            let answer = system.reveal(&within, &id, None).await;
            assert_eq!(answer.at("/data/userSecretData/data/key"), &expected, "{within} {id}");
        });
        for user in USERS {
            let caller = app.caller(domain, user, "USER");
            let (id, name) = (id_text.clone(), (user == *owner).then(|| name.clone()));
            asking.spawn(async move {
                let answer = caller.get(&id).await;
                match name {
                    Some(name) => assert_eq!(answer.at("/data/userSecret/name"), &name),
                    None => assert_eq!(answer.code(), "NOT_FOUND", "{}", answer.text),
                }
            });
        }
    }
    asking.join_all().await;

    // Commits were shared, and hold rows and events together.
    let commits = "SELECT count(DISTINCT xmin::text)::float8 / count(*) FROM user_secrets";
    let before: f64 = app.database.value(commits).await;
    assert!(before < 1.0, "nothing was ever shared");
    let apart =
        "SELECT count(*) FROM user_secrets s LEFT JOIN audit_events e ON e.domain_id = s.domain_id
        AND e.target = s.user_secret_id AND e.operation = 'UserSecret.create' AND e.xmin = s.xmin
        WHERE e.event_id IS NULL";
    assert_eq!(app.database.value::<i64>(apart).await, 0);
    at_rest(&app).await;
}

/// Sends `requests` while `table` is locked, so that they wait for each other, and returns the answers.
async fn together<F>(app: &TestApp, requests: Vec<F>) -> Vec<Answer>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let lock = hold(&app.database, "LOCK TABLE user_secrets IN ACCESS EXCLUSIVE MODE").await;
    let mut asking = JoinSet::new();
    for (n, request) in requests.into_iter().enumerate() {
        asking.spawn(async move { (n, request.await) });
    }
    // Then all are in the queue but the one that the lock holds up, also on a busy machine;
    // that one is given up after three seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    lock.close().await.unwrap();
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(n, _)| *n);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

const CROWD: usize = 24;
/// The one that fails, in the middle of the others.
const BAD: usize = 11;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_fails_fails_alone() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    ann.create("warms the KEK up").await;
    // A defect of the row's own, one that lost a race, a deadlock, and a timeout.
    for (state, code) in [
        ("P0001", "INTERNAL"),
        ("40001", "UNAVAILABLE"),
        ("40P01", "UNAVAILABLE"),
        ("57014", "UNAVAILABLE"),
    ] {
        let trap = format!(
            "CREATE OR REPLACE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.name = 'bad' THEN RAISE EXCEPTION 'trapped' USING ERRCODE = '{state}'; END IF;
                RETURN NEW; END $$;
            CREATE OR REPLACE TRIGGER trap BEFORE INSERT ON user_secrets FOR EACH ROW EXECUTE FUNCTION trap()"
        );
        admin(&app.database, &trap).await;
        let create = |n: usize| {
            let caller = app.user(if n.is_multiple_of(2) { "ann" } else { "bob" });
            let name = if n == BAD { "bad".to_owned() } else { format!("{state} {n}") };
            async move {
                caller.create_with(serde_json::json!({ "name": name, "data": { "a": n } })).await
            }
        };
        let answers = together(&app, (0..CROWD).map(create).collect()).await;
        for (n, answer) in answers.iter().enumerate() {
            assert_eq!(
                answer.code(),
                if n == BAD { code } else { "OK" },
                "{state} {n}: {}",
                answer.text
            );
            let name = format!("{state} {n}");
            if n != BAD {
                assert_eq!(answer.at("/data/createUserSecret/userSecret/name"), &name);
            }
        }
        let stored = format!("SELECT count(*) FROM user_secrets WHERE name LIKE '{state}%'");
        assert_eq!(app.database.value::<i64>(&stored).await, i64::try_from(CROWD - 1).unwrap());
        let bad = "SELECT count(*) FROM user_secrets WHERE name = 'bad'";
        assert_eq!(app.database.value::<i64>(bad).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_is_its_readers_affair() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let mut ids = Vec::new();
    for n in 0..CROWD {
        ids.push(ann.create(&n.to_string()).await);
    }
    let bad = &ids[BAD];
    app.sql(&[
        format!("UPDATE user_secrets SET tags = '[]' WHERE user_secret_id = '{bad}'"),
        format!("UPDATE user_secret_versions SET dek = '\\x00' WHERE user_secret_id = '{bad}'"),
    ])
    .await;
    let get = |id: &String| {
        let (caller, id): (Client, String) = (ann.clone(), id.clone());
        async move { caller.get(&id).await }
    };
    for (n, answer) in together(&app, ids.iter().map(get).collect()).await.iter().enumerate() {
        assert_eq!(answer.code(), if n == BAD { "INTERNAL" } else { "OK" }, "{n}: {}", answer.text);
    }
    let reveal = |id: &String| {
        let (caller, id) = (app.system(), id.clone());
        async move { caller.reveal("acme", &id, None).await }
    };
    for (n, answer) in together(&app, ids.iter().map(reveal).collect()).await.iter().enumerate() {
        assert_eq!(answer.code(), if n == BAD { "INTERNAL" } else { "OK" }, "{n}: {}", answer.text);
        if n != BAD {
            assert_eq!(answer.at("/data/userSecretData/data/key"), &format!("data of {n}"));
        }
    }
    // Each reading has one event, and many shared a commit.
    let events = "SELECT count(*) FROM audit_events WHERE operation = 'UserSecret.get_data' AND outcome = 'granted'";
    assert_eq!(app.database.value::<i64>(events).await, i64::try_from(CROWD).unwrap());
    let commits = "SELECT count(DISTINCT xmin::text) FROM audit_events WHERE operation = 'UserSecret.get_data'";
    assert!(app.database.value::<i64>(commits).await < 5, "nothing was shared");
}
