//! A version of a domain's key-encryption key, wrapped under the HSM's root key.

use sea_orm::entity::prelude::*;

/// A row of `keks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "keks")]
pub struct Model {
    /// Whose key it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub domain_id: String,
    /// Counted from 1; the one that is not retired is active.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    /// `CKM_AES_KEY_WRAP` under the root: 40 bytes; none when it is destroyed.
    pub blob: Vec<u8>,
    /// The tag that binds it to domain and version: 60 bytes; none when it is destroyed.
    pub binding: Vec<u8>,
    /// When it was made, in microseconds.
    pub created_at: i64,
    /// The version of the root that wraps it.
    pub root_version: i32,
    /// How many wraps replicas have taken from its budget.
    pub wraps: i64,
    /// When another version took its place, in microseconds.
    pub retired_at: Option<i64>,
    /// When it was destroyed, in microseconds.
    pub destroyed_at: Option<i64>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
