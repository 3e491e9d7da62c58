//! A version of a domain's key-encryption key, wrapped under the HSM's root key.

use sea_orm::entity::prelude::*;

/// A row of `keks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "keks")]
pub struct Model {
    /// Whose key it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub domain_id: String,
    /// Counted from 1; the highest is active.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    /// `CKM_AES_KEY_WRAP` under the root: 40 bytes.
    pub blob: Vec<u8>,
    /// The tag that binds it to domain and version: 60 bytes.
    pub binding: Vec<u8>,
    /// When it was made, in microseconds.
    pub created_at: i64,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
