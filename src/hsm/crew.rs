//! A module in this process: one generation, and the threads that work with it.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::{
    HsmError, Settings, SigningKey,
    generation::Generation,
    request::{Outcome, Request},
    worker::Worker,
};

/// Takes what came of the request with this number. It is called on the workers' threads.
pub(super) type Reply = Arc<dyn Fn(u64, Outcome) + Send + Sync>;

/// Threads that do what is asked until the crew is dropped, and what waits then.
///
/// Their end is waited for, and the module finalized. A session that closes
/// while the process leaves, or after the module is finalized, runs into memory
/// that is freed.
pub(super) struct Crew {
    /// Dropped, it tells the workers to end.
    requests: Option<Sender<(u64, Request)>>,
    /// Disconnected when no worker is left.
    alive: Receiver<Infallible>,
    threads: Vec<JoinHandle<()>>,
    generation: Option<Arc<Generation>>,
    patience: Duration,
}

impl Crew {
    /// Loads the module, logs in, finds the keys, passes the self-test, and takes up work.
    pub(super) fn start(settings: &Settings, reply: &Reply) -> Result<Self, HsmError> {
        let generation = Arc::new(Generation::open(settings)?);
        Worker::new(Arc::clone(&generation))?.self_test()?;
        let workers = (0..settings.sessions())
            .map(|_| Worker::new(Arc::clone(&generation)))
            .collect::<Result<Vec<_>, _>>()?;
        let (requests, queue) = crossbeam_channel::unbounded();
        let (living, alive) = crossbeam_channel::bounded(0);
        let patience = settings.deadline;
        let mut crew = Self {
            requests: Some(requests),
            alive,
            threads: Vec::with_capacity(workers.len()),
            generation: Some(generation),
            patience,
        };
        for (number, worker) in workers.into_iter().enumerate() {
            let (queue, reply, living) = (queue.clone(), Arc::clone(reply), living.clone());
            let thread = thread::Builder::new()
                .name(format!("hsm-{number}"))
                .spawn(move || {
                    work(worker, &queue, &reply);
                    drop(living);
                })
                .map_err(|source| HsmError::Setup(source.to_string()))?;
            crew.threads.push(thread);
        }
        Ok(crew)
    }

    /// The public half of the key that signs.
    pub(super) fn signing_key(&self) -> Option<&SigningKey> {
        self.generation.as_ref().map(|generation| generation.signer().public())
    }

    /// Has `request` done; what comes of it is told with `number`.
    pub(super) fn ask(&self, number: u64, request: Request) -> Result<(), HsmError> {
        let requests = self.requests.as_ref().ok_or(HsmError::Stopped)?;
        requests.send((number, request)).map_err(|_| HsmError::Stopped)
    }
}

/// The loop of a worker, in whichever process it is.
fn work(mut worker: Worker, queue: &Receiver<(u64, Request)>, reply: &Reply) {
    for (number, request) in queue {
        // A defect in one job must not end the worker, and with it the service.
        let outcome = catch_unwind(AssertUnwindSafe(|| worker.perform(&request)));
        reply(number, outcome.unwrap_or(Err(HsmError::Stopped)));
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        drop(self.requests.take());
        match self.alive.recv_timeout(self.patience) {
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("the HSM's module does not come back: its sessions are not closed");
            }
            Err(RecvTimeoutError::Disconnected) => {
                for thread in self.threads.drain(..) {
                    let _ = thread.join();
                }
                if let Some(generation) = self.generation.take().and_then(Arc::into_inner) {
                    generation.close();
                }
            }
            Ok(never) => match never {},
        }
    }
}
