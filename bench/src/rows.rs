//! `bench rows`: what grows with the number of secrets.

mod fill;
mod plan;
mod question;

use std::{fmt, fs, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

pub(crate) use self::plan::Cost;

use self::question::{Asked, QUESTIONS};
use crate::{
    Failure,
    cli::{RowOptions, progress},
    load::{Connection, Load},
    machine::{self, Machine},
    postgres::Cluster,
    report::ROWS,
    results::Figures,
    service::{Service, Setup},
    subject::{Database, Variant},
};

const NAME: &str = "rows";
const WARM_UP: Duration = Duration::from_millis(500);

/// So many secrets in so many domains: `5000000/10000`, or `5000000` in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) rows: u64,
    pub(crate) domains: u64,
}

/// What was measured.
#[derive(Serialize, Deserialize)]
pub(crate) struct Rows {
    pub(crate) machine: Machine,
    pub(crate) began: String,
    pub(crate) seconds: u64,
    pub(crate) samples: Vec<Sample>,
}

/// One question to one set.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) database: Database,
    pub(crate) size: Size,
    pub(crate) question: String,
    pub(crate) outcome: Outcome,
    /// On PostgreSQL: what one answer takes.
    pub(crate) cost: Option<Cost>,
}

/// What came of it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Answers.
    Answered(Figures),
    /// An error, and after how many ms.
    Refused(String, f64),
}

/// Fills and asks; what was measured is kept after every set.
pub(crate) async fn run(options: &RowOptions) -> Result<Rows, Failure> {
    let out = &options.common.out;
    let wanted = |database| options.only.is_none_or(|only| only == database);
    let cluster = wanted(Database::Postgres).then(|| Cluster::start(out)).transpose()?;
    let mut rows = Rows {
        machine: Machine::look(cluster.as_ref().and_then(Cluster::version)),
        began: machine::now(),
        seconds: options.seconds,
        samples: Vec::new(),
    };
    for size in &options.sizes {
        for database in [Database::Postgres, Database::Sqlite] {
            if wanted(database) {
                let cluster = cluster.as_ref().filter(|_| database == Database::Postgres);
                rows.samples.extend(look(options, cluster, *size).await?);
                fs::write(out.join(ROWS), serde_json::to_string_pretty(&rows)?)?;
            }
        }
    }
    Ok(rows)
}

async fn look(
    options: &RowOptions,
    cluster: Option<&Cluster>,
    size: Size,
) -> Result<Vec<Sample>, Failure> {
    let database = cluster.map_or(Database::Sqlite, |_| Database::Postgres);
    let (name, dir) = (size.tag(), options.common.out.join(format!("{}-{NAME}", database.tag())));
    let database_url = cluster.map(|cluster| cluster.create(&name).map(|()| cluster.url(&name)));
    let mut service = Service::start(&Setup {
        binary: &options.common.binary,
        module: &options.common.module,
        dir: dir.clone(),
        database_url: database_url.transpose()?,
        variant: Variant::On,
    })
    .await?;
    fill::fill(&mut service, cluster, &dir, size).await?;
    progress(&format!("{}, {size}: filled", database.name()));
    service.restart("").await?;
    let minter = service.minter()?;
    let load =
        Load { connections: 1, warm_up: WARM_UP, window: Duration::from_secs(options.seconds) };
    let mut samples = Vec::new();
    for question in QUESTIONS {
        let mut connection = Connection::open(service.address).await?;
        let asked = question.ask(&mut connection, &minter, size).await?;
        let (outcome, requests) = match asked {
            Asked::Refused(code, ms) => (Outcome::Refused(code, ms), None),
            Asked::Answered(requests) => {
                let cpu = || service.cpu(cluster.map(Cluster::postmaster));
                let figures = load.drive(service.address, &requests, cpu).await?;
                (Outcome::Answered(figures), Some(requests))
            }
        };
        samples.push((question, outcome, requests));
    }
    let mut costs = Vec::new();
    if let Some(cluster) = cluster {
        plan::explain(cluster, &name)?;
        service.restart("").await?;
        for (_, _, requests) in &samples {
            let request = requests.as_ref().and_then(|requests| requests.first());
            costs.push(match request {
                Some(request) => Some(plan::cost(cluster, service.address, request).await?),
                None => None,
            });
        }
    }
    service.end();
    match cluster {
        Some(cluster) => cluster.sql("postgres", &format!("DROP DATABASE {name}"))?,
        None => fs::remove_dir_all(&dir)?,
    }
    let costs = costs.into_iter().chain(std::iter::repeat_with(|| None));
    let sample = |((question, outcome, _), cost): ((question::Question, Outcome, _), _)| Sample {
        database,
        size,
        question: question.name.to_owned(),
        outcome,
        cost,
    };
    Ok(samples.into_iter().zip(costs).map(sample).collect())
}

impl Size {
    /// A short name for a database.
    fn tag(self) -> String {
        format!("{NAME}_{}_{}", self.rows, self.domains)
    }

    /// Secrets of the owner who has few: a thousand, where a domain is large enough.
    fn fixed(self) -> u64 {
        (self.rows / self.domains / 10).min(1_000)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rows, domains) = text.split_once('/').unwrap_or((text, "1"));
        let number = |text: &str| text.parse().map_err(|_| format!("{text}: no number"));
        let (rows, domains) = (number(rows)?, number(domains)?);
        if domains == 0 || rows / domains < 100 || rows > 10_000_000 {
            return Err("a domain has 100 secrets at least, and all have 10000000 at most".into());
        }
        Ok(Self { rows, domains })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.domains {
            1 => write!(f, "{}", self.rows),
            domains => write!(f, "{} in {domains} domains", self.rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_secrets_and_perhaps_domains() {
        assert_eq!("5000/50".parse(), Ok(Size { rows: 5_000, domains: 50 }));
        assert_eq!("5000".parse(), Ok(Size { rows: 5_000, domains: 1 }));
        for wrong in ["", "x", "5000/", "5000/0", "5000/100", "10000001"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
