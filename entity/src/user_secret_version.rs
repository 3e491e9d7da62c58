//! A version of a secret's data, sealed.

use sea_orm::entity::prelude::*;

/// A row of `user_secret_versions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_secret_versions")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub domain_id: String,
    /// The secret.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_secret_id: String,
    /// Counted from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    /// The KEK that wraps the DEK.
    pub kek_version: i32,
    /// The wrapped DEK: 60 bytes.
    pub dek: Vec<u8>,
    /// The sealed document.
    pub document: Vec<u8>,
    /// In microseconds.
    pub created_at: i64,
}

/// What a version hangs on.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The KEK that wraps its DEK.
    #[sea_orm(
        belongs_to = "super::kek::Entity",
        from = "(Column::DomainId, Column::KekVersion)",
        to = "(super::kek::Column::DomainId, super::kek::Column::Version)"
    )]
    Kek,
    /// The secret that it is a version of.
    #[sea_orm(
        belongs_to = "super::user_secret::Entity",
        from = "(Column::DomainId, Column::UserSecretId)",
        to = "(super::user_secret::Column::DomainId, super::user_secret::Column::UserSecretId)"
    )]
    UserSecret,
}

impl ActiveModelBehavior for ActiveModel {}
