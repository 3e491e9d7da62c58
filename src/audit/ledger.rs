//! The tables of the trail: appended to, and read to seal.

use std::collections::{HashMap, HashSet};

use ::entity::{audit_block, audit_event, audit_writer};
use futures_util::{FutureExt as _, TryFutureExt as _};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement, sqlx,
};

use super::{Block, Entry, EventArrays, Link, Stamped};
use crate::{
    database::{Database, Engine, failed, failed_raw, is_unique_violation, within},
    error::{Error, Result},
};

/// The trail's tables. A statement that hangs is given up: who seals must get to all else that there is to do.
#[derive(Clone)]
pub(super) struct Ledger(pub(super) Database);

impl Ledger {
    /// Enters `writer`, who lives from now on.
    pub(super) async fn enter(&self, writer: &str, now: i64) -> Result<()> {
        let row = audit_writer::ActiveModel {
            writer: Set(writer.to_owned()),
            started_at: Set(now),
            seen_at: Set(now),
            ended_at: Set(None),
        };
        let insert = audit_writer::Entity::insert(row);
        self.0.patiently(insert.exec_without_returning(self.0.writer())).await.map(|_| ())
    }

    /// `writer` lives, or takes its leave when `now` is 0. Whoever took it for dead was wrong.
    pub(super) async fn beat(&self, writer: &str, now: i64) -> Result<()> {
        let row = audit_writer::ActiveModel {
            writer: Set(writer.to_owned()),
            seen_at: Set(now),
            ended_at: Set(None),
            ..Default::default()
        };
        self.0.patiently(row.update(self.0.writer())).await.map(|_| ())
    }

    /// What `writer` left is sealed.
    pub(super) async fn end(&self, writer: &str, now: i64) -> Result<()> {
        let row = audit_writer::ActiveModel {
            writer: Set(writer.to_owned()),
            ended_at: Set(Some(now)),
            ..Default::default()
        };
        self.0.patiently(row.update(self.0.writer())).await.map(|_| ())
    }

    /// Writers whose last events somebody must seal: not seen since `deadline`, and not ended.
    #[expect(clippy::disallowed_methods, reason = "a table of replicas, without a domain")]
    pub(super) async fn dead(&self, deadline: i64) -> Result<Vec<audit_writer::Model>> {
        let dead = audit_writer::Entity::find()
            .filter(audit_writer::Column::EndedAt.is_null())
            .filter(audit_writer::Column::SeenAt.lt(deadline))
            .all(self.0.reader());
        self.0.patiently(dead).await
    }

    /// Writes events that belong to no other row.
    pub(super) async fn record(&self, events: &[Stamped]) -> Result<()> {
        match self.0.engine() {
            Engine::Sqlite { write, .. } => {
                let rows = events.iter().map(|event| event.0.clone().into_active_model());
                let insert = audit_event::Entity::insert_many(rows);
                self.0.patiently(insert.exec_without_returning(write)).await.map(|_| ())
            }
            Engine::Postgres(pool) => {
                let domains: Vec<&str> =
                    events.iter().map(|event| event.0.domain_id.as_str()).collect();
                let arrays: EventArrays = events.iter().map(Some).collect();
                let call = sqlx::query(
                    "SELECT usersecret_record($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
                )
                .bind(domains);
                let call = arrays.bind(call).execute(pool.get_postgres_connection_pool());
                within(self.0.patience(), call.map_err(failed_raw)).await.map(|_| ())
            }
        }
    }

    /// Appends a signed block. A second time is as good as the first.
    pub(super) async fn append(&self, block: audit_block::Model) -> Result<()> {
        let insert = audit_block::Entity::insert(block.into_active_model());
        let stored = insert.exec_without_returning(self.0.writer()).map(|outcome| match outcome {
            Err(error) if is_unique_violation(&error) => Ok(()),
            outcome => outcome.map(|_| ()),
        });
        self.0.patiently(stored).await
    }

