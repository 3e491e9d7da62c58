//! Cursors: the place of a row in an order, opaque and bound to the query.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ListQuery, Search};
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

/// Takes a text piece by piece.
struct Hash(digest::Context);

impl fmt::Write for Hash {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.0.update(piece.as_bytes());
        Ok(())
    }
}

impl Fingerprint {
    /// The fingerprint of `query` within `scope`; its window does not count.
    pub fn of(scope: &Scope, query: &ListQuery) -> Self {
        let (domain, owner) = (scope.domain(), scope.owner());
        let Search { equal, filter, keyword } = &query.search;
        let mut hash = Hash(digest::Context::new(&digest::SHA256));
        // What is hashed does not fail to be written.
        let _ = write!(hash, "{domain:?} {owner:?} {equal:?} {filter:?} {keyword:?} ");
        let _ = write!(hash, "{:?}", query.sort());
        let hash = hash.0.finish();
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
        // Anybody can make one, and PostgreSQL takes no NUL.
        let no_nul = |text: &str| !text.contains('\0');
        let fits = cursor.fingerprint == *fingerprint
            && no_nul(&cursor.id)
            && cursor.values.iter().filter_map(Value::as_str).all(no_nul)
            && cursor.values.len() == columns.len()
            && cursor
                .values
                .iter()
                .zip(columns)
                .all(|(value, (key, index))| key.fits(index, value));
        fits.then_some(cursor)
    }
}
