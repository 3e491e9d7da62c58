//! The single way into the data.

use super::{Caller, Intent, Scope, Target};
use crate::{
    audit::{Event, Trail},
    error::{Code, Error, Result},
};

/// Authorizes every operation, records what fails, and runs it with the scope that was granted.
#[derive(Clone)]
pub struct Gate {
    trail: Trail,
}

impl Gate {
    /// A gate that records on `trail`.
    pub const fn new(trail: Trail) -> Self {
        Self { trail }
    }

    /// Runs `work` with the scope that `caller` is granted for `intent` on `target`.
    ///
    /// A refusal comes before any look-up. What must be recorded is not begun
    /// while the audit trail cannot follow. A success is recorded by the store, in
    /// the transaction of what it does; a failure changed nothing and is counted here.
    pub async fn run<T>(
        &self,
        caller: &Caller,
        intent: impl Into<Intent>,
        target: Target,
        work: impl AsyncFnOnce(&Scope) -> Result<T>,
    ) -> Result<T> {
        let intent = intent.into();
        let scope = match Scope::grant(caller, &intent, target) {
            Ok(scope) => scope,
            Err(error) => {
                self.record(caller.event(&intent, Some(caller.domain().clone())), &error);
                return Err(error);
            }
        };
        if intent.verb.is_recorded() {
            self.trail.admit()?;
        }
        let outcome = work(&scope).await;
        if let Err(error) = &outcome
            && intent.verb.is_recorded()
        {
            self.record(scope.event().clone(), error);
        }
        outcome
    }

    fn record(&self, event: Event, error: &Error) {
        // A read that found nothing has left its event where it looked; what is no id was not looked for.
        let recorded = event.operation == super::Verb::GetData.as_str()
            && event.target.is_some()
            && error.code() == Code::NotFound;
        if !recorded {
            self.trail.refuse(event, error.code().as_str());
        }
    }
}
