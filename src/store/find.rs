//! The metadata of one secret.

use ::entity::user_secret;
use sea_orm::sqlx::{self, Row as _, postgres::PgRow};

use super::{
    Store, UserSecret,
    batch::{Lane, Work},
    user_secret::find_row,
};
use crate::{
    auth::Scope,
    database::{Engine, failed_raw, is_shut, shut_error},
    error::{Error, Result},
    ids::{DomainId, UserId, UserSecretId},
};

impl Store {
    /// The metadata of secret `id`.
    pub async fn find(&self, scope: &Scope, id: &UserSecretId) -> Result<UserSecret> {
        if let Engine::Sqlite { read, .. } = self.database.engine() {
            if is_shut(read, scope.domain()).await? {
                return Err(shut_error());
            }
            return find_row(read, scope, id).await?.try_into();
        }
        let job = Wanted {
            domain: scope.domain().clone(),
            owner: scope.owner().cloned(),
            id: id.clone(),
        };
        self.finds.ask(job).await?.open()?.try_into()
    }
}

/// What one of a batch asked for.
pub(super) enum Found<T> {
    /// It is there.
    Row(T),
    /// It is not.
    Nothing,
    /// Its domain was shredded.
    Shut,
}

impl<T> Found<T> {
    /// The row, or why there is none.
    pub(super) fn open(self) -> Result<T> {
        match self {
            Self::Row(row) => Ok(row),
            Self::Nothing => Err(Error::not_found()),
            Self::Shut => Err(shut_error()),
        }
    }
}

/// Finds many secrets in one round trip.
pub(super) struct Find;

/// A secret that somebody asks for.
pub(super) struct Wanted {
    domain: DomainId,
    owner: Option<UserId>,
    id: UserSecretId,
}

impl Work for Find {
    type Job = Wanted;
    type Answer = Found<user_secret::Model>;

    async fn run(
        &self,
        lane: &mut Lane,
        jobs: &[Wanted],
    ) -> Result<Vec<Found<user_secret::Model>>> {
        let domains: Vec<&str> = jobs.iter().map(|job| job.domain.as_str()).collect();
        let owners: Vec<Option<&str>> =
            jobs.iter().map(|job| job.owner.as_ref().map(UserId::as_str)).collect();
        let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
        let call = sqlx::query("SELECT * FROM usersecret_find($1, $2, $3)")
            .bind(domains)
            .bind(owners)
            .bind(ids);
        let rows = lane.rows(call).await?;
        let mut answers: Vec<_> = jobs.iter().map(|_| Found::Nothing).collect();
        for row in rows {
            let place = place(&row)?;
            let (Some(job), Some(answer)) = (jobs.get(place), answers.get_mut(place)) else {
                return Err(Error::internal("a row for nobody"));
            };
            *answer = match row.try_get("shut").map_err(failed_raw)? {
                true => Found::Shut,
                false => Found::Row(model(&row, job).map_err(failed_raw)?),
            };
        }
        Ok(answers)
    }
}

/// Which job a row of a batch answers.
pub(super) fn place(row: &PgRow) -> Result<usize> {
    let place: i32 = row.try_get("place").map_err(failed_raw)?;
    usize::try_from(place.saturating_sub(1)).map_err(Error::internal)
}

fn model(row: &PgRow, job: &Wanted) -> sqlx::Result<user_secret::Model> {
    Ok(user_secret::Model {
        domain_id: job.domain.to_string(),
        user_secret_id: job.id.to_string(),
        user_id: row.try_get("user_id")?,
        name: row.try_get("name")?,
        schema_id: row.try_get("schema_id")?,
        provider: row.try_get("provider")?,
        tags: row.try_get("tags")?,
        version: row.try_get("version")?,
        revision: row.try_get("revision")?,
        expires_at: row.try_get("expires_at")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        // What only lists and creations look at.
        search_text: String::new(),
        position: 0,
        idempotency_key: None,
        idempotency_digest: None,
    })
}
