//! Holds the events against the signed blocks.
//!
//! Blocks and events are read once, each in the order of time, and meet in the
//! middle: what waits on either side is what the clocks of replicas differ by.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use ::entity::{audit_block, audit_event, audit_writer};
use futures_util::TryStreamExt as _;
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QueryTrait as _,
};

use super::{Block, Entry, Link, event};
use crate::{
    database::failed,
    error::Result,
    hsm::SigningKey,
    ids::{DomainId, hex},
};

/// The newest block of each writer, by its name: number and digest in hexadecimal.
pub type Heads = BTreeMap<String, (i64, String)>;

/// Something that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A block has a wrong form, or no accepted key signed it.
    Forged(String, i64),
    /// A block is missing before this one.
    Gap(String, i64),
    /// A block does not continue the one before it.
    Broken(String, i64),
    /// A block that another one, or a head, knows is missing or is another.
    Unlinked(String, i64),
    /// A sealed event was changed.
    Changed(String),
    /// A sealed event was removed.
    Removed(String),
    /// An event that no block holds.
    Unsealed(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forged(writer, number) => {
                write!(f, "block {number} of {writer}: not signed by an accepted key")
            }
            Self::Gap(writer, number) => {
                write!(f, "block {number} of {writer}: a block before it is missing")
            }
            Self::Broken(writer, number) => {
                write!(f, "block {number} of {writer}: does not continue the block before it")
            }
            Self::Unlinked(writer, number) => {
                write!(f, "block {number} of {writer}: missing, or another than was known")
            }
            Self::Changed(id) => write!(f, "event {id}: changed since it was sealed"),
            Self::Removed(id) => write!(f, "event {id}: removed since it was sealed"),
            Self::Unsealed(id) => write!(f, "event {id}: no block holds it"),
        }
    }
}

/// What a verification saw.
#[derive(Debug, Default)]
pub struct Report {
    /// How many blocks.
    pub blocks: u64,
    /// How many events.
    pub events: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Events of a writer that died before it sealed them, and that nobody has sealed since.
    pub left: u64,
    /// The newest block of each writer.
    pub heads: Heads,
}

/// Events as old as this, in microseconds, must be sealed.
const GRACE: i64 = 60_000_000;

/// A writer that has been silent for so long, in microseconds, is dead.
const SILENCE: i64 = 30_000_000;

/// When so many entries were looked for in vain, the rest is not looked for.
const MAX_LOOKUPS: usize = 1_000;

/// Verifies the whole trail, or the events of `domain` alone, as the owner of the tables.
///
/// `heads` were kept elsewhere: the blocks that they name must be there.
#[expect(clippy::disallowed_methods, reason = "the auditor reads every domain, as the owner")]
pub async fn verify(
    owner: &DatabaseConnection,
    keys: &[SigningKey],
    domain: Option<&DomainId>,
    heads: &Heads,
    now: i64,
) -> Result<Report> {
    let mut check =
        Check { chains: HashMap::new(), meeting: Meeting::default(), report: Report::default() };
    let tag = domain.map(|domain| Entry::tag(domain.as_str()));
    // Blocks first: an event that comes in between is young, not lost.
    let mut blocks = audit_block::Entity::find()
        .order_by_asc(audit_block::Column::SealedAt)
        .order_by_asc(audit_block::Column::Writer)
        .order_by_asc(audit_block::Column::Number)
        .stream(owner)
        .await
        .map_err(failed)?;
    let mut events = audit_event::Entity::find()
        .apply_if(domain, |select, domain| {
            select.filter(audit_event::Column::DomainId.eq(domain.as_str()))
        })
        .order_by_asc(audit_event::Column::At)
        .order_by_asc(audit_event::Column::EventId)
        .stream(owner)
        .await
        .map_err(failed)?;
    let mut ahead: Option<audit_event::Model> = None;
    while let Some(row) = blocks.try_next().await.map_err(failed)? {
        let sealed_at = row.sealed_at;
        for entry in check.block(&row, keys) {
            if tag.is_none_or(|tag| tag == entry.domain_tag) {
                check.meeting.seal(entry, &mut check.report);
            }
        }
        loop {
            if ahead.is_none() {
                ahead = events.try_next().await.map_err(failed)?;
            }
            match ahead.take_if(|event| event.at <= sealed_at) {
                Some(event) => check.event(&event),
                None => break,
            }
        }
    }
    if let Some(event) = ahead.take() {
        check.event(&event);
    }
    while let Some(event) = events.try_next().await.map_err(failed)? {
        check.event(&event);
    }
    drop((blocks, events));

    check.links(heads);
    let writers = audit_writer::Entity::find().all(owner).await.map_err(failed)?;
    let Check { meeting, mut report, chains } = check;
    meeting.settle(owner, &writers, now, &mut report).await?;
    report.heads = chains
        .into_iter()
        .filter_map(|(writer, chain)| {
            let digest = chain.digests.last()?;
            Some((writer, (i64::try_from(chain.digests.len()).ok()?, hex(*digest))))
        })
        .collect();
    Ok(report)
}

