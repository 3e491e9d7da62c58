//! The audit trail: what happened, sealed so that nobody can change it unseen.
//!
//! An [`Event`] is written in the transaction of what it tells of, or before the
//! data that it tells of leaves. The [`Sealer`] then puts the ids and digests of
//! events that it knows committed into blocks, each signed by the HSM and
//! chained to the one before, and `verify` holds the events against the blocks.

mod arrays;
mod block;
mod event;
mod ledger;
mod meeting;
mod refusals;
mod sealer;
mod trail;
mod verify;

pub(crate) use arrays::EventArrays;
pub use block::{Block, Entry, Link};
pub use event::{Event, Listener, Origin, Outcome, Stamped, Subject};
pub use sealer::{Sealer, SealerSettings};
pub use trail::Trail;
pub use verify::{Finding, Heads, Report, verify};
