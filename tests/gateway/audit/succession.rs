//! Writers that die, that are taken for dead, and that cannot know whether they committed.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use ::entity::audit_event;
use sea_orm::IntoActiveModel as _;
use usersecret::{clock::Timestamp, ids::IdSource};

use super::*;

async fn beside(app: &TestApp, more: &str) -> TestApp {
    let dir = tempfile::tempdir().unwrap();
    TestApp::on(dir, app.database.clone(), Seams::default(), more).await
}

#[tokio::test]
async fn successors_seal_what_a_dead_writer_left_and_it_may_come_back() {
    let dead = TestApp::with(Seams::default(), SILENT).await;
    let id = dead.user("ann").create("aws").await;
    // More than the auditor looks for in vain.
    for _ in 0..11 {
        assert_eq!(reveal_many(&dead.system(), &id, 100).await.code(), "OK");
    }
    let name = writers(&dead.database).await[0].writer.clone();
    let soon = verify(&dead.config, &Heads::new(), Duration::ZERO).await;
    assert_eq!((soon.findings, soon.left), (vec![], 0), "they are young");
    let late = verify(&dead.config, &Heads::new(), LATER).await;
    assert_eq!((late.findings, late.left, late.blocks), (vec![], 1_102, 0));

    let (one, two) = tokio::join!(beside(&dead, QUICK), beside(&dead, QUICK));
    eventually("a successor has sealed", async || {
        writers(&one.database).await.iter().any(|w| w.writer == name && w.ended_at.is_some())
    })
    .await;
    let sealed = verify(&dead.config, &Heads::new(), LATER).await;
    assert_eq!((sealed.findings, sealed.left, sealed.events), (vec![], 0, 1_102));

    // It was only slow. What it seals is sealed twice, and it lives again.
    dead.user("ann").create("late").await;
    let (_dir, database, config) = dead.drain().await;
    let twice = verify(&config, &sealed.heads, LATER).await;
    assert_eq!((twice.findings, twice.left, twice.events), (vec![], 0, 1_103));
    assert!(twice.heads.contains_key(&name));
    let (_one, _two) = (one.drain().await, two.drain().await);
    let last = verify(&config, &twice.heads, LATER).await;
    assert_eq!((last.findings, last.left), (vec![], 0));
    // Whoever comes next links it once more.
    let next = tempfile::tempdir().unwrap();
    let next = TestApp::on(next, database.clone(), Seams::default(), QUICK).await;
    eventually("all but one have ended", async || {
        writers(&database).await.iter().filter(|writer| writer.ended_at.is_none()).count() == 1
    })
    .await;
    let (_next, _, _) = next.drain().await;
    assert_eq!(verify(&config, &last.heads, LATER).await.findings, []);
}

/// Waits until a successor has taken `writer` for dead and sealed what it left.
async fn succeeded(database: &TestDatabase, writer: &str) {
    eventually("it is succeeded", async || {
        writers(database).await.iter().any(|w| w.writer == writer && w.ended_at.is_some())
    })
    .await;
}

async fn all_is_sealed(config: &Config) {
    eventually("all is sealed", async || {
        let report = verify(config, &Heads::new(), LATER).await;
        (report.findings, report.left) == (vec![], 0)
    })
    .await;
}

