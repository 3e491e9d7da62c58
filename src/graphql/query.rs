//! The queries.

use async_graphql::{Context, ID, Object, SimpleObject};

use super::{
    Fault, InContext as _,
    connection::{ListArguments, QueryInput, UserSecretConnection},
    domain::Domain,
    http::NamedDomain,
    revealing::Revealing,
    statistics::{StatisticsQueryInput, UserSecretStat},
    user_secret::{Node, UserSecret, UserSecretData},
};
use crate::{
    error::Error,
    ids::{DataVersion, DomainId},
    query::Field,
    service::{Role, Target},
};

/// The queries.
pub struct Query;

/// Who is calling.
#[derive(SimpleObject)]
struct Viewer {
    /// The domain of the token.
    domain_id: ID,
    /// The user of the token; null for SYSTEM.
    user_id: Option<ID>,
    /// `USER`, `DOMAIN_ADMIN` or `SYSTEM`.
    role: &'static str,
    /// What the token's scope lets through.
    permissions: Vec<&'static str>,
}

/// What can be asked.
#[Object]
impl Query {
    /// Who the token says is calling.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer, Fault> {
        let caller = ctx.caller()?;
        Ok(Viewer {
            domain_id: ID(caller.domain().to_string()),
            user_id: caller.user().map(|user| ID(user.to_string())),
            role: caller.role().as_str(),
            permissions: caller.grants().iter().map(|grant| grant.as_str()).collect(),
        })
    }

    /// One of the caller's own secrets; null with the error NOT_FOUND when there is none.
    async fn user_secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] user_secret_id: ID,
    ) -> Result<Option<UserSecret>, Fault> {
        let secret = ctx.service()?.get(ctx.caller()?, Target::Own, Ok(&user_secret_id)).await?;
        Ok(Some(UserSecret(secret)))
    }

    /// The caller's own secrets.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the contract")]
    async fn user_secrets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Order, numbered page and keyword.")] query: Option<QueryInput>,
        #[graphql(desc = "Only the secret with this id.")] user_secret_id: Option<ID>,
        #[graphql(desc = "Only secrets of this name.")] name: Option<String>,
        #[graphql(desc = "Only secrets of this schema.")] schema_id: Option<String>,
        #[graphql(desc = "Only secrets of this provider.")] provider: Option<String>,
        #[graphql(desc = "The first rows, at most 100; 20 when nothing is said.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last rows, at most 100.")] last: Option<i32>,
        #[graphql(desc = "Rows before this cursor.")] before: Option<String>,
    ) -> Result<UserSecretConnection, Fault> {
        let equal = [
            (Field::UserSecretId, user_secret_id.map(|id| id.0)),
            (Field::Name, name),
            (Field::SchemaId, schema_id),
            (Field::Provider, provider),
        ];
        let arguments = ListArguments {
            equal: equal.into_iter().filter_map(|(key, text)| Some((key, text?))).collect(),
            first,
            after,
            last,
            before,
            with_total: ctx.look_ahead().field("totalCount").exists(),
        };
        let query = || query.unwrap_or_default().into_query(arguments);
        Ok(ctx.service()?.list(ctx.caller()?, Target::Own, query).await?.into())
    }

    /// What can be said of the caller's own secrets as a whole.
    async fn user_secret_stat(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is asked.")] query: StatisticsQueryInput,
    ) -> Result<UserSecretStat, Fault> {
        let statistics = || query.into_statistics();
        Ok(ctx.service()?.stat(ctx.caller()?, Target::Own, statistics).await?.into())
    }

    /// The data of a secret, in clear. SYSTEM only.
    async fn user_secret_data(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The secret.")] user_secret_id: ID,
        #[graphql(desc = "Its domain, which the token's issuer must reach.")] domain_id: ID,
        #[graphql(desc = "A version of the data; the current one when nothing is said.")]
        version: Option<i32>,
    ) -> Result<UserSecretData, Fault> {
        let domain = parse_domain(&domain_id)?;
        let version = version.map(DataVersion);
        let revealed = ctx
            .service()?
            .reveal(ctx.caller()?, Some(domain), Ok(&user_secret_id), version)
            .await?;
        let revealing = ctx.data_opt::<Revealing>().ok_or_else(|| Fault::missing("answer"))?;
        revealing.until(revealed.until);
        Ok(revealed.into())
    }

    /// A domain: the caller's own for an administrator, any within reach for SYSTEM.
    async fn domain(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Its id; without, the token's own domain, or for SYSTEM that of the header X-Domain-Id."
        )]
        domain_id: Option<ID>,
    ) -> Result<Domain, Fault> {
        let named = domain_of(ctx, domain_id)?;
        Ok(Domain(ctx.service()?.domain(ctx.caller()?, named).await?))
    }

    /// The caller's own secret by its global id, as Relay asks for it.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: ID,
    ) -> Result<Option<Node>, Fault> {
        let secret = ctx.service()?.get(ctx.caller()?, Target::Own, Ok(&id)).await?;
        Ok(Some(Node::UserSecret(UserSecret(secret))))
    }
}

/// The domain that the operation names, or for SYSTEM the request's header.
pub(super) fn domain_of(ctx: &Context<'_>, named: Option<ID>) -> Result<Option<DomainId>, Fault> {
    let header = ctx.data_opt::<NamedDomain>().and_then(|NamedDomain(domain)| domain.clone());
    let id = match (named, ctx.caller()?.role()) {
        (Some(id), _) => Some(id.0),
        (None, Role::System) => header,
        (None, _) => None,
    };
    Ok(id.map(|id| parse_domain(&id)).transpose()?)
}

/// What cannot be the id of a domain is outside every caller's reach.
fn parse_domain(id: &str) -> Result<DomainId, Error> {
    DomainId::parse(id).ok_or_else(Error::permission_denied)
}
