//! Domains, their keys, and their users' secrets.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Domains {
    Table,
    DomainId,
    CreatedAt,
}

#[derive(DeriveIden)]
enum Keks {
    Table,
    DomainId,
    Version,
    Blob,
    Binding,
    CreatedAt,
}

#[derive(DeriveIden)]
enum UserSecrets {
    Table,
    DomainId,
    UserSecretId,
    UserId,
    Name,
    SchemaId,
    Provider,
    Tags,
    SearchText,
    Version,
    Revision,
    ExpiresAt,
    CreatedAt,
    UpdatedAt,
    Position,
    IdempotencyKey,
    IdempotencyDigest,
}

#[derive(DeriveIden)]
enum UserSecretVersions {
    Table,
    DomainId,
    UserSecretId,
    Version,
    KekVersion,
    Dek,
    Document,
    CreatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Domains::Table)
                    .col(text(Domains::DomainId).primary_key())
                    .col(big_integer(Domains::CreatedAt))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(Keks::Table)
                    .col(text(Keks::DomainId))
                    .col(integer(Keks::Version))
                    .col(blob(Keks::Blob))
                    .col(blob(Keks::Binding))
                    .col(big_integer(Keks::CreatedAt))
                    .primary_key(Index::create().col(Keks::DomainId).col(Keks::Version))
                    .foreign_key(
                        ForeignKey::create()
                            .from(Keks::Table, Keks::DomainId)
                            .to(Domains::Table, Domains::DomainId),
                    )
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(UserSecrets::Table)
                    .col(text(UserSecrets::DomainId))
                    .col(text(UserSecrets::UserSecretId))
                    .col(text(UserSecrets::UserId))
                    .col(text(UserSecrets::Name))
                    .col(text_null(UserSecrets::SchemaId))
                    .col(text_null(UserSecrets::Provider))
                    .col(json_binary(UserSecrets::Tags))
                    .col(text(UserSecrets::SearchText))
                    .col(integer(UserSecrets::Version))
                    .col(integer(UserSecrets::Revision))
                    .col(big_integer_null(UserSecrets::ExpiresAt))
                    .col(big_integer(UserSecrets::CreatedAt))
                    .col(big_integer(UserSecrets::UpdatedAt))
                    .col(big_integer(UserSecrets::Position))
                    .col(text_null(UserSecrets::IdempotencyKey))
                    .col(blob_null(UserSecrets::IdempotencyDigest))
                    .primary_key(
                        Index::create().col(UserSecrets::DomainId).col(UserSecrets::UserSecretId),
                    )
                    .foreign_key(
                        ForeignKey::create()
                            .from(UserSecrets::Table, UserSecrets::DomainId)
                            .to(Domains::Table, Domains::DomainId),
                    )
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(UserSecretVersions::Table)
                    .col(text(UserSecretVersions::DomainId))
                    .col(text(UserSecretVersions::UserSecretId))
                    .col(integer(UserSecretVersions::Version))
                    .col(integer(UserSecretVersions::KekVersion))
                    .col(blob(UserSecretVersions::Dek))
                    .col(blob(UserSecretVersions::Document))
                    .col(big_integer(UserSecretVersions::CreatedAt))
                    .primary_key(
                        Index::create()
                            .col(UserSecretVersions::DomainId)
                            .col(UserSecretVersions::UserSecretId)
                            .col(UserSecretVersions::Version),
                    )
                    .foreign_key(
                        ForeignKey::create()
                            .from_tbl(UserSecretVersions::Table)
                            .from_col(UserSecretVersions::DomainId)
                            .from_col(UserSecretVersions::UserSecretId)
                            .to_tbl(UserSecrets::Table)
                            .to_col(UserSecrets::DomainId)
                            .to_col(UserSecrets::UserSecretId),
                    )
                    // A KEK that a version still needs cannot go.
                    .foreign_key(
                        ForeignKey::create()
                            .from_tbl(UserSecretVersions::Table)
                            .from_col(UserSecretVersions::DomainId)
                            .from_col(UserSecretVersions::KekVersion)
                            .to_tbl(Keks::Table)
                            .to_col(Keks::DomainId)
                            .to_col(Keks::Version),
                    )
                    .to_owned(),
            )
            .await?;
        // The default order of a user's list, and the tie-breaks of every cursor.
        manager
            .create_index(
                Index::create()
                    .name("user_secrets_by_name")
                    .table(UserSecrets::Table)
                    .col(UserSecrets::DomainId)
                    .col(UserSecrets::UserId)
                    .col(UserSecrets::Name)
                    .col(UserSecrets::Position)
                    .col(UserSecrets::UserSecretId)
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("user_secrets_by_idempotency_key")
                    .table(UserSecrets::Table)
                    .col(UserSecrets::DomainId)
                    .col(UserSecrets::UserId)
                    .col(UserSecrets::IdempotencyKey)
                    .unique()
                    .to_owned(),
            )
            .await
    }
}
