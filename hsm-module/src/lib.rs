//! A PKCS#11 module and its sessions: cryptoki's, and three calls that cryptoki 0.12 cannot make safely.
//!
//! - `C_Initialize` with a text in the field that the standard reserves, as NSS and Kryoptic take it.
//! - `C_Encrypt` into a buffer of the caller's. cryptoki asks the module for the length first, which is a call more, and NSS
//!   forgets the tag of AES-GCM.
//! - `C_Decrypt` in the same way: to an HSM behind a network, each call is a journey.
//!
//! All hand pointers over. The service forbids unsafe code, so they have a crate of their own.

use std::{ffi::CString, ops::Deref, path::Path, ptr::NonNull, sync::Arc};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11},
    error::{Error, Result, Rv},
    mechanism::Mechanism,
    object::ObjectHandle,
    session::Session as Plain,
    slot::Slot,
};
use cryptoki_sys::{CK_BYTE_PTR, CK_RV, CK_SESSION_HANDLE, CK_ULONG, CK_ULONG_PTR};

/// A module that is loaded; clones share it.
#[derive(Clone)]
pub struct Module {
    pkcs11: Pkcs11,
    own: Arc<Own>,
}

/// `C_Encrypt` or `C_Decrypt`.
type Cipher = Option<
    unsafe extern "C" fn(
        CK_SESSION_HANDLE,
        CK_BYTE_PTR,
        CK_ULONG,
        CK_BYTE_PTR,
        CK_ULONG_PTR,
    ) -> CK_RV,
>;

/// What cryptoki keeps to itself.
struct Own {
    encrypt: Cipher,
    decrypt: Cipher,
    /// Keeps the function where it is. Loaded twice, a library is there once.
    _library: cryptoki_sys::Pkcs11,
}

impl Module {
    /// Loads the library at `path`. Whoever names it trusts what it does when it is loaded.
    pub fn load(path: &Path) -> Result<Self> {
        let pkcs11 = Pkcs11::new(path)?;
        // SAFETY: cryptoki has just loaded it, and it is the same.
        let library = unsafe { cryptoki_sys::Pkcs11::new(path) }.map_err(Error::LibraryLoading)?;
        let get = library.C_GetFunctionList.as_ref();
        let get = get.map_err(|_| Error::MissingSymbol("C_GetFunctionList"))?;
        let mut list = std::ptr::null_mut();
        // SAFETY: the list is written to where it can be.
        Rv::from(unsafe { get(&raw mut list) }).into_result(Function::GetFunctionList)?;
        let list = NonNull::new(list).ok_or(Error::NullFunctionPointer)?;
        // SAFETY: the module gave it; it begins so in every version of the standard, and stays as long as the library.
        let list = unsafe { list.as_ref() };
        let (encrypt, decrypt) = (list.C_Encrypt, list.C_Decrypt);
        Ok(Self { pkcs11, own: Arc::new(Own { encrypt, decrypt, _library: library }) })
    }

    /// Initializes it with the operating system's locks, and with `reserved` if there is any.
    pub fn initialize(&self, reserved: &str) -> Result<()> {
        let flags = CInitializeFlags::OS_LOCKING_OK;
        if reserved.is_empty() {
            return self.pkcs11.initialize(CInitializeArgs::new(flags));
        }
        let text = CString::new(reserved).map_err(Error::NulError)?;
        let pointer = NonNull::new(text.as_ptr().cast_mut()).ok_or(Error::InvalidValue)?;
        // SAFETY: the text ends with a zero byte and outlives the call. Modules that take a text there copy it; the standard has
        // all others refuse whatever is not null.
        let arguments = unsafe { CInitializeArgs::new_with_reserved(flags, pointer.cast()) };
        self.pkcs11.initialize(arguments)
    }

    /// A session that only reads.
    pub fn open_ro_session(&self, slot: Slot) -> Result<Session> {
        self.pkcs11.open_ro_session(slot).map(|session| self.session(session))
    }

    /// A session that also writes.
    pub fn open_rw_session(&self, slot: Slot) -> Result<Session> {
        self.pkcs11.open_rw_session(slot).map(|session| self.session(session))
    }

    fn session(&self, session: Plain) -> Session {
        Session { session, own: Arc::clone(&self.own) }
    }

    /// Finalizes it. Nobody may be in a call then, and no session is of use afterwards.
    pub fn finalize(self) -> Result<()> {
        self.pkcs11.finalize()
    }
}

impl Deref for Module {
    type Target = Pkcs11;

    fn deref(&self) -> &Pkcs11 {
        &self.pkcs11
    }
}

/// A session; it is closed when it is dropped.
pub struct Session {
    session: Plain,
    own: Arc<Own>,
}

impl Session {
    /// Encrypts `data` into `encrypted`, and returns the length that the module gave it.
    pub fn encrypt_into(
        &self,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        data: &[u8],
        encrypted: &mut [u8],
    ) -> Result<usize> {
        // The mechanism points to the parameters, and lives until the end.
        self.session.encrypt_init(mechanism, key)?;
        self.cipher(self.own.encrypt, Function::Encrypt, data, encrypted)
    }

    /// Decrypts `data` into `decrypted`, and returns the length that the module gave it. Modules may want room for as much
    /// as `data` is, and for a tag.
    pub fn decrypt_into(
        &self,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        data: &[u8],
        decrypted: &mut [u8],
    ) -> Result<usize> {
        self.session.decrypt_init(mechanism, key)?;
        self.cipher(self.own.decrypt, Function::Decrypt, data, decrypted)
    }

    fn cipher(
        &self,
        cipher: Cipher,
        function: Function,
        data: &[u8],
        output: &mut [u8],
    ) -> Result<usize> {
        let cipher = cipher.ok_or(Error::NullFunctionPointer)?;
        let data_length = CK_ULONG::try_from(data.len())?;
        let mut length = CK_ULONG::try_from(output.len())?;
        // SAFETY: both buffers have the lengths that are told, and the module does not write to the first.
        let answer = unsafe {
            cipher(
                self.session.handle(),
                data.as_ptr().cast_mut(),
                data_length,
                output.as_mut_ptr(),
                &raw mut length,
            )
        };
        Rv::from(answer).into_result(function)?;
        Ok(usize::try_from(length)?)
    }
}

impl Deref for Session {
    type Target = Plain;

    fn deref(&self) -> &Plain {
        &self.session
    }
}
