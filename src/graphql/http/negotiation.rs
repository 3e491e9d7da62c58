//! Which media type the answer has, its headers, and the trace that it belongs to.

use async_graphql_axum::GraphQLResponse;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{Answer, JSON};
use crate::ids::hex;

pub(super) const GRAPHQL_JSON: &str = "application/graphql-response+json";

/// The media type of the answer; none when the client accepts neither.
pub(super) fn accepted(headers: &HeaderMap) -> Option<&'static str> {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
        return Some(JSON);
    };
    accept.split(',').find_map(|range| match essence(range).to_ascii_lowercase().as_str() {
        GRAPHQL_JSON | "application/*" | "*/*" => Some(GRAPHQL_JSON),
        JSON => Some(JSON),
        _ => None,
    })
}

/// A media type without its parameters.
pub(super) fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// The answer as it leaves.
pub(super) fn render(answer: Answer, media_type: &'static str, trace_id: &str) -> Response {
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
pub(super) fn trace_id(headers: &HeaderMap) -> String {
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
