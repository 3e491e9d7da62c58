//! The methods of the original's service.

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Seals data and stores it as the caller's own.
    Create,
    /// Changes name or tags.
    Update,
    /// Removes a secret.
    Delete,
    /// Replaces its data.
    UpdateData,
    /// Reveals its data.
    GetData,
    /// Its metadata.
    Get,
    /// The metadata of many.
    List,
    /// What can be counted.
    Stat,
}

impl Method {
    /// The service that has them.
    pub const SERVICE: &str = "spaceone.api.user_secret.v1.UserSecret";

    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::UpdateData,
        Self::GetData,
        Self::Get,
        Self::List,
        Self::Stat,
    ];

    /// The method called `name` on the wire.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::UpdateData => "update_data",
            Self::GetData => "get_data",
            Self::Get => "get",
            Self::List => "list",
            Self::Stat => "stat",
        }
    }

    /// Its name in the log.
    pub const fn operation(self) -> &'static str {
        match self {
            Self::Create => "UserSecret.create",
            Self::Update => "UserSecret.update",
            Self::Delete => "UserSecret.delete",
            Self::UpdateData => "UserSecret.update_data",
            Self::GetData => "UserSecret.get_data",
            Self::Get => "UserSecret.get",
            Self::List => "UserSecret.list",
            Self::Stat => "UserSecret.stat",
        }
    }
}
