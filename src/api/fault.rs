//! Errors in the original's words, with the codes of both wires.

use crate::{
    edge::BODY_LIMIT,
    error::{Code, Error, Flaw, wire_name},
};

/// An error as REST and gRPC tell it.
#[derive(Debug)]
pub struct Fault {
    /// `ERROR_…`.
    pub name: &'static str,
    /// What a caller may read.
    pub message: String,
    /// The HTTP status.
    pub http: u16,
    /// The gRPC status.
    pub grpc: i32,
}

impl Fault {
    /// What `error` is called here; a defect is found again by its trace.
    pub fn of(error: &Error, trace_id: &str) -> Self {
        let (grpc, http, name) = match error.code() {
            Code::Unauthenticated => (16, 401, "ERROR_AUTHENTICATE_FAILURE"),
            Code::PermissionDenied => (7, 403, "ERROR_PERMISSION_DENIED"),
            Code::NotFound => (5, 404, "ERROR_NOT_FOUND"),
            Code::InvalidArgument => (3, 400, "ERROR_INVALID_PARAMETER"),
            Code::AlreadyExists => (6, 409, "ERROR_SAVE_UNIQUE_VALUES"),
            Code::Aborted => (10, 409, "ERROR_VERSION_CONFLICT"),
            Code::FailedPrecondition => (9, 400, "ERROR_FAILED_PRECONDITION"),
            Code::ResourceExhausted => (8, 429, "ERROR_RESOURCE_EXHAUSTED"),
            Code::Unavailable => (14, 503, "ERROR_UNAVAILABLE"),
            Code::Internal => (13, 500, "ERROR_UNKNOWN"),
        };
        let (name, message) = match (error.code(), error.argument()) {
            (Code::InvalidArgument, Some((flaw, argument, rule))) => {
                let key = wire_name(argument);
                match flaw {
                    Flaw::Missing => {
                        ("ERROR_REQUIRED_PARAMETER", format!("Required parameter. (key = {key})"))
                    }
                    Flaw::Type => (
                        "ERROR_INVALID_PARAMETER_TYPE",
                        format!("Parameter type is invalid. (key = {key}, type = {rule})"),
                    ),
                    Flaw::Invalid
                    | Flaw::List
                    | Flaw::NoList
                    | Flaw::NoObject
                    | Flaw::NoBoolean => {
                        let name = operator_fault(flaw).unwrap_or(name);
                        (name, format!("Parameter is invalid. (key = {key}, reason = {rule})"))
                    }
                }
            }
            (Code::Unauthenticated, _) => {
                (name, format!("Authenticate failure. (message = {error})"))
            }
            (Code::Internal, _) => (name, format!("{error} (trace_id = {trace_id})")),
            _ => (name, error.to_string()),
        };
        let too_long = error.argument().is_some_and(|(_, limit, _)| limit == BODY_LIMIT);
        Self { name, message, http: if too_long { 413 } else { http }, grpc }
    }
}

/// What the original calls a value that its operator does not take.
const fn operator_fault(flaw: Flaw) -> Option<&'static str> {
    match flaw {
        Flaw::List => Some("ERROR_OPERATOR_VALUE_TYPE"),
        Flaw::NoList => Some("ERROR_OPERATOR_LIST_VALUE_TYPE"),
        Flaw::NoObject => Some("ERROR_OPERATOR_DICT_VALUE_TYPE"),
        Flaw::NoBoolean => Some("ERROR_OPERATOR_BOOLEAN_TYPE"),
        Flaw::Invalid | Flaw::Missing | Flaw::Type => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let cases = [
            (Error::missing("domainId", "why"), "Required parameter. (key = domain_id)"),
            (
                Error::invalid("schemaId", "must be short"),
                "Parameter is invalid. (key = schema_id, reason = must be short)",
            ),
            (
                Error::mistyped("data", "object"),
                "Parameter type is invalid. (key = data, type = object)",
            ),
            (Error::permission_denied(), "Permission denied."),
            (Error::internal("disk full"), "Internal error. (trace_id = 7)"),
        ];
        for (error, message) in cases {
            assert_eq!(Fault::of(&error, "7").message, message);
        }
    }
}
