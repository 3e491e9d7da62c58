//! Statistics, as GraphQL asks for them.

use async_graphql::{Enum, InputObject, OneofObject, SimpleObject};
use serde_json::Value;

use super::connection::{FilterInput, PageInput, SortInput};
use crate::{
    error::Result,
    query::page_number,
    statistics::{
        GroupOperator as Grouped, Outcome, ProjectOperator as Projected, RawGroupField,
        RawGroupKey, RawNamedKey, RawProjectField, RawStage, RawStatistics, RawUnwind, Statistics,
    },
};

/// What can be said of many secrets: stages that their metadata pass through, or the different values of a key.
#[derive(InputObject)]
pub(super) struct StatisticsQueryInput {
    /// Conditions that must all hold.
    filter: Option<Vec<FilterInput>>,
    /// Conditions of which one must hold.
    filter_or: Option<Vec<FilterInput>>,
    /// Words, one of which must occur in id, name, schema or provider.
    keyword: Option<String>,
    /// Stages, in order. Each takes the rows that the one before it gives; the first takes the secrets.
    aggregate: Option<Vec<AggregateInput>>,
    /// A key whose different values are wanted, instead of stages.
    distinct: Option<String>,
    /// Which of the results; without a limit all of them.
    page: Option<PageInput>,
}

/// A stage.
#[derive(OneofObject)]
enum AggregateInput {
    /// A row for all that have the same keys.
    Group(GroupInput),
    /// A row for each element of a list.
    Unwind(UnwindInput),
    /// One row with the number of rows; none if there are none.
    Count(CountInput),
    /// Another order, most significant key first.
    Sort(Vec<SortInput>),
    /// Other values in place of those that are there.
    Project(ProjectInput),
    /// All rows but so many.
    Skip(i32),
    /// So many rows.
    Limit(i32),
}

/// Groups, in the order of their keys. Without keys all rows are one.
#[derive(InputObject)]
struct GroupInput {
    /// What the rows of a group have in common.
    keys: Option<Vec<GroupKeyInput>>,
    /// What is made of them.
    fields: Option<Vec<GroupFieldInput>>,
}

/// A key of groups.
#[derive(InputObject)]
struct GroupKeyInput {
    /// What is read, such as `provider` or `tags.env`.
    key: String,
    /// What it is called from here on.
    name: String,
    /// How a moment is told, in UTC: `year`, `month` or `day` as a number, or a pattern such as `%Y-%m-%d`.
    date_format: Option<String>,
}

/// A field of groups.
#[derive(InputObject)]
struct GroupFieldInput {
    /// What it is called.
    name: String,
    /// What is made of the rows.
    operator: GroupOperator,
    /// Of which of their values; COUNT needs none.
    key: Option<String>,
    /// For PUSH instead of a key: objects of several values.
    fields: Option<Vec<NamedKeyInput>>,
    /// For COUNT, SUM and AVERAGE: EQ, NOT, GT, GTE, LT, LTE. A row for which they do not hold counts as zero.
    conditions: Option<Vec<FilterInput>>,
}

