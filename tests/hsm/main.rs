//! The engine outlives its HSM: the program under load, and a module that fails as it is told.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test stops where it fails, and its kit starts what the service is given"
)]

/// What lies between service and HSM has nothing to do with the database.
const POSTGRES_ONLY: bool = false;

#[expect(dead_code, reason = "the kit serves another binary too")]
#[path = "../gateway/support.rs"]
mod support;

mod absence;
mod codes;
mod conformance;
mod doctor;
mod engine;
mod fairness;
mod issuer;
mod keys;
mod load;
mod recovery;
mod service;
mod table;
mod vendor;
