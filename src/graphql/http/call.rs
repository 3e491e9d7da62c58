//! A GraphQL request as it comes over HTTP: a JSON body, or the parameters of a URL.

use axum::{
    body::{Body, Bytes},
    extract::{Query, Request},
    http::{HeaderMap, Method, StatusCode, Uri, header},
};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::Value;

use super::{JSON, negotiation::essence};
use crate::error::{Error, Result};

/// A request as it lies in the body. Serde refuses a key that stands twice.
#[derive(Deserialize)]
pub(super) struct Call {
    pub(super) query: Option<String>,
    #[serde(rename = "operationName")]
    pub(super) operation_name: Option<String>,
    pub(super) variables: Option<serde_json::Map<String, Value>>,
    #[serde(default, rename = "extensions")]
    _extensions: Option<serde_json::Map<String, Value>>,
}

impl Call {
    /// Reads the request; a body of more than `most` bytes is refused.
    pub(super) async fn read(request: Request, most: usize) -> Result<Self, (StatusCode, Error)> {
        let (parts, body) = request.into_parts();
        let bad = |error| (StatusCode::BAD_REQUEST, error);
        if parts.method != Method::POST {
            return from_url(&parts.uri).map_err(bad);
        }
        if !is_json(&parts.headers) {
            let rule = "The body must be application/json.";
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, Error::malformed(rule)));
        }
        let bytes =
            read(body, most).await.map_err(|error| (StatusCode::PAYLOAD_TOO_LARGE, error))?;
        from_body(&bytes).map_err(bad)
    }
}

fn from_body(bytes: &Bytes) -> Result<Call> {
    serde_json::from_slice(bytes).map_err(|_| {
        Error::malformed("The body must be a JSON object with query, operationName and variables.")
    })
}

fn from_url(uri: &Uri) -> Result<Call> {
    #[derive(Deserialize)]
    struct Parameters {
        query: Option<String>,
        #[serde(rename = "operationName")]
        operation_name: Option<String>,
        variables: Option<String>,
    }
    let malformed = || Error::malformed("The URL must carry query, operationName and variables.");
    let Query(parameters) = Query::<Parameters>::try_from_uri(uri).map_err(|_| malformed())?;
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