/// What is made of the rows of a group.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Grouped")]
enum GroupOperator {
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

/// A list that is taken apart.
#[derive(InputObject)]
struct UnwindInput {
    /// Where it is, such as `tags.labels`.
    path: String,
    /// What must hold of the rows that come of it: EQ, NOT, IN, NOT_IN, CONTAIN, NOT_CONTAIN, CONTAIN_IN, NOT_CONTAIN_IN.
    filter: Option<Vec<FilterInput>>,
}

/// The number of rows.
#[derive(InputObject)]
struct CountInput {
    /// What it is called.
    name: String,
}

/// A key and a name for it.
#[derive(InputObject)]
struct NamedKeyInput {
    /// What is read.
    key: String,
    /// What it is called.
    name: String,
}

/// Other values.
#[derive(InputObject)]
struct ProjectInput {
    /// Which.
    fields: Vec<ProjectFieldInput>,
    /// Whether the keys of the groups go.
    #[graphql(default = false)]
    exclude_keys: bool,
}

/// A value.
#[derive(InputObject)]
struct ProjectFieldInput {
    /// What is read.
    key: String,
    /// What it is called.
    name: String,
    /// What is made of it, if it does not stay as it is.
    operator: Option<ProjectOperator>,
}

/// What is made of a value.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Projected")]
enum ProjectOperator {
    /// The length of a list; null of anything else.
    Size,
    /// The sum of the numbers in a list.
    Sum,
    /// An object of a list of pairs, or of objects with `k` and `v`.
    ArrayToObject,
    /// A list of objects with `k` and `v`, one for each entry.
    ObjectToArray,
}

/// What came of it.
#[derive(SimpleObject)]
pub(super) struct UserSecretStat {
    /// A row each, or for `distinct` a value each.
    results: Vec<Value>,
    /// How many there are in all, if a page with a limit was asked for.
    total_count: Option<i32>,
}

impl StatisticsQueryInput {
    pub(super) fn into_statistics(self) -> Result<Statistics> {
        let page = |page: PageInput| -> Result<(u64, u64)> {
            let start = page_number("query.page.start", page.start)?.unwrap_or(1);
            Ok((start, page_number("query.page.limit", page.limit)?.unwrap_or(0)))
        };
        let page = self.page.map(page).transpose()?;
        Statistics::check(RawStatistics {
            filter: all(self.filter),
            filter_or: all(self.filter_or),
            keyword: self.keyword.unwrap_or_default(),
            aggregate: all(self.aggregate),
            distinct: self.distinct.unwrap_or_default(),
            page,
        })
    }
}

/// The entries of a list, if there is one, as the statistics read them.
fn all<I: Into<R>, R>(list: Option<Vec<I>>) -> Vec<R> {
    list.unwrap_or_default().into_iter().map(Into::into).collect()
}

impl From<AggregateInput> for RawStage {
    fn from(input: AggregateInput) -> Self {
        match input {
            AggregateInput::Group(GroupInput { keys, fields }) => {
                Self::Group { keys: all(keys), fields: all(fields) }
            }
            AggregateInput::Unwind(UnwindInput { path, filter }) => {
                Self::Unwind(RawUnwind { path, filter: all(filter) })
            }
            AggregateInput::Count(CountInput { name }) => Self::Count { name },
            AggregateInput::Sort(keys) => {
                Self::Sort(keys.into_iter().map(|by| (by.key, by.desc)).collect())
            }
            AggregateInput::Project(ProjectInput { fields, exclude_keys }) => {
                Self::Project { fields: all(Some(fields)), exclude_keys }
            }
            AggregateInput::Skip(count) => Self::Skip(count.into()),
            AggregateInput::Limit(count) => Self::Limit(count.into()),
        }
    }
}

impl From<GroupKeyInput> for RawGroupKey {
    fn from(GroupKeyInput { key, name, date_format }: GroupKeyInput) -> Self {
        Self { key, name, date_format: date_format.unwrap_or_default() }
    }
}

impl From<GroupFieldInput> for RawGroupField {
    fn from(input: GroupFieldInput) -> Self {
        Self {
            name: input.name,
            operator: Some(input.operator.into()),
            key: input.key.unwrap_or_default(),
            fields: all(input.fields),
            conditions: all(input.conditions),
        }
    }
}

impl From<NamedKeyInput> for RawNamedKey {
    fn from(NamedKeyInput { key, name }: NamedKeyInput) -> Self {
        Self { key, name }
    }
}

impl From<ProjectFieldInput> for RawProjectField {
    fn from(ProjectFieldInput { key, name, operator }: ProjectFieldInput) -> Self {
        Self { key, name, operator: operator.map(Into::into) }
    }
}

impl From<Outcome> for UserSecretStat {
    fn from(Outcome { results, total }: Outcome) -> Self {
        let results = results.into_iter().map(crate::statistics::Datum::into_json).collect();
        let total_count = total.map(|total| i32::try_from(total).unwrap_or(i32::MAX));
        Self { results, total_count }
    }
}
