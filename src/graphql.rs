//! The GraphQL face: it parses, calls one service method, and renders.
//!
//! A document passes `guard` before async-graphql sees it: its parser recurses
//! without limit, and its validator walks nested fragments exponentially.

mod connection;
mod document;
mod domain;
mod error;
mod guard;
mod http;
mod issuer;
mod keys;
mod mutation;
mod query;
mod revealing;
mod statistics;
mod user_secret;

pub use document::Documents;
pub use error::Fault;
pub use guard::DocumentLimits;
pub use http::{Entrance, GraphQlFace, serve};

use async_graphql::{EmptySubscription, MergedObject, Schema};

use crate::service::{Caller, IssuerService, KeyService, UserSecretService};

/// The schema of the service.
pub type UserSecretSchema = Schema<query::Query, Mutation, EmptySubscription>;

/// What can be changed.
#[derive(MergedObject, Default)]
pub struct Mutation(mutation::UserSecretMutation, issuer::IssuerMutation, keys::KeyMutation);

/// Builds the schema; the services are absent where only its text is wanted.
pub fn schema(
    services: Option<(UserSecretService, IssuerService, KeyService)>,
    introspection: bool,
) -> UserSecretSchema {
    let mut builder = Schema::build(query::Query, Mutation::default(), EmptySubscription);
    if let Some((secrets, issuers, keys)) = services {
        builder = builder.data(secrets).data(issuers).data(keys);
    }
    if !introspection {
        builder = builder.disable_introspection().disable_suggestions();
    }
    builder.finish()
}

/// What a resolver finds in its context.
trait InContext {
    fn service(&self) -> Result<&UserSecretService, Fault>;
    fn issuers(&self) -> Result<&IssuerService, Fault>;
    fn keys(&self) -> Result<&KeyService, Fault>;
    fn caller(&self) -> Result<&Caller, Fault>;
}

impl InContext for async_graphql::Context<'_> {
    fn service(&self) -> Result<&UserSecretService, Fault> {
        self.data_opt().ok_or_else(|| Fault::missing("service"))
    }

    fn issuers(&self) -> Result<&IssuerService, Fault> {
        self.data_opt().ok_or_else(|| Fault::missing("issuer service"))
    }

    fn keys(&self) -> Result<&KeyService, Fault> {
        self.data_opt().ok_or_else(|| Fault::missing("key service"))
    }

    fn caller(&self) -> Result<&Caller, Fault> {
        self.data_opt().ok_or_else(|| Fault::missing("caller"))
    }
}
