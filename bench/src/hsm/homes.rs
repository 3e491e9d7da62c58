//! The module on threads of the service, in a process of its own, and in two.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ground, env};
use crate::{
    Failure,
    dataset::{self, Dataset},
    load::Load,
    results::Figures,
    subject::Subject,
};

const HOMES: [(&str, &str, &str); 3] = [
    ("threads", "thread", "1"),
    ("one process", "process", "1"),
    ("two processes", "process", "2"),
];
const CONNECTIONS: [u32; 2] = [8, 32];

/// An operation in a home: medians of rounds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Home {
    pub(crate) home: String,
    pub(crate) subject: Subject,
    pub(crate) connections: u32,
    pub(crate) figures: Figures,
}

pub(super) async fn measure(ground: &Ground<'_>) -> Result<Vec<Home>, Failure> {
    let options = ground.options;
    let mut service = ground.start("homes", &options.common.module, Vec::new()).await?;
    service.import(&dataset::lines())?;
    let dataset = Dataset::prepare(&service).await?;
    ground.settle("homes")?;
    let mut seen: Vec<(&str, Subject, u32, Figures)> = Vec::new();
    for _ in 0..options.rounds {
        for (home, isolation, processes) in HOMES {
            let settings = [
                ("HSM__ISOLATION", isolation.to_owned()),
                ("HSM__PROCESSES", processes.to_owned()),
            ];
            service.env = env(&settings);
            service.restart("").await?;
            for subject in [Subject::Reveal, Subject::Create] {
                for connections in CONNECTIONS {
                    let window = Duration::from_secs(options.seconds);
                    let load = Load { connections, warm_up: Duration::from_millis(500), window };
                    let requests = dataset.requests(subject);
                    let cpu = || service.cpu(None);
                    let figures = load.drive(service.address, &requests, cpu).await?;
                    seen.push((home, subject, connections, figures));
                }
            }
        }
    }
    let mut homes = Vec::new();
    for subject in [Subject::Reveal, Subject::Create] {
        for connections in CONNECTIONS {
            for (home, _, _) in HOMES {
                let of = |(name, what, count, figures): &(&str, Subject, u32, Figures)| {
                    (*name == home && *what == subject && *count == connections).then_some(*figures)
                };
                let some: Vec<Figures> = seen.iter().filter_map(of).collect();
                let figures = Figures::medians(&some).unwrap_or_default();
                homes.push(Home { home: home.to_owned(), subject, connections, figures });
            }
        }
    }
    Ok(homes)
}
