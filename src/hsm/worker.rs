//! The loop that owns a session, and the operations it performs.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crossbeam_channel::Receiver;
use cryptoki::{object::ObjectHandle, session::Session};

use super::{
    Dek, HsmError, SealedBlock,
    generation::Generation,
    kek::{KekHandle, WrappedKek},
    random::Random,
};

/// What a worker is asked to do.
pub(super) type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// One session and the random bytes fetched through it.
pub(super) struct Worker {
    session: Session,
    random: Random,
    generation: Arc<Generation>,
}

impl Worker {
    pub(super) fn new(generation: Arc<Generation>) -> Result<Self, HsmError> {
        Ok(Self { session: generation.open_session()?, random: Random::new(), generation })
    }

    /// Performs jobs until the queue is closed.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        for job in queue {
            // A defect in one job must not end the worker, and with it the service.
            let _ = catch_unwind(AssertUnwindSafe(|| job(&mut self)));
            self.generation.bury();
        }
    }

    /// Makes a KEK bound to `aad`, and proves that what was wrapped can be unwrapped.
    pub(super) fn generate_kek(&mut self, aad: Vec<u8>) -> Result<WrappedKek, HsmError> {
        let kek = {
            let anchor = self.generation.anchor();
            WrappedKek::generate(&anchor, self.generation.root(), &mut self.random, aad)?
        };
        // The binding was made by the newborn key: that the unwrapped one opens it
        // compares the two, before anybody stores the blob.
        self.generation.lease(&kek)?;
        Ok(kek)
    }

    /// Makes a DEK, wraps it under `kek`, and checks the handle that wrapped it.
    ///
    /// A module that mixes up handles would wrap under another tenant's key, and
    /// the secret would be lost: the KEK's binding, opened through the same
    /// handle, finds that before the row is written.
    pub(super) fn wrap_dek(
        &mut self,
        kek: &WrappedKek,
        aad: &[u8],
    ) -> Result<(Dek, SealedBlock), HsmError> {
        let dek = Dek::new(self.random.take(&self.session)?);
        let wrapped = self.with_kek(kek, |worker, key| {
            let iv = worker.random.take(&worker.session)?;
            let wrapped = SealedBlock::seal(&worker.session, key, iv, aad, dek.expose())?;
            if kek.is_bound_to(&worker.session, key) {
                Ok(wrapped)
            } else {
                Err(HsmError::Misbehaved("a KEK's handle names another key"))
            }
        })??;
        Ok((dek, wrapped))
    }

    /// Unwraps a DEK.
    pub(super) fn unwrap_dek(
        &mut self,
        kek: &WrappedKek,
        aad: &[u8],
        wrapped: &SealedBlock,
    ) -> Result<Dek, HsmError> {
        self.with_kek(kek, |worker, key| wrapped.open(&worker.session, key, aad))?
            .map(|block| Dek::new(*block))
            .map_err(|_| HsmError::Tampered("the wrapped DEK"))
    }

    /// Signs `digest`. A failure may be the session's, so it is tried again in a new one, once.
    pub(super) fn sign(&mut self, digest: &[u8; 32]) -> Result<Vec<u8>, HsmError> {
        let failed = match self.generation.signer().sign(&self.session, digest) {
            Ok(signature) => return Ok(signature),
            Err(error) => error,
        };
        tracing::warn!(error = %failed, "the HSM did not sign");
        self.session = self.generation.open_session()?;
        self.generation.signer().sign(&self.session, digest)
    }

    /// Runs `operation` with a lease on `kek`, and finds out what a failure means.
    ///
    /// Modules report a wrong tag as `CKR_GENERAL_ERROR`, so the code is not
    /// believed. When the KEK's own binding still opens through the same handle,
    /// the failure is the operation's own: the inner error. Otherwise the handle
    /// or the session is stale, and both are made anew, once.
    fn with_kek<T>(
        &mut self,
        kek: &WrappedKek,
        operation: impl Fn(&mut Self, ObjectHandle) -> Result<T, HsmError>,
    ) -> Result<Result<T, HsmError>, HsmError> {
        match self.attempt(kek, &operation)? {
            Attempt::Done(result) => return Ok(result),
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
            Err(error) if kek.is_bound_to(&self.session, lease.object()) => {
                Attempt::Done(Err(error))
            }
            Err(error) => Attempt::Stale(error),
        })
    }

    /// A lease on `kek`. A blob that does not unwrap is bad when another one does.
    fn lease(&mut self, kek: &WrappedKek) -> Result<Arc<KekHandle>, HsmError> {
        self.generation.lease(kek).or_else(|error| match error {
            HsmError::Tampered(_) => Err(error),
            _ => self.probe().and(Err(HsmError::Tampered("the domain's KEK"))),
        })
    }

    /// Wraps and unwraps a key that is nobody's.
    pub(super) fn probe(&mut self) -> Result<(), HsmError> {
        let anchor = self.generation.anchor();
        let root = self.generation.root();
        let kek = WrappedKek::generate(&anchor, root, &mut self.random, b"probe".to_vec())?;
        let object = kek.unwrap(&anchor, root)?;
        let bound = kek.is_bound_to(&anchor, object);
        anchor.destroy_object(object)?;
        if bound { Ok(()) } else { Err(HsmError::Misbehaved("a key changed when it was wrapped")) }
    }

    /// Proves that this token keeps the promises of the design, the refusals included.
    pub(super) fn self_test(&mut self) -> Result<(), HsmError> {
        let kek = self.generate_kek(b"self-test".to_vec())?;
        let (dek, wrapped) = self.wrap_dek(&kek, b"aad")?;
        if self.unwrap_dek(&kek, b"aad", &wrapped)?.expose() != dek.expose() {
            return Err(HsmError::Misbehaved("a DEK changed when it was wrapped"));
        }
        let mut flipped = *wrapped.as_bytes();
        flipped[20] ^= 1;
        let refusals = [
            (self.unwrap_dek(&kek, b"AAD", &wrapped), "a wrong AAD"),
            (self.unwrap_dek(&kek, b"aad", &SealedBlock::from(flipped)), "a flipped bit"),
        ];
        for (opened, what) in refusals {
            match opened {
                Err(HsmError::Tampered(_)) => {}
                Err(error) => return Err(error),
                Ok(_) => return Err(HsmError::Misbehaved(what)),
            }
        }
        self.generation.evict(&kek);
        self.generation.signer().prove(&self.session)
    }
}

/// What came of an operation under a leased handle.
enum Attempt<T> {
    /// The handle is sound; the result is the operation's own.
    Done(Result<T, HsmError>),
    /// The handle or the session is not what it was.
    Stale(HsmError),
}
