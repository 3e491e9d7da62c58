//! What a query can look for in tags: a row for every value that a path leads to.
//!
//! JSON itself compares differently on every engine. Rows of text and numbers do not.
//! A row that can be found by equality has a digest, and with it what lists are ordered by, so that
//! one index gives the secrets with a tag in the order of their names.

use std::{
    borrow::Cow,
    collections::HashSet,
    fmt::{self, Write as _},
};

use aws_lc_rs::digest::{SHA256, digest};
use sea_orm::{entity::prelude::*, prelude::Json};

use crate::user_secret;

/// A row of `user_secret_tags`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "user_secret_tags")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub domain_id: String,
    /// The secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_secret_id: String,
    /// Keys and indices with dots between them.
    #[sea_orm(primary_key, auto_increment = false)]
    pub path: String,
    /// Tells apart values to which the same path leads.
    #[sea_orm(primary_key, auto_increment = false)]
    pub place: i32,
    /// The index of an array's element that stands here as a value of the array.
    pub element: Option<i32>,
    /// `null`, `boolean`, `number`, `string`, `array` or `object`.
    pub kind: String,
    /// A string; an object as [`canonical`] text, unless that is longer than [`MAX_OBJECT`].
    pub text: Option<String>,
    /// A number; 0 or 1 for a boolean.
    pub number: Option<f64>,
    /// [`mark`] of what is found here, on one row of each secret; none for what nothing can equal.
    pub digest: Option<i64>,
    /// The owner of the secret, beside a digest.
    pub user_id: Option<String>,
    /// The name of the secret, beside a digest.
    pub name: Option<String>,
    /// The place of the secret in the order of insertion, beside a digest.
    pub position: Option<i64>,
}

/// No relation is followed from here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The most values that the tags of a secret can be searched for.
pub const MAX_VALUES: usize = 1000;

/// The most bytes of paths and texts in all rows of a secret.
pub const MAX_BYTES: usize = 128 * 1024;

/// The most bytes of a path; deeper values cannot be searched for.
pub const MAX_PATH: usize = 500;

/// The most steps of a path.
pub const MAX_DEPTH: usize = 16;

/// The most bytes of an object's text; nobody can look for a longer one.
pub const MAX_OBJECT: usize = 4096;

/// A value that a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<'t> {
    /// Keys and indices with dots between them.
    pub path: String,
    /// The index within the array that `path` names, for one of its elements.
    pub element: Option<i32>,
    /// The value.
    pub value: &'t Json,
}

/// Every value to which a path through `tags` leads, [`MAX_VALUES`] and one at most.
///
/// As MongoDB resolves paths: a number is an index into an array; a key goes through
/// an array into the objects in it; an array has its elements as values besides itself.
/// A key that is empty or has a dot in it cannot be written in a path.
pub fn values(tags: &Json) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    if let Json::Object(entries) = tags {
        enter(entries, "", 1, &mut found);
    }
    found
}

/// Whether a step of `length` bytes behind `path` is still within what can be searched for.
const fn is_within_reach(path: &str, length: usize, depth: usize) -> bool {
    let dot = if path.is_empty() { 0 } else { 1 };
    path.len() + dot + length <= MAX_PATH && depth <= MAX_DEPTH
}

fn enter<'t>(
    entries: &'t serde_json::Map<String, Json>,
    path: &str,
    depth: usize,
    found: &mut Vec<Found<'t>>,
) {
    for (key, value) in entries {
        if key.is_empty() || key.contains('.') || !is_within_reach(path, key.len(), depth) {
            continue;
        }
        let dot = if path.is_empty() { "" } else { "." };
        walk(value, format!("{path}{dot}{key}"), depth, found);
    }
}

fn walk<'t>(value: &'t Json, path: String, depth: usize, found: &mut Vec<Found<'t>>) {
    if found.len() > MAX_VALUES {
        return;
    }
    found.push(Found { path: path.clone(), element: None, value });
    match value {
        Json::Object(entries) => enter(entries, &path, depth + 1, found),
        Json::Array(items) => {
            for (index, item) in (0..).zip(items) {
                if found.len() > MAX_VALUES {
                    return;
                }
                found.push(Found { path: path.clone(), element: Some(index), value: item });
                let step = index.to_string();
                if is_within_reach(&path, step.len(), depth + 1) {
                    walk(item, format!("{path}.{step}"), depth + 1, found);
                }
                if let Json::Object(entries) = item {
                    enter(entries, &path, depth + 1, found);
                }
            }
        }
        _ => {}
    }
}

