//! What a gRPC server has beside its methods: health, and a description of itself.

use axum::Router;
use tonic_health::ServingStatus;
use tonic_reflection::server::Builder;

use crate::api::{DESCRIPTORS, Method};

/// The descriptors cannot be shown.
#[derive(Debug, thiserror::Error)]
#[error("gRPC reflection: {0}")]
pub struct NotDescribed(#[from] tonic_reflection::server::Error);

/// The names under which the service is asked for its health.
const NAMES: [&str; 3] = ["", "secret", Method::SERVICE];

/// Health and reflection, ready to be put on any listener.
pub struct Companions(Router);

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
        Ok(Self(router))
    }

    pub(super) fn router(&self) -> Router {
        self.0.clone()
    }
}
