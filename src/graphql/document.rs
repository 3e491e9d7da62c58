//! Documents that were asked before need not be parsed again.

use std::sync::Arc;

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use moka::sync::Cache;

use super::DocumentLimits;
use crate::error::Result;

/// The most documents that are kept, and the most bytes of one.
const MAX_KEPT: u64 = 1_000;
const MAX_KEPT_LEN: usize = 8 * 1024;

/// Parses documents within the limits, each once.
pub struct Documents {
    limits: DocumentLimits,
    kept: Cache<Box<str>, Arc<ExecutableDocument>>,
}

impl Documents {
    /// Documents within `limits`.
    pub fn new(limits: DocumentLimits) -> Self {
        Self { limits, kept: Cache::new(MAX_KEPT) }
    }

    /// The document that `text` is.
    ///
    /// One with a text in it is not kept, nor a mutation with a number: a
    /// credential that somebody spelled out there must not stay in memory.
    pub(super) fn get(&self, text: &str) -> Result<Arc<ExecutableDocument>> {
        let may_keep = text.len() <= MAX_KEPT_LEN && !text.contains('"');
        if may_keep && let Some(document) = self.kept.get(text) {
            return Ok(document);
        }
        let document = Arc::new(self.limits.parse(text)?);
        let changes = document
            .operations
            .iter()
            .any(|(_, operation)| operation.node.ty == OperationType::Mutation);
        if may_keep && !(changes && text.contains(|c: char| c.is_ascii_digit())) {
            self.kept.insert(text.into(), Arc::clone(&document));
        }
        Ok(document)
    }
}
