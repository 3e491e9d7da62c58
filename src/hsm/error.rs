//! What can go wrong in the HSM, sorted by what it means for the caller.

use std::{borrow::Cow, time::Duration};

use super::{
    Profile,
    failure::{Class, Failure},
};

/// A failure of the engine. None carries key material, a PIN or a caller's data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HsmError {
    /// More waits already than can be done in time; when to ask again.
    #[error("the HSM queue is full")]
    QueueFull(Duration),
    /// The job was not finished in time.
    #[error("the HSM did not answer before the deadline")]
    Deadline,
    /// The engine has stopped, or what worked on this has died.
    #[error("the HSM engine has stopped")]
    Stopped,
    /// There is no HSM at the moment, and why.
    #[error("the HSM is away: {0}")]
    Away(String),
    /// A wrapped key or its binding is not what this token made for this place.
    #[error("{0} does not open: it was changed, or belongs elsewhere")]
    Tampered(Cow<'static, str>),
    /// The token refuses the PIN. It is not tried again: some tokens lock themselves.
    #[error("the token refuses the PIN; it is not tried again before a restart")]
    PinIncorrect,
    /// The token is not set up as it must be.
    #[error("{0}")]
    Setup(String),
    /// The token does not have the root that wraps a key.
    #[error("the token has no root key {0}")]
    NoRoot(i32),
    /// A PKCS#11 call failed.
    #[error("PKCS#11: {0}")]
    Call(Failure),
    /// The module answered something that the standard does not allow.
    #[error("the PKCS#11 module answered wrongly: {0}")]
    Misbehaved(Cow<'static, str>),
}

impl HsmError {
    pub(super) const fn tampered(what: &'static str) -> Self {
        Self::Tampered(Cow::Borrowed(what))
    }

    pub(super) const fn misbehaved(how: &'static str) -> Self {
        Self::Misbehaved(Cow::Borrowed(how))
    }

    /// Whether it may be the module or the token that is at fault, rather than what was asked.
    pub(super) const fn is_of_the_token(&self) -> bool {
        match self {
            Self::Call(failure) => !matches!(failure.class, Class::Data | Class::Request),
            Self::Misbehaved(_) => true,
            _ => false,
        }
    }

    /// Whether no other handle and no other session can help.
    pub(super) const fn is_hopeless(&self) -> bool {
        match self {
            Self::Call(failure) => failure.class.is_hopeless(),
            Self::PinIncorrect | Self::Setup(_) | Self::NoRoot(_) => true,
            _ => false,
        }
    }

    /// Whether the token has no room for another session.
    pub(super) const fn is_of_room(&self) -> bool {
        matches!(self, Self::Call(Failure { class: Class::Full, .. }))
    }

    /// Whether it is what a module says of bytes that do not open.
    pub(super) const fn may_be_of_data(&self) -> bool {
        match self {
            Self::Call(failure) => matches!(failure.class, Class::Data | Class::Doubtful),
            _ => false,
        }
    }

    /// Whether trying again cannot help before somebody changes something.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::PinIncorrect | Self::Setup(_))
    }
}

impl From<cryptoki::error::Error> for HsmError {
    fn from(error: cryptoki::error::Error) -> Self {
        Profile::PKCS11.judge(&error)
    }
}

impl Profile {
    /// What the failure of a call means of this vendor's module.
    pub(super) fn judge(&self, error: &cryptoki::error::Error) -> HsmError {
        let failure = Failure::of(error, self.codes);
        if failure.class == Class::Pin { HsmError::PinIncorrect } else { HsmError::Call(failure) }
    }
}

impl From<HsmError> for crate::error::Error {
    fn from(error: HsmError) -> Self {
        match error {
            HsmError::Tampered(_) => Self::internal(error),
            HsmError::QueueFull(pause) => Self::unavailable(error).after(pause),
            HsmError::Away(_) | HsmError::Deadline => {
                Self::unavailable(error).after(Duration::from_secs(1))
            }
            _ => Self::unavailable(error),
        }
    }
}
