//! The vendor's module, loaded, and sessions with its tokens, treated as the profile says.
//!
//! Each call into the module that concerns a key goes by [`Session`], which knows what this vendor means by its codes.

use cryptoki::{
    context::Pkcs11,
    error::{Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, ObjectHandle},
    session::UserType,
    slot::Slot,
    types::AuthPin,
};

use super::{
    HsmError, Pin, Profile, Settings, template,
    token_file::{self, Emptied},
};

/// The module; clones share it.
#[derive(Clone)]
pub(super) struct Module {
    module: hsm_module::Module,
    profile: Profile,
}

impl Module {
    /// Loads the module and initializes it with the operating system's locks: without, SoftHSM crashes.
    pub(super) fn load(settings: &Settings) -> Result<Self, HsmError> {
        let (path, profile) = (settings.module.display(), settings.profile);
        // NSS crashes when its text does not say where its database lies.
        let init_args = settings.init_args.as_str();
        if let Some(needed) = profile.init_args
            && !(init_args.is_empty() || init_args.to_ascii_lowercase().contains(needed))
        {
            return Err(HsmError::Setup(format!("hsm.init_args: must contain {needed:?}")));
        }
        let module = hsm_module::Module::load(&settings.module).map_err(|error| {
            HsmError::Setup(format!("hsm.module: {path} cannot be loaded: {error}"))
        })?;
        if profile.rewrites_token {
            token_file::mend();
        }
        match module.initialize(init_args) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {
                Ok(Self { module, profile })
            }
            Err(Error::Pkcs11(RvError::ArgumentsBad, _)) => {
                Err(HsmError::Setup(format!("hsm.init_args: {path} does not take {init_args:?}")))
            }
            Err(error) => Err(profile.judge(&error)),
        }
    }

    /// The slot that holds the token called `label`, which is about to be logged in to.
    pub(super) fn find_token(&self, label: &str) -> Result<Slot, HsmError> {
        let slots = self.module.get_slots_with_initialized_token()?;
        let rewrites = self.profile.rewrites_token;
        for slot in &slots {
            let token = self.module.get_token_info(*slot)?;
            if token.label() == label {
                if rewrites {
                    token_file::keep(token.serial_number());
                }
                return Ok(*slot);
            }
        }
        let missing = format!("hsm.token_label: no token is called {label:?}");
        Err(match rewrites.then(token_file::emptied).flatten() {
            Some(Emptied::Lost(file)) => HsmError::Setup(format!(
                "{missing}, and {} is empty: a login was cut short, and there is no copy beside it to put back",
                file.display()
            )),
            Some(Emptied::ForNow) => HsmError::Away(format!("{missing}: another process logs in")),
            // Where there is none at all, it may come.
            None if slots.is_empty() => HsmError::Away(missing),
            None => HsmError::Setup(missing),
        })
    }

    /// What cryptoki tells of module, slots and tokens.
    pub(super) fn pkcs11(&self) -> &Pkcs11 {
        &self.module
    }

    /// A session that only reads.
    pub(super) fn open_ro_session(&self, slot: Slot) -> Result<Session, HsmError> {
        self.session(self.module.open_ro_session(slot))
    }

    /// A session that also writes.
    pub(super) fn open_rw_session(&self, slot: Slot) -> Result<Session, HsmError> {
        let session = match self.module.open_rw_session(slot) {
            Err(Error::Pkcs11(RvError::TokenWriteProtected, _)) => return Err(write_protected()),
            opened => self.session(opened)?,
        };
        // NSS opens one that only reads, and says nothing.
        if session.judged(session.session.get_session_info())?.read_write() {
            Ok(session)
        } else {
            Err(write_protected())
        }
    }

    /// Makes a token in `slot`, whose security officer and user have these PINs.
    pub(super) fn init_token(
        &self,
        slot: Slot,
        officer: &AuthPin,
        label: &str,
        pin: &Pin,
    ) -> Result<(), HsmError> {
        let module = &self.module;
        let made = module.init_token(slot, officer, label).and_then(|()| {
            let session = module.open_rw_session(slot)?;
            session.login(UserType::So, Some(officer))?;
            session.init_pin(pin.expose())
        });
        made.map_err(|error| self.profile.judge(&error))
    }

    fn session(
        &self,
        opened: cryptoki::error::Result<hsm_module::Session>,
    ) -> Result<Session, HsmError> {
        let session = opened.map_err(|error| self.profile.judge(&error))?;
        Ok(Session { session, profile: self.profile })
    }

    /// Finalizes the module; no session may be left.
    pub(super) fn finalize(self) -> Result<(), HsmError> {
        self.module.finalize().map_err(|error| self.profile.judge(&error))
    }
}

