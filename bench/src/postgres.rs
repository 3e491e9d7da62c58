//! A PostgreSQL cluster of the bench's own, with the defaults of `initdb`: fsync and all.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use crate::{Failure, machine::said};

const BINARIES: &str = "/usr/lib/postgresql";
/// PostgreSQL refuses to run as root; this is who it runs as then.
const UNPRIVILEGED: &str = "postgres";
const NO_SECURITY: &str = include_str!("no_security.sql");

/// A running cluster: stopped when dropped, and its data removed.
pub(crate) struct Cluster {
    bin: PathBuf,
    dir: PathBuf,
    sockets: PathBuf,
    postmaster: u32,
}

impl Cluster {
    /// Makes a cluster under `out` and starts it.
    pub(crate) fn start(out: &Path) -> Result<Self, Failure> {
        let dir = out.join("postgres");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        // A socket's path has a hundred bytes at most.
        let name = format!("usersecret-bench-{}", std::process::id());
        let sockets = std::env::temp_dir().join(name);
        private(&dir)?;
        private(&sockets)?;
        let mut cluster = Self { bin: newest()?, dir, sockets, postmaster: 0 };
        let data = cluster.data();
        let user = ["--username=postgres", "--auth=trust"];
        let text = ["--encoding=UTF8", "--locale=C"];
        let mut initdb = cluster.unprivileged("initdb");
        run(initdb.arg("--pgdata").arg(&data).args(user).args(text)).map_err(|error| {
            format!("{error}\nas root, {UNPRIVILEGED} must be able to reach {}", out.display())
        })?;
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={}",
            cluster.sockets.display()
        );
        let mut start = cluster.unprivileged("pg_ctl");
        start.args(["start", "--wait", "--silent", "--log"]).arg(cluster.dir.join("log"));
        run(start.arg("--pgdata").arg(&data).args(["--options", &options]))?;
        let pid = fs::read_to_string(data.join("postmaster.pid"))?;
        cluster.postmaster = pid.lines().next().unwrap_or_default().trim().parse()?;
        Ok(cluster)
    }

    /// The process whose children serve.
    pub(crate) fn postmaster(&self) -> u32 {
        self.postmaster
    }

    /// The URL of a database for the administrator.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.sockets.display())
    }

    /// Makes an empty database.
    pub(crate) fn create(&self, database: &str) -> Result<(), Failure> {
        self.sql("postgres", &format!("CREATE DATABASE {database}"))
    }

    /// Runs a statement as the administrator.
    pub(crate) fn sql(&self, database: &str, statement: &str) -> Result<(), Failure> {
        run(self.psql(database).args(["--command", statement]))
    }

    /// Runs a file's statements, one by one, as the administrator.
    pub(crate) fn script(&self, database: &str, file: &Path) -> Result<(), Failure> {
        run(self.psql(database).arg("--file").arg(file))
    }

    /// Takes row-level security off every table of a database.
    pub(crate) fn drop_security(&self, database: &str) -> Result<(), Failure> {
        self.sql(database, NO_SECURITY)
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = self.client("psql");
        command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", database]);
        command
    }

    /// A client program of this PostgreSQL, told where to connect.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.arg("--host").arg(&self.sockets).args(["--username", "postgres"]);
        command
    }

    /// What `postgres --version` says.
    pub(crate) fn version(&self) -> Option<String> {
        said(self.bin.join("postgres").to_str()?, &["--version"])
    }

    /// What the server has said.
    pub(crate) fn log(&self) -> std::io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.dir.join("log"))?).into_owned())
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A server program, as somebody who is not root.
    fn unprivileged(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", UNPRIVILEGED, "--regid", UNPRIVILEGED, "--init-groups"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = self.unprivileged("pg_ctl");
        stop.args(["stop", "--wait", "--silent", "--mode=fast", "--pgdata"]).arg(self.data());
        let _ = run(&mut stop);
        let _ = fs::remove_dir_all(&self.sockets);
        let _ = fs::remove_dir_all(self.data());
    }
}

/// The programs of the newest PostgreSQL.
fn newest() -> Result<PathBuf, Failure> {
    let versions = fs::read_dir(BINARIES).map_err(|error| format!("{BINARIES}: {error}"))?;
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let found = versions.flatten().map(|entry| entry.path()).filter(|path| {
        ["initdb", "pg_ctl", "pgbench", "psql"].iter().all(|p| path.join("bin").join(p).exists())
    });
    let newest = found.max_by_key(number).ok_or("no PostgreSQL with pgbench is installed")?;
    Ok(newest.join("bin"))
}

/// A new folder that only PostgreSQL's user can enter, root aside.
fn private(dir: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    if geteuid().is_root() {
        let id = |flag| said("id", &[flag, UNPRIVILEGED])?.parse::<u32>().ok();
        let (user, group) = (id("-u"), id("-g"));
        user.ok_or_else(|| format!("there is no user {UNPRIVILEGED}"))?;
        chown(dir, user, group)?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().display().to_string();
    // The server that pg_ctl leaves behind would hold a pipe open.
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}
