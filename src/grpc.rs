//! The gRPC face: it reads a message, calls one method, and writes a message.
//!
//! The calls of user secrets are framed here and not by tonic, which would read
//! and decode a message before anybody knows whose it is, and would answer in
//! its decoder's words. Health and reflection, which know no secrets, are its own.

mod companions;
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
use tonic::{Code, Status};

use self::frame::{framed, open};
use crate::{
    api::{Entrance, Luggage, Method, VersionInfo},
    edge::{Visit, named_domain},
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
    given.is_some_and(|text| text.starts_with("application/grpc"))
}

/// What every method answers that is none.
pub fn unimplemented() -> Response {
    Status::unimplemented("There is no such method.").into_http::<Body>()
}

async fn serve(
    State(entrance): State<Entrance>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    if !is_grpc(request.headers()) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let Some(method) = Method::named(&name) else { return unimplemented() };
    if is_compressed(request.headers()) {
        return Status::unimplemented("Messages are not compressed here.").into_http::<Body>();
    }
    let mut visit = Visit::begin(&request, entrance.listener);
    let (parts, body) = request.into_parts();
    let luggage = Luggage {
        authorization: authorization(&parts.headers),
        domain: named_domain(&parts.headers, "x_domain_id"),
        body,
    };
    let encode = |reply: crate::api::Reply| Ok(reply.encode());
    let answer = entrance.serve(&mut visit, method, luggage, open, encode).await;
    let mut response = match answer {
        Ok(message) => framed(&message),
        Err(fault) => {
            let details = format!("{}: {}", fault.name, fault.message);
            Status::new(Code::from_i32(fault.grpc), details).into_http()
        }
    };
    visit.dress(&mut response);
    response
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
