//! The configuration: defaults, one file, and the environment over both.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use serde::Deserialize;

use crate::{
    auth::IssuerSettings,
    hsm::{self, Pin, Profile},
    store::DatabaseSettings,
};

const DEFAULT: &str = include_str!("../config/default.toml");

/// What is wrong with the configuration, naming the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key is unknown, missing or of a wrong type.
    #[error("{0}")]
    Shape(#[from] Box<figment::Error>),
    /// A value breaks a rule.
    #[error("{0}: {1}")]
    Rule(&'static str, String),
}

/// The whole configuration; `config/default.toml` explains every key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Config {
    pub server: Server,
    pub ops: Ops,
    pub database: Database,
    pub hsm: Hsm,
    pub graphql: GraphQl,
    pub limits: Limits,
    pub log: Log,
    pub auth: Auth,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Server {
    pub listen: SocketAddr,
    pub allow_plaintext: bool,
    pub request_timeout_ms: u64,
    pub header_timeout_ms: u64,
    pub drain_timeout_ms: u64,
}

/// `[ops]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Ops {
    pub listen: String,
}

/// `[database]`; its URL may hold a password, so it does not print.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Database {
    pub url: String,
    pub url_file: PathBuf,
    pub max_connections: u32,
    pub acquire_timeout_ms: u64,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// `[hsm]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Hsm {
    pub module: PathBuf,
    pub token_label: String,
    pub pin_file: PathBuf,
    pub profile: String,
    pub isolation: Isolation,
    pub queue: usize,
    pub deadline_ms: u64,
    pub kek_handles: u64,
    pub env: BTreeMap<String, String>,
}

/// Where HSM sessions live.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// On threads of this process.
    Thread,
}

/// `[graphql]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct GraphQl {
    pub introspection: bool,
}

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Limits {
    pub body_bytes: usize,
    pub document_nesting: usize,
    pub document_tokens: usize,
    pub document_fields: usize,
    pub document_depth: usize,
    pub data_bytes: usize,
    pub tags_bytes: usize,
    pub data_versions: u32,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[auth]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Auth {
    pub issuers: Vec<IssuerSettings>,
}

impl Config {
    /// Reads `file` over the defaults and the environment over it.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(file).map_err(|error| {
            ConfigError::Rule("--config", format!("{} cannot be read: {error}", file.display()))
        })?;
        let environment = Env::prefixed("USERSECRET_").split("__");
        Self::check(Self::layers(&text).merge(environment))
    }

    /// Reads `text` over the defaults.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Self::check(Self::layers(text))
    }

    fn layers(text: &str) -> Figment {
        Figment::from(Toml::string(DEFAULT)).merge(Toml::string(text))
    }

    fn check(figment: Figment) -> Result<Self, ConfigError> {
        let config: Self = figment.extract().map_err(Box::new)?;
        if !config.server.listen.ip().is_loopback() && !config.server.allow_plaintext {
            let rule = "plain HTTP outside loopback needs server.allow_plaintext = true";
            return Err(ConfigError::Rule("server.listen", rule.to_owned()));
        }
        if config.limits.data_versions == 0 || config.database.max_connections == 0 {
            let rule = "limits.data_versions and database.max_connections must be 1 or more";
            return Err(ConfigError::Rule("config", rule.to_owned()));
        }
        Ok(config)
    }
}

impl Database {
    /// What the store needs.
    pub fn settings(&self) -> Result<DatabaseSettings, ConfigError> {
        let url = match (self.url.is_empty(), self.url_file.as_os_str().is_empty()) {
            (false, true) => self.url.clone(),
            (true, false) => read("database.url_file", &self.url_file)?.trim().to_owned(),
            _ => {
                let rule = "exactly one of database.url and database.url_file must be set";
                return Err(ConfigError::Rule("database.url", rule.to_owned()));
            }
        };
        if !url.starts_with("sqlite:") {
            return Err(ConfigError::Rule("database.url", "must begin with sqlite:".to_owned()));
        }
        Ok(DatabaseSettings {
            url,
            max_connections: self.max_connections,
            acquire_timeout: Duration::from_millis(self.acquire_timeout_ms),
        })
    }
}

impl Hsm {
    /// What the engine needs, the PIN included.
    pub fn settings(&self) -> Result<hsm::Settings, ConfigError> {
        let profile = Profile::named(&self.profile)
            .ok_or_else(|| ConfigError::Rule("hsm.profile", "must be softhsm".to_owned()))?;
        Ok(hsm::Settings {
            module: self.module.clone(),
            token_label: self.token_label.clone(),
            pin: Pin::new(read("hsm.pin_file", &self.pin_file)?),
            profile,
            queue: self.queue.max(1),
            deadline: Duration::from_millis(self.deadline_ms),
            kek_handles: self.kek_handles.max(1),
        })
    }
}

/// The text of the file that `key` names.
pub(crate) fn read(key: &'static str, file: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(file).map_err(|error| {
        ConfigError::Rule(key, format!("{} cannot be read: {error}", file.display()))
    })
}
