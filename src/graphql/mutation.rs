//! The mutations on user secrets.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use serde_json::Value;
use time::OffsetDateTime;

use super::{Fault, InContext as _, query::domain_of, user_secret::UserSecret};
use crate::service::{CreateInput, DeleteInput, UpdateDataInput, UpdateInput};

/// The mutations on user secrets.
#[derive(Default)]
pub struct UserSecretMutation;

/// A user secret to be created.
#[derive(InputObject)]
struct CreateUserSecretInput {
    /// 1 to 255 characters after trimming; need not be unique.
    name: String,
    /// The credential: a JSON object with at least one key.
    data: Value,
    /// The kind of credential, at most 40 characters.
    schema_id: Option<String>,
    /// A JSON object; no key begins with `$`.
    tags: Option<Value>,
    /// From this moment on the data is not revealed any more.
    expires_at: Option<OffsetDateTime>,
    /// A name for this creation: repeating it returns what the first one created.
    idempotency_key: Option<String>,
}

/// A change of metadata; what is left out stays.
#[derive(InputObject)]
struct UpdateUserSecretInput {
    /// The secret.
    user_secret_id: ID,
    /// A new name.
    name: Option<String>,
    /// New tags, in place of all.
    tags: Option<Value>,
    /// A new expiry; null for none.
    expires_at: MaybeUndefined<OffsetDateTime>,
    /// ABORTED unless this is the current revision.
    expected_revision: Option<i32>,
}

/// A replacement of the data.
#[derive(InputObject)]
struct UpdateUserSecretDataInput {
    /// The secret.
    user_secret_id: ID,
    /// The credential: a JSON object with at least one key.
    data: Value,
    /// A new kind of credential.
    schema_id: Option<String>,
    /// ABORTED unless this is the current version.
    expected_version: Option<i32>,
}

/// A deletion.
#[derive(InputObject)]
struct DeleteUserSecretInput {
    /// The secret.
    user_secret_id: ID,
    /// Its owner; without, the caller's own, and for SYSTEM whoever's it is.
    user_id: Option<ID>,
    /// Its domain, for SYSTEM.
    domain_id: Option<ID>,
    /// Every deletion removes the data for good, so this changes nothing yet.
    #[graphql(default = false)]
    purge: bool,
}

/// A deletion of all that a user has.
#[derive(InputObject)]
struct DeleteUserSecretsOfUserInput {
    /// The user.
    user_id: ID,
    /// Its domain, for SYSTEM.
    domain_id: Option<ID>,
}

/// What was created.
#[derive(SimpleObject)]
struct CreateUserSecretPayload {
    /// The new secret.
    user_secret: UserSecret,
}

/// What was changed.
#[derive(SimpleObject)]
struct UpdateUserSecretPayload {
    /// The changed secret.
    user_secret: UserSecret,
}

/// What was replaced.
#[derive(SimpleObject)]
struct UpdateUserSecretDataPayload {
    /// The secret with its new version.
    user_secret: UserSecret,
}

/// What was deleted.
#[derive(SimpleObject)]
struct DeleteUserSecretPayload {
    /// The id that is gone.
    user_secret_id: ID,
}

/// How much was deleted.
#[derive(SimpleObject)]
struct DeleteUserSecretsOfUserPayload {
    /// How many secrets the user had.
    count: i32,
}

/// What can be changed of user secrets.
#[Object]
impl UserSecretMutation {
    /// Creates a secret of the caller's own.
    async fn create_user_secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to create.")] input: CreateUserSecretInput,
    ) -> Result<CreateUserSecretPayload, Fault> {
        let input = CreateInput {
            name: input.name,
            data: input.data,
            schema_id: input.schema_id,
            tags: input.tags,
            expires_at: input.expires_at.map(Into::into),
            idempotency_key: input.idempotency_key,
        };
        let user_secret = UserSecret(ctx.service()?.create(ctx.caller()?, Ok(input)).await?);
        Ok(CreateUserSecretPayload { user_secret })
    }

    /// Changes name, tags or expiry of one of the caller's own secrets.
    async fn update_user_secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateUserSecretInput,
    ) -> Result<UpdateUserSecretPayload, Fault> {
        let change = UpdateInput {
            name: input.name,
            tags: input.tags,
            expires_at: match input.expires_at {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(moment) => Some(Some(moment.into())),
            },
            expected_revision: input.expected_revision,
        };
        let changed =
            ctx.service()?.update(ctx.caller()?, &input.user_secret_id, Ok(change)).await?;
        Ok(UpdateUserSecretPayload { user_secret: UserSecret(changed) })
    }

    /// Replaces the data of one of the caller's own secrets by its next version.
    async fn update_user_secret_data(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to replace.")] input: UpdateUserSecretDataInput,
    ) -> Result<UpdateUserSecretDataPayload, Fault> {
        let change = UpdateDataInput {
            data: input.data,
            schema_id: input.schema_id,
            expected_version: input.expected_version,
        };
        let changed =
            ctx.service()?.update_data(ctx.caller()?, &input.user_secret_id, Ok(change)).await?;
        Ok(UpdateUserSecretDataPayload { user_secret: UserSecret(changed) })
    }

    /// Deletes a secret with every version of its data.
    async fn delete_user_secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to delete.")] input: DeleteUserSecretInput,
    ) -> Result<DeleteUserSecretPayload, Fault> {
        let domain = domain_of(ctx, input.domain_id)?;
        let owner = input.user_id.map(|id| id.0);
        let input = DeleteInput { id: Ok(&input.user_secret_id), owner, domain };
        let id = ctx.service()?.delete(ctx.caller()?, input).await?;
        Ok(DeleteUserSecretPayload { user_secret_id: ID(id.to_string()) })
    }

    /// Deletes every secret of a user: for administrators of the domain, and for systems.
    ///
    /// It may end early when there are very many; what is left is deleted when it is asked again.
    async fn delete_user_secrets_of_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose secrets.")] input: DeleteUserSecretsOfUserInput,
    ) -> Result<DeleteUserSecretsOfUserPayload, Fault> {
        let domain = domain_of(ctx, input.domain_id)?;
        let count = ctx.service()?.delete_of_user(ctx.caller()?, domain, &input.user_id).await?;
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        Ok(DeleteUserSecretsOfUserPayload { count })
    }
}
