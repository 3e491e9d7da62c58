//! What the database says of whom a domain believes, read before there is any scope.
//!
//! Only the store changes it, with a scope and an audit event.

use std::time::Duration;

use ::entity::{domain_change, issuer, revoked_token};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _, ExprTrait as _,
    QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _, Statement, Value,
    sea_query::Expr,
};

use crate::{
    clock::Clock,
    database::{Database, Engine, failed},
    error::Result,
    ids::DomainId,
};

/// The registry in the database; clones share its connections.
#[derive(Clone)]
pub(super) struct Registry {
    database: Database,
    clock: Clock,
}

/// What a domain decided, as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Decisions {
    /// Its issuers by name, with their settings as JSON.
    pub(super) issuers: Vec<(String, String)>,
    /// The tokens that it revoked by their ids, and whether that binds systems.
    pub(super) revoked: Vec<(String, bool)>,
}

impl Registry {
    pub(super) const fn new(database: Database, clock: Clock) -> Self {
        Self { database, clock }
    }

    /// The domain that registered the issuer `iss`.
    pub(super) async fn home(&self, iss: &str) -> Result<Option<DomainId>> {
        let home = match self.database.engine() {
            Engine::Postgres(_) => {
                let rows = self.ask("SELECT usersecret_home($1)", [iss.into()]).await?;
                let row = rows.first().map(|row| row.try_get_by_index::<Option<String>>(0));
                row.transpose().map_err(failed)?.flatten()
            }
            Engine::Sqlite { read, .. } => {
                #[expect(clippy::disallowed_methods, reason = "asks which domain it is")]
                let row = issuer::Entity::find().filter(issuer::Column::Iss.eq(iss)).one(read);
                self.database.patiently(row).await?.map(|row| row.domain_id)
            }
        };
        Ok(home.as_deref().and_then(DomainId::parse))
    }

    /// What `domain` decided.
    pub(super) async fn decisions(&self, domain: &DomainId) -> Result<Decisions> {
        let now = self.clock.now().as_micros();
        match self.database.engine() {
            Engine::Postgres(_) => {
                let query = "SELECT * FROM usersecret_policy($1, $2)";
                let rows = self.ask(query, [domain.as_str().into(), now.into()]).await?;
                let mut decisions = Decisions::default();
                for row in &rows {
                    decisions.add(row).map_err(failed)?;
                }
                Ok(decisions)
            }
            Engine::Sqlite { read, .. } => {
                use revoked_token::Column::{BindsSystems, DomainId, ExpiresAt, TokenId};
                let alive = ExpiresAt.is_null().or(ExpiresAt.gt(now));
                #[expect(clippy::disallowed_methods, reason = "the domain is named")]
                let (issuers, revoked) = (
                    issuer::Entity::find()
                        .select_only()
                        .columns([issuer::Column::Iss, issuer::Column::Settings])
                        .filter(issuer::Column::DomainId.eq(domain.as_str()))
                        .order_by_asc(issuer::Column::Iss)
                        .into_tuple(),
                    revoked_token::Entity::find()
                        .select_only()
                        .columns([TokenId, BindsSystems])
                        .filter(DomainId.eq(domain.as_str()))
                        .filter(alive)
                        .order_by_asc(TokenId)
                        .into_tuple(),
                );
                Ok(Decisions {
                    issuers: self.database.patiently(issuers.all(read)).await?,
                    revoked: self.database.patiently(revoked.all(read)).await?,
                })
            }
        }
    }

    /// The domains that changed something within the last `window`, by the database's clock.
    pub(super) async fn changed(&self, window: Duration) -> Result<Vec<DomainId>> {
        let window = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        let names: Vec<String> = match self.database.engine() {
            Engine::Postgres(_) => {
                let rows = self.ask("SELECT usersecret_changed($1)", [window.into()]).await?;
                let names = rows.iter().map(|row| row.try_get_by_index(0));
                names.collect::<Result<_, _>>().map_err(failed)?
            }
            Engine::Sqlite { read, .. } => {
                let since = Expr::cust(self.database.engine().now()).sub(window);
                #[expect(clippy::disallowed_methods, reason = "asks which domains they are")]
                let names = domain_change::Entity::find()
                    .select_only()
                    .column(domain_change::Column::DomainId)
                    .filter(Expr::col(domain_change::Column::ChangedAt).gte(since))
                    .into_tuple()
                    .all(read);
                self.database.patiently(names).await?
            }
        };
        Ok(names.iter().filter_map(|name| DomainId::parse(name)).collect())
    }

    async fn ask<const N: usize>(
        &self,
        query: &str,
        values: [Value; N],
    ) -> Result<Vec<QueryResult>> {
        let reader = self.database.reader();
        let backend = reader.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, query, values);
        self.database.patiently(reader.query_all_raw(statement)).await
    }
}

impl Decisions {
    /// Takes a row of `usersecret_policy`.
    fn add(&mut self, row: &QueryResult) -> Result<(), DbErr> {
        if let Some(iss) = row.try_get("", "iss")? {
            self.issuers.push((iss, row.try_get("", "settings")?));
        } else {
            self.revoked.push((row.try_get("", "token_id")?, row.try_get("", "binds_systems")?));
        }
        Ok(())
    }
}
