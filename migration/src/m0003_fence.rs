//! The second fence: row-level security, and the hot statements behind it. PostgreSQL only.

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DatabaseBackend::Postgres {
            return Ok(());
        }
        let connection = manager.get_connection();
        for part in [
            include_str!("postgres/fence.sql"),
            include_str!("postgres/find.sql"),
            include_str!("postgres/reveal.sql"),
            include_str!("postgres/create.sql"),
            include_str!("postgres/record.sql"),
            include_str!("postgres/unsealed.sql"),
        ] {
            connection.execute_unprepared(part).await?;
        }
        Ok(())
    }
}
