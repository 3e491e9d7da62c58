//! The original's query of a list. [`list_query`] is the one place where it becomes a [`ListQuery`].

use super::messages::{Page, Query, UserSecretQuery};
use crate::{
    error::{Error, Result},
    query::{Field, ListQuery, MAX_ROWS, Sort, Window, words},
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

/// The most keys of a sort, and the most words of a keyword.
const MAX_KEYS: usize = 8;
const MAX_WORDS: usize = 16;
const MAX_WORD_BYTES: usize = 1024;

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
        equal: equal.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
        keyword: keyword(&query.keyword)?,
        sort: sort(query.sort)?,
        window,
        with_total: true,
    })
}

/// What is not served: some of it not yet, and what could reach other tenants' rows never.
fn refuse_unserved(query: &Query) -> Result<()> {
    let unwinds = query.unwind.as_ref();
    let unserved = [
        ("filter", !query.filter.is_empty()),
        ("filter_or", !query.filter_or.is_empty()),
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

fn keyword(text: &str) -> Result<Vec<String>> {
    let words = words(text);
    if words.len() > MAX_WORDS || words.iter().any(|word| word.len() > MAX_WORD_BYTES) {
        let rule = format!("must have at most {MAX_WORDS} words of {MAX_WORD_BYTES} bytes");
        return Err(Error::invalid("query.keyword", rule));
    }
    Ok(words)
}

fn sort(keys: Vec<super::messages::Sort>) -> Result<Vec<Sort>> {
    if keys.len() > MAX_KEYS {
        return Err(Error::invalid("query.sort", format!("must have at most {MAX_KEYS} keys")));
    }
    let unknown = |index| Error::invalid(&format!("query.sort.{index}.key"), "is no field");
    keys.into_iter()
        .enumerate()
        .map(|(index, key)| {
            let field = Field::named(&key.key).ok_or_else(|| unknown(index))?;
            Ok(Sort { field, desc: key.desc })
        })
        .collect()
}

/// As in the original, a page without a limit is no page. Whoever asks for more
/// rows than are given at once learns from `total_count` that there are more.
fn window(page: Option<Page>) -> Window {
    let Page { start, limit } = page.unwrap_or_default();
    if limit == 0 {
        return Window::Numbered { start: 1, limit: MAX_ROWS };
    }
    Window::Numbered { start: u64::from(start).max(1), limit: u64::from(limit).min(MAX_ROWS) }
}
