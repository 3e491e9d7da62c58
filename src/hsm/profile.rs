//! How each vendor's module likes to be treated, as data.

use std::time::Duration;

use cryptoki::error::RvError;

use super::failure::Class;

/// What wrong PINs do to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lockout {
    /// Nothing.
    Never,
    /// So many in a row lock it.
    After(u32),
    /// Ask its vendor.
    Unknown,
}

/// The traits of a vendor's module.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// The name in `hsm.profile`.
    pub name: &'static str,
    /// Who the module says made it.
    pub(super) maker: Option<&'static str>,
    /// Worker threads, each with a session of its own.
    pub sessions: usize,
    /// Whether `CKA_VALUE_LEN` stands in the template of a key that is unwrapped.
    pub(super) unwraps_with_length: bool,
    /// Whether it stores `CKA_ALLOWED_MECHANISMS`, which keeps a key from being used by others.
    pub(super) stores_mechanisms: bool,
    /// What `hsm.init_args` must contain, unless it is empty; in small letters.
    pub(super) init_args: Option<&'static str>,
    /// What wrong PINs do.
    pub(super) lockout: Lockout,
    /// Whether a login that is cut short may lose the token, as [`super::token_file`] says.
    pub(super) rewrites_token: bool,
    /// How long its sessions may rest, and at most twice as long: then they are used once, before somebody on the way closes what
    /// says nothing.
    pub(super) rest: Duration,
    /// Codes that mean something else than the table of `failure.rs` says.
    pub(super) codes: &'static [(RvError, Class)],
}

impl Profile {
    /// SoftHSM 2.6. It saturates at one thread a process; two are the worst choice. It refuses the length of a key that is unwrapped.
    pub const SOFTHSM: Self = Self {
        name: "softhsm",
        maker: Some("SoftHSM"),
        lockout: Lockout::Never,
        rewrites_token: true,
        ..Self::STANDARD
    };

    /// Kryoptic 1.5.
    pub const KRYOPTIC: Self = Self {
        name: "kryoptic",
        maker: Some("Kryoptic"),
        lockout: Lockout::After(10),
        // What a token object says after a logout; of bytes it never does.
        codes: &[(RvError::GeneralError, Class::Login)],
        ..Self::STANDARD
    };

    /// NSS softokn 3.87.
    pub const NSS: Self = Self {
        name: "nss",
        maker: Some("Mozilla Foundation"),
        lockout: Lockout::Never,
        stores_mechanisms: false,
        init_args: Some("configdir="),
        // What C_GenerateRandom says after a C_Finalize.
        codes: &[(RvError::ArgumentsBad, Class::Library)],
        ..Self::STANDARD
    };

    /// Any other: what the standard says, and what most accept.
    pub const PKCS11: Self = Self { name: "pkcs11", unwraps_with_length: true, ..Self::STANDARD };

    const STANDARD: Self = Self {
        name: "",
        maker: None,
        sessions: 1,
        unwraps_with_length: false,
        stores_mechanisms: true,
        init_args: None,
        lockout: Lockout::Unknown,
        rewrites_token: false,
        rest: Duration::from_secs(10),
        codes: &[],
    };

    const ALL: [Self; 4] = [Self::SOFTHSM, Self::KRYOPTIC, Self::NSS, Self::PKCS11];

    /// The profile called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// The profile for a module that says it was made by `maker`.
    pub(super) fn of_maker(maker: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.maker == Some(maker))
    }

    /// The names of all profiles.
    pub fn names() -> [&'static str; 4] {
        Self::ALL.map(|profile| profile.name)
    }
}
