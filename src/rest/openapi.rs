//! The description of the face, for tools: OpenAPI 3.1.
//!
//! Paths and messages are told by what the face itself goes by: the table of
//! verbs and the descriptors, with the comments in `proto/`. `openapi.json` lies
//! over that (RFC 7396) and says what those do not: bounds, errors, who may call.

mod schemas;

use prost_reflect::MethodDescriptor;
use serde_json::{Map, Value, json};

use self::schemas::{Way, add, comment, reference};
use super::{PREFIXES, VERBS, json::POOL};
use crate::api::Method;

const OVER: &str = include_str!("openapi.json");

/// The statuses that an error may have.
const ERRORS: [&str; 9] = ["400", "401", "403", "404", "409", "413", "429", "500", "503"];

/// The document.
pub(super) fn document() -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    let service = POOL.as_ref().and_then(|pool| pool.get_service_by_name(Method::SERVICE));
    for described in service.iter().flat_map(|service| service.methods()) {
        let named = |(_, method): &&(_, Method)| method.name() == described.name();
        let Some((verb, method)) = VERBS.iter().find(named) else { continue };
        add(&mut schemas, &described.input(), Way::In);
        add(&mut schemas, &described.output(), Way::Out);
        for (prefix, suffix) in PREFIXES.into_iter().zip(["", "_short"]) {
            let operation = operation(&described, *method, suffix);
            paths.insert(format!("{prefix}/{verb}"), json!({ "post": operation }));
        }
    }
    let errors = ERRORS.map(|status| (status.to_owned(), response(reference("Fault"))));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "schemas": schemas, "responses": Map::from_iter(errors) },
    });
    lay(&mut document, serde_json::from_str(OVER).unwrap_or_default());
    document
}

fn operation(described: &MethodDescriptor, method: Method, suffix: &str) -> Value {
    let file = described.parent_file();
    let mut done = response(answer(described, method));
    lay(&mut done, json!({ "description": "It is done." }));
    let mut responses = Map::from_iter([("200".to_owned(), done)]);
    for status in statuses(method) {
        let response = json!({ "$ref": format!("#/components/responses/{status}") });
        responses.insert(status.to_owned(), response);
    }
    let mut operation = json!({
        "operationId": format!("{}{suffix}", described.name()),
        "summary": comment(&file, described.path()),
        "requestBody": { "required": true, "content": content(reference(described.input().name())) },
        "responses": responses,
    });
    if method == Method::Delete {
        let domain = json!([{ "$ref": "#/components/parameters/DomainId" }]);
        lay(&mut operation, json!({ "parameters": domain }));
    }
    operation
}

/// The name of what a method answers; messages that say too little have another one.
fn answer(described: &MethodDescriptor, method: Method) -> Value {
    match method {
        Method::Create | Method::Update | Method::Get => reference("WholeUserSecretInfo"),
        Method::Stat => reference("Statistics"),
        _ => reference(described.output().name()),
    }
}

/// The statuses of errors.
fn statuses(method: Method) -> impl Iterator<Item = &'static str> {
    ERRORS.into_iter().filter(move |status| match *status {
        "404" => !matches!(method, Method::Create | Method::List | Method::Stat),
        "409" => method == Method::UpdateData,
        _ => true,
    })
}

fn response(schema: Value) -> Value {
    let headers = json!({ "X-Trace-Id": { "$ref": "#/components/headers/TraceId" } });
    json!({ "headers": headers, "content": content(schema) })
}

fn content(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// Lays `over` over `under` (RFC 7396): object by object, and null removes.
fn lay(under: &mut Value, over: Value) {
    let Value::Object(over) = over else {
        *under = over;
        return;
    };
    if !under.is_object() {
        *under = json!({});
    }
    for (name, value) in over {
        let Some(entries) = under.as_object_mut() else { continue };
        if value.is_null() {
            entries.remove(&name);
        } else {
            lay(entries.entry(name).or_insert(Value::Null), value);
        }
    }
}
