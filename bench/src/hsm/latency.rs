//! Reveals over an HSM that takes its time, as one in a network does.

use std::{collections::HashMap, time::Duration};

use faulty_hsm::kit::Faults;
use serde::{Deserialize, Serialize};

use super::{
    Env, Ground,
    device::{Delayed, Device},
    env,
};
use crate::{
    Failure,
    dataset::{self, Dataset},
    floor::hsm,
    load::{Load, Requests},
    number::{float_len, median},
    proc::Processors,
    results::Figures,
    service::Service,
    subject::Subject,
};

const LATENCIES_US: [u64; 3] = [300, 1_000, 5_000];

/// How long a look takes. The speed of a shared machine drifts within seconds, so looks are short, stand close beside what
/// they are compared with, and there are many.
const WINDOW: Duration = Duration::from_secs(1);

/// Turns of a round.
const TURNS: u32 = 2;

/// Reveals with so many sessions: medians of turns.
#[derive(Serialize, Deserialize)]
pub(crate) struct Cell {
    /// What is behind the latency.
    pub(crate) device: Device,
    /// What the module adds to each call, in microseconds.
    pub(crate) delay_us: u64,
    /// What one session alone takes for a `C_Decrypt` then, in microseconds.
    pub(crate) call_us: f64,
    pub(crate) sessions: u32,
    pub(crate) connections: u32,
    pub(crate) figures: Figures,
    /// Reveals a second that there could be: min(sessions ÷ `call_us`, those just before and behind it without delay).
    pub(crate) bound: f64,
    /// What of its bound a turn came to.
    pub(crate) of_bound: f64,
    /// Between which the middle half of the turns came.
    pub(crate) half: (f64, f64),
    /// How much of the machine's processors nobody used.
    pub(crate) idle: f64,
    /// What all of them spent for a reveal, on whatever: service, database and load generator as well, in microseconds.
    pub(crate) cpu_us: f64,
}

/// A cell in one turn.
struct Seen {
    call_us: f64,
    look: Look,
    bound: f64,
}

/// What a service did for a while.
struct Look {
    figures: Figures,
    idle: f64,
}

pub(super) async fn measure(ground: &Ground<'_>) -> Result<Vec<Cell>, Failure> {
    let mut cells = Vec::new();
    for &device in &ground.options.devices {
        cells.extend(over(ground, device).await?);
    }
    Ok(cells)
}

async fn over(ground: &Ground<'_>, device: Device) -> Result<Vec<Cell>, Failure> {
    let Delayed { mut service, faults, told, token } = device.start(ground).await?;
    service.import(&dataset::lines())?;
    let dataset = Dataset::prepare(&service).await?;
    ground.settle(device.database())?;
    let reveals = dataset.requests(Subject::Reveal);
    let mut cells = Vec::new();
    for &sessions in &ground.options.sessions {
        service.env.clone_from(&told);
        service.env.extend(env(&[("HSM__SESSIONS", sessions.to_string())]));
        faults.set("")?;
        service.restart("").await?;
        let (service, faults, token, reveals) = (&service, &faults, &token, &reveals);
        let stand = Stand { ground, service, faults, token, reveals };
        // What a new service has to learn is not at the cost of what comes first.
        stand.look(sessions, 0).await?;
        let mut seen: HashMap<u64, Vec<Seen>> = HashMap::new();
        for _ in 0..ground.options.rounds * TURNS {
            let mut before = stand.look(sessions, 0).await?;
            for delay in LATENCIES_US {
                let call_us = stand.alone(&told, delay).await?;
                let look = stand.look(sessions, delay).await?;
                let after = stand.look(sessions, 0).await?;
                let free = f64::midpoint(before.figures.per_second, after.figures.per_second);
                let bound = free.min(f64::from(sessions) * 1e6 / call_us);
                before = after;
                seen.entry(delay).or_default().push(Seen { call_us, look, bound });
            }
        }
        let of = |delay| medians((device, sessions, delay), seen.get(&delay)?);
        cells.extend(LATENCIES_US.into_iter().filter_map(of));
    }
    Ok(cells)
}

/// A service that is looked at.
struct Stand<'a> {
    ground: &'a Ground<'a>,
    service: &'a Service,
    faults: &'a Faults,
    token: &'a hsm::Token,
    reveals: &'a Requests,
}

impl Stand<'_> {
    /// What comes of reveals with so many sessions, and so many microseconds added to each call.
    async fn look(&self, sessions: u32, delay: u64) -> Result<Look, Failure> {
        self.faults.set(&delayed(delay))?;
        let warm_up = Duration::from_millis(300);
        let load = Load { connections: connections(sessions), warm_up, window: WINDOW };
        let before = Processors::look()?;
        let cpu = || self.service.cpu(None);
        let figures = load.drive(self.service.address, self.reveals, cpu).await?;
        Ok(Look { figures, idle: Processors::look()?.idle_since(&before) })
    }

    /// Microseconds that one session alone takes for a `C_Decrypt` to which so many are added.
    async fn alone(&self, told: &Env, delay: u64) -> Result<f64, Failure> {
        self.faults.set(&delayed(delay))?;
        let dir = self.ground.options.common.out.join("hsm-floor");
        let floor = hsm::measure(self.token, hsm::Call::Decrypt, &dir, WINDOW, told).await?;
        Ok(1e6 / floor.per_second)
    }
}

/// Enough to hide the time that each waits.
fn connections(sessions: u32) -> u32 {
    (sessions * 4).clamp(128, 256)
}

fn delayed(delay: u64) -> String {
    match delay {
        0 => String::new(),
        delay => format!("function=C_Encrypt,C_Decrypt delay_us={delay}"),
    }
}

fn medians((device, sessions, delay_us): (Device, u32, u64), turns: &[Seen]) -> Option<Cell> {
    let of = |field: fn(&Seen) -> f64| median(turns.iter().map(field));
    let cores = float_len(std::thread::available_parallelism().ok()?.get());
    let cpu_us = |seen: &Seen| (1.0 - seen.look.idle) * cores * 1e6 / seen.look.figures.per_second;
    let figures: Vec<Figures> = turns.iter().map(|seen| seen.look.figures).collect();
    let mut of_bound: Vec<f64> =
        turns.iter().map(|seen| seen.look.figures.per_second / seen.bound).collect();
    of_bound.sort_by(f64::total_cmp);
    let quarter = turns.len() / 4;
    Some(Cell {
        device,
        delay_us,
        call_us: of(|seen| seen.call_us)?,
        sessions,
        connections: connections(sessions),
        figures: Figures::medians(&figures)?,
        bound: of(|seen| seen.bound)?,
        of_bound: median(of_bound.iter().copied())?,
        half: (*of_bound.get(quarter)?, *of_bound.iter().nth_back(quarter)?),
        idle: of(|seen| seen.look.idle)?,
        cpu_us: median(turns.iter().map(cpu_us))?,
    })
}
