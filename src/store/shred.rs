//! A domain whose keys are destroyed, and what is said of it.

use ::entity::{domain, kek, rewrap};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    sea_query::{Expr, OnConflict},
};

use super::{
    KekInfo, Store,
    issuer::note_change,
    kek::{lock, stored},
    rewrap::destroy,
};
use crate::{
    auth::Scope,
    clock::Timestamp,
    database::{failed, shut_error},
    error::{Code, Error, Result},
    ids::{DomainId, KekVersion},
};

/// That a domain was shredded.
#[derive(Debug, Clone)]
pub struct Shredding {
    /// When.
    pub at: Timestamp,
    /// What is said of it, as JSON.
    pub statement: String,
    /// The HSM's signature over that: ECDSA-SHA256, in DER.
    pub signature: Vec<u8>,
}

/// A KEK that is to be destroyed, or was, and what it was wrapped as.
#[derive(Debug, Clone)]
pub struct Destroyed {
    /// The KEK.
    pub kek: KekInfo,
    /// It as it is stored; nothing when it was destroyed before.
    pub blob: Vec<u8>,
}

/// For how long what was destroyed in one replica may still be in the memory of others, in microseconds: they hear of it within
/// seconds, and by a clock that is another.
const LATELY: i64 = 300_000_000;

impl Store {
    /// That the domain was shredded, if it was.
    pub async fn shredding(&self, scope: &Scope) -> Result<Option<Shredding>> {
        look(&self.all_of(scope).await?, scope).await
    }

    /// Fails when `domain` was shredded, as all that is done there does.
    pub async fn refuse_shredded(&self, domain: &DomainId) -> Result<()> {
        self.database.begin_read(domain).await.map(|_| ())
    }

    /// Whether `domain` was shredded.
    pub async fn is_shredded(&self, domain: &DomainId) -> Result<bool> {
        match self.refuse_shredded(domain).await {
            Ok(()) => Ok(false),
            Err(error) if error.code() == Code::FailedPrecondition => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether KEKs of `domain`, which was not shredded, were destroyed in the last minutes.
    pub async fn has_lost_keks(&self, domain: &DomainId) -> Result<bool> {
        let snapshot = self.database.begin_read(domain).await?;
        #[expect(clippy::disallowed_methods, reason = "within the snapshot's domain")]
        let lost = kek::Entity::find()
            .filter(kek::Column::DomainId.eq(domain.as_str()))
            .filter(kek::Column::DestroyedAt.gt(self.now().as_micros().saturating_sub(LATELY)))
            .one(&snapshot);
        Ok(lost.await.map_err(failed)?.is_some())
    }

    /// The domain's KEKs as they are, oldest first: what a statement tells of.
    pub async fn keks_to_destroy(&self, scope: &Scope) -> Result<Vec<Destroyed>> {
        let snapshot = self.database.begin_read(scope.domain()).await?;
        let mut rows = stored(&snapshot, scope.domain()).await?;
        rows.reverse();
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Destroys every KEK of the domain, and stores what is said of it, in one transaction.
    ///
    /// False when the KEKs are others than `keks`, of which the statement tells: nothing happens then.
    pub async fn shred(
        &self,
        scope: &Scope,
        keks: &[Destroyed],
        shredding: Shredding,
    ) -> Result<bool> {
        let (within, clock) = (scope.clone(), self.database.engine().now());
        let told: Vec<_> = keks.iter().map(|told| (told.kek.version, told.blob.clone())).collect();
        let at = shredding.at.as_micros();
        let shredded = self.change(scope, scope.event(), move |transaction| {
            Box::pin(async move {
                let domain = within.domain();
                note_change(transaction, domain, clock).await?;
                let row = domain::ActiveModel {
                    domain_id: Set(domain.to_string()),
                    created_at: Set(at),
                    ..Default::default()
                };
                domain::Entity::insert(row)
                    .on_conflict(
                        OnConflict::column(domain::Column::DomainId).do_nothing().to_owned(),
                    )
                    .exec_without_returning(transaction)
                    .await
                    .map_err(failed)?;
                let row = lock(transaction, domain).await?;
                let row = row.ok_or_else(|| Error::internal("a domain's row is gone"))?;
                if row.shredded_at.is_some() {
                    return Err(shut_error());
                }
                let mut rows = stored(transaction, domain).await?;
                rows.reverse();
                let told = told.iter().map(|(version, blob)| (*version, blob));
                if !rows.iter().map(|row| (KekVersion(row.version), &row.blob)).eq(told) {
                    return Err(Error::aborted("domainId"));
                }
                for row in rows.into_iter().filter(|row| row.destroyed_at.is_none()) {
                    destroy(transaction, row, at).await?;
                }
                // Nothing is left to be moved.
                #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                let moot = rewrap::Entity::update_many()
                    .col_expr(rewrap::Column::FinishedAt, Expr::value(at))
                    .filter(rewrap::Column::DomainId.eq(domain.as_str()))
                    .filter(rewrap::Column::FinishedAt.is_null());
                moot.exec(transaction).await.map_err(failed)?;
                let shut = domain::ActiveModel {
                    shredded_at: Set(Some(at)),
                    shred_statement: Set(Some(shredding.statement)),
                    shred_signature: Set(Some(shredding.signature)),
                    ..row.into()
                };
                shut.update(transaction).await.map(|_| ()).map_err(failed)
            })
        });
        match shredded.await {
            Ok(()) => {
                self.forget_keks(scope.domain());
                Ok(true)
            }
            Err(error) if error.code() == Code::Aborted => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// That the domain was shredded, if it was.
pub(super) async fn look(
    snapshot: &DatabaseTransaction,
    scope: &Scope,
) -> Result<Option<Shredding>> {
    let row = domain::Entity::find_by_id(scope.domain().as_str()).one(snapshot).await;
    Ok(row.map_err(failed)?.and_then(shredding))
}

fn shredding(row: domain::Model) -> Option<Shredding> {
    Some(Shredding {
        at: Timestamp::from_micros(row.shredded_at?),
        statement: row.shred_statement?,
        signature: row.shred_signature?,
    })
}

impl From<kek::Model> for Destroyed {
    fn from(mut row: kek::Model) -> Self {
        let blob = std::mem::take(&mut row.blob);
        Self { kek: row.into(), blob }
    }
}
