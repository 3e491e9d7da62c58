//! How much tags may hold that can be searched for.

use ::entity::user_secret_tag::{MAX_BYTES, MAX_VALUES, parts, values};
use serde_json::Value;

use crate::error::{Error, Result};

/// Refuses tags in which there is more than can be searched for.
pub fn check_tags(tags: &Value) -> Result<()> {
    let found = values(tags);
    if found.len() > MAX_VALUES {
        let rule = format!("must lead to at most {MAX_VALUES} values, counted along every path");
        return Err(Error::invalid("tags", rule));
    }
    let bytes = found.iter().map(|found| {
        let (_, text, _) = parts(found.value);
        found.path.len() + text.map_or(0, |text| text.len())
    });
    if bytes.sum::<usize>() > MAX_BYTES {
        let rule =
            format!("must have at most {MAX_BYTES} bytes of paths and the texts they lead to");
        return Err(Error::invalid("tags", rule));
    }
    Ok(())
}
