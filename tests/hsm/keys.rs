//! The life of keys under load, and under SIGKILL.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    load::Load,
    service::Service,
    support::{connect, eventually},
};

/// The only value of the only row that `query` gives.
async fn value<T: sea_orm::TryGetable>(service: &Service, query: &str) -> T {
    use sea_orm::ConnectionTrait as _;
    let connection = connect(&service.database_url()).await;
    let statement = sea_orm::Statement::from_string(connection.get_database_backend(), query);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_root_takes_over_while_the_service_runs() {
    let mut service = Service::start(&[]).await;
    let load = Load::start(&service).await;
    load.all_is_well().await;
    // One that nobody asks for until all is over: what a replica remembers of its key is old then.
    let idle = service.caller("idle", Some("ida"));
    idle.create("before").await;
    service.refuses(&["hsm", "destroy-root", "1", "--confirm", "1"]);

    let said = service.does(&["hsm", "rotate-root"]);
    assert!(said.contains("4 keys of domains are under root key 2"), "{said}");
    load.heals().await;
    load.all_is_well().await;
    // Killed behind the birth of the next one, it goes on with that.
    let doctor = service.does(&["hsm", "doctor"]);
    assert!(doctor.contains("version 1, check value") && doctor.contains("version 2, check value"));
    assert!(doctor.contains("their roots open 4"), "{doctor}");
    let under = "SELECT count(*) FROM keks WHERE root_version <> 2";
    assert_eq!(value::<i64>(&service, under).await, 0);

    service.refuses(&["hsm", "destroy-root", "2", "--confirm", "2"]);
    service.refuses(&["hsm", "destroy-root", "1", "--confirm", "2"]);
    let said = service.does(&["hsm", "destroy-root", "1", "--confirm", "1"]);
    assert!(said.contains("root key 1 is destroyed"), "{said}");
    load.all_is_well().await;
    // New domains begin under it, and processes that begin now know nothing else.
    let zoe = service.caller("newcomer", Some("zoe"));
    let id = zoe.create("n").await;
    service.kill_workers();
    load.heals().await;
    idle.create("after").await;
    let opened = service.caller("newcomer", None).reveal("newcomer", &id, None).await;
    assert_eq!(opened.code(), "OK", "{}", opened.text);
    load.end().await;
    let trail = "SELECT group_concat(operation || ' ' || target, ', ') FROM
        (SELECT * FROM audit_events WHERE domain_id = '-' AND operation LIKE 'Root.%' ORDER BY event_id)";
    assert_eq!(value::<String>(&service, trail).await, "Root.rotate 2, Root.destroy 1");
    service.stop();
    service.does(&["audit", "verify"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrap_that_is_killed_again_and_again_ends_and_loses_nothing() {
    const COUNT: usize = 3_000;
    let mut service = Service::new();
    let slow =
        [("USERSECRET_KEYS__REWRAP_PER_SECOND", "500"), ("USERSECRET_KEYS__INTERVAL_MS", "100")];
    service.run(&slow);
    service.is_ready(true).await;
    let lines: String = (0..COUNT)
        .map(|n| json!({ "user_secret_id": format!("user-secret-{n:012x}"), "name": "n", "domain_id": "acme",
            "user_id": "ann", "data": { "n": n } }).to_string() + "\n")
        .collect();
    let file = service.dir.path().join("lines");
    fs::write(&file, lines).unwrap();
    service.does(&["import", file.to_str().unwrap()]);
    service.does(&["domain", "rotate", "acme"]);

    let old = "SELECT count(*) FROM user_secret_versions WHERE kek_version = 1";
    let mut kills = 0;
    loop {
        let before: i64 = value(&service, old).await;
        if before == 0 {
            break;
        }
        // It has to come a bit further, whoever held the work when it was killed.
        eventually("it goes on", async || value::<i64>(&service, old).await < before).await;
        if kills < 3 {
            service.kill();
            kills += 1;
            service.run(&slow);
            service.is_ready(true).await;
        } else {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    assert_eq!(kills, 3);
    let alive = "SELECT count(*) FROM keks WHERE destroyed_at IS NULL";
    eventually("the old key is gone", async || value::<i64>(&service, alive).await == 1).await;
    let said = service.does(&["domain", "verify", "acme"]);
    assert!(said.contains(&format!("{COUNT} versions of secrets open")), "{said}");

    // The command does the same, beside the server that may have it already, and shows how far it is.
    service.does(&["domain", "rotate", "acme"]);
    let mut command = service.begin(&["domain", "rewrap", "acme", "--per-second", "500"]);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    command.kill().unwrap();
    command.wait().unwrap();
    let said = service.does(&["domain", "rewrap", "acme", "--per-second", "0"]);
    assert!(said.contains("are under version 3"), "{said}");
    let said = service.does(&["domain", "verify", "acme"]);
    assert!(said.contains(&format!("{COUNT} versions of secrets open")), "{said}");
    let listed = service.does(&["domain", "list"]);
    assert!(listed.contains("acme") && listed.contains("done"), "{listed}");

    // One that was changed is named, by the one and by the other.
    let harm = "UPDATE user_secret_versions SET dek = zeroblob(60) WHERE user_secret_id = 'user-secret-000000000007'";
    let connection = connect(&service.database_url()).await;
    sea_orm::ConnectionTrait::execute_unprepared(&connection, harm).await.unwrap();
    let said = service.refuses(&["domain", "verify", "acme"]);
    assert!(said.contains("user-secret-000000000007, version 1, does not open"), "{said}");
    // So is one whose secret is gone, and what is gone with it is who it was of.
    let orphan = "PRAGMA foreign_keys = OFF; DELETE FROM user_secrets WHERE user_secret_id = 'user-secret-000000000008'";
    sea_orm::ConnectionTrait::execute_unprepared(&connection, orphan).await.unwrap();
    let said = service.refuses(&["domain", "verify", "acme"]);
    assert!(said.contains("user-secret-000000000008, version 1, does not open"), "{said}");
    assert!(said.contains(&format!("{} versions of secrets open", COUNT - 2)), "{said}");
    let orphan =
        "DELETE FROM user_secret_versions WHERE user_secret_id = 'user-secret-000000000008'";
    sea_orm::ConnectionTrait::execute_unprepared(&connection, orphan).await.unwrap();
    service.does(&["domain", "rotate", "acme"]);
    let said = service.refuses(&["domain", "rewrap", "acme", "--per-second", "0"]);
    assert!(said.contains("1 do not open, and were left"), "{said}");

    // The end of all, with a statement that another program verifies.
    let path = |name: &str| service.dir.path().join(name).display().to_string();
    for verb in ["rotate", "rewrap", "verify", "statement"] {
        let said = service.refuses(&["domain", verb, "acne"]);
        assert!(said.contains("acne has no key"), "{verb}: {said}");
    }
    let shred = ["domain", "shred", "acme", "--confirm"];
    service.refuses(&[&shred[..], &["acm"]].concat());
    let out = path("statement");
    service.does(&[&shred[..], &["acme", "--out", &out]].concat());
    fs::write(path("key.pem"), service.prints(&["audit", "public-key"])).unwrap();
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-verify", &path("key.pem"), "-signature"]);
    let verified = openssl.args([&path("statement.sig"), &out]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    let second = path("second");
    service.refuses(&[&shred[..], &["acme", "--out", &second]].concat());
    assert!(!fs::exists(&second).unwrap() && !fs::exists(path("second.sig")).unwrap());
    let again = service.prints(&["domain", "statement", "acme"]);
    assert_eq!(again.trim(), fs::read_to_string(&out).unwrap().trim());
    service.refuses(&["domain", "verify", "acme"]);
    let gone = service.caller("acme", None).reveal("acme", "user-secret-000000000001", None).await;
    assert_eq!(gone.code(), "FAILED_PRECONDITION");
    service.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrap_over_an_hsm_that_is_far_away_ends() {
    let settings =
        [("USERSECRET_HSM__DEADLINE_MS", "500"), ("USERSECRET_KEYS__INTERVAL_MS", "100")];
    let mut service = Service::start(&settings).await;
    let ann = service.caller("acme", Some("ann"));
    for number in 0..32 {
        ann.create(&format!("n{number}")).await;
    }
    let workers = service.workers();
    // Sixteen would take longer than a job may: each is three calls.
    service.faults.set("function=C_UnwrapKey,C_Encrypt,C_Decrypt delay_us=12000").unwrap();
    let rotate =
        "mutation { rotateDomainKey(input: { domainId: \"acme\" }) { domain { domainId } } }";
    assert_eq!(service.caller("acme", None).gql(rotate, json!({})).await.code(), "OK");
    let alive = "SELECT count(*) FROM keks WHERE destroyed_at IS NULL";
    eventually("the old key is gone", async || value::<i64>(&service, alive).await == 1).await;
    assert_eq!(service.workers()[0].0, workers[0].0, "nothing was replaced");
    service.faults.set("").unwrap();
    let said = service.does(&["domain", "verify", "acme"]);
    assert!(said.contains("32 versions of secrets open"), "{said}");
    service.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_revealed_behind_the_word_that_a_domain_is_shredded() {
    let mut service = Service::start(&[]).await;
    let id = service.caller("acme", Some("ann")).create("a").await;
    let system = service.caller("acme", None);
    service.faults.set("function=C_Decrypt delay_us=180000").unwrap();
    let reveals: Vec<_> = (0..12)
        .map(|_| {
            let (system, id) = (system.clone(), id.clone());
            tokio::spawn(async move {
                let answer = system.reveal("acme", &id, None).await;
                (Instant::now(), answer.code().to_owned())
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(150)).await;
    let shred = "mutation { shredDomain(input: { domainId: \"acme\", confirm: \"acme\" }) { domain { state } } }";
    let shredded = system.gql(shred, json!({})).await;
    let acknowledged = Instant::now();
    assert_eq!(shredded.code(), "OK", "{}", shredded.text);
    let mut revealed = 0;
    for reveal in reveals {
        let (at, code) = reveal.await.unwrap();
        revealed += u32::from(code == "OK");
        assert!(code != "OK" || at < acknowledged, "{:?} late", at - acknowledged);
    }
    assert!(revealed > 0, "none was under way");
    service.stop();
}

/// For a few calls in a row, wherever it begins, the module takes another key: what is acknowledged meanwhile opens afterwards, and a
/// domain that began then goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mix_up_of_any_length_loses_no_write_that_was_acknowledged() {
    let mut service = Service::start(&[]).await;
    let create = "mutation { createUserSecret(input: { name: \"a\", data: { value: 1 } }) { userSecret { userSecretId } } }";
    for domain in ["acme", "globex"] {
        service.caller(domain, Some("ann")).create("first").await;
    }
    let mut acknowledged = 0;
    for count in 1..=6 {
        for from in 1..=3 {
            for domain in ["acme".to_owned(), format!("new-{count}-{from}")] {
                let ann = service.caller(&domain, Some("ann"));
                let line = format!(
                    "function=C_EncryptInit,C_DecryptInit swap_key from={from} count={count}"
                );
                service.faults.set(&line).unwrap();
                let written = ann.gql(create, json!({})).await;
                service.faults.set("").unwrap();
                assert!(
                    ["OK", "UNAVAILABLE"].contains(&written.code()),
                    "{line}: {}",
                    written.text
                );
                let mut ids = Vec::new();
                if written.code() == "OK" {
                    acknowledged += 1;
                    let id = written.at("/data/createUserSecret/userSecret/userSecretId");
                    ids.push(id.as_str().unwrap().to_owned());
                }
                eventually("it goes on", async || ann.gql(create, json!({})).await.code() == "OK")
                    .await;
                ids.push(ann.create("later").await);
                let system = service.caller(&domain, None);
                for id in ids {
                    let revealed = system.reveal(&domain, &id, None).await;
                    assert_eq!(revealed.code(), "OK", "{line}, {domain}: {}", revealed.text);
                }
            }
        }
    }
    assert!(acknowledged > 0);
    service.stop();
}

/// Once it is read again; and again and again the module is at fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_read_wrongly_is_no_tampered_row() {
    let mut service = Service::start(&[]).await;
    let id = service.caller("acme", Some("ann")).create("a").await;
    let system = service.caller("acme", None);
    for (fault, code) in [("corrupt count=1", "OK"), ("corrupt", "UNAVAILABLE")] {
        service.faults.set(&format!("function=C_Decrypt {fault}")).unwrap();
        assert_eq!(system.reveal("acme", &id, None).await.code(), code, "{fault}");
    }
    service.faults.set("").unwrap();
    eventually("it is read rightly", async || {
        system.reveal("acme", &id, None).await.code() == "OK"
    })
    .await;
    service.stop();
}

/// A shredding waits for reveals that are under way, and no longer than half of a request's time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_a_shredding_waits_is_not_revealed() {
    let env = [("USERSECRET_SERVER__REQUEST_TIMEOUT_MS", "2000")];
    let mut service = Service::start(&env).await;
    let id = service.caller("acme", Some("ann")).create("a").await;
    let system = service.caller("acme", None);
    for (delay_us, code) in [(1_300_000, "UNAVAILABLE"), (300_000, "OK")] {
        service.faults.set(&format!("function=C_Decrypt delay_us={delay_us}")).unwrap();
        assert_eq!(system.reveal("acme", &id, None).await.code(), code, "{delay_us}");
    }
    assert!(service.log().contains("the reveal took too long"), "{}", service.log());
    // Nor is what was there in time, in an answer that was not.
    service.faults.set("function=C_Decrypt delay_us=700000").unwrap();
    let reveal = "userSecretData(userSecretId: $id, domainId: \"acme\") { data }";
    let both = format!("query($id: ID!) {{ first: {reveal} second: {reveal} }}");
    let answer = system.gql(&both, json!({ "id": id })).await;
    assert_eq!(answer.code(), "UNAVAILABLE");
    assert!(!answer.text.contains("\"first\":{"), "{}", answer.text);
    service.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrap_does_not_take_what_was_read_wrongly_for_a_key() {
    const COUNT: usize = 100;
    let mut service = Service::start(&[("USERSECRET_KEYS__INTERVAL_MS", "100")]).await;
    let ann = service.caller("acme", Some("ann"));
    let mut ids = Vec::new();
    for _ in 0..COUNT {
        ids.push(ann.create("a").await);
    }
    let wrong = [20, 75, 130].map(|call| format!("function=C_Decrypt corrupt from={call} count=1"));
    service.faults.set(&wrong.join("\n")).unwrap();
    let system = service.caller("acme", None);
    let rotated = system.gql(
        "mutation { rotateDomainKey(input: { domainId: \"acme\" }) { domain { state } } }",
        json!({}),
    );
    assert_eq!(rotated.await.code(), "OK");
    let left = "SELECT count(*) FROM user_secret_versions WHERE kek_version = 1";
    eventually("it is done", async || value::<i64>(&service, left).await == 0).await;
    service.faults.set("").unwrap();
    for id in &ids {
        assert_eq!(system.reveal("acme", id, None).await.code(), "OK");
    }
    service.stop();
}
