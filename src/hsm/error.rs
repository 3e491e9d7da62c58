//! What can go wrong in the HSM, sorted by what it means for the caller.

use std::sync::Arc;

/// A failure of the engine. None carries key material, a PIN or a caller's data.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HsmError {
    /// Too many jobs wait already.
    #[error("the HSM queue is full")]
    QueueFull,
    /// The job was not finished in time.
    #[error("the HSM did not answer before the deadline")]
    Deadline,
    /// The workers have stopped.
    #[error("the HSM engine has stopped")]
    Stopped,
    /// A wrapped key or its binding is not what this token made for this place.
    #[error("{0} does not open: it was changed, or belongs elsewhere")]
    Tampered(&'static str),
    /// The token refuses the PIN. It is not tried again: some tokens lock themselves.
    #[error("the token refuses the PIN")]
    PinIncorrect,
    /// The token is not set up as it must be.
    #[error("{0}")]
    Setup(String),
    /// A PKCS#11 call failed.
    #[error("PKCS#11: {0}")]
    Call(#[from] Arc<cryptoki::error::Error>),
    /// The module answered something that the standard does not allow.
    #[error("the PKCS#11 module answered wrongly: {0}")]
    Misbehaved(&'static str),
}

impl From<cryptoki::error::Error> for HsmError {
    fn from(error: cryptoki::error::Error) -> Self {
        Self::Call(Arc::new(error))
    }
}

impl From<HsmError> for crate::error::Error {
    fn from(error: HsmError) -> Self {
        match error {
            HsmError::Tampered(_) => Self::internal(error),
            _ => Self::unavailable(error),
        }
    }
}
