//! What is final with keys the database holds to as well, and what is due is handed out oldest first.
//!
//! Rows of `user_secret_versions` have no guard of their own: each statement that seals under a KEK asks whether it is the active one and
//! locks it as the foreign key does, so that one which was destroyed is not met, and a look-up more would be paid by every creation.

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Rewraps {
    Table,
    DomainId,
    StartedAt,
    FinishedAt,
}

/// The guards of SQLite; PostgreSQL has the same in `key_guards.sql`.
const SQLITE: &str = "
    CREATE TRIGGER domains_shredded_changed BEFORE UPDATE ON domains WHEN OLD.shredded_at IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'a domain that was shredded stays so'); END;
    CREATE TRIGGER domains_shredded_deleted BEFORE DELETE ON domains WHEN OLD.shredded_at IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'a domain that was shredded stays so'); END;
    CREATE TRIGGER keks_destroyed_changed BEFORE UPDATE ON keks WHEN OLD.destroyed_at IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'a key that was destroyed stays so'); END;
    CREATE TRIGGER keks_destroyed_deleted BEFORE DELETE ON keks WHEN OLD.destroyed_at IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'a key that was destroyed stays so'); END;
    CREATE TRIGGER keks_retired_changed BEFORE UPDATE OF retired_at ON keks
        WHEN OLD.retired_at IS NOT NULL AND NEW.retired_at IS NOT OLD.retired_at
    BEGIN SELECT RAISE(ABORT, 'a key that has retired stays so'); END;
    CREATE TRIGGER keks_shredded BEFORE INSERT ON keks
        WHEN EXISTS (SELECT 1 FROM domains WHERE domain_id = NEW.domain_id AND shredded_at IS NOT NULL)
    BEGIN SELECT RAISE(ABORT, 'a domain that was shredded gets no key'); END;";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let due = Index::create()
            .name("rewraps_due")
            .table(Rewraps::Table)
            .col(Rewraps::StartedAt)
            .col(Rewraps::DomainId)
            .and_where(Expr::col(Rewraps::FinishedAt).is_null())
            .to_owned();
        manager.create_index(due).await?;
        let guards = match manager.get_database_backend() {
            DatabaseBackend::Postgres => include_str!("postgres/key_guards.sql"),
            _ => SQLITE,
        };
        manager.get_connection().execute_unprepared(guards).await.map(|_| ())
    }
}
