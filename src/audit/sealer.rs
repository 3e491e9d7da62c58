//! Seals this replica's committed events into signed blocks, and what a dead replica left.

use std::time::Duration;

use ::entity::{audit_block, audit_writer};
use aws_lc_rs::digest::{SHA256, digest};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Block, Entry, Stamped, Trail, ledger::Ledger};
use crate::{
    database::Database,
    error::{Error, Result},
    hsm::Hsm,
    ids::hex,
};

/// The rhythm of the sealer.
#[derive(Debug, Clone, Copy)]
pub struct SealerSettings {
    /// How often committed events are sealed.
    pub interval: Duration,
    /// How often the writer says that it lives.
    pub beat: Duration,
    /// A writer that has been silent for so long is dead.
    pub silence: Duration,
}

/// How far back the links of a block look, and how long before its last sign of
/// life a dead writer's events may have been left unsealed.
const WINDOW: i64 = 60_000_000;

/// The one who seals; it runs until the service drains.
pub struct Sealer {
    trail: Trail,
    ledger: Ledger,
    hsm: Hsm,
    settings: SealerSettings,
    number: i64,
    previous: [u8; 32],
    /// When the block before was sealed: times rise with numbers, also where the clock does not.
    sealed_at: i64,
    /// A signed block that is not known to be stored, and how many pending entries it seals.
    unstored: Option<(audit_block::Model, usize)>,
    /// Dead writers whose events are pending here, and how many entries are sealed before the last of these is: they end then.
    inherited: Vec<(String, usize)>,
    beaten: Option<Instant>,
}

impl Sealer {
    /// A sealer for `trail`, whose writer is entered among the living.
    pub async fn start(
        trail: Trail,
        database: Database,
        hsm: Hsm,
        settings: SealerSettings,
    ) -> Result<Self> {
        let ledger = Ledger(database);
        ledger.enter(trail.writer(), trail.now()).await?;
        Ok(Self {
            trail,
            ledger,
            hsm,
            settings,
            number: 0,
            previous: [0; 32],
            sealed_at: 0,
            unstored: None,
            inherited: Vec::new(),
            beaten: None,
        })
    }

