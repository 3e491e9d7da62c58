//! `bench hsm`: the engine beside its HSM: at a network's latencies, in its homes, with keys that are cold; rewraps; and after faults.

mod cold;
mod device;
mod heal;
mod homes;
mod latency;
mod rewrap;

use std::{fs, path::Path, time::Instant};

use faulty_hsm::kit::{self, Faults};
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    cold::Cold, device::Device, heal::Healed, homes::Home, latency::Cell, rewrap::Rewrap,
};

use crate::{
    Failure,
    cli::{HsmOptions, progress},
    machine::{self, Machine},
    postgres::Cluster,
    report::HSM,
    service::{Service, Setup},
    subject::{Database, Variant},
};

/// What was measured; what was not asked for is not there.
#[derive(Serialize, Deserialize)]
pub(crate) struct HsmFigures {
    pub(crate) machine: Machine,
    pub(crate) began: String,
    pub(crate) seconds: u64,
    pub(crate) database: Database,
    pub(crate) latency: Vec<Cell>,
    pub(crate) homes: Vec<Home>,
    pub(crate) cold: Vec<Cold>,
    pub(crate) rewraps: Vec<Rewrap>,
    pub(crate) healed: Vec<Healed>,
}

/// Measures the parts that are asked for; what was measured is kept after every one.
pub(crate) async fn run(options: &HsmOptions) -> Result<HsmFigures, Failure> {
    let out = &options.common.out;
    let begun = Instant::now();
    let cluster = matches!(options.database, Database::Postgres).then(|| Cluster::start(out));
    let cluster = cluster.transpose()?;
    let ground = Ground { options, cluster: cluster.as_ref() };
    let mut figures = HsmFigures {
        database: options.database,
        machine: Machine::look(cluster.as_ref().and_then(Cluster::version)),
        began: machine::now(),
        seconds: 0,
        latency: Vec::new(),
        homes: Vec::new(),
        cold: Vec::new(),
        rewraps: Vec::new(),
        healed: Vec::new(),
    };
    for part in &options.parts {
        match part.as_str() {
            "latency" => figures.latency = latency::measure(&ground).await?,
            "homes" => figures.homes = homes::measure(&ground).await?,
            "cold" => figures.cold = cold::measure(&ground).await?,
            "rewrap" => {
                figures.rewraps = rewrap::measure(&Ground { cluster: None, ..ground }).await?;
                if ground.cluster.is_some() {
                    figures.rewraps.extend(rewrap::measure(&ground).await?);
                }
            }
            "heal" => figures.healed = heal::measure(&ground).await?,
            other => return Err(format!("--parts: there is no part {other:?}").into()),
        }
        figures.seconds = begun.elapsed().as_secs();
        fs::write(out.join(HSM), serde_json::to_string_pretty(&figures)?)?;
        progress(&format!("{part}: {} s", figures.seconds));
    }
    Ok(figures)
}

/// What everything is measured on.
#[derive(Clone, Copy)]
struct Ground<'a> {
    options: &'a HsmOptions,
    cluster: Option<&'a Cluster>,
}

/// Variables of the service.
pub(crate) type Env = Vec<(String, String)>;

fn env(settings: &[(&str, String)]) -> Env {
    settings.iter().map(|(key, value)| (format!("USERSECRET_{key}"), value.clone())).collect()
}

impl Ground<'_> {
    /// The database that is asked for.
    const fn database(&self) -> Database {
        if self.cluster.is_some() { Database::Postgres } else { Database::Sqlite }
    }

    /// A service on new data, with settings from the environment.
    async fn start(&self, name: &str, module: &Path, env: Env) -> Result<Service, Failure> {
        self.cluster.map_or(Ok(()), |cluster| cluster.create(&format!("hsm_{name}")))?;
        Service::start(&Setup {
            binary: &self.options.common.binary,
            module,
            dir: self.options.common.out.join(format!("hsm-{name}")),
            database_url: self.url(name),
            variant: Variant::On,
            env,
        })
        .await
    }

    /// A service over a module that does as it is told.
    async fn start_faulty(&self, name: &str) -> Result<(Service, Faults, Env), Failure> {
        let faults = Faults::new(&self.options.common.out);
        faults.set("")?;
        let mut told = env(&[("HSM__PROCESS_JOBS", "0".to_owned())]);
        for (key, value) in faults.environment(&self.options.common.module) {
            told.push((key.to_owned(), value.display().to_string()));
        }
        let service = self.start(name, &kit::library()?, told.clone()).await?;
        Ok((service, faults, told))
    }

    /// The URL of the database of the service that is so called, where it has a server.
    fn url(&self, name: &str) -> Option<String> {
        self.cluster.map(|cluster| cluster.url(&format!("hsm_{name}")))
    }

    /// Has the database know what it holds: autovacuum does this within minutes.
    fn settle(&self, name: &str) -> Result<(), Failure> {
        self.cluster.map_or(Ok(()), |cluster| cluster.sql(&format!("hsm_{name}"), "VACUUM ANALYZE"))
    }
}
