//! The secret data itself.

use std::io;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The JSON text of a secret's data. It does not print, clone or serialize, and is wiped when dropped.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Serializes `data`, unless that takes more than `limit` bytes.
    ///
    /// The length is counted first: a buffer that grows would leave copies behind.
    pub fn from_json(data: &Map<String, Value>, limit: usize) -> Result<Self> {
        let mut counter = Counter(0);
        serde_json::to_writer(&mut counter, data).map_err(Error::internal)?;
        if counter.0 > limit {
            let rule = format!("limits.data_bytes: must take {limit} bytes or less as JSON");
            return Err(Error::invalid("data", rule));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(counter.0));
        serde_json::to_writer(&mut *text, data).map_err(Error::internal)?;
        Ok(Self(text))
    }

    pub(super) const fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Parses the data for an answer to a caller who may see it.
    pub fn to_json(&self) -> Result<Map<String, Value>> {
        serde_json::from_slice(&self.0).map_err(|_| Error::internal("a document is not JSON"))
    }

    /// Whether both are the same text, in time that depends on their lengths only.
    pub fn is(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Counts what is written to it.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
