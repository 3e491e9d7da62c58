//! The messages of `proto/`, as `build.rs` compiles them, and their descriptors.

#![expect(missing_docs, reason = "the messages are described in proto/")]

include!(concat!(env!("OUT_DIR"), "/messages.rs"));

pub use spaceone::api::{
    core::{v1::VersionInfo, v2::*},
    user_secret::v1::*,
};

/// The compiled files, as reflection shows them.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
