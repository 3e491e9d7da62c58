//! The service under test: the release binary, as a process of its own.

use std::{
    ffi::OsStr,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    Failure,
    load::{Connection, Cpu, get},
    proc,
    process::Process,
    subject::Variant,
    token::Minter,
};

const START: Duration = Duration::from_secs(60);

/// What a service is started with.
pub(crate) struct Setup<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) module: &'a Path,
    pub(crate) dir: PathBuf,
    pub(crate) database_url: Option<String>,
    pub(crate) variant: Variant,
    /// More variables.
    pub(crate) env: Vec<(String, String)>,
}

/// A running service.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    process: Process,
    binary: PathBuf,
    module: PathBuf,
    dir: PathBuf,
    variant: Variant,
    /// Variables beyond the usual ones, from the next start on.
    pub(crate) env: Vec<(String, String)>,
}

impl Service {
    /// Starts it on new data, and waits until it is ready.
    pub(crate) async fn start(setup: &Setup<'_>) -> Result<Self, Failure> {
        let dir = setup.dir.clone();
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(setup.binary);
        command.args(["dev", "--listen", &address.to_string(), "--data-dir"]).arg(&dir);
        if let Some(url) = &setup.database_url {
            command.args(["--database-url", url]);
        }
        settle(&mut command, setup.module, setup.variant);
        command.envs(setup.env.iter().cloned());
        let process = spawn(&mut command, &dir)?;
        let (binary, module) = (setup.binary.to_owned(), setup.module.to_owned());
        let (variant, env) = (setup.variant, setup.env.clone());
        let mut service = Self { address, process, binary, module, dir, variant, env };
        service.wait().await?;
        Ok(service)
    }

    /// Ends it, and starts `serve` in its folder on the same data, with `more` behind the configuration that `dev` wrote.
    /// Returns how long it took until it was ready.
    pub(crate) async fn restart(&mut self, more: &str) -> Result<Duration, Failure> {
        self.process.end();
        let config = self.dir.join("serve.toml");
        let written = std::fs::read_to_string(self.dir.join("config.toml"))?;
        std::fs::write(&config, format!("{written}{more}"))?;
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--config"]).arg(&config).current_dir(&self.dir);
        settle(&mut command, &self.module, self.variant);
        command.envs(self.env.iter().cloned());
        let begun = Instant::now();
        self.process = spawn(&mut command, &self.dir)?;
        self.wait().await?;
        Ok(begun.elapsed())
    }

    /// Ends it; `restart` starts it again.
    pub(crate) fn end(&mut self) {
        self.process.end();
    }

    async fn wait(&mut self) -> Result<(), Failure> {
        self.ready().await.map_err(|error| {
            let said = std::fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default();
            format!("the service does not start: {error}\n{}", said.trim()).into()
        })
    }

    async fn ready(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            self.process.check()?;
            if let Ok(mut connection) = Connection::open(self.address).await
                && connection.exchange(&get("/readyz")).await?.status == 200
            {
                return Ok(());
            }
            if begun.elapsed() > START {
                return Err("it is not ready in time".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Brings `lines` in beside it.
    pub(crate) fn import(&self, lines: &str) -> Result<(), Failure> {
        let file = self.dir.join("secrets.jsonl");
        std::fs::write(&file, lines)?;
        self.order(&["import".as_ref(), file.as_os_str()])
    }

    /// Runs a command on its data.
    pub(crate) fn order(&self, arguments: &[&OsStr]) -> Result<(), Failure> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--data-dir").arg(&self.dir);
        settle(&mut command, &self.module, self.variant);
        command.envs(self.env.iter().cloned());
        let output = command.output()?;
        if output.status.success() {
            Ok(())
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{arguments:?}: {}", said.trim()).into())
        }
    }

    /// The file of its database, when that is SQLite.
    pub(crate) fn database(&self) -> PathBuf {
        self.path("usersecret.db")
    }

    /// What is so called in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Mints tokens of the service's issuer.
    pub(crate) fn minter(&self) -> Result<Minter, Failure> {
        Minter::read(&self.dir.join("issuer"))
    }

    /// A token, good for longer than the bench runs; without a user, of a system.
    pub(crate) fn token(&self, domain: &str, user: Option<&str>) -> Result<String, Failure> {
        let mut command = Command::new(&self.binary);
        command.args(["token", "--ttl", "7d", "--domain", domain, "--data-dir"]).arg(&self.dir);
        match user {
            Some(user) => command.args(["--user", user]),
            None => command.args(["--role", "system"]),
        };
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// CPU time of the service, and of the PostgreSQL whose postmaster is named.
    pub(crate) fn cpu(&self, postmaster: Option<u32>) -> std::io::Result<Cpu> {
        let service = Some(proc::cpu_us(self.process.id())?);
        let database = postmaster.map(proc::cpu_us_of_family).transpose()?;
        Ok(Cpu { service, database })
    }

    pub(crate) fn resident_kb(&self) -> std::io::Result<u64> {
        proc::resident_kb(self.process.id())
    }
}

/// Gives a command its configuration beyond the file's.
fn settle(command: &mut Command, module: &Path, variant: Variant) {
    command
        .env("USERSECRET_LOG__FILTER", "warn")
        .env("USERSECRET_HSM__MODULE", module)
        // The data directory says where its token is.
        .env_remove("SOFTHSM2_CONF");
    if variant == Variant::AuditOff {
        command.env("USERSECRET_AUDIT__ENABLED", "false");
    }
}

fn spawn(command: &mut Command, dir: &Path) -> Result<Process, Failure> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(dir.with_extension("log"))?);
    Process::spawn(command)
}
