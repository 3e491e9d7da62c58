//! The audit trail: events, the blocks that seal them, and who writes.

use sea_orm_migration::{prelude::*, schema::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum AuditEvents {
    Table,
    DomainId,
    EventId,
    At,
    Writer,
    UserId,
    Role,
    TokenId,
    Address,
    TraceId,
    Operation,
    Target,
    Outcome,
    Count,
    Digest,
}

#[derive(DeriveIden)]
enum AuditBlocks {
    Table,
    Writer,
    Number,
    SealedAt,
    Previous,
    Links,
    Entries,
    Digest,
    KeyId,
    Signature,
}

#[derive(DeriveIden)]
enum AuditWriters {
    Table,
    Writer,
    StartedAt,
    SeenAt,
    EndedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(AuditEvents::Table)
                    .col(text(AuditEvents::DomainId))
                    .col(blob(AuditEvents::EventId))
                    .col(big_integer(AuditEvents::At))
                    .col(text(AuditEvents::Writer))
                    .col(text_null(AuditEvents::UserId))
                    .col(text(AuditEvents::Role))
                    .col(text_null(AuditEvents::TokenId))
                    .col(text_null(AuditEvents::Address))
                    .col(text_null(AuditEvents::TraceId))
                    .col(text(AuditEvents::Operation))
                    .col(text_null(AuditEvents::Target))
                    .col(text(AuditEvents::Outcome))
                    .col(big_integer(AuditEvents::Count))
                    .col(blob(AuditEvents::Digest))
                    // Ids rise with time, so this is also the order in which a domain reads its trail.
                    .primary_key(
                        Index::create().col(AuditEvents::DomainId).col(AuditEvents::EventId),
                    )
                    .to_owned(),
            )
            .await?;
        // What a dead writer left is looked for by time. BRIN costs an insert next to nothing.
        let by_time = match manager.get_database_backend() {
            DatabaseBackend::Postgres => {
                "CREATE INDEX audit_events_by_time ON audit_events USING brin (at)"
            }
            _ => "CREATE INDEX audit_events_by_time ON audit_events (at)",
        };
        manager.get_connection().execute_unprepared(by_time).await?;
        manager
            .create_table(
                Table::create()
                    .table(AuditBlocks::Table)
                    .col(text(AuditBlocks::Writer))
                    .col(big_integer(AuditBlocks::Number))
                    .col(big_integer(AuditBlocks::SealedAt))
                    .col(blob(AuditBlocks::Previous))
                    .col(blob(AuditBlocks::Links))
                    .col(blob(AuditBlocks::Entries))
                    .col(blob(AuditBlocks::Digest))
                    .col(text(AuditBlocks::KeyId))
                    .col(blob(AuditBlocks::Signature))
                    .primary_key(Index::create().col(AuditBlocks::Writer).col(AuditBlocks::Number))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("audit_blocks_by_time")
                    .table(AuditBlocks::Table)
                    .col(AuditBlocks::SealedAt)
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(AuditWriters::Table)
                    .col(text(AuditWriters::Writer).primary_key())
                    .col(big_integer(AuditWriters::StartedAt))
                    .col(big_integer(AuditWriters::SeenAt))
                    .col(big_integer_null(AuditWriters::EndedAt))
                    .to_owned(),
            )
            .await
    }
}
