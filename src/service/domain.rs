//! The verbs on a domain, for its administrators and for systems.

use super::{AuditPage, AuditQuery, Caller, UserSecretService};
use crate::{
    auth::{Target, Verb},
    error::Result,
    ids::DomainId,
};

impl UserSecretService {
    /// The domain that `caller` may look at: its own, or for SYSTEM the one that is named.
    pub async fn domain(&self, caller: &Caller, named: Option<DomainId>) -> Result<DomainId> {
        let target = Target::Domain { domain: named, owner: None };
        self.gate
            .run(caller, Verb::GetDomain, target, async |scope| Ok(scope.domain().clone()))
            .await
    }

    /// A page of the audit trail of `domain`, newest first. The query is made for those only who may see it.
    pub async fn audit_events(
        &self,
        caller: &Caller,
        domain: DomainId,
        query: impl FnOnce() -> Result<AuditQuery>,
    ) -> Result<AuditPage> {
        let target = Target::Domain { domain: Some(domain), owner: None };
        self.gate
            .run(caller, Verb::ListAuditEvents, target, async |scope| {
                self.store.audit_events(scope, query()?).await
            })
            .await
    }
}
