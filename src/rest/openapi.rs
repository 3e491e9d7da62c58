//! The description of the face, for tools: OpenAPI 3.1.

use serde_json::{Map, Value, json};

use super::{PREFIXES, VERBS};
use crate::api::Method;

/// What does not depend on the table of paths.
const FRAME: &str = include_str!("openapi.json");

/// The document: the frame, and a path for each verb at each place.
pub(super) fn document() -> Value {
    let mut document: Value = serde_json::from_str(FRAME).unwrap_or_default();
    let paths: Map<String, Value> = PREFIXES
        .into_iter()
        .flat_map(|prefix| {
            VERBS.map(|(verb, method)| (format!("{prefix}/{verb}"), path(prefix, method)))
        })
        .collect();
    if let Some(document) = document.as_object_mut() {
        document.insert("paths".to_owned(), paths.into());
        let version = env!("CARGO_PKG_VERSION");
        if let Some(info) = document.get_mut("info").and_then(Value::as_object_mut) {
            info.insert("version".to_owned(), version.into());
        }
    }
    document
}

fn path(prefix: &str, method: Method) -> Value {
    let (summary, request, response) = match method {
        Method::Create => (
            "Seals data and stores it as the caller's own.",
            "CreateUserSecretRequest",
            "UserSecretInfo",
        ),
        Method::Update => ("Changes name or tags.", "UpdateUserSecretRequest", "UserSecretInfo"),
        Method::Delete => {
            ("Removes a secret with every version of its data.", "UserSecretRequest", "Empty")
        }
        Method::UpdateData => ("Replaces the data.", "UpdateUserSecretDataRequest", "Empty"),
        Method::Get | Method::GetData => {
            ("The metadata of one.", "UserSecretRequest", "UserSecretInfo")
        }
        Method::List => ("The metadata of many.", "UserSecretQuery", "UserSecretsInfo"),
        Method::Stat => ("What can be counted. Not served yet.", "UserSecretStatQuery", "Struct"),
    };
    let content = |name: &str| {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        json!({ "application/json": { "schema": schema } })
    };
    let documented = prefix.contains("/v1/");
    let id = if documented { method.name().to_owned() } else { format!("{}_short", method.name()) };
    json!({
        "post": {
            "operationId": id,
            "summary": summary,
            "parameters": [{ "$ref": "#/components/parameters/DomainId" }],
            "requestBody": { "required": true, "content": content(request) },
            "responses": {
                "200": { "description": "Done.", "content": content(response) },
                "default": { "$ref": "#/components/responses/Fault" },
            },
        }
    })
}
