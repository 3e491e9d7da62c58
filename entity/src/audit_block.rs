//! A seal over audit events, signed by the HSM. Appended, never changed.

use sea_orm::entity::prelude::*;

/// A row of `audit_blocks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_blocks")]
pub struct Model {
    /// The replica that sealed.
    #[sea_orm(primary_key, auto_increment = false)]
    pub writer: String,
    /// Counted from 1 for every writer.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    /// In microseconds.
    pub sealed_at: i64,
    /// The digest of the writer's block before; zeros for the first.
    pub previous: Vec<u8>,
    /// The newest blocks of other writers: writer, number and digest of each.
    pub links: Vec<u8>,
    /// The events in order: id, domain tag and digest of each.
    pub entries: Vec<u8>,
    /// SHA-256 over all of the above and the key's id.
    pub digest: Vec<u8>,
    /// Which key of the HSM signed.
    pub key_id: String,
    /// ECDSA over the same, DER.
    pub signature: Vec<u8>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
