//! One secret is found by an index that knows its owner.
//!
//! Another user's secret must take as long as one that does not exist. Through the
//! primary key its row would be read before its owner is compared, which takes some
//! microseconds.

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum UserSecrets {
    Table,
    DomainId,
    UserSecretId,
    UserId,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_index(
                Index::create()
                    .name("user_secrets_by_owner")
                    .table(UserSecrets::Table)
                    .col(UserSecrets::DomainId)
                    .col(UserSecrets::UserSecretId)
                    .col(UserSecrets::UserId)
                    .unique()
                    .to_owned(),
            )
            .await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            let lookup = include_str!("postgres/lookup.sql");
            manager.get_connection().execute_unprepared(lookup).await?;
        }
        Ok(())
    }
}
