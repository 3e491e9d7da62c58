//! The service through its public face: real SoftHSM, real SQLite, real HTTP.

mod support;

mod architecture;
mod canary;
mod crud;
mod disconnect;
mod hostile;
mod isolation;
mod list;
mod swap;
mod tokens;
