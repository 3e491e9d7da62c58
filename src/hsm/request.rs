//! What the engine is asked and what it answers, as data: it goes to another process, and to the next one when that dies.

use super::{Dek, HsmError, SealedBlock, WrappedKek};
use crate::ids::RootVersion;

/// What a worker is asked. Each may be done twice: none changes anything that lasts.
#[derive(Clone)]
pub(super) enum Request {
    /// Make a KEK, wrap it under that root and bind it to `aad`.
    GenerateKek { root: RootVersion, aad: Vec<u8> },
    /// Make a DEK and wrap it under `kek`, bound to `aad`.
    WrapDek { kek: WrappedKek, aad: Vec<u8> },
    /// Unwrap `wrapped`.
    UnwrapDek { kek: WrappedKek, aad: Vec<u8>, wrapped: SealedBlock },
    /// Unwrap DEKs under `from` and wrap them under `to`; none leaves the worker.
    Rewrap { from: WrappedKek, to: WrappedKek, deks: Vec<Rewrapping> },
    /// Wrap a KEK under another root.
    RewrapKek { kek: WrappedKek, root: RootVersion },
    /// Unwrap a KEK, against which others are judged that do not open.
    Prove { kek: WrappedKek },
    /// Drop the handles of the KEKs whose binding begins with `domain`.
    Forget { domain: Vec<u8> },
    /// Sign a SHA-256 digest.
    Sign { digest: [u8; 32] },
    /// Prove that the token works.
    Probe,
}

impl Request {
    /// The stored KEK that opens when this is done well.
    pub(super) const fn proves(&self) -> Option<&WrappedKek> {
        match self {
            Self::WrapDek { kek, .. }
            | Self::UnwrapDek { kek, .. }
            | Self::RewrapKek { kek, .. }
            | Self::Prove { kek } => Some(kek),
            Self::Rewrap { .. }
            | Self::GenerateKek { .. }
            | Self::Forget { .. }
            | Self::Sign { .. }
            | Self::Probe => None,
        }
    }
}

/// A wrapped DEK that is to be wrapped under another KEK.
#[derive(Clone)]
pub struct Rewrapping {
    /// What it is bound to.
    pub from: Vec<u8>,
    /// What it is to be bound to.
    pub to: Vec<u8>,
    /// The DEK as it is.
    pub wrapped: SealedBlock,
}

/// What came of it.
pub(super) enum Answer {
    Kek(WrappedKek),
    Wrapped(Dek, SealedBlock),
    Dek(Dek),
    /// Each in its place; none where one did not open.
    Rewrapped(Vec<Option<SealedBlock>>),
    /// In DER.
    Signature(Vec<u8>),
    Sound,
}

pub(super) type Outcome = Result<Answer, HsmError>;
