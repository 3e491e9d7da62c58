//! Which media type the answer has, and its headers.

use async_graphql_axum::GraphQLResponse;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{Answer, JSON};
use crate::edge::{Visit, essence};

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

/// The answer as it leaves.
pub(super) fn render(answer: Answer, media_type: &'static str, visit: &Visit) -> Response {
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
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    visit.dress(&mut response);
    response
}
