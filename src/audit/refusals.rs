//! Refusals, counted while they are young: an attack must not fill the trail.

use std::{collections::HashMap, net::IpAddr};

use super::{Event, Origin, Outcome};

/// The most kinds of refusal that are told apart between two writings.
const MAX_KINDS: usize = 512;

/// What makes two refusals one.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    domain: Option<String>,
    user: Option<String>,
    token_id: Option<std::sync::Arc<str>>,
    address: Option<IpAddr>,
    role: &'static str,
    operation: &'static str,
    target: Option<String>,
    outcome: Outcome,
}

/// Refusals and failures since they were last written.
#[derive(Default)]
pub(super) struct Refusals {
    kinds: HashMap<Kind, (Event, i64)>,
}

impl Refusals {
    /// Counts `count` refusals. Beyond the limit they are counted as an unknown caller's.
    pub(super) fn add(&mut self, event: Event, outcome: Outcome, count: i64) {
        let mut kind = Kind::of(&event, outcome);
        let mut event = event;
        if self.kinds.len() >= MAX_KINDS && !self.kinds.contains_key(&kind) {
            event = Event {
                domain: None,
                user: None,
                role: "NONE",
                token_id: None,
                origin: Origin::default(),
                operation: "various",
                target: None,
            };
            kind = Kind::of(&event, outcome);
        }
        let counted = self.kinds.entry(kind).or_insert((event, 0));
        counted.1 = counted.1.saturating_add(count);
    }

    /// Takes what was counted: each kind's first event, its outcome and its count.
    pub(super) fn take(&mut self) -> Vec<(Event, Outcome, i64)> {
        let kinds = std::mem::take(&mut self.kinds);
        kinds.into_iter().map(|(kind, (event, count))| (event, kind.outcome, count)).collect()
    }
}

impl Kind {
    fn of(event: &Event, outcome: Outcome) -> Self {
        Self {
            domain: event.domain.as_ref().map(ToString::to_string),
            user: event.user.as_ref().map(ToString::to_string),
            token_id: event.token_id.clone(),
            address: event.origin.address,
            role: event.role,
            operation: event.operation,
            target: event.target.as_ref().map(ToString::to_string),
            outcome,
        }
    }
}
