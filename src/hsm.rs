//! The engine that talks PKCS#11, and the only folder that knows cryptoki.
//!
//! PKCS#11 calls block and a vendor's module may do anything: hang, crash, name another key by a handle, or lose its
//! token for an hour. So the module is loaded in a **home**, in a process of its own or on threads here, by a **crew**
//! of workers with a session each. Jobs wait at a **desk**, fair between those who ask, and a **keeper** sees to it that
//! there is a home: it replaces one whose token is sick, and kills one that hangs. [`Hsm`] is the async side of all that.

mod admission;
mod birth;
mod check_value;
mod child;
mod crew;
mod desk;
mod doctor;
mod error;
mod failure;
mod gcm;
mod generation;
mod home;
mod keeper;
mod kek;
mod module;
mod note;
mod owners;
mod process;
mod profile;
mod queue;
mod random;
mod receiving;
mod recovery;
mod request;
mod restore;
mod rewrap;
mod root;
mod secret;
mod settings;
mod signature;
mod signing;
mod signing_birth;
mod signing_key;
mod softhsm;
mod template;
mod token_file;
mod wire;
mod worker;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};
use futures_util::future::join_all;

pub use birth::{Birth, Root, create_keys, create_root, destroy_root, has_root, root_versions};
pub use child::serve;
pub use doctor::{Check, Finding, examine};
pub use error::HsmError;
pub use failure::{Class, Failure};
pub use gcm::SealedBlock;
pub use kek::WrappedKek;
pub use process::WORKER;
pub use profile::Profile;
pub use queue::Lane;
pub use receiving::{destroy_receiving_key, receiving_key};
pub use recovery::{RecoveryCopy, RecoveryKey};
pub use request::Rewrapping;
pub use restore::{Restore, Restored, restore};
pub use secret::{Dek, Pin};
pub use settings::{Isolation, Processes, Settings};
pub use signing::read_signing_key;
pub use signing_birth::ensure_signing_key;
pub use signing_key::SigningKey;
pub use softhsm::create_token;

use admission::Admission;
use desk::Desk;
use keeper::Keeper;
use request::{Answer, Outcome, Request};

use crate::ids::RootVersion;

/// A handle on the engine; clones share it.
///
/// Dropping the last one has the workers finish what they have, and waits for their end: for as long as the deadline of a job, at most.
#[derive(Clone)]
pub struct Hsm {
    offices: Arc<Offices>,
    deadline: Duration,
    rewraps: Arc<rewrap::Pace>,
}

/// Its processes, each with an office of its own.
struct Offices {
    /// Dropped before them: all are told to stop at once, as each may take a while.
    _stop: Sender<Infallible>,
    all: Vec<Office>,
}

/// A desk, and the thread that keeps its home.
struct Office {
    desk: Arc<Desk>,
    /// Jobs that its home does at the same time.
    sessions: usize,
    keeper: Option<JoinHandle<()>>,
}

impl Hsm {
    /// Loads the module, logs in, finds the root key and the signing key, and passes the self-test.
    ///
    /// This blocks. Where the HSM is away it returns all the same, and jobs are answered when it comes; it fails when
    /// somebody has to change something first. On threads a process can do it once at a time: PKCS#11 v2.40 §5.4 allows one `C_Initialize`.
    pub fn start(settings: &Settings) -> Result<Self, HsmError> {
        Ok(Self {
            offices: Arc::new(Offices::open(settings)?),
            deadline: settings.deadline,
            rewraps: Arc::default(),
        })
    }

    /// Makes a KEK and returns it wrapped under the root of that version and bound to `aad`.
    pub async fn generate_kek(
        &self,
        lane: Lane,
        root: RootVersion,
        aad: Vec<u8>,
    ) -> Result<WrappedKek, HsmError> {
        match self.call(lane, Request::GenerateKek { root, aad }).await? {
            Answer::Kek(kek) => Ok(kek),
            _ => Err(ANOTHER),
        }
    }

    /// Wraps `kek` under the root of another version; it stays what it is, and bound to what it was.
    pub async fn rewrap_kek(
        &self,
        kek: WrappedKek,
        root: RootVersion,
    ) -> Result<WrappedKek, HsmError> {
        match self.call(Lane::UPKEEP, Request::RewrapKek { kek, root }).await? {
            Answer::Kek(kek) => Ok(kek),
            _ => Err(ANOTHER),
        }
    }

    /// Drops the handles of the KEKs whose binding begins with `domain`, wherever they are: where it fails, elsewhere all the same.
    pub async fn forget(&self, domain: Vec<u8>) -> Result<(), HsmError> {
        self.everywhere(Lane::OWN, &Request::Forget { domain }).await
    }

    /// Unwraps `kek`, wherever keys are, and opens its binding tag. When another one does not open then, it is known that the token is not
    /// to blame.
    pub async fn prove(&self, kek: WrappedKek) -> Result<(), HsmError> {
        self.everywhere(Lane::UPKEEP, &Request::Prove { kek }).await
    }

