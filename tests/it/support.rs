//! The kit that makes a scenario three lines long.

pub mod app;
pub mod child;
pub mod client;
pub mod database;
pub mod hsm;
pub mod token;

pub use app::TestApp;
pub use child::Child;
pub use client::{Answer, Client, Secret};
pub use database::Sqlite;
pub use token::TestIssuer;
