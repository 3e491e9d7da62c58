//! `bench hsm`: the engine beside its HSM: at a network's latencies, in its homes, with keys that are cold; rewraps; and after faults.

mod cold;
mod heal;
mod homes;
mod latency;
mod rewrap;

use std::{fs, path::Path, time::Instant};

use faulty_hsm::kit::{self, Faults};
use serde::{Deserialize, Serialize};

pub(crate) use self::{cold::Cold, heal::Healed, homes::Home, latency::Cell, rewrap::Rewrap};

use crate::{
    Failure,
    cli::{HsmOptions, progress},
    machine::{self, Machine},
    report::HSM,
    service::{Service, Setup},
    subject::Variant,
};

/// What was measured; what was not asked for is not there.
#[derive(Serialize, Deserialize)]
pub(crate) struct HsmFigures {
    pub(crate) machine: Machine,
    pub(crate) began: String,
    pub(crate) seconds: u64,
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
    let mut figures = HsmFigures {
        machine: Machine::look(None),
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
            "latency" => figures.latency = latency::measure(options).await?,
            "homes" => figures.homes = homes::measure(options).await?,
            "cold" => figures.cold = cold::measure(options).await?,
            "rewrap" => figures.rewraps = rewrap::measure(options).await?,
            "heal" => figures.healed = heal::measure(options).await?,
            other => return Err(format!("--parts: there is no part {other:?}").into()),
        }
        figures.seconds = begun.elapsed().as_secs();
        fs::write(out.join(HSM), serde_json::to_string_pretty(&figures)?)?;
        progress(&format!("{part}: {} s", figures.seconds));
    }
    Ok(figures)
}

/// A service on new data in SQLite, with settings from the environment.
async fn start(
    options: &HsmOptions,
    name: &str,
    module: &Path,
    env: Env,
) -> Result<Service, Failure> {
    Service::start(&Setup {
        binary: &options.common.binary,
        module,
        dir: options.common.out.join(format!("hsm-{name}")),
        database_url: None,
        variant: Variant::On,
        env,
    })
    .await
}

/// Variables of the service.
pub(crate) type Env = Vec<(String, String)>;

fn env(settings: &[(&str, String)]) -> Env {
    settings.iter().map(|(key, value)| (format!("USERSECRET_{key}"), value.clone())).collect()
}

/// A service over a module that does as it is told.
async fn start_faulty(options: &HsmOptions, name: &str) -> Result<(Service, Faults, Env), Failure> {
    let faults = Faults::new(&options.common.out);
    faults.set("")?;
    let mut told = env(&[("HSM__PROCESS_JOBS", "0".to_owned())]);
    for (key, value) in faults.environment(&options.common.module) {
        told.push((key.to_owned(), value.display().to_string()));
    }
    let service = start(options, name, &kit::library()?, told.clone()).await?;
    Ok((service, faults, told))
}
