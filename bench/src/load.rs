//! The load generator: a closed loop, so many connections for so long.
//!
//! It runs on one thread, next to a server that wants every core: what the
//! generator spends is the same for the service and for the bare floor.

mod connection;
mod once;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

pub(crate) use connection::{Connection, get, post};
pub(crate) use once::once;

use crate::{
    Failure,
    number::{float, float_len, nanos, percentile},
    results::Figures,
};

const WARM_UP: u8 = 0;
const MEASURE: u8 = 1;
const END: u8 = 2;
/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Requests as bytes; connection `i` of `n` sends every `n`th from the `i`th on, round and round.
pub(crate) type Requests = Arc<[Vec<u8>]>;

/// How a server is loaded.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: u32,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// CPU time of service and database up to now, in microseconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) service: Option<u64>,
    pub(crate) database: Option<u64>,
}

impl Load {
    /// Measures; an answer without data fails the run.
    pub(crate) async fn drive(
        &self,
        address: SocketAddr,
        requests: &Requests,
        cpu: impl Fn() -> io::Result<Cpu>,
    ) -> Result<Figures, Failure> {
        let phase = Arc::new(AtomicU8::new(WARM_UP));
        let mut workers = JoinSet::new();
        for index in 0..usize::try_from(self.connections)? {
            let connection = Connection::open(address).await?;
            let step = usize::try_from(self.connections)?;
            let (requests, phase) = (Arc::clone(requests), Arc::clone(&phase));
            workers.spawn(work(connection, requests, index, step, phase));
        }
        tokio::time::sleep(self.warm_up).await;
        let (before, begun) = (cpu()?, Instant::now());
        phase.store(MEASURE, Ordering::Relaxed);
        tokio::time::sleep(self.window).await;
        phase.store(END, Ordering::Relaxed);
        let (took, after) = (begun.elapsed(), cpu()?);
        let mut latencies = Vec::new();
        while let Some(ended) = tokio::time::timeout(PATIENCE, workers.join_next()).await? {
            latencies.extend(ended??);
        }
        latencies.sort_unstable();
        Ok(figures(&latencies, took, before, after))
    }
}

async fn work(
    mut connection: Connection,
    requests: Requests,
    first: usize,
    step: usize,
    phase: Arc<AtomicU8>,
) -> Result<Vec<u64>, Failure> {
    let mut latencies = Vec::new();
    for request in requests.iter().cycle().skip(first).step_by(step) {
        let begun = Instant::now();
        connection.exchange(request).await?.check()?;
        match phase.load(Ordering::Relaxed) {
            WARM_UP => {}
            MEASURE => latencies.push(nanos(begun.elapsed())),
            _ => break,
        }
    }
    Ok(latencies)
}

fn figures(latencies: &[u64], took: Duration, before: Cpu, after: Cpu) -> Figures {
    let count = float_len(latencies.len());
    let milliseconds = |percent| percentile(latencies, percent).map(|ns| float(ns) / 1e6);
    let per_request = |before: Option<u64>, after: Option<u64>| {
        Some(float(after?.saturating_sub(before?)) / count).filter(|figure| figure.is_finite())
    };
    Figures {
        per_second: count / took.as_secs_f64(),
        p50_ms: milliseconds(50),
        p99_ms: milliseconds(99),
        service_cpu_us: per_request(before.service, after.service),
        database_cpu_us: per_request(before.database, after.database),
    }
}
