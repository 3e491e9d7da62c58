//! Reveals over an HSM that takes its time, as one in a network does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ground, env};
use crate::{
    Failure,
    dataset::{self, Dataset},
    floor::hsm,
    load::Load,
    results::Figures,
    subject::Subject,
};

const LATENCIES_US: [u64; 4] = [0, 300, 1_000, 5_000];
const SESSIONS: [u32; 4] = [1, 4, 16, 64];

/// Reveals with so many sessions.
#[derive(Serialize, Deserialize)]
pub(crate) struct Cell {
    /// What the module adds to each call, in microseconds.
    pub(crate) delay_us: u64,
    /// What one session alone takes for a `C_Decrypt` then, in microseconds.
    pub(crate) call_us: f64,
    pub(crate) sessions: u32,
    pub(crate) connections: u32,
    pub(crate) figures: Figures,
}

pub(super) async fn measure(ground: &Ground<'_>) -> Result<Vec<Cell>, Failure> {
    let options = ground.options;
    let window = Duration::from_secs(options.seconds);
    let (mut service, faults, told) = ground.start_faulty("latency").await?;
    service.import(&dataset::lines())?;
    let dataset = Dataset::prepare(&service).await?;
    ground.settle("latency")?;
    let reveals = dataset.requests(Subject::Reveal);
    let delayed = |delay: u64| match delay {
        0 => String::new(),
        delay => format!("function=C_Encrypt,C_Decrypt delay_us={delay}"),
    };
    let mut alone = Vec::new();
    for delay in LATENCIES_US {
        faults.set(&delayed(delay))?;
        let dir = options.common.out.join("hsm-floor");
        let floor = hsm::measure(&faulty_hsm::kit::library()?, &dir, window, &told).await?;
        alone.push(1e6 / floor.per_second);
    }
    let mut cells = Vec::new();
    for sessions in SESSIONS {
        faults.set("")?;
        service.env.clone_from(&told);
        service.env.extend(env(&[("HSM__SESSIONS", sessions.to_string())]));
        service.restart("").await?;
        for (delay, call_us) in LATENCIES_US.into_iter().zip(&alone) {
            faults.set(&delayed(delay))?;
            // Enough to hide the time that each waits.
            let connections = (sessions * 4).clamp(32, 128);
            let load = Load { connections, warm_up: Duration::from_millis(500), window };
            let cpu = || service.cpu(None);
            let figures = load.drive(service.address, &reveals, cpu).await?;
            let call_us = *call_us;
            cells.push(Cell { delay_us: delay, call_us, sessions, connections, figures });
        }
    }
    Ok(cells)
}
