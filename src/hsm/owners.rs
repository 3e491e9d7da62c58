//! Sessions that own objects: a session object dies with the session that made it (PKCS#11 v2.40 §5.6, `C_CloseSession`), so those of workers, which are
//! replaced when something fails, own none.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::{HsmError, module::Session};

/// The anchor session, and as many more as ever were in use at the same time.
///
/// A KEK that is unwrapped holds a session for as long as the HSM takes. Were there one alone, a domain whose key does not come would
/// keep all workers waiting that meet another cold domain, and with them the warm ones.
pub(super) struct Owners {
    /// Opened when they are needed first. Dropped before the anchor, which is closed last.
    more: Vec<Mutex<Option<Session>>>,
    anchor: Mutex<Session>,
}

impl Owners {
    /// `anchor` and, for `workers` who may ask at the same time, others.
    pub(super) fn new(anchor: Session, workers: usize) -> Self {
        let more = (1..workers).map(|_| Mutex::default()).collect();
        Self { more, anchor: Mutex::new(anchor) }
    }

    /// Does `work` with one that is free. Where no more can be opened, the anchor is waited for.
    pub(super) fn with<T>(
        &self,
        open: impl Fn() -> Result<Session, HsmError>,
        work: impl FnOnce(&Session) -> T,
    ) -> T {
        if let Some(anchor) = free(&self.anchor) {
            return work(&anchor);
        }
        for owner in &self.more {
            let Some(mut owner) = free(owner) else { continue };
            if owner.is_none() {
                *owner = open().ok();
            }
            match &*owner {
                Some(session) => return work(session),
                None => break,
            }
        }
        work(&self.anchor.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Its guard, unless somebody has it. A session is what it was, however its last user ended.
fn free<T>(owner: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match owner.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
