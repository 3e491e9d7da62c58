//! The REST face: it reads JSON, calls one method, and writes JSON.

mod json;
mod openapi;

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderValue, Method as HttpMethod, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use serde_json::{Value, json};

use crate::{
    api::{Answer, Entrance, Fault, Luggage, Method, Reply},
    edge::{Visit, named_domain},
};

/// The verbs. The data of a secret is not shown over REST, as in the original.
const VERBS: [(&str, Method); 7] = [
    ("create", Method::Create),
    ("update", Method::Update),
    ("delete", Method::Delete),
    ("update-data", Method::UpdateData),
    ("get", Method::Get),
    ("list", Method::List),
    ("stat", Method::Stat),
];

/// Where the verbs are: as the original documents them, and as it is deployed.
const PREFIXES: [&str; 2] = ["/secret/v1/user-secret", "/secret/user-secret"];

/// The paths of the face.
pub fn router(entrance: Entrance) -> Router {
    let document = openapi::document();
    let described = get(async || Json(document));
    PREFIXES
        .into_iter()
        .fold(Router::new(), |router, prefix| {
            router.route(&format!("{prefix}/{{verb}}"), any(serve))
        })
        .with_state(entrance)
        .route("/openapi.json", described)
}

/// What every path answers that is none.
pub fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "detail": "Not Found" }))).into_response()
}

async fn serve(
    State(entrance): State<Entrance>,
    Path(verb): Path<String>,
    request: Request,
) -> Response {
    let Some((_, method)) = VERBS.into_iter().find(|(name, _)| *name == verb) else {
        return not_found();
    };
    if request.method() != HttpMethod::POST {
        let allowed = [(header::ALLOW, HeaderValue::from_static("POST"))];
        let body = Json(json!({ "detail": "Method Not Allowed" }));
        return (StatusCode::METHOD_NOT_ALLOWED, allowed, body).into_response();
    }
    let mut visit = Visit::begin(&request, entrance.listener);
    let (parts, body) = request.into_parts();
    let luggage = Luggage {
        authorization: parts.headers.get(header::AUTHORIZATION).cloned(),
        domain: named_domain(&parts.headers, "x-domain-id"),
        body,
    };
    let answer = entrance.serve(&mut visit, method, luggage, json::open, Reply::into_json).await;
    let mut response = render(answer);
    visit.dress(&mut response);
    response
}

fn render(answer: Answer<Value>) -> Response {
    match answer {
        Ok(reply) => Json(reply).into_response(),
        Err(Fault { name, message, http, .. }) => {
            let status = StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let detail = json!({ "detail": { "code": name, "message": message } });
            (status, Json(detail)).into_response()
        }
    }
}
