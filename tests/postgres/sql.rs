//! Raw SQL in the service's role.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, Statement, TransactionTrait as _,
    TryGetable,
};
use usersecret::{config::Config, database::Database};

use crate::support::{TestApp, TestDatabase, eventually};

/// The service's own pool, of `most` connections.
pub async fn pool(config: &Config, most: u32) -> Database {
    let mut settings = config.database.settings().unwrap();
    settings.max_connections = most;
    Database::connect(&settings).await.unwrap()
}

/// A transaction within `domain`, or without one.
pub async fn within(pool: &Database, domain: Option<&str>) -> DatabaseTransaction {
    let transaction = pool.reader().begin().await.unwrap();
    if let Some(domain) = domain {
        let name = format!("SELECT set_config('usersecret.domain', '{domain}', true)");
        transaction.execute_unprepared(&name).await.unwrap();
    }
    transaction
}

/// The only value of the only row that `query` gives.
pub async fn value<T: TryGetable>(connection: &impl ConnectionTrait, query: &str) -> T {
    let statement = Statement::from_string(connection.get_database_backend(), query);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// The first column of what `query` gives.
pub async fn texts(connection: &impl ConnectionTrait, query: &str) -> Vec<String> {
    let statement = Statement::from_string(connection.get_database_backend(), query);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Why `statement` failed; empty when it did not.
pub async fn refusal(connection: &impl ConnectionTrait, statement: &str) -> String {
    match connection.execute_unprepared(statement).await {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

/// The domain that `connection` is in.
pub async fn domain(connection: &impl ConnectionTrait) -> String {
    value(connection, "SELECT coalesce(current_setting('usersecret.domain', true), '')").await
}

/// Runs `statement` as the administrator of `database`.
pub async fn admin(database: &TestDatabase, statement: &str) {
    let connection = database.connect().await;
    connection.execute_unprepared(statement).await.unwrap();
    connection.close().await.unwrap();
}

/// A connection that holds `lock` until it is closed.
pub async fn hold(database: &TestDatabase, lock: &str) -> DatabaseConnection {
    let connection = database.connect().await;
    connection.execute_unprepared(&format!("BEGIN; {lock}")).await.unwrap();
    connection
}

/// Waits until none of the service's connections is in a transaction.
pub async fn at_rest(app: &TestApp) {
    let busy = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'usersecret' AND state LIKE 'idle in%'";
    eventually("no connection is left in a transaction", async || {
        app.database.value::<i64>(busy).await == 0
    })
    .await;
}
