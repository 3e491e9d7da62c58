//! The service under test: the release binary, as a process of its own.

use std::{
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
};

const START: Duration = Duration::from_secs(60);

/// What a service is started with.
pub(crate) struct Setup<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) module: &'a Path,
    pub(crate) dir: PathBuf,
    pub(crate) database_url: Option<String>,
    pub(crate) variant: Variant,
}

/// A running service.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    process: Process,
    binary: PathBuf,
    dir: PathBuf,
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
        let log = dir.with_extension("log");
        let mut command = Command::new(setup.binary);
        command
            .args(["dev", "--listen", &address.to_string(), "--data-dir"])
            .arg(&dir)
            .env("USERSECRET_LOG__FILTER", "warn")
            .env("USERSECRET_HSM__MODULE", setup.module)
            // The data directory says where its token is.
            .env_remove("SOFTHSM2_CONF")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        if let Some(url) = &setup.database_url {
            command.args(["--database-url", url]);
        }
        if setup.variant == Variant::AuditOff {
            command.env("USERSECRET_AUDIT__ENABLED", "false");
        }
        let process = Process::spawn(&mut command)?;
        let mut service = Self { address, process, binary: setup.binary.to_owned(), dir };
        service.wait().await.map_err(|error| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            format!("the service does not start: {error}\n{}", said.trim())
        })?;
        Ok(service)
    }

    async fn wait(&mut self) -> Result<(), Failure> {
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
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
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
