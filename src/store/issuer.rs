//! The issuers that a domain registered, and the tokens that it revoked.

use ::entity::{issuer, revoked_token};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, DbBackend,
    EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, Statement,
    sea_query::{Expr, OnConflict},
};

use super::{Store, damaged};
use crate::{
    auth::{Registration, Scope},
    clock::Timestamp,
    database::{failed, is_unique_violation},
    error::{Error, Result},
    ids::DomainId,
};

/// An issuer and since when it has been registered.
#[derive(Debug, Clone)]
pub struct RegisteredIssuer {
    /// The issuer.
    pub registration: Registration,
    /// When it was first registered.
    pub created_at: Timestamp,
}

/// A token to be refused.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Its `jti` claim.
    pub token_id: String,
    /// When it is refused for its age anyway.
    pub expires_at: Option<Timestamp>,
    /// Whether it is refused from systems too.
    pub binds_systems: bool,
}

impl Store {
    /// The issuers of the domain, by name.
    pub async fn issuers(&self, scope: &Scope) -> Result<Vec<RegisteredIssuer>> {
        let snapshot = self.database.begin_read(scope.domain()).await?;
        #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
        let rows = issuer::Entity::find()
            .filter(issuer::Column::DomainId.eq(scope.domain().as_str()))
            .order_by_asc(issuer::Column::Iss)
            .all(&snapshot)
            .await
            .map_err(failed)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Stores an issuer of the domain, in place of the one of that name; a domain has at most `most`.
    ///
    /// `ALREADY_EXISTS` when it is another domain's.
    pub async fn put_issuer(
        &self,
        scope: &Scope,
        registration: Registration,
        most: u32,
    ) -> Result<RegisteredIssuer> {
        let settings = serde_json::to_string(&registration).map_err(Error::internal)?;
        let (within, clock, now) =
            (scope.clone(), self.database.engine().now(), self.now().as_micros());
        let row = issuer::ActiveModel {
            domain_id: Set(scope.domain().to_string()),
            iss: Set(registration.iss),
            settings: Set(settings),
            created_at: Set(now),
        };
        let key = [issuer::Column::DomainId, issuer::Column::Iss];
        let replace = OnConflict::columns(key).update_column(issuer::Column::Settings).to_owned();
        self.change(scope, scope.event(), move |transaction| {
            Box::pin(async move {
                note_change(transaction, within.domain(), clock).await?;
                let stored = issuer::Entity::insert(row)
                    .on_conflict(replace)
                    .exec_with_returning(transaction)
                    .await
                    .map_err(|error| match is_unique_violation(&error) {
                        true => Error::already_exists("iss", "is registered by another domain"),
                        false => failed(error),
                    })?;
                #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                let count = issuer::Entity::find()
                    .filter(issuer::Column::DomainId.eq(within.domain().as_str()))
                    .count(transaction)
                    .await
                    .map_err(failed)?;
                if count > most.into() {
                    let rule = format!("a domain may register at most {most}");
                    return Err(Error::exhausted("limits.issuers", &rule));
                }
                stored.try_into()
            })
        })
        .await
    }

    /// Removes the domain's issuer `iss`.
    pub async fn remove_issuer(&self, scope: &Scope, iss: &str) -> Result<()> {
        let (within, iss, clock) = (scope.clone(), iss.to_owned(), self.database.engine().now());
        self.change(scope, scope.event(), move |transaction| {
            Box::pin(async move {
                note_change(transaction, within.domain(), clock).await?;
                #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                let removed = issuer::Entity::delete_many()
                    .filter(issuer::Column::DomainId.eq(within.domain().as_str()))
                    .filter(issuer::Column::Iss.eq(iss))
                    .exec(transaction)
                    .await
                    .map_err(failed)?;
                if removed.rows_affected == 0 {
                    return Err(Error::absent("issuer"));
                }
                Ok(())
            })
        })
        .await
    }

    /// Stores a revocation, and drops those of the domain that have expired.
    ///
    /// It may have `most` at a time from its administrators, and as many from systems, which
    /// nobody else can use up. Of two for one token the stricter holds.
    pub async fn revoke(&self, scope: &Scope, revocation: Revocation, most: u32) -> Result<()> {
        use revoked_token::Column::{BindsSystems, DomainId, ExpiresAt, TokenId};
        let (within, clock, now) =
            (scope.clone(), self.database.engine().now(), self.now().as_micros());
        let binds_systems = revocation.binds_systems;
        let row = revoked_token::ActiveModel {
            domain_id: Set(scope.domain().to_string()),
            token_id: Set(revocation.token_id),
            binds_systems: Set(revocation.binds_systems),
            expires_at: Set(revocation.expires_at.map(Timestamp::as_micros)),
            created_at: Set(now),
        };
        let stricter = OnConflict::columns([DomainId, TokenId])
            .value(
                BindsSystems,
                Expr::cust("revoked_tokens.binds_systems OR excluded.binds_systems"),
            )
            .value(
                ExpiresAt,
                Expr::cust(
                    "CASE WHEN revoked_tokens.expires_at > excluded.expires_at
                    OR revoked_tokens.expires_at IS NULL THEN revoked_tokens.expires_at
                    ELSE excluded.expires_at END",
                ),
            )
            .to_owned();
        self.change(scope, scope.event(), move |transaction| {
            Box::pin(async move {
                note_change(transaction, within.domain(), clock).await?;
                let own = Condition::all().add(DomainId.eq(within.domain().as_str()));
                #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                revoked_token::Entity::delete_many()
                    .filter(own.clone())
                    .filter(ExpiresAt.lte(now))
                    .exec(transaction)
                    .await
                    .map_err(failed)?;
                revoked_token::Entity::insert(row)
                    .on_conflict(stricter)
                    .exec_without_returning(transaction)
                    .await
                    .map_err(failed)?;
                #[expect(clippy::disallowed_methods, reason = "the domain is the scope's")]
                let count = revoked_token::Entity::find()
                    .filter(own.add(BindsSystems.eq(binds_systems)))
                    .count(transaction)
                    .await
                    .map_err(failed)?;
                if count > most.into() {
                    let rule = format!("a domain may have {most} revoked tokens that live");
                    return Err(Error::exhausted("limits.revoked_tokens", &rule));
                }
                Ok(())
            })
        })
        .await
    }
}

/// Writes down that every replica must forget what it remembers of `domain`.
///
/// First in its transaction, so that changes of one domain wait for each other and their limits hold.
pub(super) async fn note_change(
    transaction: &DatabaseTransaction,
    domain: &DomainId,
    clock: &'static str,
) -> Result<()> {
    let backend = transaction.get_database_backend();
    let place = if backend == DbBackend::Postgres { "$1" } else { "?" };
    let note = format!(
        "INSERT INTO domain_changes (domain_id, changed_at) VALUES ({place}, {clock})
        ON CONFLICT (domain_id) DO UPDATE SET changed_at = {clock}"
    );
    let note = Statement::from_sql_and_values(backend, note, [domain.as_str().into()]);
    transaction.execute_raw(note).await.map_err(failed).map(|_| ())
}

impl TryFrom<issuer::Model> for RegisteredIssuer {
    type Error = Error;

    fn try_from(row: issuer::Model) -> Result<Self> {
        let registration: Registration =
            serde_json::from_str(&row.settings).map_err(|_| damaged("issuer"))?;
        Ok(Self {
            registration: Registration { iss: row.iss, ..registration },
            created_at: Timestamp::from_micros(row.created_at),
        })
    }
}
