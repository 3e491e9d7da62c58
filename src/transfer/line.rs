//! A line of an import, and its rules.

use serde::Deserialize;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    ids::{DomainId, UserId},
    service::CreateInput,
};

/// The keys of a line. Values are looked at one by one: what a parser says of them would repeat them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    user_secret_id: Option<Value>,
    name: Option<Value>,
    data: Option<Value>,
    schema_id: Option<Value>,
    provider: Option<Value>,
    tags: Option<Value>,
    user_id: Option<Value>,
    domain_id: Option<Value>,
    created_at: Option<Value>,
    encrypted: Option<Value>,
    encrypt_options: Option<Value>,
}

/// What a line brings.
pub(super) struct Entry {
    pub(super) domain: DomainId,
    pub(super) owner: UserId,
    pub(super) id: Option<String>,
    pub(super) secret: CreateInput,
    pub(super) provider: Option<String>,
    pub(super) created_at: Option<Timestamp>,
}

impl Entry {
    /// Reads a line. The error names the key at fault and the rule, and nothing of the line.
    pub(super) fn read(line: &[u8]) -> Result<Self> {
        let keys: Keys = serde_json::from_slice(line).map_err(|error| {
            Error::malformed(if error.is_data() {
                "must be a JSON object with none but the known keys, each once"
            } else {
                "must be one JSON object"
            })
        })?;
        if !matches!(keys.encrypted, None | Some(Value::Bool(false))) {
            return Err(Error::invalid("encrypted", "must be false: data comes in clear"));
        }
        let empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
        if !keys.encrypt_options.as_ref().is_none_or(empty) {
            return Err(Error::invalid("encryptOptions", "must be an empty object"));
        }
        let domain = required("domainId", keys.domain_id)?;
        let owner = required("userId", keys.user_id)?;
        Ok(Self {
            domain: DomainId::parse(&domain).ok_or_else(|| {
                Error::invalid("domainId", "must match [A-Za-z0-9][A-Za-z0-9._-]{0,39}")
            })?,
            owner: UserId::parse(&owner).ok_or_else(|| {
                let rule = "must have 1 to 255 characters, none of them a control character";
                Error::invalid("userId", rule)
            })?,
            id: text("userSecretId", keys.user_secret_id)?,
            secret: CreateInput {
                name: required("name", keys.name)?,
                data: keys.data.ok_or_else(|| Error::missing("data", ""))?,
                schema_id: text("schemaId", keys.schema_id)?,
                tags: keys.tags,
                expires_at: None,
                idempotency_key: None,
            },
            provider: text("provider", keys.provider)?,
            created_at: text("createdAt", keys.created_at)?.as_deref().map(moment).transpose()?,
        })
    }
}

fn required(argument: &str, value: Option<Value>) -> Result<String> {
    text(argument, value)?.ok_or_else(|| Error::missing(argument, ""))
}

fn text(argument: &str, value: Option<Value>) -> Result<Option<String>> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::invalid(argument, "must be a text")),
    }
}

fn moment(text: &str) -> Result<Timestamp> {
    let rule = "must be a moment as RFC 3339 writes it";
    let moment = OffsetDateTime::parse(text, &Rfc3339);
    moment.map(Into::into).map_err(|_| Error::invalid("createdAt", rule))
}
