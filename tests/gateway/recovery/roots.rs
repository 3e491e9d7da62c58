//! Roots are changed by one command at a time.

use faulty_hsm::kit::Faults;

use super::*;

/// A rotation that stops where it visits the token first, and says what happens to it later.
fn rotation_that_hangs(site: &Site) -> (Faults, Child) {
    let faults = site.token.faults();
    faults.set("function=C_Login hang").unwrap();
    let rotation = site.token.begin(["hsm", "rotate-root"], &[], &faults);
    (faults, rotation)
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
    let connection = site.database.connect().await;
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let ended = async || connection.execute_unprepared(end).await.unwrap().rows_affected() == 1;
    eventually("its connection is ended", ended).await;
    faults.set("").unwrap();
    let said = first.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("the lock on the roots was lost"), "{said}");
    let said = site.token.good(["hsm", "rotate-root"], &[]);
    assert!(said.contains("root key 2 is made"), "{said}");
}