/// Writes `many` events of `writer` past every service.
async fn write_many(database: &TestDatabase, writer: &str, many: usize) {
    let last = events(database).await.pop().unwrap();
    let connection = database.connect().await;
    let all: Vec<_> = (1..=many)
        .map(|n| {
            let mut event = audit_event::Model {
                at: last.at + i64::try_from(n).unwrap(),
                writer: writer.to_owned(),
                ..last.clone()
            };
            event.event_id[12..].copy_from_slice(&u32::try_from(n).unwrap().to_be_bytes());
            event.digest = super::tamper::digest(&event);
            event.into_active_model()
        })
        .collect();
    for some in all.chunks(500) {
        let insert = audit_event::Entity::insert_many(some.to_vec());
        insert.exec_without_returning(&connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// What keeps blocks above number `most` from being stored, and what lets them.
fn full_disk(most: u32) -> (String, &'static str) {
    if on_postgres() {
        let full = format!(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN RAISE EXCEPTION ''full''; END';
            CREATE TRIGGER full_disk BEFORE INSERT ON audit_blocks
                FOR EACH ROW WHEN (NEW.number > {most}) EXECUTE FUNCTION full_disk();"
        );
        (full, "DROP TRIGGER full_disk ON audit_blocks")
    } else {
        let full = format!(
            "CREATE TRIGGER full_disk BEFORE INSERT ON audit_blocks WHEN NEW.number > {most}
                BEGIN SELECT RAISE(ABORT, 'full'); END;"
        );
        (full, "DROP TRIGGER full_disk")
    }
}

#[tokio::test]
async fn a_writer_ends_only_when_all_that_it_left_is_sealed() {
    let dead = TestApp::with(Seams::default(), SILENT).await;
    dead.user("ann").create("aws").await;
    let name = writers(&dead.database).await[0].writer.clone();
    // More than one block holds; and no more than one can be written.
    write_many(&dead.database, &name, 5_000).await;
    let (full, freed) = full_disk(1);
    dead.sql(&[full]).await;
    let heir = beside(&dead, QUICK).await;
    eventually("a block is sealed", async || count(&dead.database, "audit_blocks").await == 1)
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let row = writers(&dead.database).await.into_iter().find(|w| w.writer == name).unwrap();
    assert_eq!(row.ended_at, None, "whoever comes next must go on");
    dead.sql(&[freed.to_owned()]).await;
    succeeded(&dead.database, &name).await;
    all_is_sealed(&dead.config).await;
    heir.drain().await;
}

#[tokio::test]
async fn a_dead_writer_whose_rows_are_damaged_holds_up_no_other() {
    let damaged = TestApp::with(Seams::default(), SILENT).await;
    damaged.user("ann").create("aws").await;
    let sound = beside(&damaged, SILENT).await;
    sound.user("ann").create("gcp").await;
    let [first, second] = &writers(&damaged.database).await[..] else { panic!("not two writers") };
    let short = if on_postgres() { "'\\x00'" } else { "x'00'" };
    damaged
        .sql(&[format!(
            "UPDATE audit_events SET digest = {short} WHERE writer = '{}'",
            first.writer
        )])
        .await;
    let heir = beside(&damaged, QUICK).await;
    succeeded(&damaged.database, &second.writer).await;
    let again = writers(&damaged.database).await;
    assert!(again.iter().any(|w| w.writer == first.writer && w.ended_at.is_none()));
    heir.drain().await;
}

#[tokio::test]
async fn who_takes_leave_seals_all_however_much_waits() {
    let app = TestApp::with(Seams::default(), QUICK).await;
    let id = app.user("ann").create("aws").await;
    let (full, freed) = full_disk(0);
    app.sql(&[full]).await;
    // More than one block holds, and less than two.
    for _ in 0..50 {
        assert_eq!(reveal_many(&app.system(), &id, 100).await.code(), "OK");
    }
    app.sql(&[freed.to_owned()]).await;
    let (_dir, _database, config) = app.drain().await;
    let report = verify(&config, &Heads::new(), LATER).await;
    assert_eq!((report.findings.len(), report.left, report.events), (0, 0, 5_002));
}

#[tokio::test]
async fn a_writer_that_was_taken_for_dead_may_die_indeed() {
    let app = TestApp::with(Seams::default(), QUICK).await;
    app.user("ann").create("aws").await;
    app.sql(&["UPDATE audit_writers SET ended_at = seen_at".to_owned()]).await;
    eventually("it says that it lives", async || {
        writers(&app.database).await[0].ended_at.is_none()
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_is_no_tampering() {
    let shift = Arc::new(AtomicI64::new(0));
    let told = Arc::clone(&shift);
    let clock =
        Clock::from_fn(move || Timestamp::from_micros(now() + told.load(Ordering::Relaxed)));
    let app = TestApp::with(Seams { clock, ids: IdSource::random() }, QUICK).await;
    let ann = app.user("ann");
    for by in [0, -10_000_000, -20_000_000] {
        shift.store(by, Ordering::Relaxed);
        let before = count(&app.database, "audit_blocks").await;
        ann.create("aws").await;
        eventually("it is sealed", async || count(&app.database, "audit_blocks").await > before)
            .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    shift.store(0, Ordering::Relaxed);
    let (_dir, _database, config) = app.drain().await;
    let report = verify(&config, &Heads::new(), LATER).await;
    assert_eq!((report.findings, report.left), (vec![], 0));
}

/// Writes an event of the newest writer past the service, as if its answer had been lost.
async fn commit_unseen(database: &TestDatabase) {
    let last = events(database).await.pop().unwrap();
    let writer = writers(database).await.into_iter().max_by_key(|w| w.started_at).unwrap().writer;
    let mut event = audit_event::Model { at: last.at + 1, writer, ..last };
    event.event_id[15] ^= 1;
    event.digest = super::tamper::digest(&event);
    let connection = database.connect().await;
    let insert = audit_event::Entity::insert(event.into_active_model());
    insert.exec_without_returning(&connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Has a mutation end without an answer.
async fn doubt(app: &TestApp, id: &str) {
    let held = lock(&app.database, "audit_events").await;
    let answer = app.user("ann").update(json!({ "userSecretId": id, "name": "x" })).await;
    assert_eq!(answer.code(), "UNAVAILABLE");
    held.close().await.unwrap();
}

async fn doubtful() -> (TestApp, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut database = TestDatabase::create(dir.path()).await;
    database.toml += "acquire_timeout_ms = 100\nstatement_timeout_ms = 200\n";
    let app = TestApp::on(dir, database, Seams::default(), QUICK).await;
    let id = app.user("ann").create("aws").await;
    (app, id)
}

#[tokio::test]
async fn a_commit_in_doubt_is_found_and_sealed() {
    let (app, id) = doubtful().await;
    commit_unseen(&app.database).await;
    let unsealed = verify(&app.config, &Heads::new(), Duration::from_secs(65)).await;
    assert_ne!((unsealed.findings.len(), unsealed.left), (0, 0));
    doubt(&app, &id).await;
    eventually("it is sealed", async || {
        let report = verify(&app.config, &Heads::new(), LATER).await;
        (report.findings, report.left) == (vec![], 0)
    })
    .await;
    app.drain().await;
}

#[tokio::test]
async fn a_commit_that_is_in_doubt_at_the_end_is_left_to_a_successor() {
    let (app, id) = doubtful().await;
    doubt(&app, &id).await;
    let (dir, database, config) = app.drain().await;
    commit_unseen(&database).await;
    let left = verify(&config, &Heads::new(), LATER).await;
    assert_eq!((left.findings, left.left), (vec![], 1));
    let next = TestApp::on(dir, database, Seams::default(), QUICK).await;
    eventually("a successor seals it", async || {
        verify(&config, &Heads::new(), LATER).await.left == 0
    })
    .await;
    let (_dir, ..) = next.drain().await;
    assert_eq!(verify(&config, &left.heads, LATER).await.findings, []);
}
