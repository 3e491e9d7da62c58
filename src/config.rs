//! The configuration: defaults, one file, and the environment over both.

mod listen;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use ipnet::IpNet;
use serde::Deserialize;

use crate::{
    audit::SealerSettings,
    auth::{IssuerSettings, KeyRhythm},
    database::{DatabaseSettings, DatabaseUrl},
    hsm::{self, Profile},
};

pub use listen::{ClientCertificates, Internal, Ops, Server, Tls};

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
    pub internal: Internal,
    pub ops: Ops,
    pub database: Database,
    pub hsm: Hsm,
    pub keys: Keys,
    pub graphql: GraphQl,
    pub limits: Limits,
    pub log: Log,
    pub audit: Audit,
    pub auth: Auth,
}

/// `[database]`; its URLs may hold passwords, so it does not print.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Database {
    pub url: String,
    pub url_file: PathBuf,
    pub admin_url: String,
    pub admin_url_file: PathBuf,
    pub max_connections: u32,
    pub acquire_timeout_ms: u64,
    pub statement_timeout_ms: u64,
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
    pub init_args: String,
    pub pin_file: PathBuf,
    pub profile: String,
    pub isolation: Isolation,
    pub processes: usize,
    pub process_jobs: u64,
    pub sessions: usize,
    pub queue: usize,
    pub deadline_ms: u64,
    pub kek_handles: u64,
    pub env: BTreeMap<String, String>,
}

/// `[keys]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Keys {
    pub max_age_days: u32,
    pub max_wraps: u32,
    pub min_rotation_interval_seconds: u32,
    pub rewrap_per_second: u32,
    pub interval_ms: u64,
}

/// Where HSM sessions live.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// On threads of this process.
    Thread,
    /// In processes of their own.
    Process,
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
    pub issuers: u32,
    pub revoked_tokens: u32,
    pub waiting_lists: usize,
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

/// `[audit]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Audit {
    pub enabled: bool,
    pub seal_interval_ms: u64,
    pub beat_interval_ms: u64,
    pub silence_ms: u64,
    pub backlog: usize,
}

/// `[auth]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Auth {
    pub jwks_fresh_ms: u64,
    pub jwks_pause_ms: u64,
    pub ca_file: PathBuf,
    pub jwks_networks: Vec<IpNet>,
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
        config.server.check()?;
        config.internal.check()?;
        config.ops.address()?;
        if config.audit.seal_interval_ms == 0
            || config.audit.backlog == 0
            || config.audit.silence_ms < config.audit.beat_interval_ms.saturating_mul(2)
        {
            let rule = "seal_interval_ms and backlog must be 1 or more, silence_ms at least twice beat_interval_ms";
            return Err(ConfigError::Rule("audit", rule.to_owned()));
        }
        if config.database.max_connections < 6 {
            let rule = "must be 6 or more: hot statements keep three, and reading, writing and the audit trail need one each";
            return Err(ConfigError::Rule("database.max_connections", rule.to_owned()));
        }
        if !(131_072..=1 << 31).contains(&config.keys.max_wraps) || config.keys.interval_ms == 0 {
            let rule = "max_wraps must be 131072 to 2147483648, since each replica takes 65536 at a time and 2^32 is the end, and interval_ms 1 or more";
            return Err(ConfigError::Rule("keys", rule.to_owned()));
        }
        if config.limits.data_versions == 0 {
            let rule = "must be 1 or more";
            return Err(ConfigError::Rule("limits.data_versions", rule.to_owned()));
        }
        Ok(config)
    }
}

impl Database {
    /// Whether there is one.
    pub fn is_named(&self) -> bool {
        !self.url.is_empty() || !self.url_file.as_os_str().is_empty()
    }

