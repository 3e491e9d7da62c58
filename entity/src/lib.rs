//! The rows of the database.
//!
//! Every tenant table's key starts with `domain_id`. Times are integers of
//! microseconds, because text of varying width does not sort.

pub mod audit_block;
pub mod audit_event;
pub mod audit_writer;
pub mod domain;
pub mod domain_change;
pub mod issuer;
pub mod kek;
pub mod revoked_token;
pub mod rewrap;
pub mod root_key;
pub mod user_secret;
pub mod user_secret_tag;
pub mod user_secret_version;
