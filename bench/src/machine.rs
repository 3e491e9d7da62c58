//! What the figures were measured on.

use std::{fs, process::Command};

use serde::{Deserialize, Serialize};

/// The machine, as far as it matters.
#[derive(Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gb: u64,
    pub(crate) kernel: String,
    /// Processes that wanted a core in the minute before: 0 on a quiet machine.
    pub(crate) load: String,
    pub(crate) postgres: Option<String>,
    pub(crate) commit: Option<String>,
}

impl Machine {
    pub(crate) fn look(postgres: Option<String>) -> Self {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kilobytes = field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            memory_gb: kilobytes.unwrap_or(0).div_ceil(1 << 20),
            kernel: said("uname", &["-sr"]).unwrap_or_default(),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
            postgres,
            commit: said("git", &["describe", "--always", "--dirty"]),
        }
    }
}

/// Now, in UTC.
pub(crate) fn now() -> String {
    said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default()
}

/// The line that a command prints.
pub(crate) fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
