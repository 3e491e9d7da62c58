//! A new secret, sealed and stored.

use super::{UserSecretService, input::New};
use crate::{
    auth::Scope,
    crypto::{Aad, missing_root},
    error::Result,
    ids::{DataVersion, UserId, UserSecretId},
    store::{Inserted, NewRow},
};

impl UserSecretService {
    /// Seals `new` as version 1 of secret `id` of `owner`, and stores it unless the id is taken.
    pub(super) async fn insert(
        &self,
        scope: &Scope,
        owner: &UserId,
        id: UserSecretId,
        new: &New,
    ) -> Result<Inserted> {
        let aad = Aad::for_record(scope, owner, &id, DataVersion(1))?;
        let kek = self.keys.active(scope, 1).await?;
        let envelope = match self.keyring.seal(&aad, &kek, &new.data).await {
            Err(error) if missing_root(&error).is_some() => {
                self.store.forget_kek(scope.domain(), &kek);
                return Ok(Inserted::StaleKek);
            }
            sealed => sealed?,
        };
        let row = NewRow {
            id,
            user_id: owner.clone(),
            name: new.name.clone(),
            schema_id: new.schema_id.clone(),
            provider: new.provider.clone(),
            tags: new.tags.clone(),
            expires_at: new.expires_at,
            idempotency: new.idempotency.clone(),
            created_at: new.created_at,
            position: new.position,
            envelope,
            kek,
        };
        self.store.insert(scope, row).await
    }
}
