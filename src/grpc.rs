//! The gRPC face: it reads a message, calls one method, and writes a message.
//!
//! The calls of user secrets are framed here and not by tonic, which would read
//! and decode a message before anybody knows whose it is, and would answer in
//! its decoder's words. Health and reflection, which know no secrets, are its own.

mod companions;
mod deadline;
mod frame;

pub use companions::{Companions, NotDescribed};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use prost::Message as _;
use tonic::{Code, Status, metadata::MetadataValue};

use self::{
    deadline::patience,
    frame::{framed, open},
};
use crate::{
    api::{Entrance, Luggage, Method, VersionInfo},
    edge::{Visit, essence, named_domain},
    error,
};

/// The paths of the face.
pub fn router(entrance: Entrance, companions: &Companions) -> Router {
    Router::new()
        .route(&format!("/{}/{{method}}", Method::SERVICE), post(serve))
        .with_state(entrance)
        .route("/spaceone.api.core.v1.ServerInfo/get_version", post(version))
        .merge(companions.router())
}

/// Whether a request is one of gRPC.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    given.is_some_and(|text| {
        let essence = essence(text);
        ["application/grpc", "application/grpc+proto"]
            .iter()
            .any(|kind| essence.eq_ignore_ascii_case(kind))
    })
}

/// What every method answers that is none.
pub fn unimplemented() -> Response {
    no_such_method().into_http::<Body>()
}

fn no_such_method() -> Status {
    Status::unimplemented("There is no such method.")
}

async fn serve(
    State(entrance): State<Entrance>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    if !is_grpc(request.headers()) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let mut visit = Visit::begin(&request, entrance.listener);
    let mut response = match call(&entrance, &name, &mut visit, request).await {
        Ok(message) => framed(&message),
        Err(status) => status.into_http(),
    };
    visit.dress(&mut response);
    response
}

/// The message that answers the call of the method called `name`.
async fn call(
    entrance: &Entrance,
    name: &str,
    visit: &mut Visit,
    request: Request,
) -> Result<Vec<u8>, Status> {
    let Some(method) = Method::named(name) else {
        visit.log("none", &[(error::Code::InvalidArgument, String::new())]);
        return Err(no_such_method());
    };
    let (parts, body) = request.into_parts();
    if is_compressed(&parts.headers) {
        visit.log(method.operation(), &[(error::Code::InvalidArgument, String::new())]);
        let mut status = Status::unimplemented("Messages are not compressed here.");
        let accepted = MetadataValue::from_static("identity");
        status.metadata_mut().insert("grpc-accept-encoding", accepted);
        return Err(status);
    }
    let luggage = Luggage {
        authorization: authorization(&parts.headers),
        domain: named_domain(&parts.headers, "x_domain_id"),
        body,
    };
    let encode = |reply: crate::api::Reply| reply.encode();
    let work = entrance.serve(visit, method, luggage, open, encode);
    let answer = match patience(&parts.headers) {
        None => work.await,
        Some(patience) => match tokio::time::timeout(patience, work).await {
            Ok(answer) => answer,
            Err(_) => {
                let cause = "the caller's deadline has passed".to_owned();
                visit.log(method.operation(), &[(error::Code::Unavailable, cause)]);
                return Err(Status::deadline_exceeded("The deadline of the call has passed."));
            }
        },
    };
    answer.map_err(|fault| {
        Status::new(Code::from_i32(fault.grpc), format!("{}: {}", fault.name, fault.message))
    })
}

/// The version of the server, for everybody.
async fn version(request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    framed(&VersionInfo { version: env!("CARGO_PKG_VERSION").to_owned() }.encode_to_vec())
}

/// The bare token that the original's clients send, or the header that all others do.
fn authorization(metadata: &HeaderMap) -> Option<HeaderValue> {
    match metadata.get("token") {
        Some(token) => {
            let bearer = [b"Bearer ", token.as_bytes()].concat();
            HeaderValue::from_bytes(&bearer).ok()
        }
        None => metadata.get(header::AUTHORIZATION).cloned(),
    }
}

fn is_compressed(metadata: &HeaderMap) -> bool {
    metadata.get("grpc-encoding").is_some_and(|encoding| encoding != "identity")
}
