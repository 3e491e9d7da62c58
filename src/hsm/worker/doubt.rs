//! What a failure means, found out before anybody hears of it.

use std::sync::Arc;

use cryptoki::object::ObjectHandle;

use super::{
    super::{
        HsmError,
        kek::{KekHandle, WrappedKek},
    },
    Worker,
};

/// What came of an operation under a leased handle.
enum Attempt<T> {
    /// The handle is sound; the result is the operation's own.
    Done(Result<T, HsmError>),
    /// The handle or the session is not what it was.
    Stale(HsmError),
}

impl Worker {
    /// Runs `operation`, and once more in a new session when the failure may be the session's.
    pub(super) fn twice<T>(
        &mut self,
        mut operation: impl FnMut(&mut Self) -> Result<T, HsmError>,
    ) -> Result<T, HsmError> {
        let failed = match operation(self) {
            Ok(done) => return Ok(done),
            Err(error) if error.is_hopeless() => return Err(error),
            Err(error) => error,
        };
        tracing::warn!(error = %failed, "the HSM refuses; once more in a new session");
        self.session = self.generation.open_session()?;
        operation(self)
    }

    /// Runs `operation` with a lease on `kek`, and finds out what a failure means.
    ///
    /// Modules report a wrong tag as `CKR_GENERAL_ERROR`, so the code is not
    /// believed. When the KEK's own binding still opens through the same handle,
    /// and the operation fails again, the failure is its own: the inner error.
    /// Otherwise the handle or the session is stale, and both are made anew, once.
    pub(super) fn with_kek<T>(
        &mut self,
        kek: &WrappedKek,
        operation: impl Fn(&mut Self, ObjectHandle) -> Result<T, HsmError>,
    ) -> Result<Result<T, HsmError>, HsmError> {
        match self.attempt(kek, &operation)? {
            Attempt::Done(result) => return Ok(result),
            Attempt::Stale(error) if error.is_hopeless() => return Err(error),
            Attempt::Stale(error) => tracing::warn!(%error, "the HSM lost a handle or a session"),
        }
        self.generation.evict(kek);
        self.session = self.generation.open_session()?;
        match self.attempt(kek, &operation)? {
            Attempt::Done(result) => Ok(result),
            Attempt::Stale(error) => Err(error),
        }
    }

    fn attempt<T>(
        &mut self,
        kek: &WrappedKek,
        operation: impl Fn(&mut Self, ObjectHandle) -> Result<T, HsmError>,
    ) -> Result<Attempt<T>, HsmError> {
        let lease = self.lease(kek)?;
        Ok(match operation(self, lease.object()) {
            Ok(value) => Attempt::Done(Ok(value)),
            Err(_) if kek.is_bound_to(&self.session, lease.object()) => {
                Attempt::Done(operation(self, lease.object()))
            }
            Err(error) => Attempt::Stale(error),
        })
    }

    /// A lease on `kek`. A blob that does not unwrap is bad when the token unwraps another one that it made long ago.
    pub(super) fn lease(&mut self, kek: &WrappedKek) -> Result<Arc<KekHandle>, HsmError> {
        match self.generation.lease(kek, &self.session) {
            Ok(lease) => return Ok(lease),
            Err(error) if error.is_hopeless() => return Err(error),
            Err(_) => self.probe()?,
        }
        // What failed may have been the session's, which the probe made anew.
        if let Ok(lease) = self.generation.lease(kek, &self.session) {
            return Ok(lease);
        }
        // Or that of the session which holds the keys.
        let root = self.generation.root(kek.root());
        if let Ok(object) = root.and_then(|root| kek.unwrap(&self.session, root.object)) {
            let bound = kek.is_bound_to(&self.session, object);
            self.session.destroy_object(object)?;
            if bound {
                return Err(HsmError::misbehaved("a KEK opens in one session and not in another"));
            }
        }
        match self.generation.proven() {
            Some(proven) if proven != *kek => Err(HsmError::tampered("the domain's KEK")),
            // A module that takes every key for another one keeps its promises among these.
            _ => Err(HsmError::Away(
                "a domain's KEK does not open, nor did any other so far".to_owned(),
            )),
        }
    }

    /// Wraps and unwraps a key that is nobody's, and unwraps one that was unwrapped before.
    pub(super) fn probe(&mut self) -> Result<(), HsmError> {
        if let Some(proven) = self.generation.proven() {
            self.twice(|worker| {
                let root = worker.generation.root(proven.root())?;
                let object = proven.unwrap(&worker.session, root.object)?;
                let bound = proven.is_bound_to(&worker.session, object);
                worker.session.destroy_object(object)?;
                if bound { Ok(()) } else { Err(HsmError::misbehaved("the root is another key")) }
            })?;
        }
        self.twice(|worker| {
            let (session, root) = (&worker.session, worker.generation.newest_root());
            WrappedKek::generate(session, root, &mut worker.random, b"probe".to_vec()).map(drop)
        })
    }
}
