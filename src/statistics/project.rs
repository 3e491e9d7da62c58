//! Other values in place of those of a row.

use std::{borrow::Cow, sync::Arc};

use super::{
    Datum, Object,
    path::Path,
    stage::{double, number},
    sum::Sum,
};

/// What is made of the value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectOperator {
    /// The length of a list; null of anything else.
    Size,
    /// The sum of the numbers in a list.
    Sum,
    /// An object of a list of pairs `[name, value]` or of objects with `k` and `v`.
    ArrayToObject,
    /// A list of objects with `k` and `v`, one for each entry.
    ObjectToArray,
}

impl ProjectOperator {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Size, Self::Sum, Self::ArrayToObject, Self::ObjectToArray];

    /// The operator called `name` on the wire.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.as_str() == name)
    }

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Sum => "sum",
            Self::ArrayToObject => "array_to_object",
            Self::ObjectToArray => "object_to_array",
        }
    }
}

/// The values that a row is to have.
#[derive(Debug, Clone)]
pub(super) struct Project {
    /// Names that stay as they are: the keys of the groups.
    pub(super) kept: Vec<Arc<str>>,
    /// New ones.
    pub(super) fields: Vec<ProjectField>,
}

#[derive(Debug, Clone)]
pub(super) struct ProjectField {
    pub(super) name: Arc<str>,
    pub(super) path: Path,
    pub(super) operator: Option<ProjectOperator>,
}

impl Project {
    pub(super) fn of(&self, row: Object) -> Object {
        let kept = self.kept.iter().filter_map(|name| Some((Arc::clone(name), row.get(name)?)));
        let mut made: Object = kept.map(|(name, value)| (name, value.clone())).collect();
        for field in &self.fields {
            let value = field.path.value(&row);
            let value = match field.operator {
                None => value.map(Cow::into_owned),
                Some(operator) => Some(operator.of(value.as_deref())),
            };
            if let Some(value) = value {
                made.insert(Arc::clone(&field.name), value);
            }
        }
        made
    }
}

impl ProjectOperator {
    fn of(self, value: Option<&Datum>) -> Datum {
        match (self, value) {
            (Self::Size, Some(Datum::List(items))) => number(items.len().try_into().unwrap_or(0)),
            (Self::Sum, value) => {
                let mut sum = Sum::default();
                for element in value.map_or(&[][..], Datum::elements) {
                    if let Datum::Number(number) = element {
                        sum.add(*number, double(1));
                    }
                }
                Datum::Number(sum.total())
            }
            (Self::ArrayToObject, Some(Datum::List(items))) => items
                .iter()
                .map(pair)
                .collect::<Option<Object>>()
                .map_or(Datum::Null, Datum::Object),
            (Self::ObjectToArray, Some(Datum::Object(entries))) => {
                let pair = |(name, value): (&Arc<str>, &Datum)| {
                    let name = Datum::Text(name.to_string());
                    Datum::Object([("k".into(), name), ("v".into(), value.clone())].into())
                };
                Datum::List(entries.iter().map(pair).collect())
            }
            _ => Datum::Null,
        }
    }
}

fn pair(item: &Datum) -> Option<(Arc<str>, Datum)> {
    match item {
        Datum::List(pair) => match pair.as_slice() {
            [Datum::Text(name), value] => Some((name.as_str().into(), value.clone())),
            _ => None,
        },
        Datum::Object(entries) => match (entries.get("k"), entries.get("v"), entries.len()) {
            (Some(Datum::Text(name)), Some(value), 2) => {
                Some((name.as_str().into(), value.clone()))
            }
            _ => None,
        },
        _ => None,
    }
}
