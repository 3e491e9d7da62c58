//! `bench oracles`: whether answers that must be alike differ in time.

mod class;
mod groups;
mod people;
mod statistics;
mod strangers;
mod verdict;

use std::fs;

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    statistics::Difference,
    verdict::{Comparison, Verdict},
};

use self::{
    class::{Group, Times},
    people::People,
    verdict::compare,
};
use crate::{
    Failure,
    cli::{OracleOptions, progress},
    load::Connection,
    machine::{self, Machine},
    postgres::Cluster,
    report::ORACLES,
    service::{Service, Setup},
    subject::{Database, Variant},
};

/// How often a group is measured at most.
const PASSES: u32 = 4;

/// What was measured.
#[derive(Serialize, Deserialize)]
pub(crate) struct Oracles {
    pub(crate) machine: Machine,
    pub(crate) began: String,
    pub(crate) requests: u32,
    pub(crate) databases: Vec<(Database, Vec<Comparison>)>,
}

/// Measures, and keeps how far classes of requests are apart.
pub(crate) async fn run(options: &OracleOptions) -> Result<Oracles, Failure> {
    let out = &options.common.out;
    let wanted = |database| options.only.is_none_or(|only| only == database);
    let cluster = wanted(Database::Postgres).then(|| Cluster::start(out)).transpose()?;
    let mut oracles = Oracles {
        machine: Machine::look(cluster.as_ref().and_then(Cluster::version)),
        began: machine::now(),
        requests: options.requests,
        databases: Vec::new(),
    };
    for database in [Database::Postgres, Database::Sqlite] {
        if wanted(database) {
            progress(database.name());
            let cluster = cluster.as_ref().filter(|_| database == Database::Postgres);
            oracles.databases.push((database, measure(options, cluster, database).await?));
        }
    }
    fs::write(out.join(ORACLES), serde_json::to_string_pretty(&oracles)?)?;
    Ok(oracles)
}

async fn measure(
    options: &OracleOptions,
    cluster: Option<&Cluster>,
    database: Database,
) -> Result<Vec<Comparison>, Failure> {
    const NAME: &str = "oracles";
    let database_url = cluster.map(|cluster| cluster.create(NAME).map(|()| cluster.url(NAME)));
    let mut service = Service::start(&Setup {
        binary: &options.common.binary,
        module: &options.common.module,
        dir: options.common.out.join(format!("{}-{NAME}", database.tag())),
        database_url: database_url.transpose()?,
        variant: Variant::On,
        env: Vec::new(),
    })
    .await?;
    service.restart(&People::issuer()).await?;
    let random = &mut fastrand::Rng::new();
    let people = People::prepare(&service, random).await?;
    if let Some(cluster) = cluster {
        cluster.sql(NAME, "VACUUM ANALYZE")?;
    }
    let mut groups = groups::all(&people)?;
    groups.extend(strangers::all(&people)?);
    let mut found = Vec::new();
    for group in &groups {
        let chosen = |wanted: &String| group.name.contains(wanted.as_str());
        if options.group.as_ref().is_none_or(chosen) {
            found.extend(look(&service, group, options.requests, random).await?);
        }
    }
    Ok(found)
}

/// Measures a group, and goes on where that leaves anything unclear.
async fn look(
    service: &Service,
    group: &Group,
    requests: u32,
    random: &mut fastrand::Rng,
) -> Result<Vec<Comparison>, Failure> {
    let mut connection = Connection::open(service.address).await?;
    let count = usize::try_from(requests)?;
    let mut times: Vec<Times> = group.classes.iter().map(|_| Times::default()).collect();
    let mut found = Vec::new();
    for _ in 0..PASSES {
        group.measure(&mut connection, count, random, &mut times).await?;
        found = compare(group, &times, random);
        let unclear = |found: &Comparison| found.alike && found.verdict() == Verdict::Unclear;
        if !found.iter().any(unclear) {
            break;
        }
    }
    Ok(found)
}

impl Oracles {
    /// An error unless all that must be alike was shown to be.
    pub(crate) fn judge(&self) -> Result<(), Failure> {
        let of = |wanted| {
            let comparisons = self.databases.iter().flat_map(|(_, comparisons)| comparisons);
            comparisons.filter(|found| found.alike && found.verdict() == wanted).count()
        };
        match (of(Verdict::Apart), of(Verdict::Unclear)) {
            (0, 0) => Ok(()),
            (0, unclear) => Err(format!(
                "{unclear} pairs are unclear: a quieter machine is needed, or more --requests"
            )
            .into()),
            (apart, _) => Err(format!("{apart} pairs can be told apart by their time").into()),
        }
    }
}
