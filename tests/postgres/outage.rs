//! PostgreSQL crashes under load: nothing acknowledged is lost, and the service heals by itself.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::task::JoinSet;
use usersecret::{
    app::Seams,
    audit::{self, Heads, Report},
    clock::Clock,
    config::Config,
    database::Database,
};

use crate::{
    sql::{at_rest, texts},
    support::{TestApp, TestDatabase, engine, eventually, postgres},
};

const CLUSTER: &str = "outage";

pub const QUICK: &str = "[audit]\nseal_interval_ms = 20\nbeat_interval_ms = 50\nsilence_ms = 300\n";

/// Stops the cluster that was broken, also when the test fails.
pub struct Stop(pub &'static str);

impl Drop for Stop {
    fn drop(&mut self) {
        postgres("stop", self.0);
    }
}

/// What the auditor finds when every event must be sealed.
pub async fn verify(config: &Config, heads: &Heads) -> Report {
    let owner = Database::owner(&config.database.settings().unwrap()).await.unwrap();
    let keys = [engine().signing_key().unwrap().clone()];
    let later = Clock::system().now().as_micros() + 120_000_000;
    let report = audit::verify(&owner, &keys, None, heads, later).await.unwrap();
    owner.close().await.unwrap();
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_loses_nothing_that_was_acknowledged() {
    let _stop = Stop(CLUSTER);
    let database = TestDatabase::on_cluster(CLUSTER).await;
    let app = TestApp::on(tempfile::tempdir().unwrap(), database, Seams::default(), QUICK).await;
    let first = app.user("ann").create("first").await;
    let ended = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for worker in 0..8 {
        let (caller, ended) = (app.user("ann"), Arc::clone(&ended));
        let (system, first) = (app.system(), first.clone());
        load.spawn(async move {
            let (mut acknowledged, mut failed) = (Vec::new(), Vec::new());
            for n in 0.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("{worker}/{n}");
                let input = json!({ "name": name, "data": { "key": format!("data of {name}") } });
                let answer = caller.create_with(input).await;
                match answer.code() {
                    "OK" => {
                        let id = "/data/createUserSecret/userSecret/userSecretId";
                        acknowledged.push((name, answer.at(id).as_str().unwrap().to_owned()));
                    }
                    code => {
                        assert_eq!(code, "UNAVAILABLE", "{}", answer.text);
                        failed.push(name);
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
                let code = system.reveal("acme", &first, None).await.code().to_owned();
                assert!(["OK", "UNAVAILABLE"].contains(&code.as_str()), "{code}");
            }
            (acknowledged, failed)
        });
    }
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::task::block_in_place(|| postgres("restart", CLUSTER));
        let back = Instant::now();
        while app.user("ann").get(&first).await.code() != "OK" {
            assert!(back.elapsed() < Duration::from_secs(20), "it does not heal");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    ended.store(true, Ordering::Relaxed);
    let (mut acknowledged, mut failed) = (Vec::new(), Vec::new());
    for (good, bad) in load.join_all().await {
        acknowledged.extend(good);
        failed.extend(bad);
    }
    assert!(acknowledged.len() > 10, "{} were acknowledged", acknowledged.len());
    assert!(!failed.is_empty(), "the crash was not noticed");
    for (name, id) in &acknowledged {
        let answer = app.system().reveal("acme", id, None).await;
        assert_eq!(answer.at("/data/userSecretData/data/key"), &format!("data of {name}"));
    }
    // The others are whole or not there.
    let admin = app.database.connect().await;
    let stored = texts(&admin, "SELECT name FROM user_secrets WHERE name LIKE '%/%'").await;
    let known: BTreeSet<&String> = acknowledged.iter().map(|(name, _)| name).collect();
    let in_doubt: Vec<&String> = stored.iter().filter(|name| !known.contains(name)).collect();
    assert_eq!(stored.len(), known.len() + in_doubt.len());
    for name in in_doubt {
        assert!(failed.contains(name), "{name} was never asked for");
        let id = format!("SELECT user_secret_id FROM user_secrets WHERE name = '{name}'");
        let id = texts(&admin, &id).await;
        let answer = app.system().reveal("acme", &id[0], None).await;
        assert_eq!(answer.at("/data/userSecretData/data/key"), &format!("data of {name}"));
    }
    let untold = "SELECT user_secret_id FROM user_secrets s WHERE NOT EXISTS (SELECT FROM audit_events e
        WHERE e.domain_id = s.domain_id AND e.target = s.user_secret_id AND e.operation = 'UserSecret.create')";
    assert_eq!(texts(&admin, untold).await, Vec::<String>::new());
    admin.close().await.unwrap();
    at_rest(&app).await;
    // The living writer finds its own doubtful commits when silence has passed.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let report = verify(&app.config, &Heads::new()).await;
    assert_eq!((report.findings, report.left), (vec![], 0));
    let (_dir, _database, config) = app.drain().await;
    let report = verify(&config, &report.heads).await;
    assert_eq!((report.findings, report.left), (vec![], 0));
}

/// Server processes that are stopped like a machine that lost its power, until this is dropped.
struct Frozen(Vec<String>);

impl Frozen {
    /// Of `app`'s, those whose last statement was `like` that.
    async fn of(app: &TestApp, like: &str) -> Self {
        let which = format!(
            "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database()
            AND query LIKE '{like}' AND pid <> pg_backend_pid()"
        );
        let admin = app.database.connect().await;
        let frozen = Self(texts(&admin, &which).await);
        admin.close().await.unwrap();
        frozen.signal("-STOP");
        frozen
    }

    fn signal(&self, signal: &str) {
        for pid in &self.0 {
            let _ = std::process::Command::new("kill").args([signal, pid]).status().unwrap();
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

async fn start() -> TestApp {
    let mut database = TestDatabase::on_cluster("frozen").await;
    database.toml.push_str("statement_timeout_ms = 300\nacquire_timeout_ms = 300\n");
    // What a process does when it wakes up must still be looked for.
    let rhythm = QUICK.replace("silence_ms = 300", "silence_ms = 3000");
    TestApp::on(tempfile::tempdir().unwrap(), database, Seams::default(), &rhythm).await
}

/// Freezes the process that does what function `name` does, and asks for that.
async fn freeze(name: &str) -> TestApp {
    let app = start().await;
    let ann = app.user("ann");
    let id = ann.create("first").await;
    let ask = async || match name {
        "create" => ann.create_with(json!({ "name": "x", "data": { "a": 1 } })).await,
        "reveal" => app.system().reveal("acme", &id, None).await,
        _ => ann.get(&id).await,
    };
    assert_eq!(ask().await.code(), "OK");
    let frozen = Frozen::of(&app, &format!("SELECT %FROM usersecret_{name}($1%")).await;
    assert_eq!(frozen.0.len(), 1, "the lane");
    let begun = Instant::now();
    assert_eq!(ask().await.code(), "UNAVAILABLE");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    eventually("the service goes on without it", async || ask().await.code() == "OK").await;
    drop(frozen);
    app
}

/// Freezes the processes that seal.
async fn freeze_the_sealer() -> TestApp {
    let app = start().await;
    app.user("ann").create("first").await;
    let frozen = loop {
        // Its statements are soon over.
        let frozen = Frozen::of(&app, "%audit\\_%").await;
        if !frozen.0.is_empty() {
            break frozen;
        }
    };
    app.user("ann").create("second").await;
    eventually("it seals without them", async || {
        let report = verify(&app.config, &Heads::new()).await;
        (report.findings, report.left) == (vec![], 0)
    })
    .await;
    drop(frozen);
    app
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_process_that_says_nothing_is_given_up() {
    let _stop = Stop("frozen");
    // One after the other: a database is not made while a process is stopped.
    let apps = [
        freeze("create").await,
        freeze("reveal").await,
        freeze("find").await,
        freeze_the_sealer().await,
    ];
    tokio::time::sleep(Duration::from_millis(3500)).await;
    for app in apps {
        let report = verify(&app.config, &Heads::new()).await;
        assert_eq!((report.findings, report.left), (vec![], 0));
    }
}
