//! The order of rows, and the different values among them.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeSet,
};

use super::{Datum, Meter, Object, path::Path};
use crate::error::Result;

/// A sort key.
#[derive(Debug, Clone)]
pub(super) struct SortKey {
    pub(super) path: Path,
    pub(super) desc: bool,
}

impl SortKey {
    /// What stands for `row`: of a list its least element, or its greatest when descending.
    /// What is absent is like null.
    fn standing(&self, row: &Object) -> Datum {
        let Some(value) = self.path.value(row) else { return Datum::Null };
        let standing = value.elements().iter().filter(|value| !matches!(value, Datum::List(_)));
        let standing = if self.desc { standing.max() } else { standing.min() };
        standing.cloned().unwrap_or(Datum::Null)
    }

    fn compare(&self, a: &Datum, b: &Datum) -> Ordering {
        if self.desc { Reverse(a).cmp(&Reverse(b)) } else { a.cmp(b) }
    }
}

/// Sorts `rows` by `keys`, the most significant first; what is alike stays as it was.
pub(super) fn sorted(keys: &[SortKey], rows: Vec<(Object, u64)>) -> Vec<(Object, u64)> {
    let mut rows: Vec<(Vec<Datum>, (Object, u64))> = rows
        .into_iter()
        .map(|row| (keys.iter().map(|key| key.standing(&row.0)).collect(), row))
        .collect();
    rows.sort_by(|(a, _), (b, _)| {
        let both = keys.iter().zip(a.iter().zip(b));
        both.fold(Ordering::Equal, |order, (key, (a, b))| order.then_with(|| key.compare(a, b)))
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The different values of `path`, those of a list each, in order; what is absent is none.
pub(super) fn distinct(
    path: &Path,
    rows: impl Iterator<Item = Result<(Object, u64)>>,
    meter: &Meter,
) -> Result<Vec<Datum>> {
    let mut found = BTreeSet::new();
    for row in rows {
        meter.step()?;
        let (row, _) = row?;
        for value in path.value(&row).iter().flat_map(|value| value.elements()) {
            if !found.contains(value) {
                meter.hold(value.size())?;
                found.insert(value.clone());
            }
        }
    }
    Ok(found.into_iter().collect())
}