    /// The newest blocks that others than `writer` sealed since `since`.
    #[expect(clippy::disallowed_methods, reason = "blocks have no domain")]
    pub(super) async fn heads(&self, writer: &str, since: i64) -> Result<Vec<Link>> {
        let rows = audit_block::Entity::find()
            .select_only()
            .columns([
                audit_block::Column::Writer,
                audit_block::Column::Number,
                audit_block::Column::Digest,
            ])
            .filter(audit_block::Column::SealedAt.gte(since))
            .filter(audit_block::Column::Writer.ne(writer))
            .order_by_asc(audit_block::Column::Number)
            .into_tuple()
            .all(self.0.reader());
        links(self.0.patiently(rows).await?)
    }

    /// The newest block of `writer`.
    #[expect(clippy::disallowed_methods, reason = "blocks have no domain")]
    pub(super) async fn head(&self, writer: &str) -> Result<Option<Link>> {
        let row = audit_block::Entity::find()
            .select_only()
            .columns([
                audit_block::Column::Writer,
                audit_block::Column::Number,
                audit_block::Column::Digest,
            ])
            .filter(audit_block::Column::Writer.eq(writer))
            .order_by_desc(audit_block::Column::Number)
            .into_tuple()
            .one(self.0.reader());
        Ok(links(self.0.patiently(row).await?)?.pop())
    }

    /// The events that `writer` wrote since `since` and that no block holds.
    pub(super) async fn leftovers(&self, writer: &str, since: i64) -> Result<Vec<Entry>> {
        let written = match self.0.engine() {
            Engine::Sqlite { read, .. } => {
                let text = "SELECT event_id, domain_id, digest FROM audit_events
                    WHERE at >= $2 AND writer = $1 ORDER BY event_id";
                self.entries(read, text, writer, since).await?
            }
            Engine::Postgres(pool) => {
                let text = "SELECT event_id, domain_id, digest FROM usersecret_unsealed($1, $2)";
                self.entries(pool, text, writer, since).await?
            }
        };
        if written.is_empty() {
            return Ok(written);
        }
        let sealed = self.sealed_since(since).await?;
        Ok(written.into_iter().filter(|entry| !sealed.contains(&entry.id)).collect())
    }

    async fn entries(
        &self,
        connection: &impl ConnectionTrait,
        text: &str,
        writer: &str,
        since: i64,
    ) -> Result<Vec<Entry>> {
        let backend = connection.get_database_backend();
        let values = [writer.into(), since.into()];
        let question = Statement::from_sql_and_values(backend, text, values);
        let rows = self.0.patiently(connection.query_all_raw(question)).await?;
        rows.iter()
            .map(|row| {
                let id: Vec<u8> = row.try_get("", "event_id").map_err(failed)?;
                let domain: String = row.try_get("", "domain_id").map_err(failed)?;
                let digest: Vec<u8> = row.try_get("", "digest").map_err(failed)?;
                Entry::new(&id, &domain, &digest).ok_or_else(|| Error::internal("a damaged event"))
            })
            .collect()
    }

    #[expect(clippy::disallowed_methods, reason = "blocks have no domain")]
    async fn sealed_since(&self, since: i64) -> Result<HashSet<[u8; 16]>> {
        let blocks = audit_block::Entity::find()
            .filter(audit_block::Column::SealedAt.gte(since))
            .all(self.0.reader());
        let blocks = self.0.patiently(blocks).await?;
        let blocks = blocks.iter().filter_map(Block::from_row);
        Ok(blocks.flat_map(|block| block.entries).map(|entry| entry.id).collect())
    }
}

/// The newest of each writer, of rows with rising numbers.
fn links(rows: impl IntoIterator<Item = (String, i64, Vec<u8>)>) -> Result<Vec<Link>> {
    let mut newest = HashMap::new();
    for (writer, number, digest) in rows {
        let digest = digest
            .try_into()
            .map_err(|_| Error::internal("a block's digest has a wrong length"))?;
        newest.insert(writer.clone(), Link { writer, number, digest });
    }
    let mut links: Vec<Link> = newest.into_values().collect();
    links.sort_by(|a, b| a.writer.cmp(&b.writer));
    Ok(links)
}
