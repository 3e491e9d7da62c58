//! Storing a new secret.

mod sqlite;

use ::entity::{user_secret, user_secret_tag};
use sea_orm::{
    ColumnTrait as _, QueryFilter as _,
    sqlx::{self, Row as _},
};
use serde_json::{Map, Value};

use super::{
    Position, Store, UserSecret,
    batch::{Lane, Work},
    change::search_text,
    find::place,
    user_secret::select_in,
};
use crate::{
    audit::{EventArrays, Stamped, Trail},
    auth::Scope,
    clock::Timestamp,
    crypto::{Envelope, Kek},
    database::{Engine, failed, failed_raw},
    error::{Error, Result},
    ids::{DomainId, UserId, UserSecretId},
};

/// A secret to be created.
#[derive(Clone)]
pub struct NewRow {
    /// Its id.
    pub id: UserSecretId,
    /// Its owner.
    pub user_id: UserId,
    /// Its name.
    pub name: String,
    /// The kind of credential.
    pub schema_id: Option<String>,
    /// The provider of the schema.
    pub provider: Option<String>,
    /// Its tags.
    pub tags: Map<String, Value>,
    /// When its data ceases to be revealed.
    pub expires_at: Option<Timestamp>,
    /// The caller's name for this creation, and the digest of what it asked for.
    pub idempotency: Option<(String, Vec<u8>)>,
    /// When it was created; now, unless it comes from elsewhere.
    pub created_at: Option<Timestamp>,
    /// Its place in the order of insertion; the next one, unless it was taken before.
    pub position: Option<Position>,
    /// Version 1 of its data.
    pub envelope: Envelope,
    /// The KEK that it is sealed under.
    pub kek: Kek,
}

/// What came of a creation.
pub enum Inserted {
    /// It is stored.
    Created(Box<UserSecret>),
    /// The id or the idempotency key is taken.
    Taken,
    /// The KEK is not the one that is stored.
    StaleKek,
}

impl Store {
    /// Stores a new secret.
    pub async fn insert(&self, scope: &Scope, new: NewRow) -> Result<Inserted> {
        let created_at = new.created_at.unwrap_or_else(|| self.now()).as_micros();
        let Position(position) = new.position.unwrap_or_else(|| self.next_position());
        let (key, digest) = new.idempotency.unzip();
        let row = user_secret::Model {
            domain_id: scope.domain().to_string(),
            user_secret_id: new.id.to_string(),
            user_id: new.user_id.to_string(),
            search_text: search_text(
                &new.id,
                &new.name,
                new.schema_id.as_deref(),
                new.provider.as_deref(),
            ),
            name: new.name,
            schema_id: new.schema_id,
            provider: new.provider,
            tags: Value::Object(new.tags),
            version: 1,
            revision: 1,
            expires_at: new.expires_at.map(Timestamp::as_micros),
            created_at,
            updated_at: created_at,
            position,
            idempotency_key: key,
            idempotency_digest: digest,
        };
        let event = self.trail.stamp(&scope.event().on(&new.id), "ok");
        let kek = new.kek.clone();
        let job = Newcomer {
            domain: scope.domain().clone(),
            id: new.id,
            row: row.clone(),
            envelope: new.envelope,
            kek: new.kek,
            event,
        };
        match self.creates.ask(job).await? {
            Fate::Created => Ok(Inserted::Created(Box::new(row.try_into()?))),
            Fate::Taken => Ok(Inserted::Taken),
            Fate::StaleKek => {
                self.forget_kek(scope.domain(), &kek);
                Ok(Inserted::StaleKek)
            }
        }
    }

    /// Whether `id` is the secret that was given `position`: no two are.
    pub async fn is_at(
        &self,
        scope: &Scope,
        id: &UserSecretId,
        position: Position,
    ) -> Result<bool> {
        let snapshot = self.database.begin_read(scope.domain()).await?;
        let row = select_in(scope)
            .filter(user_secret::Column::UserSecretId.eq(id.as_str()))
            .filter(user_secret::Column::Position.eq(position.0));
        Ok(row.one(&snapshot).await.map_err(failed)?.is_some())
    }

    /// The secret that the caller created under `key` before, with the digest of what was asked.
    pub async fn find_by_idempotency_key(
        &self,
        scope: &Scope,
        key: &str,
    ) -> Result<Option<(UserSecret, Vec<u8>)>> {
        let snapshot = self.database.begin_read(scope.domain()).await?;
        let row = select_in(scope)
            .filter(user_secret::Column::IdempotencyKey.eq(key))
            .one(&snapshot)
            .await
            .map_err(failed)?;
        row.map(|mut row| {
            let digest = row.idempotency_digest.take().unwrap_or_default();
            UserSecret::try_from(row).map(|secret| (secret, digest))
        })
        .transpose()
    }
}

