//! An event, and what its digest covers.

use std::{fmt, net::IpAddr, sync::Arc};

use ::entity::audit_event;
use aws_lc_rs::digest::{Context, SHA256};

use super::Entry;
use crate::ids::{DomainId, UserId, UserSecretId};

/// The domain of an event that belongs to none; no token can name it.
const NO_DOMAIN: &str = "-";

/// Where a request came from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The client's address, as the socket knows it.
    pub address: Option<IpAddr>,
    /// The trace that the request belongs to: 32 hexadecimal digits.
    pub trace_id: Option<Arc<str>>,
    /// The listener that took it.
    pub listener: Listener,
}

/// A listener, as the policy knows it: whoever is told nothing is on the one that reveals nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Listener {
    /// The main one, when there is an internal one beside it.
    #[default]
    Public,
    /// The internal one.
    Internal,
    /// The main one, when there is no other.
    Sole,
}

/// What became of an operation.
pub type Outcome = &'static str;

/// What an operation was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user secret.
    Secret(UserSecretId),
    /// Something with a name: an issuer, or a token by its `jti`.
    Named(Arc<str>),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(id) => id.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// Something that happened. It carries names of things and never data.
#[derive(Debug, Clone)]
pub struct Event {
    /// The tenant, if there is one.
    pub domain: Option<DomainId>,
    /// Who called.
    pub user: Option<UserId>,
    /// In which role.
    pub role: &'static str,
    /// With which token (`jti`).
    pub token_id: Option<Arc<str>>,
    /// From where.
    pub origin: Origin,
    /// What was asked.
    pub operation: &'static str,
    /// Of what.
    pub target: Option<Subject>,
}

impl Event {
    /// What the operator does in no domain, to what is called `name`, in the run of a command.
    pub fn of_operator(run: &Arc<str>, operation: &'static str, name: &str) -> Self {
        Self {
            domain: None,
            user: None,
            role: "OPERATOR",
            token_id: None,
            origin: Origin { trace_id: Some(Arc::clone(run)), ..Origin::default() },
            operation,
            target: Some(Subject::Named(Arc::from(name))),
        }
    }

    /// The same, done to secret `id`.
    #[must_use]
    pub fn on(&self, id: &UserSecretId) -> Self {
        Self { target: Some(Subject::Secret(id.clone())), ..self.clone() }
    }

    /// The same, done to what is called `name`.
    #[must_use]
    pub fn about(&self, name: &str) -> Self {
        Self { target: Some(Subject::Named(Arc::from(name))), ..self.clone() }
    }

    /// Another operation of the same caller, on no secret.
    #[must_use]
    pub fn doing(&self, operation: &'static str) -> Self {
        Self { operation, target: None, ..self.clone() }
    }
}

/// An event with its id, its time and its digest: the row that is written.
#[derive(Debug, Clone)]
pub struct Stamped(pub(super) audit_event::Model);

impl Stamped {
    pub(super) fn new(event: &Event, stamp: Stamp<'_>, outcome: Outcome, count: i64) -> Self {
        let mut row = audit_event::Model {
            domain_id: event
                .domain
                .as_ref()
                .map_or_else(|| NO_DOMAIN.to_owned(), ToString::to_string),
            event_id: stamp.id.to_vec(),
            at: stamp.at,
            writer: stamp.writer.to_owned(),
            user_id: event.user.as_ref().map(ToString::to_string),
            role: event.role.to_owned(),
            token_id: event.token_id.as_deref().map(str::to_owned),
            address: event.origin.address.map(|address| address.to_string()),
            trace_id: event.origin.trace_id.as_deref().map(str::to_owned),
            operation: event.operation.to_owned(),
            target: event.target.as_ref().map(ToString::to_string),
            outcome: outcome.to_owned(),
            count,
            digest: Vec::new(),
        };
        row.digest = digest(&row).to_vec();
        Self(row)
    }

    /// The same event with another outcome.
    #[must_use]
    pub fn with_outcome(&self, outcome: Outcome) -> Self {
        let mut row = self.0.clone();
        outcome.clone_into(&mut row.outcome);
        row.digest = digest(&row).to_vec();
        Self(row)
    }

    /// The row.
    pub const fn row(&self) -> &audit_event::Model {
        &self.0
    }

    /// What a block holds of it.
    pub fn entry(&self) -> Option<Entry> {
        Entry::new(&self.0.event_id, &self.0.domain_id, &self.0.digest)
    }
}

/// What an event is stamped with.
pub(super) struct Stamp<'a> {
    pub(super) id: [u8; 16],
    pub(super) at: i64,
    pub(super) writer: &'a str,
}

/// SHA-256 over every column but itself, each behind its length; absent is not empty.
pub(super) fn digest(row: &audit_event::Model) -> [u8; 32] {
    let audit_event::Model {
        domain_id,
        event_id,
        at,
        writer,
        user_id,
        role,
        token_id,
        address,
        trace_id,
        operation,
        target,
        outcome,
        count,
        digest: _,
    } = row;
    let mut hash = Context::new(&SHA256);
    hash.update(b"usersecret audit event, v. 1");
    let mut column = |bytes: Option<&[u8]>| {
        let length = bytes.map_or(u64::MAX, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        hash.update(&length.to_be_bytes());
        hash.update(bytes.unwrap_or_default());
    };
    column(Some(domain_id.as_bytes()));
    column(Some(event_id));
    column(Some(&at.to_be_bytes()));
    column(Some(writer.as_bytes()));
    column(user_id.as_deref().map(str::as_bytes));
    column(Some(role.as_bytes()));
    column(token_id.as_deref().map(str::as_bytes));
    column(address.as_deref().map(str::as_bytes));
    column(trace_id.as_deref().map(str::as_bytes));
    column(Some(operation.as_bytes()));
    column(target.as_deref().map(str::as_bytes));
    column(Some(outcome.as_bytes()));
    column(Some(&count.to_be_bytes()));
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    bytes
}
