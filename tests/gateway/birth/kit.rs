//! Tokens of tests, and the program that works on them.

use std::{
    fs,
    process::{Child, Command, Output, Stdio},
};

use faulty_hsm::kit::{Faults, library};

use crate::support::{eventually, module};

pub const PIN: &str = "1234";
pub const LABEL: &str = "usersecret";

/// A token of its own, and the program that works on it.
pub struct Token(tempfile::TempDir);

impl Token {
    pub fn new() -> Self {
        let token = Self(tempfile::tempdir().unwrap());
        fs::create_dir(token.path("tokens")).unwrap();
        let tokens = format!("directories.tokendir = {}\n", token.path("tokens"));
        fs::write(token.path("softhsm2.conf"), tokens).unwrap();
        fs::write(token.path("pin"), format!("{PIN}\n")).unwrap();
        token.configure("");
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "5678"])
            .env("SOFTHSM2_CONF", token.path("softhsm2.conf"))
            .output()
            .unwrap();
        assert!(made.status.success());
        token
    }

    /// Writes the configuration: `more`, and where the token is.
    pub fn configure(&self, more: &str) {
        let config = format!(
            "{more}[hsm]\npin_file = {:?}\nenv = {{ SOFTHSM2_CONF = {:?} }}\n",
            self.path("pin"),
            self.path("softhsm2.conf")
        );
        fs::write(self.path("config.toml"), config).unwrap();
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    pub fn run<const N: usize>(&self, verbs: [&str; N], more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_usersecret"))
            .args(verbs)
            .args(["--config", &self.path("config.toml")])
            .args(more)
            .output()
            .unwrap()
    }

    pub fn good<const N: usize>(&self, verbs: [&str; N], more: &[&str]) -> String {
        let output = self.run(verbs, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Begins the same over a module to which `faults` happen.
    pub fn begin<const N: usize>(&self, verbs: [&str; N], more: &[&str], faults: &Faults) -> Child {
        Command::new(env!("CARGO_BIN_EXE_usersecret"))
            .args(verbs)
            .args(["--config", &self.path("config.toml")])
            .args(more)
            .env("USERSECRET_HSM__MODULE", library().unwrap())
            .envs(faults.environment(&module()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Its faults, which do not happen yet.
    pub fn faults(&self) -> Faults {
        Faults::new(self.0.path())
    }

    /// What is said of the failure.
    pub fn bad<const N: usize>(&self, verbs: [&str; N], more: &[&str]) -> String {
        let output = self.run(verbs, more);
        assert!(!output.status.success());
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    /// Runs the visitor on this token: SoftHSM is told of its token once in a process.
    pub fn visit(&self, task: &str) {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "birth::visitor::visitor", "--ignored"])
            .env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
            .env(TASK, task)
            .env(DIR, self.0.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("1 passed"), "{task}: {said}");
    }
}

/// Waits until the `count`-th call of `function` hangs, as it does when it is told so. Counts are written when that is said anew.
pub async fn hangs(faults: &Faults, function: &str, count: u64) {
    let is_there = async || {
        faults.set(&format!("function={function} hang")).unwrap();
        faults.calls().is_ok_and(|calls| calls.get(function) == Some(&count))
    };
    eventually("it hangs", is_there).await;
}

pub const TASK: &str = "BIRTH_TASK";
pub const DIR: &str = "BIRTH_DIR";
