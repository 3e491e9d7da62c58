//! Request parameters that a token sets: the original's `injected_params`.

use std::sync::Arc;

use serde_json::{Map, Value};

/// What a token says in the request's place, whatever the request says. What is empty is not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The secret that is meant.
    pub user_secret_id: Option<Arc<str>>,
    /// Its name; of a list, the only one.
    pub name: Option<Arc<str>>,
    /// Its schema; of a list, the only one.
    pub schema_id: Option<Arc<str>>,
    /// Of a list, the only provider.
    pub provider: Option<Arc<str>>,
}

/// What requests have besides: a token that would set it is not let through, as it may be meant to narrow what is allowed.
const UNSERVED: [&str; 3] = ["data", "tags", "query"];

impl Parameters {
    /// The parameters in `injected`; nothing, when one of them cannot be set.
    pub(super) fn read(injected: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| match injected.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(Value::String(text)) => {
                Some(Some(text.as_str().into()).filter(|_| !text.is_empty()))
            }
            Some(_) => None,
        };
        if UNSERVED.iter().any(|name| injected.contains_key(*name)) {
            return None;
        }
        Some(Self {
            user_secret_id: text("user_secret_id")?,
            name: text("name")?,
            schema_id: text("schema_id")?,
            provider: text("provider")?,
        })
    }
}
