//! Rows in numbers, after the pattern of secrets that the service made itself.

use std::{fs, path::Path};

use sea_orm::sqlx::{
    self, ConnectOptions as _, Connection as _, Row as _,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};
use serde_json::json;

use super::Size;
use crate::{
    Failure,
    dataset::{CREATE, body, created, data},
    load::{Requests, once, post},
    postgres::Cluster,
    service::Service,
};

/// The domain of the pattern.
const PATTERN: &str = "pattern";
const ENVS: [&str; 5] = ["prod", "dev", "test", "stage", "canary"];
const TEAMS: usize = 20;
const FILL: &str = include_str!("fill.sql");
/// Indexes but those of primary keys, taken away until the rows are there, and made again in their order.
const POSTGRES: (&str, &str) = (
    "SET session_replication_role = replica; SET synchronous_commit = off;
    SET maintenance_work_mem = '1GB';
    CREATE TEMP TABLE kept AS SELECT indexrelid AS id, indexrelid::regclass::text AS name,
        pg_get_indexdef(indexrelid) AS made FROM pg_index WHERE NOT indisprimary AND indrelid IN
            ('user_secrets'::regclass, 'user_secret_versions'::regclass, 'user_secret_tags'::regclass);
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT k.name FROM kept k LOOP EXECUTE 'DROP INDEX ' || name; END LOOP;
    END $$;\n",
    "DO $$ DECLARE made text; BEGIN
        FOR made IN SELECT k.made FROM kept k ORDER BY id LOOP EXECUTE made; END LOOP;
    END $$;
    VACUUM ANALYZE;\n",
);

/// Has the service make the pattern, ends it, and fills its database.
pub(super) async fn fill(
    service: &mut Service,
    cluster: Option<&Cluster>,
    dir: &Path,
    size: Size,
) -> Result<(), Failure> {
    let token = service.minter()?.mint(PATTERN, Some("ann"), &json!({}))?;
    let request = |team: usize| {
        let mut tags = json!({ "team": format!("team {team}") });
        if let (Some(env), Some(tags)) = (ENVS.get(team), tags.as_object_mut()) {
            tags.insert("env".to_owned(), json!(env));
        }
        let input = json!({ "name": "pattern", "data": data(), "tags": tags,
            "schemaId": "aws_access_key" });
        post(&token, &body(CREATE, &json!({ "input": input })))
    };
    let requests: Requests = (0..TEAMS).map(request).collect();
    once(service.address, &requests, 1, created).await?;
    service.end();
    match cluster {
        Some(cluster) => {
            let file = dir.join("fill.sql");
            let statements = statements(size, |n| format!("lpad(to_hex({n}), 12, '0')"), "jsonb");
            fs::write(&file, [POSTGRES.0, &statements, POSTGRES.1].concat())?;
            cluster.script(&size.tag(), &file)
        }
        None => {
            let statements = statements(size, |n| format!("printf('%012x', {n})"), "json");
            sqlite(&dir.join("usersecret.db"), &statements).await
        }
    }
}

fn statements(size: Size, hex: impl Fn(&str) -> String, json: &str) -> String {
    let line = if json == "json" { "char(10)" } else { "chr(10)" };
    [
        ("{rows}", size.rows.to_string()),
        ("{domains}", size.domains.to_string()),
        ("{fixed}", size.fixed().to_string()),
        ("{pattern}", PATTERN.to_owned()),
        ("{id}", hex("id")),
        ("{name}", hex("name")),
        ("{json}", json.to_owned()),
        ("{line}", line.to_owned()),
    ]
    .into_iter()
    .fold(FILL.to_owned(), |text, (name, value)| text.replace(name, &value))
}

/// The id of secret number `n`, as fill.sql makes it.
pub(super) fn id(n: u64) -> String {
    let spread = n.wrapping_mul(412_316_860_417) % (1 << 48);
    format!("user-secret-{:012x}", (spread ^ (spread >> 24)).wrapping_mul(31_337) % (1 << 48))
}

async fn sqlite(file: &Path, statements: &str) -> Result<(), Failure> {
    let options = SqliteConnectOptions::new().filename(file).foreign_keys(false);
    let options = options.pragma("cache_size", "-2000000").disable_statement_logging();
    let mut connection = options.connect().await?;
    let kept = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL \
        AND tbl_name LIKE 'user_secret%' ORDER BY rowid";
    let kept = sqlx::query(kept).fetch_all(&mut connection).await?;
    let mut script = "BEGIN;\n".to_owned();
    for index in &kept {
        script.push_str(&format!("DROP INDEX {};\n", index.try_get::<String, _>("name")?));
    }
    script.push_str(statements);
    for index in &kept {
        script.push_str(&format!("{};\n", index.try_get::<String, _>("sql")?));
    }
    script.push_str("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
    run(&mut connection, script).await?;
    Ok(connection.close().await?)
}

async fn run(connection: &mut SqliteConnection, script: String) -> Result<(), Failure> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(connection).await?;
    Ok(())
}
