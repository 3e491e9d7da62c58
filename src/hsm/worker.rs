//! What a worker does with a session of its own.

mod doubt;
mod self_test;

use std::sync::Arc;

use cryptoki::object::ObjectHandle;

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
            Request::Prove { kek } => {
                let proven = self.with_kek(kek, |worker, key| worker.prove_handle(kek, key));
                proven.flatten().map(|()| Answer::Sound)
            }
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
            Request::Probe => {
                self.generation.stir().and_then(|()| self.probe()).map(|()| Answer::Sound)
            }
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
        // As it will be opened when somebody has stored it. Nobody has changed it yet.
        self.lease(&kek).map_err(of_the_module)?;
        Ok(kek)
    }

    /// Makes a DEK, wraps it under `kek`, and checks the handle that wrapped it.
    ///
    /// A module that mixes up handles, or returns other bytes than it made, would have the secret lost. So before the row is written
    /// the KEK's binding is opened through the same handle, and then what was wrapped: a mix-up in one of these calls is found
    /// by the last, and one that lasts from the first to the last by the one between.
    fn wrap_dek(&mut self, kek: &WrappedKek, aad: &[u8]) -> Result<(Dek, SealedBlock), HsmError> {
        self.with_kek(kek, |worker, key| {
            let dek = Dek::new(worker.random.take(&worker.session)?);
            let iv = worker.random.take(&worker.session)?;
            let wrapped = SealedBlock::seal(&worker.session, key, iv, aad, dek.expose())?;
            worker.prove_handle(kek, key)?;
            worker.prove_wrap(&wrapped, key, aad, dek.expose())?;
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
    /// The handle is proven when all are wrapped, and then each is opened, under the new key and again under the old one: a DEK that was
    /// wrapped under another key, or is another one than was read, would be lost. When `from` does not open, `to` shows that the token is sound.
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
            let mut wrapped = Vec::with_capacity(deks.len());
            for (dek, opened) in deks.iter().zip(&opened) {
                let Some(opened) = opened else {
                    wrapped.push(None);
                    continue;
                };
                let iv = worker.random.take(&worker.session)?;
                let block = opened.expose();
                let sealed = SealedBlock::seal(&worker.session, key, iv, &dek.to, block)?;
                wrapped.push(Some(sealed));
            }
            worker.prove_handle(to, key)?;
            for ((dek, opened), wrapped) in deks.iter().zip(&opened).zip(&wrapped) {
                if let (Some(opened), Some(wrapped)) = (opened, wrapped) {
                    worker.prove_wrap(wrapped, key, &dek.to, opened.expose())?;
                }
            }
            Ok(wrapped)
        })??;
        for (dek, before) in deks.iter().zip(&opened) {
            let Some(before) = before else { continue };
            let again = self.unwrap_dek(from, &dek.from, &dek.wrapped).map_err(of_the_module)?;
            if again.expose() != before.expose() {
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
        self.lease(&rewrapped).map_err(of_the_module)?;
        Ok(rewrapped)
    }

    /// That `key` is `kek`.
    fn prove_handle(&self, kek: &WrappedKek, key: ObjectHandle) -> Result<(), HsmError> {
        if kek.is_bound_to(&self.session, key) {
            Ok(())
        } else {
            Err(HsmError::misbehaved("a KEK's handle names another key"))
        }
    }

    /// That `wrapped` opens to `block`, which nobody else has.
    fn prove_wrap(
        &self,
        wrapped: &SealedBlock,
        key: ObjectHandle,
        aad: &[u8],
        block: &[u8; Dek::LEN],
    ) -> Result<(), HsmError> {
        match wrapped.open(&self.session, key, aad) {
            Ok(opened) if *opened == *block => Ok(()),
            Err(error) if !error.may_be_of_data() => Err(error),
            _ => Err(HsmError::misbehaved("a DEK changed when it was wrapped")),
        }
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<Vec<u8>, HsmError> {
        self.twice(|worker| worker.generation.signer().sign(&worker.session, digest))
    }
}

/// What does not open as soon as it is made, or has just opened, was not changed by anybody else.
fn of_the_module(error: HsmError) -> HsmError {
    match error {
        HsmError::Tampered(_) => {
            HsmError::misbehaved("what it has just made or read does not open")
        }
        error => error,
    }
}
