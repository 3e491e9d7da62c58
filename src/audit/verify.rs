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

use super::{Block, Entry, Link, meeting::Meeting};
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
