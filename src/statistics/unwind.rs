//! A row for each element of a list.

use super::{Datum, Meter, Object, path::Path, stage::Rows};

/// Takes a list apart. What has none, or an empty one, is left out; another value is a list of one.
#[derive(Debug, Clone)]
pub(super) struct Unwind {
    pub(super) path: Path,
    /// What must hold of the rows that come of it.
    pub(super) filter: Vec<Match>,
}

/// A condition on a row.
#[derive(Debug, Clone)]
pub(super) struct Match {
    pub(super) path: Path,
    pub(super) test: Test,
    /// Whether it must not hold.
    pub(super) negated: bool,
}

/// What must hold of the value, or of an element of it.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// It is one of these; null is also what is absent.
    OneOf(Vec<Datum>),
    /// It is a text with one of these in it, in the same case.
    Has(Vec<String>),
}

impl Unwind {
    pub(super) fn apply<'p>(&'p self, rows: Rows<'p>, meter: &'p Meter) -> Rows<'p> {
        let unwound = rows.flat_map(move |row| match row {
            Ok((mut row, times)) => {
                let elements = match self.path.place(&mut row).map(std::mem::take) {
                    None | Some(Datum::Null) => Vec::new(),
                    Some(Datum::List(items)) => items,
                    Some(one) => vec![one],
                };
                let each = elements.into_iter().map(move |element| {
                    meter.step()?;
                    let mut row = row.clone();
                    if let Some(place) = self.path.place(&mut row) {
                        *place = element;
                    }
                    Ok((row, times))
                });
                itertools(each)
            }
            Err(error) => itertools(std::iter::once(Err(error))),
        });
        Box::new(unwound.filter(|row| match row {
            Ok((row, _)) => self.filter.iter().all(|condition| condition.holds(row)),
            Err(_) => true,
        }))
    }
}

/// Iterators of two kinds as one.
fn itertools<'p>(rows: impl Iterator<Item = <Rows<'p> as Iterator>::Item> + 'p) -> Rows<'p> {
    Box::new(rows)
}

impl Match {
    fn holds(&self, row: &Object) -> bool {
        let value = self.path.value(row);
        let mut standing = value.iter().flat_map(|value| {
            let elements = if matches!(**value, Datum::List(_)) { value.elements() } else { &[] };
            std::iter::once(&**value).chain(elements)
        });
        let holds = match &self.test {
            Test::OneOf(values) => {
                (value.is_none() && values.contains(&Datum::Null))
                    || standing.any(|value| values.contains(value))
            }
            Test::Has(texts) => standing.any(|value| match value {
                Datum::Text(text) => texts.iter().any(|part| text.contains(part.as_str())),
                _ => false,
            }),
        };
        holds != self.negated
    }
}
