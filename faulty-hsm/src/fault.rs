//! Faults, and which calls they strike.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use cryptoki_sys::CK_RV;

use crate::function::Function;

/// What a line of the control file says.
#[derive(Debug)]
pub struct Fault {
    pub functions: Functions,
    pub action: Action,
    pub from: u64,
    pub count: Option<u64>,
    pub until: Option<Instant>,
    /// Calls that matched.
    pub seen: AtomicU64,
}

/// The functions that a fault is for.
#[derive(Debug)]
pub enum Functions {
    All,
    Named(Vec<&'static str>),
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Return(CK_RV),
    Delay(Duration),
    Hang,
    Kill,
    SwapKey,
    Finalize,
    CloseSessions,
    Corrupt,
}

/// All lines of one control file.
pub struct Plan(Vec<Fault>);

impl Plan {
    pub const fn new(faults: Vec<Fault>) -> Self {
        Self(faults)
    }

    /// The faults of a call that is made now.
    pub fn striking(&self, function: &Function, has_output: bool) -> Vec<&Fault> {
        // All of them first: the call counts for each, whatever comes of it.
        self.0.iter().filter(|fault| fault.strikes(function, has_output)).collect()
    }
}

impl Fault {
    fn strikes(&self, function: &Function, has_output: bool) -> bool {
        let matches = match &self.functions {
            Functions::All => self.action.suits(function),
            Functions::Named(names) => names.contains(&function.name),
        };
        if !matches || (self.action == Action::Corrupt && !has_output) {
            return false;
        }
        let nth = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        nth >= self.from
            && self.count.is_none_or(|count| nth - self.from < count)
            && !self.is_over()
    }

    /// Whether its time has passed.
    pub fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl Action {
    /// Whether it can happen to calls of `function`.
    pub const fn suits(self, function: &Function) -> bool {
        match self {
            Self::SwapKey => function.swaps,
            Self::Corrupt => function.gives,
            _ => true,
        }
    }
}
