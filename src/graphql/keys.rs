//! The keys of a domain: what there is, and what can be done with them.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use time::OffsetDateTime;

use super::{Fault, InContext as _, domain::Domain, query::domain_of};
use crate::{
    error::Error,
    ids::DomainId,
    service::{KekInfo, Rewrap as Moving, Shredding},
};

/// Whether a domain does anything.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(super) enum DomainState {
    /// It does.
    Active,
    /// Its keys were destroyed: nothing but its audit trail and its keys' history is left to read.
    Shredded,
}

/// What a version of a key does.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum KekState {
    /// New data is sealed under it.
    Active,
    /// It opens what was sealed under it.
    Retired,
    /// It is gone.
    Destroyed,
}

/// A version of a domain's key.
#[derive(SimpleObject)]
pub(super) struct KekVersion {
    /// Counted from 1.
    version: i32,
    /// What it does.
    state: KekState,
    /// The version of the HSM's root key that wraps it, or did.
    root_version: i32,
    /// When it was made.
    created_at: OffsetDateTime,
    /// When the next one took its place.
    retired_at: Option<OffsetDateTime>,
    /// When it was destroyed.
    destroyed_at: Option<OffsetDateTime>,
    /// How many wraps replicas have taken from its budget; they take 65,536 at a time.
    wraps: i32,
}

/// The moving of what older keys sealed to the active one.
#[derive(SimpleObject)]
pub(super) struct Rewrap {
    /// The version that it moves to.
    to_version: i32,
    /// How many versions of secrets there were to move; null before they were counted.
    total: Option<i32>,
    /// How many were moved.
    done: i32,
    /// How many do not open, and were left as they are.
    failed: i32,
    /// When it was asked for.
    started_at: OffsetDateTime,
    /// When it was done; null while it is under way.
    finished_at: Option<OffsetDateTime>,
}

/// That the keys of a domain were destroyed.
#[derive(SimpleObject)]
pub(super) struct ShredStatement {
    /// When.
    shredded_at: OffsetDateTime,
    /// What is said of it: JSON, byte by byte what is signed.
    statement: String,
    /// ECDSA-SHA256 by the HSM's signing key, in DER, as base64.
    signature: String,
}

/// A domain whose key is to be replaced.
#[derive(InputObject)]
struct RotateDomainKeyInput {
    /// The domain, for SYSTEM.
    domain_id: Option<ID>,
}

/// A domain in which everything is to be moved to the active key.
#[derive(InputObject)]
struct RewrapDomainInput {
    /// The domain, for SYSTEM.
    domain_id: Option<ID>,
}

/// A domain whose keys are to be destroyed.
#[derive(InputObject)]
struct ShredDomainInput {
    /// The domain.
    domain_id: ID,
    /// The domain again: what is shredded cannot be brought back.
    confirm: ID,
}

/// What came of a rotation.
#[derive(SimpleObject)]
struct RotateDomainKeyPayload {
    /// The domain, with its new key.
    domain: Domain,
}

/// What came of asking for a rewrap.
#[derive(SimpleObject)]
struct RewrapDomainPayload {
    /// The domain; its `rewrap` tells how far it is.
    domain: Domain,
}

/// What came of a shredding.
#[derive(SimpleObject)]
struct ShredDomainPayload {
    /// The domain.
    domain: Domain,
    /// What can be shown to those who were promised it.
    statement: ShredStatement,
}

/// The mutations on keys.
#[derive(Default)]
pub struct KeyMutation;

/// What can be done with keys.
#[Object]
impl KeyMutation {
    /// Makes the domain another key at once; older ones only open what they sealed, which is moved in the background.
    async fn rotate_domain_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which domain's.")] input: RotateDomainKeyInput,
    ) -> Result<RotateDomainKeyPayload, Fault> {
        let named = domain_of(ctx, input.domain_id)?;
        let domain = Domain(ctx.keys()?.rotate(ctx.caller()?, named).await?);
        Ok(RotateDomainKeyPayload { domain })
    }

    /// Has everything that older keys sealed moved to the active one, in the background, and those destroyed that seal
    /// nothing any more. Asked for again it goes on with what is left.
    async fn rewrap_domain(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: RewrapDomainInput,
    ) -> Result<RewrapDomainPayload, Fault> {
        let named = domain_of(ctx, input.domain_id)?;
        let domain = Domain(ctx.keys()?.ask_rewrap(ctx.caller()?, named).await?);
        Ok(RewrapDomainPayload { domain })
    }

    /// Destroys every key of a domain, at once and in every replica: for systems. Nothing of it can be opened any more.
    async fn shred_domain(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: ShredDomainInput,
    ) -> Result<ShredDomainPayload, Fault> {
        let ShredDomainInput { domain_id, confirm } = input;
        let same = domain_id == confirm;
        let named = domain_of(ctx, Some(domain_id.clone()))?;
        let shredding = ctx.keys()?.shred(ctx.caller()?, named, || {
            if same { Ok(()) } else { Err(Error::invalid("confirm", "must repeat domainId")) }
        });
        let statement = shredding.await?.into();
        let domain = DomainId::parse(&domain_id).ok_or_else(Error::permission_denied)?;
        Ok(ShredDomainPayload { domain: Domain(domain), statement })
    }
}

impl From<KekInfo> for KekVersion {
    fn from(kek: KekInfo) -> Self {
        let state = match (kek.destroyed_at, kek.retired_at) {
            (Some(_), _) => KekState::Destroyed,
            (None, Some(_)) => KekState::Retired,
            (None, None) => KekState::Active,
        };
        Self {
            version: kek.version.0,
            state,
            root_version: kek.root.0,
            created_at: kek.created_at.into(),
            retired_at: kek.retired_at.map(Into::into),
            destroyed_at: kek.destroyed_at.map(Into::into),
            wraps: bounded(kek.wraps),
        }
    }
}

impl From<Moving> for Rewrap {
    fn from(moving: Moving) -> Self {
        Self {
            to_version: moving.to.0,
            total: moving.total.map(bounded),
            done: bounded(moving.done),
            failed: bounded(moving.failed),
            started_at: moving.started_at.into(),
            finished_at: moving.finished_at.map(Into::into),
        }
    }
}

impl From<Shredding> for ShredStatement {
    fn from(shredding: Shredding) -> Self {
        Self {
            shredded_at: shredding.at.into(),
            statement: shredding.statement,
            signature: STANDARD.encode(shredding.signature),
        }
    }
}

/// GraphQL's integers have 32 bits.
fn bounded(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
