//! One database with the services on it and the floors beside it.

use std::time::Duration;

use crate::{
    Failure,
    cli::{Common, RunOptions},
    dataset::{self, Dataset},
    floor::{hsm, http::HttpFloor, postgres::PostgresFloor, sqlite::SqliteFloor},
    load::{Load, Requests},
    postgres::Cluster,
    results::{Figures, Key, Sample},
    service::{Service, Setup},
    subject::{Database, Subject, Variant},
};

const WARM_UP: Duration = Duration::from_millis(500);

/// A service with the requests that are prepared for it.
pub(crate) struct Prepared {
    pub(crate) service: Service,
    pub(crate) dataset: Dataset,
    variant: Variant,
}

/// What is measured in a round on one database.
pub(crate) struct Stand<'a> {
    options: &'a RunOptions,
    cluster: Option<&'a Cluster>,
    bare: &'a HttpFloor,
    services: Vec<Prepared>,
    floor: DatabaseFloor<'a>,
}

enum DatabaseFloor<'a> {
    Sqlite(Box<SqliteFloor>),
    Postgres(&'a Cluster, PostgresFloor),
}

impl Prepared {
    /// Starts a service on a new database and fills it.
    pub(crate) async fn start(
        common: &Common,
        cluster: Option<&Cluster>,
        variant: Variant,
    ) -> Result<Self, Failure> {
        let database = cluster.map_or(Database::Sqlite, |_| Database::Postgres);
        let name = format!("{}-{}", database.tag(), variant.tag());
        let database_url = cluster
            .map(|cluster| cluster.create(variant.tag()).map(|()| cluster.url(variant.tag())));
        let service = Service::start(&Setup {
            binary: &common.binary,
            module: &common.module,
            dir: common.out.join(name),
            database_url: database_url.transpose()?,
            variant,
            env: Vec::new(),
        })
        .await?;
        // While the fence stands: without it the command would not work.
        service.import(&dataset::lines())?;
        if let (Some(cluster), Variant::SecurityOff) = (cluster, variant) {
            cluster.drop_security(variant.tag())?;
        }
        let dataset = Dataset::prepare(&service).await?;
        if let Some(cluster) = cluster {
            // Autovacuum does this within minutes. Until then plans are made without statistics.
            cluster.sql(variant.tag(), "VACUUM ANALYZE")?;
        }
        Ok(Self { service, dataset, variant })
    }
}

impl<'a> Stand<'a> {
    /// Starts the services, each with a database of its own.
    pub(crate) async fn prepare(
        options: &'a RunOptions,
        cluster: Option<&'a Cluster>,
        bare: &'a HttpFloor,
    ) -> Result<Self, Failure> {
        let dir = |name: &str| options.common.out.join(name);
        let (database, floor) = match cluster {
            None => {
                let floor = SqliteFloor::prepare(&dir("sqlite-floors")).await?;
                (Database::Sqlite, DatabaseFloor::Sqlite(Box::new(floor)))
            }
            Some(cluster) => {
                let floor = PostgresFloor::prepare(cluster, &dir("postgres-floors"))?;
                (Database::Postgres, DatabaseFloor::Postgres(cluster, floor))
            }
        };
        let mut services = Vec::new();
        for variant in &options.variants {
            if database.has(*variant) {
                services.push(Prepared::start(&options.common, cluster, *variant).await?);
            }
        }
        Ok(Self { options, cluster, bare, services, floor })
    }

    /// Goes once through all floors and all operations.
    pub(crate) async fn round(
        &mut self,
        round: u32,
        samples: &mut Vec<Sample>,
    ) -> Result<(), Failure> {
        let window = Duration::from_secs(self.options.seconds);
        let database = self.cluster.map_or(Database::Sqlite, |_| Database::Postgres);
        let mut keep = |subject, variant, connections, figures| {
            let key = Key { database, subject, variant, connections };
            samples.push(Sample { round, key, figures });
        };
        let token = self.options.common.out.join("hsm-floor");
        for connections in self.options.connections.clone() {
            let load = Load { connections, warm_up: WARM_UP, window };
            keep(Subject::Http, None, connections, self.http(load).await?);
            for subject in [Subject::Select, Subject::Insert, Subject::Transaction] {
                let figures = match &mut self.floor {
                    DatabaseFloor::Sqlite(floor) => floor.measure(subject, window).await?,
                    DatabaseFloor::Postgres(cluster, floor) => {
                        floor.measure(cluster, subject, connections, window).await?
                    }
                };
                keep(subject, None, connections, figures);
            }
            let own = hsm::Token::own(&self.options.common.module);
            let decrypt = hsm::measure(&own, hsm::Call::Decrypt, &token, window, &[]).await?;
            keep(Subject::Decrypt, None, connections, decrypt);
            for subject in Subject::OPERATIONS {
                for prepared in &self.services {
                    let figures = self.operation(load, subject, prepared).await?;
                    keep(subject, Some(prepared.variant), connections, figures);
                }
            }
        }
        Ok(())
    }

    async fn http(&self, load: Load) -> Result<Figures, Failure> {
        let requests = self.services.first().map(|first| first.dataset.requests(Subject::Reveal));
        let requests: Requests = requests.unwrap_or_default();
        load.drive(self.bare.address, &requests, || self.bare.cpu()).await
    }

    async fn operation(
        &self,
        load: Load,
        subject: Subject,
        prepared: &Prepared,
    ) -> Result<Figures, Failure> {
        let Prepared { service, dataset, variant } = prepared;
        let postmaster = self.cluster.map(Cluster::postmaster);
        let requests = dataset.requests(subject);
        let measured = load.drive(service.address, &requests, || service.cpu(postmaster)).await;
        measured.map_err(|error| {
            let (subject, variant) = (subject.name(), variant.name());
            format!("{subject} at {} connections, {variant}: {error}", load.connections).into()
        })
    }
}
