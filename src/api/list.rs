//! The original's query of a list: where it becomes a [`ListQuery`], or with an unwind [`Statistics`].

use serde_json::Value;

use super::{
    messages::{
        Filter as Condition, Page, Query, Unwind, UserSecretQuery,
        filter::{KeyAlias, OperatorAlias, ValueAlias},
    },
    statistics::read_unwind,
    structure::from_proto,
};
use crate::{
    error::{Error, Result},
    query::{
        Field, Filter, ListQuery, MAX_ROWS, Operator, RawCondition, Search, Sort, Window, words,
    },
    statistics::{RawStage, Statistics},
};

/// What a list is asked for.
pub(super) struct Asked {
    /// The query. An unwind of which nothing is said is none.
    pub(super) query: Query,
    equal: Vec<(Field, String)>,
}

impl From<UserSecretQuery> for Asked {
    fn from(request: UserSecretQuery) -> Self {
        let equal = [
            (Field::UserSecretId, request.user_secret_id),
            (Field::Name, request.name),
            (Field::SchemaId, request.schema_id),
            (Field::Provider, request.provider),
        ];
        let mut query = request.query.unwrap_or_default();
        query.unwind = query.unwind.filter(|unwind| *unwind != Unwind::default());
        Self { query, equal: equal.into_iter().filter(|(_, text)| !text.is_empty()).collect() }
    }
}

impl Asked {
    /// As a page of secrets.
    pub(super) fn into_list(self) -> Result<ListQuery> {
        let Self { query, equal } = self;
        refuse_unserved(&query)?;
        let (start, limit) = match window(query.page) {
            _ if query.count_only => (1, 0),
            Some(window) => window,
            None => (1, MAX_ROWS),
        };
        let sort = query.sort.into_iter().map(|key| (key.key, key.desc)).collect();
        Ok(ListQuery {
            search: search(equal, query.filter, query.filter_or, &query.keyword)?,
            sort: Sort::parse(sort)?,
            window: Window::Numbered { start, limit },
            with_total: true,
        })
    }

    /// As rows with a list in their tags taken apart.
    ///
    /// As in the original that needs `only`, and says how many rows there are only beside a page.
    pub(super) fn into_unwound(self) -> Result<Statistics> {
        let Self { query, equal } = self;
        refuse_unserved(&query)?;
        let unwind = query.unwind.unwrap_or_default();
        if query.only.is_empty() {
            return Err(Error::missing("query.only", "unwind needs it"));
        }
        if !unwind.path.is_empty() && !unwind.path.starts_with("tags.") {
            return Err(Error::invalid("query.unwind.path", "must be tags. and a path"));
        }
        let mut stages = vec![RawStage::Unwind(read_unwind("query.unwind", unwind)?)];
        let sort: Vec<_> = query.sort.into_iter().map(|key| (key.key, key.desc)).collect();
        if !sort.is_empty() {
            stages.push(RawStage::Sort(sort));
        }
        let page = window(query.page);
        if page.is_none() {
            stages.push(RawStage::Limit(MAX_ROWS.try_into().unwrap_or(i64::MAX)));
        }
        let search = search(equal, query.filter, query.filter_or, &query.keyword)?;
        Statistics::of_list(search, stages, page)
    }
}

fn search(
    equal: Vec<(Field, String)>,
    filter: Vec<Condition>,
    filter_or: Vec<Condition>,
    keyword: &str,
) -> Result<Search> {
    let filter = conditions("query.filter", filter)?;
    let filter = Filter::check(filter, conditions("query.filterOr", filter_or)?)?;
    Ok(Search { equal, filter, keyword: words(keyword)? })
}

/// What could reach other tenants' rows is never served.
fn refuse_unserved(query: &Query) -> Result<()> {
    let unserved = [("lookup", query.lookup.is_some()), ("add_fields", query.add_fields.is_some())];
    match unserved.into_iter().find(|(_, given)| *given) {
        Some((key, _)) => Err(Error::invalid(&format!("query.{key}"), "is not served")),
        None => Ok(()),
    }
}

/// The conditions of the list called `name`, before any of them is checked.
pub(super) fn conditions(name: &str, filter: Vec<Condition>) -> Result<Vec<RawCondition>> {
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

/// The first row and how many. As in the original, a page without a limit is no page. Whoever
/// asks for more rows than are given at once learns from `total_count` that there are more.
fn window(page: Option<Page>) -> Option<(u64, u64)> {
    let page = page.filter(|page| page.limit > 0)?;
    Some((u64::from(page.start).max(1), u64::from(page.limit).min(MAX_ROWS)))
}
