//! What the engine must know.

use std::{fs, path::PathBuf, time::Duration};

use super::{HsmError, Pin, Profile};

/// What the engine must know of its token.
#[derive(Clone)]
pub struct Settings {
    /// The PKCS#11 module, a shared library.
    pub module: PathBuf,
    /// The token's label; slot numbers are not stable.
    pub token_label: String,
    /// A text that the module is initialized with, for those that want one.
    pub init_args: String,
    /// A file that holds the user PIN. It is read by who logs in, whenever that is.
    pub pin_file: PathBuf,
    /// How this vendor's module likes to be treated.
    pub profile: Profile,
    /// Where the module is loaded.
    pub isolation: Isolation,
    /// Sessions of a process that work at the same time; 0 is as many as the profile says.
    pub sessions: usize,
    /// The most jobs that may wait.
    pub queue: usize,
    /// How long a job may wait and run.
    pub deadline: Duration,
    /// The most KEKs whose handles are kept.
    pub kek_handles: u64,
}

/// Where the module is loaded.
#[derive(Clone)]
pub enum Isolation {
    /// In this process: when the module hangs or crashes, so does the service.
    Thread,
    /// In processes of its own, which are replaced when they hang, crash or lose their token.
    Process(Processes),
}

/// The processes in which a module is loaded.
#[derive(Clone)]
pub struct Processes {
    /// The program of this service; it is told to be a worker.
    pub program: PathBuf,
    /// How many.
    pub count: usize,
    /// The workers' log: the filter, and whether it is JSON.
    pub log: (String, bool),
    /// After how many jobs one is replaced, against modules that leak; 0 is never.
    pub jobs: u64,
}

impl Settings {
    /// The sessions of a process that work.
    pub(super) const fn sessions(&self) -> usize {
        if self.sessions == 0 { self.profile.sessions } else { self.sessions }
    }

    /// The most sessions that may be open at a time.
    pub(super) fn most_sessions(&self) -> u64 {
        // Each works with one, opens another before it drops one that failed, and may unwrap a key in a third, of which the first
        // holds the login.
        let of_home = self.sessions() * 3;
        let homes = match &self.isolation {
            Isolation::Thread => 1,
            // Each may be replaced while the old one still works.
            Isolation::Process(processes) => processes.count.max(1) * 2,
        };
        u64::try_from(of_home * homes).unwrap_or(u64::MAX)
    }

    /// The sessions that several processes have beside each other, the login's and one to replace another included; none for a
    /// process alone, which does with what it gets.
    pub(super) fn sessions_together(&self) -> u64 {
        let together = match &self.isolation {
            Isolation::Process(processes) if processes.count > 1 => {
                processes.count * (self.sessions() + 2)
            }
            _ => 0,
        };
        u64::try_from(together).unwrap_or(u64::MAX)
    }

    /// Reads the PIN.
    pub fn pin(&self) -> Result<Pin, HsmError> {
        let file = &self.pin_file;
        let pin = fs::read_to_string(file).map_err(|error| {
            HsmError::Setup(format!("hsm.pin_file: {} cannot be read: {error}", file.display()))
        })?;
        Pin::new(pin).ok_or_else(|| {
            HsmError::Setup(format!("hsm.pin_file: {} holds no PIN: {}", file.display(), Pin::RULE))
        })
    }
}
