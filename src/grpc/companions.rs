//! What a gRPC server has beside its methods: health, and a description of itself.

use axum::Router;
use tonic_health::{ServingStatus, server::HealthReporter};
use tonic_reflection::server::Builder;

use crate::api::{DESCRIPTORS, Method};

/// The descriptors cannot be shown.
#[derive(Debug, thiserror::Error)]
#[error("gRPC reflection: {0}")]
pub struct NotDescribed(#[from] tonic_reflection::server::Error);

/// The names under which the service is asked for its health.
const NAMES: [&str; 3] = ["", "secret", Method::SERVICE];

/// Health and reflection, ready to be put on any listener.
pub struct Companions {
    router: Router,
    reporter: HealthReporter,
}

impl Companions {
    /// Companions that say that the service serves.
    ///
    /// The original's clients know reflection in its first, unfinished version only.
    pub async fn new() -> Result<Self, NotDescribed> {
        let (reporter, health) = tonic_health::server::health_reporter();
        for name in NAMES {
            reporter.set_service_status(name, ServingStatus::Serving).await;
        }
        let describe = || {
            Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let router = Router::new()
            .route_service("/grpc.health.v1.Health/{method}", health)
            .route_service("/grpc.reflection.v1.ServerReflection/{method}", describe().build_v1()?)
            .route_service(
                "/grpc.reflection.v1alpha.ServerReflection/{method}",
                describe().build_v1alpha()?,
            );
        Ok(Self { router, reporter })
    }

    /// Says from now on that the service does not serve.
    pub async fn retire(&self) {
        for name in NAMES {
            self.reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
    }

    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }
}
