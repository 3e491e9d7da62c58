//! What the methods answer, on both wires.

use prost::Message as _;
use prost_types::Struct;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, macros::format_description};

use super::{
    list::Shown,
    messages::{UserSecretDataInfo, UserSecretInfo, UserSecretsInfo},
    structure::{struct_to_json, to_struct},
};
use crate::{
    clock::Timestamp,
    service::{Page, UserSecret},
};

/// A reply.
pub enum Reply {
    /// The metadata of one.
    Secret(UserSecretInfo),
    /// The metadata of many.
    Secrets(UserSecretsInfo),
    /// The data of one.
    Data(UserSecretDataInfo),
    /// That it is done.
    Nothing,
}

impl Reply {
    pub(super) fn data(data: Struct) -> Self {
        let encrypt_options = Some(Struct::default());
        Self::Data(UserSecretDataInfo { encrypted: false, encrypt_options, data: Some(data) })
    }

    /// The bytes of the message.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Secret(message) => message.encode_to_vec(),
            Self::Secrets(message) => message.encode_to_vec(),
            Self::Data(message) => message.encode_to_vec(),
            Self::Nothing => Vec::new(),
        }
    }

    /// The message as JSON; what has its default value is left out.
    pub fn into_json(self) -> Value {
        match self {
            Self::Secret(message) => json_of(message),
            Self::Secrets(UserSecretsInfo { results, total_count }) => {
                let mut json = Map::new();
                if !results.is_empty() {
                    json.insert("results".to_owned(), results.into_iter().map(json_of).collect());
                }
                if total_count != 0 {
                    json.insert("total_count".to_owned(), total_count.into());
                }
                json.into()
            }
            // The data of a secret has no way out over REST.
            Self::Data(_) | Self::Nothing => json!({}),
        }
    }
}

fn json_of(message: UserSecretInfo) -> Value {
    let tags = message.tags.map(struct_to_json);
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
    Value::Object(texts.chain(tags.map(|tags| ("tags".to_owned(), tags))).collect())
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
        created_at: milliseconds(secret.created_at),
    }
}

pub(super) fn infos(page: Page, shown: Shown) -> UserSecretsInfo {
    let rows = page.places.into_iter().map(|place| match shown {
        Shown::Whole | Shown::Count => info(place.secret),
        Shown::Minimal => UserSecretInfo {
            user_secret_id: place.secret.id.to_string(),
            name: place.secret.name,
            schema_id: place.secret.schema_id.unwrap_or_default(),
            provider: place.secret.provider.unwrap_or_default(),
            ..UserSecretInfo::default()
        },
    });
    UserSecretsInfo {
        results: rows.collect(),
        total_count: i32::try_from(page.total.unwrap_or_default()).unwrap_or(i32::MAX),
    }
}

/// `moment` as the original writes it: always three digits, cut and not rounded.
fn milliseconds(moment: Timestamp) -> String {
    const FORM: &[time::format_description::BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from(moment).format(FORM).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let cases = [
            (1_707_955_199_999_999, "2024-02-14T23:59:59.999Z"),
            (0, "1970-01-01T00:00:00.000Z"),
            (1_704_441_600_120_000, "2024-01-05T08:00:00.120Z"),
        ];
        for (micros, text) in cases {
            assert_eq!(milliseconds(Timestamp::from_micros(micros)), text);
        }
    }
}
