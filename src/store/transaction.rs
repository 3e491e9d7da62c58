//! A transaction and the audit events of what it did, whatever becomes of the caller.

use ::entity::audit_event;
use futures_util::future::BoxFuture;
use sea_orm::{DatabaseTransaction, EntityTrait as _, IntoActiveModel as _};

use super::Store;
use crate::{
    audit::{Event, Stamped},
    auth::Scope,
    database::{Admits, failed},
    error::{Code, Error, Result},
};

/// How many events one statement writes.
const EVENTS_AT_ONCE: usize = 100;

impl Store {
    /// Runs `work` within `scope` and writes `event` in the same transaction.
    ///
    /// It runs on a task of its own, which goes on when the caller's future is
    /// dropped: what was begun is committed or rolled back, the event is told to
    /// the trail, and the connection goes home clean.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        scope: &Scope,
        event: &Event,
        work: impl for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let event = self.trail.stamp(event, "ok");
        self.change_many(scope, Admits::Living, |transaction| {
            Box::pin(async move {
                let value = work(transaction).await?;
                Ok((value, event.into_iter().collect()))
            })
        })
        .await
    }

    /// The same for `work` that says itself which events it made.
    pub(super) async fn change_many<T: Send + 'static>(
        &self,
        scope: &Scope,
        admits: Admits,
        work: impl for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<(T, Vec<Stamped>)>>
        + Send
        + 'static,
    ) -> Result<T> {
        let (database, domain, trail) =
            (self.database.clone(), scope.domain().clone(), self.trail.clone());
        let task = self.database.tasks().spawn(async move {
            let outcome = database
                .write(&domain, admits, |transaction| {
                    Box::pin(async move {
                        let (value, events) = work(transaction).await?;
                        for some in events.chunks(EVENTS_AT_ONCE) {
                            let rows =
                                some.iter().map(|event| event.row().clone().into_active_model());
                            audit_event::Entity::insert_many(rows)
                                .exec_without_returning(transaction)
                                .await
                                .map_err(failed)?;
                        }
                        Ok((value, events))
                    })
                })
                .await;
            match &outcome {
                Ok((_, events)) => trail.committed(events),
                Err(error) if error.code() == Code::Unavailable => trail.doubt(),
                Err(_) => {}
            }
            outcome.map(|(value, _)| value)
        });
        task.await.map_err(Error::internal)?
    }
}
