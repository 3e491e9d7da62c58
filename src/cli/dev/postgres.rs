//! PostgreSQL for development: an administrator's address becomes an owner's and a service's.

use std::{fs, path::Path, time::Duration};

use serde_json::json;
use url::Url;

use super::{super::Failure, runtime, write_private};
use crate::{
    database::{self, DatabaseSettings, DatabaseUrl},
    ids::hex,
};

/// The most bytes of a name in PostgreSQL.
const MAX_NAME: usize = 63;

/// Makes the roles `…_owner` and `…_service` of the database that `admin` administers.
///
/// Returns what the configuration says of the database. The passwords are drawn
/// once and kept in files that only their owner can read.
pub(super) fn prepare(dir: &Path, admin: Url) -> Result<String, Failure> {
    let database = admin.path().trim_matches('/').to_owned();
    if database.is_empty() || database.len() > MAX_NAME - "_service".len() {
        return Err("--database-url: must name a database, in 55 characters or less".into());
    }
    let role = |part: &str| -> Result<(Url, std::path::PathBuf), Failure> {
        let file = dir.join(format!("database-{part}.url"));
        let kept = fs::read_to_string(&file).ok().and_then(|text| Url::parse(text.trim()).ok());
        let password = match kept.as_ref().and_then(Url::password) {
            Some(password) => password.to_owned(),
            None => {
                let mut bytes = [0; 16];
                aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "no random bytes for a password")?;
                hex(bytes)
            }
        };
        let mut url = admin.clone();
        let taken = url
            .set_username(&format!("{database}_{part}"))
            .and_then(|()| url.set_password(Some(&password)));
        taken.map_err(
            |()| "--database-url: must name a host, which may be localhost beside ?host=SOCKET",
        )?;
        write_private(&file, url.as_str())?;
        Ok((url, file))
    };
    let ((owner, owner_file), (service, service_file)) = (role("owner")?, role("service")?);
    let settings = DatabaseSettings {
        url: DatabaseUrl::Postgres(admin),
        admin_url: None,
        max_connections: 1,
        acquire_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(10),
    };
    runtime()?
        .block_on(database::create_roles(&settings, &owner, &service))
        .map_err(|error| format!("--database-url: {}", error.causes()))?;
    Ok(format!("url_file = {}\nadmin_url_file = {}\n", json!(service_file), json!(owner_file)))
}
