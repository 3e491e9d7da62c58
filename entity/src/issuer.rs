//! An issuer that a domain registered for its own users.

use sea_orm::entity::prelude::*;

/// A row of `issuers`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "issuers")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub domain_id: String,
    /// The `iss` claim; one in the whole installation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub iss: String,
    /// Everything else, as JSON.
    pub settings: String,
    /// When it was first registered, in microseconds.
    pub created_at: i64,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
