//! A GraphQL request as it comes over HTTP: a JSON body, or the parameters of a URL.

use axum::{
    body::Bytes,
    extract::{Query, Request},
    http::{Method, StatusCode, Uri},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    edge::{Edge, is_json},
    error::{Error, Result},
    json::UniqueObject,
};

/// A request as it lies in the body. Serde refuses a key that stands twice.
#[derive(Deserialize)]
pub(super) struct Call {
    pub(super) query: Option<String>,
    #[serde(rename = "operationName")]
    pub(super) operation_name: Option<String>,
    pub(super) variables: Option<UniqueObject>,
    #[serde(default, rename = "extensions")]
    _extensions: Option<serde_json::Map<String, Value>>,
}

impl Call {
    /// Reads the request.
    pub(super) async fn read(request: Request, edge: &Edge) -> Result<Self, (StatusCode, Error)> {
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
            edge.read(body).await.map_err(|error| (StatusCode::PAYLOAD_TOO_LARGE, error))?;
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
