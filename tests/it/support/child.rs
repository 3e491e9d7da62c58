//! The program itself, as a child process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use super::Client;

/// A server that is stopped when it is dropped.
pub struct Child {
    process: std::process::Child,
    log: PathBuf,
    pub origin: String,
}

/// The program, in an environment where nobody has set SoftHSM up.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usersecret"));
    command.args(arguments).env_remove("SOFTHSM2_CONF").stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// Mints a token of the installation in `dir`.
pub fn mint(dir: &Path, more: &[&str]) -> String {
    let mut arguments = vec!["token", "--data-dir", dir.to_str().unwrap()];
    arguments.extend(more);
    let output = run(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Child {
    /// Starts `command` and waits until it has printed its address and is ready.
    pub async fn start(mut command: Command, log: &Path) -> Self {
        let file = fs::File::create(log).unwrap();
        let process =
            command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let mut child = Self { process, log: log.to_owned(), origin: String::new() };
        while child.origin.is_empty() {
            child.assert_alive();
            thread::sleep(Duration::from_millis(50));
            child.origin = address(&child.output()).unwrap_or_default();
        }
        while Client::new(format!("{}/readyz", child.origin), None).try_status().await != Some(200) {
            child.assert_alive();
            thread::sleep(Duration::from_millis(50));
        }
        child
    }

    /// `usersecret dev` in `dir`, on a port that the system chooses.
    pub async fn dev(dir: &Path, environment: &[(&str, &str)]) -> Self {
        let arguments =
            ["dev", "--data-dir", dir.to_str().unwrap(), "--listen", "127.0.0.1:0"];
        let mut command = program(&arguments);
        command.envs(environment.iter().copied());
        Self::start(command, &dir.join("test.log")).await
    }

    /// Everything that it has printed so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    pub fn client(&self, token: Option<String>) -> Client {
        Client::new(format!("{}/graphql", self.origin), token)
    }

    fn assert_alive(&mut self) {
        if let Some(status) = self.process.try_wait().unwrap() {
            panic!("the server ended with {status}: {}", self.output());
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The first loopback address with a real port in `text`.
fn address(text: &str) -> Option<String> {
    text.match_indices("127.0.0.1:").find_map(|(at, found)| {
        let rest = &text[at + found.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let port: u16 = rest[..digits].parse().ok()?;
        (port != 0).then(|| format!("http://127.0.0.1:{port}"))
    })
}
