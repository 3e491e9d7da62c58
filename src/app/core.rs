//! What is behind every face and every command: the database, the HSM, the audit trail, the service of secrets.

use std::time::Duration;

use tokio::{sync::watch, task::JoinSet};

use super::{Seams, StartError};
use crate::{
    audit::{Sealer, Trail},
    auth::Gate,
    clock::Clock,
    config::Config,
    crypto::Keyring,
    database::Database,
    hsm::Hsm,
    service::{DataLimits, KeyLimits, KeyService, UserSecretService},
    store::Store,
};

/// A writer of the trail with all that it takes to work on secrets.
pub struct Core {
    /// The verbs on user secrets.
    pub secrets: UserSecretService,
    /// The verbs on the keys of domains.
    pub keys: KeyService,
    pub(super) gate: Gate,
    pub(super) store: Store,
    pub(super) trail: Trail,
    pub(super) clock: Clock,
    pub(super) database: Database,
    pub(super) hsm: Hsm,
    /// The sealer, which at its end seals what is left and takes its leave, and what follows other replicas.
    pub(super) background: JoinSet<()>,
    pub(super) stop: watch::Sender<bool>,
    /// What works on secrets by itself, and ends before transactions are waited for: it holds what they run on.
    pub(super) upkeep: JoinSet<()>,
    pub(super) rest: watch::Sender<bool>,
}

impl Core {
    /// Wires it on an engine that has passed its self-test.
    pub async fn build(config: &Config, hsm: Hsm, seams: Seams) -> Result<Self, StartError> {
        let Seams { clock, ids } = seams;
        let database = Database::connect(&config.database.settings()?).await?;
        if !database.is_current().await? {
            return Err(StartError::NotMigrated);
        }
        let trail = Trail::new(clock.clone(), config.audit.enabled, config.audit.backlog)?;
        let rhythm = config.audit.settings();
        let sealer = Sealer::start(trail.clone(), database.clone(), hsm.clone(), rhythm).await?;
        let (stop, stopped) = watch::channel(false);
        let mut background = JoinSet::new();
        background.spawn(sealer.run(stopped));
        let waiting = config.limits.waiting_lists;
        let store = Store::new(database.clone(), clock.clone(), trail.clone(), waiting);
        let limits = DataLimits {
            data_bytes: config.limits.data_bytes,
            tags_bytes: config.limits.tags_bytes,
            data_versions: config.limits.data_versions,
        };
        let (gate, keyring) = (Gate::new(trail.clone()), Keyring::new(hsm.clone()));
        let keys = KeyService::new(
            gate.clone(),
            store.clone(),
            keyring.clone(),
            clock.clone(),
            KeyLimits {
                max_age: max_age(config.keys.max_age_days),
                max_wraps: config.keys.max_wraps.into(),
                min_interval: i64::from(config.keys.min_rotation_interval_seconds) * 1_000_000,
                // A request that shreds is to end in its own time.
                farewell: Duration::from_millis(
                    config.hsm.deadline_ms.min(config.server.request_timeout_ms / 2),
                ),
            },
        );
        let secrets = UserSecretService::new(
            gate.clone(),
            store.clone(),
            keyring,
            keys.clone(),
            clock.clone(),
            ids,
            limits,
        );
        let (upkeep, rest) = (JoinSet::new(), watch::Sender::new(false));
        Ok(Self {
            secrets,
            keys,
            gate,
            store,
            trail,
            clock,
            database,
            hsm,
            background,
            stop,
            upkeep,
            rest,
        })
    }

    /// Waits for transactions under way, for the seal over their events, then for the HSM's workers.
    pub async fn drain(self) {
        let Self { secrets, keys, store, database, hsm, background, stop, upkeep, rest, .. } = self;
        let _ = rest.send(true);
        upkeep.join_all().await;
        drop((secrets, keys, store));
        database.drain().await;
        let _ = stop.send(true);
        background.join_all().await;
        drop(hsm);
    }
}

/// In microseconds.
fn max_age(days: u32) -> Option<i64> {
    (days > 0).then(|| i64::from(days) * 24 * 60 * 60 * 1_000_000)
}
