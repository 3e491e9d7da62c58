//! GraphQL over HTTP (GraphQL-over-HTTP draft of 2025): one request, one JSON answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_graphql::{
    Request as GraphQlRequest, Response as GraphQlResponse, Variables,
    parser::types::{ExecutableDocument, OperationType},
};
use async_graphql_axum::GraphQLResponse;
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::Value;

use super::{DocumentLimits, UserSecretSchema, error};
use crate::{
    auth::Authenticator,
    error::{Code, Error, Result},
    ids::hex,
};

const GRAPHQL_JSON: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

/// What the face needs.
pub struct GraphQlFace {
    /// The schema.
    pub schema: UserSecretSchema,
    /// Who may call.
    pub authenticator: Authenticator,
    /// What a document may ask.
    pub document: DocumentLimits,
    /// The most bytes of a body.
    pub body_bytes: usize,
    /// How long a request may take.
    pub timeout: Duration,
}

/// The domain that the `X-Domain-Id` header names.
pub(super) struct NamedDomain(pub(super) Option<String>);

/// A request as it lies in the body. Serde refuses a key that stands twice.
#[derive(Deserialize)]
struct Call {
    query: Option<String>,
    #[serde(rename = "operationName")]
    operation_name: Option<String>,
    variables: Option<serde_json::Map<String, Value>>,
    #[serde(default, rename = "extensions")]
    _extensions: Option<serde_json::Map<String, Value>>,
}

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

    fn bad_request(error: Error) -> Self {
        Self::refusal(StatusCode::BAD_REQUEST, error)
    }
}

/// Serves `/graphql`.
pub async fn serve(State(face): State<Arc<GraphQlFace>>, request: Request) -> Response {
    let started = Instant::now();
    let trace_id = trace_id(request.headers());
    let accept = accepted(request.headers());
    let caller = face.authenticator.authenticate(
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()),
    );
    let who = caller
        .as_ref()
        .ok()
        .map(|caller| (caller.domain().clone(), caller.user().cloned(), caller.role().as_str()));
    let mut answer = match (caller, accept) {
        (Err(error), _) => Answer::refusal(StatusCode::UNAUTHORIZED, error),
        (_, None) => Answer::refusal(
            StatusCode::NOT_ACCEPTABLE,
            Error::malformed(
                "The answer can be application/graphql-response+json or application/json.",
            ),
        ),
        (Ok(caller), _) => {
            match tokio::time::timeout(face.timeout, answer(&face, caller, request)).await {
                Ok(answer) => answer,
                Err(_) => Answer::refusal(
                    StatusCode::SERVICE_UNAVAILABLE,
                    Error::unavailable("the request took too long"),
                ),
            }
        }
    };
    let failures = error::settle(&mut answer.response, &trace_id);
    let outcome = failures.first().map_or("OK", |(code, _)| code.as_str());
    for (code, cause) in failures.iter().filter(|(_, cause)| !cause.is_empty()) {
        if *code == Code::Unauthenticated {
            tracing::info!(trace_id, code = code.as_str(), cause, "refused");
        } else {
            tracing::warn!(trace_id, code = code.as_str(), cause, "failed");
        }
    }
    let (domain, user, role) = who.map_or((None, None, "NONE"), |(d, u, r)| (Some(d), u, r));
    tracing::info!(
        trace_id,
        domain = domain.as_ref().map(crate::ids::DomainId::as_str),
        user = user.as_ref().map(crate::ids::UserId::as_str),
        role,
        operation = answer.operation,
        outcome,
        elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        "request"
    );
    render(answer, accept.unwrap_or(GRAPHQL_JSON), &trace_id)
}

