//! The worker threads, from their start to their end.

use std::{
    convert::Infallible,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

use super::{
    HsmError,
    worker::{Job, Worker},
};

/// Threads that perform jobs until the pool is dropped, and those that wait then.
///
/// Their end is waited for. A session that closes while the process leaves
/// runs into a module whose memory the exit handlers have freed.
pub(super) struct Pool {
    /// Dropped, it tells the workers to end.
    jobs: Option<Sender<Job>>,
    /// Disconnected when no worker is left.
    alive: Receiver<Infallible>,
    threads: Vec<JoinHandle<()>>,
    patience: Duration,
}

impl Pool {
    /// Gives each of `workers` a thread. At most `queue` jobs wait for them. Their own end is waited for for `patience`, no longer.
    pub(super) fn start(
        workers: Vec<Worker>,
        queue: usize,
        patience: Duration,
    ) -> Result<Self, HsmError> {
        let (jobs, queue) = crossbeam_channel::bounded(queue);
        let (living, alive) = crossbeam_channel::bounded(0);
        let mut pool = Self { jobs: Some(jobs), alive, threads: Vec::new(), patience };
        for (number, worker) in workers.into_iter().enumerate() {
            let (queue, living) = (queue.clone(), living.clone());
            let thread = thread::Builder::new()
                .name(format!("hsm-{number}"))
                .spawn(move || {
                    worker.run(&queue);
                    drop(living);
                })
                .map_err(|source| HsmError::Setup(source.to_string()))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Puts `job` into the queue, unless that is full.
    pub(super) fn take(&self, job: Job) -> Result<(), HsmError> {
        let jobs = self.jobs.as_ref().ok_or(HsmError::Stopped)?;
        jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => HsmError::QueueFull,
            TrySendError::Disconnected(_) => HsmError::Stopped,
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        drop(self.jobs.take());
        match self.alive.recv_timeout(self.patience) {
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("the HSM's module does not come back: its sessions are not closed");
            }
            Err(RecvTimeoutError::Disconnected) => {
                for thread in self.threads.drain(..) {
                    let _ = thread.join();
                }
            }
            Ok(never) => match never {},
        }
    }
}
