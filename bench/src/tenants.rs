//! `bench tenants`: what grows with the number of tenants.

mod population;
mod stage;

use std::{fs, time::Instant};

use serde::{Deserialize, Serialize};

pub(crate) use self::stage::{OPERATIONS, Stage};

use self::population::Population;
use crate::{
    Failure,
    cli::{TenantOptions, progress},
    machine::{self, Machine},
    number::float_len,
    postgres::Cluster,
    report::TENANTS,
    results::Figures,
    service::{Service, Setup},
    subject::{Database, Variant},
};

const NAME: &str = "tenants";
/// Points of the curve of creations, and of that of deletions.
const WINDOWS: usize = 200;
/// Tenants that are looked at after the deletion of all.
const CHECKED: usize = 1_000;

/// What was measured.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tenants {
    pub(crate) machine: Machine,
    pub(crate) began: String,
    pub(crate) database: Database,
    pub(crate) connections: u32,
    pub(crate) seconds: u64,
    /// Tenants there were before each window of creations.
    pub(crate) creations: Vec<(usize, Figures)>,
    pub(crate) stages: Vec<Stage>,
    /// Tenants that had secrets before each window of deletions.
    pub(crate) deletions: Vec<(usize, Figures)>,
}

/// Fills, looks and empties; what was measured is kept after every step.
pub(crate) async fn run(options: &TenantOptions) -> Result<Tenants, Failure> {
    let out = &options.common.out;
    let cluster = matches!(options.database, Database::Postgres).then(|| Cluster::start(out));
    let cluster = cluster.transpose()?;
    let begun = Instant::now();
    let mut tenants = Tenants {
        machine: Machine::look(cluster.as_ref().and_then(Cluster::version)),
        began: machine::now(),
        database: options.database,
        connections: options.connections,
        seconds: 0,
        creations: Vec::new(),
        stages: Vec::new(),
        deletions: Vec::new(),
    };
    let mut service = start(options, cluster.as_ref()).await?;
    let mut population = Population::begin(&service, options.connections).await?;
    let sizes = options.sizes.iter().map(|size| usize::try_from(*size));
    let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
    let window = sizes.iter().max().copied().unwrap_or(0).div_ceil(WINDOWS).max(10);
    for size in [0].into_iter().chain(sizes) {
        while population.len() < size {
            let (before, count) = (population.len(), window.min(size - population.len()));
            let figures = population.grow(&service, count, options.connections).await?;
            tenants.creations.push((before, figures));
        }
        if let Some(cluster) = &cluster {
            // Autovacuum does this within minutes.
            cluster.sql(NAME, "VACUUM ANALYZE")?;
        }
        let postmaster = cluster.as_ref().map(Cluster::postmaster);
        let stage = Stage::look(options, &mut service, &population, postmaster).await?;
        tenants.stages.push(stage);
        tenants.seconds = begun.elapsed().as_secs();
        fs::write(out.join(TENANTS), serde_json::to_string_pretty(&tenants)?)?;
        progress(&format!("{size} tenants: {} s", tenants.seconds));
    }
    for first in (0..population.len()).step_by(window) {
        let figures = population.end(&service, first, window, options.connections).await?;
        tenants.deletions.push((population.len() - first, figures));
    }
    let some = population.some(CHECKED);
    population.check_empty(&service, &some, options.connections).await?;
    tenants.seconds = begun.elapsed().as_secs();
    fs::write(out.join(TENANTS), serde_json::to_string_pretty(&tenants)?)?;
    Ok(tenants)
}

async fn start(options: &TenantOptions, cluster: Option<&Cluster>) -> Result<Service, Failure> {
    let database_url = cluster.map(|cluster| cluster.create(NAME).map(|()| cluster.url(NAME)));
    Service::start(&Setup {
        binary: &options.common.binary,
        module: &options.common.module,
        dir: options.common.out.join(format!("{}-{NAME}", options.database.tag())),
        database_url: database_url.transpose()?,
        variant: Variant::On,
        env: Vec::new(),
    })
    .await
}

/// What windows between two numbers of tenants did in a second, all together.
pub(crate) fn rate(windows: &[(usize, Figures)], from: usize, to: usize) -> Option<f64> {
    let within = windows.iter().filter(|(tenants, _)| (from..to).contains(tenants));
    let rates: Vec<f64> = within.map(|(_, figures)| figures.per_second).collect();
    let seconds: f64 = rates.iter().map(|rate| 1.0 / rate).sum();
    (seconds > 0.0).then(|| float_len(rates.len()) / seconds)
}
