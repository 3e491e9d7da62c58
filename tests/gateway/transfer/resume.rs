//! An import that ends before its end, and goes on.

use std::{
    io::Write as _,
    process::{Child, Command},
};

use serde_json::json;

use super::{Desk, Said, id, line, line_with_id, text};
use usersecret::{app::Seams, audit::Heads};

use crate::{
    audit::{LATER, verify},
    support::{TestApp, eventually},
};

const LINES: usize = 300;

/// As [`QUICK`](crate::audit::QUICK), but for a program that starts on a busy machine: who is taken for dead while it lives, and
/// is killed when it has just come back, leaves what nobody looks for.
const PATIENT: &str = "[audit]\nseal_interval_ms = 20\nbeat_interval_ms = 50\nsilence_ms = 3000\n";

async fn count(app: &TestApp) -> usize {
    let count: i64 = app.database.value("SELECT count(*) FROM user_secrets").await;
    usize::try_from(count).unwrap()
}

/// An import that has stored `input`, and waits for more.
async fn begun(app: &TestApp, desk: &Desk, input: &str) -> Child {
    let mut running = desk.program("import").arg("-").spawn().unwrap();
    running.stdin.as_mut().unwrap().write_all(input.as_bytes()).unwrap();
    let lines = input.lines().count();
    eventually("the lines are stored", async || count(app).await == lines).await;
    running
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_already_is_skipped() {
    let app = TestApp::start().await;
    let desk = Desk::of(&app);
    let input = text((0..LINES).map(line_with_id));
    desk.import(&input, &[]).is(0, &["300 stored, 0 there already, 0 bad"]);
    app.user("ann").update(json!({ "userSecretId": id(7), "name": "renamed" })).await;
    desk.import(&input, &[]).is(0, &["0 stored, 300 there already, 0 bad"]);
    let name = app.user("ann").get(&id(7)).await;
    assert_eq!(name.at("/data/userSecret/name"), "renamed");

    // Domain and id are what it is, whoever else is said to own it; one of a file's own lines may be the first.
    let (mut stranger, mut elsewhere) = (line_with_id(7), line_with_id(7));
    stranger["user_id"] = json!("bob");
    elsewhere["domain_id"] = json!("globex");
    let mixed = [stranger, elsewhere.clone(), elsewhere, line_with_id(LINES), line_with_id(0)];
    desk.import(&text(mixed), &[]).is(0, &["2 stored, 3 there already, 0 bad"]);
    assert_eq!(app.user("bob").get(&id(7)).await.code(), "NOT_FOUND");
    assert_eq!(count(&app).await, LINES + 2);

    desk.import(&input, &["--from-line", "299"]).is(0, &["0 stored, 2 there already, 0 bad"]);
    desk.import(&input, &["--from-line", "301"]).is(0, &["0 stored, 0 there already, 0 bad"]);
    assert_ne!(desk.import(&input, &["--from-line", "0"]).status, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_import_is_run_again() {
    let app = TestApp::with(Seams::default(), PATIENT).await;
    let desk = Desk::of(&app);
    let mut running = begun(&app, &desk, &text((0..LINES).map(line_with_id))).await;
    running.kill().unwrap();
    running.wait().unwrap();
    let all = text((0..2 * LINES).map(line_with_id));
    desk.import(&all, &[]).is(0, &["300 stored, 300 there already, 0 bad"]);
    let last = app.system().reveal("acme", &id(2 * LINES - 1), None).await;
    assert_eq!(last.at("/data/userSecretData/data/of"), &format!("n{}", 2 * LINES - 1));
    // What the killed one left is sealed by the service beside it.
    eventually("its last events are sealed", async || {
        let report = verify(&app.config, &Heads::new(), LATER).await;
        report.findings.is_empty() && report.left == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_import_says_where_to_go_on() {
    let app = TestApp::start().await;
    let desk = Desk::of(&app);
    // Lines without ids cannot be told from what is there.
    let lines = |to: usize| text((0..to).map(|n| line(&format!("n{n}"))));
    for (signal, stored) in [("INT", LINES), ("TERM", 2 * LINES)] {
        let from = stored - LINES + 1;
        let mut running = desk.program("import");
        running.args(["-", "--from-line", &from.to_string()]);
        let mut running = running.spawn().unwrap();
        running.stdin.as_mut().unwrap().write_all(lines(stored).as_bytes()).unwrap();
        eventually("the lines are stored", async || count(&app).await == stored).await;
        let killed = Command::new("kill").args(["-s", signal, &running.id().to_string()]).status();
        assert!(killed.unwrap().success());
        // Without this it would see its input end, perhaps before the signal.
        let open = running.stdin.take();
        let said = Said::of(running.wait_with_output().unwrap());
        drop(open);
        let next = format!("stopped: go on with --from-line {}", stored + 1);
        said.is(1, &["300 stored, 0 there already, 0 bad", &next]);
    }
    let from = (2 * LINES + 1).to_string();
    let said = desk.import(&lines(2 * LINES + 5), &["--from-line", &from]);
    said.is(0, &["5 stored, 0 there already, 0 bad"]);
    let names: i64 = app.database.value("SELECT count(DISTINCT name) FROM user_secrets").await;
    assert_eq!((usize::try_from(names).unwrap(), count(&app).await), (605, 605));
    assert_eq!(desk.verify().status, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_said_before_anything_is_done() {
    let app = TestApp::start().await;
    let desk = Desk::of(&app);
    let missing = desk.program("import").arg("/none/such").output().unwrap();
    let said = Said::of(missing);
    said.is(1, &["usersecret: /none/such: No such file or directory (os error 2)"]);
    // A folder opens, and then cannot be read.
    let folder = Said::of(desk.program("import").arg("/").output().unwrap());
    folder.is(
        1,
        &[
            "0 stored, 0 there already, 0 bad",
            "stopped: go on with --from-line 1",
            "usersecret: /: Is a directory (os error 21)",
        ],
    );
}
