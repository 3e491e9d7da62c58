//! How much of each row of a list is shown.

use std::collections::BTreeMap;

use prost_types::{ListValue, Struct, Value, value::Kind};

use super::messages::{Query, UserSecretInfo};
use crate::{
    error::{Error, Result},
    query::check_key,
};

/// How much of each row is shown. Tags are always there, if only as an empty object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// All of it.
    Whole,
    /// Id, name, schema and provider.
    Minimal,
    /// These keys.
    Only(Part),
}

/// A value as a whole, or parts of it by their names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Of(BTreeMap<String, Self>),
}

/// The most keys that can be named.
const MAX_KEYS: usize = 50;

/// What the original's rows have besides ours; both are always empty, and left out.
const EMPTY: [&str; 2] = ["encrypted", "encrypt_options"];

impl Shown {
    /// What `query` says. The keys of the order are shown as well; without an order it is the name.
    pub(super) fn of(query: &Query) -> Result<Self> {
        if query.only.len() > MAX_KEYS {
            return Err(Error::invalid("query.only", format!("must have at most {MAX_KEYS} keys")));
        }
        let mut part = Part::Of(BTreeMap::new());
        for (index, key) in query.only.iter().enumerate() {
            let known = EMPTY.contains(&key.as_str()) || key == "tags";
            if !known {
                check_key(key)
                    .map_err(|rule| Error::invalid(&format!("query.only.{index}"), rule))?;
            }
            part.add(key);
        }
        if query.sort.is_empty() && query.unwind.is_none() {
            part.add("name");
        }
        query.sort.iter().for_each(|sort| part.add(&sort.key));
        Ok(match (query.minimal, query.only.is_empty()) {
            (true, _) => Self::Minimal,
            (false, true) => Self::Whole,
            (false, false) => Self::Only(part),
        })
    }

    /// What is shown of `row`.
    pub(super) fn cut(&self, row: UserSecretInfo) -> UserSecretInfo {
        let part = match self {
            Self::Whole => return row,
            Self::Minimal => {
                let UserSecretInfo { user_secret_id, name, schema_id, provider, .. } = row;
                return UserSecretInfo {
                    user_secret_id,
                    name,
                    schema_id,
                    provider,
                    ..UserSecretInfo::default()
                };
            }
            Self::Only(part) => part,
        };
        let text = |name: &str, text| if part.of(name).is_some() { text } else { String::new() };
        let tags = row.tags.unwrap_or_default();
        UserSecretInfo {
            user_secret_id: text("user_secret_id", row.user_secret_id),
            name: text("name", row.name),
            schema_id: text("schema_id", row.schema_id),
            provider: text("provider", row.provider),
            domain_id: text("domain_id", row.domain_id),
            user_id: text("user_id", row.user_id),
            created_at: text("created_at", row.created_at),
            tags: Some(part.of("tags").map_or_else(Struct::default, |part| part.cut(tags))),
        }
    }
}

impl Part {
    /// Adds what `key` leads to; a whole has its parts already.
    fn add(&mut self, key: &str) {
        let mut at = self;
        for step in key.split('.') {
            match at {
                Self::Whole => return,
                Self::Of(parts) => {
                    at = parts.entry(step.to_owned()).or_insert_with(|| Self::Of(BTreeMap::new()));
                }
            }
        }
        *at = Self::Whole;
    }

    fn of(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Whole => Some(self),
            Self::Of(parts) => parts.get(name),
        }
    }

    fn cut(&self, Struct { fields }: Struct) -> Struct {
        let cut = |(name, value): (String, Value)| {
            let value = self.of(&name)?.cut_value(value)?;
            Some((name, value))
        };
        Struct { fields: fields.into_iter().filter_map(cut).collect() }
    }

    /// A number names an element of a list; other names go through it into the objects in it.
    fn cut_value(&self, value: Value) -> Option<Value> {
        if *self == Self::Whole {
            return Some(value);
        }
        let kind = match value.kind? {
            Kind::StructValue(entries) => Kind::StructValue(self.cut(entries)),
            Kind::ListValue(ListValue { values }) => {
                let cut = |(index, value): (usize, Value)| match self.of(&index.to_string()) {
                    Some(part) => part.cut_value(value),
                    None => match &value.kind {
                        Some(Kind::StructValue(_)) => self.cut_value(value),
                        _ => None,
                    },
                };
                let values = values.into_iter().enumerate().filter_map(cut).collect();
                Kind::ListValue(ListValue { values })
            }
            _ => return None,
        };
        Some(Value { kind: Some(kind) })
    }
}