    /// Makes a DEK and wraps it under `kek`, bound to `aad`.
    pub async fn wrap_dek(
        &self,
        lane: Lane,
        kek: WrappedKek,
        aad: Vec<u8>,
    ) -> Result<(Dek, SealedBlock), HsmError> {
        match self.call(lane, Request::WrapDek { kek, aad }).await? {
            Answer::Wrapped(dek, wrapped) => Ok((dek, wrapped)),
            _ => Err(ANOTHER),
        }
    }

    /// Unwraps a DEK that [`Self::wrap_dek`] wrapped under the same `kek` for the same `aad`.
    pub async fn unwrap_dek(
        &self,
        lane: Lane,
        kek: WrappedKek,
        aad: Vec<u8>,
        wrapped: SealedBlock,
    ) -> Result<Dek, HsmError> {
        match self.call(lane, Request::UnwrapDek { kek, aad, wrapped }).await? {
            Answer::Dek(dek) => Ok(dek),
            _ => Err(ANOTHER),
        }
    }

    /// Signs a SHA-256 digest by the key whose public half is `key`: ECDSA over P-256, in DER.
    pub async fn sign(&self, key: &SigningKey, digest: [u8; 32]) -> Result<Vec<u8>, HsmError> {
        match self.call(Lane::OWN, Request::Sign { digest }).await? {
            Answer::Signature(signature) if key.verify_digest(&digest, &signature) => Ok(signature),
            Answer::Signature(_) => Err(HsmError::misbehaved("another key signed")),
            _ => Err(ANOTHER),
        }
    }

    /// The public half of the key that signs. It is known once the token was there.
    pub fn signing_key(&self) -> Result<SigningKey, HsmError> {
        let key = self.offices.all.iter().find_map(|office| office.desk.signing_key());
        key.ok_or_else(|| HsmError::Away("it has not been there yet".to_owned()))
    }

    /// Proves that the token answers, by a wrap and an unwrap of a key that is nobody's.
    pub async fn probe(&self) -> Result<(), HsmError> {
        self.call(Lane::OWN, Request::Probe).await.map(|_| ())
    }

    async fn everywhere(&self, lane: Lane, request: &Request) -> Result<(), HsmError> {
        let asked =
            self.offices.all.iter().map(|office| self.ask(&office.desk, lane, request.clone()));
        join_all(asked).await.into_iter().try_for_each(|answer| answer.map(|_| ()))
    }

    async fn call(&self, lane: Lane, request: Request) -> Outcome {
        self.ask(self.desk(lane).ok_or(HsmError::Stopped)?, lane, request).await
    }

    async fn ask(&self, desk: &Desk, lane: Lane, request: Request) -> Outcome {
        let deadline = Instant::now() + self.deadline;
        let answer = desk.put(lane, request, deadline)?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(HsmError::Stopped),
            Err(_) => Err(HsmError::Deadline),
        }
    }

    /// The desk whose home has the lane's handles, unless it has none or much waits there, and little elsewhere.
    fn desk(&self, lane: Lane) -> Option<&Desk> {
        let count = u64::try_from(self.offices.all.len()).ok()?;
        let own = self.offices.all.get(usize::try_from(lane.0.checked_rem(count)?).ok()?)?;
        if count == 1 {
            return Some(&own.desk);
        }
        let load = own.desk.load();
        if load.is_some_and(|load| load <= own.sessions * 4) {
            return Some(&own.desk);
        }
        let open = self.offices.all.iter().filter_map(|office| Some((office.desk.load()?, office)));
        let least = open.min_by_key(|(load, _)| *load);
        let better = least.filter(|(least, _)| load.is_none_or(|load| least * 2 < load));
        Some(better.map_or(&own.desk, |(_, office)| &office.desk))
    }
}

const ANOTHER: HsmError =
    HsmError::Misbehaved(std::borrow::Cow::Borrowed("it answered something else than was asked"));

impl Offices {
    fn open(settings: &Settings) -> Result<Self, HsmError> {
        let count = match &settings.isolation {
            Isolation::Thread => 1,
            Isolation::Process(processes) => processes.count.max(1),
        };
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let mut offices = Self { _stop: stop, all: Vec::with_capacity(count) };
        // One after the other: a PIN that the token refuses is tried once, by whomever.
        let login = Arc::default();
        for _ in 0..count {
            offices.all.push(Office::open(settings, stopped.clone(), Arc::clone(&login))?);
        }
        Ok(offices)
    }
}

impl Office {
    /// Fails when somebody has to change something first; an HSM that is away is waited for by the keeper.
    fn open(
        settings: &Settings,
        stopped: Receiver<Infallible>,
        login: Arc<Mutex<Admission>>,
    ) -> Result<Self, HsmError> {
        let (first, begun) = crossbeam_channel::bounded(1);
        let (tell, events) = crossbeam_channel::unbounded();
        let desk = Arc::new(Desk::new(settings.queue, tell.clone()));
        let keeper =
            Keeper::new(settings.clone(), Arc::clone(&desk), (tell, events), stopped, login);
        let keeper = thread::Builder::new()
            .name("hsm-keeper".to_owned())
            .spawn(move || keeper.run(&first))
            .map_err(|source| HsmError::Setup(source.to_string()))?;
        let office = Self { desk, sessions: settings.sessions(), keeper: Some(keeper) };
        match begun.recv() {
            Ok(Err(error)) if error.is_final() => Err(error),
            _ => Ok(office),
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}
