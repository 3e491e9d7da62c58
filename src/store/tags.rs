//! The rows that tags are searched by; they change with the tags and the name, in the same transaction.

use ::entity::{user_secret, user_secret_tag};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
};

use crate::{database::failed, error::Result};

/// How many rows one statement writes.
const ROWS_AT_ONCE: usize = 500;

/// Writes the rows of the tags of `secrets`, which have none.
pub(super) async fn insert_tags<'s>(
    transaction: &impl ConnectionTrait,
    secrets: impl IntoIterator<Item = &'s user_secret::Model>,
) -> Result<()> {
    let rows: Vec<_> = secrets.into_iter().flat_map(user_secret_tag::rows).collect();
    for some in rows.chunks(ROWS_AT_ONCE) {
        let some = some.iter().map(|row| row.clone().into_active_model());
        user_secret_tag::Entity::insert_many(some)
            .exec_without_returning(transaction)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// Writes the rows of the tags of `secret` in place of those that it had.
pub(super) async fn replace_tags(
    transaction: &impl ConnectionTrait,
    secret: &user_secret::Model,
) -> Result<()> {
    use user_secret_tag::Column::{DomainId, UserSecretId};
    #[expect(clippy::disallowed_methods, reason = "the secret was found within the scope")]
    user_secret_tag::Entity::delete_many()
        .filter(DomainId.eq(&secret.domain_id))
        .filter(UserSecretId.eq(&secret.user_secret_id))
        .exec(transaction)
        .await
        .map_err(failed)?;
    insert_tags(transaction, [secret]).await
}
