//! What a query can look for in tags: a row for every value that a path leads to.
//!
//! JSON itself compares differently on every engine. Rows of text and numbers do not.
//! A row that can be found by equality has a digest, and with it what lists are ordered by, so that
//! one index gives the secrets with a tag in the order of their names.

use std::{collections::HashSet, fmt::Write as _};

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
    /// A string; an object as [`canonical`] text.
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

/// The most bytes of a path; deeper values cannot be searched for.
pub const MAX_PATH: usize = 500;

/// The most steps of a path.
pub const MAX_DEPTH: usize = 16;

/// A value that a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Keys and indices with dots between them.
    pub path: String,
    /// The index within the array that `path` names, for one of its elements.
    pub element: Option<i32>,
    /// The value.
    pub value: Json,
}

/// Every value to which a path through `tags` leads, [`MAX_VALUES`] and one at most.
///
/// As MongoDB resolves paths: a number is an index into an array; a key goes through
/// an array into the objects in it; an array has its elements as values besides itself.
/// A key that is empty or has a dot in it cannot be written in a path.
pub fn values(tags: &Json) -> Vec<Found> {
    let mut found = Vec::new();
    if let Json::Object(entries) = tags {
        enter(entries, "", 1, &mut found);
    }
    found
}

fn enter(
    entries: &serde_json::Map<String, Json>,
    path: &str,
    depth: usize,
    found: &mut Vec<Found>,
) {
    for (key, value) in entries {
        if key.is_empty() || key.contains('.') {
            continue;
        }
        let dot = if path.is_empty() { "" } else { "." };
        walk(value, format!("{path}{dot}{key}"), depth, found);
    }
}

fn walk(value: &Json, path: String, depth: usize, found: &mut Vec<Found>) {
    if path.len() > MAX_PATH || depth > MAX_DEPTH || found.len() > MAX_VALUES {
        return;
    }
    found.push(Found { path: path.clone(), element: None, value: value.clone() });
    match value {
        Json::Object(entries) => enter(entries, &path, depth + 1, found),
        Json::Array(items) => {
            for (index, item) in (0..).zip(items) {
                if found.len() > MAX_VALUES {
                    return;
                }
                found.push(Found { path: path.clone(), element: Some(index), value: item.clone() });
                walk(item, format!("{path}.{index}"), depth + 1, found);
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
    let row = |(place, Found { path, element, value }): (i32, Found)| {
        let (kind, text, number) = parts(&value);
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
            text,
            number,
            digest,
            user_id: beside.map(|secret| secret.user_id.clone()),
            name: beside.map(|secret| secret.name.clone()),
            position: beside.map(|secret| secret.position),
        }
    };
    (0..).zip(values(&secret.tags)).take(MAX_VALUES).map(row).collect()
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
pub fn parts(value: &Json) -> (&'static str, Option<String>, Option<f64>) {
    match value {
        Json::Null => ("null", None, None),
        Json::Bool(value) => ("boolean", None, Some(f64::from(u8::from(*value)))),
        Json::Number(number) => ("number", None, number.as_f64()),
        Json::String(text) => ("string", Some(text.clone()), None),
        Json::Array(_) => ("array", None, None),
        Json::Object(_) => ("object", Some(canonical(value)), None),
    }
}

/// The one text of all equal values: keys in order, numbers as doubles.
pub fn canonical(value: &Json) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Json, text: &mut String) {
    match value {
        Json::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(text, "{comma}{}:", Json::from(key.as_str()));
                write(value, text);
            }
            text.push('}');
        }
        Json::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                write(item, text);
            }
            text.push(']');
        }
        Json::Number(number) => {
            let _ = write!(text, "{}", number.as_f64().unwrap_or_default());
        }
        other => {
            let _ = write!(text, "{other}");
        }
    }
}
