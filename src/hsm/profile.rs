//! How each vendor's module likes to be treated, as data.

/// The traits of a vendor's module.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// The name in `hsm.profile`.
    pub name: &'static str,
    /// Worker threads, each with a session of its own.
    pub sessions: usize,
}

impl Profile {
    /// SoftHSM 2.6 saturates at one thread a process; two are the worst choice.
    pub const SOFTHSM: Self = Self { name: "softhsm", sessions: 1 };

    const ALL: [Self; 1] = [Self::SOFTHSM];

    /// The profile called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }
}
