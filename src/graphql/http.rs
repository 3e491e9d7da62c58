//! GraphQL over HTTP (GraphQL-over-HTTP draft of 2025): one request, one JSON answer.

mod call;
mod negotiation;

use std::sync::Arc;

use async_graphql::{
    Request as GraphQlRequest, Response as GraphQlResponse, Variables,
    parser::types::{ExecutableDocument, OperationType},
};
use axum::{
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::Response,
};
use serde_json::Value;

use super::{UserSecretSchema, document::Documents, error, revealing::Revealing};
use crate::{
    audit::Listener,
    edge::{Edge, Visit, named_domain},
    error::{Code, Error},
    json::UniqueObject,
    service::{Caller, too_late},
};
use call::Call;
use negotiation::{GRAPHQL_JSON, accepted, render};

const JSON: &str = "application/json";

/// What the face needs.
pub struct GraphQlFace {
    /// The schema.
    pub schema: UserSecretSchema,
    /// What a document may ask.
    pub documents: Documents,
    /// What it shares with the other faces.
    pub edge: Arc<Edge>,
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
    let mut visit = Visit::begin(&request, listener);
    let accept = accepted(request.headers());
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    // Boxed: the future of a request is large, and moving it is not free.
    let work = Box::pin(async {
        match visit.admit(&face.edge, authorization.as_ref()).await {
            Ok(caller) => answer(&face, caller, accept, request).await,
            Err(error) => Answer::stranger(error),
        }
    });
    let outcome = face.edge.within(work).await;
    let mut answer =
        outcome.unwrap_or_else(|error| Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, error));
    visit.retry_after(error::retry_after(&answer.response));
    let failures = error::settle(&mut answer.response, visit.trace_id());
    visit.log(answer.operation, &failures);
    render(answer, accept.unwrap_or(GRAPHQL_JSON), &visit)
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
    let named = NamedDomain(named_domain(request.headers(), "x-domain-id"));
    let is_post = request.method() == Method::POST;
    let call = match Call::read(request, &face.edge).await {
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
    let variables = call.variables.map(|UniqueObject(given)| given).unwrap_or_default();
    let variables = Variables::from_json(Value::Object(variables));
    let revealing = Revealing::default();
    let mut graphql = GraphQlRequest::new("").variables(variables);
    graphql = graphql.data(caller).data(named).data(revealing.clone());
    if let Some(name) = call.operation_name {
        graphql = graphql.operation_name(name);
    }
    graphql.set_parsed_query(Arc::unwrap_or_clone(document));
    let response = face.schema.execute(graphql).await;
    if revealing.is_over() {
        return Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, too_late());
    }
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
