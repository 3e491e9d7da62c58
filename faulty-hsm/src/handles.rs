//! The keys and slots that this process has to do with.

use std::{
    collections::BTreeSet,
    mem::size_of,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_BBOOL, CK_FUNCTION_LIST, CK_OBJECT_HANDLE,
    CK_SESSION_HANDLE, CK_SLOT_ID, CK_TRUE, CK_ULONG, CKA_CLASS, CKA_KEY_TYPE, CKR_OK,
};

use crate::files::say;

/// What calls that went well left behind.
#[derive(Default)]
pub struct Handles {
    /// Keys in the order of their making; some may have died with their sessions.
    keys: Mutex<Vec<CK_OBJECT_HANDLE>>,
    slots: Mutex<BTreeSet<CK_SLOT_ID>>,
}

impl Handles {
    pub fn made(&self, key: CK_OBJECT_HANDLE) {
        lock(&self.keys).push(key);
    }

    pub fn destroyed(&self, object: CK_OBJECT_HANDLE) {
        let mut keys = lock(&self.keys);
        if let Some(at) = keys.iter().position(|key| *key == object) {
            keys.remove(at);
        }
    }

    pub fn opened(&self, slot: CK_SLOT_ID) {
        lock(&self.slots).insert(slot);
    }

    pub fn slots(&self) -> BTreeSet<CK_SLOT_ID> {
        lock(&self.slots).clone()
    }

    /// Nothing outlives `C_Finalize`.
    pub fn forget(&self) {
        lock(&self.keys).clear();
        lock(&self.slots).clear();
    }

    /// The nearest other key that may stand in for `key`; `key` itself when there is none.
    pub fn another(
        &self,
        real: &CK_FUNCTION_LIST,
        session: CK_SESSION_HANDLE,
        key: CK_OBJECT_HANDLE,
        right: CK_ATTRIBUTE_TYPE,
    ) -> CK_OBJECT_HANDLE {
        let kind = Kind::of(real, session, key, right);
        let wanted = kind.map(|kind| Kind { allowed: true, ..kind });
        let keys = lock(&self.keys).clone();
        let found = neighbours(&keys, key)
            .into_iter()
            .find(|other| wanted.is_some() && Kind::of(real, session, *other, right) == wanted);
        found.unwrap_or_else(|| {
            say("swap_key: there is no other key of this kind");
            key
        })
    }
}

/// What a key must have in common with one that stands in for it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    class: CK_ULONG,
    key_type: CK_ULONG,
    allowed: bool,
}

impl Kind {
    /// `None` for what is dead, or no key.
    fn of(
        real: &CK_FUNCTION_LIST,
        session: CK_SESSION_HANDLE,
        key: CK_OBJECT_HANDLE,
        right: CK_ATTRIBUTE_TYPE,
    ) -> Option<Self> {
        let (mut class, mut key_type, mut allowed) = (0, 0, 0);
        let mut asked = [
            attribute::<CK_ULONG>(CKA_CLASS, &mut class),
            attribute::<CK_ULONG>(CKA_KEY_TYPE, &mut key_type),
            attribute::<CK_BBOOL>(right, &mut allowed),
        ];
        let get = real.C_GetAttributeValue?;
        // SAFETY: each of the three attributes points to a variable of its type that outlives the call.
        let answer = unsafe { get(session, key, asked.as_mut_ptr(), 3) };
        (answer == CKR_OK).then_some(Self { class, key_type, allowed: allowed == CK_TRUE })
    }
}

/// Asks for an attribute of a fixed size.
fn attribute<T>(name: CK_ATTRIBUTE_TYPE, value: &mut T) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: name,
        pValue: (&raw mut *value).cast(),
        ulValueLen: CK_ULONG::try_from(size_of::<T>()).unwrap_or_default(),
    }
}

/// All others, the nearest first.
fn neighbours(keys: &[CK_OBJECT_HANDLE], key: CK_OBJECT_HANDLE) -> Vec<CK_OBJECT_HANDLE> {
    let at = keys.iter().position(|other| *other == key).unwrap_or(keys.len());
    let mut others: Vec<_> = keys.iter().enumerate().filter(|(place, _)| *place != at).collect();
    others.sort_by_key(|(place, _)| (at.abs_diff(*place), *place));
    others.into_iter().map(|(_, other)| *other).collect()
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
