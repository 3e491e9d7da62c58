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
mod mutation;
mod query;
mod user_secret;

pub use document::Documents;
pub use error::Fault;
pub use guard::DocumentLimits;
pub use http::{Entrance, GraphQlFace, serve};

use async_graphql::{EmptySubscription, Schema};

use crate::service::{Caller, UserSecretService};

/// The schema of the service.
pub type UserSecretSchema = Schema<query::Query, mutation::Mutation, EmptySubscription>;

/// Builds the schema; `service` is absent where only its text is wanted.
pub fn schema(service: Option<UserSecretService>, introspection: bool) -> UserSecretSchema {
    let mut builder = Schema::build(query::Query, mutation::Mutation, EmptySubscription);
    if let Some(service) = service {
        builder = builder.data(service);
    }
    if !introspection {
        builder = builder.disable_introspection().disable_suggestions();
    }
    builder.finish()
}

/// What a resolver finds in its context.
trait InContext {
    fn service(&self) -> Result<&UserSecretService, Fault>;
    fn caller(&self) -> Result<&Caller, Fault>;
}

impl InContext for async_graphql::Context<'_> {
    fn service(&self) -> Result<&UserSecretService, Fault> {
        self.data_opt().ok_or_else(|| Fault::missing("service"))
    }

    fn caller(&self) -> Result<&Caller, Fault> {
        self.data_opt().ok_or_else(|| Fault::missing("caller"))
    }
}
