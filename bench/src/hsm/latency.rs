//! Reveals over an HSM that takes its time, as one in a network does.

use std::{collections::HashMap, time::Duration};

use faulty_hsm::kit::{self, Faults};
use serde::{Deserialize, Serialize};

use super::{Env, Ground, env};
use crate::{
    Failure,
    dataset::{self, Dataset},
    floor::hsm,
    load::Load,
    number::{float_len, median},
    proc::Processors,
    results::Figures,
    subject::Subject,
};

const LATENCIES_US: [u64; 4] = [0, 300, 1_000, 5_000];

/// Reveals with so many sessions: medians of rounds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Cell {
    /// What the module adds to each call, in microseconds.
    pub(crate) delay_us: u64,
    /// What one session alone takes for a `C_Decrypt` then, in microseconds.
    pub(crate) call_us: f64,
    pub(crate) sessions: u32,
    pub(crate) connections: u32,
    pub(crate) figures: Figures,
    /// Reveals a second that there could be: min(sessions ÷ `call_us`, those of the same round without delay).
    pub(crate) bound: f64,
    /// What of its bound a round came to.
    pub(crate) of_bound: f64,
    /// How much of the machine's processors nobody used.
    pub(crate) idle: f64,
    /// What all of them spent for a reveal, on whatever: service, database and load generator as well, in microseconds.
    pub(crate) cpu_us: f64,
}

/// A cell in one round.
struct Seen {
    call_us: f64,
    figures: Figures,
    bound: f64,
    idle: f64,
    cpu_us: f64,
}

pub(super) async fn measure(ground: &Ground<'_>) -> Result<Vec<Cell>, Failure> {
    let (mut service, faults, told) = ground.start_faulty("latency").await?;
    service.import(&dataset::lines())?;
    let dataset = Dataset::prepare(&service).await?;
    ground.settle("latency")?;
    let reveals = dataset.requests(Subject::Reveal);
    let mut seen: HashMap<(u32, u64), Vec<Seen>> = HashMap::new();
    let cores = float_len(std::thread::available_parallelism()?.get());
    for round in 0..ground.options.rounds {
        let alone = alone(ground, &faults, &told).await?;
        for &sessions in &ground.options.sessions {
            faults.set("")?;
            service.env.clone_from(&told);
            service.env.extend(env(&[("HSM__SESSIONS", sessions.to_string())]));
            service.restart("").await?;
            let mut measured = Vec::new();
            // Each is once the first: what a new service still has to learn is not always at the cost of the same.
            for place in 0..LATENCIES_US.len() {
                let at = (place + usize::try_from(round)?) % LATENCIES_US.len();
                let (Some(delay), Some(call_us)) = (LATENCIES_US.get(at), alone.get(at)) else {
                    continue;
                };
                faults.set(&delayed(*delay))?;
                let window = Duration::from_secs(ground.options.seconds);
                let warm_up = Duration::from_millis(500);
                let load = Load { connections: connections(sessions), warm_up, window };
                let before = Processors::look()?;
                let cpu = || service.cpu(None);
                let figures = load.drive(service.address, &reveals, cpu).await?;
                let idle = Processors::look()?.idle_since(&before);
                measured.push((*delay, *call_us, figures, idle));
            }
            let free = measured.iter().find(|(delay, ..)| *delay == 0);
            let free = free.map_or(f64::INFINITY, |(_, _, figures, _)| figures.per_second);
            for (delay, call_us, figures, idle) in measured {
                let bound = free.min(f64::from(sessions) * 1e6 / call_us);
                let cpu_us = (1.0 - idle) * cores * 1e6 / figures.per_second;
                let one = Seen { call_us, figures, bound, idle, cpu_us };
                seen.entry((sessions, delay)).or_default().push(one);
            }
        }
    }
    let sessions = ground.options.sessions.iter();
    let cells = sessions.flat_map(|sessions| LATENCIES_US.map(|delay| (*sessions, delay)));
    Ok(cells.filter_map(|cell| medians(cell, seen.get(&cell)?)).collect())
}

/// Microseconds that one session alone takes for a `C_Decrypt`, at each latency.
async fn alone(ground: &Ground<'_>, faults: &Faults, told: &Env) -> Result<Vec<f64>, Failure> {
    let window = Duration::from_secs(ground.options.seconds);
    let mut alone = Vec::new();
    for delay in LATENCIES_US {
        faults.set(&delayed(delay))?;
        let dir = ground.options.common.out.join("hsm-floor");
        let module = kit::library()?;
        let floor = hsm::measure(&module, hsm::Call::Decrypt, &dir, window, told).await?;
        alone.push(1e6 / floor.per_second);
    }
    Ok(alone)
}

/// Enough to hide the time that each waits.
fn connections(sessions: u32) -> u32 {
    (sessions * 4).clamp(32, 128)
}

fn delayed(delay: u64) -> String {
    match delay {
        0 => String::new(),
        delay => format!("function=C_Encrypt,C_Decrypt delay_us={delay}"),
    }
}

fn medians((sessions, delay_us): (u32, u64), rounds: &[Seen]) -> Option<Cell> {
    let of = |field: fn(&Seen) -> f64| median(rounds.iter().map(field));
    let figures: Vec<Figures> = rounds.iter().map(|round| round.figures).collect();
    Some(Cell {
        delay_us,
        call_us: of(|round| round.call_us)?,
        sessions,
        connections: connections(sessions),
        figures: Figures::medians(&figures)?,
        bound: of(|round| round.bound)?,
        of_bound: of(|round| round.figures.per_second / round.bound)?,
        idle: of(|round| round.idle)?,
        cpu_us: of(|round| round.cpu_us)?,
    })
}
