//! Module, login, root key, signing key and KEK handles, as one value.
//!
//! Handles mean something within their generation only, so they live and die
//! with it. The anchor session holds the login and owns every session object:
//! it is opened first and closed last.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use crossbeam_channel::{Receiver, Sender};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as Pkcs11Error, RvError},
    object::ObjectHandle,
    session::{Session, UserType},
    slot::Slot,
};
use moka::sync::Cache;

use super::{
    HsmError, Pin, Settings,
    kek::{KekHandle, WrappedKek},
    root::{Root, Roots, find_root},
    signing::Signer,
};
use crate::ids::RootVersion;

pub(super) struct Generation {
    roots: Roots,
    signer: Signer,
    keks: Cache<WrappedKek, Arc<KekHandle>>,
    graveyard: (Sender<ObjectHandle>, Receiver<ObjectHandle>),
    /// A KEK of a domain that this token has unwrapped.
    proven: OnceLock<WrappedKek>,
    anchor: Mutex<Session>,
    slot: Slot,
    pkcs11: Pkcs11,
}

impl Generation {
    pub(super) fn open(settings: &Settings) -> Result<Self, HsmError> {
        let pkcs11 = load(&settings.module)?;
        // What fails from here on may be tried again, by who initializes the module anew.
        Self::find(&pkcs11, settings).inspect_err(|_| drop(pkcs11.clone().finalize()))
    }

    fn find(pkcs11: &Pkcs11, settings: &Settings) -> Result<Self, HsmError> {
        let slot = find_token(pkcs11, &settings.token_label)?;
        let anchor = pkcs11.open_ro_session(slot)?;
        log_in(&anchor, &settings.pin()?)?;
        let roots = Roots::find(&anchor)?;
        let signer = Signer::find(&anchor)?.at_hand(&anchor);
        Ok(Self {
            roots,
            signer,
            keks: Cache::new(settings.kek_handles),
            graveyard: crossbeam_channel::unbounded(),
            proven: OnceLock::new(),
            anchor: Mutex::new(anchor),
            slot,
            pkcs11: pkcs11.clone(),
        })
    }

    /// Closes every session, and finalizes the module: no worker may be left.
    pub(super) fn close(self) {
        let pkcs11 = self.pkcs11.clone();
        drop(self);
        if let Err(error) = pkcs11.finalize() {
            tracing::debug!(%error, "the module was not finalized");
        }
    }

    /// A session for a worker; it inherits the login.
    pub(super) fn open_session(&self) -> Result<Session, HsmError> {
        Ok(self.pkcs11.open_ro_session(self.slot)?)
    }

    /// The newest root that there was when the generation began.
    pub(super) const fn newest_root(&self) -> Root {
        self.roots.newest()
    }

    /// The root of `version`.
    pub(super) fn root(&self, version: RootVersion) -> Result<Root, HsmError> {
        self.roots.get(version, || find_root(&self.anchor(), version))
    }

    pub(super) const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The session that owns the KEKs' objects.
    fn anchor(&self) -> MutexGuard<'_, Session> {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lease on `kek`'s handle, unwrapping it first when it is not at hand; `session` proves what was unwrapped.
    ///
    /// However many ask for a cold KEK, it is unwrapped once. Its binding is
    /// checked then: the KEK of another domain or version is refused.
    pub(super) fn lease(
        &self,
        kek: &WrappedKek,
        session: &Session,
    ) -> Result<Arc<KekHandle>, HsmError> {
        let load = || self.load_kek(kek, session);
        self.keks.try_get_with_by_ref(kek, load).map_err(|error| (*error).clone())
    }

    fn load_kek(&self, kek: &WrappedKek, session: &Session) -> Result<Arc<KekHandle>, HsmError> {
        let root = self.root(kek.root())?;
        let object = kek.unwrap(&self.anchor(), root.object)?;
        let handle = Arc::new(KekHandle::new(object, self.graveyard.0.clone()));
        if kek.is_bound_to(session, object) {
            Ok(handle)
        } else {
            Err(HsmError::tampered("the domain's KEK"))
        }
    }

    /// A KEK of a domain that this token has unwrapped, if there was one.
    pub(super) fn proven(&self) -> Option<&WrappedKek> {
        self.proven.get()
    }

    /// `kek` is one.
    pub(super) fn prove(&self, kek: &WrappedKek) {
        if self.proven.get().is_none() {
            let _ = self.proven.set(kek.clone());
        }
    }

    /// Forgets `kek`'s handle; who holds a lease keeps it until they are done.
    pub(super) fn evict(&self, kek: &WrappedKek) {
        self.keks.invalidate(kek);
    }

    /// Forgets the handles of the KEKs whose binding begins with `domain`.
    pub(super) fn forget(&self, domain: &[u8]) {
        for (kek, _) in &self.keks {
            if kek.aad().starts_with(domain) {
                self.keks.invalidate(&*kek);
            }
        }
    }

    /// Destroys the objects whose last lease has ended.
    pub(super) fn bury(&self, session: &Session) {
        for object in self.graveyard.1.try_iter() {
            if let Err(error) = session.destroy_object(object) {
                tracing::debug!(%error, "an evicted KEK's object could not be destroyed");
            }
        }
    }
}

/// Loads the module and initializes it with the operating system's locks: without, SoftHSM crashes.
pub(super) fn load(module: &Path) -> Result<Pkcs11, HsmError> {
    let pkcs11 = Pkcs11::new(module).map_err(|error| {
        HsmError::Setup(format!("hsm.module: {} cannot be loaded: {error}", module.display()))
    })?;
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) => Ok(pkcs11),
        Err(Pkcs11Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(pkcs11),
        Err(error) => Err(error.into()),
    }
}

/// Does `work` in a session that may write, and leaves the module as if nobody had been there.
pub(super) fn visit<T>(
    settings: &Settings,
    work: impl FnOnce(&Session) -> Result<T, HsmError>,
) -> Result<T, HsmError> {
    let pkcs11 = load(&settings.module)?;
    let done = {
        let session = pkcs11.open_rw_session(find_token(&pkcs11, &settings.token_label)?)?;
        log_in(&session, &settings.pin()?)?;
        work(&session)
    };
    pkcs11.finalize()?;
    done
}

/// The slot that holds the token called `label`.
pub(super) fn find_token(pkcs11: &Pkcs11, label: &str) -> Result<Slot, HsmError> {
    let slots = pkcs11.get_slots_with_initialized_token()?;
    for slot in &slots {
        if pkcs11.get_token_info(*slot)?.label() == label {
            return Ok(*slot);
        }
    }
    let missing = format!("hsm.token_label: no token is called {label:?}");
    // Where there is none at all, it may come.
    Err(if slots.is_empty() { HsmError::Away(missing) } else { HsmError::Setup(missing) })
}

pub(super) fn log_in(session: &Session, pin: &Pin) -> Result<(), HsmError> {
    match session.login(UserType::User, Some(pin.expose())) {
        Ok(()) | Err(Pkcs11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Pkcs11Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid, _)) => {
            Err(HsmError::PinIncorrect)
        }
        Err(error) => Err(error.into()),
    }
}
