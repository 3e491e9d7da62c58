//! Something that happened, for the audit trail. Appended, never changed.

use sea_orm::entity::prelude::*;

/// A row of `audit_events`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    /// The tenant; `-` where there is none.
    #[sea_orm(primary_key, auto_increment = false)]
    pub domain_id: String,
    /// A UUID of version 7, 16 bytes: it rises with time.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: Vec<u8>,
    /// In microseconds.
    pub at: i64,
    /// The replica that wrote it.
    pub writer: String,
    /// Who called.
    pub user_id: Option<String>,
    /// In which role.
    pub role: String,
    /// With which token.
    pub token_id: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// In which trace.
    pub trace_id: Option<String>,
    /// What was asked.
    pub operation: String,
    /// Of which secret.
    pub target: Option<String>,
    /// What became of it.
    pub outcome: String,
    /// How many like it this row stands for.
    pub count: i64,
    /// SHA-256 over every other column.
    pub digest: Vec<u8>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
