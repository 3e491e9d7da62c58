//! What a worker does with a session of its own.

use std::sync::Arc;

use cryptoki::object::ObjectHandle;

use super::{
    Dek, HsmError, SealedBlock,
    generation::Generation,
    kek::{KekHandle, WrappedKek},
    module::Session,
    random::Random,
    request::{Answer, Outcome, Request, Rewrapping},
};
use crate::ids::RootVersion;

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

    /// Does what is asked.
    pub(super) fn perform(&mut self, request: &Request) -> Outcome {
        let answer = match request {
            Request::GenerateKek { root, aad } => {
                self.generate_kek(*root, aad.clone()).map(Answer::Kek)
            }
            Request::Rewrap { from, to, deks } => {
                self.rewrap(from, to, deks).map(Answer::Rewrapped)
            }
            Request::RewrapKek { kek, root } => self.rewrap_kek(kek, *root).map(Answer::Kek),
            Request::Prove { kek } => self.lease(kek).map(|_| Answer::Sound),
            Request::Forget { domain } => {
                self.generation.forget(domain);
                Ok(Answer::Sound)
            }
            Request::WrapDek { kek, aad } => {
                self.wrap_dek(kek, aad).map(|(dek, wrapped)| Answer::Wrapped(dek, wrapped))
            }
            Request::UnwrapDek { kek, aad, wrapped } => {
                self.unwrap_dek(kek, aad, wrapped).map(Answer::Dek)
            }
            Request::Sign { digest } => self.sign(digest).map(Answer::Signature),
            Request::Probe => self.probe().map(|()| Answer::Sound),
        };
        if let (Ok(_), Some(kek)) = (&answer, request.proves()) {
            self.generation.prove(kek);
        }
        self.generation.bury(&self.session);
        answer
    }

    /// Makes a KEK bound to `aad`, and proves that what was wrapped can be unwrapped.
    fn generate_kek(&mut self, root: RootVersion, aad: Vec<u8>) -> Result<WrappedKek, HsmError> {
        let kek = self.twice(|worker| {
            let root = worker.generation.root(root)?;
            WrappedKek::generate(&worker.session, root, &mut worker.random, aad.clone())
        })?;
        // The binding was made by the newborn key: that the unwrapped one opens it
        // compares the two, before anybody stores the blob.
        self.lease(&kek)?;
        Ok(kek)
    }

    /// Makes a DEK, wraps it under `kek`, and checks the handle that wrapped it.
    ///
    /// A module that mixes up handles, or returns other bytes than it made, would have the secret lost. Before the row is written,
    /// what was wrapped is opened again, and the KEK's binding through the same handle: the one finds a mix-up
    /// in one of the calls, the other one in all of them.
    fn wrap_dek(&mut self, kek: &WrappedKek, aad: &[u8]) -> Result<(Dek, SealedBlock), HsmError> {
        self.with_kek(kek, |worker, key| {
            let dek = Dek::new(worker.random.take(&worker.session)?);
            let iv = worker.random.take(&worker.session)?;
            let wrapped = SealedBlock::seal(&worker.session, key, iv, aad, dek.expose())?;
            if *wrapped.open(&worker.session, key, aad)? != *dek.expose() {
                return Err(HsmError::misbehaved("a DEK changed when it was wrapped"));
            }
            if !kek.is_bound_to(&worker.session, key) {
                return Err(HsmError::misbehaved("a KEK's handle names another key"));
            }
            Ok((dek, wrapped))
        })?
    }

    /// Unwraps a DEK.
    fn unwrap_dek(
        &mut self,
        kek: &WrappedKek,
        aad: &[u8],
        wrapped: &SealedBlock,
    ) -> Result<Dek, HsmError> {
        match self.with_kek(kek, |worker, key| wrapped.open(&worker.session, key, aad))? {
            Ok(block) => Ok(Dek::new(*block)),
            Err(error) if error.may_be_of_data() => Err(HsmError::tampered("the wrapped DEK")),
            Err(error) => Err(error),
        }
    }

    /// Wraps what is wrapped under `from` under `to`. What does not open is left out, and loses nothing.
    ///
    /// The handle is proven before the first and behind the last, and each is opened again at the end: a DEK that was wrapped under
    /// another key, or is another one than was read, would be lost. When `from` does not open, `to` shows that the token is sound.
    fn rewrap(
        &mut self,
        from: &WrappedKek,
        to: &WrappedKek,
        deks: &[Rewrapping],
    ) -> Result<Vec<Option<SealedBlock>>, HsmError> {
        self.lease(to)?;
        self.generation.prove(to);
        let mut opened = Vec::with_capacity(deks.len());
        for dek in deks {
            opened.push(match self.unwrap_dek(from, &dek.from, &dek.wrapped) {
                Ok(dek) => Some(dek),
                Err(HsmError::Tampered(_)) => None,
                Err(error) => return Err(error),
            });
        }
        let wrapped = self.with_kek(to, |worker, key| {
            let proven = |worker: &Self| {
                let bound = to.is_bound_to(&worker.session, key);
                let another = HsmError::misbehaved("a KEK's handle names another key");
                if bound { Ok(()) } else { Err(another) }
            };
            proven(worker)?;
            let mut wrapped = Vec::with_capacity(deks.len());
            for (dek, opened) in deks.iter().zip(&opened) {
                let Some(opened) = opened else {
                    wrapped.push(None);
                    continue;
                };
                let iv = worker.random.take(&worker.session)?;
                let block = opened.expose();
                let sealed = SealedBlock::seal(&worker.session, key, iv, &dek.to, block)?;
                // Nobody else has it once this is stored.
                if *sealed.open(&worker.session, key, &dek.to)? != *block {
                    return Err(HsmError::misbehaved("a DEK changed when it was wrapped"));
                }
                wrapped.push(Some(sealed));
            }
            proven(worker)?;
            Ok(wrapped)
        })??;
        for (dek, before) in deks.iter().zip(&opened) {
            let Some(before) = before else { continue };
            if self.unwrap_dek(from, &dek.from, &dek.wrapped)?.expose() != before.expose() {
                return Err(HsmError::misbehaved("a DEK opens one way and another"));
            }
        }
        Ok(wrapped)
    }

    /// Wraps `kek` under the root of another version, and proves that it can be unwrapped.
    fn rewrap_kek(&mut self, kek: &WrappedKek, to: RootVersion) -> Result<WrappedKek, HsmError> {
        // Whether the blob is bad or the token.
        self.lease(kek)?;
        let rewrapped = self.twice(|worker| {
            let generation = &worker.generation;
            let (from, to) = (generation.root(kek.root())?, generation.root(to)?);
            kek.rewrap(&worker.session, from.object, to)
        })?;
        // What does not open here is not the domain's fault.
        self.lease(&rewrapped).map_err(|error| match error {
            HsmError::Tampered(_) => HsmError::misbehaved("a KEK changed when it was wrapped"),
            error => error,
        })?;
        Ok(rewrapped)
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<Vec<u8>, HsmError> {
        self.twice(|worker| worker.generation.signer().sign(&worker.session, digest))
    }

    /// Runs `operation`, and once more in a new session when the failure may be the session's.
    fn twice<T>(
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
    fn with_kek<T>(
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
    fn lease(&mut self, kek: &WrappedKek) -> Result<Arc<KekHandle>, HsmError> {
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
    fn probe(&mut self) -> Result<(), HsmError> {
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
            let kek = WrappedKek::generate(session, root, &mut worker.random, b"probe".to_vec())?;
            let object = kek.unwrap(session, root.object)?;
            let bound = kek.is_bound_to(session, object);
            session.destroy_object(object)?;
            if bound {
                Ok(())
            } else {
                Err(HsmError::misbehaved("a key changed when it was wrapped"))
            }
        })
    }

    /// Proves that this token keeps the promises of the design, the refusals included.
    pub(super) fn self_test(&mut self) -> Result<(), HsmError> {
        let root = self.generation.newest_root().version;
        let kek = self.generate_kek(root, b"self-test".to_vec())?;
        let other = self.generate_kek(root, b"another".to_vec())?;
        let (dek, wrapped) = self.wrap_dek(&kek, b"aad")?;
        if self.unwrap_dek(&kek, b"aad", &wrapped)?.expose() != dek.expose() {
            return Err(HsmError::misbehaved("a DEK changed when it was wrapped"));
        }
        let mut flipped = *wrapped.as_bytes();
        flipped[20] ^= 1;
        let refusals = [
            (self.unwrap_dek(&kek, b"AAD", &wrapped), "a wrong AAD"),
            (self.unwrap_dek(&kek, b"aad", &SealedBlock::from(flipped)), "a flipped bit"),
            (self.unwrap_dek(&other, b"aad", &wrapped), "another key"),
        ];
        for (opened, what) in refusals {
            match opened {
                Err(HsmError::Tampered(_)) => {}
                Err(error) => return Err(error),
                Ok(_) => return Err(HsmError::misbehaved(what)),
            }
        }
        self.generation.evict(&kek);
        self.generation.evict(&other);
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
