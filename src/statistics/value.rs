//! Values, and the one order of all of them.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use serde_json::{Number, Value};

use crate::clock::Timestamp;

/// A value of a row. Numbers are doubles.
#[derive(Debug, Clone, Default)]
pub enum Datum {
    /// Null.
    #[default]
    Null,
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// An object.
    Object(Object),
    /// A list.
    List(Vec<Self>),
    /// A truth value.
    Boolean(bool),
    /// A moment.
    Time(Timestamp),
}

/// Values by their names; a row is one as well.
pub type Object = BTreeMap<Arc<str>, Datum>;

impl Datum {
    /// The place of its kind in the order, which is MongoDB's.
    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
            Self::Object(_) => 3,
            Self::List(_) => 4,
            Self::Boolean(_) => 5,
            Self::Time(_) => 6,
        }
    }

    /// About how many bytes it takes in memory.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Text(text) => text.len(),
                Self::Object(entries) => size_of_object(entries),
                Self::List(items) => items.iter().map(Self::size).sum(),
                _ => 0,
            }
    }

    /// Itself, or the elements of a list.
    pub(super) fn elements(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            one => std::slice::from_ref(one),
        }
    }

    /// The value as JSON: moments in ISO 8601 with three digits behind the second.
    pub fn into_json(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Number(double) => number(double).map_or(Value::Null, Value::Number),
            Self::Text(text) => text.into(),
            Self::Object(entries) => {
                let entries = entries.into_iter();
                entries.map(|(name, value)| (name.to_string(), value.into_json())).collect()
            }
            Self::List(items) => items.into_iter().map(Self::into_json).collect(),
            Self::Boolean(value) => value.into(),
            Self::Time(moment) => moment.to_iso_milliseconds().into(),
        }
    }
}

/// About how many bytes the entries of an object take.
pub(super) fn size_of_object(entries: &Object) -> usize {
    entries.iter().map(|(name, value)| name.len() + 2 * size_of::<usize>() + value.size()).sum()
}

/// The integers up to which every one has a double of its own: 2^53.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// `double` as JSON writes it: as an integer where that is the same.
pub fn number(double: f64) -> Option<Number> {
    // JSON has no integer that is -0.0.
    let negative_zero = double == 0.0 && double.is_sign_negative();
    let whole = double.fract() == 0.0 && double.abs() <= MAX_EXACT && !negative_zero;
    if whole {
        // Without an exponent a whole double reads as an integer.
        format!("{double:.0}").parse::<i64>().ok().map(Number::from)
    } else {
        Number::from_f64(double)
    }
}

impl From<Value> for Datum {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Boolean(value),
            // Zero has one sign here: what compares alike is alike.
            Value::Number(number) => Self::Number(number.as_f64().unwrap_or_default() + 0.0),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::List(items.into_iter().map(Into::into).collect()),
            Value::Object(entries) => {
                let entries = entries.into_iter();
                Self::Object(entries.map(|(name, value)| (name.into(), value.into())).collect())
            }
        }
    }
}

impl Ord for Datum {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Object(a), Self::Object(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => a.cmp(b),
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::Time(a), Self::Time(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Datum {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Datum {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Datum {}
