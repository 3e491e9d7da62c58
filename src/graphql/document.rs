//! Documents that were asked before need not be parsed again.

use std::sync::Arc;

use async_graphql::{
    Value,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};
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
    /// One that spells out more than plain numbers and flags is not kept: a
    /// credential that somebody wrote there must not stay in memory.
    pub(super) fn get(&self, text: &str) -> Result<Arc<ExecutableDocument>> {
        let may_keep = text.len() <= MAX_KEPT_LEN && !text.contains('"');
        if may_keep && let Some(document) = self.kept.get(text) {
            return Ok(document);
        }
        let document = Arc::new(self.limits.parse(text)?);
        if may_keep && is_plain(&document) {
            self.kept.insert(text.into(), Arc::clone(&document));
        }
        Ok(document)
    }
}

/// Whether nothing in the document could be data that somebody spelled out.
fn is_plain(document: &ExecutableDocument) -> bool {
    let operations = || document.operations.iter().map(|(_, operation)| &operation.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    let mut defaults = operations()
        .flat_map(|operation| &operation.variable_definitions)
        .filter_map(|variable| variable.node.default_value.as_ref());
    let mut sets = operations().map(|operation| &operation.selection_set.node).chain(fragments);
    defaults.all(|value| is_plain_value(&value.node, false)) && sets.all(has_plain_arguments)
}

/// It recurses as deep as the limits let a document nest.
fn has_plain_arguments(set: &SelectionSet) -> bool {
    set.items.iter().all(|selection| match &selection.node {
        Selection::Field(field) => {
            let field = &field.node;
            let directives = field.directives.iter().flat_map(|it| &it.node.arguments);
            field.arguments.iter().chain(directives).all(|(_, value)| {
                // A variable is plain, whatever it stands for.
                let filled = value.node.clone().into_const_with(|_| Ok::<_, ()>(Value::Null));
                filled.is_ok_and(|value| is_plain_value(&value, false))
            }) && has_plain_arguments(&field.selection_set.node)
        }
        Selection::InlineFragment(inline) => has_plain_arguments(&inline.node.selection_set.node),
        Selection::FragmentSpread(_) => true,
    })
}

/// Data comes as an object, so a number within one is none of ours.
fn is_plain_value(value: &Value, within: bool) -> bool {
    match value {
        Value::Null | Value::Boolean(_) => true,
        Value::Number(_) => !within,
        Value::List(items) => items.iter().all(|item| is_plain_value(item, true)),
        Value::Object(entries) => entries.values().all(|entry| is_plain_value(entry, true)),
        Value::String(_) | Value::Enum(_) | Value::Binary(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_hold_a_credential_is_not_kept() {
        let limits = DocumentLimits { nesting: 32, tokens: 4000, fields: 500, depth: 20 };
        let kept = |text: &str| {
            let documents = Documents::new(limits);
            documents.get(text).unwrap();
            documents.kept.get(text).is_some()
        };
        for plain in [
            "query($a: ID!, $n: Int = 20) { a(id: $a) @include(if: true) { b(first: 20) ...F } } fragment F on X { c }",
            "mutation($i: I!) { create(input: $i) { a } }",
            "mutation($d: JSON!) { create(input: {data: $d, purge: true}) { a } }",
        ] {
            assert!(kept(plain), "{plain}");
        }
        for telling in [
            "mutation { create(input: {data: {password: hunter}}) { a } }",
            "mutation { create(input: {data: {pin: 1234}}) { a } }",
            "query { create(input: {data: {pin: 1234}}) { a } }",
            "{ a { ... on X { b(data: [hunter]) } } }",
            "{ a { ...F } } fragment F on X { b(data: {pin: 1}) }",
            "query($d: JSON = {pin: 1234}) { a(d: $d) }",
            "{ a @x(data: hunter) }",
            "{ a(b: \"hunter\") }",
        ] {
            assert!(!kept(telling), "{telling}");
        }
    }
}
