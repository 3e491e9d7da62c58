//! `google.protobuf.Struct` and JSON.
//!
//! All numbers of a Struct are doubles. A whole one is kept as an integer, as it
//! was meant; beyond 2^53 not every integer has a double, and it comes back as
//! the nearest that has.

use prost_types::{ListValue, Struct, Value as Proto, value::Kind};
use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    statistics::number,
};

/// How deep objects and lists may nest.
pub const MAX_DEPTH: usize = 30;

/// The JSON object that `fields`, the value of `key`, say.
pub(super) fn to_object(key: &str, fields: Struct) -> Result<Value> {
    object(key, fields, 0)
}

/// The JSON that `value`, that of `key`, says.
pub(super) fn from_proto(key: &str, proto: Proto) -> Result<Value> {
    value(key, proto, 0)
}

fn object(key: &str, Struct { fields }: Struct, depth: usize) -> Result<Value> {
    if depth >= MAX_DEPTH {
        return Err(Error::invalid(key, format!("must nest at most {MAX_DEPTH} deep")));
    }
    let fields = fields.into_iter().map(|(name, inner)| Ok((name, value(key, inner, depth + 1)?)));
    Ok(Value::Object(fields.collect::<Result<_>>()?))
}

fn value(key: &str, Proto { kind }: Proto, depth: usize) -> Result<Value> {
    Ok(match kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::NumberValue(value)) => Value::Number(
            number(value).ok_or_else(|| Error::invalid(key, "must hold finite numbers only"))?,
        ),
        Some(Kind::StructValue(fields)) => object(key, fields, depth)?,
        Some(Kind::ListValue(_)) if depth >= MAX_DEPTH => {
            return Err(Error::invalid(key, format!("must nest at most {MAX_DEPTH} deep")));
        }
        Some(Kind::ListValue(ListValue { values })) => {
            let values = values.into_iter().map(|inner| value(key, inner, depth + 1));
            Value::Array(values.collect::<Result<_>>()?)
        }
    })
}

/// The Struct that says `object`.
pub(super) fn to_struct(object: Map<String, Value>) -> Struct {
    let fields = object.into_iter().map(|(name, value)| (name, to_proto(value)));
    Struct { fields: fields.collect() }
}

/// `value` as protobuf has it.
pub fn to_proto(value: Value) -> Proto {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => {
            Kind::ListValue(ListValue { values: values.into_iter().map(to_proto).collect() })
        }
        Value::Object(fields) => Kind::StructValue(to_struct(fields)),
    };
    Proto { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn wire(double: f64) -> Struct {
        let kind = Some(Kind::NumberValue(double));
        Struct { fields: [("n".to_owned(), Proto { kind })].into() }
    }

    #[test]
    fn numbers() {
        let cases = [
            (1.0, "{\"n\":1}"),
            (-3.0, "{\"n\":-3}"),
            (0.0, "{\"n\":0}"),
            (-0.0, "{\"n\":-0.0}"),
            (2.5, "{\"n\":2.5}"),
            (9_007_199_254_740_992.0, "{\"n\":9007199254740992}"),
            (1e300, "{\"n\":1e+300}"),
        ];
        for (double, text) in cases {
            assert_eq!(to_object("data", wire(double)).unwrap().to_string(), text);
        }
        for double in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(to_object("data", wire(double)).is_err());
        }
    }

    #[test]
    fn depth() {
        let nested = |depth| (1..depth).fold(json!({}), |inner, _| json!({ "a": inner }));
        for (depth, fits) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false)] {
            let Value::Object(fields) = nested(depth) else { panic!() };
            let wire = prost::Message::encode_to_vec(&to_struct(fields));
            let read: Struct = prost::Message::decode(wire.as_slice()).unwrap();
            assert_eq!(to_object("data", read).is_ok(), fits, "{depth}");
        }
    }

    proptest! {
        #[test]
        fn every_double_comes_back(double in any::<f64>()) {
            match number(double) {
                Some(number) => prop_assert_eq!(number.as_f64(), Some(double)),
                None => prop_assert!(!double.is_finite()),
            }
        }
    }
}
