//! GraphQL over HTTP (GraphQL-over-HTTP draft of 2025): one request, one JSON answer.

mod call;
mod negotiation;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_graphql::{
    Request as GraphQlRequest, Response as GraphQlResponse, Variables,
    parser::types::{ExecutableDocument, OperationType},
};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use serde_json::Value;

use super::{UserSecretSchema, document::Documents, error};
use crate::{
    audit::{Listener, Origin},
    auth::Authenticator,
    error::{Code, Error},
    service::Caller,
};
use call::Call;
use negotiation::{GRAPHQL_JSON, accepted, render, trace_id};

const JSON: &str = "application/json";

/// What the face needs.
pub struct GraphQlFace {
    /// The schema.
    pub schema: UserSecretSchema,
    /// Who may call.
    pub authenticator: Authenticator,
    /// What a document may ask.
    pub documents: Documents,
    /// The most bytes of a body.
    pub body_bytes: usize,
    /// How long a request may take.
    pub timeout: Duration,
}

/// A listener's way to the face.
#[derive(Clone)]
pub struct Entrance {
    /// The face, which all listeners share.
    pub face: Arc<GraphQlFace>,
    /// The listener.
    pub listener: Listener,
}

/// The domain that the `X-Domain-Id` header names.
pub(super) struct NamedDomain(pub(super) Option<String>);

/// An answer and the HTTP status that goes with it.
struct Answer {
    status: StatusCode,
    response: GraphQlResponse,
    operation: &'static str,
}

impl Answer {
    fn refusal(status: StatusCode, error: Error) -> Self {
        Self { status, response: error::refusal(error), operation: "none" }
    }

    /// For one who is not known, or of whom nothing could be found out.
    fn stranger(error: Error) -> Self {
        let status = match error.code() {
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::refusal(status, error)
    }

    fn bad_request(error: Error) -> Self {
        Self::refusal(StatusCode::BAD_REQUEST, error)
    }
}

/// Serves `/graphql`.
pub async fn serve(
    State(Entrance { face, listener }): State<Entrance>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let trace_id = trace_id(request.headers());
    let accept = accepted(request.headers());
    let (authorization, origin) = credentials(&request, &trace_id, listener);
    let authorization = authorization.as_ref().and_then(|value| value.to_str().ok());
    let mut who = None;
    // Boxed: the future of a request is large, and moving it is not free.
    let work = Box::pin(async {
        match face.authenticator.authenticate(authorization, origin).await {
            Ok(caller) => {
                who = Some(caller.clone());
                answer(&face, caller, accept, request).await
            }
            Err(error) => Answer::stranger(error),
        }
    });
    let outcome = tokio::time::timeout(face.timeout, work).await;
    let mut answer = outcome.unwrap_or_else(|_| {
        let error = Error::unavailable("the request took too long");
        Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, error)
    });
    let failures = error::settle(&mut answer.response, &trace_id);
    log(who.as_ref(), &answer, &failures, started.elapsed(), &trace_id);
    render(answer, accept.unwrap_or(GRAPHQL_JSON), &trace_id)
}

/// What the caller shows, and where the request comes from.
fn credentials(
    request: &Request,
    trace_id: &str,
    listener: Listener,
) -> (Option<HeaderValue>, Origin) {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let origin = Origin {
        address: peer.map(|ConnectInfo(address)| address.ip()),
        trace_id: Some(trace_id.into()),
        listener,
    };
    (request.headers().get(header::AUTHORIZATION).cloned(), origin)
}

/// One line for the request, and one for each cause of a failure.
fn log(
    caller: Option<&Caller>,
    answer: &Answer,
    failures: &[(Code, String)],
    elapsed: Duration,
    trace_id: &str,
) {
    for (code, cause) in failures.iter().filter(|(_, cause)| !cause.is_empty()) {
        if *code == Code::Unauthenticated {
            tracing::info!(trace_id, code = code.as_str(), cause, "refused");
        } else {
            tracing::warn!(trace_id, code = code.as_str(), cause, "failed");
        }
    }
    tracing::info!(
        trace_id,
        domain = caller.map(|caller| caller.domain().as_str()),
        user = caller.and_then(|caller| caller.user()).map(crate::ids::UserId::as_str),
        role = caller.map_or("NONE", |caller| caller.role().as_str()),
        operation = answer.operation,
        outcome = failures.first().map_or("OK", |(code, _)| code.as_str()),
        elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        "request"
    );
}

async fn answer(
    face: &GraphQlFace,
    caller: Caller,
    accept: Option<&str>,
    request: Request,
) -> Answer {
    if accept.is_none() {
        let rule = "The answer can be application/graphql-response+json or application/json.";
        return Answer::refusal(StatusCode::NOT_ACCEPTABLE, Error::malformed(rule));
    }
    let named = request.headers().get("x-domain-id");
    // What is not text is kept, to be refused as no domain.
    let named = NamedDomain(named.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()));
    let is_post = request.method() == Method::POST;
    let call = match Call::read(request, face.body_bytes).await {
        Ok(call) => call,
        Err((status, error)) => return Answer::refusal(status, error),
    };
    let text = call.query.as_deref().filter(|text| !text.is_empty());
    let document = match text
        .ok_or_else(|| Error::invalid("query", "must hold a document"))
        .and_then(|text| face.documents.get(text))
    {
        Ok(document) => document,
        Err(error) => return Answer::bad_request(error),
    };
    let operation = match kind(&document, call.operation_name.as_deref()) {
        Some(OperationType::Query) => "query",
        Some(OperationType::Mutation) => "mutation",
        _ => {
            let rule = "must name one of the document's queries or mutations";
            return Answer::bad_request(Error::invalid("operationName", rule));
        }
    };
    if operation == "mutation" && !is_post {
        return Answer::refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            Error::malformed("A mutation needs POST."),
        );
    }
    let mut graphql = GraphQlRequest::new("")
        .variables(Variables::from_json(Value::Object(call.variables.unwrap_or_default())))
        .data(caller)
        .data(named);
    if let Some(name) = call.operation_name {
        graphql = graphql.operation_name(name);
    }
    graphql.set_parsed_query(Arc::unwrap_or_clone(document));
    let response = face.schema.execute(graphql).await;
    // Without data nothing was executed: the request itself was at fault.
    let executed = response.is_ok() || !response.errors.iter().all(|error| error.path.is_empty());
    let status = if executed { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    Answer { status, response, operation }
}

/// The kind of the operation that is asked for, if there is exactly one such.
fn kind(document: &ExecutableDocument, name: Option<&str>) -> Option<OperationType> {
    let mut asked = document.operations.iter().filter(|(known, _)| match name {
        Some(name) => known.is_some_and(|known| known.as_str() == name),
        None => true,
    });
    let (_, operation) = asked.next()?;
    asked.next().is_none().then_some(operation.node.ty)
}
