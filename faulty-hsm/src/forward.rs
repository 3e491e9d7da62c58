//! The functions that callers see. Each hands its call on; what happens on the way is in `call`.

#![expect(non_snake_case, reason = "the names are the standard's")]

use cryptoki_sys::*;

use crate::{call, function::Function};

/// Whether there is anything.
macro_rules! given {
    () => {
        false
    };
    ($($anything:tt)+) => {
        true
    };
}

/// The functions, and what is to be known of some:
/// `swaps` (which keys `swap_key` replaces, and the right that another must have), `gives` (the output that `corrupt`
/// changes, and its length), `makes` (where new handles are written), `then` (what the module notes when it went well).
macro_rules! functions {
    ($(
        $name:ident($($argument:ident: $type:ty),*)
            $(swaps($session:ident: $($key:ident with $right:ident),+))?
            $(gives($output:ident, $length:ident))?
            $(makes($($made:ident),+))?
            $(then $note:ident($($noted:ident)?))?;
    )*) => {
        #[expect(non_upper_case_globals, reason = "the names are the standard's")]
        mod known {
            use super::Function;
            $(pub static $name: Function = Function::new(
                stringify!($name),
                given!($($session)?),
                given!($($output)?),
            );)*
        }

        /// Every function but `C_GetFunctionList`.
        pub static ALL: &[&Function] = &[$(&known::$name),*];

        /// What `C_GetFunctionList` gives.
        pub static LIST: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            C_GetFunctionList: Some(crate::C_GetFunctionList),
            $($name: Some($name)),*
        };

        $(unsafe extern "C" fn $name($($argument: $type),*) -> CK_RV {
            let has_output = false $(|| !$output.is_null())?;
            call::pass(&known::$name, has_output, |module, twist| {
                // Most functions have nothing to twist.
                let _ = twist;
                $($(let $key = if twist.swap_key {
                    module.handles.another(&module.real, $session, $key, $right)
                } else {
                    $key
                };)+)?
                let Some(real) = module.real.$name else {
                    return CKR_FUNCTION_NOT_SUPPORTED;
                };
                // SAFETY: the real module gets what the caller gave, who keeps to the standard.
                let answer = unsafe { real($($argument),*) };
                if answer == CKR_OK {
                    $(if twist.corrupt {
                        // SAFETY: the module has just written the output and its length.
                        unsafe { $length.flip($output) };
                    })?
                    // SAFETY: the module has just written the handle.
                    $($(module.handles.made(unsafe { $made.read() });)+)?
                    $(module.$note($($noted)?);)?
                }
                answer
            })
        })*
    };
}

/// The length of an output, or where it is written.
trait Length {
    /// Changes one bit of an output that has this length.
    ///
    /// # Safety
    ///
    /// `output` must be null or have this length, which must be readable.
    unsafe fn flip(self, output: CK_BYTE_PTR);
}

impl Length for CK_ULONG {
    unsafe fn flip(self, output: CK_BYTE_PTR) {
        if !output.is_null() && self > 0 {
            // SAFETY: the first byte is there, since the length is not nought.
            unsafe { output.write(output.read() ^ 1) };
        }
    }
}

impl Length for CK_ULONG_PTR {
    unsafe fn flip(self, output: CK_BYTE_PTR) {
        // SAFETY: the caller's promise.
        unsafe { self.read().flip(output) };
    }
}

type Session = CK_SESSION_HANDLE;
type Object = CK_OBJECT_HANDLE;
type Mechanism = CK_MECHANISM_PTR;
type Bytes = CK_BYTE_PTR;
type Text = CK_UTF8CHAR_PTR;
type Long = CK_ULONG;
type LongOut = CK_ULONG_PTR;
type ObjectOut = CK_OBJECT_HANDLE_PTR;
type Template = CK_ATTRIBUTE_PTR;