struct Check {
    chains: HashMap<String, Chain>,
    meeting: Meeting,
    report: Report,
}

/// The blocks of a writer, by number from 1, and what they say of others.
#[derive(Default)]
struct Chain {
    digests: Vec<[u8; 32]>,
    links: Vec<Link>,
}

impl Check {
    /// Checks a block by itself and against the one before; returns what it seals.
    fn block(&mut self, row: &audit_block::Model, keys: &[SigningKey]) -> Vec<Entry> {
        self.report.blocks += 1;
        let place = || (row.writer.clone(), row.number);
        let block = Block::from_row(row).filter(|block| block.is_signed(row, keys));
        let Some(block) = block else {
            let (writer, number) = place();
            self.report.findings.push(Finding::Forged(writer, number));
            return Vec::new();
        };
        let chain = self.chains.entry(row.writer.clone()).or_default();
        let next = i64::try_from(chain.digests.len()).unwrap_or(i64::MAX).saturating_add(1);
        let before = chain.digests.last().copied().unwrap_or_default();
        let (writer, number) = place();
        if block.number != next {
            self.report.findings.push(Finding::Gap(writer, number));
            // The places of what is missing stay empty, so that this is told once.
            let missing = usize::try_from(block.number.saturating_sub(next)).unwrap_or_default();
            chain.digests.extend(std::iter::repeat_n([0; 32], missing.min(1 << 20)));
        } else if block.previous != before {
            self.report.findings.push(Finding::Broken(writer, number));
        }
        chain.digests.push(block.digest(&row.key_id));
        chain.links.extend(block.links);
        block.entries
    }

    fn event(&mut self, row: &audit_event::Model) {
        self.report.events += 1;
        self.meeting.happen(row, &mut self.report);
    }

    /// Every block that another one or a head knows must be there.
    fn links(&mut self, heads: &Heads) {
        let mut missing = Vec::new();
        let known = |writer: &str, number: i64| {
            let place = usize::try_from(number.checked_sub(1)?).ok()?;
            self.chains.get(writer)?.digests.get(place).copied()
        };
        for link in self.chains.values().flat_map(|chain| &chain.links) {
            if known(&link.writer, link.number) != Some(link.digest) {
                missing.push(Finding::Unlinked(link.writer.clone(), link.number));
            }
        }
        for (writer, (number, digest)) in heads {
            if known(writer, *number).map(hex) != Some(digest.clone()) {
                missing.push(Finding::Unlinked(writer.clone(), *number));
            }
        }
        missing.sort_by_key(ToString::to_string);
        missing.dedup();
        self.report.findings.extend(missing);
    }
}

/// Entries whose event has not come by yet, and events whose entry has not.
#[derive(Default)]
struct Meeting {
    entries: HashMap<[u8; 16], [u8; 32]>,
    events: HashMap<Vec<u8>, Waiting>,
}

struct Waiting {
    digest: [u8; 32],
    at: i64,
    writer: String,
}

impl Meeting {
    fn seal(&mut self, entry: Entry, report: &mut Report) {
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

    fn happen(&mut self, row: &audit_event::Model, report: &mut Report) {
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
    async fn settle(
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
