//! What the methods answer, on both wires.

use prost::Message as _;
use prost_types::Struct;
use serde_json::{Map, Value, json};

use super::{
    messages::{UserSecretDataInfo, UserSecretInfo, UserSecretsInfo},
    shown::Shown,
    structure::{to_object, to_struct},
};
use crate::{
    error::Result,
    service::{Page, UserSecret},
    statistics::{Datum, Outcome},
};

/// A reply.
pub enum Reply {
    /// The metadata of one.
    Secret(UserSecretInfo),
    /// The metadata of many.
    Secrets(UserSecretsInfo),
    /// The data of one.
    Data(UserSecretDataInfo),
    /// What can be said of many.
    Statistics(Struct),
    /// That it is done.
    Nothing,
}

impl Reply {
    pub(super) fn data(data: Struct) -> Self {
        let encrypt_options = Some(Struct::default());
        Self::Data(UserSecretDataInfo { encrypted: false, encrypt_options, data: Some(data) })
    }

    pub(super) fn statistics(outcome: Outcome) -> Self {
        let results = outcome.results.into_iter().map(Datum::into_json).collect();
        let mut fields = Map::from_iter([("results".to_owned(), Value::Array(results))]);
        if let Some(total) = outcome.total {
            fields.insert("total_count".to_owned(), total.into());
        }
        Self::Statistics(to_struct(fields))
    }

    /// The bytes of the message.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Secret(message) => message.encode_to_vec(),
            Self::Secrets(message) => message.encode_to_vec(),
            Self::Data(message) => message.encode_to_vec(),
            Self::Statistics(message) => message.encode_to_vec(),
            Self::Nothing => Vec::new(),
        }
    }

    /// The message as JSON; what has its default value is left out.
    pub fn into_json(self) -> Result<Value> {
        Ok(match self {
            Self::Secret(message) => json_of(message)?,
            Self::Secrets(UserSecretsInfo { results, total_count }) => {
                let mut json = Map::new();
                if !results.is_empty() {
                    let results: Result<Vec<_>> = results.into_iter().map(json_of).collect();
                    json.insert("results".to_owned(), results?.into());
                }
                if total_count != 0 {
                    json.insert("total_count".to_owned(), total_count.into());
                }
                json.into()
            }
            Self::Statistics(message) => to_object("results", message)?,
            // The data of a secret has no way out over REST.
            Self::Data(_) | Self::Nothing => json!({}),
        })
    }
}

fn json_of(message: UserSecretInfo) -> Result<Value> {
    let tags = message.tags.map(|tags| to_object("tags", tags)).transpose()?;
    let texts = [
        ("user_secret_id", message.user_secret_id),
        ("name", message.name),
        ("schema_id", message.schema_id),
        ("provider", message.provider),
        ("domain_id", message.domain_id),
        ("user_id", message.user_id),
        ("created_at", message.created_at),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let texts = texts.map(|(key, text)| (key.to_owned(), text.into()));
    Ok(Value::Object(texts.chain(tags.map(|tags| ("tags".to_owned(), tags))).collect()))
}

pub(super) fn info(secret: UserSecret) -> UserSecretInfo {
    UserSecretInfo {
        user_secret_id: secret.id.to_string(),
        name: secret.name,
        schema_id: secret.schema_id.unwrap_or_default(),
        provider: secret.provider.unwrap_or_default(),
        tags: Some(to_struct(secret.tags)),
        domain_id: secret.domain_id.to_string(),
        user_id: secret.user_id.to_string(),
        created_at: secret.created_at.to_iso_milliseconds(),
    }
}

/// The rows of a page; `count_only` leaves their number alone.
pub(super) fn infos(page: Page, shown: &Shown) -> UserSecretsInfo {
    UserSecretsInfo {
        results: page.places.into_iter().map(|place| shown.cut(info(place.secret))).collect(),
        total_count: total(page.total),
    }
}

/// Rows whose list at `path` was taken apart: each shows its element as a list of one.
pub(super) fn unwound(outcome: Outcome, path: &str, shown: &Shown) -> UserSecretsInfo {
    let steps = path.split('.').map(|step| step.replace('~', "~0").replace('/', "~1"));
    let pointer = steps.fold(String::new(), |pointer, step| pointer + "/" + &step);
    let row = |row: Datum| {
        let mut row = row.into_json();
        if let Some(value) = row.pointer_mut(&pointer) {
            *value = Value::Array(vec![value.take()]);
        }
        let text = |name| {
            let text = row.get(name).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        shown.cut(UserSecretInfo {
            user_secret_id: text("user_secret_id"),
            name: text("name"),
            schema_id: text("schema_id"),
            provider: text("provider"),
            tags: row.get("tags").and_then(Value::as_object).cloned().map(to_struct),
            domain_id: text("domain_id"),
            user_id: text("user_id"),
            created_at: text("created_at"),
        })
    };
    let results = outcome.results.into_iter().map(row).collect();
    UserSecretsInfo { results, total_count: total(outcome.total) }
}

fn total(count: Option<u64>) -> i32 {
    i32::try_from(count.unwrap_or_default()).unwrap_or(i32::MAX)
}
