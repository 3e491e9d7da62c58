//! Tags as rows, so that they can be searched for. The rows of secrets that are there already are
//! written by m0007, which knows what else is in them.

use sea_orm_migration::{prelude::*, schema::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum UserSecretTags {
    Table,
    DomainId,
    UserSecretId,
    Path,
    Place,
    Element,
    Kind,
    Text,
    Number,
}

#[derive(DeriveIden)]
enum UserSecrets {
    Table,
    DomainId,
    UserSecretId,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(UserSecretTags::Table)
                    .col(text(UserSecretTags::DomainId))
                    .col(text(UserSecretTags::UserSecretId))
                    .col(text(UserSecretTags::Path))
                    .col(integer(UserSecretTags::Place))
                    .col(integer_null(UserSecretTags::Element))
                    .col(text(UserSecretTags::Kind))
                    .col(text_null(UserSecretTags::Text))
                    .col(double_null(UserSecretTags::Number))
                    .primary_key(
                        Index::create()
                            .col(UserSecretTags::DomainId)
                            .col(UserSecretTags::UserSecretId)
                            .col(UserSecretTags::Path)
                            .col(UserSecretTags::Place),
                    )
                    .foreign_key(
                        ForeignKey::create()
                            .from_tbl(UserSecretTags::Table)
                            .from_col(UserSecretTags::DomainId)
                            .from_col(UserSecretTags::UserSecretId)
                            .to_tbl(UserSecrets::Table)
                            .to_col(UserSecrets::DomainId)
                            .to_col(UserSecrets::UserSecretId)
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            let functions = include_str!("postgres/tags.sql");
            manager.get_connection().execute_unprepared(functions).await?;
        }
        Ok(())
    }
}
