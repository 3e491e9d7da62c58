//! The issuers that a domain registers, and the tokens that it revokes.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use serde_json::Value;
use time::OffsetDateTime;

use super::{Fault, InContext as _, query::domain_of};
use crate::{
    error::Error,
    service::{ClaimSet, Mapping, Named, RegisteredIssuer, Registration, Role},
};

/// A role that a registered issuer may give.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum IssuerRole {
    /// A user, with secrets of their own.
    User,
    /// A user who administers the domain as well.
    DomainAdmin,
}

/// Sets of claims that have a name.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum IssuerClaims {
    /// `domain_id`, `user_id` or `sub`, `role`, `scope`, `jti`.
    Standard,
    /// Those of Cloudforet's identity service.
    Cloudforet,
}

/// Where another provider puts things in its tokens, as JSON pointers.
#[derive(InputObject, SimpleObject)]
#[graphql(input_name = "ClaimMappingInput")]
struct ClaimMapping {
    /// The domain. A token in which there is nothing is of the domain that registers the issuer.
    domain: String,
    /// The user; `/sub` when nothing is said.
    user: Option<String>,
    /// The role; everybody is a USER when nothing is said.
    role: Option<String>,
}

/// An issuer that a domain registered for its users.
#[derive(SimpleObject)]
pub(super) struct Issuer {
    /// The `iss` claim of its tokens.
    iss: String,
    /// Its public keys, a JSON Web Key Set.
    jwks: Option<Value>,
    /// Where it publishes them.
    jwks_url: Option<String>,
    /// The signature algorithms that are accepted.
    algorithms: Vec<String>,
    /// The `aud` claims that are accepted.
    audiences: Vec<String>,
    /// The roles that it may give.
    roles: Vec<IssuerRole>,
    /// How its claims are read; null when they are mapped.
    claims: Option<IssuerClaims>,
    /// Where it puts things, when it has claims of its own.
    claim_mapping: Option<ClaimMapping>,
    /// The longest that a token may be good for, from `iat` to `exp`.
    max_life_seconds: Option<i32>,
    /// When it was first registered.
    created_at: OffsetDateTime,
}

/// An issuer to be registered, with keys in `jwks` or at `jwksUrl`.
#[derive(InputObject)]
struct RegisterIssuerInput {
    /// The `iss` claim of its tokens, 1 to 255 characters.
    iss: String,
    /// Its public keys, a JSON Web Key Set.
    jwks: Option<Value>,
    /// Where it publishes them: https, on the public internet. They are fetched when its first token comes.
    jwks_url: Option<String>,
    /// The signature algorithms that are accepted: RS, PS, ES or EdDSA.
    algorithms: Vec<String>,
    /// The `aud` claims that are accepted: at least one; none for CLOUDFORET, where `aud` is the user.
    #[graphql(default)]
    audiences: Vec<String>,
    /// The roles that it may give.
    #[graphql(default_with = "vec![IssuerRole::User, IssuerRole::DomainAdmin]")]
    roles: Vec<IssuerRole>,
    /// How its claims are read; STANDARD when nothing is said.
    claims: Option<IssuerClaims>,
    /// Where it puts things, in place of `claims`.
    claim_mapping: Option<ClaimMapping>,
    /// The longest that a token may be good for, from `iat` to `exp`; any length when nothing is said.
    max_life_seconds: Option<i32>,
    /// Its domain, for SYSTEM.
    domain_id: Option<ID>,
}

/// An issuer to be removed.
#[derive(InputObject)]
struct RemoveIssuerInput {
    /// The issuer.
    iss: String,
    /// Its domain, for SYSTEM.
    domain_id: Option<ID>,
}

/// A token to be refused from now on.
#[derive(InputObject)]
struct RevokeTokenInput {
    /// Its `jti` claim.
    token_id: String,
    /// Its `exp` claim, after which the revocation is forgotten; without, it is kept for good.
    expires_at: Option<OffsetDateTime>,
    /// Its domain, for SYSTEM.
    domain_id: Option<ID>,
}

/// What was registered.
#[derive(SimpleObject)]
struct RegisterIssuerPayload {
    /// The issuer.
    issuer: Issuer,
}

/// What was removed.
#[derive(SimpleObject)]
struct RemoveIssuerPayload {
    /// The issuer that speaks for nobody any more.
    iss: String,
}

/// What was revoked.
#[derive(SimpleObject)]
struct RevokeTokenPayload {
    /// The token's id.
    token_id: String,
}

