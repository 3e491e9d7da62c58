//! A domain, as its administrators and systems see it.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Fault, InContext as _,
    connection::{ListArguments, PageInfo, QueryInput, UserSecretConnection},
    issuer::Issuer,
    keys::{DomainState, KekVersion, Rewrap, ShredStatement},
    statistics::{StatisticsQueryInput, UserSecretStat},
    user_secret::UserSecret,
};
use crate::{
    error::Error,
    ids::{DomainId, UserSecretId},
    query::{DEFAULT_PAGE, Field, MAX_PAGE},
    service::{AuditEvent as Event, AuditFilter, AuditPage, AuditQuery, KekPage, Target},
};

/// A domain, which is a tenant.
pub(super) struct Domain(pub(super) DomainId);

/// A domain, which is a tenant.
#[Object]
impl Domain {
    /// Its id.
    async fn domain_id(&self) -> ID {
        ID(self.0.to_string())
    }

    /// The secrets of everybody in the domain, or of one user: metadata only.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the contract")]
    async fn user_secrets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Order, numbered page and keyword.")] query: Option<QueryInput>,
        #[graphql(desc = "Only secrets of this user.")] user_id: Option<ID>,
        #[graphql(desc = "The first rows, at most 100; 20 when nothing is said.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last rows, at most 100.")] last: Option<i32>,
        #[graphql(desc = "Rows before this cursor.")] before: Option<String>,
    ) -> Result<UserSecretConnection, Fault> {
        let equal = user_id.map(|id| (Field::UserId, id.0)).into_iter().collect();
        let with_total = ctx.look_ahead().field("totalCount").exists();
        let arguments = ListArguments { equal, first, after, last, before, with_total };
        let query = || query.unwrap_or_default().into_query(arguments);
        Ok(ctx.service()?.list(ctx.caller()?, self.target(), query).await?.into())
    }

    /// The secret of anybody in the domain; null with the error NOT_FOUND when there is none.
    async fn user_secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] user_secret_id: ID,
    ) -> Result<Option<UserSecret>, Fault> {
        let secret = ctx.service()?.get(ctx.caller()?, self.target(), Ok(&user_secret_id)).await?;
        Ok(Some(UserSecret(secret)))
    }

    /// What can be said of the secrets of everybody in the domain as a whole.
    async fn user_secret_stat(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is asked.")] query: StatisticsQueryInput,
    ) -> Result<UserSecretStat, Fault> {
        let statistics = || query.into_statistics();
        Ok(ctx.service()?.stat(ctx.caller()?, self.target(), statistics).await?.into())
    }

    /// Whether the domain does anything.
    async fn state(&self, ctx: &Context<'_>) -> Result<DomainState, Fault> {
        let shredding = ctx.keys()?.shredding(ctx.caller()?, self.0.clone()).await?;
        Ok(if shredding.is_some() { DomainState::Shredded } else { DomainState::Active })
    }

    /// Versions of the domain's key, the newest first.
    async fn keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, at most 100; 20 when nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Versions older than this one.")] before: Option<i32>,
    ) -> Result<Vec<KekVersion>, Fault> {
        let page =
            || Ok(KekPage { first: page_size(first)?, before: before.map(crate::ids::KekVersion) });
        let keks = ctx.keys()?.keks(ctx.caller()?, self.0.clone(), page).await?;
        Ok(keks.into_iter().map(Into::into).collect())
    }

    /// How far the moving of what older keys sealed is; null when it was never asked for.
    async fn rewrap(&self, ctx: &Context<'_>) -> Result<Option<Rewrap>, Fault> {
        let rewrap = ctx.keys()?.rewrap(ctx.caller()?, self.0.clone()).await?;
        Ok(rewrap.map(Into::into))
    }

    /// What was said when the domain was shredded.
    async fn shred_statement(&self, ctx: &Context<'_>) -> Result<Option<ShredStatement>, Fault> {
        let shredding = ctx.keys()?.shredding(ctx.caller()?, self.0.clone()).await?;
        Ok(shredding.map(Into::into))
    }

    /// The domain's audit trail, newest first.
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which events.")] filter: Option<AuditEventFilterInput>,
        #[graphql(desc = "How many, at most 100; 20 when nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Events older than the one with this cursor.")] after: Option<String>,
    ) -> Result<AuditEventConnection, Fault> {
        let is_continued = after.is_some();
        let query = || audit_query(filter.unwrap_or_default(), first, after);
        let page = ctx.service()?.audit_events(ctx.caller()?, self.0.clone(), query).await?;
        Ok(AuditEventConnection::of(page, is_continued))
    }

    /// The issuers that the domain registered for its users, by name.
    async fn issuers(&self, ctx: &Context<'_>) -> Result<Vec<Issuer>, Fault> {
        let registered = ctx.issuers()?.list(ctx.caller()?, self.0.clone()).await?;
        Ok(registered.into_iter().map(Into::into).collect())
    }
}

