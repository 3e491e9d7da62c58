//! What the engine is asked and what it answers, as data: it goes to another process, and to the next one when that dies.

use super::{Dek, HsmError, SealedBlock, WrappedKek};

/// What a worker is asked. Each may be done twice: none changes anything that lasts.
#[derive(Clone)]
pub(super) enum Request {
    /// Make a KEK and bind it to `aad`.
    GenerateKek { aad: Vec<u8> },
    /// Make a DEK and wrap it under `kek`, bound to `aad`.
    WrapDek { kek: WrappedKek, aad: Vec<u8> },
    /// Unwrap `wrapped`.
    UnwrapDek { kek: WrappedKek, aad: Vec<u8>, wrapped: SealedBlock },
    /// Sign a SHA-256 digest.
    Sign { digest: [u8; 32] },
    /// Prove that the token works.
    Probe,
}

/// What came of it.
pub(super) enum Answer {
    Kek(WrappedKek),
    Wrapped(Dek, SealedBlock),
    Dek(Dek),
    /// In DER.
    Signature(Vec<u8>),
    Sound,
}

pub(super) type Outcome = Result<Answer, HsmError>;
