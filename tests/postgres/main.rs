//! What only PostgreSQL has: roles, a fence, shared statements, and a server that goes away.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops where it fails, and its kit starts what the service is given"
)]

/// Whatever `TEST_DATABASE` says.
const POSTGRES_ONLY: bool = true;

#[expect(dead_code, reason = "the kit serves another binary too")]
#[path = "../gateway/support.rs"]
mod support;

mod batch;
mod cancel;
mod dev;
mod fence;
mod grants;
mod import;
mod lists;
mod locks;
mod outage;
mod plans;
mod roles;
mod sql;
