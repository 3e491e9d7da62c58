//! The SQLite file as whoever stole or patched it would see it.

use std::path::Path;

use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend, DbErr, Statement,
    TransactionTrait as _, TryGetable,
};

/// A connection of its own, without foreign keys.
pub struct Sqlite(DatabaseConnection);

impl Sqlite {
    pub async fn open(file: &Path) -> Self {
        let mut options = ConnectOptions::new(format!("sqlite://{}", file.display()));
        options.max_connections(1).sqlx_logging(false);
        let connection = Database::connect(options).await.unwrap();
        connection.execute_unprepared("PRAGMA foreign_keys = OFF").await.unwrap();
        Self(connection)
    }

    pub async fn run(&self, sql: &str) -> Result<(), DbErr> {
        self.0.execute_unprepared(sql).await.map(|_| ())
    }

    /// The first column of every row.
    pub async fn column<T: TryGetable>(&self, sql: &str) -> Vec<T> {
        let statement = Statement::from_string(DbBackend::Sqlite, sql.to_owned());
        let rows = self.0.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    /// Exchanges `column` between two rows, or changes nothing when the table's key forbids it.
    pub async fn swap(&self, table: &str, column: &str, one: i64, other: i64) -> bool {
        let transaction = self.0.begin().await.unwrap();
        let swapped = transaction
            .execute_unprepared(&format!(
                "CREATE TEMP TABLE held AS
                     SELECT rowid AS place, {column} AS value FROM {table} WHERE rowid IN ({one}, {other});
                 UPDATE {table} SET {column} = '-held-' WHERE rowid = {one};
                 UPDATE {table} SET {column} = (SELECT value FROM held WHERE place = {one}) WHERE rowid = {other};
                 UPDATE {table} SET {column} = (SELECT value FROM held WHERE place = {other}) WHERE rowid = {one};
                 DROP TABLE held"
            ))
            .await;
        match swapped {
            Ok(_) => transaction.commit().await.unwrap(),
            Err(_) => transaction.rollback().await.unwrap(),
        }
        swapped.is_ok()
    }
}
