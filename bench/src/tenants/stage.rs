//! A look at the service with so many tenants.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::population::Population;
use crate::{
    Failure, cli::TenantOptions, load::Load, number::median, results::Figures, service::Service,
    subject::Subject,
};

/// What is asked of random tenants and of one.
pub(crate) const OPERATIONS: [Subject; 3] = [Subject::Reveal, Subject::Get, Subject::Create];
const STARTS: u32 = 5;
const WARM_UP: Duration = Duration::from_millis(500);
/// The most tenants that a measurement names: more than any cache of the service holds.
const MOST: usize = 20_000;

/// What was seen.
#[derive(Serialize, Deserialize)]
pub(crate) struct Stage {
    pub(crate) tenants: usize,
    /// From the start of the process until it was ready, in ms.
    pub(crate) start_ms: f64,
    /// The resident set in kB: after so many tenants were made, after the start, and after all that was measured here.
    pub(crate) filled_kb: u64,
    pub(crate) started_kb: u64,
    pub(crate) touched_kb: u64,
    pub(crate) samples: Vec<Sample>,
    /// Deletion of what was created here.
    pub(crate) deletion: Option<Figures>,
}

/// One measurement.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) subject: Subject,
    /// Random tenants, or the one of the floor.
    pub(crate) random: bool,
    pub(crate) figures: Figures,
}

impl Stage {
    /// Starts the service anew, and measures.
    pub(crate) async fn look(
        options: &TenantOptions,
        service: &mut Service,
        population: &Population,
        postmaster: Option<u32>,
    ) -> Result<Self, Failure> {
        let filled_kb = service.resident_kb()?;
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            starts.push(service.restart("").await?.as_secs_f64() * 1e3);
        }
        let started_kb = service.resident_kb()?;
        let load = Load {
            connections: options.connections,
            warm_up: WARM_UP,
            window: Duration::from_secs(options.seconds),
        };
        let chosen = population.some(MOST);
        let mut samples = Vec::new();
        for _ in 0..options.rounds {
            for subject in OPERATIONS {
                for random in [false, true] {
                    let requests = match (random, chosen.is_empty()) {
                        (false, _) => population.request_of_one(subject)?,
                        (true, false) => population.requests(subject, &chosen)?,
                        (true, true) => continue,
                    };
                    let cpu = || service.cpu(postmaster);
                    let figures = load.drive(service.address, &requests, cpu).await?;
                    samples.push(Sample { subject, random, figures });
                }
            }
        }
        let touched_kb = service.resident_kb()?;
        let deletion = population.clear(service, &chosen, options.connections).await?;
        let start_ms = median(starts).ok_or("no start")?;
        Ok(Self {
            tenants: population.len(),
            start_ms,
            filled_kb,
            started_kb,
            touched_kb,
            samples,
            deletion,
        })
    }
}

impl Stage {
    /// The medians over the rounds.
    pub(crate) fn figures(&self, subject: Subject, random: bool) -> Option<Figures> {
        let fits = |sample: &&Sample| sample.subject == subject && sample.random == random;
        let some: Vec<_> = self.samples.iter().filter(fits).map(|sample| sample.figures).collect();
        Figures::medians(&some)
    }
}
