//! The composition root: from a configuration to a router. The only place that wires.

mod core;
mod health;

pub use core::Core;

use std::{fs, sync::Arc, time::Duration};

use axum::{Router, extract::Request, response::Response, routing::get};
use tokio::sync::mpsc;
use tower_http::catch_panic::CatchPanicLayer;

use health::Health;

use crate::{
    api::{self, Api},
    audit::Listener,
    auth::{Authenticator, Directory, Issuer, IssuerError, KeyFetcher},
    clock::Clock,
    config::{Config, ConfigError},
    database::Database,
    edge::Edge,
    error::Error,
    graphql::{self, DocumentLimits, Documents, Entrance, GraphQlFace},
    grpc::{self, Companions, NotDescribed},
    hsm::{Hsm, HsmError},
    ids::IdSource,
    rest,
    service::{IssuerLimits, IssuerService},
    tls::TlsError,
    upkeep::{Upkeep, UpkeepSettings},
};

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is at fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An issuer's entry or its keys are.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The HSM is.
    #[error("hsm: {0}")]
    Hsm(#[from] HsmError),
    /// The database is.
    #[error("database: {}", .0.causes())]
    Database(#[from] Error),
    /// The database's schema is older than this program.
    #[error("database: migrations are missing; `usersecret migrate` applies them")]
    NotMigrated,
    /// The files of a listener's TLS are.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The messages of gRPC are.
    #[error(transparent)]
    Grpc(#[from] NotDescribed),
    /// A listener or a file is.
    #[error("{0}: {1}")]
    Io(String, #[source] std::io::Error),
}

/// What a test may hold still.
pub struct Seams {
    /// The time.
    pub clock: Clock,
    /// The ids of new secrets.
    pub ids: IdSource,
}

impl Default for Seams {
    fn default() -> Self {
        Self { clock: Clock::system(), ids: IdSource::random() }
    }
}

/// Domains that changed and wait to be looked at; one that is left out is told of again.
const CHANGES: usize = 1_000;

/// The service, wired.
pub struct App {
    face: Arc<GraphQlFace>,
    api: Arc<Api>,
    companions: Companions,
    /// What the main listener is: it reveals data unless there is an internal one.
    main: Listener,
    health: Health,
    core: Core,
}

impl App {
    /// Wires the service on an engine that has passed its self-test.
    pub async fn build(config: &Config, hsm: Hsm, seams: Seams) -> Result<Self, StartError> {
        let mut core = Core::build(config, hsm, seams).await?;
        let directory = directory(config, core.database.clone(), core.clock.clone())?;
        let (tell, changed) = mpsc::channel(CHANGES);
        core.background.spawn(directory.clone().follow(tell, core.stop.subscribe()));
        let upkeep = Upkeep::new(
            core.keys.clone(),
            UpkeepSettings {
                interval: Duration::from_millis(config.keys.interval_ms),
                pace: Some(config.keys.rewrap_per_second).filter(|pace| *pace > 0),
            },
        )?;
        core.upkeep.spawn(upkeep.run(changed, core.rest.subscribe()));
        let authenticator = Authenticator::new(
            issuers(config)?,
            directory.clone(),
            core.clock.clone(),
            core.trail.clone(),
        )?;
        let issuers = IssuerService::new(
            core.gate.clone(),
            core.store.clone(),
            directory,
            core.clock.clone(),
            IssuerLimits {
                issuers: config.limits.issuers,
                revoked_tokens: config.limits.revoked_tokens,
            },
        );
        let (secrets, keys) = (core.secrets.clone(), core.keys.clone());
        let api = Arc::new(Api::new(secrets.clone()));
        let face = GraphQlFace {
            schema: graphql::schema(Some((secrets, issuers, keys)), config.graphql.introspection),
            documents: Documents::new(DocumentLimits {
                nesting: config.limits.document_nesting,
                tokens: config.limits.document_tokens,
                fields: config.limits.document_fields,
                depth: config.limits.document_depth,
            }),
            edge: Arc::new(Edge {
                authenticator,
                body_bytes: config.limits.body_bytes,
                timeout: Duration::from_millis(config.server.request_timeout_ms),
            }),
        };
        let internal = config.internal.address()?;
        let main = if internal.is_some() { Listener::Public } else { Listener::Sole };
        let health = Health::of(core.database.clone(), core.hsm.clone());
        let companions = Companions::new().await?;
        Ok(Self { face: Arc::new(face), api, companions, main, health, core })
    }

    /// Everything on one port.
    pub fn router(&self) -> Router {
        self.api().merge(self.ops())
    }

    /// What callers call.
    pub fn api(&self) -> Router {
        self.face_on(self.main)
    }

    /// The same for systems, on a listener that reveals data.
    pub fn internal(&self) -> Router {
        self.face_on(Listener::Internal)
    }

    fn face_on(&self, listener: Listener) -> Router {
        let entrance = api::Entrance {
            api: Arc::clone(&self.api),
            edge: Arc::clone(&self.face.edge),
            listener,
        };
        Router::new()
            .route("/graphql", get(graphql::serve).post(graphql::serve))
            .with_state(Entrance { face: Arc::clone(&self.face), listener })
            .merge(rest::router(entrance.clone()))
            .merge(grpc::router(entrance, &self.companions))
            .fallback(nowhere)
            .layer(CatchPanicLayer::new())
    }

    /// What operators look at.
    pub fn ops(&self) -> Router {
        self.health.router()
    }

    /// Says to whoever asks for the service's health over gRPC that it is about to end.
    pub async fn retire(&self) {
        self.companions.retire().await;
    }

    /// Waits for transactions under way, for the seal over their events, then for the HSM's workers.
    pub async fn drain(self) {
        let Self { face, api, health, core, .. } = self;
        drop((face, api, health));
        core.drain().await;
    }
}

/// The issuers of the configuration.
fn issuers(config: &Config) -> Result<Vec<Issuer>, StartError> {
    let roots = config.auth.roots()?;
    let fetcher = KeyFetcher::trusted(config.auth.rhythm(), roots.as_deref().map(str::as_bytes))
        .map_err(unusable_roots)?;
    let issuer = |settings: &crate::auth::IssuerSettings| {
        let read = |file: &std::path::PathBuf| {
            fs::read_to_string(file)
                .map_err(|error| StartError::Io(format!("auth.issuers: {}", file.display()), error))
        };
        let jwks = settings.jwks_file.as_ref().map(read).transpose()?;
        Ok(Issuer::new(settings, jwks.as_deref(), &fetcher)?)
    };
    config.auth.issuers.iter().map(issuer).collect()
}

/// The issuers that domains register.
fn directory(config: &Config, database: Database, clock: Clock) -> Result<Directory, StartError> {
    let roots = config.auth.roots()?;
    let fetcher = KeyFetcher::fenced(
        config.auth.rhythm(),
        roots.as_deref().map(str::as_bytes),
        &config.auth.jwks_networks,
    )
    .map_err(unusable_roots)?;
    let taken = config.auth.issuers.iter().map(|issuer| issuer.iss.clone()).collect();
    Ok(Directory::new(database, clock, taken, fetcher))
}

fn unusable_roots(error: reqwest::Error) -> StartError {
    ConfigError::Rule("auth.ca_file", format!("must hold certificates as PEM: {error}")).into()
}

/// What is at no path, in the caller's tongue.
async fn nowhere(request: Request) -> Response {
    if grpc::is_grpc(request.headers()) { grpc::unimplemented() } else { rest::not_found() }
}
