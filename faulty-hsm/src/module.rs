//! The real module, and what is kept beside it.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_OBJECT_HANDLE, CK_RV, CK_SLOT_ID, CKR_GENERAL_ERROR, CKR_OK, Pkcs11,
};

use crate::{
    control::Control,
    counts,
    fault::Plan,
    files::say,
    handles::Handles,
    kit::{CONTROL, COUNTS, MODULE},
};

/// The real module while it is loaded, which is for ever.
pub struct Module {
    pub real: CK_FUNCTION_LIST,
    pub handles: Handles,
    /// Held by every call into the real module, and alone by what must find nobody inside: SoftHSM crashes otherwise.
    pub inside: RwLock<()>,
    control: Control,
    counts: Option<PathBuf>,
    /// Keeps the functions of `real` where they are.
    _library: Pkcs11,
}

static LOADED: OnceLock<Module> = OnceLock::new();

/// Loads what the environment names, unless that was done before.
pub fn load() -> Result<(), CK_RV> {
    if LOADED.get().is_none() {
        let module = Module::of_environment().map_err(|why| {
            say(&why);
            CKR_GENERAL_ERROR
        })?;
        // Another thread may have been faster; theirs is as good.
        LOADED.get_or_init(|| module);
    }
    Ok(())
}

/// What [`load`] loaded; nobody has our functions before.
pub fn loaded() -> Result<&'static Module, CK_RV> {
    LOADED.get().ok_or(CKR_GENERAL_ERROR)
}

impl Module {
    fn of_environment() -> Result<Self, String> {
        let control = file(CONTROL)?.ok_or_else(|| format!("{CONTROL} is not set"))?;
        let path = variable(MODULE).ok_or_else(|| format!("{MODULE} is not set"))?;
        let (library, real) = open(&path).map_err(|why| format!("{MODULE}: {why}"))?;
        Ok(Self {
            real,
            handles: Handles::default(),
            inside: RwLock::default(),
            control: Control::new(control),
            counts: file(COUNTS)?,
            _library: library,
        })
    }

    /// What goes wrong now; `None` when nothing does.
    pub fn look(&self) -> Result<Option<Arc<Plan>>, CK_RV> {
        self.control.look(|| self.write_counts())
    }

    /// `C_Finalize` without the caller's knowledge.
    pub fn finalize(&self) {
        let _alone = self.inside.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(finalize) = self.real.C_Finalize {
            // SAFETY: nobody is inside, and the argument is what the standard reserves.
            unsafe { finalize(std::ptr::null_mut()) };
        }
        self.handles.forget();
    }

    /// `C_CloseAllSessions` without the caller's knowledge.
    pub fn close_sessions(&self) {
        let _alone = self.inside.write().unwrap_or_else(PoisonError::into_inner);
        for slot in self.handles.slots() {
            if let Some(close) = self.real.C_CloseAllSessions {
                // SAFETY: nobody is inside, and the argument is a number.
                unsafe { close(slot) };
            }
        }
    }

    pub fn opened(&self, slot: CK_SLOT_ID) {
        self.handles.opened(slot);
    }

    pub fn destroyed(&self, object: CK_OBJECT_HANDLE) {
        self.handles.destroyed(object);
    }

    pub fn finalized(&self) {
        self.handles.forget();
        self.write_counts();
    }

    fn write_counts(&self) {
        if let Some(path) = &self.counts
            && let Err(error) = counts::write(path)
        {
            say(&format!("{COUNTS}: {}: {error}", path.display()));
        }
    }
}

fn open(path: &OsString) -> Result<(Pkcs11, CK_FUNCTION_LIST), String> {
    let shown = Path::new(path).display();
    // SAFETY: whoever sets the variable trusts what the library does when it is loaded.
    let library = unsafe { Pkcs11::new(path) }.map_err(|error| format!("{shown}: {error}"))?;
    let get = library.C_GetFunctionList.as_ref().map_err(|error| format!("{shown}: {error}"))?;
    let mut list = std::ptr::null_mut();
    // SAFETY: the list is written to where it can be.
    let answer = unsafe { get(&raw mut list) };
    if answer != CKR_OK || list.is_null() {
        return Err(format!("{shown}: C_GetFunctionList answers {answer:#x}"));
    }
    // SAFETY: the module gave it, and stays as long as the copy does.
    let real = unsafe { list.read() };
    Ok((library, real))
}

/// The file that `name` names, in a directory that there is.
fn file(name: &str) -> Result<Option<PathBuf>, String> {
    let Some(path) = variable(name).map(PathBuf::from) else { return Ok(None) };
    match path.parent() {
        Some(directory) if directory.is_dir() => Ok(Some(path)),
        _ => Err(format!("{name}: {} is in no directory that there is", path.display())),
    }
}

#[expect(clippy::disallowed_methods, reason = "nobody hands a configuration to a PKCS#11 module")]
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
