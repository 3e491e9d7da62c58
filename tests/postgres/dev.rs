//! `usersecret dev --database-url`: the program itself, on a database that it has never seen.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    sql::admin,
    support::{Client, TestDatabase, module},
};

fn usersecret(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usersecret"));
    command
        .env("USERSECRET_LOG__FILTER", "trace")
        .env("USERSECRET_HSM__MODULE", module())
        .current_dir(dir);
    command
}

/// A running `dev`, and what it has printed so far.
struct Running {
    child: Child,
    url: String,
    printed: String,
    log: PathBuf,
}

impl Running {
    fn start(dir: &Path, database_url: &str, log: &str) -> Self {
        let log = dir.join(log);
        let child = usersecret(dir)
            .args(["dev", "--data-dir", "data", "--listen", "127.0.0.1:0"])
            .args(["--database-url", database_url])
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn();
        let mut running =
            Self { child: child.unwrap(), url: String::new(), printed: String::new(), log };
        let mut lines = BufReader::new(running.child.stdout.take().unwrap());
        while running.url.is_empty() {
            let from = running.printed.len();
            let read = lines.read_line(&mut running.printed).unwrap();
            assert_ne!(read, 0, "{}", fs::read_to_string(&running.log).unwrap());
            if let Some(url) = running.printed[from..].strip_prefix("listening on ") {
                running.url = url.trim().to_owned();
            }
        }
        running
    }

    /// Ends it as SIGTERM does, and returns all that it said.
    fn stop(mut self) -> String {
        let term = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(term.success());
        assert!(self.child.wait().unwrap().success());
        std::mem::take(&mut self.printed) + &fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn token(dir: &Path, more: &[&str]) -> Option<String> {
    let args = ["token", "--data-dir", "data", "--domain", "acme"];
    let output = usersecret(dir).args(args).args(more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_makes_its_roles_once_and_keeps_their_passwords_to_itself() {
    let database = TestDatabase::on_cluster("").await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut said = Vec::new();
    let mut id = String::new();
    let mut kept = Vec::new();
    for round in ["first", "second"] {
        let running = Running::start(dir, &database.admin_url, round);
        let client = |more: &[&str]| Client { url: running.url.clone(), token: token(dir, more) };
        if round == "first" {
            id = client(&["--user", "ann"]).create("kept").await;
        }
        let answer = client(&["--role", "system"]).reveal("acme", &id, None).await;
        assert_eq!(answer.at("/data/userSecretData/data/key"), "data of kept", "{}", answer.text);
        said.push(running.stop());
        let files = ["database-owner.url", "database-service.url"];
        kept.push(files.map(|file| fs::read_to_string(dir.join("data").join(file)).unwrap()));
    }
    assert_eq!(kept[0], kept[1]);
    for url in &kept[0] {
        let password = url.split([':', '@']).nth(2).unwrap();
        assert_eq!(password.len(), 32, "{url}");
        for text in &said {
            assert!(text.contains("serving GraphQL"), "the log was not looked at");
            assert!(!text.contains(password), "a password is in what it says");
        }
    }
    let mode = fs::metadata(dir.join("data/database-service.url")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);

    // The roles are neither more nor less than they must be.
    let name = database.admin_url.split(['/', '?']).nth(3).unwrap();
    let roles = format!(
        "SELECT string_agg(rolsuper::text || rolbypassrls || rolcreaterole || rolcanlogin, ' ')
        FROM pg_roles WHERE rolname IN ('{name}_owner', '{name}_service')"
    );
    assert_eq!(database.value::<String>(&roles).await, "falsefalsefalsetrue falsefalsefalsetrue");

    // Somebody opens the fence: the next start says so, and serves nobody.
    admin(&database, &format!("ALTER ROLE {name}_service BYPASSRLS")).await;
    let refused = usersecret(dir).args(["serve", "--data-dir", "data"]).output().unwrap();
    assert!(!refused.status.success());
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("it could see across domains"), "{words}");
}
