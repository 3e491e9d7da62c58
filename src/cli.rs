//! The command line.

mod audit;
mod dev;
mod domain;
mod export;
mod hsm;
mod import;
mod job;
mod serve;
mod token;
mod worker;

use std::{
    error::Error,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{config::Config, database, graphql};

/// A multi-tenant GraphQL gateway that keeps users' credentials encrypted under keys in an HSM.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sets up a token, a database and an issuer for development, and serves.
    Dev {
        /// Where everything is kept.
        #[arg(long, default_value = ".usersecret")]
        data_dir: PathBuf,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Another database than the SQLite file in the data directory.
        #[arg(long)]
        database_url: Option<String>,
    },
    /// Mints a development token.
    Token {
        /// What `dev` made.
        #[arg(long, default_value = ".usersecret")]
        data_dir: PathBuf,
        /// The domain.
        #[arg(long)]
        domain: String,
        /// The user; a system has none.
        #[arg(long)]
        user: Option<String>,
        /// The role.
        #[arg(long, default_value = "user")]
        role: RoleName,
        /// How long it is good: a number and s, m, h or d.
        #[arg(long, default_value = "1h")]
        ttl: String,
    },
    /// Serves.
    Serve(Source),
    /// Brings the database's schema up to date.
    Migrate(Source),
    /// Prints the GraphQL schema.
    Schema,
    /// Sets up the HSM token, or looks at it.
    Hsm {
        #[command(subcommand)]
        command: HsmCommand,
    },
    /// The keys of domains.
    Domain {
        #[command(subcommand)]
        command: domain::DomainCommand,
    },
    /// Brings secrets in, one JSON object a line: status 1 when a line was bad.
    Import {
        #[command(flatten)]
        source: Source,
        /// The file; `-` is standard input.
        file: PathBuf,
        /// The first line that counts.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        from_line: u64,
    },
    /// Writes the metadata of secrets, one JSON object a line, and never their data.
    Export {
        #[command(flatten)]
        source: Source,
        /// A new file; otherwise standard output.
        file: Option<PathBuf>,
        /// Only the secrets of this domain.
        #[arg(long)]
        domain: Option<String>,
    },
    /// Works with the HSM for the service that started it.
    #[command(name = crate::hsm::WORKER, hide = true)]
    HsmWorker,
    /// What an auditor needs.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    User,
    DomainAdmin,
    System,
}

#[derive(Subcommand)]
enum HsmCommand {
    /// Makes the root key and the signing key on an initialized token, or the one that is missing.
    Init {
        #[command(flatten)]
        source: Source,
        /// An RSA public key, in PEM, for which a copy of the root is wrapped; may be repeated. It cannot be added later.
        #[arg(long, requires = "recovery_out")]
        recovery_public_key: Vec<PathBuf>,
        /// Where the wrapped copy is written; once for each key, in the same order.
        #[arg(long, requires = "recovery_public_key")]
        recovery_out: Vec<PathBuf>,
    },
    /// Prints the public key to which the root is wrapped for this token, in PEM; it is made when it is missing.
    Receive {
        #[command(flatten)]
        source: Source,
        /// Destroys the key instead.
        #[arg(long)]
        destroy: bool,
    },
    /// Puts a root on this token, out of a copy that was wrapped to its receiving key.
    Restore {
        #[command(flatten)]
        source: Source,
        /// The copy.
        file: PathBuf,
        /// The version of the root that it is a copy of.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
        root_version: i32,
        /// Leaves the receiving key on the token, for a copy of another version.
        #[arg(long)]
        keep_receiving_key: bool,
    },
    /// Puts another root key in the place of the newest, and wraps every domain's keys under it: it may be stopped and begun again.
    RotateRoot {
        #[command(flatten)]
        source: Source,
        /// As of `init`: who gets a copy of the new root. It cannot be added later.
        #[arg(long)]
        recovery_public_key: Vec<PathBuf>,
        /// Where that copy is written, in the same order.
        #[arg(long)]
        recovery_out: Vec<PathBuf>,
    },
    /// Destroys an older root key, once it wraps nothing any more.
    DestroyRoot {
        #[command(flatten)]
        source: Source,
        /// The version of the root.
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        version: i32,
        /// The version again: what only it opens is gone, in backups too.
        #[arg(long)]
        confirm: i32,
    },
    /// Says in short what the token is and has.
    Status(Source),
    /// Examines the token step by step; exit status 1 when something is missing.
    Doctor(Source),
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Prints the public half of the token's signing key, in PEM.
    PublicKey(Source),
    /// Holds the events against the signed blocks: status 1 when something was tampered
    /// with, 2 when only a dead replica's last events are not sealed yet, 3 when nothing could be verified.
    Verify {
        #[command(flatten)]
        source: Source,
        /// Only the events of this domain.
        #[arg(long)]
        domain: Option<String>,
        /// Heads that were kept elsewhere, as this command prints them: their blocks must be there.
        #[arg(long)]
        head: Option<PathBuf>,
        /// An accepted public key, in PEM, instead of the token's own; may be repeated.
        #[arg(long)]
        public_key: Vec<PathBuf>,
    },
}

