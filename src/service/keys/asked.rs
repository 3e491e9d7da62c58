//! What was asked for in this process and is done in the background.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::ids::DomainId;

/// The domains in which something was asked for, and whoever waits for that.
#[derive(Default)]
pub(super) struct Asked {
    domains: Mutex<HashSet<DomainId>>,
    told: Notify,
}

impl Asked {
    /// Something is asked for in `domain`.
    pub(super) fn ask(&self, domain: &DomainId) {
        self.domains().insert(domain.clone());
        self.wake();
    }

    /// There is something to do that nobody has just asked for.
    pub(super) fn wake(&self) {
        self.told.notify_one();
    }

    /// Returns when there is something to do.
    pub(super) async fn woken(&self) {
        self.told.notified().await;
    }

    /// The domains in which something was asked for since the last time.
    pub(super) fn take(&self) -> HashSet<DomainId> {
        std::mem::take(&mut *self.domains())
    }

    fn domains(&self) -> MutexGuard<'_, HashSet<DomainId>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
