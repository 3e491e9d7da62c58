//! The integration tests: real HTTP, a real SQLite file, a real SoftHSM token.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod support;

mod architecture;
mod canary;
mod crud;
mod crypto;
mod dev;
mod disconnect;
mod hostile;
mod input;
mod isolation;
mod list;
mod swap;
mod tokens;
