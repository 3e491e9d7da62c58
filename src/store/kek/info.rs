//! What is said of a domain's KEKs.

use ::entity::kek;
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use super::super::{Rewrap, Shredding, Store, rewrap, shred};
use crate::{
    auth::Scope,
    clock::Timestamp,
    database::{Admits, Planning, failed},
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

/// Which versions of a domain's KEK are looked at.
#[derive(Debug, Clone, Copy)]
pub struct KekPage {
    /// So many at most, the newest first.
    pub first: u64,
    /// Those that are older than this one.
    pub before: Option<KekVersion>,
}

impl KekPage {
    /// The newest version alone.
    pub const NEWEST: Self = Self { first: 1, before: None };
}

/// The state of a domain's keys.
pub struct KeyState {
    /// Its newest KEK.
    pub newest: Option<KekInfo>,
    /// How many of its KEKs are not destroyed.
    pub living: u64,
    /// How far the moving of DEKs to the active one is, if it was ever asked for.
    pub rewrap: Option<Rewrap>,
    /// That they were destroyed, if they were.
    pub shredding: Option<Shredding>,
}

impl Store {
    /// Some versions of the domain's KEK, the newest first.
    pub async fn keks(&self, scope: &Scope, page: KekPage) -> Result<Vec<KekInfo>> {
        keks(&self.all_of(scope).await?, scope, page).await
    }

    /// The state of the domain's keys, as it is at one moment.
    pub async fn key_state(&self, scope: &Scope) -> Result<KeyState> {
        let snapshot = self.all_of(scope).await?;
        let newest = keks(&snapshot, scope, KekPage::NEWEST).await?.into_iter().next();
        #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
        let living = kek::Entity::find()
            .filter(kek::Column::DomainId.eq(scope.domain().as_str()))
            .filter(kek::Column::DestroyedAt.is_null());
        Ok(KeyState {
            newest,
            living: living.count(&snapshot).await.map_err(failed)?,
            rewrap: rewrap::look(&snapshot, scope).await?,
            shredding: shred::look(&snapshot, scope).await?,
        })
    }

    /// Begins to look at what is said of the keys of a domain, be it shredded or not.
    pub(in super::super) async fn all_of(&self, scope: &Scope) -> Result<DatabaseTransaction> {
        self.database.begin(scope.domain(), Admits::All, Planning::default()).await
    }
}

async fn keks(
    snapshot: &DatabaseTransaction,
    scope: &Scope,
    page: KekPage,
) -> Result<Vec<KekInfo>> {
    let older = page.before.map(|version| kek::Column::Version.lt(version.0));
    #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
    let some = kek::Entity::find()
        .filter(kek::Column::DomainId.eq(scope.domain().as_str()))
        .filter(Condition::all().add_option(older))
        .order_by_desc(kek::Column::Version)
        .limit(page.first);
    let rows = some.all(snapshot).await.map_err(failed)?;
    Ok(rows.into_iter().map(Into::into).collect())
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
