//! Which values statistics read of each secret.

use super::{group::Group, path::Path, stage::Stage};
use crate::query::Field;

/// What the store reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The values of each row.
    pub columns: Vec<Column>,
    /// Whether rows with the same values may come as one with their number, in any order;
    /// otherwise they come in the order in which the secrets were created.
    pub merged: bool,
    /// How many rows are enough.
    pub limit: Option<u64>,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// A field; moments in whole milliseconds.
    Field(Field),
    /// The beginning of the day of a moment.
    Day(Field),
    /// All tags.
    Tags,
    /// The entry of this name among the tags.
    Tag(String),
}

impl Column {
    /// The name under which the value stands: in the row, or for one of the tags among them.
    pub fn name(&self) -> &str {
        match self {
            Self::Field(field) | Self::Day(field) => field.key(),
            Self::Tags => TAGS,
            Self::Tag(name) => name,
        }
    }

    const fn field(&self) -> Option<Field> {
        match self {
            Self::Field(field) | Self::Day(field) => Some(*field),
            Self::Tags | Self::Tag(_) => None,
        }
    }
}

/// What tags are called.
pub(super) const TAGS: &str = "tags";

/// Whether `head` is a name of a secret.
pub(super) fn is_known(head: &str) -> bool {
    head == TAGS || Field::named(head).is_some()
}

impl Source {
    pub(super) fn of(stages: &[Stage]) -> Self {
        let closing = stages.iter().position(|stage| {
            matches!(stage, Stage::Group(_) | Stage::Count(_) | Stage::Project(_))
        });
        let limit = match stages.first() {
            Some(Stage::Limit(count)) => Some(*count),
            _ => None,
        };
        let Some(closing) = closing else {
            let columns = Field::ALL.map(Column::Field).into_iter().chain([Column::Tags]);
            return Self { columns: columns.collect(), merged: false, limit };
        };
        let mut columns = Columns::default();
        let before = stages.get(..closing).unwrap_or_default();
        before.iter().chain(stages.get(closing)).for_each(|stage| columns.of_stage(stage));
        let merged = before.iter().all(|stage| matches!(stage, Stage::Unwind(_)))
            && match stages.get(closing) {
                Some(Stage::Group(group)) => {
                    !group.fields.iter().any(|field| field.operator.minds_order())
                }
                Some(Stage::Count(_)) => true,
                _ => false,
            };
        Self { columns: columns.0, merged, limit }
    }

    pub(super) fn of_values(path: Option<&Path>) -> Self {
        let mut columns = Columns::default();
        path.into_iter().for_each(|path| columns.of_path(path));
        Self { columns: columns.0, merged: true, limit: None }
    }
}

#[derive(Default)]
struct Columns(Vec<Column>);

impl Columns {
    fn of_stage(&mut self, stage: &Stage) {
        match stage {
            Stage::Unwind(unwind) => {
                self.of_path(&unwind.path);
                unwind.filter.iter().for_each(|condition| self.of_path(&condition.path));
            }
            Stage::Group(group) => self.of_group(group),
            Stage::Sort(keys) => keys.iter().for_each(|key| self.of_path(&key.path)),
            Stage::Project(project) => {
                project.fields.iter().for_each(|field| self.of_path(&field.path));
            }
            Stage::Count(_) | Stage::Skip(_) | Stage::Limit(_) => {}
        }
    }

    fn of_group(&mut self, Group { keys, fields }: &Group) {
        for field in fields {
            field.taken.paths().for_each(|path| self.of_path(path));
            field.conditions.iter().for_each(|condition| self.of_path(&condition.path));
        }
        // Last: a moment of which more is read than its day comes whole.
        for key in keys {
            match (&key.format, Field::named(key.path.head())) {
                (Some(format), Some(field)) if format.tells_days() => {
                    let whole = self.0.iter().any(|column| column.field() == Some(field));
                    let again = keys.iter().any(|other| {
                        other.path == key.path
                            && !other.format.as_ref().is_some_and(|format| format.tells_days())
                    });
                    if !whole && !again {
                        self.0.push(Column::Day(field));
                    }
                }
                _ => self.of_path(&key.path),
            }
        }
    }

    fn of_path(&mut self, path: &Path) {
        let column = match (Field::named(path.head()), path.rest().first()) {
            (Some(field), _) => Column::Field(field),
            (None, Some(name)) => Column::Tag(name.to_string()),
            (None, None) => Column::Tags,
        };
        if self.0.contains(&column) || (column.field().is_none() && self.0.contains(&Column::Tags))
        {
            return;
        }
        if column == Column::Tags {
            self.0.retain(|column| column.field().is_some());
        }
        self.0.push(column);
    }
}
