//! A module in this process: one generation, and the threads that work with it.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{
    HsmError, Settings, SigningKey,
    generation::{Generation, Login},
    request::{Outcome, Request},
    worker::Worker,
};

/// Takes what came of the request with this number. It is called on the workers' threads.
pub(super) type Reply = Arc<dyn Fn(u64, Outcome) + Send + Sync>;

/// What whoever asks a crew has to know.
pub(super) struct Offer {
    /// The public half of the key that signs.
    pub(super) key: SigningKey,
    /// Requests that it does at the same time.
    pub(super) sessions: usize,
}

/// Threads that do what is asked until nothing comes any more.
///
/// Their end is waited for, and the module finalized. A session that closes
/// while the process leaves, or after the module is finalized, runs into memory
/// that is freed.
pub(super) struct Crew {
    /// Disconnected when no worker is left.
    alive: Receiver<Infallible>,
    threads: Vec<JoinHandle<()>>,
    generation: Option<Arc<Generation>>,
    patience: Duration,
}

impl Crew {
    /// Finds the keys, passes the self-test, and takes up work: what each worker finds in `orders`.
    pub(super) fn start<O>(
        login: Login,
        settings: &Settings,
        orders: impl Fn() -> O + Clone + Send + 'static,
        reply: &Reply,
    ) -> Result<Self, HsmError>
    where
        O: Iterator<Item = (u64, Request)>,
    {
        let generation = Arc::new(Generation::new(login, settings)?);
        Worker::new(Arc::clone(&generation))?.self_test()?;
        let workers = hire(settings.sessions(), || Worker::new(Arc::clone(&generation)))?;
        let (living, alive) = crossbeam_channel::bounded(0);
        let patience = settings.deadline;
        let mut crew = Self {
            alive,
            threads: Vec::with_capacity(workers.len()),
            generation: Some(generation),
            patience,
        };
        for (number, worker) in workers.into_iter().enumerate() {
            let (orders, reply, living) = (orders.clone(), Arc::clone(reply), living.clone());
            let thread = thread::Builder::new()
                .name(format!("hsm-{number}"))
                .spawn(move || {
                    work(worker, orders(), &reply);
                    drop(living);
                })
                .map_err(|source| HsmError::Setup(source.to_string()))?;
            crew.threads.push(thread);
        }
        Ok(crew)
    }

    /// What it offers.
    pub(super) fn offer(&self) -> Option<Offer> {
        let key = self.generation.as_ref()?.signer().public().clone();
        Some(Offer { key, sessions: self.threads.len() })
    }
}

/// As many as are wanted, or as the token has room for: one less then, because a session that fails is replaced before it is closed.
fn hire(
    wanted: usize,
    worker: impl Fn() -> Result<Worker, HsmError>,
) -> Result<Vec<Worker>, HsmError> {
    let mut workers = Vec::with_capacity(wanted);
    while workers.len() < wanted {
        match worker() {
            Ok(worker) => workers.push(worker),
            Err(error) if error.is_of_room() && !workers.is_empty() => {
                workers.truncate((workers.len() - 1).max(1));
                tracing::warn!(
                    wanted,
                    sessions = workers.len(),
                    "the token has no room for more sessions"
                );
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(workers)
}

/// The loop of a worker, in whichever process it is.
fn work(mut worker: Worker, orders: impl Iterator<Item = (u64, Request)>, reply: &Reply) {
    for (number, request) in orders {
        // A defect in one job must not end the worker, and with it the service.
        let outcome = catch_unwind(AssertUnwindSafe(|| worker.perform(&request)));
        reply(number, outcome.unwrap_or(Err(HsmError::Stopped)));
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
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
