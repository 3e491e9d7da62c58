//! The moving of a domain's DEKs to its active KEK: how far it is, and who does it.

use sea_orm::entity::prelude::*;

/// A row of `rewraps`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rewraps")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub domain_id: String,
    /// The KEK that the DEKs move to.
    pub to_version: i32,
    /// How many there were to be moved; none before they were counted.
    pub total: Option<i64>,
    /// How many were moved.
    pub done: i64,
    /// How many do not open, and stay.
    pub failed: i64,
    /// When it was asked for, in microseconds.
    pub started_at: i64,
    /// When it was done, in microseconds.
    pub finished_at: Option<i64>,
    /// Who is at it.
    pub holder: Option<String>,
    /// Until when nobody else is, by the database's clock, in microseconds.
    pub held_until: i64,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
