//! The database schema and its history, the same on every engine.
//!
//! On PostgreSQL the tenant tables also carry row-level security, and the hot
//! statements are functions there. Who may use them is not history: [`ACCESS`]
//! is applied anew after every migration.

use sea_orm_migration::prelude::*;
pub use sea_orm_migration::{MigratorTrait, SchemaManager};

mod m0001_user_secrets;
mod m0002_audit;
mod m0003_fence;
mod m0004_issuers;
mod m0005_tags;
mod m0006_lookup;
mod m0007_pages;
mod m0008_providers;
mod m0009_key_life;
mod m0010_key_guards;

/// Every migration, oldest first.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_user_secrets::Migration),
            Box::new(m0002_audit::Migration),
            Box::new(m0003_fence::Migration),
            Box::new(m0004_issuers::Migration),
            Box::new(m0005_tags::Migration),
            Box::new(m0006_lookup::Migration),
            Box::new(m0007_pages::Migration),
            Box::new(m0008_providers::Migration),
            Box::new(m0009_key_life::Migration),
            Box::new(m0010_key_guards::Migration),
        ]
    }
}

/// What the service's role may do, on PostgreSQL.
///
/// The owner runs it in a transaction in which `usersecret.service` names the
/// service's role and `usersecret.password` is the password of a new one.
pub const ACCESS: &str = include_str!("postgres/access.sql");

/// The owner's and the service's role, on PostgreSQL.
///
/// An administrator runs it in a transaction in which `usersecret.owner` and
/// `usersecret.service` name them, and `…_password` are their passwords.
pub const ROLES: &str = include_str!("postgres/roles.sql");