functions! {
    C_Initialize(arguments: CK_VOID_PTR);
    C_Finalize(reserved: CK_VOID_PTR) then finalized();
    C_GetInfo(info: CK_INFO_PTR);
    C_GetSlotList(present: CK_BBOOL, slots: CK_SLOT_ID_PTR, count: LongOut);
    C_GetSlotInfo(slot: CK_SLOT_ID, info: CK_SLOT_INFO_PTR);
    C_GetTokenInfo(slot: CK_SLOT_ID, info: CK_TOKEN_INFO_PTR);
    C_GetMechanismList(slot: CK_SLOT_ID, mechanisms: CK_MECHANISM_TYPE_PTR, count: LongOut);
    C_GetMechanismInfo(slot: CK_SLOT_ID, mechanism: CK_MECHANISM_TYPE, info: CK_MECHANISM_INFO_PTR);
    C_InitToken(slot: CK_SLOT_ID, pin: Text, pin_len: Long, label: Text);
    C_InitPIN(session: Session, pin: Text, pin_len: Long);
    C_SetPIN(session: Session, old: Text, old_len: Long, new: Text, new_len: Long);
    C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, application: CK_VOID_PTR, notify: CK_NOTIFY,
        session: CK_SESSION_HANDLE_PTR) then opened(slot);
    C_CloseSession(session: Session);
    C_CloseAllSessions(slot: CK_SLOT_ID);
    C_GetSessionInfo(session: Session, info: CK_SESSION_INFO_PTR);
    C_GetOperationState(session: Session, state: Bytes, state_len: LongOut);
    C_SetOperationState(session: Session, state: Bytes, state_len: Long, encryption: Object, authentication: Object);
    C_Login(session: Session, user: CK_USER_TYPE, pin: Text, pin_len: Long);
    C_Logout(session: Session);
    C_CreateObject(session: Session, template: Template, count: Long, object: ObjectOut);
    C_CopyObject(session: Session, object: Object, template: Template, count: Long, copy: ObjectOut) makes(copy);
    C_DestroyObject(session: Session, object: Object) then destroyed(object);
    C_GetObjectSize(session: Session, object: Object, size: LongOut);
    C_GetAttributeValue(session: Session, object: Object, template: Template, count: Long);
    C_SetAttributeValue(session: Session, object: Object, template: Template, count: Long);
    C_FindObjectsInit(session: Session, template: Template, count: Long);
    C_FindObjects(session: Session, objects: ObjectOut, most: Long, count: LongOut);
    C_FindObjectsFinal(session: Session);
    C_EncryptInit(session: Session, mechanism: Mechanism, key: Object) swaps(session: key with CKA_ENCRYPT);
    C_Encrypt(session: Session, data: Bytes, data_len: Long, encrypted: Bytes, encrypted_len: LongOut)
        gives(encrypted, encrypted_len);
    C_EncryptUpdate(session: Session, part: Bytes, part_len: Long, encrypted: Bytes, encrypted_len: LongOut);
    C_EncryptFinal(session: Session, encrypted: Bytes, encrypted_len: LongOut);
    C_DecryptInit(session: Session, mechanism: Mechanism, key: Object) swaps(session: key with CKA_DECRYPT);
    C_Decrypt(session: Session, encrypted: Bytes, encrypted_len: Long, data: Bytes, data_len: LongOut)
        gives(data, data_len);
    C_DecryptUpdate(session: Session, encrypted: Bytes, encrypted_len: Long, part: Bytes, part_len: LongOut);
    C_DecryptFinal(session: Session, part: Bytes, part_len: LongOut);
    C_DigestInit(session: Session, mechanism: Mechanism);
    C_Digest(session: Session, data: Bytes, data_len: Long, digest: Bytes, digest_len: LongOut);
    C_DigestUpdate(session: Session, part: Bytes, part_len: Long);
    C_DigestKey(session: Session, key: Object);
    C_DigestFinal(session: Session, digest: Bytes, digest_len: LongOut);
    C_SignInit(session: Session, mechanism: Mechanism, key: Object) swaps(session: key with CKA_SIGN);
    C_Sign(session: Session, data: Bytes, data_len: Long, signature: Bytes, signature_len: LongOut);
    C_SignUpdate(session: Session, part: Bytes, part_len: Long);
    C_SignFinal(session: Session, signature: Bytes, signature_len: LongOut);
    C_SignRecoverInit(session: Session, mechanism: Mechanism, key: Object);
    C_SignRecover(session: Session, data: Bytes, data_len: Long, signature: Bytes, signature_len: LongOut);
    C_VerifyInit(session: Session, mechanism: Mechanism, key: Object);
    C_Verify(session: Session, data: Bytes, data_len: Long, signature: Bytes, signature_len: Long);
    C_VerifyUpdate(session: Session, part: Bytes, part_len: Long);
    C_VerifyFinal(session: Session, signature: Bytes, signature_len: Long);
    C_VerifyRecoverInit(session: Session, mechanism: Mechanism, key: Object);
    C_VerifyRecover(session: Session, signature: Bytes, signature_len: Long, data: Bytes, data_len: LongOut);
    C_DigestEncryptUpdate(session: Session, part: Bytes, part_len: Long, encrypted: Bytes, encrypted_len: LongOut);
    C_DecryptDigestUpdate(session: Session, encrypted: Bytes, encrypted_len: Long, part: Bytes, part_len: LongOut);
    C_SignEncryptUpdate(session: Session, part: Bytes, part_len: Long, encrypted: Bytes, encrypted_len: LongOut);
    C_DecryptVerifyUpdate(session: Session, encrypted: Bytes, encrypted_len: Long, part: Bytes, part_len: LongOut);
    C_GenerateKey(session: Session, mechanism: Mechanism, template: Template, count: Long, key: ObjectOut) makes(key);
    C_GenerateKeyPair(session: Session, mechanism: Mechanism, public_template: Template, public_count: Long,
        private_template: Template, private_count: Long, public: ObjectOut, private: ObjectOut) makes(public, private);
    C_WrapKey(session: Session, mechanism: Mechanism, wrapping: Object, key: Object, wrapped: Bytes, wrapped_len: LongOut)
        swaps(session: wrapping with CKA_WRAP, key with CKA_EXTRACTABLE) gives(wrapped, wrapped_len);
    C_UnwrapKey(session: Session, mechanism: Mechanism, unwrapping: Object, wrapped: Bytes, wrapped_len: Long,
        template: Template, count: Long, key: ObjectOut) swaps(session: unwrapping with CKA_UNWRAP) makes(key);
    C_DeriveKey(session: Session, mechanism: Mechanism, base: Object, template: Template, count: Long, key: ObjectOut);
    C_SeedRandom(session: Session, seed: Bytes, seed_len: Long);
    C_GenerateRandom(session: Session, random: Bytes, random_len: Long) gives(random, random_len);
    C_GetFunctionStatus(session: Session);
    C_CancelFunction(session: Session);
    C_WaitForSlotEvent(flags: CK_FLAGS, slot: CK_SLOT_ID_PTR, reserved: CK_VOID_PTR);
}
