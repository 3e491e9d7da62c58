//! `usersecret dev`: everything that is needed, made once and kept.

mod postgres;

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use serde_json::json;

use super::{Failure, RoleName, print, runtime, serve, token, with_environment};
use crate::{
    config::Config,
    database::{self, DatabaseUrl},
    hsm,
    ids::hex,
};

pub(super) fn run(
    data_dir: &Path,
    listen: SocketAddr,
    database_url: Option<String>,
) -> Result<(), Failure> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let dir = data_dir.canonicalize()?;
    let pin_file = dir.join("pin");
    if !pin_file.exists() {
        let mut pin = [0; 16];
        aws_lc_rs::rand::fill(&mut pin).map_err(|_| "no random bytes for a PIN")?;
        write_private(&pin_file, &hex(pin))?;
    }
    token::create_issuer(&dir.join("issuer"))?;
    let config_file = dir.join("config.toml");
    let database = match database_url.as_deref().map(DatabaseUrl::parse).transpose() {
        Ok(None) => {
            let url = format!("sqlite://{}", dir.join("usersecret.db").display());
            format!("url = {}\n", json!(url))
        }
        Ok(Some(DatabaseUrl::Sqlite(url))) => format!("url = {}\n", json!(url)),
        Ok(Some(DatabaseUrl::Postgres(admin))) => postgres::prepare(&dir, admin)?,
        Err(rule) => return Err(format!("--database-url: {rule}").into()),
    };
    write_private(&config_file, &config_text(&dir, listen, &database))?;
    let config = Config::load(&config_file)?;
    with_environment(&config)?;

    // The mark is written last. A set-up that was cut short is begun again, for
    // as long as there is no database whose keys could be lost with the token.
    let (softhsm, ready) = (dir.join("softhsm"), dir.join("softhsm/ready"));
    if !ready.exists() {
        if dir.join("usersecret.db").exists() {
            return Err(format!("{} is missing beside a database", ready.display()).into());
        }
        if softhsm.exists() {
            fs::remove_dir_all(&softhsm)?;
        }
        let settings = config.hsm_settings()?;
        hsm::create_token(&settings, &softhsm)?;
        hsm::create_keys(&settings, &[])?;
        write_private(&ready, "")?;
    } else if hsm::ensure_signing_key(&config.hsm_settings()?)? {
        print("the token had no signing key; it is made")?;
    }
    runtime()?
        .block_on(database::migrate(&config.database.settings()?))
        .map_err(|error| error.causes())?;

    greet(&dir, config.server.scheme(), config.server.listen)?;
    serve::run(&config)
}

fn config_text(dir: &Path, listen: SocketAddr, database: &str) -> String {
    // A JSON string is a TOML basic string.
    let text = |path: &str| json!(dir.join(path)).to_string();
    format!(
        "# Written by `usersecret dev` at every start.\n\
         [server]\nlisten = \"{listen}\"\n\
         [ops]\nlisten = \"\"\n\
         [database]\n{database}\
         [hsm]\npin_file = {pin}\nenv = {{ SOFTHSM2_CONF = {conf} }}\n\
         [graphql]\nintrospection = true\n\
         [[auth.issuers]]\niss = \"{iss}\"\njwks_file = {jwks}\nalgorithms = [\"ES256\"]\n\
         audiences = [\"{aud}\"]\ndomains = [\"*\"]\nroles = [\"USER\", \"DOMAIN_ADMIN\", \"SYSTEM\"]\n",
        pin = text("pin"),
        conf = text("softhsm/softhsm2.conf"),
        jwks = text("issuer/jwks.json"),
        iss = token::ISS,
        aud = token::AUD,
    )
}

fn greet(dir: &Path, scheme: &str, listen: SocketAddr) -> Result<(), Failure> {
    let token = token::mint(dir, "acme", Some("ann"), RoleName::User, "1d")?;
    let (dir, program) = (dir.display(), std::env::current_exe()?);
    let program = program.display();
    print(&format!(
        "Usersecret for development, in {dir}\n\n\
         A token of the user ann in the domain acme, good for a day:\n\n\
         export TOKEN={token}\n\n\
         A request to try:\n\n\
         curl -s {scheme}://{listen}/graphql -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n  \
         -d '{{\"query\":\"mutation {{ createUserSecret(input: {{name: \\\"aws\\\", data: {{key: \\\"value\\\"}}}}) {{ userSecret {{ userSecretId name version }} }} }}\"}}'\n\n\
         The next token:\n\n\
         {program} token --data-dir {dir} --domain acme --user ann\n"
    ))
}

/// Writes a file that only its owner can read.
pub(super) fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?
        .write_all(text.as_bytes())
}
