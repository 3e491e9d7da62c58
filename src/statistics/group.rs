//! A row for all that have the same keys.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Datum, Meter, Object,
    date_format::{DateFormat, to_the_second},
    path::Path,
    stage::{Rows, double, number},
    sum::Sum,
};
use crate::{clock::Timestamp, error::Result};

/// What is made of the rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupOperator {
    /// How many there are.
    Count,
    /// The sum of the numbers.
    Sum,
    /// Their mean; null of none.
    Average,
    /// The greatest value; null of none.
    Max,
    /// The least.
    Min,
    /// The value of the first row.
    First,
    /// That of the last.
    Last,
    /// The list of all values.
    Push,
    /// The list of the different ones.
    AddToSet,
    /// One object with the entries of all, of which the later ones win.
    MergeObjects,
}

impl GroupOperator {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Count,
        Self::Sum,
        Self::Average,
        Self::Max,
        Self::Min,
        Self::First,
        Self::Last,
        Self::Push,
        Self::AddToSet,
        Self::MergeObjects,
    ];

    /// The operator called `name` on the wire.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.as_str() == name)
    }

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Average => "average",
            Self::Max => "max",
            Self::Min => "min",
            Self::First => "first",
            Self::Last => "last",
            Self::Push => "push",
            Self::AddToSet => "add_to_set",
            Self::MergeObjects => "merge_objects",
        }
    }

    /// Whether the order of the rows matters.
    pub(super) const fn minds_order(self) -> bool {
        matches!(self, Self::First | Self::Last | Self::Push | Self::MergeObjects)
    }
}

/// Groups, in the order of their keys.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) keys: Vec<GroupKey>,
    pub(super) fields: Vec<GroupField>,
}

#[derive(Debug, Clone)]
pub(super) struct GroupKey {
    pub(super) name: Arc<str>,
    pub(super) path: Path,
    pub(super) format: Option<DateFormat>,
}

#[derive(Debug, Clone)]
pub(super) struct GroupField {
    pub(super) name: Arc<str>,
    pub(super) operator: GroupOperator,
    pub(super) taken: Taken,
    /// What must hold of a row that counts; the others count as zero.
    pub(super) conditions: Vec<Condition>,
}

/// What a field takes of each row.
#[derive(Debug, Clone)]
pub(super) enum Taken {
    /// Nothing.
    Nothing,
    /// The value of a path.
    Value(Path),
    /// An object of the values of several.
    Object(Vec<(Arc<str>, Path)>),
}

/// A comparison in the one order of all values; what is absent comes before null.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) path: Path,
    /// Which orderings of the row's value to the operand fit.
    pub(super) fits: &'static [Ordering],
    pub(super) operand: Datum,
    /// The operand as a moment, for what is one.
    pub(super) moment: Option<Timestamp>,
}

impl Condition {
    fn holds(&self, row: &Object) -> bool {
        let ordering = match (self.path.value(row).as_deref(), self.moment) {
            (None, _) => Ordering::Less,
            (Some(Datum::Time(value)), Some(moment)) => value.cmp(&moment),
            (Some(value), _) => value.cmp(&self.operand),
        };
        self.fits.contains(&ordering)
    }
}

/// What a group knows of a field so far.
enum State {
    Sum { sum: Sum, count: u64 },
    Best(Option<Datum>),
    End(Datum),
    List(Vec<Datum>),
    Set(BTreeSet<Datum>),
    Merged(Object),
}

impl Group {
    /// The groups of `rows`.
    pub(super) fn of(&self, rows: Rows<'_>, meter: &Meter) -> Result<Vec<Object>> {
        let mut groups: BTreeMap<Vec<Option<Datum>>, Vec<Option<State>>> = BTreeMap::new();
        for row in rows {
            meter.step()?;
            let (row, times) = row?;
            let key: Vec<_> = self.keys.iter().map(|key| key.of(&row)).collect();
            if !groups.contains_key(&key) {
                let keys: usize = key.iter().flatten().map(Datum::size).sum();
                meter.hold(keys + (size_of::<Option<State>>() + 16) * (self.fields.len() + 1))?;
            }
            let states =
                groups.entry(key).or_insert_with(|| self.fields.iter().map(|_| None).collect());
            for (field, state) in self.fields.iter().zip(states) {
                field.take(state, &row, times, meter)?;
            }
        }
        Ok(groups.into_iter().map(|(key, states)| self.row(key, states)).collect())
    }

    fn row(&self, key: Vec<Option<Datum>>, states: Vec<Option<State>>) -> Object {
        let keys = self.keys.iter().zip(key);
        let keys = keys.filter_map(|(key, value)| Some((Arc::clone(&key.name), value?)));
        let fields = self.fields.iter().zip(states);
        let fields = fields.map(|(field, state)| (Arc::clone(&field.name), field.told(state)));
        keys.chain(fields).collect()
    }
}

