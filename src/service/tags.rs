//! The rules of tags.

use serde_json::{Map, Value};

use super::input::DataLimits;
use crate::{
    error::{Error, Result},
    query::check_tags,
};

/// How deep objects and lists may nest in data and tags: what every face can show, and every client read.
pub const MAX_DEPTH: usize = 30;

/// How deep objects and lists nest; its parser has bounded it.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Refuses `value`, which is `argument`, if it nests too deep.
pub(super) fn check_depth(argument: &str, value: &Value) -> Result<()> {
    if depth(value) > MAX_DEPTH {
        return Err(Error::invalid(argument, format!("must nest at most {MAX_DEPTH} deep")));
    }
    Ok(())
}

/// Checks what does little work first.
pub(super) fn tags(value: Value, limits: &DataLimits) -> Result<Map<String, Value>> {
    check_bytes(&value, limits.tags_bytes)?;
    check_depth("tags", &value)?;
    let value = trimmed(value)?;
    check_characters(&value)?;
    check_tags(&value)?;
    match value {
        Value::Object(tags) => Ok(tags),
        _ => Err(Error::invalid("tags", "must be a JSON object")),
    }
}

/// As they are sent and as they are stored: PostgreSQL writes 1e308 with 309 digits.
fn check_bytes(value: &Value, most: usize) -> Result<()> {
    let length = serde_json::to_vec(value).map_or(usize::MAX, |text| text.len());
    if length > most || length.saturating_add(digits(value)) > most {
        let rule = format!(
            "limits.tags_bytes: must take {most} bytes or less as JSON, with every digit of its numbers"
        );
        return Err(Error::invalid("tags", rule));
    }
    Ok(())
}

/// The digits that stand for the exponents in `value`.
fn digits(value: &Value) -> usize {
    match value {
        Value::Number(number) if number.is_f64() => {
            let plain = number.as_f64().unwrap_or_default().to_string().len();
            plain.saturating_sub(number.to_string().len())
        }
        Value::Object(entries) => entries.values().map(digits).sum(),
        Value::Array(items) => items.iter().map(digits).sum(),
        _ => 0,
    }
}

/// Trims keys and texts through objects, not inside lists, as the original does.
fn trimmed(value: Value) -> Result<Value> {
    Ok(match value {
        Value::String(text) => Value::String(text.trim().to_owned()),
        Value::Object(entries) => {
            let mut kept = Map::new();
            for (key, value) in entries {
                if kept.insert(key.trim().to_owned(), trimmed(value)?).is_some() {
                    let rule = "must not have keys that differ in blanks around them only";
                    return Err(Error::invalid("tags", rule));
                }
            }
            Value::Object(kept)
        }
        other => other,
    })
}

/// Refuses what PostgreSQL's JSON cannot hold, and keys that look like operators, at any depth.
fn check_characters(value: &Value) -> Result<()> {
    match value {
        Value::String(text) if text.contains('\0') => {
            Err(Error::invalid("tags", "must not contain NUL characters"))
        }
        Value::Object(entries) => entries.iter().try_for_each(|(key, value)| {
            if key.starts_with('$') || key.contains('\0') {
                return Err(Error::invalid("tags", "a key must not begin with $ or contain NUL"));
            }
            check_characters(value)
        }),
        Value::Array(items) => items.iter().try_for_each(check_characters),
        _ => Ok(()),
    }
}
