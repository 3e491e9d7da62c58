//! How many wraps a KEK has left, and which of them are a replica's.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use ::entity::kek;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _, sea_query::Expr,
};
use tokio::sync::OwnedMutexGuard;

use super::{super::Store, newest};
use crate::{
    auth::Scope,
    crypto::Kek,
    database::{Admits, failed},
    error::Result,
    ids::{DomainId, KekVersion},
};

/// How many wraps a replica takes from a KEK's budget at a time: writing each down would cost a commit.
pub(super) const RESERVED: i64 = 65_536;

/// The KEK that new data is sealed under, and what a replica may still wrap with it.
pub struct Active {
    kek: Kek,
    left: AtomicI64,
}

/// What a domain has to wrap with.
pub enum Reserved {
    /// Its active KEK; some wraps of its budget are the replica's now.
    Kek(Kek),
    /// Nothing with a budget left: the next version is to be made.
    Next(KekVersion),
    /// Another one by now: it is to be asked for again.
    Again,
}

impl Active {
    fn take(&self, count: i64) -> Option<Kek> {
        let taken = self.left.fetch_sub(count, Ordering::Relaxed) >= count;
        taken.then(|| self.kek.clone())
    }
}

impl Store {
    /// The KEK that new data of the domain is sealed under, for `count` wraps, if it is at hand and they are left.
    pub fn kek_at_hand(&self, domain: &DomainId, count: i64) -> Option<Kek> {
        self.keks.get(domain).and_then(|active| active.take(count))
    }

    /// Waits for the turn to look for a domain's KEK, and to make it: of many who ask at once one does.
    pub async fn kek_turn(&self, domain: &DomainId) -> OwnedMutexGuard<()> {
        self.kek_turns.get_with_by_ref(domain, Arc::default).lock_owned().await
    }

    /// Drops `kek` of the domain from what is remembered. Another one that has taken its place stays: its wraps are taken.
    pub fn forget_kek(&self, domain: &DomainId, kek: &Kek) {
        if self.keks.get(domain).is_some_and(|active| active.kek == *kek) {
            self.forget_keks(domain);
        }
    }

    /// Drops what is remembered of the domain's KEKs.
    pub fn forget_keks(&self, domain: &DomainId) {
        self.keks.invalidate(domain);
    }

    /// [`RESERVED`] wraps of `kek` are this replica's.
    pub(super) fn hold(&self, domain: &DomainId, kek: Kek) {
        let active = Active { kek, left: AtomicI64::new(RESERVED) };
        self.keks.insert(domain.clone(), Arc::new(active));
    }

    /// Takes wraps from the budget of the domain's active KEK, which is at hand then.
    ///
    /// Where there is none yet, and where `most` wraps are used up, the next version is to be made.
    pub async fn reserve_wraps(&self, scope: &Scope, most: i64) -> Result<Reserved> {
        let within = scope.clone();
        let reserved = self.reserve(within, most).await?;
        if let Reserved::Kek(kek) = &reserved {
            self.hold(scope.domain(), kek.clone());
        }
        Ok(reserved)
    }

    async fn reserve(&self, within: Scope, most: i64) -> Result<Reserved> {
        let scope = &within.clone();
        self.change_many(scope, Admits::Living, move |transaction| {
            Box::pin(async move {
                use kek::Column::{DestroyedAt, RetiredAt, Wraps};
                let sum = Expr::col(Wraps).add(RESERVED);
                #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                let taken = kek::Entity::update_many()
                    .col_expr(Wraps, sum.clone())
                    .filter(kek::Column::DomainId.eq(within.domain().as_str()))
                    .filter(RetiredAt.is_null())
                    .filter(DestroyedAt.is_null())
                    .filter(sum.lte(most))
                    .exec_with_returning(transaction)
                    .await
                    .map_err(failed)?;
                let reserved = match taken.into_iter().next() {
                    Some(row) => Reserved::Kek(row.into()),
                    None => match newest(transaction, within.domain(), None).await? {
                        // Another one was made while this waited.
                        Some(row) if is_usable(&row, most) => Reserved::Again,
                        Some(row) => Reserved::Next(KekVersion(row.version).next()),
                        None => Reserved::Next(KekVersion(1)),
                    },
                };
                Ok((reserved, Vec::new()))
            })
        })
        .await
    }
}

fn is_usable(row: &kek::Model, most: i64) -> bool {
    row.retired_at.is_none()
        && row.destroyed_at.is_none()
        && row.wraps.saturating_add(RESERVED) <= most
}
