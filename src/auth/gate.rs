//! The single way into the data.

use super::{Caller, Permission, Scope, Target};
use crate::error::Result;

/// Authorizes every operation and runs it with the scope that was granted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate;

impl Gate {
    /// Runs `work` with the scope that `caller` is granted for `permission` on `target`.
    ///
    /// A refusal comes before any look-up.
    pub async fn run<T>(
        self,
        caller: &Caller,
        permission: Permission,
        target: Target,
        work: impl AsyncFnOnce(&Scope) -> Result<T>,
    ) -> Result<T> {
        let scope = Scope::grant(caller, permission, target)?;
        work(&scope).await
    }
}