impl GroupKey {
    /// What is absent has a group of its own.
    fn of(&self, row: &Object) -> Option<Datum> {
        let value = self.path.value(row)?;
        Some(match &self.format {
            Some(format) => format.of(&value),
            None => value.into_owned(),
        })
    }
}

impl GroupField {
    fn take(
        &self,
        state: &mut Option<State>,
        row: &Object,
        times: u64,
        meter: &Meter,
    ) -> Result<()> {
        use GroupOperator::{
            AddToSet, Average, Count, First, Last, Max, MergeObjects, Min, Push, Sum as Total,
        };
        let counts = self.conditions.iter().all(|condition| condition.holds(row));
        let value = self.taken.of(row);
        match (self.operator, value) {
            (Count | Total | Average, value) => {
                let State::Sum { sum, count } =
                    state.get_or_insert(State::Sum { sum: Sum::default(), count: 0 })
                else {
                    return Ok(());
                };
                match (self.operator, value) {
                    (Count, _) if counts => *count += times,
                    (Total | Average, Some(Datum::Number(number))) if counts => {
                        sum.add(number, double(times));
                        *count += times;
                    }
                    // As in the original, what does not fit counts as a zero.
                    (Average, _) if !counts => *count += times,
                    _ => {}
                }
            }
            (Max | Min, Some(value)) if value != Datum::Null => {
                let better = match state {
                    Some(State::Best(Some(best))) if self.operator == Max => value > *best,
                    Some(State::Best(Some(best))) => value < *best,
                    _ => true,
                };
                if better {
                    meter.hold(value.size())?;
                    *state = Some(State::Best(Some(value)));
                }
            }
            (First, value) if state.is_none() => {
                let value = value.unwrap_or_default();
                meter.hold(value.size())?;
                *state = Some(State::End(value));
            }
            (Last, value) => *state = Some(State::End(value.unwrap_or_default())),
            (Push, Some(value)) => {
                meter.hold(value.size())?;
                if let State::List(items) = state.get_or_insert_with(|| State::List(Vec::new())) {
                    items.push(value);
                }
            }
            (AddToSet, Some(value)) => {
                if let State::Set(items) = state.get_or_insert_with(|| State::Set(BTreeSet::new()))
                    && !items.contains(&value)
                {
                    meter.hold(value.size())?;
                    items.insert(value);
                }
            }
            (MergeObjects, Some(Datum::Object(entries))) => {
                meter.hold(Datum::Null.size() * entries.len())?;
                if let State::Merged(merged) =
                    state.get_or_insert_with(|| State::Merged(Object::new()))
                {
                    merged.extend(entries);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn told(&self, state: Option<State>) -> Datum {
        use GroupOperator::{AddToSet, Average, Count, MergeObjects, Push, Sum as Total};
        match (self.operator, state) {
            (Count, Some(State::Sum { count, .. })) => number(count),
            (Total, Some(State::Sum { sum, .. })) => Datum::Number(sum.total()),
            (Average, Some(State::Sum { sum, count })) if count > 0 => {
                Datum::Number(sum.total() / double(count))
            }
            (_, Some(State::Best(best))) => best.unwrap_or_default(),
            (_, Some(State::End(value))) => value,
            (_, Some(State::List(items))) => Datum::List(items),
            (_, Some(State::Set(items))) => Datum::List(items.into_iter().collect()),
            (_, Some(State::Merged(entries))) => Datum::Object(entries),
            (Push | AddToSet, None) => Datum::List(Vec::new()),
            (MergeObjects, None) => Datum::Object(Object::new()),
            _ => Datum::Null,
        }
    }
}

impl Taken {
    fn of(&self, row: &Object) -> Option<Datum> {
        match self {
            Self::Nothing => None,
            Self::Value(path) => path.value(row).map(std::borrow::Cow::into_owned),
            Self::Object(parts) => {
                let part = |(name, path): &(Arc<str>, Path)| {
                    let value = match path.value(row)?.into_owned() {
                        Datum::Time(moment) => to_the_second(moment),
                        value => value,
                    };
                    Some((Arc::clone(name), value))
                };
                Some(Datum::Object(parts.iter().filter_map(part).collect()))
            }
        }
    }

    /// The paths that it reads.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let (one, several) = match self {
            Self::Nothing => (None, &[][..]),
            Self::Value(path) => (Some(path), &[][..]),
            Self::Object(parts) => (None, parts.as_slice()),
        };
        one.into_iter().chain(several.iter().map(|(_, path)| path))
    }
}
