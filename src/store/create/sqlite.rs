//! On SQLite: a statement for each table, whatever the number of secrets.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use ::entity::{audit_event, user_secret, user_secret_version};
use sea_orm::{
    ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryTrait as _,
    sea_query::{OnConflict, Query},
};

use super::{Fate, Newcomer};
use crate::{
    database::failed,
    error::Result,
    ids::DataVersion,
    store::{batch::Lane, change::version_row, kek::is_active, tags::insert_tags},
};

/// Stores `jobs` in one transaction.
pub(super) async fn one_transaction(lane: &Lane, jobs: &[Newcomer]) -> Result<Vec<Fate>> {
    let transaction = lane.database.begin_write().await?;
    let mut keks = HashMap::new();
    for job in jobs {
        let kek = (&job.domain, &job.kek);
        if let Entry::Vacant(unknown) = keks.entry(kek) {
            unknown.insert(is_active(&transaction, &job.domain, &job.kek).await?);
        }
    }
    let is_fresh = |job: &Newcomer| keks.get(&(&job.domain, &job.kek)).is_some_and(|held| *held);
    let mut stored = insert(&transaction, jobs.iter().filter(|job| is_fresh(job))).await?;
    let fates: Vec<Fate> = jobs
        .iter()
        .map(|job| match is_fresh(job) {
            false => Fate::StaleKek,
            // Of two with one id the first is stored.
            true if stored.remove(&key(&job.row)) => Fate::Created,
            true => Fate::Taken,
        })
        .collect();
    let created = jobs.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Created);
    complete(&transaction, &created.map(|(job, _)| job).collect::<Vec<_>>()).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(fates)
}

type Key = (String, String);

fn key(row: &user_secret::Model) -> Key {
    (row.domain_id.clone(), row.user_secret_id.clone())
}

/// Inserts the rows of `jobs` whose ids and idempotency keys are free; returns whose they were.
async fn insert(
    transaction: &impl ConnectionTrait,
    jobs: impl Iterator<Item = &Newcomer>,
) -> Result<HashSet<Key>> {
    let rows: Vec<_> = jobs.map(|job| job.row.clone().into_active_model()).collect();
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let mut insert = user_secret::Entity::insert_many(rows)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .into_query();
    let identity = [user_secret::Column::DomainId, user_secret::Column::UserSecretId];
    insert.returning(Query::returning().columns(identity));
    let stored = transaction.query_all(&insert).await.map_err(failed)?;
    let key = |row: &sea_orm::QueryResult| {
        Ok((row.try_get_by_index(0).map_err(failed)?, row.try_get_by_index(1).map_err(failed)?))
    };
    stored.iter().map(key).collect()
}

/// Inserts what belongs to the rows of `created`: versions, tags and audit events.
async fn complete(transaction: &impl ConnectionTrait, created: &[&Newcomer]) -> Result<()> {
    if created.is_empty() {
        return Ok(());
    }
    let version = |job: &&Newcomer| {
        version_row(&job.domain, &job.id, DataVersion(1), &job.envelope, job.row.created_at)
    };
    user_secret_version::Entity::insert_many(created.iter().map(version))
        .exec_without_returning(transaction)
        .await
        .map_err(failed)?;
    insert_tags(transaction, created.iter().map(|job| &job.row)).await?;
    let events = created.iter().filter_map(|job| job.event.as_ref());
    let events: Vec<_> = events.map(|event| event.row().clone().into_active_model()).collect();
    if !events.is_empty() {
        audit_event::Entity::insert_many(events)
            .exec_without_returning(transaction)
            .await
            .map_err(failed)?;
    }
    Ok(())
}