    /// What connections are made of.
    pub fn settings(&self) -> Result<DatabaseSettings, ConfigError> {
        let url = url_of("database.url", &self.url, "database.url_file", &self.url_file)?
            .ok_or_else(|| {
                let rule = "one of database.url and database.url_file must be set";
                ConfigError::Rule("database.url", rule.to_owned())
            })?;
        let admin_url = url_of(
            "database.admin_url",
            &self.admin_url,
            "database.admin_url_file",
            &self.admin_url_file,
        )?;
        if let (DatabaseUrl::Sqlite(_), Some(_)) = (&url, &admin_url) {
            let rule = "SQLite has no roles, so this must not be set";
            return Err(ConfigError::Rule("database.admin_url", rule.to_owned()));
        }
        Ok(DatabaseSettings {
            url,
            admin_url,
            max_connections: self.max_connections,
            acquire_timeout: Duration::from_millis(self.acquire_timeout_ms),
            statement_timeout: Duration::from_millis(self.statement_timeout_ms),
        })
    }
}

/// The address in `text` or in the file that `path` names, if either is set.
fn url_of(
    key: &'static str,
    text: &str,
    file_key: &'static str,
    path: &Path,
) -> Result<Option<DatabaseUrl>, ConfigError> {
    let text = match (text.is_empty(), path.as_os_str().is_empty()) {
        (true, true) => return Ok(None),
        (false, true) => text.to_owned(),
        (true, false) => read(file_key, path)?,
        (false, false) => {
            return Err(ConfigError::Rule(key, format!("must not stand beside {file_key}")));
        }
    };
    DatabaseUrl::parse(text.trim())
        .map(Some)
        .map_err(|rule| ConfigError::Rule(key, rule.to_owned()))
}

impl Auth {
    /// Certificates to trust beside the system's where keys are fetched, as PEM.
    pub fn roots(&self) -> Result<Option<String>, ConfigError> {
        let file = Some(&self.ca_file).filter(|file| !file.as_os_str().is_empty());
        file.map(|file| read("auth.ca_file", file)).transpose()
    }

    /// When published keys are fetched anew.
    pub const fn rhythm(&self) -> KeyRhythm {
        KeyRhythm {
            fresh: Duration::from_millis(self.jwks_fresh_ms),
            pause: Duration::from_millis(self.jwks_pause_ms),
        }
    }
}

impl Audit {
    /// The rhythm of the sealer.
    pub const fn settings(&self) -> SealerSettings {
        SealerSettings {
            interval: Duration::from_millis(self.seal_interval_ms),
            beat: Duration::from_millis(self.beat_interval_ms),
            silence: Duration::from_millis(self.silence_ms),
        }
    }
}

impl Config {
    /// What the HSM's engine needs.
    pub fn hsm_settings(&self) -> Result<hsm::Settings, ConfigError> {
        let (hsm, log) = (&self.hsm, &self.log);
        let profile = Profile::named(&hsm.profile).ok_or_else(|| {
            let names = Profile::names().join(", ");
            ConfigError::Rule("hsm.profile", format!("must be one of {names}"))
        })?;
        let isolation = match hsm.isolation {
            Isolation::Thread => hsm::Isolation::Thread,
            Isolation::Process => hsm::Isolation::Process(hsm::Processes {
                program: this_program(),
                count: hsm.processes,
                log: (log.filter.clone(), matches!(log.format, LogFormat::Json)),
                jobs: hsm.process_jobs,
            }),
        };
        Ok(hsm::Settings {
            module: hsm.module.clone(),
            token_label: hsm.token_label.clone(),
            init_args: hsm.init_args.clone(),
            pin_file: hsm.pin_file.clone(),
            profile,
            isolation,
            sessions: hsm.sessions,
            queue: hsm.queue.max(1),
            deadline: Duration::from_millis(hsm.deadline_ms),
            kek_handles: hsm.kek_handles.max(1),
        })
    }
}

/// The program that runs, also after another one has taken its place on the disk.
fn this_program() -> PathBuf {
    const RUNNING: &str = "/proc/self/exe";
    if Path::new(RUNNING).exists() {
        RUNNING.into()
    } else {
        std::env::current_exe().unwrap_or_else(|_| "usersecret".into())
    }
}

/// The text of the file that `key` names.
pub(crate) fn read(key: &'static str, file: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(file).map_err(|error| {
        ConfigError::Rule(key, format!("{} cannot be read: {error}", file.display()))
    })
}
