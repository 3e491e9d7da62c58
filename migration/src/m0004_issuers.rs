//! Whom a domain believes: its own issuers, the tokens it revoked, and when either changed.

use sea_orm_migration::{prelude::*, schema::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Issuers {
    Table,
    DomainId,
    Iss,
    Settings,
    CreatedAt,
}

#[derive(DeriveIden)]
enum RevokedTokens {
    Table,
    DomainId,
    TokenId,
    BindsSystems,
    ExpiresAt,
    CreatedAt,
}

#[derive(DeriveIden)]
enum DomainChanges {
    Table,
    DomainId,
    ChangedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Issuers::Table)
                    .col(text(Issuers::DomainId))
                    .col(text(Issuers::Iss))
                    .col(text(Issuers::Settings))
                    .col(big_integer(Issuers::CreatedAt))
                    .primary_key(Index::create().col(Issuers::DomainId).col(Issuers::Iss))
                    .to_owned(),
            )
            .await?;
        // A token finds its domain by its issuer, which therefore belongs to one domain.
        manager
            .create_index(
                Index::create()
                    .name("issuers_by_iss")
                    .table(Issuers::Table)
                    .col(Issuers::Iss)
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(RevokedTokens::Table)
                    .col(text(RevokedTokens::DomainId))
                    .col(text(RevokedTokens::TokenId))
                    .col(boolean(RevokedTokens::BindsSystems))
                    .col(big_integer_null(RevokedTokens::ExpiresAt))
                    .col(big_integer(RevokedTokens::CreatedAt))
                    .primary_key(
                        Index::create().col(RevokedTokens::DomainId).col(RevokedTokens::TokenId),
                    )
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(DomainChanges::Table)
                    .col(text(DomainChanges::DomainId).primary_key())
                    .col(big_integer(DomainChanges::ChangedAt))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("domain_changes_by_time")
                    .table(DomainChanges::Table)
                    .col(DomainChanges::ChangedAt)
                    .to_owned(),
            )
            .await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            let functions = include_str!("postgres/issuers.sql");
            manager.get_connection().execute_unprepared(functions).await?;
        }
        Ok(())
    }
}
