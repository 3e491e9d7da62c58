//! How many lists are read at a time: one that is hard to answer holds a connection for as long as the
//! database lets it. They leave connections to everything else, and a domain leaves turns to others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use sea_orm::DatabaseTransaction;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Store;
use crate::{
    auth::Scope,
    database::{Admits, Planning, or_too_long},
    error::{Error, Result},
    ids::DomainId,
};

/// Who reads and who waits; clones share it.
#[derive(Clone)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// The domains that read or wait.
    lines: Arc<Mutex<HashMap<DomainId, Line>>>,
    /// The turns of a domain, and how many may read or wait.
    share: usize,
    most: usize,
}

/// Those of a domain.
struct Line {
    turns: Arc<Semaphore>,
    length: usize,
}

/// A place in the line of a domain, until it is dropped.
struct Place {
    turns: Turns,
    domain: DomainId,
}

impl Turns {
    /// `count` turns, half of them for one domain, of which `waiting` more may wait.
    pub(super) fn new(count: usize, waiting: usize) -> Self {
        let share = count.div_ceil(2);
        let all = Arc::new(Semaphore::new(count));
        Self { all, lines: Arc::default(), share, most: share.saturating_add(waiting) }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<DomainId, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place in the line of `domain`, whose turns it returns as well.
    fn enter(&self, domain: &DomainId) -> Result<(Place, Arc<Semaphore>)> {
        let mut lines = self.lines();
        let line = lines
            .entry(domain.clone())
            .or_insert_with(|| Line { turns: Arc::new(Semaphore::new(self.share)), length: 0 });
        if line.length >= self.most {
            let rule = "too many lists of the domain wait already; try again";
            return Err(Error::exhausted("limits.waiting_lists", rule));
        }
        line.length += 1;
        Ok((Place { turns: self.clone(), domain: domain.clone() }, Arc::clone(&line.turns)))
    }

    /// Waits for a turn, in the order of asking. It lasts until it is dropped.
    async fn wait(&self, domain: &DomainId) -> Result<(Place, [OwnedSemaphorePermit; 2])> {
        let (place, own) = self.enter(domain)?;
        // The domain's own first: its line does not stand in the way of others.
        let own = own.acquire_owned().await.map_err(Error::internal)?;
        let all = Arc::clone(&self.all).acquire_owned().await.map_err(Error::internal)?;
        Ok((place, [own, all]))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        if let Some(line) = lines.get_mut(&self.domain) {
            line.length = line.length.saturating_sub(1);
            if line.length == 0 {
                lines.remove(&self.domain);
            }
        }
    }
}

impl Store {
    /// Runs `work` on one snapshot of the scope's domain, when it is its turn.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        scope: &Scope,
        admits: Admits,
        planning: Planning,
        work: impl for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let turn = self.turns.wait(scope.domain()).await?;
        let (database, domain) = (self.database.clone(), scope.domain().clone());
        // On a task of its own: where the caller goes away, the statement goes on, and so does the turn.
        let read = self.database.tasks().spawn(async move {
            let snapshot = database.begin(&domain, admits, planning).await?;
            let outcome = work(&snapshot).await.map_err(or_too_long);
            drop((snapshot, turn));
            outcome
        });
        read.await.map_err(Error::internal)?
    }
}
