//! The metadata of a domain, a line for each secret.

use std::{io::Write, sync::Arc};

use serde::Serialize;
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    ids::DomainId,
    service::{Caller, UserSecret, UserSecretService},
};

/// A line: the keys of an import but for the data, and what else is known.
#[derive(Serialize)]
struct Line<'s> {
    user_secret_id: &'s str,
    name: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_id: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'s str>,
    tags: &'s Map<String, Value>,
    user_id: &'s str,
    domain_id: &'s str,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    version: i32,
    revision: i32,
}

impl<'s> Line<'s> {
    fn of(secret: &'s UserSecret) -> Result<Self> {
        Ok(Self {
            user_secret_id: secret.id.as_str(),
            name: &secret.name,
            schema_id: secret.schema_id.as_deref(),
            provider: secret.provider.as_deref(),
            tags: &secret.tags,
            user_id: secret.user_id.as_str(),
            domain_id: secret.domain_id.as_str(),
            created_at: moment(secret.created_at)?,
            updated_at: moment(secret.updated_at)?,
            expires_at: secret.expires_at.map(moment).transpose()?,
            version: secret.version.0,
            revision: secret.revision,
        })
    }
}

fn moment(moment: Timestamp) -> Result<String> {
    OffsetDateTime::from(moment).format(&Rfc3339).map_err(Error::internal)
}

/// Writes a line for each secret of `domain` to `out`, in the order of their ids; returns how many.
pub async fn export(
    service: &UserSecretService,
    run: &Arc<str>,
    domain: DomainId,
    out: &mut impl Write,
) -> Result<u64> {
    let caller = Caller::operator(domain, Arc::clone(run));
    let mut count = 0;
    service
        .export(&caller, |secret| {
            let line = serde_json::to_string(&Line::of(&secret)?).map_err(Error::internal)?;
            writeln!(out, "{line}").map_err(Error::internal)?;
            count += 1;
            Ok(())
        })
        .await?;
    Ok(count)
}
