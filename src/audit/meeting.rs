//! Where sealed entries and events meet, each coming in the order of time.

use std::collections::HashMap;

use ::entity::{audit_event, audit_writer};
use sea_orm::{ColumnTrait as _, DatabaseConnection, EntityTrait as _, QueryFilter as _};

use super::{Entry, Finding, Report, event};
use crate::{database::failed, error::Result};

/// Events as old as this, in microseconds, must be sealed.
const GRACE: i64 = 60_000_000;

/// A writer that has been silent for so long, in microseconds, is dead.
const SILENCE: i64 = 30_000_000;

/// When so many entries were looked for in vain, the rest is not looked for.
const MAX_LOOKUPS: usize = 1_000;

/// Entries whose event has not come by yet, and events whose entry has not.
#[derive(Default)]
pub(super) struct Meeting {
    entries: HashMap<[u8; 16], [u8; 32]>,
    events: HashMap<Vec<u8>, Waiting>,
}

struct Waiting {
    digest: [u8; 32],
    at: i64,
    writer: String,
}

impl Meeting {
    pub(super) fn seal(&mut self, entry: Entry, report: &mut Report) {
        match self.events.remove(entry.id.as_slice()) {
            Some(event) if event.digest != entry.digest => {
                report.findings.push(Finding::Changed(name(&entry.id)));
            }
            Some(_) => {}
            None => {
                let other = self.entries.insert(entry.id, entry.digest);
                if other.is_some_and(|other| other != entry.digest) {
                    report.findings.push(Finding::Changed(name(&entry.id)));
                }
            }
        }
    }

    pub(super) fn happen(&mut self, row: &audit_event::Model, report: &mut Report) {
        let digest = event::digest(row);
        let sealed = row
            .event_id
            .as_slice()
            .try_into()
            .ok()
            .and_then(|id: [u8; 16]| self.entries.remove(&id));
        match sealed {
            Some(sealed) if sealed != digest || row.digest != digest => {
                report.findings.push(Finding::Changed(name(&row.event_id)));
            }
            Some(_) => {}
            None => {
                // A digest that is not its event's own never fits an entry.
                let digest = if row.digest == digest { digest } else { [0; 32] };
                let waiting = Waiting { digest, at: row.at, writer: row.writer.clone() };
                // Two events with one id: a block holds one of them at most.
                if self.events.insert(row.event_id.clone(), waiting).is_some() {
                    report.findings.push(Finding::Unsealed(name(&row.event_id)));
                }
            }
        }
    }

    /// Judges what has waited in vain.
    pub(super) async fn settle(
        self,
        owner: &DatabaseConnection,
        writers: &[audit_writer::Model],
        now: i64,
        report: &mut Report,
    ) -> Result<()> {
        let mut removed = 0;
        for (id, digest) in self.entries {
            // Of two replicas that sealed one event, the second finds it gone already.
            if removed >= MAX_LOOKUPS || !is_there(owner, &id, &digest).await? {
                removed += 1;
                report.findings.push(Finding::Removed(name(&id)));
            }
        }
        let dead = |writer: &str| {
            writers.iter().any(|known| {
                known.writer == writer
                    && known.ended_at.is_none()
                    // One that took its leave has sealed everything.
                    && known.seen_at > 0
                    && known.seen_at < now.saturating_sub(SILENCE)
            })
        };
        for (id, event) in self.events {
            if event.at.saturating_sub(now).saturating_abs() < GRACE && event.digest != [0; 32] {
                continue;
            }
            if event.digest != [0; 32] && dead(&event.writer) {
                report.left += 1;
            } else {
                report.findings.push(Finding::Unsealed(name(&id)));
            }
        }
        Ok(())
    }
}

/// Whether the event that `id` and `digest` were sealed of is there, unchanged.
#[expect(clippy::disallowed_methods, reason = "the auditor reads every domain, as the owner")]
async fn is_there(owner: &DatabaseConnection, id: &[u8; 16], digest: &[u8; 32]) -> Result<bool> {
    let millis = uuid::Uuid::from_bytes(*id).as_u128() >> 80;
    let at = i64::try_from(millis).unwrap_or_default().saturating_mul(1_000);
    let rows = audit_event::Entity::find()
        .filter(audit_event::Column::At.between(at, at.saturating_add(999)))
        .filter(audit_event::Column::EventId.eq(id.to_vec()))
        .all(owner)
        .await
        .map_err(failed)?;
    Ok(rows.iter().any(|row| event::digest(row) == *digest && row.digest == *digest))
}

/// The id as it is shown: a UUID, or what is left of one.
fn name(id: &[u8]) -> String {
    uuid::Uuid::from_slice(id)
        .map_or_else(|_| id.iter().map(|byte| format!("{byte:02x}")).collect(), |id| id.to_string())
}
