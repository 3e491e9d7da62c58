//! What operators look at.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::sync::Mutex;

use crate::{database::Database, hsm::Hsm};

/// How long an answer of `/readyz` holds. Anybody who reaches it may ask, and each look is work for the HSM.
const FRESH: Duration = Duration::from_secs(1);

type Readiness = (StatusCode, &'static str);

/// What `/readyz` looks at, and what it saw last.
#[derive(Clone)]
pub(super) struct Health {
    pub(super) database: Database,
    pub(super) hsm: Hsm,
    seen: Arc<Mutex<Option<(Instant, Readiness)>>>,
}

impl Health {
    pub(super) fn of(database: Database, hsm: Hsm) -> Self {
        Self { database, hsm, seen: Arc::default() }
    }

    pub(super) fn router(&self) -> Router {
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(self.clone())
    }

    async fn look(&self) -> Readiness {
        match (self.database.probe().await, self.hsm.probe().await) {
            (Ok(()), Ok(())) => (StatusCode::OK, "ready\n"),
            (Err(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
            (_, Err(_)) => (StatusCode::SERVICE_UNAVAILABLE, "the HSM does not answer\n"),
        }
    }
}

/// Ready means that the database and the token answered within the last second. One looks, the others wait for it.
async fn ready(State(health): State<Health>) -> Readiness {
    let mut seen = health.seen.lock().await;
    if let Some((at, readiness)) = *seen
        && at.elapsed() < FRESH
    {
        return readiness;
    }
    let readiness = health.look().await;
    *seen = Some((Instant::now(), readiness));
    readiness
}
