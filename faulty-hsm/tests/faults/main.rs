//! The module through cryptoki, on a real SoftHSM: each fault does what it says, and ends.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test stops where it fails, and says what it measured"
)]

mod answers;
mod control;
mod cost;
mod keys;
mod life;
mod support;
mod time;
