//! `usersecret audit`, the program itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use usersecret::{clock::Timestamp, ids::IdSource};

use super::*;
use crate::support::module;

/// The files of an auditor: two configurations, with and without a token, and the token's public key.
struct Desk {
    dir: tempfile::TempDir,
    online: PathBuf,
    offline: PathBuf,
    key: PathBuf,
}

impl Desk {
    fn of(database: &TestDatabase) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let database = format!("[database]\n{}", database.toml);
        let module = module();
        let token =
            format!("{database}[hsm]\nmodule = {module:?}\ntoken_label = \"usersecret-test\"\n");
        let (online, offline) = (
            file("online.toml", &token),
            file("offline.toml", &format!("{database}[hsm]\nmodule = \"/none\"\n")),
        );
        let pem = file("key.pem", "");
        let desk = Self { dir, online, offline, key: pem };
        let told = run(&["audit", "public-key", "--config"], &[&desk.online]);
        assert!(told.status.success(), "{told:?}");
        assert_eq!(
            String::from_utf8(told.stdout.clone()).unwrap(),
            engine().signing_key().unwrap().to_pem()
        );
        fs::write(&desk.key, told.stdout).unwrap();
        desk
    }

    /// Without an HSM; `more` arguments, and the exit status with what was printed.
    fn verify(&self, more: &[&str]) -> (i32, String, String) {
        let mut arguments = vec!["audit", "verify"];
        arguments.extend(more);
        arguments.push("--public-key");
        told(&run(&arguments, &[&self.key, Path::new("--config"), &self.offline]))
    }

    fn keep(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

fn run(arguments: &[&str], files: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_usersecret")).args(arguments).args(files).output().unwrap()
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_auditor_verifies_beside_a_running_server_and_without_one() {
    let app = TestApp::with(Seams::default(), QUICK).await;
    let ann = app.user("ann");
    let id = ann.create("aws").await;
    let desk = Desk::of(&app.database);
    let busy = {
        let (ann, id) = (ann.clone(), id.clone());
        tokio::spawn(async move {
            loop {
                ann.update(json!({ "userSecretId": id, "name": "x" })).await;
                ann.update(json!({ "userSecretId": id, "name": "y" })).await;
            }
        })
    };
    eventually("something is sealed", async || count(&app.database, "audit_blocks").await > 2)
        .await;
    let (status, heads, errors) = told(&run(&["audit", "verify", "--config"], &[&desk.online]));
    assert_eq!((status, errors.contains('✘')), (0, false), "{errors}");
    busy.abort();
    let _ = busy.await;
    let kept = desk.keep("heads.json", &heads);
    app.caller("globex", "eve", "USER").create("theirs").await;
    let (_dir, database, _) = app.drain().await;

    for domain in [&[][..], &["--domain", "acme"], &["--domain", "globex"], &["--domain", "nobody"]]
    {
        let (status, _, errors) = desk.verify(&[domain, &["--head", &kept]].concat());
        assert_eq!(status, 0, "{domain:?}: {errors}");
    }
    let (status, newest, _) = desk.verify(&[]);
    assert_eq!(status, 0);
    let newest = desk.keep("newest.json", &newest);

    // Cut off the end, with what it seals: only the head that was kept tells.
    let connection = database.connect().await;
    let cut = "DELETE FROM audit_events WHERE domain_id = 'globex'";
    connection.execute_unprepared(cut).await.unwrap();
    assert_eq!(desk.verify(&["--domain", "acme"]).0, 0);
    let (status, _, errors) = desk.verify(&["--domain", "globex"]);
    assert_eq!((status, errors.contains("removed since it was sealed")), (1, true), "{errors}");
    assert_eq!(desk.verify(&[]).0, 1);
    let cut = "DELETE FROM audit_blocks; DELETE FROM audit_events";
    connection.execute_unprepared(cut).await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(desk.verify(&[]).0, 0);
    let (status, _, errors) = desk.verify(&["--head", &newest]);
    assert_eq!(
        (status, errors.contains("missing, or another than was known")),
        (1, true),
        "{errors}"
    );

    let bad = desk.keep("bad", "x");
    for wrong in
        [&["--head", &bad][..], &["--head", "none"], &["--domain", "-"], &["--public-key", &bad]]
    {
        let (status, heads, _) = desk.verify(wrong);
        assert_eq!((status, heads.as_str()), (3, ""), "{wrong:?}");
    }
}

#[tokio::test]
async fn what_a_dead_replica_left_is_status_2() {
    let clock = Clock::from_fn(|| Timestamp::from_micros(now() - micros(LATER)));
    let app = TestApp::with(Seams { clock, ids: IdSource::random() }, SILENT).await;
    app.user("ann").create("aws").await;
    let desk = Desk::of(&app.database);
    let (status, heads, errors) = desk.verify(&[]);
    assert_eq!((status, heads.as_str()), (2, "{}\n"), "{errors}");
    assert!(errors.contains("2 events of a dead replica are not sealed yet"), "{errors}");
    let (_dir, ..) = app.drain().await;
    let (status, _, errors) = desk.verify(&[]);
    assert_eq!(status, 0, "{errors}");
}

/// As its owner, who may wait: the service's patience with statements is not the auditor's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_auditor_takes_his_time() {
    if !on_postgres() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut database = TestDatabase::create(dir.path()).await;
    database.toml += "statement_timeout_ms = 100\n";
    let app = TestApp::on(dir, database, Seams::default(), QUICK).await;
    app.user("ann").create("aws").await;
    let held = lock(&app.database, "audit_events").await;
    let free = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        held.close().await.unwrap();
    });
    assert_eq!(verify(&app.config, &Heads::new(), Duration::ZERO).await.findings, []);
    free.await.unwrap();
}

/// The program, killed: the next one seals what it left.
#[tokio::test]
async fn a_killed_program_loses_nothing() {
    let app = TestApp::with(Seams::default(), SILENT).await;
    let jwks = app.dir.path().join("jwks.json");
    let pin = app.dir.path().join("pin");
    fs::write(&pin, "canary-pin-7391").unwrap();
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"\"\n[audit]\nseal_interval_ms = 3600000\n[database]\n{}\
         [hsm]\nmodule = {:?}\ntoken_label = \"usersecret-test\"\npin_file = {pin:?}\n\
         [[auth.issuers]]\niss = \"{}\"\njwks_file = {jwks:?}\nalgorithms = [\"ES256\"]\naudiences = [\"usersecret\"]\n\
         domains = [\"*\"]\nroles = [\"USER\", \"SYSTEM\"]\n",
        app.database.toml,
        module(),
        crate::support::ISS
    );
    let file = app.dir.path().join("config.toml");
    fs::write(&file, config).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_usersecret"))
        .args(["serve", "--config"])
        .arg(&file)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(server.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let ann = Client { url, token: app.user("ann").token };
    let id = ann.create("aws").await;
    for n in 0..9 {
        ann.update(json!({ "userSecretId": id, "name": format!("n{n}") })).await;
    }
    server.kill().unwrap();
    server.wait().unwrap();
    let left = verify(&app.config, &Heads::new(), LATER).await;
    assert_eq!((left.findings, left.left, left.events), (vec![], 11, 11));
    let next = tempfile::tempdir().unwrap();
    let next = TestApp::on(next, app.database.clone(), Seams::default(), QUICK).await;
    eventually("it is sealed", async || verify(&app.config, &Heads::new(), LATER).await.left == 0)
        .await;
    next.drain().await;
    let report = verify(&app.config, &Heads::new(), LATER).await;
    assert_eq!((report.findings, report.left, report.events), (vec![], 0, 11));
}