async fn answer(face: &GraphQlFace, caller: crate::auth::Caller, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let named = parts.headers.get("x-domain-id");
    // What is not text is kept, to be refused as no domain.
    let named = NamedDomain(named.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()));
    let call = match parts.method {
        Method::POST => {
            if !is_json(&parts.headers) {
                return Answer::refusal(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    Error::malformed("The body must be application/json."),
                );
            }
            match read(body, face.body_bytes).await {
                Ok(bytes) => from_body(&bytes),
                Err(too_large) => return Answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, too_large),
            }
        }
        _ => from_url(&parts.uri),
    };
    let call = match call {
        Ok(call) => call,
        Err(error) => return Answer::bad_request(error),
    };
    let document = call.query.as_deref().filter(|text| !text.is_empty());
    let document = match document
        .ok_or_else(|| Error::invalid("query", "must hold a document"))
        .and_then(|text| face.document.parse(text))
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
    if operation == "mutation" && parts.method != Method::POST {
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
    graphql.set_parsed_query(document);
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

fn from_body(bytes: &Bytes) -> Result<Call> {
    serde_json::from_slice(bytes).map_err(|_| {
        Error::malformed("The body must be a JSON object with query, operationName and variables.")
    })
}

fn from_url(uri: &axum::http::Uri) -> Result<Call> {
    #[derive(Deserialize)]
    struct Parameters {
        query: Option<String>,
        #[serde(rename = "operationName")]
        operation_name: Option<String>,
        variables: Option<String>,
    }
    let malformed = || Error::malformed("The URL must carry query, operationName and variables.");
    let axum::extract::Query(parameters) =
        axum::extract::Query::<Parameters>::try_from_uri(uri).map_err(|_| malformed())?;
    let variables = parameters
        .variables
        .filter(|text| !text.is_empty())
        .map(|text| serde_json::from_str(&text).map_err(|_| malformed()))
        .transpose()?;
    Ok(Call {
        query: parameters.query,
        operation_name: parameters.operation_name,
        variables,
        _extensions: None,
    })
}

/// Reads the body. One that is too long is read on for a while, so that the
/// client comes to read the answer, and is not kept.
async fn read(mut body: Body, most: usize) -> Result<Bytes> {
    let rule = format!("a body may have at most {most} bytes");
    let too_large = || Error::exhausted("limits.body_bytes", &rule);
    let (mut kept, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Error::malformed("The body ended early."))?;
        let Ok(chunk) = frame.into_data() else { continue };
        length = length.saturating_add(chunk.len());
        if length <= most {
            kept.extend_from_slice(&chunk);
        } else if length > most.saturating_mul(4) {
            break;
        }
    }
    if length > most { Err(too_large()) } else { Ok(kept.into()) }
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    given.is_some_and(|text| essence(text).eq_ignore_ascii_case(JSON))
}

/// The media type of the answer; none when the client accepts neither.
fn accepted(headers: &HeaderMap) -> Option<&'static str> {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
        return Some(JSON);
    };
    accept.split(',').find_map(|range| match essence(range).to_ascii_lowercase().as_str() {
        GRAPHQL_JSON | "application/*" | "*/*" => Some(GRAPHQL_JSON),
        JSON => Some(JSON),
        _ => None,
    })
}

fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

fn render(answer: Answer, media_type: &'static str, trace_id: &str) -> Response {
    let Answer { mut status, response, .. } = answer;
    // A client that speaks plain JSON takes 200 for every well-formed GraphQL answer.
    if media_type == JSON && status == StatusCode::BAD_REQUEST {
        status = StatusCode::OK;
    }
    let mut response = GraphQLResponse::from(response).into_response();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(trace_id) {
        headers.insert("x-trace-id", value);
    }
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        _ => {}
    }
    response
}

/// The trace that the client began (W3C Trace Context §3.2), or a new one.
fn trace_id(headers: &HeaderMap) -> String {
    let given = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let begun = given.and_then(|text| text.split('-').nth(1)).filter(|id| {
        id.len() == 32
            && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && id.bytes().any(|b| b != b'0')
    });
    begun.map_or_else(
        || {
            let mut bits = [0; 16];
            // Without randomness the trace is merely anonymous.
            let _ = aws_lc_rs::rand::fill(&mut bits);
            hex(bits)
        },
        str::to_owned,
    )
}
