//! The rules of input, the same for every face.

use aws_lc_rs::digest;
use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    crypto::Plaintext,
    error::{Error, Result},
    ids::{DataVersion, DomainId},
    store::{Change, Position},
};

use super::tags::{check_depth, tags};

/// Limits on what a secret may hold.
#[derive(Debug, Clone, Copy)]
pub struct DataLimits {
    /// Bytes of the data as JSON.
    pub data_bytes: usize,
    /// Bytes of the tags as JSON.
    pub tags_bytes: usize,
    /// Versions that are kept.
    pub data_versions: u32,
}

/// A creation as it was asked for.
pub struct CreateInput {
    /// The name.
    pub name: String,
    /// The data, a JSON object.
    pub data: Value,
    /// The kind of credential.
    pub schema_id: Option<String>,
    /// The tags, a JSON object.
    pub tags: Option<Value>,
    /// When the data ceases to be revealed.
    pub expires_at: Option<Timestamp>,
    /// The caller's name for this creation.
    pub idempotency_key: Option<String>,
}

/// A change of metadata as it was asked for.
pub struct UpdateInput {
    /// A new name.
    pub name: Option<String>,
    /// New tags, in place of all.
    pub tags: Option<Value>,
    /// A new expiry, or none any more.
    pub expires_at: Option<Option<Timestamp>>,
    /// The revision that the caller read.
    pub expected_revision: Option<i32>,
}

/// A replacement of the data as it was asked for.
pub struct UpdateDataInput {
    /// The data, a JSON object.
    pub data: Value,
    /// A new kind of credential.
    pub schema_id: Option<String>,
    /// The version that the caller read.
    pub expected_version: Option<i32>,
}

/// A deletion as it was asked for.
pub struct DeleteInput<'r> {
    /// The secret.
    pub id: Result<&'r str>,
    /// Its owner, if named.
    pub owner: Option<String>,
    /// Its domain, if named.
    pub domain: Option<DomainId>,
}

pub(super) struct New {
    pub(super) name: String,
    pub(super) data: Plaintext,
    pub(super) schema_id: Option<String>,
    pub(super) tags: Map<String, Value>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) idempotency: Option<(String, Vec<u8>)>,
    pub(super) provider: Option<String>,
    pub(super) created_at: Option<Timestamp>,
    pub(super) position: Option<Position>,
}

pub(super) struct NewData {
    pub(super) data: Plaintext,
    pub(super) schema_id: Option<String>,
    pub(super) expected: Option<DataVersion>,
}

impl CreateInput {
    pub(super) fn check(self, limits: &DataLimits, now: Timestamp) -> Result<New> {
        let name = name(&self.name)?;
        let data = data(self.data, limits)?;
        let schema_id = schema_id(self.schema_id)?;
        let tags = tags(self.tags.unwrap_or_else(|| Value::Object(Map::new())), limits)?;
        let expires_at = self.expires_at.map(|moment| future(moment, now)).transpose()?;
        let idempotency = self.idempotency_key.map(idempotency_key).transpose()?.map(|key| {
            let asked =
                serde_json::json!([name, schema_id, tags, expires_at.map(Timestamp::as_micros)]);
            let digest = digest::digest(&digest::SHA256, asked.to_string().as_bytes());
            (key, digest.as_ref().to_vec())
        });
        Ok(New {
            name,
            data,
            schema_id,
            tags,
            expires_at,
            idempotency,
            // Only an import brings these.
            provider: None,
            created_at: None,
            position: None,
        })
    }
}

impl UpdateInput {
    pub(super) fn check(self, limits: &DataLimits, now: Timestamp) -> Result<Change> {
        Ok(Change {
            name: self.name.map(|text| name(&text)).transpose()?,
            tags: self.tags.map(|value| tags(value, limits)).transpose()?,
            expires_at: self
                .expires_at
                .map(|moment| moment.map(|moment| future(moment, now)).transpose())
                .transpose()?,
            expected_revision: self.expected_revision,
        })
    }
}

impl UpdateDataInput {
    pub(super) fn check(self, limits: &DataLimits) -> Result<NewData> {
        Ok(NewData {
            data: data(self.data, limits)?,
            schema_id: schema_id(self.schema_id)?,
            expected: self.expected_version.map(DataVersion),
        })
    }
}

fn name(text: &str) -> Result<String> {
    bounded("name", text, 255)
}

pub(super) fn bounded(argument: &str, text: &str, most: usize) -> Result<String> {
    let trimmed = text.trim();
    let length = trimmed.chars().count();
    // PostgreSQL's text cannot hold NUL; both engines store the same.
    if length == 0 || length > most || trimmed.contains('\0') {
        let rule = format!("must have 1 to {most} characters after trimming, none of them NUL");
        return Err(Error::invalid(argument, rule));
    }
    Ok(trimmed.to_owned())
}

fn schema_id(text: Option<String>) -> Result<Option<String>> {
    let given = text.filter(|text| !text.trim().is_empty());
    given.map(|text| bounded("schemaId", &text, 40)).transpose()
}

fn idempotency_key(text: String) -> Result<String> {
    bounded("idempotencyKey", &text, 255)
}

/// The end of the year 9999, UTC: what RFC 3339 can write.
pub(super) const LATEST: Timestamp = Timestamp::from_micros(253_402_300_799_999_999);

fn future(moment: Timestamp, now: Timestamp) -> Result<Timestamp> {
    if moment > now && moment <= LATEST {
        Ok(moment)
    } else {
        Err(Error::invalid("expiresAt", "must lie in the future, before the year 10000"))
    }
}

fn data(value: Value, limits: &DataLimits) -> Result<Plaintext> {
    check_depth("data", &value)?;
    match value {
        Value::Object(data) if !data.is_empty() => Plaintext::from_json(&data, limits.data_bytes),
        _ => Err(Error::invalid("data", "must be a JSON object with at least one key")),
    }
}
