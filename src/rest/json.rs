//! Messages read from JSON, after the rules of protobuf's own mapping.
//!
//! A field goes by its name or by that in camel case, null is absent, and an
//! integer may be written as 1.0 or "1". What does not fit is told by the path
//! of the field; nothing that was sent is repeated, since an unknown name may
//! be a credential that was put a level too high.

use std::sync::LazyLock;

use axum::body::Bytes;
use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value as Field,
};
use prost_types::value::Kind as Structure;
use serde_json::Value;

use crate::{
    api::{DESCRIPTORS, Incoming, MAX_DEPTH, depth, number, to_proto},
    error::{Error, Result},
    json::Unique,
};

/// The messages, by name; nothing, when the descriptors are damaged.
pub(super) static POOL: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).ok());

/// A JSON body.
pub(super) struct Json(Value);

pub(super) fn open(body: Bytes) -> Result<Json> {
    let Unique(read) = serde_json::from_slice(&body).map_err(|_| {
        Error::malformed("The body must be a JSON object in which no name stands twice.")
    })?;
    Ok(Json(read))
}

impl Incoming for Json {
    fn read<M: Message + Name + Default>(self) -> Result<M> {
        let pool = POOL.as_ref().ok_or_else(|| Error::internal("the descriptors are damaged"))?;
        let descriptor = pool.get_message_by_name(&M::full_name());
        let descriptor =
            descriptor.ok_or_else(|| Error::internal("a message has no descriptor"))?;
        message(&descriptor, self.0, "")?.transcode_to().map_err(Error::internal)
    }
}

fn message(descriptor: &MessageDescriptor, value: Value, path: &str) -> Result<DynamicMessage> {
    let mut message = DynamicMessage::new(descriptor.clone());
    if descriptor.parent_file().package_name() == "google.protobuf" {
        let outcome = match (structure(descriptor.name(), value, path)?, descriptor.name()) {
            (Some(Structure::StructValue(fields)), "Struct") => message.transcode_from(&fields),
            (Some(Structure::ListValue(values)), "ListValue") => message.transcode_from(&values),
            (kind, _) => message.transcode_from(&prost_types::Value { kind }),
        };
        return outcome.map(|()| message).map_err(Error::internal);
    }
    let Value::Object(entries) = value else { return Err(Error::mistyped(name(path), "object")) };
    for (key, value) in entries {
        let field = descriptor.get_field_by_name(&key);
        let field = field.or_else(|| descriptor.get_field_by_json_name(&key));
        let field =
            field.ok_or_else(|| Error::invalid(name(path), "must have known fields only"))?;
        let path = if path.is_empty() {
            field.name().to_owned()
        } else {
            format!("{path}.{}", field.name())
        };
        if value.is_null() && !is_value(&field) {
            continue;
        }
        let alike = field.containing_oneof();
        let mut taken = alike.iter().flat_map(|oneof| oneof.fields());
        if message.has_field(&field) || taken.any(|other| message.has_field(&other)) {
            return Err(Error::invalid(&path, "must be given once, under one of its names"));
        }
        let value = if field.is_list() {
            let Value::Array(items) = value else { return Err(Error::mistyped(&path, "list")) };
            let items = items.into_iter().enumerate();
            let items = items.map(|(index, item)| one(&field, item, &format!("{path}.{index}")));
            Field::List(items.collect::<Result<_>>()?)
        } else {
            one(&field, value, &path)?
        };
        message.set_field(&field, value);
    }
    Ok(message)
}

fn one(field: &FieldDescriptor, value: Value, path: &str) -> Result<Field> {
    match (field.kind(), value) {
        (Kind::Message(descriptor), value) => message(&descriptor, value, path).map(Field::Message),
        (Kind::String, Value::String(text)) => Ok(Field::String(text)),
        (Kind::String, _) => Err(Error::mistyped(path, "string")),
        (Kind::Bool, Value::Bool(value)) => Ok(Field::Bool(value)),
        (Kind::Bool, _) => Err(Error::mistyped(path, "boolean")),
        (Kind::Uint32, value) => {
            let whole = integer(&value).and_then(|whole| u32::try_from(whole).ok());
            whole.map(Field::U32).ok_or_else(|| Error::mistyped(path, "integer, not negative"))
        }
        (Kind::Int32, value) => {
            let whole = integer(&value).and_then(|whole| i32::try_from(whole).ok());
            whole.map(Field::I32).ok_or_else(|| Error::mistyped(path, "integer"))
        }
        // No message has a field of another kind.
        _ => Err(Error::internal("a field of a kind that is not read")),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(written) => written.as_i64().or_else(|| number(written.as_f64()?)?.as_i64()),
        Value::String(text) => text.parse().ok().filter(|_| !text.starts_with('+')),
        _ => None,
    }
}

/// JSON for which protobuf has messages of its own.
fn structure(expected: &str, value: Value, path: &str) -> Result<Option<Structure>> {
    match (expected, &value) {
        ("Struct", Value::Object(_)) | ("ListValue", Value::Array(_)) | ("Value", _) => {}
        ("Struct", _) => return Err(Error::mistyped(path, "object")),
        ("ListValue", _) => return Err(Error::mistyped(path, "list")),
        _ => return Err(Error::internal("a message of a type that is not read")),
    }
    if depth(&value) > MAX_DEPTH {
        return Err(Error::invalid(path, format!("must nest at most {MAX_DEPTH} deep")));
    }
    Ok(to_proto(value).kind)
}

fn is_value(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(inner) if inner.full_name() == "google.protobuf.Value")
}

/// What the whole is called in an error.
const fn name(path: &str) -> &str {
    if path.is_empty() { "body" } else { path }
}
