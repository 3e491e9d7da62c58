//! What the service does with keys by itself, in many domains.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use usersecret::{
    app::Seams,
    clock::{Clock, Timestamp},
};

use super::{all_open, some_secrets};
use crate::support::{TestApp, eventually};

/// A clock that a test turns.
fn clock() -> (Arc<AtomicI64>, Clock) {
    let now = Arc::new(AtomicI64::new(1_700_000_000_000_000));
    let clock = Arc::clone(&now);
    (now, Clock::from_fn(move || Timestamp::from_micros(clock.load(Ordering::Relaxed))))
}

#[tokio::test]
async fn all_that_is_due_is_done_in_one_round_however_much_it_is() {
    // The next look would be in an hour.
    let (now, clock) = clock();
    let keys = "[keys]\nmax_age_days = 90\ninterval_ms = 3600000\n";
    let app = TestApp::with(Seams { clock, ..Seams::default() }, keys).await;
    let count = 205;
    for n in 0..count {
        app.caller(&format!("d{n}"), "ann", "USER").create("s0").await;
    }
    now.fetch_add(91 * 24 * 60 * 60 * 1_000_000, Ordering::Relaxed);
    assert_eq!(app.system().rotate(Some("d0")).await.code(), "OK");
    let moved =
        "SELECT count(*) FROM keks WHERE version = 2 AND retired_at IS NULL AND domain_id IN
        (SELECT domain_id FROM keks WHERE version = 1 AND destroyed_at IS NOT NULL)";
    eventually("each has another key", async || app.database.value::<i64>(moved).await == count)
        .await;
    let all = "SELECT count(*) FROM keks";
    assert_eq!(app.database.value::<i64>(all).await, 2 * count);
}

#[tokio::test]
async fn a_domain_that_takes_long_does_not_hold_the_others() {
    let keys = "[keys]\nrewrap_per_second = 2\ninterval_ms = 20\n";
    let app = TestApp::with(Seams::default(), keys).await;
    some_secrets(&app.caller("large", "ann", "USER"), 200).await;
    some_secrets(&app.caller("small", "ann", "USER"), 1).await;
    assert_eq!(app.system().rotate(Some("large")).await.code(), "OK");
    let begun = "SELECT count(*) FROM rewraps WHERE domain_id = 'large' AND done > 0";
    eventually("it is begun with", async || app.database.value::<i64>(begun).await == 1).await;
    assert_eq!(app.system().rotate(Some("small")).await.code(), "OK");
    app.system().moved("small").await;
    assert!(app.system().look("large").await.at("/data/domain/rewrap/finishedAt").is_null());
}

#[tokio::test]
async fn domains_that_take_long_take_turns_with_the_others() {
    // As many as are seen to at the same time, each for half a minute.
    let keys = "[keys]\nrewrap_per_second = 8\ninterval_ms = 50\n";
    let app = TestApp::with(Seams::default(), keys).await;
    let large = ["large0", "large1", "large2", "large3"];
    for domain in large {
        some_secrets(&app.caller(domain, "ann", "USER"), 60).await;
    }
    some_secrets(&app.caller("small", "ann", "USER"), 1).await;
    for domain in large {
        assert_eq!(app.system().rotate(Some(domain)).await.code(), "OK");
    }
    let begun = "SELECT count(*) FROM rewraps WHERE done > 0";
    eventually("all are begun with", async || app.database.value::<i64>(begun).await == 4).await;
    assert_eq!(app.system().rotate(Some("small")).await.code(), "OK");
    app.system().moved("small").await;
    for domain in large {
        assert!(app.system().look(domain).await.at("/data/domain/rewrap/finishedAt").is_null());
    }
}

#[tokio::test]
async fn a_domain_at_rest_is_tried_at_once_where_somebody_asks() {
    // It would be tried again in five minutes.
    let keys = "[keys]\ninterval_ms = 300000\n";
    let app = TestApp::with(Seams::default(), keys).await;
    let ids = some_secrets(&app.caller("acme", "ann", "USER"), 3).await;
    // The token has no such root yet.
    let under = |root: i32| format!("UPDATE keks SET root_version = {root} WHERE version = 1");
    app.sql(&[under(9)]).await;
    let failures =
        "SELECT count(*) FROM audit_events WHERE operation = 'Domain.rewrap' AND outcome <> 'ok'";
    let failed = async |times: i64| {
        let is_so = async || app.database.value::<i64>(failures).await == times;
        eventually("it has failed", is_so).await;
    };
    assert_eq!(app.system().rotate(Some("acme")).await.code(), "OK");
    failed(1).await;
    // By either way in which it can be asked for.
    assert_eq!(app.system().rewrap(Some("acme")).await.code(), "OK");
    failed(2).await;
    app.sql(&[under(1)]).await;
    assert_eq!(app.system().rotate(Some("acme")).await.code(), "OK");
    app.system().moved("acme").await;
    all_open(&app, "acme", &ids).await;
}