/// Where the configuration comes from.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// A configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// What `dev` made.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

impl Source {
    fn load(&self) -> Result<Config, Failure> {
        let in_dir = self.data_dir.as_ref().map(|dir| dir.join("config.toml"));
        let file = self.config.clone().or(in_dir).unwrap_or_default();
        Ok(Config::load(&file)?)
    }
}

type Failure = Box<dyn Error + Send + Sync>;

/// An exit status for which all has been said.
#[derive(Debug, thiserror::Error)]
#[error("status {0}")]
pub struct Quiet(pub u8);

impl Cli {
    /// Does what was asked; the error is for a person.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Dev { data_dir, listen, database_url } => {
                dev::run(&data_dir, listen, database_url)
            }
            Command::Token { data_dir, domain, user, role, ttl } => {
                print(&token::mint(&data_dir, &domain, user.as_deref(), role, &ttl)?)
            }
            Command::Serve(source) => serve::run(&source.load()?),
            Command::Migrate(source) => {
                let database = source.load()?.database.settings()?;
                runtime()?
                    .block_on(database::migrate(&database))
                    .map_err(|error| error.causes().into())
            }
            Command::Schema => print(graphql::schema(None, true).sdl().trim_end()),
            Command::Hsm { command } => hsm::run(command),
            Command::Domain { command } => domain::run(command),
            Command::Import { source, file, from_line } => import::run(&source, &file, from_line),
            Command::Export { source, file, domain } => {
                export::run(&source, file.as_deref(), domain)
            }
            Command::Audit { command } => audit::run(command),
            Command::HsmWorker => worker::run(),
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// What an error of the service says to a person.
fn failure(error: crate::error::Error) -> Failure {
    let causes = error.causes();
    if causes.is_empty() { error.to_string().into() } else { causes.into() }
}

/// Writes a line to standard error.
fn say(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stderr(), "{text}")?)
}

/// Prints a line; a closed pipe is an error and not a panic.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// Makes a new file that only its owner can read.
fn create_private(file: &Path) -> Result<File, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let created = File::options().write(true).create_new(true).mode(0o600).open(file);
    created.map_err(|error| format!("{}: {error}", file.display()).into())
}

/// Removes those of `files` that are empty: such a one must not pass for what was to be in it.
fn remove_empty<'a>(files: impl IntoIterator<Item = &'a PathBuf>) {
    for file in files {
        if std::fs::metadata(file).is_ok_and(|about| about.is_file() && about.len() == 0) {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Starts this program again with the variables that the module wants, unless they are set.
///
/// A module reads its environment in C; only the start of a process sets that safely.
fn with_environment(config: &Config) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt as _;
    #[expect(clippy::disallowed_methods, reason = "compares what the module would read")]
    let missing =
        config.hsm.env.iter().any(|(key, value)| {
            std::env::var_os(key).as_deref() != Some(std::ffi::OsStr::new(value))
        });
    if !missing {
        return Ok(());
    }
    let mut again = std::process::Command::new(std::env::current_exe()?);
    Err(again.args(std::env::args_os().skip(1)).envs(&config.hsm.env).exec().into())
}