    /// Seals until `stop` is true, then once more, and takes leave.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut healthy = true;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.trail.woken() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            let outcome = self.round().await;
            match &outcome {
                Err(error) if healthy => {
                    tracing::error!(causes = error.causes(), "the audit trail cannot be sealed");
                }
                Ok(()) if !healthy => tracing::info!("the audit trail is sealed again"),
                _ => {}
            }
            healthy = outcome.is_ok();
        }
        if let Err(error) = self.take_leave().await {
            tracing::error!(
                causes = error.causes(),
                "the audit trail's end is left to a successor"
            );
        }
    }

    async fn round(&mut self) -> Result<()> {
        // Refusals that cannot be written hold up no seal.
        let refusals = self.write_refusals().await;
        while self.seal().await? {}
        if self.beaten.is_none_or(|at| at.elapsed() >= self.settings.beat) {
            self.ledger.beat(self.trail.writer(), self.trail.now()).await?;
            self.beaten = Some(Instant::now());
            self.look_after_the_dead().await?;
        }
        refusals
    }

    async fn take_leave(&mut self) -> Result<()> {
        self.write_refusals().await?;
        self.seal_all().await?;
        let doubt = self.trail.take_doubt(i64::MAX);
        if let Some(since) = doubt {
            self.settle(since).await?;
            self.seal_all().await?;
        }
        tracing::info!(
            writer = self.trail.writer(),
            number = self.number,
            digest = hex(self.previous),
            "the head of this writer's audit trail"
        );
        match doubt {
            None => self.ledger.beat(self.trail.writer(), 0).await,
            // What is in doubt may yet be committed. A successor will look again.
            Some(_) => Ok(()),
        }
    }

    async fn write_refusals(&self) -> Result<()> {
        let refused = self.trail.take_refusals();
        if refused.is_empty() {
            return Ok(());
        }
        let events: Vec<Stamped> = refused
            .iter()
            .map(|(event, outcome, count)| self.trail.stamp_many(event, outcome, *count))
            .collect();
        if let Err(error) = self.ledger.record(&events).await {
            // They may have been written all the same. Next time they are others.
            self.trail.doubt();
            self.trail.refuse_again(refused);
            return Err(error);
        }
        self.trail.committed(&events);
        Ok(())
    }

    /// Seals until nothing waits, however little that is.
    async fn seal_all(&mut self) -> Result<()> {
        while self.seal().await? || !self.trail.first_pending().is_empty() {}
        Ok(())
    }

    /// Seals one block. True when there is enough for another.
    async fn seal(&mut self) -> Result<bool> {
        if self.unstored.is_none() {
            let entries = self.trail.first_pending();
            if entries.is_empty() && self.inherited.is_empty() {
                return Ok(false);
            }
            self.unstored = Some(self.sign(entries).await?);
        }
        let Some((block, count)) = &self.unstored else { return Ok(false) };
        self.ledger.append(block.clone()).await?;
        self.number = block.number;
        self.sealed_at = block.sealed_at;
        self.previous = block.digest.as_slice().try_into().map_err(Error::internal)?;
        let count = *count;
        let more = self.trail.sealed(count);
        self.unstored = None;
        for (_, left) in &mut self.inherited {
            *left = left.saturating_sub(count);
        }
        for (dead, _) in self.inherited.extract_if(.., |(_, left)| *left == 0).collect::<Vec<_>>() {
            self.ledger.end(&dead, self.trail.now()).await?;
        }
        Ok(more)
    }

    async fn sign(&self, entries: Vec<Entry>) -> Result<(audit_block::Model, usize)> {
        let now = self.trail.now();
        let mut links = self.ledger.heads(self.trail.writer(), now.saturating_sub(WINDOW)).await?;
        for (dead, _) in &self.inherited {
            if links.iter().all(|link| link.writer != *dead) {
                links.extend(self.ledger.head(dead).await?);
            }
        }
        let count = entries.len();
        let block = Block {
            writer: self.trail.writer().to_owned(),
            number: self.number.saturating_add(1),
            sealed_at: now.max(self.sealed_at),
            previous: self.previous,
            links,
            entries,
        };
        let key = self.hsm.signing_key()?;
        let key_id = key.id();
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &block.message(&key_id)).as_ref());
        let signature = self.hsm.sign(&key, hash).await?;
        Ok((block.into_row(&key_id, signature), count))
    }

    /// Takes over what silent writers left, and looks for commits that are in doubt.
    async fn look_after_the_dead(&mut self) -> Result<()> {
        let silence = micros(self.settings.silence);
        let deadline = self.trail.now().saturating_sub(silence);
        for dead in self.ledger.dead(deadline).await? {
            let known = self.inherited.iter().any(|(writer, _)| *writer == dead.writer);
            if dead.writer == self.trail.writer() || known {
                continue;
            }
            // One whose rows are damaged holds up no other's, and nothing of this writer.
            let writer = dead.writer.clone();
            if let Err(error) = self.inherit(dead).await {
                let causes = error.causes();
                tracing::error!(writer, causes, "what a writer left cannot be sealed");
            }
        }
        if let Some(since) = self.trail.take_doubt(deadline) {
            self.settle(since).await?;
        }
        Ok(())
    }

    async fn inherit(&mut self, dead: audit_writer::Model) -> Result<()> {
        let mut before = 0;
        // One that took its leave has sealed everything; its head is linked all the same.
        if dead.seen_at > 0 {
            let since = dead.seen_at.saturating_sub(WINDOW);
            let left = self.ledger.leftovers(&dead.writer, since).await?;
            tracing::warn!(writer = dead.writer, events = left.len(), "sealing what a writer left");
            before = self.trail.adopt(left);
        }
        self.inherited.push((dead.writer, before));
        Ok(())
    }

    /// Seals those of this writer's own events whose commit was in doubt and happened.
    async fn settle(&mut self, since: i64) -> Result<()> {
        let writer = self.trail.writer().to_owned();
        let left = self.ledger.leftovers(&writer, since.saturating_sub(WINDOW)).await;
        if left.is_err() {
            self.trail.doubt_since(since);
        }
        self.trail.adopt(left?);
        Ok(())
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
