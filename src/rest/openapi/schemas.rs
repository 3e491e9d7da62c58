//! The schemas of messages, as their descriptors say.

use prost_reflect::{FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In: null is absent, and a field that is not known is refused.
    In,
    /// Out.
    Out,
}

type Object = Map<String, Value>;

/// Adds to `schemas` what `message` is, and what the messages in it are.
pub(super) fn add(schemas: &mut Object, message: &MessageDescriptor, way: Way) {
    if is_structure(message) || schemas.contains_key(message.name()) {
        return;
    }
    schemas.insert(message.name().to_owned(), object(message, way).into());
    for field in message.fields() {
        if let Kind::Message(inner) = field.kind() {
            add(schemas, &inner, way);
        }
    }
}

/// The schema called `name`.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The comment above what is at `path` in a file of `proto/`.
pub(super) fn comment(file: &FileDescriptor, path: &[i32]) -> Option<String> {
    let info = file.file_descriptor_proto().source_code_info.iter();
    let mut places = info.flat_map(|info| &info.location);
    let text = places.find(|place| place.path == path)?.leading_comments.as_deref()?;
    let words: Vec<_> = text.split_whitespace().collect();
    Some(words.join(" "))
}

fn object(message: &MessageDescriptor, way: Way) -> Object {
    let file = message.parent_file();
    let properties = message.fields().map(|field| {
        let mut schema = property(&field, way);
        described(&mut schema, comment(&file, field.path()));
        (field.name().to_owned(), schema.into())
    });
    let properties: Object = properties.collect();
    let mut schema = Object::from_iter([("type".to_owned(), "object".into())]);
    described(&mut schema, comment(&file, message.path()));
    if way == Way::In {
        schema.insert("additionalProperties".to_owned(), false.into());
        let groups: Vec<_> = message.oneofs().collect();
        match groups.as_slice() {
            [] => {}
            // It is a choice, of which null is none.
            [choice] if choice.fields().len() == properties.len() => {
                let given = json!({ "not": { "type": "null" } });
                let one = choice.fields().map(|field| {
                    let name = field.name();
                    json!({ "required": [name], "properties": { name: given } })
                });
                schema.insert("oneOf".to_owned(), one.collect());
            }
            // Names and their short forms, of which one is used.
            pairs => {
                let both = pairs.iter().map(|pair| {
                    let names: Vec<_> =
                        pair.fields().map(|field| field.name().to_owned()).collect();
                    json!({ "required": names })
                });
                let both: Vec<_> = both.collect();
                schema.insert("not".to_owned(), json!({ "anyOf": both }));
            }
        }
    }
    schema.insert("properties".to_owned(), properties.into());
    schema
}

fn described(schema: &mut Object, text: Option<String>) {
    if let Some(text) = text {
        schema.insert("description".to_owned(), text.into());
    }
}

fn property(field: &FieldDescriptor, way: Way) -> Object {
    let one = one(&field.kind(), way);
    let schema = if field.is_list() { json!({ "type": "array", "items": one }) } else { one };
    let schema = if way == Way::In { nullable(schema) } else { schema };
    match schema {
        Value::Object(schema) => schema,
        _ => Object::new(),
    }
}

/// What a field of `kind` holds, or an element of it if it is a list.
fn one(kind: &Kind, way: Way) -> Value {
    match kind {
        Kind::String => json!({ "type": "string" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Uint32 => integer(way, 0, u32::MAX.into(), "^[0-9]{1,9}$"),
        Kind::Int32 => integer(way, i32::MIN.into(), i32::MAX.into(), "^-?[0-9]{1,9}$"),
        Kind::Message(inner) if is_structure(inner) => match inner.name() {
            "Struct" => json!({ "type": "object" }),
            "ListValue" => json!({ "type": "array" }),
            _ => json!({}),
        },
        Kind::Message(inner) => reference(inner.name()),
        // No message has a field of another kind.
        _ => json!(false),
    }
}

/// A request may write an integer as a text.
fn integer(way: Way, least: i64, most: i64, digits: &str) -> Value {
    match way {
        Way::In => json!({
            "type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": digits,
        }),
        Way::Out => json!({ "type": "integer", "minimum": least, "maximum": most }),
    }
}

fn nullable(schema: Value) -> Value {
    if schema.get("$ref").is_some() {
        return json!({ "anyOf": [schema, { "type": "null" }] });
    }
    let Value::Object(mut schema) = schema else { return schema };
    match schema.get_mut("type") {
        Some(Value::Array(types)) => types.push("null".into()),
        Some(single) => *single = json!([single, "null"]),
        // Anything, null included.
        None => {}
    }
    schema.into()
}

/// Whether it is one of protobuf's own, which JSON has no need of a name for.
fn is_structure(message: &MessageDescriptor) -> bool {
    message.parent_file().package_name() == "google.protobuf"
}
