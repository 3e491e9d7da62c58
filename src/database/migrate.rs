//! Bringing the schema up to date, as its owner.

use migration::{ACCESS, Migrator, MigratorTrait as _, ROLES};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, Statement, TransactionTrait as _,
};

use super::{DatabaseSettings, DatabaseUrl, failed};
use crate::error::{Error, Result};

/// Whoever migrates holds this advisory lock, so that of several replicas one does.
const LOCK: i64 = 0x7573_6572_7365_6372;

/// Applies the migrations that are missing, and gives the service's role its rights.
pub async fn migrate(settings: &DatabaseSettings) -> Result<()> {
    // A long migration is no defect.
    let owner = settings.patient().open(settings.owner()?, 1).await?;
    let outcome = apply(&owner, settings).await;
    owner.close().await.map_err(failed)?;
    outcome
}

async fn apply(owner: &DatabaseConnection, settings: &DatabaseSettings) -> Result<()> {
    let DatabaseUrl::Postgres(service) = &settings.url else {
        return Migrator::up(owner, None).await.map_err(failed);
    };
    let transaction = owner.begin().await.map_err(failed)?;
    let lock = format!("SELECT pg_advisory_xact_lock({LOCK})");
    transaction.execute_unprepared(&lock).await.map_err(failed)?;
    Migrator::up(&transaction, None).await.map_err(failed)?;
    grant(&transaction, service).await?;
    transaction.commit().await.map_err(failed)
}

/// Makes the roles that `owner` and `service` name, as the administrator `admin` of their database.
pub async fn create_roles(
    admin: &DatabaseSettings,
    owner: &url::Url,
    service: &url::Url,
) -> Result<()> {
    let connection = admin.open(&admin.url, 1).await?;
    let transaction = connection.begin().await.map_err(failed)?;
    for (role, password, url) in [
        ("usersecret.owner", "usersecret.owner_password", owner),
        ("usersecret.service", "usersecret.service_password", service),
    ] {
        set(&transaction, role, url.username()).await?;
        set(&transaction, password, url.password().unwrap_or_default()).await?;
    }
    transaction.execute_unprepared(ROLES).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    connection.close().await.map_err(failed)
}

/// Makes the service's role if there is none, and says what it may do.
async fn grant(transaction: &DatabaseTransaction, service: &url::Url) -> Result<()> {
    set(transaction, "usersecret.service", service.username()).await?;
    set(transaction, "usersecret.password", service.password().unwrap_or_default()).await?;
    transaction.execute_unprepared(ACCESS).await.map_err(failed).map(|_| ())
}

/// Hands a script the part `encoded` of a URL: a script takes no parameters.
async fn set(transaction: &DatabaseTransaction, key: &str, encoded: &str) -> Result<()> {
    let value = percent_encoding::percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_| Error::internal("database.url: is not UTF-8"))?;
    let set = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT set_config($1, $2, true)",
        [key.into(), value.as_ref().into()],
    );
    transaction.execute_raw(set).await.map_err(failed).map(|_| ())
}

/// Whether every migration has been applied. It needs no right but to read their names.
pub(super) async fn is_current(connection: &DatabaseConnection) -> Result<bool> {
    let question = Statement::from_string(
        connection.get_database_backend(),
        "SELECT version FROM seaql_migrations",
    );
    // Without the table no migration has run.
    let Ok(rows) = connection.query_all_raw(question).await else { return Ok(false) };
    let applied: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("", "version"))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    Ok(Migrator::migrations().iter().all(|known| applied.iter().any(|name| name == known.name())))
}
