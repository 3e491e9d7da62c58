//! The worker threads, from their start to their end.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::{
    HsmError,
    worker::{Job, Worker},
};

/// Threads that perform jobs until the pool is stopped or dropped.
///
/// Their end is waited for. A session that closes while the process leaves
/// runs into a module whose memory the exit handlers have freed.
pub(super) struct Pool {
    threads: Mutex<Option<Threads>>,
    patience: Duration,
}

struct Threads {
    /// Dropped, it tells the workers to end.
    open: Sender<Infallible>,
    /// Disconnected when no worker is left.
    alive: Receiver<Infallible>,
    handles: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Gives each of `workers` a thread. Stopping waits for them for `patience`, no longer.
    pub(super) fn start(
        workers: Vec<Worker>,
        queue: &Receiver<Job>,
        patience: Duration,
    ) -> Result<Self, HsmError> {
        let (open, closing) = crossbeam_channel::bounded(0);
        let (living, alive) = crossbeam_channel::bounded(0);
        let mut threads = Threads { open, alive, handles: Vec::with_capacity(workers.len()) };
        for (number, worker) in workers.into_iter().enumerate() {
            let (queue, closing, living) = (queue.clone(), closing.clone(), living.clone());
            let handle = thread::Builder::new()
                .name(format!("hsm-{number}"))
                .spawn(move || {
                    worker.run(&queue, &closing);
                    drop(living);
                })
                .map_err(|source| HsmError::Setup(source.to_string()))?;
            threads.handles.push(handle);
        }
        Ok(Self { threads: Mutex::new(Some(threads)), patience })
    }

    /// Has the workers finish what waits, and waits for their end.
    pub(super) fn stop(&self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Threads { open, alive, handles }) = threads else { return };
        drop(open);
        match alive.recv_timeout(self.patience) {
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("the HSM's module does not come back: its sessions are not closed");
            }
            Err(RecvTimeoutError::Disconnected) => {
                for handle in handles {
                    let _ = handle.join();
                }
            }
            Ok(never) => match never {},
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop();
    }
}
