//! Module, login, root key, signing key and KEK handles, as one value.
//!
//! Handles mean something within their generation only, so they live and die
//! with it. The anchor session holds the login and owns session objects: it is
//! opened first and closed last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender};
use cryptoki::{object::ObjectHandle, slot::Slot};
use moka::sync::Cache;

use super::{
    HsmError, Settings,
    kek::{KekHandle, WrappedKek},
    module::{Module, Session},
    owners::Owners,
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
    proven: Mutex<Option<WrappedKek>>,
    owners: Owners,
    slot: Slot,
    module: Module,
}

/// The module, and a session with its token that is logged in.
pub(super) struct Login {
    anchor: Session,
    slot: Slot,
    module: Module,
}

impl Login {
    /// Loads the module, and logs in. A PIN that is refused is told to `refused` at once: what comes then may hang.
    pub(super) fn new(settings: &Settings, refused: impl FnOnce()) -> Result<Self, HsmError> {
        let module = Module::load(settings)?;
        let log_in = || {
            let slot = module.find_token(&settings.token_label)?;
            let anchor = module.open_ro_session(slot)?;
            anchor.log_in(&settings.pin()?).inspect_err(|error| {
                if *error == HsmError::PinIncorrect {
                    refused();
                }
            })?;
            Ok(Self { anchor, slot, module: module.clone() })
        };
        // Whoever tries again initializes the module anew.
        log_in().inspect_err(|_| drop(module.clone().finalize()))
    }
}

impl Generation {
    /// Finds the keys.
    pub(super) fn new(login: Login, settings: &Settings) -> Result<Self, HsmError> {
        let module = login.module.clone();
        Self::find(login, settings).inspect_err(|_| drop(module.finalize()))
    }

    fn find(login: Login, settings: &Settings) -> Result<Self, HsmError> {
        let Login { anchor, slot, module } = login;
        let roots = Roots::find(&anchor)?;
        let signer = Signer::find(&anchor)?.at_hand(&anchor);
        Ok(Self {
            roots,
            signer,
            keks: Cache::new(settings.kek_handles),
            graveyard: crossbeam_channel::unbounded(),
            proven: Mutex::default(),
            owners: Owners::new(anchor, settings.sessions()),
            slot,
            module,
        })
    }

    /// Closes every session, and finalizes the module: no worker may be left.
    pub(super) fn close(self) {
        let module = self.module.clone();
        drop(self);
        if let Err(error) = module.finalize() {
            tracing::debug!(%error, "the module was not finalized");
        }
    }

    /// A session for a worker; it inherits the login.
    pub(super) fn open_session(&self) -> Result<Session, HsmError> {
        self.module.open_ro_session(self.slot)
    }

    /// The newest root that there was when the generation began.
    pub(super) const fn newest_root(&self) -> Root {
        self.roots.newest()
    }

    /// The root of `version`.
    pub(super) fn root(&self, version: RootVersion) -> Result<Root, HsmError> {
        self.roots.get(version, || self.own(|session| find_root(session, version)))
    }

    pub(super) const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Does `work` with a session whose objects live as long as the generation.
    fn own<T>(&self, work: impl FnOnce(&Session) -> T) -> T {
        self.owners.with(|| self.open_session(), work)
    }

    /// Has the session that holds the login, or one like it, do something.
    pub(super) fn stir(&self) -> Result<(), HsmError> {
        self.own(|session| session.generate_random_slice(&mut [0]))
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
        let object = self.own(|session| kek.unwrap(session, root.object))?;
        let handle = Arc::new(KekHandle::new(object, self.graveyard.0.clone()));
        if kek.is_bound_to(session, object) {
            Ok(handle)
        } else {
            Err(HsmError::tampered("the domain's KEK"))
        }
    }

    /// A KEK of a domain that this token has unwrapped, if there was one.
    pub(super) fn proven(&self) -> Option<WrappedKek> {
        self.lock_proven().clone()
    }

    /// `kek` is one.
    pub(super) fn prove(&self, kek: &WrappedKek) {
        self.lock_proven().get_or_insert_with(|| kek.clone());
    }

    fn lock_proven(&self) -> MutexGuard<'_, Option<WrappedKek>> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets `kek`'s handle; who holds a lease keeps it until they are done.
    pub(super) fn evict(&self, kek: &WrappedKek) {
        self.keks.invalidate(kek);
    }

    /// Forgets the KEKs whose binding begins with `domain`, and their handles.
    pub(super) fn forget(&self, domain: &[u8]) {
        let is_of_it = |kek: &WrappedKek| kek.aad().starts_with(domain);
        self.lock_proven().take_if(|kek| is_of_it(kek));
        for (kek, _) in &self.keks {
            if is_of_it(&kek) {
                self.keks.invalidate(&*kek);
            }
        }
        // The cache would drop them when it is used next, which may be never.
        self.keks.run_pending_tasks();
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

/// Does `work` in a session that may write, and leaves the module as if nobody had been there.
pub(super) fn visit<T>(
    settings: &Settings,
    work: impl FnOnce(&Session) -> Result<T, HsmError>,
) -> Result<T, HsmError> {
    let module = Module::load(settings)?;
    let done = {
        let session = module.open_rw_session(module.find_token(&settings.token_label)?)?;
        session.log_in(&settings.pin()?)?;
        work(&session)
    };
    // What was done, or why not, is worth more.
    let ended = module.finalize();
    let done = done?;
    ended?;
    Ok(done)
}