impl Domain {
    fn target(&self) -> Target {
        Target::Domain { domain: Some(self.0.clone()), owner: None }
    }
}

/// Which events are shown; what is left out does not matter.
#[derive(InputObject, Default)]
struct AuditEventFilterInput {
    /// From this moment on, to the millisecond.
    since: Option<OffsetDateTime>,
    /// Before this moment, to the millisecond.
    until: Option<OffsetDateTime>,
    /// Of this user.
    user_id: Option<ID>,
    /// Of this operation, such as `UserSecret.get_data`.
    operation: Option<String>,
    /// On this secret, issuer or token.
    target: Option<String>,
    /// On this secret.
    user_secret_id: Option<ID>,
    /// With this outcome, such as `granted` or `PERMISSION_DENIED`.
    outcome: Option<String>,
}

/// How many rows `first` asks for.
fn page_size(first: Option<i32>) -> Result<u64, Error> {
    match first.map(u64::try_from) {
        None => Ok(DEFAULT_PAGE),
        Some(Ok(limit)) if limit <= MAX_PAGE => Ok(limit),
        Some(_) => Err(Error::invalid("first", "must be 0 to 100")),
    }
}

/// What the arguments of the trail ask for.
fn audit_query(
    filter: AuditEventFilterInput,
    first: Option<i32>,
    after: Option<String>,
) -> Result<AuditQuery, Error> {
    let limit = page_size(first)?;
    let after = after.map(|text| Uuid::parse_str(&text)).transpose();
    let after = after.map_err(|_| Error::invalid("after", "must be a cursor of this list"))?;
    let filter = AuditFilter {
        since: filter.since.map(Into::into),
        until: filter.until.map(Into::into),
        user_id: filter.user_id.map(|id| id.0),
        operation: filter.operation,
        target: filter.user_secret_id.map(|id| id.0).or(filter.target),
        outcome: filter.outcome,
    };
    Ok(AuditQuery { filter: filter.check()?, limit, after })
}

/// A page of the audit trail.
#[derive(SimpleObject)]
struct AuditEventConnection {
    /// The events with their cursors.
    edges: Vec<AuditEventEdge>,
    /// The events alone.
    nodes: Vec<AuditEvent>,
    /// Where the page lies.
    page_info: PageInfo,
}

/// An event and its place.
#[derive(SimpleObject)]
struct AuditEventEdge {
    /// The event.
    node: AuditEvent,
    /// Its place, for `after`.
    cursor: String,
}

/// Something that happened. Never data, and never what somebody searched for.
#[derive(SimpleObject, Clone)]
struct AuditEvent {
    /// Rises with time.
    event_id: ID,
    /// When it happened.
    at: OffsetDateTime,
    /// Who called; null for SYSTEM.
    user_id: Option<ID>,
    /// In which role; `OPERATOR` for a command of the installation, `NONE` where nobody was known.
    role: String,
    /// With which token, by its `jti`.
    token_id: Option<String>,
    /// From which address.
    address: Option<String>,
    /// In which trace, which the answer's `x-trace-id` named.
    trace_id: Option<String>,
    /// What was asked, such as `UserSecret.create`.
    operation: String,
    /// Of what: a secret by its id, an issuer by its `iss`, a token by its `jti`.
    target: Option<String>,
    /// Of which secret, if of one.
    user_secret_id: Option<ID>,
    /// `ok` or `granted`, `not_found`, or the code of the error.
    outcome: String,
    /// How many refusals of this kind the event stands for.
    count: i32,
}

impl AuditEventConnection {
    fn of(page: AuditPage, has_previous_page: bool) -> Self {
        let edges: Vec<AuditEventEdge> = page
            .events
            .into_iter()
            .map(|event| AuditEventEdge { cursor: event.id.to_string(), node: event.into() })
            .collect();
        let page_info = PageInfo {
            has_previous_page,
            has_next_page: page.has_next,
            start_cursor: edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: edges.last().map(|edge| edge.cursor.clone()),
        };
        Self { nodes: edges.iter().map(|edge| edge.node.clone()).collect(), edges, page_info }
    }
}

impl From<Event> for AuditEvent {
    fn from(event: Event) -> Self {
        Self {
            event_id: ID(event.id.to_string()),
            at: event.at.into(),
            user_id: event.user_id.map(ID),
            role: event.role,
            token_id: event.token_id,
            address: event.address,
            trace_id: event.trace_id,
            operation: event.operation,
            user_secret_id: event
                .target
                .clone()
                .filter(|id| UserSecretId::parse(id).is_some())
                .map(ID),
            target: event.target,
            outcome: event.outcome,
            count: i32::try_from(event.count).unwrap_or(i32::MAX),
        }
    }
}
