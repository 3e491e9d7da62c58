//! The language of statistics: stages that rows pass through, after the original's.
//!
//! It knows the fields of a user secret and no table. [`Statistics`] is what every face makes of
//! its own request, [`Source`] which values the store reads for it, and [`Statistics::run`] what
//! becomes of them. Both databases only deliver values; what is done with them is done here, so
//! it means the same on either.

mod check;
mod date_format;
mod group;
mod meter;
mod path;
mod project;
mod raw;
mod sort;
mod source;
mod stage;
mod sum;
mod unwind;
mod value;

pub use group::GroupOperator;
pub use meter::Meter;
pub use project::ProjectOperator;
pub use raw::{
    RawGroupField, RawGroupKey, RawNamedKey, RawProjectField, RawStage, RawStatistics, RawUnwind,
};
pub use source::{Column, Source};
pub use value::{Datum, Object, number};

use path::Path;
use stage::Stage;

use crate::{
    error::{Error, Result},
    query::Search,
};

/// What is asked of the secrets that a search finds.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// Which secrets.
    pub search: Search,
    plan: Plan,
    page: Option<Page>,
}

#[derive(Debug, Clone)]
enum Plan {
    /// Stages, in order.
    Stages(Vec<Stage>),
    /// The different values of this; nothing, if there is no such field.
    Distinct(Option<Path>),
}

/// Results `start` to `start + limit - 1`, counted from 1.
#[derive(Debug, Clone, Copy)]
struct Page {
    start: u64,
    limit: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// A row each, or for distinct values a value each.
    pub results: Vec<Datum>,
    /// How many there are in all, if a page of them was asked for.
    pub total: Option<u64>,
}

/// The most results of one answer.
pub const MAX_RESULTS: usize = 10_000;

impl Statistics {
    /// The values that it reads of each secret.
    pub fn source(&self) -> Source {
        match &self.plan {
            Plan::Stages(stages) => Source::of(stages),
            Plan::Distinct(path) => Source::of_values(path.as_ref()),
        }
    }

    /// What comes of `rows`, each with how often it is there.
    pub fn run(
        &self,
        rows: impl Iterator<Item = Result<(Object, u64)>>,
        meter: &Meter,
    ) -> Result<Outcome> {
        // A count of nothing comes as a row that is there no time.
        let rows = rows.filter(|row| !matches!(row, Ok((_, 0))));
        match &self.plan {
            Plan::Stages(stages) => {
                let rows: stage::Rows<'_> = Box::new(rows);
                let rows = stages.iter().try_fold(rows, |rows, stage| stage.apply(rows, meter))?;
                self.page_of(rows.map(|row| Ok(Datum::Object(row?.0))), meter)
            }
            Plan::Distinct(path) => {
                let values = match path {
                    Some(path) => sort::distinct(path, rows, meter)?,
                    None => Vec::new(),
                };
                self.page_of(values.into_iter().map(Ok), meter)
            }
        }
    }

    fn page_of(
        &self,
        mut found: impl Iterator<Item = Result<Datum>>,
        meter: &Meter,
    ) -> Result<Outcome> {
        let (first, most) = self.page.map_or((0, u64::MAX), |page| (page.start - 1, page.limit));
        let (mut results, mut position) = (Vec::new(), 0);
        while let Some(value) = found.next().transpose()? {
            if position >= first && position - first < most {
                if results.len() == MAX_RESULTS {
                    let rule = format!("more than {MAX_RESULTS} results: use limit or a page");
                    return Err(Error::exhausted("statistics.results", &rule));
                }
                meter.hold(value.size())?;
                results.push(value);
            }
            position += 1;
        }
        Ok(Outcome { results, total: self.page.map(|_| position) })
    }
}
