//! Pages of lists cost what they show, however long the list is.
//!
//! Lists of a whole domain, and lists by time of creation, get an index of their own. The rows of tags
//! get what lists are ordered by, and indexes that give the secrets with a tag in that order.

use entity::{user_secret, user_secret_tag};
use sea_orm_migration::{
    prelude::*,
    schema::*,
    sea_orm::{
        DatabaseBackend, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _,
        QuerySelect as _,
    },
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden, Clone, Copy)]
enum UserSecrets {
    Table,
    DomainId,
    UserSecretId,
    UserId,
    Name,
    Position,
    CreatedAt,
}

#[derive(DeriveIden, Clone, Copy)]
enum UserSecretTags {
    Table,
    DomainId,
    UserSecretId,
    Digest,
    UserId,
    Name,
    Position,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            big_integer_null(UserSecretTags::Digest),
            text_null(UserSecretTags::UserId),
            text_null(UserSecretTags::Name),
            big_integer_null(UserSecretTags::Position),
        ];
        // One by one: SQLite adds no two in a statement.
        for column in columns {
            let add = Table::alter().table(UserSecretTags::Table).add_column(column).to_owned();
            manager.alter_table(add).await?;
        }
        let (connection, backend) = (manager.get_connection(), manager.get_database_backend());
        let empty = match backend {
            DatabaseBackend::Postgres => include_str!("postgres/pages.sql"),
            _ => "DELETE FROM user_secret_tags",
        };
        connection.execute_unprepared(empty).await?;
        fill(connection).await?;
        if backend == DatabaseBackend::Postgres {
            let fence = "ALTER TABLE user_secret_tags FORCE ROW LEVEL SECURITY";
            connection.execute_unprepared(fence).await?;
        }
        index_tags(manager).await?;
        index_secrets(manager).await
    }
}

/// Of an owner, and of the whole domain.
async fn index_tags(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use UserSecretTags::{Digest, DomainId, Name, Position, UserId, UserSecretId};
    let of_owner = [DomainId, UserId, Digest, Name, Position, UserSecretId];
    let of_domain = [DomainId, Digest, Name, Position, UserSecretId];
    for (name, columns) in [
        ("user_secret_tags_by_owner", &of_owner[..]),
        ("user_secret_tags_by_domain", &of_domain[..]),
    ] {
        let mut index = Index::create();
        index.name(name).table(UserSecretTags::Table);
        for column in columns {
            index.col(*column);
        }
        // What nothing can equal is not looked for.
        index.and_where(Expr::col(Digest).is_not_null());
        manager.create_index(index).await?;
    }
    Ok(())
}

async fn index_secrets(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use UserSecrets::{CreatedAt, DomainId, Name, Position, Table, UserId, UserSecretId};
    let owner = "user_secrets_by_owner";
    // The index by which one secret is found must be the one made last: see lookup.sql.
    manager.drop_index(Index::drop().name(owner).table(Table).to_owned()).await?;
    for (name, unique, columns) in [
        ("user_secrets_by_domain", false, &[DomainId, Name, Position, UserSecretId][..]),
        ("user_secrets_by_creation", false, &[DomainId, UserId, CreatedAt]),
        ("user_secrets_by_domain_creation", false, &[DomainId, CreatedAt]),
        (owner, true, &[DomainId, UserSecretId, UserId]),
    ] {
        let mut index = Index::create();
        index.name(name).table(Table);
        for column in columns {
            index.col(*column);
        }
        if unique {
            index.unique();
        }
        manager.create_index(index).await?;
    }
    Ok(())
}

/// How many secrets are read at a time, and how many rows are written.
const BATCH: u64 = 500;
const ROWS: usize = 500;

/// Writes the rows of secrets that are there already.
async fn fill(connection: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    use user_secret::Column::{DomainId, UserSecretId};
    let mut last = (String::new(), String::new());
    loop {
        let key = Expr::tuple([Expr::col(DomainId), Expr::col(UserSecretId)]);
        let after = Expr::tuple([last.0.as_str().into(), last.1.as_str().into()]);
        #[expect(clippy::disallowed_methods, reason = "the owner sees every domain")]
        let secrets = user_secret::Entity::find()
            .filter(key.gt(after))
            .order_by_asc(DomainId)
            .order_by_asc(UserSecretId)
            .limit(BATCH)
            .all(connection)
            .await?;
        let Some(end) = secrets.last() else { return Ok(()) };
        last = (end.domain_id.clone(), end.user_secret_id.clone());
        let rows: Vec<_> = secrets.iter().flat_map(user_secret_tag::rows).collect();
        for some in rows.chunks(ROWS) {
            let some = some.iter().map(|row| row.clone().into_active_model());
            user_secret_tag::Entity::insert_many(some).exec_without_returning(connection).await?;
        }
    }
}
