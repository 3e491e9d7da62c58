//! Everything that is sealed in a domain, for who looks whether it opens.

use ::entity::{kek, user_secret, user_secret_version};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, FromQueryResult, JoinType, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, RelationTrait as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{Sealed, Store, damaged};
use crate::{
    auth::Scope,
    crypto::{Envelope, Kek},
    database::{Admits, Planning, failed},
    error::Result,
    ids::{DataVersion, KekVersion, RootVersion, UserId, UserSecretId},
};

/// How many versions are read at a time.
const BATCH: u64 = 200;

/// A version of a secret as it is stored: one that was changed must not hide the others, nor be hidden. Its secret and its KEK
/// may have been taken away.
#[derive(FromQueryResult)]
pub struct StoredSecret {
    user_secret_id: String,
    version: i32,
    user_id: Option<String>,
    kek_version: i32,
    dek: Vec<u8>,
    document: Vec<u8>,
    blob: Option<Vec<u8>>,
    binding: Option<Vec<u8>>,
    root_version: Option<i32>,
}

impl StoredSecret {
    /// Its id and version.
    pub fn place(&self) -> (String, i32) {
        (self.user_secret_id.clone(), self.version)
    }

    /// Its id, and what opens it.
    pub fn parse(self) -> Result<(UserSecretId, Sealed)> {
        let id = UserSecretId::parse(&self.user_secret_id).ok_or_else(|| damaged("secret id"))?;
        let user_id = self.user_id.and_then(|id| UserId::parse(&id));
        let lost = || damaged("key of a domain");
        let sealed = Sealed {
            user_id: user_id.ok_or_else(|| damaged("user id"))?,
            version: DataVersion(self.version),
            expires_at: None,
            envelope: Envelope::parse(self.kek_version, &self.dek, self.document)?,
            kek: Kek {
                version: KekVersion(self.kek_version),
                root: RootVersion(self.root_version.ok_or_else(lost)?),
                blob: self.blob.ok_or_else(lost)?,
                binding: self.binding.ok_or_else(lost)?,
            },
        };
        Ok((id, sealed))
    }
}

impl Store {
    /// How many versions of secrets there are in the domain.
    pub async fn count_versions(&self, scope: &Scope) -> Result<u64> {
        let snapshot = self.database.begin_read(scope.domain()).await?;
        #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
        let all = user_secret_version::Entity::find()
            .filter(user_secret_version::Column::DomainId.eq(scope.domain().as_str()));
        all.count(&snapshot).await.map_err(failed)
    }

    /// The next versions behind `passed`, in the order of the primary key.
    pub async fn sealed_after(
        &self,
        scope: &Scope,
        passed: Option<&(String, i32)>,
    ) -> Result<Vec<StoredSecret>> {
        use user_secret_version::Column::{
            Dek, Document, DomainId, KekVersion, UserSecretId, Version,
        };
        let walk = Planning::Walk;
        let snapshot = self.database.begin(scope.domain(), Admits::Living, walk).await?;
        let column = |column| Expr::col((user_secret_version::Entity, column));
        let place = Expr::tuple([column(UserSecretId), column(Version)]);
        let (id, version) = passed.map_or(("", 0), |(id, version)| (id.as_str(), *version));
        #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
        let some = user_secret_version::Entity::find()
            .select_only()
            .columns([UserSecretId, Version, KekVersion, Dek, Document])
            .column(user_secret::Column::UserId)
            .columns([kek::Column::Blob, kek::Column::Binding, kek::Column::RootVersion])
            .join(JoinType::LeftJoin, user_secret_version::Relation::UserSecret.def())
            .join(JoinType::LeftJoin, user_secret_version::Relation::Kek.def())
            .filter(DomainId.eq(scope.domain().as_str()))
            .filter(place.gt(Expr::tuple([id.into(), version.into()])))
            .order_by_asc(UserSecretId)
            .order_by_asc(Version)
            .limit(BATCH)
            .into_model();
        some.all(&snapshot).await.map_err(failed)
    }
}
