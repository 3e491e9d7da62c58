//! A version of the HSM's root key, as the database knows of it. It belongs to no domain.

use sea_orm::entity::prelude::*;

/// A row of `root_keys`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "root_keys")]
pub struct Model {
    /// Counted from 1; the highest wraps new KEKs.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    /// Since when the database has known it, in microseconds.
    pub created_at: i64,
    /// When it was destroyed, in microseconds.
    pub destroyed_at: Option<i64>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
