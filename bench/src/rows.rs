//! `bench rows`: what grows with the number of secrets.

mod fill;
mod plan;
mod question;
mod set;

use std::{fmt, fs, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

pub(crate) use self::plan::Cost;

use self::{
    question::{Asked, QUESTIONS, Question},
    set::Set,
};
use crate::{
    Failure,
    cli::{RowOptions, progress},
    load::{Load, Requests},
    machine::{self, Machine},
    number::median,
    postgres::Cluster,
    report::ROWS,
    results::Figures,
    subject::Database,
};

const NAME: &str = "rows";
const WARM_UP: Duration = Duration::from_millis(300);

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
    pub(crate) rounds: u32,
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
    /// Its p50 over that of the first set, which was asked in turns with it.
    pub(crate) ratio: Option<f64>,
    /// On PostgreSQL: what one answer takes.
    pub(crate) cost: Option<Cost>,
}

/// What came of it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Answers; medians of the rounds.
    Answered(Figures),
    /// An error at once, and after how many ms.
    Refused(String, f64),
    /// Errors, or fewer answers than it takes.
    Slow,
}

/// Fills and asks; what was measured is kept after every set.
pub(crate) async fn run(options: &RowOptions) -> Result<Rows, Failure> {
    let out = &options.common.out;
    let wanted = |database| options.only.is_none_or(|only| only == database);
    let cluster = wanted(Database::Postgres).then(|| Cluster::start(out)).transpose()?;
    let mut rows = Rows {
        machine: Machine::look(cluster.as_ref().and_then(Cluster::version)),
        began: machine::now(),
        rounds: options.rounds,
        seconds: options.seconds,
        samples: Vec::new(),
    };
    for database in [Database::Postgres, Database::Sqlite] {
        let cluster = cluster.as_ref().filter(|_| database == Database::Postgres);
        let (true, Some((first, others))) = (wanted(database), options.sizes.split_first()) else {
            continue;
        };
        let mut first = Set::start(options, cluster, *first).await?;
        for size in others {
            let mut set = Set::start(options, cluster, *size).await?;
            rows.samples.extend(look(options, database, &mut set, Some(&first)).await?);
            set.end()?;
            fs::write(out.join(ROWS), serde_json::to_string_pretty(&rows)?)?;
        }
        rows.samples.extend(look(options, database, &mut first, None).await?);
        first.end()?;
        fs::write(out.join(ROWS), serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(rows)
}

/// Asks `set` everything, and in turns with it `first`.
async fn look(
    options: &RowOptions,
    database: Database,
    set: &mut Set<'_>,
    first: Option<&Set<'_>>,
) -> Result<Vec<Sample>, Failure> {
    let (mut samples, mut asked) = (Vec::new(), Vec::new());
    for question in QUESTIONS {
        let (outcome, ratio, requests) = measure(options, question, set, first).await?;
        progress(&format!("{}: {}", question.name, outcome.said()));
        let (size, question) = (set.size, question.name.to_owned());
        samples.push(Sample { database, size, question, outcome, ratio, cost: None });
        asked.push(requests);
    }
    for (sample, cost) in samples.iter_mut().zip(set.costs(&asked).await?) {
        sample.cost = cost;
    }
    Ok(samples)
}

type Measured = (Outcome, Option<f64>, Option<Requests>);

async fn measure(
    options: &RowOptions,
    question: Question,
    set: &Set<'_>,
    first: Option<&Set<'_>>,
) -> Result<Measured, Failure> {
    let requests = match set.ask(question).await? {
        Asked::Answered(requests) => requests,
        Asked::Refused(code, ms) => return Ok((Outcome::Refused(code, ms), None, None)),
    };
    let beside = match first {
        Some(first) => match first.ask(question).await? {
            Asked::Answered(requests) => Some((first, requests)),
            Asked::Refused(..) => None,
        },
        None => None,
    };
    let window = Duration::from_secs(options.seconds);
    let load = Load { connections: 1, warm_up: WARM_UP, window };
    let (mut figures, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let Ok(here) = set.drive(load, &requests).await else {
            return Ok((Outcome::Slow, None, None));
        };
        if let Some((first, requests)) = &beside {
            let there = first.drive(load, requests).await?;
            ratios.extend(here.p50_ms.zip(there.p50_ms).map(|(here, there)| here / there));
        }
        figures.push(here);
    }
    let outcome = match Figures::medians(&figures) {
        Some(figures) if figures.p50_ms.is_some() => Outcome::Answered(figures),
        _ => Outcome::Slow,
    };
    Ok((outcome, median(ratios), Some(requests)))
}

impl Outcome {
    /// In a few words.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Answered(_) => String::new(),
            Self::Refused(code, ms) => format!("{code} after {ms:.0} ms"),
            Self::Slow => "too slow to measure".to_owned(),
        }
    }
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
