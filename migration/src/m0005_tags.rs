//! Tags as rows, so that they can be searched for.

use entity::{user_secret, user_secret_tag};
use sea_orm_migration::{
    prelude::*,
    schema::*,
    sea_orm::{
        ColumnTrait as _, DatabaseBackend, EntityTrait as _, QueryFilter as _, QueryOrder as _,
        QuerySelect as _, prelude::Json,
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

/// Writes the rows of secrets that are there already. Only columns that this migration knows are named: what the
/// entities have besides is made by later ones.
async fn fill(connection: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    use user_secret::Column::{DomainId, Tags, UserSecretId};
    let mut last = (String::new(), String::new());
    loop {
        #[expect(clippy::disallowed_methods, reason = "the owner sees every domain")]
        let secrets: Vec<(String, String, Json)> = user_secret::Entity::find()
            .select_only()
            .columns([DomainId, UserSecretId, Tags])
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
            .into_tuple()
            .all(connection)
            .await?;
        let Some((domain, id, _)) = secrets.last() else { return Ok(()) };
        last = (domain.clone(), id.clone());
        let rows: Vec<_> = secrets
            .iter()
            .flat_map(|(domain, id, tags)| user_secret_tag::rows(domain, id, tags))
            .collect();
        for some in rows.chunks(ROWS) {
            let mut insert = Query::insert();
            insert.into_table(UserSecretTags::Table).columns([
                UserSecretTags::DomainId,
                UserSecretTags::UserSecretId,
                UserSecretTags::Path,
                UserSecretTags::Place,
                UserSecretTags::Element,
                UserSecretTags::Kind,
                UserSecretTags::Text,
                UserSecretTags::Number,
            ]);
            for row in some {
                let row = row.clone();
                let values = [
                    row.domain_id.into(),
                    row.user_secret_id.into(),
                    row.path.into(),
                    row.place.into(),
                    row.element.into(),
                    row.kind.into(),
                    row.text.into(),
                    row.number.into(),
                ];
                insert.values(values).map_err(|error| DbErr::Custom(error.to_string()))?;
            }
            connection.execute(&insert).await?;
        }
    }
}
