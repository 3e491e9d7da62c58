//! What is said of a domain's KEKs.

use ::entity::kek;

use super::{super::Store, stored};
use crate::{
    auth::Scope,
    clock::Timestamp,
    database::{Admits, Planning},
    error::Result,
    ids::{KekVersion, RootVersion},
};

/// What is said of a version of a domain's KEK.
#[derive(Debug, Clone)]
pub struct KekInfo {
    /// The version.
    pub version: KekVersion,
    /// The version of the root that wraps it.
    pub root: RootVersion,
    /// When it was made.
    pub created_at: Timestamp,
    /// When another version took its place.
    pub retired_at: Option<Timestamp>,
    /// When it was destroyed.
    pub destroyed_at: Option<Timestamp>,
    /// How many wraps replicas have taken from its budget.
    pub wraps: i64,
}

impl Store {
    /// Every version of the domain's KEK, the newest first.
    pub async fn keks(&self, scope: &Scope) -> Result<Vec<KekInfo>> {
        let all = Admits::All;
        let snapshot = self.database.begin(scope.domain(), all, Planning::default()).await?;
        let rows = stored(&snapshot, scope.domain()).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

impl From<kek::Model> for KekInfo {
    fn from(row: kek::Model) -> Self {
        Self {
            version: KekVersion(row.version),
            root: RootVersion(row.root_version),
            created_at: Timestamp::from_micros(row.created_at),
            retired_at: row.retired_at.map(Timestamp::from_micros),
            destroyed_at: row.destroyed_at.map(Timestamp::from_micros),
            wraps: row.wraps,
        }
    }
}
