//! The command line.

use std::{
    future::Future,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    Failure, floor,
    hsm::{self, Device},
    oracles, report, rows, run, soak,
    subject::{Database, Variant},
    tenants,
};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// Measures the service, and the floors below it in the same minutes.
#[derive(Parser)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures everything in rounds; prints tables, writes them and plots.
    Run(RunOptions),
    /// Watches the memory of the service over many requests.
    Soak(SoakOptions),
    /// Looks for answers that must be alike and differ in time; exit status 1 when there are any.
    Oracles(OracleOptions),
    /// Fills a database with tenants, and looks at what grows with their number.
    Tenants(TenantOptions),
    /// Fills a database with secrets, and looks at what grows with their number.
    Rows(RowOptions),
    /// Measures the engine beside its HSM: latencies, homes, cold keys, rewraps, faults.
    Hsm(HsmOptions),
    /// Draws tables and plots again from what the last runs left.
    Report {
        /// Where the results are.
        #[arg(long, default_value = "target/bench")]
        out: PathBuf,
    },
    /// The bare server.
    #[command(hide = true)]
    FloorHttp,
    /// The bare decryption.
    #[command(hide = true)]
    FloorHsm {
        #[command(flatten)]
        token: floor::hsm::Token,
        #[arg(long)]
        call: floor::hsm::Call,
        #[arg(long)]
        seconds: u64,
    },
}

/// What both measurements need.
#[derive(Args)]
pub(crate) struct Common {
    /// Where data, results and plots go, over those of the run before.
    #[arg(long, default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// The service: `cargo build --release` makes it, beside this program.
    #[arg(long, default_value_os_t = beside("usersecret"))]
    pub(crate) binary: PathBuf,
    /// The PKCS#11 module of SoftHSM.
    #[arg(long, default_value = MODULE)]
    pub(crate) module: PathBuf,
}

/// `bench run`.
#[derive(Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How often everything is measured; the figures are medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How long each measurement takes, after half a second to warm up.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
    /// One database instead of both.
    #[arg(long)]
    pub(crate) only: Option<Database>,
    /// What is switched on in the service.
    #[arg(long, value_delimiter = ',', default_value = "on,audit-off,security-off")]
    pub(crate) variants: Vec<Variant>,
    /// Connections.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32",
        value_parser = clap::value_parser!(u32).range(1..=96))]
    pub(crate) connections: Vec<u32>,
}

/// `bench soak`.
#[derive(Args)]
pub(crate) struct SoakOptions {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How many requests.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) requests: u64,
    /// The database.
    #[arg(long, default_value = "postgres")]
    pub(crate) database: Database,
}

/// `bench oracles`.
#[derive(Args)]
pub(crate) struct OracleOptions {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How many requests of each class; up to four times as many where that leaves anything unclear.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..))]
    pub(crate) requests: u32,
    /// One database instead of both.
    #[arg(long)]
    pub(crate) only: Option<Database>,
    /// Only groups with this in their name.
    #[arg(long)]
    pub(crate) group: Option<String>,
}

/// `bench tenants`.
#[derive(Args)]
pub(crate) struct TenantOptions {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Numbers of tenants, rising, at which the service is looked at.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000",
        value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub(crate) sizes: Vec<u32>,
    /// The database.
    #[arg(long, default_value = "postgres")]
    pub(crate) database: Database,
    /// Connections.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=96))]
    pub(crate) connections: u32,
    /// How often each operation is measured at a size; the figures are medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How long each measurement takes, after half a second to warm up.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
}

/// `bench rows`.
#[derive(Args)]
pub(crate) struct RowOptions {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Numbers of secrets, in one domain or, behind a slash, in so many.
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000,5000000,5000000/10000")]
    pub(crate) sizes: Vec<rows::Size>,
    /// One database instead of both.
    #[arg(long)]
    pub(crate) only: Option<Database>,
    /// How often everything is measured, in turns with the first of the sets; the figures are medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How long each measurement takes, after a third of a second to warm up.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
}

/// `bench hsm`.
#[derive(Args)]
pub(crate) struct HsmOptions {
    #[command(flatten)]
    pub(crate) common: Common,
    /// What is measured.
    #[arg(long, value_delimiter = ',', default_value = "latency,homes,cold,rewrap,heal")]
    pub(crate) parts: Vec<String>,
    /// The sessions of the HSM in `latency`, one measurement after the other.
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64")]
    pub(crate) sessions: Vec<u32>,
    /// The modules that are behind the latency in `latency`.
    #[arg(long, value_delimiter = ',', default_value = "nss,softhsm")]
    pub(crate) devices: Vec<Device>,
    /// The database of all; rewraps are measured on SQLite as well.
    #[arg(long, default_value = "postgres")]
    pub(crate) database: Database,
    /// How often each is measured; the figures are medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How long each measurement takes, after half a second to warm up.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
}

impl Cli {
    /// Does what was asked; the error is for a person.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Run(options) => {
                let options = RunOptions { common: options.common.absolute()?, ..options };
                let results = block_on(run::run(&options))??;
                report::run(&options.common.out, &results)
            }
            Command::Soak(options) => {
                let options = SoakOptions { common: options.common.absolute()?, ..options };
                let memory = block_on(soak::run(&options))??;
                report::memory(&options.common.out, &memory)
            }
            Command::Oracles(options) => {
                let options = OracleOptions { common: options.common.absolute()?, ..options };
                let oracles = block_on(oracles::run(&options))??;
                report::oracles(&options.common.out, &oracles)?;
                oracles.judge()
            }
            Command::Tenants(options) => {
                let options = TenantOptions { common: options.common.absolute()?, ..options };
                let tenants = block_on(tenants::run(&options))??;
                report::tenants(&options.common.out, &tenants)
            }
            Command::Rows(options) => {
                let options = RowOptions { common: options.common.absolute()?, ..options };
                let rows = block_on(rows::run(&options))??;
                report::rows(&options.common.out, &rows)
            }
            Command::Hsm(options) => {
                let options = HsmOptions { common: options.common.absolute()?, ..options };
                let figures = block_on(hsm::run(&options))??;
                report::hsm_figures(&options.common.out, &figures)
            }
            Command::Report { out } => report::read(&out),
            Command::FloorHttp => floor::http::serve(),
            Command::FloorHsm { token, call, seconds } => {
                floor::hsm::run(&token, call, Duration::from_secs(seconds))
            }
        }
    }
}

impl Common {
    /// Makes the folder, and paths that hold wherever a process has its own.
    fn absolute(self) -> Result<Self, Failure> {
        std::fs::create_dir_all(&self.out)?;
        let real = |path: &Path| {
            path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))
        };
        Ok(Self { out: real(&self.out)?, binary: real(&self.binary)?, module: real(&self.module)? })
    }
}

/// A program in the folder of this one.
fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name(name)
}

/// Runs `work` until it is done or a signal comes; either way what it started is ended.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = work => Ok(done),
            _ = interrupt.recv() => Err("interrupted".into()),
            _ = terminate.recv() => Err("terminated".into()),
        }
    })
}

/// Says how far the work is.
pub(crate) fn progress(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
