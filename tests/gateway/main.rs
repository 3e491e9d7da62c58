//! The service through its public face: real SoftHSM, a real database, real HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops where it fails, and its kit starts what the service is given"
)]

/// `TEST_DATABASE` chooses.
const POSTGRES_ONLY: bool = false;

mod statistics;
mod support;

mod architecture;
mod audit;
mod birth;
mod bounds;
mod canary;
mod crud;
mod disconnect;
mod faces;
mod filter;
mod hostile;
mod internal;
mod isolation;
mod issuers;
mod keys;
mod list;
mod pipeline;
mod race;
mod recovery;
mod reference;
mod registered;
mod swap;
mod tls;
mod tokens;
mod transfer;
