//! Micro-batches: what waits while one statement runs goes into the next.
//!
//! A round trip, and the commit of what it wrote, is shared by all that asked in
//! the meantime. None waits longer than for the statement that was under way. A
//! batch that fails is repeated one by one, so that nobody inherits another's error.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::TryFutureExt as _;
use sea_orm::sqlx::{
    Connection as _, PgConnection, Postgres,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::{
    database::{Database, Engine, failed_raw, is_rolled_back, within},
    error::{Code, Error, Result},
};

/// What a batch does.
pub(super) trait Work: Send + Sync + 'static {
    /// The most jobs that share a statement.
    const MOST: usize = 32;

    /// What one request asks.
    type Job: Send + Sync + 'static;
    /// What it gets.
    type Answer: Send + 'static;

    /// Answers `jobs`, each in its place, in one transaction.
    fn run(
        &self,
        lane: &mut Lane,
        jobs: &[Self::Job],
    ) -> impl Future<Output = Result<Vec<Self::Answer>>> + Send;
}

/// The most jobs that wait.
const MAX_WAITING: usize = 4096;

/// A connection that has idled for longer is tried before it is used.
const IDLE: Duration = Duration::from_secs(1);

/// A queue of jobs before a lane; clones share it.
pub(super) struct Batch<W: Work> {
    queue: mpsc::Sender<Asked<W>>,
    patience: Duration,
}

struct Asked<W: Work> {
    job: W::Job,
    reply: oneshot::Sender<Result<W::Answer>>,
}

impl<W: Work> Clone for Batch<W> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), patience: self.patience }
    }
}

impl<W: Work> Batch<W> {
    /// Starts `lanes` that do `work`. They end when the last clone is gone.
    pub(super) fn start(database: &Database, lanes: usize, work: W) -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let (waiting, work) = (Arc::new(Mutex::new(waiting)), Arc::new(work));
        for _ in 0..lanes {
            let lane = Lane { database: database.clone(), connection: None };
            database.tasks().spawn(run(lane, Arc::clone(&waiting), Arc::clone(&work)));
        }
        Self { queue, patience: database.patience() }
    }

    /// Waits for the answer to `job`, which is skipped if the caller goes away before its turn.
    pub(super) async fn ask(&self, job: W::Job) -> Result<W::Answer> {
        let (reply, answer) = oneshot::channel();
        self.queue
            .try_send(Asked { job, reply })
            .map_err(|_| Error::unavailable("too many statements wait for the database"))?;
        let stopped = |_| Err(Error::unavailable("the database's lane has stopped"));
        within(self.patience, answer.unwrap_or_else(stopped)).await
    }
}

async fn run<W: Work>(mut lane: Lane, waiting: Arc<Mutex<mpsc::Receiver<Asked<W>>>>, work: Arc<W>) {
    let mut asked = Vec::with_capacity(W::MOST);
    loop {
        if waiting.lock().await.recv_many(&mut asked, W::MOST).await == 0 {
            return;
        }
        let (mut jobs, mut replies) = (Vec::new(), Vec::new());
        for Asked { job, reply } in asked.drain(..) {
            if !reply.is_closed() {
                jobs.push(job);
                replies.push(reply);
            }
        }
        if jobs.is_empty() {
            continue;
        }
        answer(&mut lane, &*work, &jobs, replies).await;
    }
}

/// Answers `jobs` together, or one by one where a common fate would be unjust.
async fn answer<W: Work>(
    lane: &mut Lane,
    work: &W,
    jobs: &[W::Job],
    replies: Vec<oneshot::Sender<Result<W::Answer>>>,
) {
    let error = match attempt(lane, work, jobs).await {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                let _ = reply.send(Ok(answer));
            }
            return;
        }
        Err(error) => error,
    };
    // What may have been committed must not be done again.
    let in_doubt = error.code() == Code::Unavailable && !is_rolled_back(&error);
    if jobs.len() == 1 {
        if let Some(reply) = replies.into_iter().next() {
            let _ = reply.send(Err(error));
        }
        return;
    }
    if in_doubt {
        tracing::warn!(causes = error.causes(), jobs = jobs.len(), "a statement failed");
    }
    for (job, reply) in jobs.iter().zip(replies) {
        if in_doubt {
            let away = "the statement that this request shared failed";
            let _ = reply.send(Err(Error::unavailable(away)));
        } else if !reply.is_closed() {
            let alone = attempt(lane, work, std::slice::from_ref(job)).await;
            let _ = reply.send(alone.and_then(|mut one| {
                one.pop().ok_or_else(|| Error::internal("a job without an answer"))
            }));
        }
    }
}

async fn attempt<W: Work>(lane: &mut Lane, work: &W, jobs: &[W::Job]) -> Result<Vec<W::Answer>> {
    let outcome = match work.run(lane, jobs).await {
        Ok(answers) if answers.len() != jobs.len() => {
            Err(Error::internal("a batch with another number of answers"))
        }
        outcome => outcome,
    };
    if outcome.is_err() {
        lane.give_up();
    }
    outcome
}

/// Where batches run, one at a time, on a connection that it keeps.
pub(super) struct Lane {
    pub(super) database: Database,
    connection: Option<(PoolConnection<Postgres>, Instant)>,
}

impl Lane {
    /// The lane's own connection to PostgreSQL. Nothing else uses it, so it need not
    /// go back to the pool, which would try it each time.
    async fn postgres(&mut self) -> Result<&mut PgConnection> {
        if let Some((connection, used_at)) = &mut self.connection
            && used_at.elapsed() > IDLE
            && connection.ping().await.is_err()
        {
            self.give_up();
        }
        let connection = match (self.connection.take(), self.database.engine()) {
            (Some((connection, _)), _) => connection,
            (None, Engine::Postgres(pool)) => {
                pool.get_postgres_connection_pool().acquire().await.map_err(failed_raw)?
            }
            (None, Engine::Sqlite { .. }) => {
                return Err(Error::internal("a statement for another engine"));
            }
        };
        let (connection, _) = self.connection.insert((connection, Instant::now()));
        Ok(&mut **connection)
    }

    /// The rows that `query` gives. A server that says nothing is given up.
    pub(super) async fn rows(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>> {
        let patience = self.database.patience();
        let rows = async { query.fetch_all(self.postgres().await?).await.map_err(failed_raw) };
        within(patience, rows).await
    }

    /// Closes the connection: what went wrong on it must not reach the next batch.
    fn give_up(&mut self) {
        if let Some((mut connection, _)) = self.connection.take() {
            connection.close_on_drop();
        }
    }
}
