//! Errors as GraphQL renders them.

use std::{sync::Arc, time::Duration};

use async_graphql::{ErrorExtensionValues, Response, ServerError};

use crate::error::{Code, Error};

/// What a resolver fails with.
///
/// async-graphql turns anything that prints into an error, text included. This
/// type does not print, and only [`Error`] becomes one, so that a `?` cannot
/// publish the words of a database or of the HSM.
pub struct Fault(Error);

impl Fault {
    pub(super) fn missing(what: &'static str) -> Self {
        Self(Error::internal(format!("the context has no {what}")))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<Fault> for async_graphql::Error {
    fn from(Fault(error): Fault) -> Self {
        Self { message: error.to_string(), source: Some(Arc::new(error)), extensions: None }
    }
}

/// When trying again may help, if an error says so.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    response.errors.iter().find_map(|error| error.source::<Error>()?.retry_after())
}

/// Gives every error its code, and replaces words that could repeat a value.
///
/// Returns the codes and the causes of what failed, for the log.
pub(super) fn settle(response: &mut Response, trace_id: &str) -> Vec<(Code, String)> {
    response.errors.iter_mut().map(|error| settle_one(error, trace_id)).collect()
}

fn settle_one(error: &mut ServerError, trace_id: &str) -> (Code, String) {
    let mut extensions = ErrorExtensionValues::default();
    let (code, cause) = match error.source::<Error>() {
        Some(ours) => (ours.code(), ours.causes()),
        None => {
            error.message = speakable(&error.message);
            (Code::InvalidArgument, String::new())
        }
    };
    error.source = None;
    extensions.set("code", code.as_str());
    if code == Code::Internal {
        extensions.set("traceId", trace_id);
    }
    error.extensions = Some(extensions);
    (code, cause)
}

/// An error of the whole request, with no data.
pub(super) fn refusal(error: Error) -> Response {
    let mut server_error = ServerError::new(error.to_string(), None);
    server_error.source = Some(Arc::new(error));
    Response::from_errors(vec![server_error])
}

/// The most bytes of a message that may repeat a name of the document.
const MAX_MESSAGE: usize = 300;

/// The validator's messages that name things of the schema and never a value.
const NAMING: [&str; 14] = [
    "Unknown field",
    "Unknown argument",
    "Unknown type",
    "Unknown fragment",
    "Unknown directive",
    "Unknown operation",
    "Field \"",
    "Fields \"",
    "Fragment",
    "Variable \"",
    "Directive",
    "Duplicate directive",
    "There can only be one",
    "Operation name required",
];

/// `message` if it can be spoken aloud, else what is true of all others.
fn speakable(message: &str) -> String {
    let names_an_argument = message
        .strip_prefix("Invalid value for argument ")
        // Both of these repeat a word of the caller's: a credential that was put a
        // level too high arrives as the name of an unknown field.
        .is_some_and(|rest| !rest.contains("enumeration type") && !rest.contains("unknown field"));
    if message.len() > MAX_MESSAGE {
        "The document names something that the schema does not have.".to_owned()
    } else if names_an_argument || NAMING.iter().any(|start| message.starts_with(start)) {
        message.to_owned()
    } else {
        "A value does not have the type that the schema asks for.".to_owned()
    }
}
