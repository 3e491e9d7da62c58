//! `usersecret import` and `usersecret export`, the program itself.

mod export;
mod import;
mod resume;

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::support::{TestApp, module};

/// What stands in the data of every secret, and nowhere else.
const CANARY: &str = "canary-in-a-line-5127";

/// An operator's desk: the configuration of a running service, and the program.
struct Desk {
    dir: tempfile::TempDir,
    config: PathBuf,
}

/// What the program said.
#[derive(Debug)]
struct Said {
    status: i32,
    out: String,
    errors: String,
}

impl Desk {
    fn of(app: &TestApp) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pin = dir.path().join("pin");
        fs::write(&pin, "canary-pin-7391").unwrap();
        let text = format!(
            "[log]\nfilter = \"error\"\n[database]\n{}\
             [hsm]\nmodule = {:?}\ntoken_label = \"usersecret-test\"\npin_file = {pin:?}\n",
            app.database.toml,
            module(),
        );
        let config = dir.path().join("config.toml");
        fs::write(&config, text).unwrap();
        Self { dir, config }
    }

    fn program(&self, command: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_usersecret"));
        program.args([command, "--config"]).arg(&self.config);
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        program
    }

    /// Imports `input`, which stands in a file.
    fn import(&self, input: &str, more: &[&str]) -> Said {
        let file = self.dir.path().join("input.jsonl");
        fs::write(&file, input).unwrap();
        Said::of(self.program("import").arg(file).args(more).output().unwrap())
    }

    /// Imports `input`, which comes through a pipe.
    fn pipe(&self, input: &[u8]) -> Said {
        let mut running = self.program("import").arg("-").spawn().unwrap();
        running.stdin.take().unwrap().write_all(input).unwrap();
        Said::of(running.wait_with_output().unwrap())
    }

    fn export(&self, more: &[&str]) -> Said {
        Said::of(self.program("export").args(more).output().unwrap())
    }

    /// Holds the audit trail against its blocks.
    fn verify(&self) -> Said {
        let mut program = Command::new(env!("CARGO_BIN_EXE_usersecret"));
        program.args(["audit", "verify", "--config"]).arg(&self.config);
        Said::of(program.output().unwrap())
    }
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let Output { status, stdout, stderr } = output;
        Self { status: status.code().unwrap(), out: text(stdout), errors: text(stderr) }
    }

    /// It ended with `status`, after saying nothing but `errors` on standard error.
    #[track_caller]
    fn is(&self, status: i32, errors: &[&str]) {
        let said: Vec<&str> = self.errors.lines().collect();
        assert_eq!((self.status, &said[..]), (status, errors));
    }

    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A line of ann's in acme.
fn line(name: &str) -> Value {
    json!({ "name": name, "data": { "key": CANARY, "of": name }, "user_id": "ann", "domain_id": "acme" })
}

/// The same with an id.
fn line_with_id(number: usize) -> Value {
    let mut line = line(&format!("n{number}"));
    line["user_secret_id"] = json!(id(number));
    line
}

fn id(number: usize) -> String {
    format!("user-secret-{number:012x}")
}

fn text(lines: impl IntoIterator<Item = Value>) -> String {
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}
