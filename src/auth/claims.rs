//! What a token says, read as its issuer writes it.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// The claims of a token: an object in which no name stands twice, at any depth.
///
/// Of a name that stands twice one reader takes the first and another the last.
pub(super) struct Claims(Map<String, Value>);

/// What a claim says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'c> {
    /// The claim is not there.
    Nothing,
    /// A text.
    Text(&'c str),
    /// Null, a number, a list, …: never acceptable where a text is asked for.
    Nonsense,
}

/// When a token ends, in seconds since the epoch (RFC 7519 §4.1.4).
pub(super) struct Expiry(f64);

/// The clock difference that is forgiven, in seconds.
pub(super) const LEEWAY: u32 = 60;

impl Claims {
    /// The claim called `name`.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The claim called `name`, as a text.
    pub(super) fn text(&self, name: &str) -> Said<'_> {
        Said::of(self.0.get(name))
    }

    /// What the JSON pointer `path` finds (RFC 6901), as a text.
    pub(super) fn at(&self, path: &str) -> Said<'_> {
        let mut steps =
            path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
        let first = steps.next().and_then(|step| self.0.get(&step));
        Said::of(steps.try_fold(first, |value, step| Some(value?.get(&step))).flatten())
    }

    /// Whether the token says that it is good for `seconds` at most, from an `iat` that has come to `exp`.
    pub(super) fn lives_at_most(&self, seconds: u32, now: Timestamp) -> bool {
        let number = |name: &str| self.0.get(name).and_then(Value::as_f64);
        let latest = now.as_micros().div_euclid(1_000_000).saturating_add(LEEWAY.into());
        let latest = u32::try_from(latest).map_or(0.0, f64::from);
        number("exp").zip(number("iat")).is_some_and(|(end, begin)| {
            begin <= latest && end >= begin && end - begin <= f64::from(seconds)
        })
    }

    /// When the token ends; one that does not say so does not end.
    ///
    /// Whether it must say so is checked with its signature.
    pub(super) fn expiry(&self) -> Expiry {
        Expiry(self.0.get("exp").and_then(Value::as_f64).unwrap_or(f64::INFINITY))
    }
}

impl<'c> Said<'c> {
    pub(super) fn of(value: Option<&'c Value>) -> Self {
        match value {
            None => Self::Nothing,
            Some(Value::String(text)) => Self::Text(text),
            Some(_) => Self::Nonsense,
        }
    }
}

impl Expiry {
    /// Whether `now` lies behind it, the leeway included.
    pub(super) fn is_past(&self, now: Timestamp) -> bool {
        let seconds = now.as_micros().div_euclid(1_000_000).saturating_sub(LEEWAY.into());
        u32::try_from(seconds).map_or(true, |seconds| f64::from(seconds) >= self.0)
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Unique::deserialize(deserializer)? {
            Unique(Value::Object(claims)) => Ok(Self(claims)),
            Unique(_) => Err(D::Error::custom("claims must be an object")),
        }
    }
}

/// A JSON value whose objects name nothing twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON without repeated names")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Unique(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
        let mut map = Map::new();
        while let Some((name, Unique(value))) = entries.next_entry::<String, Unique>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Unique(map.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_stand_twice_are_refused_at_any_depth() {
        let read = |text: &str| serde_json::from_str::<Claims>(text).is_ok();
        assert!(read(r#"{"a": {"b": 1}, "b": [{"b": 1}, {"b": 1}]}"#));
        assert!(!read(r#"{"a": 1, "a": 1}"#));
        assert!(!read(r#"{"a": [{"b": 1, "b": 2}]}"#));
        assert!(!read("[]"));
    }

    #[test]
    fn pointers() {
        let text = r#"{"a": {"b/c": "x", "n": null}, "l": ["y"], "": "e"}"#;
        let claims: Claims = serde_json::from_str(text).unwrap();
        let cases = [
            ("/a/b~1c", Said::Text("x")),
            ("/a/n", Said::Nonsense),
            ("/a", Said::Nonsense),
            ("/a/x", Said::Nothing),
            ("/x/y", Said::Nothing),
            ("/", Said::Text("e")),
        ];
        for (path, said) in cases {
            assert_eq!(claims.at(path), said, "{path}");
        }
    }
}
