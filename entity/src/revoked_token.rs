//! A token that is refused although its issuer vouches for it.

use sea_orm::entity::prelude::*;

/// A row of `revoked_tokens`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "revoked_tokens")]
pub struct Model {
    /// The tenant that the token names.
    #[sea_orm(primary_key, auto_increment = false)]
    pub domain_id: String,
    /// The `jti` claim.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_id: String,
    /// Whether it holds for systems too, because a system revoked it.
    pub binds_systems: bool,
    /// From when on the token is refused for its age anyway, in microseconds.
    pub expires_at: Option<i64>,
    /// In microseconds.
    pub created_at: i64,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
