//! A page of a domain's audit trail, newest first.

use ::entity::audit_event;
use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use super::{Store, damaged};
use crate::{
    auth::Scope,
    clock::Timestamp,
    database::{Admits, Planning, failed},
    error::{Error, Result},
    ids::DomainId,
};

/// An event as the administrators of its domain see it.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// Rises with time.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// Who called.
    pub user_id: Option<String>,
    /// In which role.
    pub role: String,
    /// With which token.
    pub token_id: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// In which trace.
    pub trace_id: Option<String>,
    /// What was asked.
    pub operation: String,
    /// Of what.
    pub target: Option<String>,
    /// What became of it.
    pub outcome: String,
    /// How many like it.
    pub count: i64,
}

/// Which events are looked for; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// By this user.
    pub user_id: Option<String>,
    /// This operation.
    pub operation: Option<String>,
    /// On this.
    pub target: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
}

impl AuditFilter {
    /// Refuses texts with NUL, which is in no stored text, and which PostgreSQL does not take.
    pub fn check(self) -> Result<Self> {
        let texts = [
            ("userId", &self.user_id),
            ("operation", &self.operation),
            ("target", &self.target),
            ("outcome", &self.outcome),
        ];
        let nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        if let Some((name, _)) = texts.into_iter().find(|(_, text)| nul(text)) {
            return Err(Error::invalid(&format!("filter.{name}"), "must not contain NUL"));
        }
        Ok(self)
    }
}

/// Which part of the trail is shown.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Which events.
    pub filter: AuditFilter,
    /// How many.
    pub limit: u64,
    /// Only events older than this one.
    pub after: Option<Uuid>,
}

/// A page of events.
#[derive(Debug)]
pub struct AuditPage {
    /// The events, newest first.
    pub events: Vec<AuditEvent>,
    /// Whether there are older ones.
    pub has_next: bool,
}

impl Store {
    /// The newest events of the domain that `query` asks for.
    ///
    /// An event's id is its place: a cursor that stays right while events are added.
    pub async fn audit_events(&self, scope: &Scope, query: AuditQuery) -> Result<AuditPage> {
        let domain = scope.domain().clone();
        self.read(scope, Admits::All, Planning::default(), move |snapshot| {
            Box::pin(async move { read_events(snapshot, &domain, query).await })
        })
        .await
    }
}

async fn read_events(
    snapshot: &DatabaseTransaction,
    domain: &DomainId,
    AuditQuery { filter, limit, after }: AuditQuery,
) -> Result<AuditPage> {
    use audit_event::Column::{EventId, Operation, Outcome, Target, UserId};
    let equal = [
        (UserId, filter.user_id),
        (Operation, filter.operation),
        (Target, filter.target),
        (Outcome, filter.outcome),
    ];
    #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
    let mut select =
        audit_event::Entity::find().filter(audit_event::Column::DomainId.eq(domain.as_str()));
    for (column, text) in equal {
        if let Some(text) = text {
            select = select.filter(column.eq(text));
        }
    }
    // Times are looked for in the ids, which are the index's.
    if let Some(since) = filter.since {
        select = select.filter(EventId.gte(first_id(since)));
    }
    if let Some(until) = filter.until {
        select = select.filter(EventId.lt(first_id(until)));
    }
    if let Some(after) = after {
        select = select.filter(EventId.lt(after.into_bytes().to_vec()));
    }
    let rows = select.order_by_desc(EventId).limit(limit.saturating_add(1)).all(snapshot);
    let mut rows = rows.await.map_err(failed)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_next = rows.len() > limit;
    rows.truncate(limit);
    let events = rows.into_iter().map(TryInto::try_into).collect::<Result<_>>()?;
    Ok(AuditPage { events, has_next })
}

/// The least id of an event at `moment`, to the millisecond.
fn first_id(moment: Timestamp) -> Vec<u8> {
    let millis = u64::try_from(moment.as_micros().div_euclid(1_000)).unwrap_or_default();
    let [_, _, time @ ..] = millis.to_be_bytes();
    [&time[..], &[0; 10]].concat()
}

impl TryFrom<audit_event::Model> for AuditEvent {
    type Error = Error;

    fn try_from(row: audit_event::Model) -> Result<Self> {
        Ok(Self {
            id: Uuid::from_slice(&row.event_id).map_err(|_| damaged("event id"))?,
            at: Timestamp::from_micros(row.at),
            user_id: row.user_id,
            role: row.role,
            token_id: row.token_id,
            address: row.address,
            trace_id: row.trace_id,
            operation: row.operation,
            target: row.target,
            outcome: row.outcome,
            count: row.count,
        })
    }
}
