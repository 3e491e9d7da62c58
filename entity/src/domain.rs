//! A tenant, known from its first key on.

use sea_orm::entity::prelude::*;

/// A row of `domains`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "domains")]
pub struct Model {
    /// The tenant's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub domain_id: String,
    /// When its first key was made, in microseconds.
    pub created_at: i64,
    /// When its keys were destroyed, in microseconds.
    pub shredded_at: Option<i64>,
    /// What is said of that, as JSON.
    pub shred_statement: Option<String>,
    /// The HSM's signature over it: ECDSA-SHA256, in DER.
    pub shred_signature: Option<Vec<u8>>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
