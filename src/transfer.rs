//! Secrets in files, one JSON object a line: in with their data, out without.
//!
//! A face like the others, for the operator's commands: it reads lines, calls the service, and says what became of each.

mod export;
mod import;
mod line;
mod lines;

use std::sync::Arc;

pub use export::export;
pub use import::{Fate, Import, Tally, Told};

use crate::{
    error::{Error, Result},
    ids::hex,
};

/// A name for one run of a command: the trace id of all that it does.
pub fn new_run() -> Result<Arc<str>> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::internal("no random bytes"))?;
    Ok(Arc::from(hex(bytes)))
}
