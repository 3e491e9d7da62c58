//! The sealed data of one secret, and the audit event of its reading.
//!
//! The event is committed with the read and before the data leaves: one commit
//! serves all that were read together.

use ::entity::{kek, user_secret, user_secret_version};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, FromQueryResult, IntoActiveModel as _,
    JoinType, QueryFilter as _, QuerySelect as _, RelationTrait as _,
    sea_query::{Expr, ExprTrait as _},
    sqlx::{self, Row as _, postgres::PgRow},
};

use super::{
    Store,
    batch::{Lane, Work},
    damaged,
    find::{Found, place},
    user_secret::select_in,
};
use crate::{
    audit::{EventArrays, Stamped, Trail},
    auth::Scope,
    clock::Timestamp,
    crypto::{Envelope, Kek},
    database::{Engine, failed, failed_raw, is_shut},
    error::{Error, Result},
    ids::{DataVersion, KekVersion, RootVersion, UserId, UserSecretId},
};

/// A version of a secret's data, with all that is needed to open it.
pub struct Sealed {
    /// The owner.
    pub user_id: UserId,
    /// The version.
    pub version: DataVersion,
    /// When the data ceases to be revealed.
    pub expires_at: Option<Timestamp>,
    /// The sealed data.
    pub envelope: Envelope,
    /// The KEK that it is sealed under.
    pub kek: Kek,
}

/// What the database holds of it.
#[derive(FromQueryResult)]
pub(super) struct SealedRow {
    user_id: String,
    expires_at: Option<i64>,
    version: i32,
    kek_version: i32,
    dek: Vec<u8>,
    document: Vec<u8>,
    blob: Vec<u8>,
    binding: Vec<u8>,
    root_version: i32,
}

impl Store {
    /// The data of secret `id`, sealed: of `version`, or the current one.
    ///
    /// One statement reads the secret, its data and its KEK, so that they belong
    /// together. It is for a reveal: that it was granted, or that nothing was
    /// found, is in the audit trail when this returns.
    pub async fn find_sealed(
        &self,
        scope: &Scope,
        id: &UserSecretId,
        version: Option<DataVersion>,
    ) -> Result<Sealed> {
        let event = self.trail.stamp(scope.event(), "granted");
        let missing = event.as_ref().map(|event| event.with_outcome("not_found"));
        self.sealed(scope, id, version, event.zip(missing)).await
    }

    /// The same, to compare it with what its owner sends again; nothing is revealed.
    pub async fn find_sealed_to_compare(
        &self,
        scope: &Scope,
        id: &UserSecretId,
        version: DataVersion,
    ) -> Result<Sealed> {
        self.sealed(scope, id, Some(version), None).await
    }

    async fn sealed(
        &self,
        scope: &Scope,
        id: &UserSecretId,
        version: Option<DataVersion>,
        event: Option<(Stamped, Stamped)>,
    ) -> Result<Sealed> {
        let job = Wanted { scope: scope.clone(), id: id.clone(), version, event };
        // A damaged row is its own request's affair, not that of those who shared the statement.
        self.reveals.ask(job).await?.open()?.try_into()
    }
}

/// Reads the sealed data of many secrets, and writes their events in the same commit.
pub(super) struct Reveal {
    pub(super) trail: Trail,
}

/// A version of a secret's data that somebody asks for.
pub(super) struct Wanted {
    scope: Scope,
    id: UserSecretId,
    version: Option<DataVersion>,
    /// What is written when there is such a version, and when there is none.
    event: Option<(Stamped, Stamped)>,
}

impl Work for Reveal {
    type Job = Wanted;
    type Answer = Found<SealedRow>;

    async fn run(&self, lane: &mut Lane, jobs: &[Wanted]) -> Result<Vec<Found<SealedRow>>> {
        let rows = match lane.database.engine() {
            Engine::Sqlite { .. } => one_transaction(lane, jobs).await,
            Engine::Postgres(_) => one_statement(lane, jobs).await,
        };
        // Without an answer the events may be there or not.
        let rows = rows.inspect_err(|_| self.trail.doubt())?;
        self.trail
            .committed(jobs.iter().zip(&rows).filter_map(|(job, row)| row.of(job.event.as_ref()?)));
        Ok(rows)
    }
}

