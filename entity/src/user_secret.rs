//! The metadata of a user secret.

use sea_orm::entity::prelude::*;

/// A row of `user_secrets`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "user_secrets")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub domain_id: String,
    /// Unique in the domain.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_secret_id: String,
    /// The owner.
    pub user_id: String,
    /// What the owner calls it.
    pub name: String,
    /// The kind of credential, as free text.
    pub schema_id: Option<String>,
    /// The provider of the schema.
    pub provider: Option<String>,
    /// A JSON object.
    pub tags: Json,
    /// What a keyword is looked for in: id, name, schema and provider in lower case, a line each.
    pub search_text: String,
    /// The current version of the data, counted from 1.
    pub version: i32,
    /// Rises with every change.
    pub revision: i32,
    /// When the data ceases to be revealed, in microseconds.
    pub expires_at: Option<i64>,
    /// In microseconds.
    pub created_at: i64,
    /// In microseconds.
    pub updated_at: i64,
    /// The order of insertion: microseconds, made unique within a replica.
    pub position: i64,
    /// The caller's name for the creation, unique per owner.
    pub idempotency_key: Option<String>,
    /// SHA-256 of the metadata that the creation asked for.
    pub idempotency_digest: Option<Vec<u8>>,
}

/// No relation is followed from here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
