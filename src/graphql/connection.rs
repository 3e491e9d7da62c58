//! A page of user secrets, as a Relay connection.

use async_graphql::{Enum, InputObject, SimpleObject};
use serde_json::Value;

use super::user_secret::UserSecret;
use crate::{
    error::Result,
    query::{Field, Filter, ListQuery, Operator, RawCondition, Search, Sort, Window, words},
    service::Page,
};

/// What a list shows.
#[derive(InputObject, Default)]
pub(super) struct QueryInput {
    /// Conditions that must all hold.
    filter: Option<Vec<FilterInput>>,
    /// Conditions of which one must hold.
    filter_or: Option<Vec<FilterInput>>,
    /// The order, most significant key first; without: by name.
    sort: Option<Vec<SortInput>>,
    /// A numbered page, instead of first, after, last and before.
    page: Option<PageInput>,
    /// Words, one of which must occur in id, name, schema or provider.
    keyword: Option<String>,
}

/// A condition.
#[derive(InputObject)]
pub(super) struct FilterInput {
    /// A field by its wire name, such as `schema_id`, or a path through the tags, such as `tags.labels.0`.
    key: String,
    /// What is compared with; null when nothing is said.
    value: Option<Value>,
    /// How.
    operator: FilterOperator,
}

/// What a condition asks of a value.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Operator")]
pub(super) enum FilterOperator {
    /// Equal.
    Eq,
    /// Not equal; an absent value is not.
    Not,
    /// Less, among values of one type.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// One of a list.
    In,
    /// None of a list.
    NotIn,
    /// Has a text in it, in whatever case.
    Contain,
    /// Has it not.
    NotContain,
    /// Has one of a list of texts in it.
    ContainIn,
    /// Has none of them.
    NotContainIn,
    /// A regular expression finds something.
    Regex,
    /// One of a list of them does.
    RegexIn,
    /// Is there, null included.
    Exists,
    /// An object of the list has these entries.
    Match,
    /// Before a moment.
    DatetimeLt,
    /// Not after it.
    DatetimeLte,
    /// After it.
    DatetimeGt,
    /// Not before it.
    DatetimeGte,
    /// Before a moment that is told from now.
    TimediffLt,
    /// Not after it.
    TimediffLte,
    /// After it.
    TimediffGt,
    /// Not before it.
    TimediffGte,
}

/// A sort key.
#[derive(InputObject)]
pub(super) struct SortInput {
    /// A field by its wire name, such as `created_at`, or a path through the tags, such as `tags.priority`.
    pub(super) key: String,
    /// Descending.
    #[graphql(default = false)]
    pub(super) desc: bool,
}

/// A numbered page.
#[derive(InputObject)]
pub(super) struct PageInput {
    /// The first row, counted from 1.
    pub(super) start: Option<i32>,
    /// How many rows; of a list at most 100.
    pub(super) limit: Option<i32>,
}

/// The arguments of a list that stand beside its query.
#[derive(Default)]
pub(super) struct ListArguments {
    pub(super) equal: Vec<(Field, String)>,
    pub(super) first: Option<i32>,
    pub(super) after: Option<String>,
    pub(super) last: Option<i32>,
    pub(super) before: Option<String>,
    pub(super) with_total: bool,
}

impl QueryInput {
    pub(super) fn into_query(self, arguments: ListArguments) -> Result<ListQuery> {
        let ListArguments { equal, first, after, last, before, with_total } = arguments;
        let keyword = self.keyword.as_deref().map(words).transpose()?.unwrap_or_default();
        let sort = self.sort.unwrap_or_default().into_iter().map(|by| (by.key, by.desc)).collect();
        let sort = Sort::parse(sort)?;
        let page = self.page.map(|page| (page.start, page.limit));
        let window = Window::from_arguments(first, after, last, before, page)?;
        let conditions = |filter: Option<Vec<FilterInput>>| {
            filter.unwrap_or_default().into_iter().map(Into::into).collect()
        };
        let filter = Filter::check(conditions(self.filter), conditions(self.filter_or))?;
        Ok(ListQuery { search: Search { equal, filter, keyword }, sort, window, with_total })
    }
}

impl From<FilterInput> for RawCondition {
    fn from(input: FilterInput) -> Self {
        Self {
            key: Some(input.key),
            value: input.value.unwrap_or_default(),
            operator: Some(input.operator.into()),
        }
    }
}

/// A page of user secrets.
#[derive(SimpleObject)]
pub(super) struct UserSecretConnection {
    /// The rows with their cursors.
    edges: Vec<UserSecretEdge>,
    /// The rows alone.
    nodes: Vec<UserSecret>,
    /// Where the page lies.
    page_info: PageInfo,
    /// How many match in all; counted only when it is selected.
    total_count: i32,
}

/// A row and its place.
#[derive(SimpleObject)]
pub(super) struct UserSecretEdge {
    /// The row.
    node: UserSecret,
    /// Its place, for `after` and `before` of the same query.
    cursor: String,
}

/// Where a page lies.
#[derive(SimpleObject)]
pub(super) struct PageInfo {
    /// Whether rows precede the page.
    pub(super) has_previous_page: bool,
    /// Whether rows follow the page.
    pub(super) has_next_page: bool,
    /// The cursor of the first row.
    pub(super) start_cursor: Option<String>,
    /// The cursor of the last row.
    pub(super) end_cursor: Option<String>,
}

impl From<Page> for UserSecretConnection {
    fn from(page: Page) -> Self {
        let page_info = PageInfo {
            has_previous_page: page.has_previous,
            has_next_page: page.has_next,
            start_cursor: page.places.first().map(|place| place.cursor.clone()),
            end_cursor: page.places.last().map(|place| place.cursor.clone()),
        };
        let nodes = page.places.iter().map(|place| UserSecret(place.secret.clone())).collect();
        let edges = page
            .places
            .into_iter()
            .map(|place| UserSecretEdge { node: UserSecret(place.secret), cursor: place.cursor })
            .collect();
        let total_count = i32::try_from(page.total.unwrap_or_default()).unwrap_or(i32::MAX);
        Self { edges, nodes, page_info, total_count }
    }
}
