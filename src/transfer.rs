//! Secrets in files, one JSON object a line: in with their data, out without.
//!
//! A face like the others, for the operator's commands: it reads lines, calls the service, and says what became of each.

mod export;
mod import;
mod line;
mod lines;

pub use export::export;
pub use import::{Fate, Import, Tally, Told};
