//! The one error that leaves the service: words for callers, causes for operators.
//!
//! A face renders [`Error::code`] and the `Display` text and nothing else. What
//! really happened is the `source()`, which is logged once, at the edge. No
//! constructor takes a value that a caller sent, so none can be repeated.

use std::{borrow::Cow, time::Duration};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause of an error, for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A failure in words that a caller may read.
#[derive(Debug, thiserror::Error)]
#[error("{}{message}", prefix(argument.as_deref()))]
pub struct Error {
    code: Code,
    flaw: Flaw,
    argument: Option<Box<str>>,
    message: Cow<'static, str>,
    after: Option<Duration>,
    #[source]
    source: Option<Cause>,
}

/// What is wrong with an argument, for faces that tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It breaks a rule.
    Invalid,
    /// It is required and not there.
    Missing,
    /// It is of another type than the one that the message names.
    Type,
    /// It is a list, and the condition's operator takes none.
    List,
    /// It is no list, and the condition's operator takes one.
    NoList,
    /// It is no object, and the condition's operator takes one.
    NoObject,
    /// It is no truth value, and the condition's operator takes one.
    NoBoolean,
}

fn prefix(argument: Option<&str>) -> String {
    argument.map_or_else(String::new, |argument| format!("{argument}: "))
}

/// The stable code of an [`Error`], the same on every face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// No token, or one that is not accepted.
    Unauthenticated,
    /// The caller's role or permissions do not allow the operation.
    PermissionDenied,
    /// The thing does not exist, or not for this caller.
    NotFound,
    /// The request itself is at fault.
    InvalidArgument,
    /// A unique value is taken.
    AlreadyExists,
    /// The thing changed since the caller read it.
    Aborted,
    /// The thing is in a state that forbids the operation.
    FailedPrecondition,
    /// A limit was reached.
    ResourceExhausted,
    /// The HSM or the database cannot be reached in time; trying again helps.
    Unavailable,
    /// A defect or damaged data; the trace id leads to the cause.
    Internal,
}

impl Code {
    /// The code as callers see it in `extensions.code`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::NotFound => "NOT_FOUND",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::Aborted => "ABORTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }
}

impl Error {
    fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        let (flaw, argument) = (Flaw::Invalid, None);
        Self { code, flaw, argument, message: message.into(), after: None, source: None }
    }

    fn at(code: Code, flaw: Flaw, argument: &str, rule: &str) -> Self {
        let argument = Some(argument.into());
        Self { code, flaw, argument, message: rule.to_owned().into(), after: None, source: None }
    }

    /// Whom the caller claims to be was not proved. The reason goes to the log only.
    pub fn unauthenticated(reason: impl Into<Cause>) -> Self {
        Self::new(Code::Unauthenticated, "A valid bearer token is required.").because(reason)
    }

    /// The caller's role or permissions do not allow this.
    pub fn permission_denied() -> Self {
        Self::new(Code::PermissionDenied, "Permission denied.")
    }

    /// The user secret does not exist, or not for this caller.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "The user secret does not exist.")
    }

    /// What the text calls by its kind does not exist, or not for this caller.
    pub fn absent(kind: &'static str) -> Self {
        Self::new(Code::NotFound, format!("The {kind} does not exist."))
    }

    /// `argument` breaks `rule`, which reads on from the name: "must be …".
    pub fn invalid(argument: &str, rule: impl AsRef<str>) -> Self {
        Self::at(Code::InvalidArgument, Flaw::Invalid, argument, rule.as_ref())
    }

    /// `argument` breaks `rule` in a way that some faces have a name for.
    pub fn flawed(flaw: Flaw, argument: &str, rule: &str) -> Self {
        Self::at(Code::InvalidArgument, flaw, argument, rule)
    }

    /// `argument` is required and not there; `why`, if that is not plain.
    pub fn missing(argument: &str, why: &str) -> Self {
        let rule = if why.is_empty() { "is required" } else { &format!("is required: {why}") };
        Self::at(Code::InvalidArgument, Flaw::Missing, argument, rule)
    }

    /// `argument` is not of the type `expected`.
    pub fn mistyped(argument: &str, expected: &str) -> Self {
        Self::at(Code::InvalidArgument, Flaw::Type, argument, expected)
    }

    /// The request as a whole breaks `rule`.
    pub fn malformed(rule: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidArgument, rule)
    }

    /// `argument` is taken.
    pub fn already_exists(argument: &str, rule: &str) -> Self {
        Self::at(Code::AlreadyExists, Flaw::Invalid, argument, rule)
    }

    /// What `argument` expected is no longer so.
    pub fn aborted(argument: &str) -> Self {
        let rule = "the user secret has changed since; read it again";
        Self::at(Code::Aborted, Flaw::Invalid, argument, rule)
    }

    /// The state of things forbids the operation.
    pub fn failed_precondition(rule: &'static str) -> Self {
        Self::new(Code::FailedPrecondition, rule)
    }

    /// `limit`, named as in the configuration, is reached.
    pub fn exhausted(limit: &str, rule: &str) -> Self {
        Self::at(Code::ResourceExhausted, Flaw::Invalid, limit, rule)
    }

    /// Something this service needs is away.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::new(Code::Unavailable, "The service is not available at the moment; try again.")
            .because(cause)
    }

    /// A defect, or data that is damaged.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::new(Code::Internal, "Internal error.").because(cause)
    }

    /// Trying again may help after `pause`.
    pub fn after(mut self, pause: Duration) -> Self {
        self.after = Some(pause);
        self
    }

    fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// When trying again may help, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.after
    }

    /// The argument at fault, if it is one, and what is wrong with it: its flaw, and the rule or the type.
    pub fn argument(&self) -> Option<(Flaw, &str, &str)> {
        self.argument.as_deref().map(|argument| (self.flaw, argument, &*self.message))
    }

    /// The causes, outermost first, for the log.
    pub fn causes(&self) -> String {
        let mut text = String::new();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

/// `schemaId` as `schema_id`: the service names arguments as the schema does.
pub fn wire_name(argument: &str) -> String {
    let mut name = String::with_capacity(argument.len() + 2);
    for letter in argument.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
