//! How long it takes until a secret is revealed again.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::Ground;
use crate::{
    Failure,
    dataset::{self, Dataset},
    load::Connection,
    number::{median, nanos},
    service::Service,
    subject::Subject,
};

/// How long a fault lasts.
const FAULT: Duration = Duration::from_secs(2);

/// What broke, and how long it took, in milliseconds: medians of rounds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Healed {
    pub(crate) fault: String,
    /// From the end of the fault to the first reveal; of one that happens once it says nothing.
    pub(crate) healed_ms: f64,
    /// The longest time without one in the whole.
    pub(crate) gap_ms: f64,
}

const FAULTS: [(&str, &str); 6] = [
    ("the module crashes once", "function=C_Decrypt kill count=1 for_ms=100"),
    ("a call hangs", "function=C_Decrypt hang"),
    ("the device is removed", "function=* return=CKR_DEVICE_REMOVED"),
    ("sessions are closed once", "function=C_DecryptInit close_sessions count=1 for_ms=500"),
    ("the module is finalized once", "function=C_DecryptInit finalize count=1 for_ms=500"),
    ("a handle names another key", "function=C_DecryptInit swap_key"),
];

pub(super) async fn measure(ground: &Ground<'_>) -> Result<Vec<Healed>, Failure> {
    let options = ground.options;
    let (service, faults, _) = ground.start_faulty("heal").await?;
    service.import(&dataset::lines())?;
    let dataset = Dataset::prepare(&service).await?;
    let requests = dataset.requests(Subject::Reveal);
    let mut healed = Vec::new();
    for (fault, line) in FAULTS {
        let set = async |on: bool| Ok(faults.set(if on { line } else { "" })?);
        healed.push(of(fault, &service, &requests, options.rounds, set).await?);
    }
    let tokens = service.path("softhsm/tokens");
    let aside = PathBuf::from(format!("{}.aside", tokens.display()));
    let set = async |on: bool| {
        let (from, to) = if on { (&tokens, &aside) } else { (&aside, &tokens) };
        // What works still goes on, so the process is to begin anew as well.
        if on {
            faults.set("function=C_Decrypt kill count=1 for_ms=100")?;
        }
        Ok(std::fs::rename(from, to)?)
    };
    let name = "the token directory is gone, and the module crashes";
    healed.push(of(name, &service, &requests, options.rounds, set).await?);
    Ok(healed)
}

async fn of(
    fault: &str,
    service: &Service,
    requests: &[Vec<u8>],
    rounds: u32,
    set: impl AsyncFn(bool) -> Result<(), Failure>,
) -> Result<Healed, Failure> {
    let (mut healed, mut gaps) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut reveals =
            Reveals { service, requests, next: 0, last: Instant::now(), gap: Duration::ZERO };
        reveals.until(|at| at.elapsed() > Duration::from_millis(300)).await?;
        set(true).await?;
        reveals.until(|at| at.elapsed() > FAULT).await?;
        set(false).await?;
        let ended = Instant::now();
        let good = reveals.good().await?;
        healed.push(ms(good.saturating_duration_since(ended)));
        reveals.until(|at| at.elapsed() > Duration::from_millis(500)).await?;
        gaps.push(ms(reveals.gap));
    }
    Ok(Healed {
        fault: fault.to_owned(),
        healed_ms: median(healed).unwrap_or_default(),
        gap_ms: median(gaps).unwrap_or_default(),
    })
}

fn ms(time: Duration) -> f64 {
    crate::number::float(nanos(time)) / 1e6
}

/// One reveal after the other.
struct Reveals<'a> {
    service: &'a Service,
    requests: &'a [Vec<u8>],
    next: usize,
    /// When the last one was good.
    last: Instant,
    gap: Duration,
}

impl Reveals<'_> {
    async fn until(&mut self, done: impl Fn(Instant) -> bool) -> Result<(), Failure> {
        let begun = Instant::now();
        while !done(begun) {
            self.once().await?;
        }
        Ok(())
    }

    async fn good(&mut self) -> Result<Instant, Failure> {
        let begun = Instant::now();
        loop {
            if self.once().await? {
                return Ok(Instant::now());
            }
            if begun.elapsed() > Duration::from_secs(60) {
                return Err("it does not heal".into());
            }
        }
    }

    async fn once(&mut self) -> Result<bool, Failure> {
        let request = self.requests.get(self.next % self.requests.len()).ok_or("no requests")?;
        self.next += 1;
        let mut connection = Connection::open(self.service.address).await?;
        let good = connection.exchange(request).await?.check().is_ok();
        if good {
            self.gap = self.gap.max(self.last.elapsed());
            self.last = Instant::now();
        } else {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(good)
    }
}
