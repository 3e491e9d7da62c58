//! Tags as rows, so that they can be searched for.

use entity::{user_secret, user_secret_tag};
use sea_orm_migration::{
    prelude::*,
    schema::*,
    sea_orm::{
        ColumnTrait as _, DatabaseBackend, EntityTrait as _, IntoActiveModel as _,
        QueryFilter as _, QueryOrder as _, QuerySelect as _,
    },
};

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
        fill(manager.get_connection()).await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            let functions = include_str!("postgres/tags.sql");
            manager.get_connection().execute_unprepared(functions).await?;
        }
        Ok(())
    }
}

/// How many secrets are read at a time, and how many rows are written.
const BATCH: u64 = 500;
const ROWS: usize = 500;

/// Writes the rows of secrets that are there already.
async fn fill(connection: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    use user_secret::Column::{DomainId, UserSecretId};
    let mut last = (String::new(), String::new());
    loop {
        #[expect(clippy::disallowed_methods, reason = "the owner sees every domain")]
        let secrets = user_secret::Entity::find()
            .filter(
                Condition::any().add(DomainId.gt(last.0.as_str())).add(
                    Condition::all()
                        .add(DomainId.eq(last.0.as_str()))
                        .add(UserSecretId.gt(last.1.as_str())),
                ),
            )
            .order_by_asc(DomainId)
            .order_by_asc(UserSecretId)
            .limit(BATCH)
            .all(connection)
            .await?;
        let Some(end) = secrets.last() else { return Ok(()) };
        last = (end.domain_id.clone(), end.user_secret_id.clone());
        let rows: Vec<_> = secrets
            .iter()
            .flat_map(|secret| {
                user_secret_tag::rows(&secret.domain_id, &secret.user_secret_id, &secret.tags)
            })
            .collect();
        for some in rows.chunks(ROWS) {
            let some = some.iter().map(|row| row.clone().into_active_model());
            user_secret_tag::Entity::insert_many(some).exec_without_returning(connection).await?;
        }
    }
}
