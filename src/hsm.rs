//! The engine that talks PKCS#11, and the only folder that knows cryptoki.
//!
//! PKCS#11 calls block and a vendor's module may do anything, so sessions live
//! on threads of their own. [`Hsm`] is the async side: it puts a job with a
//! deadline into a bounded queue and waits. When the queue is full it refuses
//! at once; a job whose caller has gone, or whose deadline has passed, is
//! skipped. Nothing here knows what a domain is: a KEK is a wrapped blob with
//! the bytes it is bound to.

mod birth;
mod doctor;
mod error;
mod gcm;
mod generation;
mod kek;
mod pool;
mod profile;
mod random;
mod secret;
mod signature;
mod signing;
mod signing_key;
mod softhsm;
mod template;
mod worker;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

pub use birth::{Birth, RecoveryKey, create_keys};
pub use doctor::{Check, examine};
pub use error::HsmError;
pub use gcm::SealedBlock;
pub use kek::WrappedKek;
pub use profile::Profile;
pub use secret::{Dek, Pin};
pub use signing::{ensure_signing_key, read_signing_key};
pub use signing_key::SigningKey;
pub use softhsm::create_token;

use generation::Generation;
use pool::Pool;
use worker::{Job, Worker};

/// What the engine must know of its token.
pub struct Settings {
    /// The PKCS#11 module, a shared library.
    pub module: PathBuf,
    /// The token's label; slot numbers are not stable.
    pub token_label: String,
    /// The user PIN of the token.
    pub pin: Pin,
    /// How this vendor's module likes to be treated.
    pub profile: Profile,
    /// The most jobs that may wait.
    pub queue: usize,
    /// How long a job may wait and run.
    pub deadline: Duration,
    /// The most KEKs whose handles are kept.
    pub kek_handles: u64,
}

/// A handle on the engine; clones share one queue.
///
/// Dropping the last one has the workers finish what waits, and waits for their end: for as long as the deadline of a job, at most.
#[derive(Clone)]
pub struct Hsm {
    pool: Arc<Pool>,
    deadline: Duration,
    signing_key: SigningKey,
}

impl Hsm {
    /// Loads the module, logs in, finds the root key and the signing key, and passes the self-test.
    ///
    /// This blocks. A process can do it once: PKCS#11 v2.40 §5.4 allows one `C_Initialize`.
    pub fn start(settings: Settings) -> Result<Self, HsmError> {
        let generation = Arc::new(Generation::open(&settings)?);
        Worker::new(Arc::clone(&generation))?.self_test()?;

        let workers = (0..settings.profile.sessions)
            .map(|_| Worker::new(Arc::clone(&generation)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            pool: Arc::new(Pool::start(workers, settings.queue, settings.deadline)?),
            deadline: settings.deadline,
            signing_key: generation.signer().public().clone(),
        })
    }

    /// Makes a KEK and returns it wrapped under the root and bound to `aad`.
    pub async fn generate_kek(&self, aad: Vec<u8>) -> Result<WrappedKek, HsmError> {
        self.call(move |worker| worker.generate_kek(aad)).await
    }

    /// Makes a DEK and wraps it under `kek`, bound to `aad`.
    pub async fn wrap_dek(
        &self,
        kek: WrappedKek,
        aad: Vec<u8>,
    ) -> Result<(Dek, SealedBlock), HsmError> {
        self.call(move |worker| worker.wrap_dek(&kek, &aad)).await
    }

    /// Unwraps a DEK that [`Self::wrap_dek`] wrapped under the same `kek` for the same `aad`.
    pub async fn unwrap_dek(
        &self,
        kek: WrappedKek,
        aad: Vec<u8>,
        wrapped: SealedBlock,
    ) -> Result<Dek, HsmError> {
        self.call(move |worker| worker.unwrap_dek(&kek, &aad, &wrapped)).await
    }

    /// Signs a SHA-256 digest: ECDSA over P-256, in DER.
    pub async fn sign(&self, digest: [u8; 32]) -> Result<Vec<u8>, HsmError> {
        self.call(move |worker| worker.sign(&digest)).await
    }

    /// The public half of the key that [`Self::sign`] signs with.
    pub const fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// Proves that the token answers, by a wrap and an unwrap of a key that is nobody's.
    pub async fn probe(&self) -> Result<(), HsmError> {
        self.call(Worker::probe).await
    }

    async fn call<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Worker) -> Result<T, HsmError> + Send + 'static,
    ) -> Result<T, HsmError> {
        let deadline = Instant::now() + self.deadline;
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |worker| {
            if !reply.is_closed() && Instant::now() < deadline {
                let _ = reply.send(operation(worker));
            }
        });
        self.pool.take(job)?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(HsmError::Stopped),
            Err(_) => Err(HsmError::Deadline),
        }
    }
}