/// The mutations on issuers.
#[derive(Default)]
pub struct IssuerMutation;

/// What can be changed of issuers.
#[Object]
impl IssuerMutation {
    /// Registers an issuer for the users of the domain, or changes it.
    ///
    /// From then on the installation's wildcard issuers speak for none of them. It never speaks for SYSTEM.
    async fn register_issuer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The issuer.")] mut input: RegisterIssuerInput,
    ) -> Result<RegisterIssuerPayload, Fault> {
        let domain = domain_of(ctx, input.domain_id.take())?;
        let registered = ctx.issuers()?.register(ctx.caller()?, domain, input.try_into()?).await?;
        Ok(RegisterIssuerPayload { issuer: registered.into() })
    }

    /// Removes an issuer of the domain; its tokens are refused within a second.
    async fn remove_issuer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: RemoveIssuerInput,
    ) -> Result<RemoveIssuerPayload, Fault> {
        let domain = domain_of(ctx, input.domain_id)?;
        ctx.issuers()?.remove(ctx.caller()?, domain, &input.iss).await?;
        Ok(RemoveIssuerPayload { iss: input.iss })
    }

    /// Refuses a token of the domain within a second, although its issuer vouches for it.
    ///
    /// An administrator's word does not bind SYSTEM.
    async fn revoke_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: RevokeTokenInput,
    ) -> Result<RevokeTokenPayload, Fault> {
        let domain = domain_of(ctx, input.domain_id)?;
        let expires_at = input.expires_at.map(Into::into);
        ctx.issuers()?.revoke(ctx.caller()?, domain, &input.token_id, expires_at).await?;
        Ok(RevokeTokenPayload { token_id: input.token_id })
    }
}

impl TryFrom<RegisterIssuerInput> for Registration {
    type Error = Error;

    fn try_from(input: RegisterIssuerInput) -> Result<Self, Error> {
        let claims = match (input.claims, input.claim_mapping) {
            (None | Some(IssuerClaims::Standard), None) => ClaimSet::Named(Named::Standard),
            (Some(IssuerClaims::Cloudforet), None) => ClaimSet::Named(Named::Cloudforet),
            (None, Some(ClaimMapping { domain, user, role })) => {
                let user = user.unwrap_or_else(|| "/sub".to_owned());
                ClaimSet::Mapped(Mapping { domain, user, role })
            }
            (Some(_), Some(_)) => {
                return Err(Error::invalid("claimMapping", "must not stand beside claims"));
            }
        };
        let max_life_seconds = input
            .max_life_seconds
            .map(u32::try_from)
            .transpose()
            .map_err(|_| Error::invalid("maxLifeSeconds", "must be 1 or more"))?;
        Ok(Self {
            iss: input.iss,
            jwks: input.jwks,
            jwks_url: input.jwks_url,
            algorithms: input.algorithms,
            audiences: input.audiences,
            roles: input.roles.into_iter().map(Into::into).collect(),
            claims,
            max_life_seconds,
        })
    }
}

impl From<IssuerRole> for Role {
    fn from(role: IssuerRole) -> Self {
        match role {
            IssuerRole::User => Self::User,
            IssuerRole::DomainAdmin => Self::DomainAdmin,
        }
    }
}

impl From<RegisteredIssuer> for Issuer {
    fn from(RegisteredIssuer { registration, created_at }: RegisteredIssuer) -> Self {
        let (claims, claim_mapping) = match registration.claims {
            ClaimSet::Named(Named::Standard) => (Some(IssuerClaims::Standard), None),
            ClaimSet::Named(Named::Cloudforet) => (Some(IssuerClaims::Cloudforet), None),
            ClaimSet::Mapped(Mapping { domain, user, role }) => {
                (None, Some(ClaimMapping { domain, user: Some(user), role }))
            }
        };
        let role = |role: &Role| match role {
            Role::User => Some(IssuerRole::User),
            Role::DomainAdmin => Some(IssuerRole::DomainAdmin),
            // None that can be registered may give it.
            Role::System | Role::Operator => None,
        };
        Self {
            iss: registration.iss,
            jwks: registration.jwks,
            jwks_url: registration.jwks_url,
            algorithms: registration.algorithms,
            audiences: registration.audiences,
            roles: registration.roles.iter().filter_map(role).collect(),
            claims,
            claim_mapping,
            max_life_seconds: registration
                .max_life_seconds
                .map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX)),
            created_at: created_at.into(),
        }
    }
}
