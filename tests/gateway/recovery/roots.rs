//! Roots are changed by one command at a time.

use faulty_hsm::kit::Faults;
use sea_orm::TransactionTrait as _;

use super::*;

/// A rotation that stops where it visits the token first, and says what happens to it later.
fn rotation_that_hangs(site: &Site) -> (Faults, Child) {
    let faults = site.token.faults();
    faults.set("function=C_Login hang").unwrap();
    let rotation = site.token.begin(["hsm", "rotate-root"], &[], &faults);
    (faults, rotation)
}

/// Ends the connections that have a database's roots to themselves; how many.
async fn end_the_lock(site: &Site) -> u64 {
    let connection = site.database.connect().await;
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let ended = connection.execute_unprepared(end).await.unwrap().rows_affected();
    connection.close().await.unwrap();
    ended
}

async fn site(dir: &Path) -> Site {
    let site = Site::new(Token::new(), TestDatabase::create(dir).await, new_key());
    init(&site.token, &[]);
    site.token.good(["migrate"], &[]);
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_second_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path()).await;
    let (_faults, mut first) = rotation_that_hangs(&site);
    let refused = |verb: &str, more: &[&str]| {
        site.token.bad(["hsm", verb], more).contains("is under way on this database")
    };
    let destroy = async || refused("destroy-root", &["1", "--confirm", "1"]);
    eventually("it has begun", destroy).await;
    assert!(refused("rotate-root", &[]));
    let copy = site.token.path("config.toml");
    assert!(refused("restore", &[&copy, "--root-version", "2"]));
    // Nobody else is kept from anything.
    site.token.good(["hsm", "doctor"], &[]);

    first.kill().unwrap();
    first.wait().unwrap();
    let said = site.token.good(["hsm", "rotate-root"], &[]);
    assert!(said.contains("root key 2 is made"), "{said}");
    site.token.good(["hsm", "destroy-root"], &["1", "--confirm", "1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_lost_the_connection_goes_no_further() {
    if !on_postgres() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path()).await;
    let (faults, first) = rotation_that_hangs(&site);
    eventually("its connection is ended", async || end_the_lock(&site).await == 1).await;
    faults.set("").unwrap();
    let said = first.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("the lock on the roots was lost"), "{said}");
    let said = site.token.good(["hsm", "rotate-root"], &[]);
    assert!(said.contains("root key 2 is made"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_lost_the_lock_in_the_middle_of_its_work_harms_no_key() {
    if !on_postgres() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path()).await;
    let (running, url) = site.serve();
    let ann = site.caller(&url, "acme", "USER");
    let id = ann.create("kept").await;
    drop(running);

    let held = site.database.connect().await;
    let key = held.begin().await.unwrap();
    key.execute_unprepared("SELECT FROM keks FOR UPDATE").await.unwrap();
    let faults = site.token.faults();
    let rotate = || site.token.begin(["hsm", "rotate-root"], &[], &faults);
    let waiting = async |many: i64| {
        let who = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE NOT l.granted AND a.datname = current_database()";
        eventually("a key is waited for", async || site.database.value::<i64>(who).await == many)
            .await;
    };
    let first = rotate();
    waiting(1).await;
    assert_eq!(end_the_lock(&site).await, 1);
    let second = rotate();
    waiting(2).await;
    key.rollback().await.unwrap();
    // What the first is about to store is waited for by the second, which goes on with the same root.
    for (rotation, made) in [(first, "root key 2 is made"), (second, "root key 2 was made before")]
    {
        let done = rotation.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success() && said.contains(made), "{said}");
    }
    let under = "SELECT root_version::bigint FROM keks";
    assert_eq!(site.database.value::<i64>(under).await, 2);

    let (_running, url) = site.serve();
    let system = site.caller(&url, "acme", "SYSTEM");
    assert_eq!(system.reveal("acme", &id, None).await.code(), "OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_key_is_its_domain_s_affair_alone() {
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path()).await;
    let (running, url) = site.serve();
    let mut ids = Vec::new();
    for domain in ["acme", "globex", "umbrella"] {
        ids.push(site.caller(&url, domain, "USER").create("kept").await);
    }
    drop(running);
    let connection = site.database.connect().await;
    for harm in [
        format!("UPDATE keks SET blob = {} WHERE domain_id = 'acme'", sql_bytes(&[7; 40])),
        "UPDATE keks SET root_version = 0 WHERE domain_id = 'umbrella'".to_owned(),
    ] {
        connection.execute_unprepared(&harm).await.unwrap();
    }
    connection.close().await.unwrap();

    for (version, made) in [(2, "root key 2 is made"), (3, "root key 3 is made")] {
        let said = site.token.bad(["hsm", "rotate-root"], &[]);
        assert!(said.contains(made), "{said}");
        assert!(said.contains("version 1 of the key of acme does not open"), "{said}");
        let lacks =
            "version 1 of the key of umbrella is under root key 0, which the token does not have";
        assert!(said.contains(lacks), "{said}");
        assert!(
            said.contains(&format!("1 keys of domains are under root key {version}")),
            "{said}"
        );
    }
    let said = site.token.bad(["domain", "verify", "acme"], &[]);
    assert!(said.contains(&format!("✘ {}, version 1, does not open", ids[0])), "{said}");
    assert!(site.token.good(["domain", "verify", "globex"], &[]).is_empty());
    site.token.good(["domain", "rotate", "acme"], &[]);
    let said = site.token.bad(["domain", "rewrap", "acme"], &[]);
    assert!(said.contains("✘ 1 do not open, and were left"), "{said}");
    let said = site.token.bad(["domain", "verify", "umbrella"], &[]);
    assert!(said.contains(&format!("✘ {}, version 1, does not open", ids[2])), "{said}");
    site.token.good(["domain", "rotate", "umbrella"], &[]);
    let said = site.token.bad(["domain", "rewrap", "umbrella"], &[]);
    assert!(said.contains("the token has no root key 0"), "{said}");
    site.token.good(["domain", "shred", "umbrella"], &["--confirm", "umbrella"]);

    // It is given up, and nothing needs the first root any more.
    assert!(site.token.bad(["hsm", "destroy-root"], &["1", "--confirm", "1"]).contains("wraps"));
    site.token.good(["domain", "shred", "acme"], &["--confirm", "acme"]);
    site.token.good(["hsm", "destroy-root"], &["1", "--confirm", "1"]);
    let (_running, url) = site.serve();
    let system = site.caller(&url, "globex", "SYSTEM");
    assert_eq!(system.reveal("globex", &ids[1], None).await.code(), "OK");

    // A token without the root must not get another one beside all that.
    let lost = Site::new(Token::new(), site.database.clone(), new_key());
    let said = lost.token.bad(["hsm", "init"], &[]);
    assert!(said.contains("`usersecret hsm restore` brings theirs"), "{said}");
}
