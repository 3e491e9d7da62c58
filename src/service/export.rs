//! The metadata of a whole domain, to be taken along.

use super::{UserSecret, UserSecretService};
use crate::{
    auth::{Caller, Target, Verb},
    error::Result,
};

/// How many secrets are read at a time.
const AT_ONCE: u64 = 500;

impl UserSecretService {
    /// Hands the metadata of every secret of the caller's domain to `take`, in the order of their ids.
    ///
    /// The event is committed before anything is read. What is created or deleted meanwhile may be there or not.
    pub async fn export(
        &self,
        caller: &Caller,
        mut take: impl FnMut(UserSecret) -> Result<()>,
    ) -> Result<()> {
        let target = Target::Domain { domain: None, owner: None };
        self.gate
            .run(caller, Verb::Export, target, async |scope| {
                self.store.announce(scope).await?;
                let mut last = None;
                loop {
                    let page = self.store.secrets_after(scope, last.as_ref(), AT_ONCE).await?;
                    match page.last() {
                        Some(secret) => last = Some(secret.id.clone()),
                        None => return Ok(()),
                    }
                    page.into_iter().try_for_each(&mut take)?;
                }
            })
            .await
    }
}
