//! What a document must pass before async-graphql sees it.
//!
//! First a scan of the text, which allocates nothing and cannot recurse: how
//! deep brackets nest and how many tokens there are. Then the document may be
//! parsed, and a walk counts the fields of every operation with its fragments
//! spelled out; each fragment is measured once, however often it is spread.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Positioned,
    parser::{
        parse_query,
        types::{ExecutableDocument, FragmentDefinition, OperationType, Selection, SelectionSet},
    },
};

use crate::error::{Error, Result};

/// Limits of a document.
#[derive(Debug, Clone, Copy)]
pub struct DocumentLimits {
    /// Brackets within brackets.
    pub nesting: usize,
    /// Tokens.
    pub tokens: usize,
    /// Fields, with fragments spelled out.
    pub fields: usize,
    /// Fields within fields.
    pub depth: usize,
}

impl DocumentLimits {
    /// Parses `text` if it is within the limits.
    pub(super) fn parse(&self, text: &str) -> Result<ExecutableDocument> {
        self.scan(text.as_bytes())?;
        let document = parse_query(text).map_err(|error| {
            let place = error.positions().next().unwrap_or_default();
            Error::malformed(format!(
                "The document is not valid GraphQL at line {}, column {}.",
                place.line, place.column
            ))
        })?;
        let mut walk = Walk { fragments: &document.fragments, measured: HashMap::new() };
        for (_, operation) in document.operations.iter() {
            let size = walk.selection_set(&operation.node.selection_set.node, &mut Vec::new())?;
            if size.fields > self.fields {
                return Err(limit("document_fields", self.fields, "fields, fragments included"));
            }
            if size.depth > self.depth {
                return Err(limit("document_depth", self.depth, "fields within fields"));
            }
        }
        for (_, operation) in document.operations.iter() {
            if operation.node.ty == OperationType::Mutation {
                walk.refuse_twins(&operation.node.selection_set.node, &mut HashSet::new())?;
            }
        }
        Ok(document)
    }

    fn scan(&self, text: &[u8]) -> Result<()> {
        let (mut rest, mut nesting, mut tokens) = (text, 0_usize, 0_usize);
        while let Some((&byte, after)) = rest.split_first() {
            rest = match byte {
                b'#' => after_line(after),
                b'"' => match after.strip_prefix(b"\"\"") {
                    Some(block) => after_block_string(block),
                    None => after_string(after),
                }
                .ok_or_else(|| Error::malformed("A string of the document is not closed."))?,
                b if is_word(b) => skip(after, is_word),
                _ => after,
            };
            match byte {
                b'(' | b'[' | b'{' => nesting += 1,
                b')' | b']' | b'}' => nesting = nesting.saturating_sub(1),
                _ => {}
            }
            if byte != b'#' && !byte.is_ascii_whitespace() && byte != b',' {
                tokens += 1;
            }
            if nesting > self.nesting {
                return Err(limit("document_nesting", self.nesting, "brackets within brackets"));
            }
            if tokens > self.tokens {
                return Err(limit("document_tokens", self.tokens, "tokens"));
            }
        }
        Ok(())
    }
}

fn limit(key: &str, most: usize, what: &str) -> Error {
    Error::malformed(format!("limits.{key}: a document may have at most {most} {what}."))
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn skip(text: &[u8], while_true: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|byte| !while_true(*byte)).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

fn after_line(text: &[u8]) -> &[u8] {
    skip(text, |byte| byte != b'\n' && byte != b'\r')
}

/// Behind a string's closing quote; none where a line or the text ends first.
///
/// A quote that is never closed is refused and not skipped: the parser would go
/// back, take `""` for an empty string, and read what this scan passed over.
fn after_string(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        match text {
            [b'\\', _, rest @ ..] => text = rest,
            [b'"', rest @ ..] => return Some(rest),
            [b'\n' | b'\r', ..] | [] => return None,
            [_, rest @ ..] => text = rest,
        }
    }
}

fn after_block_string(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        match text {
            [b'\\', b'"', b'"', b'"', rest @ ..] => text = rest,
            [b'"', b'"', b'"', rest @ ..] => return Some(rest),
            [_, rest @ ..] => text = rest,
            [] => return None,
        }
    }
}

/// How much a selection set asks for.
#[derive(Clone, Copy, Default)]
struct Size {
    fields: usize,
    depth: usize,
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            depth: self.depth.max(other.depth),
        }
    }
}

struct Walk<'d> {
    fragments: &'d HashMap<Name, Positioned<FragmentDefinition>>,
    measured: HashMap<&'d str, Size>,
}

impl<'d> Walk<'d> {
    /// The size of `set`; `open` are the fragments that it stands in, the most
    /// that brackets and tokens allow.
    fn selection_set(&mut self, set: &'d SelectionSet, open: &mut Vec<&'d str>) -> Result<Size> {
        let mut total = Size::default();
        for selection in &set.items {
            let size = match &selection.node {
                Selection::Field(field) => {
                    let below = self.selection_set(&field.node.selection_set.node, open)?;
                    Size {
                        fields: below.fields.saturating_add(1),
                        depth: below.depth.saturating_add(1),
                    }
                }
                Selection::InlineFragment(inline) => {
                    self.selection_set(&inline.node.selection_set.node, open)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(spread.node.fragment_name.node.as_str(), open)?
                }
            };
            total = total.beside(size);
        }
        Ok(total)
    }

    /// Refuses a mutation that stands twice under one response key: it would run
    /// twice, and be answered once.
    fn refuse_twins(&self, set: &'d SelectionSet, seen: &mut HashSet<&'d str>) -> Result<()> {
        for selection in &set.items {
            let below = match &selection.node {
                Selection::Field(field) => {
                    if seen.insert(field.node.response_key().node.as_str()) {
                        continue;
                    }
                    let rule = "A mutation must not stand twice under one name; use aliases.";
                    return Err(Error::malformed(rule));
                }
                Selection::InlineFragment(inline) => Some(&inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => self
                    .fragments
                    .get(&spread.node.fragment_name.node)
                    .map(|fragment| &fragment.node.selection_set.node),
            };
            if let Some(below) = below {
                self.refuse_twins(below, seen)?;
            }
        }
        Ok(())
    }

    fn fragment(&mut self, name: &str, open: &mut Vec<&'d str>) -> Result<Size> {
        if let Some(size) = self.measured.get(name) {
            return Ok(*size);
        }
        // An unknown fragment is the validator's to name.
        let Some((key, fragment)) = self.fragments.get_key_value(name) else {
            return Ok(Size { fields: 1, depth: 1 });
        };
        if open.contains(&key.as_str()) {
            return Err(Error::malformed("A fragment must not spread itself."));
        }
        if open.len() >= MAX_OPEN {
            return Err(Error::malformed("Fragments must not spread fragments so deeply."));
        }
        open.push(key.as_str());
        let mut size = self.selection_set(&fragment.node.selection_set.node, open)?;
        open.pop();
        // A spread costs something even where the fragment is empty of fields.
        size.fields = size.fields.saturating_add(1);
        self.measured.insert(key.as_str(), size);
        Ok(size)
    }
}

/// Fragments within fragments: what bounds this walk's own recursion.
const MAX_OPEN: usize = 20;
