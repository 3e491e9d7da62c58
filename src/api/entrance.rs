//! The way of a request of REST or gRPC, from its body to its reply.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    http::HeaderValue,
};

use super::{Api, Fault, Incoming, Method, Reply};
use crate::{
    audit::Listener,
    edge::{Edge, Visit},
    error::{Error, Result},
};

/// A listener's way to the adapter.
#[derive(Clone)]
pub struct Entrance {
    /// The adapter.
    pub api: Arc<Api>,
    /// What all faces share.
    pub edge: Arc<Edge>,
    /// The listener.
    pub listener: Listener,
}

/// A reply, or an error in the original's words.
pub type Answer<T = Reply> = Result<T, Fault>;

/// What a request brings along.
pub struct Luggage {
    /// The `Authorization` header, or what stands for it.
    pub authorization: Option<HeaderValue>,
    /// The domain in which a system says that it acts.
    pub domain: Option<String>,
    /// The message.
    pub body: Body,
}

impl Entrance {
    /// Serves one request: who it is, what is asked, what comes of it, in one line of the log.
    ///
    /// `open` finds the message in the body, and `render` makes of a reply what the face sends.
    pub async fn serve<I: Incoming, T>(
        &self,
        visit: &mut Visit,
        method: Method,
        luggage: Luggage,
        open: impl FnOnce(Bytes) -> Result<I>,
        render: impl FnOnce(Reply) -> T,
    ) -> Answer<T> {
        let Luggage { authorization, domain, body } = luggage;
        // Boxed: the future of a request is large, and moving it is not free.
        let work = Box::pin(async {
            let caller = visit.admit(&self.edge, authorization.as_ref()).await?;
            let message = open(self.edge.read(body).await?)?;
            self.api.call(method, &caller, domain.as_deref(), message).await.map(render)
        });
        let outcome = self.edge.within(work).await.flatten();
        let failures: Vec<_> = outcome
            .as_ref()
            .err()
            .map(|error| (error.code(), error.causes()))
            .into_iter()
            .collect();
        visit.log(method.operation(), &failures);
        visit.retry_after(outcome.as_ref().err().and_then(Error::retry_after));
        outcome.map_err(|error| Fault::of(&error, visit.trace_id()))
    }
}
