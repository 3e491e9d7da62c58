//! Events as arrays, one a column: how PostgreSQL takes many in one call.

use sea_orm::sqlx::{Postgres, postgres::PgArguments, query::Query};

use super::Stamped;

/// Columns of events. A place without an event has no id.
#[derive(Default)]
pub(crate) struct EventArrays {
    ids: Vec<Option<Vec<u8>>>,
    ats: Vec<Option<i64>>,
    writers: Vec<Option<String>>,
    users: Vec<Option<String>>,
    roles: Vec<Option<String>>,
    token_ids: Vec<Option<String>>,
    addresses: Vec<Option<String>>,
    trace_ids: Vec<Option<String>>,
    operations: Vec<Option<String>>,
    targets: Vec<Option<String>>,
    outcomes: Vec<Option<String>>,
    counts: Vec<Option<i64>>,
    digests: Vec<Option<Vec<u8>>>,
}

impl<'e> FromIterator<Option<&'e Stamped>> for EventArrays {
    fn from_iter<I: IntoIterator<Item = Option<&'e Stamped>>>(events: I) -> Self {
        let mut arrays = Self::default();
        for event in events {
            let row = event.map(|event| event.0.clone());
            let of = |column: fn(&::entity::audit_event::Model) -> String| row.as_ref().map(column);
            arrays.ids.push(row.as_ref().map(|row| row.event_id.clone()));
            arrays.ats.push(row.as_ref().map(|row| row.at));
            arrays.writers.push(of(|row| row.writer.clone()));
            arrays.roles.push(of(|row| row.role.clone()));
            arrays.operations.push(of(|row| row.operation.clone()));
            arrays.outcomes.push(of(|row| row.outcome.clone()));
            arrays.counts.push(row.as_ref().map(|row| row.count));
            arrays.digests.push(row.as_ref().map(|row| row.digest.clone()));
            let (user, token_id, address, trace_id, target) = row
                .map_or_else(Default::default, |row| {
                    (row.user_id, row.token_id, row.address, row.trace_id, row.target)
                });
            arrays.users.push(user);
            arrays.token_ids.push(token_id);
            arrays.addresses.push(address);
            arrays.trace_ids.push(trace_id);
            arrays.targets.push(target);
        }
        arrays
    }
}

impl EventArrays {
    /// Adds the 13 columns to a call, in the order in which the functions take them.
    pub(crate) fn bind(
        self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Query<'_, Postgres, PgArguments> {
        query
            .bind(self.ids)
            .bind(self.ats)
            .bind(self.writers)
            .bind(self.users)
            .bind(self.roles)
            .bind(self.token_ids)
            .bind(self.addresses)
            .bind(self.trace_ids)
            .bind(self.operations)
            .bind(self.targets)
            .bind(self.outcomes)
            .bind(self.counts)
            .bind(self.digests)
    }
}
