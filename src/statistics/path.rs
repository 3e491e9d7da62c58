//! Paths to the values of a row.

use std::{borrow::Cow, sync::Arc};

use ::entity::user_secret_tag::{MAX_DEPTH, MAX_PATH};

use super::{Datum, Object};

/// Names and indices with dots between them, the first of which is a name of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    head: Arc<str>,
    rest: Vec<Arc<str>>,
}

impl Path {
    /// Reads a path; the error is the rule that it breaks.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut steps = text.split('.');
        if steps.clone().any(|step| step.is_empty() || step.contains('\0')) {
            return Err("must have a name between its dots, without NUL".to_owned());
        }
        if steps.clone().count() > MAX_DEPTH + 1 || text.len() > MAX_PATH {
            return Err(format!("must have at most {MAX_DEPTH} steps and {MAX_PATH} bytes"));
        }
        let head = steps.next().unwrap_or_default().into();
        Ok(Self { head, rest: steps.map(Into::into).collect() })
    }

    /// The name of the row that it begins with.
    pub(super) fn head(&self) -> &str {
        &self.head
    }

    /// What comes behind it.
    pub(super) fn rest(&self) -> &[Arc<str>] {
        &self.rest
    }

    /// The value that it leads to. A number is an index into a list; a name goes through a list
    /// into the objects in it, and leads to the list of what is found there.
    pub(super) fn value<'r>(&self, row: &'r Object) -> Option<Cow<'r, Datum>> {
        walk(row.get(&self.head)?, &self.rest)
    }

    /// The place that it names, through no list but by an index.
    pub(super) fn place<'r>(&self, row: &'r mut Object) -> Option<&'r mut Datum> {
        let mut at = row.get_mut(&self.head)?;
        for step in &self.rest {
            at = match at {
                Datum::Object(entries) => entries.get_mut(step)?,
                Datum::List(items) => items.get_mut(index(step)?)?,
                _ => return None,
            };
        }
        Some(at)
    }
}

fn walk<'v>(value: &'v Datum, steps: &[Arc<str>]) -> Option<Cow<'v, Datum>> {
    let Some((step, behind)) = steps.split_first() else { return Some(Cow::Borrowed(value)) };
    match value {
        Datum::Object(entries) => walk(entries.get(step)?, behind),
        Datum::List(items) => {
            if let Some(item) = index(step).and_then(|index| items.get(index)) {
                return walk(item, behind);
            }
            let inner = items.iter().filter(|item| matches!(item, Datum::Object(_)));
            let found: Vec<Datum> =
                inner.filter_map(|item| walk(item, steps)).map(Cow::into_owned).collect();
            (!found.is_empty()).then_some(Cow::Owned(Datum::List(found)))
        }
        _ => None,
    }
}

fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || !step.starts_with('0');
    step.parse().ok().filter(|_| plain && step.bytes().all(|byte| byte.is_ascii_digit()))
}
