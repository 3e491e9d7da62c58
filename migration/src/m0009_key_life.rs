//! The life of keys: versions that retire and are destroyed, DEKs that move, domains that are shredded, roots that change.

use sea_orm_migration::{prelude::*, schema::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden, Clone, Copy)]
enum Domains {
    Table,
    DomainId,
    ShreddedAt,
    ShredStatement,
    ShredSignature,
}

#[derive(DeriveIden, Clone, Copy)]
enum Keks {
    Table,
    RootVersion,
    Wraps,
    CreatedAt,
    RetiredAt,
    DestroyedAt,
}

#[derive(DeriveIden, Clone, Copy)]
enum UserSecretVersions {
    Table,
    DomainId,
    KekVersion,
    UserSecretId,
    Version,
}

#[derive(DeriveIden)]
enum Rewraps {
    Table,
    DomainId,
    ToVersion,
    Total,
    Done,
    Failed,
    StartedAt,
    FinishedAt,
    Holder,
    HeldUntil,
}

#[derive(DeriveIden)]
enum RootKeys {
    Table,
    Version,
    CreatedAt,
    DestroyedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use Keks::{DestroyedAt, RetiredAt, RootVersion, Wraps};
        add(manager, Domains::Table, big_integer_null(Domains::ShreddedAt)).await?;
        add(manager, Domains::Table, text_null(Domains::ShredStatement)).await?;
        add(manager, Domains::Table, blob_null(Domains::ShredSignature)).await?;
        add(manager, Keks::Table, integer(RootVersion).default(1).take()).await?;
        add(manager, Keks::Table, big_integer(Wraps).default(0).take()).await?;
        add(manager, Keks::Table, big_integer_null(RetiredAt)).await?;
        add(manager, Keks::Table, big_integer_null(DestroyedAt)).await?;
        make_tables(manager).await?;
        make_indexes(manager).await?;
        let connection = manager.get_connection();
        let postgres = manager.get_database_backend() == DatabaseBackend::Postgres;
        let now = if postgres {
            "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        } else {
            "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
        };
        // The wraps of before were not counted: no key can have had so many that this matters.
        let known = format!(
            "UPDATE keks SET wraps = 16777216;
            INSERT INTO root_keys (version, created_at) VALUES (1, {now});"
        );
        connection.execute_unprepared(&known).await?;
        if postgres {
            connection.execute_unprepared(include_str!("postgres/key_life.sql")).await?;
        }
        Ok(())
    }
}

/// One by one: SQLite adds no two in a statement.
async fn add(
    manager: &SchemaManager<'_>,
    table: impl IntoTableRef,
    column: ColumnDef,
) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await
}

async fn make_tables(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let rewraps = Table::create()
        .table(Rewraps::Table)
        .col(text(Rewraps::DomainId).primary_key())
        .col(integer(Rewraps::ToVersion))
        .col(big_integer_null(Rewraps::Total))
        .col(big_integer(Rewraps::Done))
        .col(big_integer(Rewraps::Failed))
        .col(big_integer(Rewraps::StartedAt))
        .col(big_integer_null(Rewraps::FinishedAt))
        .col(text_null(Rewraps::Holder))
        .col(big_integer(Rewraps::HeldUntil))
        .foreign_key(
            ForeignKey::create()
                .from(Rewraps::Table, Rewraps::DomainId)
                .to(Domains::Table, Domains::DomainId),
        )
        .to_owned();
    manager.create_table(rewraps).await?;
    let root_keys = Table::create()
        .table(RootKeys::Table)
        .col(integer(RootKeys::Version).primary_key())
        .col(big_integer(RootKeys::CreatedAt))
        .col(big_integer_null(RootKeys::DestroyedAt))
        .to_owned();
    manager.create_table(root_keys).await
}

async fn make_indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use UserSecretVersions::{DomainId, KekVersion, Table, UserSecretId, Version};
    // What a KEK still wraps, and whether anything does. The domain is not its first column: where PostgreSQL takes
    // domains for small, it would be read for a single secret, through the whole domain.
    let mut by_kek = Index::create();
    by_kek.name("user_secret_versions_by_kek").table(Table);
    for column in [KekVersion, DomainId, UserSecretId, Version] {
        by_kek.col(column);
    }
    manager.create_index(by_kek).await?;
    // Which domains are due for another key.
    let by_age = Index::create()
        .name("keks_by_age")
        .table(Keks::Table)
        .col(Keks::CreatedAt)
        .and_where(Expr::col(Keks::RetiredAt).is_null())
        .and_where(Expr::col(Keks::DestroyedAt).is_null())
        .to_owned();
    manager.create_index(by_age).await?;
    // Which keys a root still wraps.
    let by_root = Index::create()
        .name("keks_by_root")
        .table(Keks::Table)
        .col(Keks::RootVersion)
        .and_where(Expr::col(Keks::DestroyedAt).is_null())
        .to_owned();
    manager.create_index(by_root).await
}
