//! A stage: what becomes of the rows that come to it.

use std::sync::Arc;

use super::{
    Datum, Meter, Object,
    group::Group,
    project::Project,
    sort::{SortKey, sorted},
    unwind::Unwind,
    value::size_of_object,
};
use crate::error::Result;

/// Rows on their way, each with how often it is there.
pub(super) type Rows<'p> = Box<dyn Iterator<Item = Result<(Object, u64)>> + 'p>;

/// A stage.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// A row for each element of a list.
    Unwind(Unwind),
    /// A row for all that have the same keys.
    Group(Group),
    /// One row with their number, under this name; none if there are none.
    Count(Arc<str>),
    /// Another order.
    Sort(Vec<SortKey>),
    /// Other values.
    Project(Project),
    /// All but the first.
    Skip(u64),
    /// Only the first.
    Limit(u64),
}

impl Stage {
    /// What becomes of `rows`. Stages that need all of them take them all here.
    pub(super) fn apply<'p>(&'p self, rows: Rows<'p>, meter: &'p Meter) -> Result<Rows<'p>> {
        Ok(match self {
            Self::Unwind(unwind) => unwind.apply(rows, meter),
            Self::Group(group) => Box::new(group.of(rows, meter)?.into_iter().map(once)),
            Self::Count(name) => {
                let count = rows.map(|row| meter.step().and(row)).try_fold(0, |count, row| {
                    Ok::<_, crate::error::Error>(row?.1.saturating_add(count))
                })?;
                let row = |count| Object::from([(Arc::clone(name), number(count))]);
                Box::new((count > 0).then(|| once(row(count))).into_iter())
            }
            Self::Sort(keys) => {
                let rows = rows.map(|row| {
                    let row = row?;
                    meter.step()?;
                    meter.hold(size_of_object(&row.0))?;
                    Ok(row)
                });
                Box::new(sorted(keys, rows.collect::<Result<_>>()?).into_iter().map(Ok))
            }
            Self::Project(project) => Box::new(rows.map(|row| {
                meter.step()?;
                let (row, times) = row?;
                Ok((project.of(row), times))
            })),
            Self::Skip(count) => Box::new(Skip { rows, left: *count, meter }),
            Self::Limit(count) => {
                Box::new(rows.take(usize::try_from(*count).unwrap_or(usize::MAX)))
            }
        })
    }
}

fn once(row: Object) -> Result<(Object, u64)> {
    Ok((row, 1))
}

/// A count as the doubles that all numbers are.
#[expect(clippy::as_conversions, reason = "counts stay far below 2^53")]
pub(super) const fn double(count: u64) -> f64 {
    count as f64
}

pub(super) const fn number(count: u64) -> Datum {
    Datum::Number(double(count))
}

/// Rows behind the first ones, none of which loses an error.
struct Skip<'p> {
    rows: Rows<'p>,
    left: u64,
    meter: &'p Meter,
}

impl Iterator for Skip<'_> {
    type Item = Result<(Object, u64)>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            self.left -= 1;
            if let Err(error) = self.meter.step().and(self.rows.next()?) {
                return Some(Err(error));
            }
        }
        self.rows.next()
    }
}
