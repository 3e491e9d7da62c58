//! The program as a process of its own, over a module that fails as it is told.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
};

use faulty_hsm::kit::{self, Faults};
use tempfile::TempDir;

use crate::{
    issuer::Issuer,
    support::{Client, eventually},
    vendor::{Token, Vendor},
};

pub struct Service {
    pub dir: TempDir,
    pub faults: Arc<Faults>,
    url: String,
    port: u16,
    child: Option<Child>,
    programs: (PathBuf, PathBuf),
    vendor: Vendor,
    /// Who mints tokens where `dev` does not.
    issuer: Option<Issuer>,
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
        let (vendor, issuer) = (Vendor::SoftHsm, None);
        Self { dir, faults, url, port, child: None, programs, vendor, issuer, user: None }
    }

    /// As in production, on a token of that vendor's, which is made here and has its keys. It does not run yet.
    pub fn over(vendor: Vendor) -> Self {
        let mut service = Self::new();
        service.vendor = vendor;
        let (token, issuer) = (Token::make(vendor, &service.data()), Issuer::make(&service.data()));
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:{}\"\n[ops]\nlisten = \"\"\n[database]\nurl = {:?}\n{}{}",
            service.port,
            service.database_url(),
            token.toml(),
            issuer.toml()
        );
        fs::write(service.data().join("config.toml"), config).unwrap();
        service.issuer = Some(issuer);
        service.does(&["hsm", "init"]);
        service.does(&["migrate"]);
        service
    }

    /// Has the configuration say something else of the HSM.
    pub fn set(&self, key: &str, value: &str) {
        let file = self.data().join("config.toml");
        let text = fs::read_to_string(&file).unwrap();
        let of = |line: &str| match line.split_once(" = ") {
            Some((name, _)) if name == key => format!("{key} = {value:?}\n"),
            _ => format!("{line}\n"),
        };
        fs::write(file, text.lines().map(of).collect::<String>()).unwrap();
    }

    /// Has the file of the PIN say something else.
    pub fn set_pin(&self, pin: &str) {
        fs::write(self.data().join("pin"), pin).unwrap();
    }

    /// Runs a command to its end, which must be good, and returns what it printed.
    pub fn does(&self, verbs: &[&str]) -> String {
        let done = self.command(verbs).output().unwrap();
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        assert!(done.status.success(), "{verbs:?}: {said}");
        said
    }

    /// The same, without what it said on standard error.
    pub fn prints(&self, verbs: &[&str]) -> String {
        let done = self.command(verbs).output().unwrap();
        assert!(done.status.success(), "{verbs:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Runs a command to its end, which must be bad, and returns what it printed.
    pub fn refuses(&self, verbs: &[&str]) -> String {
        let done = self.command(verbs).output().unwrap();
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        assert!(!done.status.success(), "{verbs:?}: {said}");
        said
    }

    fn command(&self, verbs: &[&str]) -> Command {
        let (program, library) = &self.programs;
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args([&format!("--reuid={user}"), "--clear-groups"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .args(verbs)
            .arg("--data-dir")
            .arg(self.data())
            .env("USERSECRET_HSM__MODULE", library)
            .envs(self.faults.environment(&self.vendor.module()));
        command
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// As for development.
    pub fn run(&mut self, env: &[(&str, &str)]) {
        let mut command = self.command(&["dev"]);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        self.spawn(command, env);
    }

    /// As in production, on what was set up before.
    pub fn serve(&mut self, env: &[(&str, &str)]) {
        self.spawn(self.command(&["serve"]), env);
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
            self.signal(pid, "KILL");
        }
    }

    /// Sends a signal to one of its processes.
    pub fn signal(&self, pid: u32, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &pid.to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Where SoftHSM keeps label and PINs of the only token.
    pub fn token_file(&self) -> PathBuf {
        let mut tokens = fs::read_dir(self.data().join("softhsm/tokens")).unwrap();
        tokens.next().unwrap().unwrap().path().join("token.object")
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
        if let Some(issuer) = &self.issuer {
            return Client { url: self.url.clone(), token: Some(issuer.token(domain, user)) };
        }
        let mut command = self.command(&["token"]);
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

    /// The session that a process belongs to (`man 5 proc_pid_stat`, the fourth after its name).
    pub fn session(pid: u32) -> u32 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, after_name) = stat.rsplit_once(')').unwrap();
        after_name.split_whitespace().nth(3).unwrap().parse().unwrap()
    }

    /// How many threads and open files a process has.
    pub fn holds(&self, pid: u32) -> (usize, usize) {
        let count = |what| fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
        (count("task"), count("fd"))
    }

    /// Begins a command beside it.
    pub fn begin(&self, verbs: &[&str]) -> Child {
        self.command(verbs).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
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
