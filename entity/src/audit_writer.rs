//! A replica that writes audit events, from its start to the sealing of the last of them.

use sea_orm::entity::prelude::*;

/// A row of `audit_writers`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_writers")]
pub struct Model {
    /// 16 hexadecimal digits, drawn at every start.
    #[sea_orm(primary_key, auto_increment = false)]
    pub writer: String,
    /// In microseconds.
    pub started_at: i64,
    /// When it was last known to live; 0 when it took its leave. In microseconds.
    pub seen_at: i64,
    /// When a successor had sealed what it left. In microseconds.
    pub ended_at: Option<i64>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
