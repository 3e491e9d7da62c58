//! A service on so many secrets.

use std::{fs, path::PathBuf};

use super::{
    NAME, Size, fill, plan,
    plan::Cost,
    question::{Asked, Question},
};
use crate::{
    Failure,
    cli::{RowOptions, progress},
    load::{Connection, Load, Requests},
    postgres::Cluster,
    results::Figures,
    service::{Service, Setup},
    subject::Variant,
    token::Minter,
};

/// The service, its database, and who asks it.
pub(super) struct Set<'c> {
    pub(super) size: Size,
    cluster: Option<&'c Cluster>,
    service: Service,
    minter: Minter,
    dir: PathBuf,
}

impl<'c> Set<'c> {
    /// Starts a service on a new database and fills it.
    pub(super) async fn start(
        options: &RowOptions,
        cluster: Option<&'c Cluster>,
        size: Size,
    ) -> Result<Self, Failure> {
        let name = size.tag();
        let engine = if cluster.is_some() { "postgres" } else { "sqlite" };
        let dir = options.common.out.join(format!("{engine}-{name}"));
        let url = cluster.map(|cluster| cluster.create(&name).map(|()| cluster.url(&name)));
        let mut service = Service::start(&Setup {
            binary: &options.common.binary,
            module: &options.common.module,
            dir: dir.clone(),
            database_url: url.transpose()?,
            variant: Variant::On,
            env: Vec::new(),
        })
        .await?;
        fill::fill(&mut service, cluster, &dir, size).await?;
        progress(&format!("{NAME} on {engine}, {size}: filled"));
        service.restart("").await?;
        let minter = service.minter()?;
        Ok(Self { size, cluster, service, minter, dir })
    }

    /// Tries `question`, and prepares its requests.
    pub(super) async fn ask(&self, question: Question) -> Result<Asked, Failure> {
        let mut connection = Connection::open(self.service.address).await?;
        question.ask(&mut connection, &self.minter, self.size).await
    }

    pub(super) async fn drive(&self, load: Load, requests: &Requests) -> Result<Figures, Failure> {
        let cpu = || self.service.cpu(self.cluster.map(Cluster::postmaster));
        load.drive(self.service.address, requests, cpu).await
    }

    /// What one answer takes to each of `requests`; nothing on SQLite, which does not say.
    pub(super) async fn costs(
        &mut self,
        requests: &[Option<Requests>],
    ) -> Result<Vec<Option<Cost>>, Failure> {
        let mut costs: Vec<Option<Cost>> = requests.iter().map(|_| None).collect();
        let Some(cluster) = self.cluster else { return Ok(costs) };
        plan::explain(cluster, &self.size.tag())?;
        self.service.restart("").await?;
        for (cost, requests) in costs.iter_mut().zip(requests) {
            if let Some(request) = requests.as_ref().and_then(|requests| requests.first()) {
                *cost = Some(plan::cost(cluster, self.service.address, request).await?);
            }
        }
        Ok(costs)
    }

    /// Ends the service, and removes its data.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        self.service.end();
        match self.cluster {
            Some(cluster) => cluster.sql("postgres", &format!("DROP DATABASE {}", self.size.tag())),
            None => Ok(fs::remove_dir_all(&self.dir)?),
        }
    }
}
