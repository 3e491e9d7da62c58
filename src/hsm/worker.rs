//! What a worker does with a session of its own.

mod doubt;
mod self_test;

use std::sync::Arc;

use super::{
    Dek, HsmError, SealedBlock,
    generation::Generation,
    kek::WrappedKek,
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
}