fn write_protected() -> HsmError {
    HsmError::Setup("the token is write-protected: no key can be made on it".to_owned())
}

/// A session, which is closed when it is dropped.
pub(super) struct Session {
    session: hsm_module::Session,
    profile: Profile,
}

impl Session {
    /// `template` without what this vendor's module cannot store.
    fn fitted(&self, template: &[Attribute]) -> Vec<Attribute> {
        let mut template = template.to_vec();
        if !self.profile.stores_mechanisms {
            template.retain(|attribute| !matches!(attribute, Attribute::AllowedMechanisms(_)));
        }
        template
    }

    fn judged<T>(&self, result: cryptoki::error::Result<T>) -> Result<T, HsmError> {
        result.map_err(|error| self.profile.judge(&error))
    }

    /// Logs in as the user who owns the keys.
    pub(super) fn log_in(&self, pin: &Pin) -> Result<(), HsmError> {
        match self.session.login(UserType::User, Some(pin.expose())) {
            Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            logged_in => self.judged(logged_in),
        }
    }

    pub(super) fn find_objects(
        &self,
        template: &[Attribute],
    ) -> Result<Vec<ObjectHandle>, HsmError> {
        self.judged(self.session.find_objects(template))
    }

    pub(super) fn get_attributes(
        &self,
        object: ObjectHandle,
        asked: &[AttributeType],
    ) -> Result<Vec<Attribute>, HsmError> {
        self.judged(self.session.get_attributes(object, asked))
    }

    pub(super) fn create_object(&self, template: &[Attribute]) -> Result<ObjectHandle, HsmError> {
        self.judged(self.session.create_object(&self.fitted(template)))
    }

    pub(super) fn copy_object(
        &self,
        object: ObjectHandle,
        template: &[Attribute],
    ) -> Result<ObjectHandle, HsmError> {
        self.judged(self.session.copy_object(object, template))
    }

    pub(super) fn destroy_object(&self, object: ObjectHandle) -> Result<(), HsmError> {
        self.judged(self.session.destroy_object(object))
    }

    pub(super) fn generate_key(
        &self,
        mechanism: &Mechanism<'_>,
        template: &[Attribute],
    ) -> Result<ObjectHandle, HsmError> {
        self.judged(self.session.generate_key(mechanism, &self.fitted(template)))
    }

    pub(super) fn generate_key_pair(
        &self,
        mechanism: &Mechanism<'_>,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Result<(ObjectHandle, ObjectHandle), HsmError> {
        let (public, private) = (self.fitted(public), self.fitted(private));
        self.judged(self.session.generate_key_pair(mechanism, &public, &private))
    }

    /// What is wrapped may be longer than it should: cryptoki leaves what the size query asked for.
    pub(super) fn wrap_key(
        &self,
        mechanism: &Mechanism<'_>,
        wrapping: ObjectHandle,
        key: ObjectHandle,
    ) -> Result<Vec<u8>, HsmError> {
        self.judged(self.session.wrap_key(mechanism, wrapping, key))
    }

    /// Unwraps an AES-256 key; its length is added to `template` where the profile says so.
    pub(super) fn unwrap_key(
        &self,
        mechanism: &Mechanism<'_>,
        unwrapping: ObjectHandle,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<ObjectHandle, HsmError> {
        let mut template = self.fitted(template);
        if self.profile.unwraps_with_length {
            template.push(template::length());
        }
        self.unwrap_key_as(mechanism, unwrapping, wrapped, &template)
    }

    /// The same, with the template as it is.
    pub(super) fn unwrap_key_as(
        &self,
        mechanism: &Mechanism<'_>,
        unwrapping: ObjectHandle,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<ObjectHandle, HsmError> {
        self.judged(self.session.unwrap_key(mechanism, unwrapping, wrapped, template))
    }

    /// Encrypts `data` into `encrypted`, and returns the length that the module gave it.
    pub(super) fn encrypt_into(
        &self,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        data: &[u8],
        encrypted: &mut [u8],
    ) -> Result<usize, HsmError> {
        self.judged(self.session.encrypt_into(mechanism, key, data, encrypted))
    }

    /// Decrypts `data` into `decrypted`, and returns the length that the module gave it.
    pub(super) fn decrypt_into(
        &self,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        data: &[u8],
        decrypted: &mut [u8],
    ) -> Result<usize, HsmError> {
        self.judged(self.session.decrypt_into(mechanism, key, data, decrypted))
    }

    pub(super) fn sign(
        &self,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        digest: &[u8],
    ) -> Result<Vec<u8>, HsmError> {
        self.judged(self.session.sign(mechanism, key, digest))
    }

    pub(super) fn generate_random_slice(&self, random: &mut [u8]) -> Result<(), HsmError> {
        self.judged(self.session.generate_random_slice(random))
    }
}
