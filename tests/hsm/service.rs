//! `usersecret dev` as a process of its own, over a module that fails as it is told.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
};

use faulty_hsm::kit::{self, Faults};
use tempfile::TempDir;

use crate::support::{Client, eventually, module};

pub struct Service {
    pub dir: TempDir,
    pub faults: Arc<Faults>,
    url: String,
    port: u16,
    child: Option<Child>,
    programs: (PathBuf, PathBuf),
    /// Another user than the one who tests.
    user: Option<u32>,
}

/// Who owns nothing.
const NOBODY: u32 = 65534;

impl Service {
    /// The same as [`Self::start`], as a user whom permissions stop. Root they do not.
    pub async fn start_as_nobody() -> Self {
        let mut service = Self::new();
        if is_root() {
            // Where the checkout lies, nobody may be shut out.
            for program in [&mut service.programs.0, &mut service.programs.1] {
                let copy = service.dir.path().join(program.file_name().unwrap());
                fs::copy(&program, &copy).unwrap();
                *program = copy;
            }
            std::os::unix::fs::chown(service.dir.path(), Some(NOBODY), None).unwrap();
            service.user = Some(NOBODY);
        }
        service.run(&[]);
        service.is_ready(true).await;
        service
    }

    /// Set up and ready. `env` are settings.
    pub async fn start(env: &[(&str, &str)]) -> Self {
        let mut service = Self::new();
        service.run(env);
        service.is_ready(true).await;
        service
    }

    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let faults = Arc::new(Faults::new(dir.path()));
        let url = format!("http://127.0.0.1:{port}");
        let programs = (env!("CARGO_BIN_EXE_usersecret").into(), kit::library().unwrap());
        Self { dir, faults, url, port, child: None, programs, user: None }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = self.program();
        command.args([verb, "--data-dir"]).arg(self.data());
        command
    }

    fn program(&self) -> Command {
        let (program, library) = &self.programs;
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args([&format!("--reuid={user}"), "--clear-groups"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.env("USERSECRET_HSM__MODULE", library).envs(self.faults.environment(&module()));
        command
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// As for development.
    pub fn run(&mut self, env: &[(&str, &str)]) {
        let mut command = self.command("dev");
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        self.spawn(command, env);
    }

    /// As in production, on what was set up before.
    pub fn serve(&mut self, env: &[(&str, &str)]) {
        self.spawn(self.command("serve"), env);
    }

    fn spawn(&mut self, mut command: Command, env: &[(&str, &str)]) {
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        command.envs(env.iter().copied()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Waits until it has ended by itself.
    pub fn ends(&mut self) -> ExitStatus {
        self.child.take().unwrap().wait().unwrap()
    }

    pub fn database_url(&self) -> String {
        format!("sqlite://{}", self.data().join("usersecret.db").display())
    }

    /// Takes all permissions from what is there, and gives them back.
    pub fn shut(&self, path: &str) -> impl FnOnce() + use<> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.data().join(path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        move || fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap()
    }

    pub fn kill_workers(&self) {
        for (pid, _) in self.workers() {
            assert!(
                Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success()
            );
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Waits until `/readyz` says so, or that it is not.
    pub async fn is_ready(&self, ready: bool) {
        let url = format!("{}/readyz", self.url);
        eventually("readiness", async || {
            let said = reqwest::get(&url).await;
            said.is_ok_and(|said| (said.status() == 200) == ready)
        })
        .await;
    }

    /// A caller of `domain`: a user, or its system.
    pub fn caller(&self, domain: &str, user: Option<&str>) -> Client {
        let mut command = self.command("token");
        command.args(["--domain", domain]);
        match user {
            Some(user) => command.args(["--user", user]),
            None => command.args(["--role", "system"]),
        };
        let minted = command.output().unwrap();
        assert!(minted.status.success(), "{}", String::from_utf8_lossy(&minted.stderr));
        let token = String::from_utf8(minted.stdout).unwrap().trim().to_owned();
        Client { url: self.url.clone(), token: Some(token) }
    }

    /// The processes in which the module is loaded, and how many bytes each has in memory.
    pub fn workers(&self) -> Vec<(u32, u64)> {
        let parent = self.pid().to_string();
        let of = |entry: fs::DirEntry| -> Option<(u32, u64)> {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name))?;
                line.split_whitespace().next()
            };
            (field("PPid:")? == parent && field("State:")? != "Z")
                .then(|| (pid, field("VmRSS:").and_then(|kb| kb.parse().ok()).unwrap_or(0)))
        };
        fs::read_dir("/proc").unwrap().filter_map(|entry| of(entry.unwrap())).collect()
    }

    /// Begins a command of the operator beside it.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.program();
        command.args(arguments).arg("--data-dir").arg(self.data());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What such a command says, if it ends well or if it does not.
    pub fn told(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.begin(arguments).wait_with_output().unwrap();
        let said = [output.stdout.clone(), output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        if !output.status.success() {
            return Err(said);
        }
        // What others read is on standard output alone.
        let quiet = ["public-key", "statement"].iter().any(|verb| arguments.contains(verb));
        Ok(if quiet { String::from_utf8(output.stdout).unwrap() } else { said })
    }

    /// Ends it as nobody should.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends it as an operator does; it must end well.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            if std::thread::panicking() {
                println!("{}", self.log());
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
}

/// Moves what is at `path` out of the way, and back.
pub fn hide(path: PathBuf) -> impl FnOnce() {
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside).unwrap();
    move || fs::rename(aside, path).unwrap()
}
