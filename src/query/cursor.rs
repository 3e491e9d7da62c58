//! Cursors: the place of a row in an order, opaque and bound to the query.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ListQuery;
use crate::auth::Scope;

/// The place of a row: its values of the sort keys, and the tie-breaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// The query that the place belongs to.
    #[serde(rename = "q")]
    fingerprint: Fingerprint,
    /// A value per column of the sort keys.
    #[serde(rename = "v")]
    pub values: Vec<Value>,
    /// The position in the order of insertion.
    #[serde(rename = "p")]
    pub position: i64,
    /// The row's id.
    #[serde(rename = "i")]
    pub id: String,
}

/// What tells one query, of one caller, from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of `query` within `scope`; its window does not count.
    pub fn of(scope: &Scope, query: &ListQuery) -> Self {
        let (domain, owner) = (scope.domain(), scope.owner());
        let text = format!(
            "{domain:?} {owner:?} {:?} {:?} {:?} {:?}",
            query.search.equal,
            query.search.filter,
            query.search.keyword,
            query.sort()
        );
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        Self(URL_SAFE_NO_PAD.encode(hash.as_ref().first_chunk::<9>().unwrap_or(&[0; 9])))
    }
}

impl Cursor {
    /// The place of the row with these values.
    pub const fn new(
        fingerprint: Fingerprint,
        values: Vec<Value>,
        position: i64,
        id: String,
    ) -> Self {
        Self { fingerprint, values, position, id }
    }

    /// The opaque text of the cursor.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads `text` if it is a cursor of this very query.
    pub fn decode(text: &str, fingerprint: &Fingerprint, query: &ListQuery) -> Option<Self> {
        let cursor: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let keys = query.sort().iter();
        let columns: Vec<_> =
            keys.flat_map(|key| (0..key.terms().len()).map(move |index| (key, index))).collect();
        let fits = cursor.fingerprint == *fingerprint
            && cursor.values.len() == columns.len()
            && cursor
                .values
                .iter()
                .zip(columns)
                .all(|(value, (key, index))| key.fits(index, value));
        fits.then_some(cursor)
    }
}
