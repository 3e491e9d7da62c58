//! Requests as libFuzzer draws them: near enough to good ones to get far.

use arbitrary::{Arbitrary, Unstructured};
use serde_json::Value;
use usersecret::query::{Operator, RawCondition};

/// Keys that are known, and pieces that paths are made of.
const KEYS: [&str; 12] = [
    "name", "user_secret_id", "created_at", "version", "expires_at", "schema_id", "tags", "tags.a",
    "tags.a.b", "tags.b.0", "n", "p",
];

/// A key: one that is known, or any text.
#[derive(Debug, Clone)]
pub struct Key(pub String);

impl<'a> Arbitrary<'a> for Key {
    fn arbitrary(from: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self(if from.ratio(7, 8)? {
            (*from.choose(&KEYS)?).to_owned()
        } else {
            String::arbitrary(from)?
        }))
    }
}

/// Any JSON, not too deep.
#[derive(Debug, Clone)]
pub struct Json(pub Value);

impl<'a> Arbitrary<'a> for Json {
    fn arbitrary(from: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        json(from, 4).map(Self)
    }
}

fn json(from: &mut Unstructured<'_>, depth: u32) -> arbitrary::Result<Value> {
    Ok(match from.int_in_range(0..=if depth > 0 { 8 } else { 6 })? {
        0 => Value::Null,
        1 => bool::arbitrary(from)?.into(),
        2 => i64::arbitrary(from)?.into(),
        3 => f64::arbitrary(from)?.into(),
        4 => "2024-03-01T09:30:00Z".into(),
        5 => "now/d-3d".into(),
        6 => String::arbitrary(from)?.into(),
        7 => {
            let count = from.int_in_range(0..=4)?;
            (0..count).map(|_| json(from, depth - 1)).collect::<Result<Value, _>>()?
        }
        _ => {
            let count = from.int_in_range(0..=3)?;
            let entry = |_| Ok((Key::arbitrary(from)?.0, json(from, depth - 1)?));
            Value::Object((0..count).map(entry).collect::<Result<_, _>>()?)
        }
    })
}

/// A condition.
#[derive(Debug, Clone, Arbitrary)]
pub struct Condition {
    key: Key,
    operator: u8,
    value: Json,
}

impl From<Condition> for RawCondition {
    fn from(drawn: Condition) -> Self {
        let operator = Operator::ALL.get(usize::from(drawn.operator) % 25).copied();
        Self { key: Some(drawn.key.0), value: drawn.value.0, operator }
    }
}

/// All of them.
pub fn conditions(drawn: Vec<Condition>) -> Vec<RawCondition> {
    drawn.into_iter().map(Into::into).collect()
}