async fn one_statement(lane: &mut Lane, jobs: &[Wanted]) -> Result<Vec<Found<SealedRow>>> {
    let domains: Vec<&str> = jobs.iter().map(|job| job.scope.domain().as_str()).collect();
    let owners: Vec<Option<&str>> =
        jobs.iter().map(|job| job.scope.owner().map(UserId::as_str)).collect();
    let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    let versions: Vec<Option<i32>> =
        jobs.iter().map(|job| job.version.map(|version| version.0)).collect();
    let events: EventArrays =
        jobs.iter().map(|job| job.event.as_ref().map(|(granted, _)| granted)).collect();
    let missing: Vec<Option<&[u8]>> = jobs
        .iter()
        .map(|job| job.event.as_ref().map(|(_, missing)| missing.row().digest.as_slice()))
        .collect();
    let call = sqlx::query(
        "SELECT * FROM usersecret_reveal($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(domains)
    .bind(owners)
    .bind(ids)
    .bind(versions);
    let found = lane.rows(events.bind(call).bind(missing)).await?;
    let mut rows: Vec<Found<SealedRow>> = jobs.iter().map(|_| Found::Nothing).collect();
    for row in found {
        let row_of =
            rows.get_mut(place(&row)?).ok_or_else(|| Error::internal("a row for nobody"))?;
        *row_of = match row.try_get("shut").map_err(failed_raw)? {
            true => Found::Shut,
            false => Found::Row(SealedRow::read(&row).map_err(failed_raw)?),
        };
    }
    Ok(rows)
}

async fn one_transaction(lane: &Lane, jobs: &[Wanted]) -> Result<Vec<Found<SealedRow>>> {
    let mut rows = Vec::with_capacity(jobs.len());
    if jobs.iter().all(|job| job.event.is_none()) {
        for job in jobs {
            rows.push(select(lane.database.reader(), job).await?);
        }
        return Ok(rows);
    }
    let transaction = lane.database.begin_write().await?;
    let mut events = Vec::new();
    for job in jobs {
        let row = select(&transaction, job).await?;
        if let Some(event) = job.event.as_ref().and_then(|events| row.of(events)) {
            events.push(event.row().clone().into_active_model());
        }
        rows.push(row);
    }
    if !events.is_empty() {
        ::entity::audit_event::Entity::insert_many(events)
            .exec_without_returning(&transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(rows)
}

async fn select(connection: &impl ConnectionTrait, job: &Wanted) -> Result<Found<SealedRow>> {
    let current = Expr::col((user_secret::Entity, user_secret::Column::Version));
    let wanted = job.version.map_or(current, |version| Expr::value(version.0));
    let stored = Expr::col((user_secret_version::Entity, user_secret_version::Column::Version));
    if is_shut(connection, job.scope.domain()).await? {
        return Ok(Found::Shut);
    }
    let row = select_in(&job.scope)
        .filter(user_secret::Column::UserSecretId.eq(job.id.as_str()))
        .filter(stored.eq(wanted))
        .join_rev(JoinType::InnerJoin, user_secret_version::Relation::UserSecret.def())
        .join(JoinType::InnerJoin, user_secret_version::Relation::Kek.def())
        .select_only()
        .columns([user_secret::Column::UserId, user_secret::Column::ExpiresAt])
        .columns([
            user_secret_version::Column::Version,
            user_secret_version::Column::KekVersion,
            user_secret_version::Column::Dek,
            user_secret_version::Column::Document,
        ])
        .columns([kek::Column::Blob, kek::Column::Binding, kek::Column::RootVersion])
        .into_model::<SealedRow>()
        .one(connection)
        .await
        .map_err(failed)?;
    Ok(row.map_or(Found::Nothing, Found::Row))
}

impl<T> Found<T> {
    /// Which of the two events it is: that it was found, or that it was not. A refusal is recorded as such.
    const fn of<'e>(&self, (granted, missing): &'e (Stamped, Stamped)) -> Option<&'e Stamped> {
        match self {
            Self::Row(_) => Some(granted),
            Self::Nothing => Some(missing),
            Self::Shut => None,
        }
    }
}

impl SealedRow {
    fn read(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            user_id: row.try_get("user_id")?,
            expires_at: row.try_get("expires_at")?,
            version: row.try_get("version")?,
            kek_version: row.try_get("kek_version")?,
            dek: row.try_get("dek")?,
            document: row.try_get("document")?,
            blob: row.try_get("blob")?,
            binding: row.try_get("binding")?,
            root_version: row.try_get("root_version")?,
        })
    }
}

impl TryFrom<SealedRow> for Sealed {
    type Error = Error;

    fn try_from(row: SealedRow) -> Result<Self> {
        Ok(Self {
            user_id: UserId::parse(&row.user_id).ok_or_else(|| damaged("user id"))?,
            version: DataVersion(row.version),
            expires_at: row.expires_at.map(Timestamp::from_micros),
            envelope: Envelope::parse(row.kek_version, &row.dek, row.document)?,
            kek: Kek {
                version: KekVersion(row.kek_version),
                root: RootVersion(row.root_version),
                blob: row.blob,
                binding: row.binding,
            },
        })
    }
}
