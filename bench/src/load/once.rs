//! Every request once.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use tokio::task::JoinSet;

use super::{Connection, Cpu, Requests, figures};
use crate::{Failure, number::nanos, results::Figures};

/// Sends each of `requests` once over so many connections, and reads their answers with `read`.
///
/// What was read comes in the order of the requests.
pub(crate) async fn once<T: Send + 'static>(
    address: SocketAddr,
    requests: &Requests,
    connections: u32,
    read: fn(&str) -> Result<T, Failure>,
) -> Result<(Vec<T>, Figures), Failure> {
    let step = usize::try_from(connections)?;
    let mut workers = JoinSet::new();
    let mut open = Vec::new();
    for _ in 0..step {
        open.push(Connection::open(address).await?);
    }
    let begun = Instant::now();
    for (first, mut connection) in open.into_iter().enumerate() {
        let requests = Arc::clone(requests);
        workers.spawn(async move {
            let mut answers = Vec::new();
            for (at, request) in requests.iter().enumerate().skip(first).step_by(step) {
                let begun = Instant::now();
                let answer = connection.exchange(request).await?;
                answer.check()?;
                answers.push((at, nanos(begun.elapsed()), read(answer.body)?));
            }
            Ok::<_, Failure>(answers)
        });
    }
    let mut answers = Vec::new();
    while let Some(ended) = workers.join_next().await {
        answers.extend(ended??);
    }
    let took = begun.elapsed();
    answers.sort_unstable_by_key(|(at, _, _)| *at);
    let mut latencies: Vec<u64> = answers.iter().map(|(_, took, _)| *took).collect();
    latencies.sort_unstable();
    let figures = figures(&latencies, took, Cpu::default(), Cpu::default());
    Ok((answers.into_iter().map(|(_, _, answer)| answer).collect(), figures))
}
