//! A new secret may have a provider: an import brings it.

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            let create = include_str!("postgres/providers.sql");
            manager.get_connection().execute_unprepared(create).await?;
        }
        Ok(())
    }
}
