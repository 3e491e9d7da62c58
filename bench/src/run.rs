//! `bench run`: rounds over both databases.

use std::{fs, time::Instant};

use crate::{
    Failure,
    cli::{RunOptions, progress},
    floor::http::HttpFloor,
    machine::{self, Machine},
    postgres::Cluster,
    report::RESULTS,
    results::Results,
    stand::Stand,
    subject::Database,
};

/// Measures, and keeps what was measured after every round.
pub(crate) async fn run(options: &RunOptions) -> Result<Results, Failure> {
    let out = &options.common.out;
    let wanted = |database| options.only.is_none_or(|only| only == database);
    let cluster = wanted(Database::Postgres).then(|| Cluster::start(out)).transpose()?;
    let machine = Machine::look(cluster.as_ref().and_then(Cluster::version));
    let bare = HttpFloor::start()?;
    let mut stands = Vec::new();
    if let Some(cluster) = &cluster {
        progress("PostgreSQL: starting services and filling them");
        stands.push(Stand::prepare(options, Some(cluster), &bare).await?);
    }
    if wanted(Database::Sqlite) {
        progress("SQLite: starting services and filling them");
        stands.push(Stand::prepare(options, None, &bare).await?);
    }
    let mut results = Results {
        machine,
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        began: machine::now(),
        rounds: options.rounds,
        seconds: options.seconds,
        connections: options.connections.clone(),
        samples: Vec::new(),
    };
    for round in 1..=options.rounds {
        let begun = Instant::now();
        for stand in &mut stands {
            let done = stand.round(round, &mut results.samples).await;
            done.map_err(|error| format!("round {round}: {error}"))?;
        }
        fs::write(out.join(RESULTS), serde_json::to_string_pretty(&results)?)?;
        progress(&format!("round {round} of {}: {} s", options.rounds, begun.elapsed().as_secs()));
    }
    Ok(results)
}
