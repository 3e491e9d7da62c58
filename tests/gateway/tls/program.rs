//! The program itself: its environment, its signals.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use super::kit::{Ca, Files};
use crate::support::module;

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_reads_the_files_again_and_ends_nothing() {
    let ca = Ca::new("ours");
    let (first, second) = (ca.server(), ca.server());
    let mut files = Files::new(&[("tls.crt", &first.cert), ("tls.key", &first.key)]);
    let dir = tempfile::tempdir().unwrap();
    let mut child = Running(
        Command::new(env!("CARGO_BIN_EXE_usersecret"))
            .args(["dev", "--data-dir", "data", "--listen", "127.0.0.1:0"])
            .env("USERSECRET_HSM__MODULE", module())
            .env("USERSECRET_SERVER__TLS__CERT_FILE", files.path("tls.crt"))
            .env("USERSECRET_SERVER__TLS__KEY_FILE", files.path("tls.key"))
            .env("USERSECRET_LOG__FILTER", "info")
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let said = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let url = said
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
        .unwrap();
    let shown = async || {
        let client = ca.believed().build().unwrap();
        let response = client.get(format!("{url}/livez")).send().await.unwrap();
        let info = response.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
        info.peer_certificate().unwrap().to_vec()
    };
    assert_eq!(shown().await, first.der);

    let mut log = BufReader::new(child.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    files.exchange(&[("tls.crt", &second.cert), ("tls.key", &second.key)]);
    child.signal("HUP");
    assert!(log.any(|line| line.contains("the files of TLS have changed and are used")));
    assert_eq!(shown().await, second.der);

    files.exchange(&[("tls.crt", &second.cert), ("tls.key", &first.key)]);
    child.signal("HUP");
    let warning = log.find(|line| line.contains("cannot be used")).unwrap();
    assert!(warning.contains("WARN") && warning.contains("server.tls.key_file"), "{warning}");
    assert_eq!(shown().await, second.der);

    child.signal("TERM");
    assert!(child.0.wait().unwrap().success());
}
