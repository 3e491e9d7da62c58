//! A block: the ids and digests of events in order, chained and signed.

use ::entity::audit_block;
use aws_lc_rs::digest::{SHA256, digest};

use crate::hsm::SigningKey;

/// Bytes of a writer's name: hexadecimal digits.
pub(super) const WRITER: usize = 16;
const ID: usize = 16;
const TAG: usize = 8;
const DIGEST: usize = 32;

/// What a block holds of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The event's id.
    pub id: [u8; ID],
    /// The first bytes of the SHA-256 of its domain: finds a domain's entries and names none.
    pub domain_tag: [u8; TAG],
    /// The event's digest.
    pub digest: [u8; DIGEST],
}

impl Entry {
    const LEN: usize = ID + TAG + DIGEST;

    /// The entry of an event; `None` when a length is wrong.
    pub fn new(id: &[u8], domain: &str, digest: &[u8]) -> Option<Self> {
        Some(Self {
            id: id.try_into().ok()?,
            domain_tag: Self::tag(domain),
            digest: digest.try_into().ok()?,
        })
    }

    /// The tag of `domain`.
    pub fn tag(domain: &str) -> [u8; TAG] {
        let hash = digest(&SHA256, domain.as_bytes());
        hash.as_ref().first_chunk().copied().unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (domain_tag, digest) = rest.split_first_chunk()?;
        Some(Self { id: *id, domain_tag: *domain_tag, digest: digest.try_into().ok()? })
    }
}

/// The newest block of a writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The writer.
    pub writer: String,
    /// The block's number.
    pub number: i64,
    /// The block's digest.
    pub digest: [u8; DIGEST],
}

impl Link {
    const LEN: usize = WRITER + 8 + DIGEST;

    fn read(bytes: &[u8]) -> Option<Self> {
        let (writer, rest) = bytes.split_at_checked(WRITER)?;
        let (number, digest) = rest.split_first_chunk()?;
        Some(Self {
            writer: String::from_utf8(writer.to_vec()).ok()?,
            number: i64::from_be_bytes(*number),
            digest: digest.try_into().ok()?,
        })
    }
}

/// A block that is not signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Who seals.
    pub writer: String,
    /// Counted from 1.
    pub number: i64,
    /// In microseconds.
    pub sealed_at: i64,
    /// The digest of the block before; zeros for the first.
    pub previous: [u8; DIGEST],
    /// The newest blocks of other writers.
    pub links: Vec<Link>,
    /// The events, in order.
    pub entries: Vec<Entry>,
}

impl Block {
    /// What is signed: every column but the signature, each of fixed length or behind its length.
    pub fn message(&self, key_id: &str) -> Vec<u8> {
        let mut bytes = b"usersecret audit block, v. 1".to_vec();
        let mut part = |part: &[u8]| {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(part);
        };
        part(self.writer.as_bytes());
        part(&self.number.to_be_bytes());
        part(&self.sealed_at.to_be_bytes());
        part(&self.previous);
        part(&self.links());
        part(&self.entries());
        part(key_id.as_bytes());
        bytes
    }

    /// The digest by which the next block knows this one.
    pub fn digest(&self, key_id: &str) -> [u8; DIGEST] {
        let mut bytes = [0; DIGEST];
        bytes.copy_from_slice(digest(&SHA256, &self.message(key_id)).as_ref());
        bytes
    }

    /// The row of the signed block.
    pub(super) fn into_row(self, key_id: &str, signature: Vec<u8>) -> audit_block::Model {
        audit_block::Model {
            digest: self.digest(key_id).to_vec(),
            previous: self.previous.to_vec(),
            links: self.links(),
            entries: self.entries(),
            writer: self.writer,
            number: self.number,
            sealed_at: self.sealed_at,
            key_id: key_id.to_owned(),
            signature,
        }
    }

    /// Reads a row; `None` when its form is not one that the service writes.
    pub(super) fn from_row(row: &audit_block::Model) -> Option<Self> {
        let whole = |bytes: &[u8], length: usize| bytes.len().is_multiple_of(length);
        let formed = whole(&row.links, Link::LEN)
            && whole(&row.entries, Entry::LEN)
            && row.writer.len() == WRITER;
        let links = row.links.chunks(Link::LEN).map(Link::read).collect::<Option<_>>()?;
        let entries = row.entries.chunks(Entry::LEN).map(Entry::read).collect::<Option<_>>()?;
        formed.then_some(Self {
            writer: row.writer.clone(),
            number: row.number,
            sealed_at: row.sealed_at,
            previous: row.previous.as_slice().try_into().ok()?,
            links,
            entries,
        })
    }

    /// Whether `row` is this block as one of `keys` signed it.
    pub(super) fn is_signed(&self, row: &audit_block::Model, keys: &[SigningKey]) -> bool {
        row.digest == self.digest(&row.key_id)
            && keys
                .iter()
                .filter(|key| key.id() == row.key_id)
                .any(|key| key.verify(&self.message(&row.key_id), &row.signature))
    }

    fn links(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.links.len().saturating_mul(Link::LEN));
        for link in &self.links {
            bytes.extend_from_slice(link.writer.as_bytes());
            bytes.extend_from_slice(&link.number.to_be_bytes());
            bytes.extend_from_slice(&link.digest);
        }
        bytes
    }

    fn entries(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len().saturating_mul(Entry::LEN));
        for entry in &self.entries {
            bytes.extend_from_slice(&entry.id);
            bytes.extend_from_slice(&entry.domain_tag);
            bytes.extend_from_slice(&entry.digest);
        }
        bytes
    }
}
