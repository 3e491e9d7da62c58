//! The original's query of a list. [`list_query`] is the one place where it becomes a [`ListQuery`].

use serde_json::Value;

use super::{
    messages::{
        Filter as Condition, Page, Query, UserSecretQuery,
        filter::{KeyAlias, OperatorAlias, ValueAlias},
    },
    structure::from_proto,
};
use crate::{
    error::{Error, Result},
    query::{
        Field, Filter, ListQuery, MAX_ROWS, Operator, RawCondition, Sort, Window, equal_to, words,
    },
};

/// How much of each row is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// All of it.
    Whole,
    /// Id, name, schema and provider.
    Minimal,
    /// No rows at all.
    Count,
}

impl Shown {
    pub(super) fn of(request: &UserSecretQuery) -> Self {
        match &request.query {
            Some(Query { count_only: true, .. }) => Self::Count,
            Some(Query { minimal: true, .. }) => Self::Minimal,
            _ => Self::Whole,
        }
    }
}

/// What `request` looks for.
pub(super) fn list_query(request: UserSecretQuery) -> Result<ListQuery> {
    let UserSecretQuery { query, user_secret_id, name, schema_id, provider } = request;
    let query = query.unwrap_or_default();
    refuse_unserved(&query)?;
    let equal = [
        (Field::UserSecretId, user_secret_id),
        (Field::Name, name),
        (Field::SchemaId, schema_id),
        (Field::Provider, provider),
    ];
    let window =
        if query.count_only { Window::Numbered { start: 1, limit: 0 } } else { window(query.page) };
    Ok(ListQuery {
        filter: Filter::check(
            conditions("query.filter", query.filter)?,
            conditions("query.filterOr", query.filter_or)?,
        )?,
        equal: equal_to(equal.into_iter().filter(|(_, text)| !text.is_empty()).collect())?,
        keyword: words(&query.keyword)?,
        sort: Sort::parse(query.sort.into_iter().map(|key| (key.key, key.desc)).collect())?,
        window,
        with_total: true,
        with_cursors: false,
    })
}

/// What is not served: some of it not yet, and what could reach other tenants' rows never.
fn refuse_unserved(query: &Query) -> Result<()> {
    let unwinds = query.unwind.as_ref();
    let unserved = [
        ("only", !query.only.is_empty()),
        ("unwind", unwinds.is_some_and(|unwind| *unwind != Default::default())),
        ("lookup", query.lookup.is_some()),
        ("add_fields", query.add_fields.is_some()),
    ];
    match unserved.into_iter().find(|(_, given)| *given) {
        Some((key, _)) => Err(Error::invalid(&format!("query.{key}"), "is not served")),
        None => Ok(()),
    }
}

/// The conditions of the list called `name`, before any of them is checked.
fn conditions(name: &str, filter: Vec<Condition>) -> Result<Vec<RawCondition>> {
    let one = |(index, condition): (usize, Condition)| {
        let Condition { key_alias, value_alias, operator_alias } = condition;
        let operator = match operator_alias {
            Some(OperatorAlias::Operator(text) | OperatorAlias::O(text)) if !text.is_empty() => {
                let unknown = || Error::invalid(&format!("{name}.{index}.operator"), UNKNOWN);
                Some(Operator::named(&text).ok_or_else(unknown)?)
            }
            _ => None,
        };
        let key = key_alias.map(|(KeyAlias::Key(text) | KeyAlias::K(text))| text);
        let value = match value_alias {
            Some(ValueAlias::Value(value) | ValueAlias::V(value)) => {
                from_proto(&format!("{name}.{index}.value"), value)?
            }
            None => Value::Null,
        };
        Ok(RawCondition { key, value, operator })
    };
    filter.into_iter().enumerate().map(one).collect()
}

const UNKNOWN: &str = "must be one of the operators, such as eq, not_in or datetime_gte";

/// As in the original, a page without a limit is no page. Whoever asks for more
/// rows than are given at once learns from `total_count` that there are more.
fn window(page: Option<Page>) -> Window {
    let Page { start, limit } = page.unwrap_or_default();
    if limit == 0 {
        return Window::Numbered { start: 1, limit: MAX_ROWS };
    }
    Window::Numbered { start: u64::from(start).max(1), limit: u64::from(limit).min(MAX_ROWS) }
}
