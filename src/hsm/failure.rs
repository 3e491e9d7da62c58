//! What a PKCS#11 return value means, in one table.
//!
//! A code alone decides nothing about a token: SoftHSM reports a wrong tag as `CKR_GENERAL_ERROR`, Kryoptic a bad
//! blob as `CKR_DEVICE_ERROR`. It decides what is tried next; [`super::worker`] finds out the rest by a probe.

use std::fmt;

use cryptoki::error::{Error, RvError};

/// What a failure is about, as far as its code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The bytes that were given do not open.
    Data,
    /// The call itself is not allowed so.
    Request,
    /// The object's handle names nothing.
    Handle,
    /// The session is gone, or in the middle of something.
    Session,
    /// The token has no room for another session.
    Full,
    /// The login is gone.
    Login,
    /// The PIN is refused; never tried again.
    Pin,
    /// The token is away or broken.
    Device,
    /// The module is.
    Library,
    /// It says nothing.
    Doubtful,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it is about.
    pub class: Class,
    text: String,
}

impl Failure {
    pub(super) fn new(class: Class, text: String) -> Self {
        Self { class, text }
    }

    pub(super) fn of(error: &Error, exceptions: &[(RvError, Class)]) -> Self {
        let class = match error {
            Error::Pkcs11(code, function) => {
                let exception = exceptions.iter().find(|(other, _)| other == code);
                let class = exception.map_or_else(|| Class::of(code), |(_, class)| *class);
                // By its name: what the standard says of it is long, and often of something else.
                return Self::new(class, format!("C_{function:?} answers {code:?}"));
            }
            Error::LibraryLoading(_) | Error::NullFunctionPointer | Error::MissingSymbol(_) => {
                Class::Library
            }
            _ => Class::Request,
        };
        Self::new(class, error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Codes that cryptoki 0.12 does not name.
const AEAD_DECRYPT_FAILED: u64 = 0x35;
const TOKEN_NOT_INITIALIZED: u64 = 0x205;
const OPERATION_NOT_VALIDATED: u64 = 0x204;

impl Class {
    /// The table (PKCS#11 v2.40 §5.1).
    pub(super) const fn of(code: &RvError) -> Self {
        use RvError::{
            ArgumentsBad, AttributeReadOnly, AttributeSensitive, AttributeTypeInvalid,
            AttributeValueInvalid, BufferTooSmall, CantLock, CryptokiAlreadyInitialized,
            CryptokiNotInitialized, DataInvalid, DataLenRange, DeviceMemory, DeviceRemoved,
            DomainParamsInvalid, EncryptedDataInvalid, EncryptedDataLenRange, FunctionNotSupported,
            HostMemory, KeyFunctionNotPermitted, KeyHandleInvalid, KeyNotWrappable, KeySizeRange,
            KeyTypeInconsistent, KeyUnextractable, MechanismInvalid, MechanismParamInvalid,
            MutexBad, MutexNotLocked, ObjectHandleInvalid, OperationActive,
            OperationNotInitialized, PinExpired, PinIncorrect, PinInvalid, PinLenRange, PinLocked,
            SessionClosed, SessionCount, SessionHandleInvalid, SessionReadOnly, SignatureInvalid,
            SignatureLenRange, SlotIdInvalid, TemplateIncomplete, TemplateInconsistent,
            TokenNotPresent, TokenNotRecognized, TokenWriteProtected, UnknownErrorCode,
            UnwrappingKeyHandleInvalid, UserNotLoggedIn, UserPinNotInitialized, WrappedKeyInvalid,
            WrappedKeyLenRange, WrappingKeyHandleInvalid,
        };
        match code {
            DataInvalid
            | DataLenRange
            | EncryptedDataInvalid
            | EncryptedDataLenRange
            | SignatureInvalid
            | SignatureLenRange
            | WrappedKeyInvalid
            | WrappedKeyLenRange
            | UnknownErrorCode(AEAD_DECRYPT_FAILED) => Self::Data,
            ArgumentsBad
            | AttributeReadOnly
            | AttributeSensitive
            | AttributeTypeInvalid
            | AttributeValueInvalid
            | BufferTooSmall
            | DomainParamsInvalid
            | FunctionNotSupported
            | KeyFunctionNotPermitted
            | KeyNotWrappable
            | KeySizeRange
            | KeyUnextractable
            | MechanismInvalid
            | MechanismParamInvalid
            | SessionReadOnly
            | TemplateIncomplete
            | TemplateInconsistent => Self::Request,
            KeyHandleInvalid
            | ObjectHandleInvalid
            | WrappingKeyHandleInvalid
            | UnwrappingKeyHandleInvalid
            // What NSS says of a handle that names another kind of key now.
            | KeyTypeInconsistent => Self::Handle,
            OperationActive
            | OperationNotInitialized
            | SessionClosed
            | SessionHandleInvalid
            | UnknownErrorCode(OPERATION_NOT_VALIDATED) => Self::Session,
            SessionCount => Self::Full,
            UserNotLoggedIn => Self::Login,
            PinExpired
            | PinIncorrect
            | PinInvalid
            | PinLenRange
            | PinLocked
            | UserPinNotInitialized => Self::Pin,
            DeviceMemory
            | DeviceRemoved
            | SlotIdInvalid
            | TokenNotPresent
            | TokenNotRecognized
            | TokenWriteProtected
            | UnknownErrorCode(TOKEN_NOT_INITIALIZED) => Self::Device,
            CantLock
            | CryptokiAlreadyInitialized
            | CryptokiNotInitialized
            | HostMemory
            | MutexBad
            | MutexNotLocked => Self::Library,
            // GENERAL_ERROR, DEVICE_ERROR, FUNCTION_FAILED, vendors' own, and what has no name here.
            _ => Self::Doubtful,
        }
    }

    /// Whether no other handle and no other session of the same login can help.
    pub(super) const fn is_hopeless(self) -> bool {
        matches!(self, Self::Login | Self::Pin | Self::Device | Self::Library)
    }

    pub(super) const ALL: [Self; 10] = [
        Self::Data,
        Self::Request,
        Self::Handle,
        Self::Session,
        Self::Full,
        Self::Login,
        Self::Pin,
        Self::Device,
        Self::Library,
        Self::Doubtful,
    ];
}