/// Stores many new secrets in one commit.
pub(super) struct Create {
    pub(super) trail: Trail,
}

/// A secret that somebody creates.
pub(super) struct Newcomer {
    domain: DomainId,
    id: UserSecretId,
    row: user_secret::Model,
    envelope: Envelope,
    kek: Kek,
    event: Option<Stamped>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Created,
    Taken,
    StaleKek,
}

impl Work for Create {
    /// Imports have hundreds at hand, and each shares the commit.
    const MOST: usize = 256;

    type Job = Newcomer;
    type Answer = Fate;

    async fn run(&self, lane: &mut Lane, jobs: &[Newcomer]) -> Result<Vec<Fate>> {
        let fates = match lane.database.engine() {
            Engine::Sqlite { .. } => sqlite::one_transaction(lane, jobs).await,
            Engine::Postgres(_) => one_statement(lane, jobs).await,
        };
        // Without an answer the events may be there or not.
        let fates = fates.inspect_err(|_| self.trail.doubt())?;
        let created = jobs.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Created);
        self.trail.committed(created.filter_map(|(job, _)| job.event.as_ref()));
        Ok(fates)
    }
}

async fn one_statement(lane: &mut Lane, jobs: &[Newcomer]) -> Result<Vec<Fate>> {
    fn column<'j, T>(jobs: &'j [Newcomer], of: impl Fn(&'j Newcomer) -> T) -> Vec<T> {
        jobs.iter().map(of).collect()
    }
    let events: EventArrays = jobs.iter().map(|job| job.event.as_ref()).collect();
    let call = sqlx::query(
        "SELECT c.place, c.outcome, CASE WHEN c.outcome = 'created' AND ($18::text[])[c.place] IS NOT NULL
            THEN usersecret_tag(($1::text[])[c.place], ($2::text[])[c.place], ($18::text[])[c.place]::jsonb) END
        FROM usersecret_create($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
            $17, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32) c",
    )
    .bind(column(jobs, |job| job.domain.as_str()))
    .bind(column(jobs, |job| job.id.as_str()))
    .bind(column(jobs, |job| job.row.user_id.as_str()))
    .bind(column(jobs, |job| job.row.name.as_str()))
    .bind(column(jobs, |job| job.row.schema_id.as_deref()))
    .bind(column(jobs, |job| job.row.tags.to_string()))
    .bind(column(jobs, |job| job.row.search_text.as_str()))
    .bind(column(jobs, |job| job.row.expires_at))
    .bind(column(jobs, |job| job.row.created_at))
    .bind(column(jobs, |job| job.row.position))
    .bind(column(jobs, |job| job.row.idempotency_key.as_deref()))
    .bind(column(jobs, |job| job.row.idempotency_digest.as_deref()))
    .bind(column(jobs, |job| job.kek.version.0))
    .bind(column(jobs, |job| job.kek.blob.as_slice()))
    .bind(column(jobs, |job| job.kek.binding.as_slice()))
    .bind(column(jobs, |job| &job.envelope.dek()[..]))
    .bind(column(jobs, |job| job.envelope.document()))
    .bind(column(jobs, |job| tags_as_json(&job.row)));
    let providers = column(jobs, |job| job.row.provider.as_deref());
    let rows = lane.rows(events.bind(call).bind(providers)).await?;
    let mut fates: Vec<Option<Fate>> = jobs.iter().map(|_| None).collect();
    for row in rows {
        let fate =
            fates.get_mut(place(&row)?).ok_or_else(|| Error::internal("a row for nobody"))?;
        *fate = match row.try_get("outcome").map_err(failed_raw)? {
            "created" => Some(Fate::Created),
            "taken" => Some(Fate::Taken),
            "kek" => Some(Fate::StaleKek),
            _ => None,
        };
    }
    let fates: Option<Vec<Fate>> = fates.into_iter().collect();
    fates.ok_or_else(|| Error::internal("a creation without an outcome"))
}

/// The rows of the tags; nothing when there are none.
fn tags_as_json(row: &user_secret::Model) -> Option<String> {
    let rows = user_secret_tag::rows(row);
    (!rows.is_empty()).then(|| serde_json::to_string(&rows).unwrap_or_default())
}
