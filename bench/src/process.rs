//! Processes that end with their owner.

use std::{
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;

const PATIENCE: Duration = Duration::from_secs(20);

/// A process of ours: SIGTERM when this is dropped, SIGKILL when that does not help.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self, Failure> {
        let program = command.get_program().display().to_string();
        Ok(Self(command.spawn().map_err(|error| format!("{program}: {error}"))?))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// What the process writes, when it was asked for.
    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.0.stdout.take()
    }

    /// An error when the process has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        match self.0.try_wait()? {
            Some(status) => Err(format!("it ended by itself: {status}").into()),
            None => Ok(()),
        }
    }
}

impl Process {
    /// Ends it, and waits until it has ended.
    pub(crate) fn end(&mut self) {
        if self.check().is_err() {
            return;
        }
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.check().is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
