//! An authenticated caller.

use std::sync::Arc;

use super::{Grant, Intent, Parameters, Verb};
use crate::{
    audit::{Event, Listener, Origin},
    ids::{DomainId, UserId},
};

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// A user, with secrets of their own.
    User,
    /// A user who administers their domain as well.
    DomainAdmin,
    /// A system of the installation, which has no user.
    System,
    /// Who runs the installation's commands. No token and no configuration can name it.
    #[serde(skip)]
    Operator,
}

impl Role {
    /// The role's name in tokens and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::DomainAdmin => "DOMAIN_ADMIN",
            Self::System => "SYSTEM",
            Self::Operator => "OPERATOR",
        }
    }
}

/// The domains that an issuer may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Every domain.
    All,
    /// These.
    Only(Vec<DomainId>),
}

impl Reach {
    /// Whether `domain` is among them.
    pub fn contains(&self, domain: &DomainId) -> bool {
        match self {
            Self::All => true,
            Self::Only(domains) => domains.contains(domain),
        }
    }
}

/// Whom a token names, once it is believed.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) domain: DomainId,
    pub(super) user: Option<UserId>,
    pub(super) role: Role,
    pub(super) grants: Vec<Grant>,
    pub(super) parameters: Parameters,
    pub(super) reach: Arc<Reach>,
    pub(super) token_id: Option<Arc<str>>,
    /// Whether operations that name no domain are about the token's own.
    pub(super) at_home: bool,
}

/// Who is calling, and from where. Made by [`Authenticator`](super::Authenticator), and for commands by
/// [`Caller::operator`].
#[derive(Debug, Clone)]
pub struct Caller {
    pub(super) identity: Arc<Identity>,
    pub(super) origin: Origin,
}

impl Caller {
    /// Whoever runs a command of the installation, at work in `domain`; `run` is the trace of all that it does.
    pub fn operator(domain: DomainId, run: Arc<str>) -> Self {
        let identity = Identity {
            domain,
            user: None,
            role: Role::Operator,
            grants: Grant::ALL.to_vec(),
            parameters: Parameters::default(),
            reach: Arc::new(Reach::Only(Vec::new())),
            token_id: None,
            at_home: true,
        };
        let origin = Origin { trace_id: Some(run), ..Origin::default() };
        Self { identity: Arc::new(identity), origin }
    }

    /// The domain in the token.
    pub fn domain(&self) -> &DomainId {
        &self.identity.domain
    }

    /// The user in the token; none for SYSTEM and the operator.
    pub fn user(&self) -> Option<&UserId> {
        self.identity.user.as_ref()
    }

    /// The role in the token.
    pub fn role(&self) -> Role {
        self.identity.role
    }

    /// What the token's `scope` lets through.
    pub fn grants(&self) -> &[Grant] {
        &self.identity.grants
    }

    /// What the token says in the place of its requests.
    pub fn parameters(&self) -> &Parameters {
        &self.identity.parameters
    }

    /// The listener that took the request.
    pub(super) const fn listener(&self) -> Listener {
        self.origin.listener
    }

    pub(super) fn may(&self, verb: Verb) -> bool {
        self.identity.grants.contains(&verb.grant())
    }

    pub(super) fn reaches(&self, domain: &DomainId) -> bool {
        self.identity.reach.contains(domain)
    }

    /// What the caller does in `domain`, as the audit trail tells it.
    pub(super) fn event(&self, intent: &Intent, domain: Option<DomainId>) -> Event {
        Event {
            domain,
            user: self.identity.user.clone(),
            role: self.identity.role.as_str(),
            token_id: self.identity.token_id.clone(),
            origin: self.origin.clone(),
            operation: intent.verb.as_str(),
            target: intent.subject.clone(),
        }
    }
}
