//! `bench soak`: whether the service's memory stays flat.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::{
    Failure,
    cli::{SoakOptions, progress},
    dataset::Dataset,
    load::{Connection, Requests},
    machine::{self, Machine},
    number::float,
    postgres::Cluster,
    report::SOAK,
    stand::Prepared,
    subject::{Database, Subject, Variant},
};

const CONNECTIONS: usize = 32;
const SAMPLES: u64 = 400;
/// Of ten requests.
const MIX: [Subject; 10] = [
    Subject::Reveal,
    Subject::Get,
    Subject::Reveal,
    Subject::Create,
    Subject::Get,
    Subject::Reveal,
    Subject::Get,
    Subject::Reveal,
    Subject::UpdateData,
    Subject::Get,
];

/// The memory of a service over its requests.
#[derive(Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) machine: Machine,
    pub(crate) began: String,
    pub(crate) database: Database,
    pub(crate) seconds: u64,
    /// Requests answered, and the resident set in kB.
    pub(crate) points: Vec<(u64, u64)>,
}

/// Sends the requests, and keeps what the memory did.
pub(crate) async fn run(options: &SoakOptions) -> Result<Memory, Failure> {
    let out = &options.common.out;
    let cluster = matches!(options.database, Database::Postgres).then(|| Cluster::start(out));
    let cluster = cluster.transpose()?;
    let machine = Machine::look(cluster.as_ref().and_then(Cluster::version));
    let prepared = Prepared::start(&options.common, cluster.as_ref(), Variant::On).await?;
    let began = machine::now();
    let begun = Instant::now();
    let points = watch(&prepared, options.requests).await?;
    let memory = Memory {
        machine,
        began,
        database: options.database,
        seconds: begun.elapsed().as_secs(),
        points,
    };
    fs::write(out.join(SOAK), serde_json::to_string(&memory)?)?;
    Ok(memory)
}

async fn watch(prepared: &Prepared, total: u64) -> Result<Vec<(u64, u64)>, Failure> {
    let Prepared { service, dataset, .. } = prepared;
    let mut points = vec![(0, service.resident_kb()?)];
    let (requests, sent, answered) =
        (mixed(dataset), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut workers = JoinSet::new();
    for first in 0..CONNECTIONS {
        let connection = Connection::open(service.address).await?;
        let (sent, answered) = (Arc::clone(&sent), Arc::clone(&answered));
        let requests = Arc::clone(&requests);
        workers.spawn(work(connection, requests, first, total, sent, answered));
    }
    let step = total.div_ceil(SAMPLES).max(1);
    let mut next = step;
    loop {
        let ended = tokio::time::timeout(Duration::from_millis(50), workers.join_next()).await;
        let done = answered.load(Ordering::Relaxed);
        if done >= next {
            points.push((done, service.resident_kb()?));
            if (next / step).is_multiple_of(SAMPLES / 10) {
                progress(&format!("{done} of {total} requests"));
            }
            next = (done / step).saturating_add(1).saturating_mul(step);
        }
        match ended {
            Ok(Some(worker)) => worker??,
            Ok(None) => return Ok(points),
            Err(_) => {}
        }
    }
}

async fn work(
    mut connection: Connection,
    requests: Requests,
    first: usize,
    total: u64,
    sent: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
) -> Result<(), Failure> {
    for request in requests.iter().cycle().skip(first).step_by(CONNECTIONS) {
        if sent.fetch_add(1, Ordering::Relaxed) >= total {
            break;
        }
        connection.exchange(request).await?.check()?;
        answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// All operations in their shares; every connection keeps to its own secrets.
fn mixed(dataset: &Dataset) -> Requests {
    let updates = dataset.requests(Subject::UpdateData).len();
    let mut requests = Vec::new();
    for block in 0..updates / CONNECTIONS {
        for subject in MIX {
            let own = dataset.requests(subject);
            let first = block.saturating_mul(CONNECTIONS);
            requests.extend(own.iter().cycle().skip(first).take(CONNECTIONS).cloned());
        }
    }
    requests.into()
}

impl Memory {
    /// kB before the first request, after a tenth, at the end, and the most.
    pub(crate) fn landmarks(&self) -> Option<[u64; 4]> {
        let (last, end) = *self.points.last()?;
        let tenth = self.points.iter().find(|(requests, _)| *requests >= last / 10)?.1;
        let most = self.points.iter().map(|(_, memory)| *memory).max()?;
        Some([self.points.first()?.1, tenth, end, most])
    }

    /// Growth of the resident set from a tenth of the requests to the end, in percent.
    pub(crate) fn growth(&self) -> Option<f64> {
        let [_, tenth, end, _] = self.landmarks()?;
        Some((float(end) / float(tenth) - 1.0) * 100.0)
    }
}