/// The rows of the tags of `secret`.
pub fn rows(secret: &user_secret::Model) -> Vec<Model> {
    // Where a path leads to equal values, one row stands for all: a list shows a secret once.
    let mut seen = HashSet::new();
    let found = (0..).zip(values(&secret.tags)).take(MAX_VALUES);
    let row = |(place, Found { path, element, value })| {
        let (kind, text, number) = parts(value);
        let mut first = || seen.insert((path.clone(), kind, text.clone(), number.map(bits)));
        let digest = mark(&path, kind, text.as_deref(), number).filter(|_| first());
        let beside = digest.map(|_| secret);
        Model {
            domain_id: secret.domain_id.clone(),
            user_secret_id: secret.user_secret_id.clone(),
            path,
            place,
            element,
            kind: kind.to_owned(),
            text: text.map(Cow::into_owned),
            number,
            digest,
            user_id: beside.map(|secret| secret.user_id.clone()),
            name: beside.map(|secret| secret.name.clone()),
            position: beside.map(|secret| secret.position),
        }
    };
    found.map(row).collect()
}

/// What an index knows a value at a path by: short, whatever the value. Different values may share one.
///
/// None for an array, which is found by its elements, and for null, which is also what is absent.
pub fn mark(path: &str, kind: &str, text: Option<&str>, number: Option<f64>) -> Option<i64> {
    if matches!(kind, "array" | "null") {
        return None;
    }
    let number = number.map_or(0, bits).to_be_bytes();
    let text = text.unwrap_or_default().as_bytes();
    let parts = [path.as_bytes(), b"\0", kind.as_bytes(), b"\0", &number, text];
    let hash = digest(&SHA256, &parts.concat());
    hash.as_ref().first_chunk().copied().map(i64::from_be_bytes)
}

/// The same for numbers that are equal: zero has two signs.
fn bits(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

/// What a value is compared by: its kind, its text and its number.
pub fn parts(value: &Json) -> (&'static str, Option<Cow<'_, str>>, Option<f64>) {
    match value {
        Json::Null => ("null", None, None),
        Json::Bool(value) => ("boolean", None, Some(f64::from(u8::from(*value)))),
        Json::Number(number) => ("number", None, number.as_f64()),
        Json::String(text) => ("string", Some(text.into()), None),
        Json::Array(_) => ("array", None, None),
        Json::Object(_) => ("object", canonical(value).map(Cow::Owned), None),
    }
}

/// The one text of all objects that are equal to `value`: keys in order, numbers as doubles.
/// None when it is longer than [`MAX_OBJECT`].
pub fn canonical(value: &Json) -> Option<String> {
    let mut text = Bounded(String::new());
    write(value, &mut text).ok().map(|()| text.0)
}

/// A text that refuses to grow beyond [`MAX_OBJECT`].
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.len().saturating_add(part.len()) > MAX_OBJECT {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

fn write(value: &Json, text: &mut Bounded) -> fmt::Result {
    match value {
        Json::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            text.write_char('{')?;
            for (index, (key, value)) in entries.into_iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                write!(text, "{comma}{}:", Json::from(key.as_str()))?;
                write(value, text)?;
            }
            text.write_char('}')
        }
        Json::Array(items) => {
            text.write_char('[')?;
            for (index, item) in items.iter().enumerate() {
                text.write_str(if index == 0 { "" } else { "," })?;
                write(item, text)?;
            }
            text.write_char(']')
        }
        Json::Number(number) => write_number(number.as_f64().unwrap_or_default(), text),
        other => write!(text, "{other}"),
    }
}

/// The shortest digits that mean `number`; with an exponent where plain ones would be many.
fn write_number(number: f64, text: &mut Bounded) -> fmt::Result {
    if number == 0.0 {
        // There are two zeros, which are equal.
        text.write_char('0')
    } else if (1e-5..1e16).contains(&number.abs()) {
        write!(text, "{number}")
    } else {
        write!(text, "{number:e}")
    }
}
